"""Progress of a sweep on stderr: a bar with the time left in a terminal, else a line a round."""

import math
import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from linbench.case import Case
from linbench.record import Record
from linbench.runner import State
from linbench.suite import Suite


class Progress:
    """Shows where a sweep is. `visiting` and `took` are what the runner calls."""

    def __init__(self, suite: Suite, cases: int, *, quiet: bool) -> None:
        """Prepare to show a sweep of so many cases."""
        self._visits = cases * suite.rounds
        self._console = Console(stderr=True, quiet=quiet)
        self._bar: Bar | None = None
        self._round = -1
        self._suite = suite
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
            self._task = self._bar.add_task(
                "", total=self._visits, round=1, left="?", case="loading torch"
            )
            self._bar.start()
            self._bar.refresh()
        return self

    def visiting(self, case: Case, round_: int, state: State, waiting: list[Case]) -> None:
        """Show the case that is next and the time left."""
        left = self._left(case, round_, state, waiting)
        if self._bar:
            self._bar.update(
                self._task, round=round_ + 1, left=left, case=f"{case.label} n={case.seq}"
            )
            self._bar.refresh()
        elif round_ != self._round:
            self._console.print(
                f"round {round_ + 1} of at most {self._suite.rounds}: {len(waiting) + 1} cases, "
                f"{state.spent_s:.0f} s spent, {left} left",
                highlight=False,
            )
        self._round = round_

    def took(self, record: Record) -> None:
        """Count a record; one that did not end well is shown at once."""
        if self._bar:
            self._bar.advance(self._task)
        if record.status not in ("ok", "skipped"):
            self._console.print(
                f"{record.status}: {record.case.label} n={record.case.seq}: {record.reason}",
                highlight=False,
                markup=False,
            )

    def _left(self, case: Case, round_: int, state: State, waiting: list[Case]) -> str:
        """Estimate the time left: this round's predictions, then as many of what is alive."""
        predict = state.predictor.predict
        now_s = sum(predict(c).round_s for c in (case, *waiting))
        all_s = now_s + sum(m.round_s for m in state.predictor.measured.values())
        later = self._suite.rounds - round_ - 1
        left_s = now_s + later * (all_s if round_ == 0 else now_s)
        left_s = max(0.0, min(left_s, state.left_s()))
        return "?" if not math.isfinite(left_s) else f"{int(left_s) // 60}:{int(left_s) % 60:02d}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; the bar vanishes, what was printed stays."""
        if self._bar:
            self._bar.stop()
        sys.stderr.flush()
