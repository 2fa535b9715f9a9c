"""What a history of runs shows, in sentences, and how its numbers are written."""

from collections.abc import Callable, Iterator, Sequence

from linbench import words
from linbench.stats.interval import Interval
from linbench.stats.steps import FALSE_ALARMS, HELD, MIN_LEVEL
from linbench.studies.history.history import Event, History, events_of
from linbench.studies.history.tracks import NOT_IN_RUN, Track
from linbench.studies.history.visits import Visit
from linbench.studies.labels import capital

METHOD = (
    "Steps are changes of level that last. A history without noise (bytes that an allocator "
    "counts) has one wherever it changes by more than 0.1 % (an exponent by 0.01), unless the next "
    "run is back at the level, which puts a run out of line. Any other is cut into levels by least "
    "squares on log values (exponents, and metrics on a linear scale, as they are), with as many "
    "steps as a sequence of F tests calls for (Bai and Perron 1998, doi:10.2307/2998540), anywhere "
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


def sentences(history: History) -> list[str]:
    """Return what the history shows: steps newest first, then what is out of line or missing."""
    tracks = history.of(*history.shown)
    if not tracks:
        return ["Nothing was measured.", *_missing(history)]
    steps = [_event(event, history, tracks) for event in events_of(tracks)]
    decided = sum(track.undecided is None for track in tracks)
    none = f"None of the {decided} series that can tell changed its level."
    return [
        *(steps or ([none] if decided else [])),
        *_sensitivity(history),
        *_out_of_line(history, tracks),
        *_missing(history),
        *_warned(history),
    ]


def _event(event: Event, history: History, tracks: Sequence[Track]) -> str:
    visit = history.visits[event.visit]
    said = [
        f"{title(history, track)} {size(track, change.size)}, from "
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
    """Say so where all of a metric moved together, which one implementation's code cannot do."""
    said = ""
    bound = (track.metric for track, _ in event.steps if track.case_id is not None)
    for metric in dict.fromkeys(metric for metric in bound if metric.machine_bound):
        there = [one for one in tracks if one.quantity == metric.name and event.visit in one.fit]
        moved = [one.worse(change.size.value) > 0 for one, change in event.steps if one in there]
        impls = sorted({str(track.key.impl) for track in there})
        if len(moved) == len(there) and len(set(moved)) == 1 and len(impls) > 1:
            said += (
                f" All {len(there)} series of {words_of(metric.name)} moved the same way, those of "
                f"{words.listed(impls)}: think of the machine or a library before the code of one "
                "of them."
            )
    return said


def words_of(quantity: str) -> str:
    """Write a quantity as sentences and titles do."""
    return quantity.replace("_", " ")


def title(history: History, track: Track) -> str:
    """Name a track with its quantity: `time of sdpa n=1024`."""
    return f"{words_of(track.quantity)} of {history.name(track)}"


def value(track: Track, number: float) -> str:
    """Write a value of a series with its unit; exponents have none."""
    return words.quantity(number, track.unit)


def size(track: Track, change: Interval) -> str:
    """Write the size of a step: `+10.2 % [+9.1, +11.3]`, `2.31×`, of an exponent `+0.21`."""
    if not track.by_ratio:
        return _difference(track, change)
    if not 0.5 < change.value < 2:
        return _with_ends(change, words.digits, words.RATIO)
    low, high = (None if end is None else 100 * (end - 1) for end in (change.low, change.high))
    return _with_ends(Interval(100 * (change.value - 1), low, high), "{:+.1f}".format, " %")


def _difference(track: Track, change: Interval) -> str:
    if track.unit == words.EXPONENT:
        return _with_ends(change, "{:+.2f}".format, "")
    unit, scale = words.prefix(change.value, track.unit)
    plus = lambda end: ("+" if end > 0 else "") + words.digits(end / scale)  # noqa: E731
    return _with_ends(change, plus, f" {unit}" if unit else "")


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
    if not track.by_ratio:
        return value(track, found)
    return f"{100 * found:.1f} %" if found < 1 else f"{words.digits(1 + found)}{words.RATIO}"


def _sensitivity(history: History) -> Iterator[str]:
    """Say what could have been seen: that there is no step is worth no more than that."""
    for quantity in history.shown:
        own, head = history.of(quantity), capital(words_of(quantity))
        undecided = [track.undecided for track in own if track.undecided]
        for reason in dict.fromkeys(undecided):
            yield f"{head}, {undecided.count(reason)} of {len(own)} series: {reason}."
        noisy = (track for track in own if not track.exact and track.undecided is None)
        decided = sorted(noisy, key=lambda track: track.would_find or 0)
        if decided:
            best, worst = (spread(track, track.would_find) for track in (decided[0], decided[-1]))
            yield (
                f"{head}, {len(decided)} of {len(own)} series: a step of the latest {HELD} runs "
                f"would have been found 95 times in 100 if larger than {best}"
                + (f" (in the noisiest series {worst})." if best != worst else ".")
            )


def _out_of_line(history: History, tracks: Sequence[Track]) -> Iterator[str]:
    found: dict[int, list[tuple[Track, float]]] = {}
    for track in tracks:
        for i in track.out_of_line:
            found.setdefault(i, []).append((track, _off(track, i)))
    said = []
    for i in sorted(found, reverse=True):
        track, off = max(found[i], key=lambda pair: abs(pair[0].worse(pair[1])))
        more = f" and {len(found[i]) - 1} more" if len(found[i]) > 1 else ""
        visit = history.visits[i]
        what = f"{title(history, track)} {size(track, Interval(off))}{more}"
        said.append(f"{visit.name} (run `{visit.run_id}`), {what}")
    if said:
        yield f"Runs out of line, without weight, newest first: {_some(said)}."
    if len(history.visits) - 1 in found:
        yield "The latest run is out of line: the next ones will tell whether that is a step."


def _off(track: Track, i: int) -> float:
    point = track.points[i]
    measured = track.fit[i] if point is None else point.value
    return measured / track.fit[i] if track.by_ratio else measured - track.fit[i]


def _missing(history: History) -> Iterator[str]:
    """Say which cases the latest run lacks, in all metrics, and which no run measured."""
    last = len(history.visits) - 1
    cases: dict[str, list[Track]] = {}
    for track in history.tracks:
        if track.case_id is not None:
            cases.setdefault(track.case_id, []).append(track)
    gone = [own[0] for own in cases.values() if all(last in track.gaps for track in own)]
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
    warned = [visit for visit in history.visits if visit.header.warnings]
    if warned:
        last, said = warned[-1], "; ".join(warned[-1].header.warnings)
        yield (
            f"{len(warned)} of {words.plural(len(history.visits), 'run')} began with a warning, "
            f"the last of them {last.name} (run `{last.run_id}`): {said}."
        )
