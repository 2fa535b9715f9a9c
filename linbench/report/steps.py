"""What a history of runs shows, in sentences, and how its numbers are written."""

from collections.abc import Callable, Iterator, Sequence

from linbench.analysis import numbers
from linbench.analysis.history import Event, History, events_of, weight
from linbench.analysis.stats import Interval
from linbench.analysis.steps import FALSE_ALARMS, HELD, MIN_LEVEL
from linbench.analysis.tracks import NOT_IN_RUN, QUANTITIES, Quantity, Track
from linbench.analysis.visits import Visit
from linbench.report import words

METHOD = (
    "Steps are changes of level that last. A history without noise (bytes that an allocator "
    "counts) has one wherever it changes by more than 0.1 % (an exponent by 0.01), unless the next "
    "run is back at the level, which puts a run out of line. Any other is "
    "cut into levels by least squares on log values (exponents as they are), with as many steps as "
    "a sequence of F tests calls for (Bai and Perron 1998, doi:10.2307/2998540), anywhere "
    "(Bonferroni) and with noise and autocorrelation taken from the history itself. A level lasts "
    f"{MIN_LEVEL} runs or more: fewer slow ones are out of line, not a step. Where nothing "
    "changed, the chance that any series of a machine shows a step is at most "
    f"{100 * FALSE_ALARMS:g} %. The size of a step and the runs it lies between hold at 95 % (the "
    "latter by likelihood ratio; Siegmund 1988). The commit named is the first that was measured "
    "at the new level; commits that no run measured may lie between it and the run before."
)
_MOST = 4  # things of one kind that a sentence names


def heading(history: History) -> str:
    """Return what was measured, and in which order it stands."""
    visits = history.visits
    days = " to ".join(dict.fromkeys((visits[0].date, visits[-1].date)))
    dirty = sum(visit.dirty for visit in visits)
    return (
        f"{words.plural(len(visits), 'run')} of {words.plural(history.revisions, 'revision')} on "
        f"{history.machine} ({history.fingerprint}), {days}, {history.order}"
        + (f"; {dirty} with uncommitted changes (*)." if dirty else ".")
    )


def sentences(history: History, quantities: Sequence[Quantity]) -> list[str]:
    """Return what the history shows: steps newest first, then what is out of line or missing."""
    tracks = [track for quantity in quantities for track in history.of(quantity)]
    if not tracks:
        return ["Nothing was measured.", *_missing(history)]
    steps = [_event(event, history, tracks) for event in events_of(tracks)]
    told = sum(track.untold is None for track in tracks)
    none = f"None of the {told} series that can tell changed its level."
    return [
        *(steps or ([none] if told else [])),
        *_sensitivity(tracks),
        *_out_of_line(history, tracks),
        *_missing(history),
        *_warned(history),
    ]


def _event(event: Event, history: History, tracks: Sequence[Track]) -> str:
    visit = history.visits[event.visit]
    said = [
        f"{track.quantity} of {history.name(track)} {size(track, change.size)}, from "
        f"{value(track, change.before)} to {value(track, change.after)}"
        for track, change in event.steps
    ]
    first = event.steps[0][1]
    before, latest = history.visits[first.last_before], history.visits[first.latest]
    begins = f"It begins after {before.name} (run `{before.run_id}`)"
    if first.latest != first.last_before + 1:
        begins += f", not later than {latest.name}"
    settings = dict.fromkeys(what for _, change in event.steps for what in change.settings)
    more = f" Not only the commit is another: {words.listed(settings)}." if settings else ""
    return (
        f"**{visit.name}** ({visit.date}{_subject(visit)}): {_some(said)}. {begins}; it has lasted "
        f"{words.plural(first.held, 'run')}.{more}{_everything(event, tracks)}"
    )


def _some(said: Sequence[str]) -> str:
    more = [f"{len(said) - _MOST} more"] if len(said) > _MOST else []
    return "; ".join([*said[:_MOST], *more])


def _subject(visit: Visit) -> str:
    if visit.known is None:
        return ""
    return f", \N{LEFT DOUBLE QUOTATION MARK}{visit.known.subject}\N{RIGHT DOUBLE QUOTATION MARK}"


def _everything(event: Event, tracks: Sequence[Track]) -> str:
    """Say so where all times moved together, which the code of one implementation cannot do."""
    there = [track for track in tracks if track.quantity == "time" and event.visit in track.fit]
    moved = [change.size.value > 1 for track, change in event.steps if track.quantity == "time"]
    impls = sorted({track.setup.impl for track in there})
    if len(moved) < len(there) or len(set(moved)) != 1 or len(impls) < 2:
        return ""
    return (
        f" All {len(there)} times moved the same way, those of {words.listed(impls)}: think of the "
        "machine or a library before the code of one of them."
    )


def value(track: Track, number: float) -> str:
    """Write a value of a series with its unit; exponents have none."""
    return f"{number:.2f}" if track.quantity == "exponent" else words.quantity(number, track.cost)


def size(track: Track, change: Interval) -> str:
    """Write the size of a step: `+10.2 % [+9.1, +11.3]`, `2.31×`, of an exponent `+0.21`."""
    if track.quantity == "exponent":
        return _with_ends(change, "{:+.2f}".format, "")
    if not 0.5 < change.value < 2:
        return _with_ends(change, numbers.digits, "\N{MULTIPLICATION SIGN}")
    low, high = (None if end is None else 100 * (end - 1) for end in (change.low, change.high))
    return _with_ends(Interval(100 * (change.value - 1), low, high), "{:+.1f}".format, " %")


def _with_ends(interval: Interval, write: Callable[[float], str], unit: str) -> str:
    text = write(interval.value) + unit
    if interval.low is None or interval.high is None:
        return text
    low, high = write(interval.low), write(interval.high)
    return text if low == high else f"{text} [{low}, {high}]"


def spread(track: Track, found: float | None) -> str:
    """Write how far runs scatter, or what change would be found; nothing where that is unknown."""
    if found is None:
        return ""
    if track.quantity == "exponent":
        return f"{found:.2f}"
    return (
        f"{100 * found:.1f} %"
        if found < 1
        else f"{numbers.digits(1 + found)}\N{MULTIPLICATION SIGN}"
    )


def _sensitivity(tracks: Sequence[Track]) -> Iterator[str]:
    """Say what could have been seen: that there is no step is worth no more than that."""
    for quantity in QUANTITIES:
        own = [track for track in tracks if track.quantity == quantity]
        untold = [track.untold for track in own if track.untold]
        for reason in dict.fromkeys(untold):
            yield f"{quantity.capitalize()}, {untold.count(reason)} of {len(own)} series: {reason}."
        noisy = (one for one in own if not one.exact and one.untold is None)
        told = sorted(noisy, key=lambda one: one.would_find or 0)
        if told:
            best, worst = (spread(one, one.would_find) for one in (told[0], told[-1]))
            yield (
                f"{quantity.capitalize()}, {len(told)} of {len(own)} series: a step of the latest "
                f"{HELD} runs would have been found 95 times in 100 if larger than {best}"
                + (f" (in the noisiest series {worst})." if best != worst else ".")
            )


def _out_of_line(history: History, tracks: Sequence[Track]) -> Iterator[str]:
    found: dict[int, list[tuple[Track, float]]] = {}
    for track in tracks:
        for i in track.out_of_line:
            found.setdefault(i, []).append((track, _off(track, i)))
    said = []
    for i in sorted(found, reverse=True):
        track, off = max(found[i], key=lambda pair: abs(weight(*pair)))
        more = f" and {len(found[i]) - 1} more" if len(found[i]) > 1 else ""
        visit = history.visits[i]
        where = f"{track.quantity} of {history.name(track)}"
        said.append(
            f"{visit.name} (run `{visit.run_id}`), {where} {size(track, Interval(off))}{more}"
        )
    if said:
        yield f"Runs out of line, without weight, newest first: {_some(said)}."
    if len(history.visits) - 1 in found:
        yield "The latest run is out of line: the next ones will tell whether that is a step."


def _off(track: Track, i: int) -> float:
    point = track.points[i]
    measured = track.fit[i] if point is None else point.value
    return measured - track.fit[i] if track.quantity == "exponent" else measured / track.fit[i]


def _missing(history: History) -> Iterator[str]:
    """Say which cases the latest run lacks, and which no run measured."""
    last = len(history.visits) - 1
    gone = [track for track in history.of("time") if last in track.gaps]
    failed = [
        f"{history.name(track)}, {track.gaps[last]}, last measured at "
        f"{history.visits[track.present[-1]].name}"
        for track in gone
        if track.gaps[last] != NOT_IN_RUN
    ]
    absent = [history.name(track) for track in gone if track.gaps[last] == NOT_IN_RUN]
    never = [f"{name}, {reason}" for name, reason in history.never.items()]
    for what, said in (
        ("No value in the latest run", failed),
        ("Not in the latest run", absent),
        ("Measured in no run", never),
    ):
        if said:
            yield f"{what}: {_some(said)}."


def _warned(history: History) -> Iterator[str]:
    """Say how many runs were made while something was wrong with the machine."""
    warned = [visit for visit in history.visits if visit.warnings]
    if warned:
        last = warned[-1]
        yield (
            f"{len(warned)} of {words.plural(len(history.visits), 'run')} began with a warning, "
            f"the last of them {last.name} (run `{last.run_id}`): {'; '.join(last.warnings)}."
        )
