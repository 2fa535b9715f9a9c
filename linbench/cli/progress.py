"""Progress of a sweep on stderr: a bar with the time left in a terminal, else a line a round."""

import math
import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from linbench.plan.schedule import Schedule, Visit
from linbench.run.record import Record


class Progress:
    """Shows where a sweep is. `visiting` and `took` are what its loop calls."""

    def __init__(self, schedule: Schedule, *, quiet: bool) -> None:
        """Prepare to show a sweep."""
        self._schedule = schedule
        self._console = Console(stderr=True, quiet=quiet)
        self._bar: Bar | None = None
        self._round = -1
        self._terminal = self._console.is_terminal and not quiet

    def __enter__(self) -> Self:
        """Begin."""
        if self._terminal:
            self._bar = Bar(
                TextColumn("round {task.fields[round]}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left {task.fields[left]}"),
                TextColumn("[cyan]{task.fields[case]}"),
                console=self._console,
                # the machine is being measured: no redrawing thread beside it
                auto_refresh=False,
                transient=True,
            )
            total = len(self._schedule.cases) * self._schedule.plan.rounds
            case = "loading torch"
            self._task = self._bar.add_task("", total=total, round=1, left="?", case=case)
            self._bar.start()
            self._bar.refresh()
        return self

    def visiting(self, visit: Visit) -> None:
        """Show the case that is next and the time left."""
        left = _clock(self._schedule.remaining_s)
        most = self._schedule.plan.rounds
        number = min(visit.round, most)
        if self._bar:
            case = visit.case.title
            self._bar.update(self._task, round=min(visit.round + 1, most), left=left, case=case)
            self._bar.refresh()
        elif number != self._round:
            # cases that were begun late have their last rounds after everybody's
            said = f"round {number + 1} of at most {most}" if number < most else "last rounds"
            self._console.print(
                f"{said}: {self._schedule.spent_s:.0f} s spent, {left} left", highlight=False
            )
        self._round = number

    def took(self, record: Record) -> None:
        """Count a record; one that did not end well is shown at once."""
        if self._bar:
            self._bar.advance(self._task)
        if record.status not in ("ok", "skipped"):
            said = f"{record.status}: {record.case.title}: {record.reason}"
            self._console.print(said, highlight=False, markup=False)

    def __exit__(self, *_: object) -> None:
        """End; the bar vanishes, what was printed stays."""
        if self._bar:
            self._bar.stop()
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    """Write a time as minutes and seconds, `?` where there is no end."""
    finite = math.isfinite(seconds)
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if finite else "?"
