"""What a history of runs shows, in sentences, and how its numbers are written."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from linbench import words
from linbench.stats.interval import Interval
from linbench.stats.steps import FALSE_ALARMS, HELD, MIN_LEVEL
from linbench.studies.history.history import Event, History, events_of
from linbench.studies.history.tracks import NOT_IN_RUN, Track
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
    said = [_event(event, history, tracks) for event in events_of(tracks)]
    decided = sum(track.undecided is None for track in tracks)
    if decided and not said:
        said = [f"None of the {decided} series that could be judged changed its level."]
    return [
        *said,
        *_sensitivity(history),
        *_out_of_line(history, tracks),
        *_missing(history),
        *_warned(history),
    ]


def _event(event: Event, history: History, tracks: Sequence[Track]) -> str:
    visit, first = history.visits[event.visit], event.steps[0][1]
    before, latest = history.visits[first.last_before], history.visits[first.latest]
    subject = f", “{visit.known.subject}”" if visit.known else ""
    said = [
        f"{title(history, track)} {size(track, change.size)}, from "
        f"{words.quantity(change.before, track.unit)} to "
        f"{words.quantity(change.after, track.unit)}"
        for track, change in event.steps
    ]
    dated = first.latest == first.last_before + 1
    settings = dict.fromkeys(what for _, change in event.steps for what in change.settings)
    more = f" Not only the commit changed: {words.listed(settings)}." if settings else ""
    return (
        f"**{visit.name}** ({visit.date}{subject}): {_some(said)}. It begins after {before.name} "
        f"(run `{before.run_id}`){'' if dated else f', not later than {latest.name}'}; it has "
        f"lasted {words.plural(first.held, 'run')}.{more}{_everything(event, tracks)}"
    )


def _some(said: Sequence[str]) -> str:
    more = [f"{len(said) - _MOST} more"] if len(said) > _MOST else []
    return "; ".join([*said[:_MOST], *more])


def _everything(event: Event, tracks: Sequence[Track]) -> str:
    """Say so where all of a metric moved together, which one implementation's code cannot do."""
    said = ""
    cases = [(track, change) for track, change in event.steps if track.case_id is not None]
    for metric in dict.fromkeys(track.metric for track, _ in cases):
        there = sum(own.quantity == metric.name and event.visit in own.fit for own in tracks)
        moved = [own for own in cases if own[0].metric == metric and event.visit in own[0].fit]
        ways = {track.worse(change.size.value) > 0 for track, change in moved}
        impls = sorted({str(track.key.impl) for track, _ in moved})
        if metric.machine_bound and len(moved) == there and len(ways) == 1 and len(impls) > 1:
            said += (
                f" All {there} series of {words_of(metric.name)} moved the same way, those of "
                f"{words.listed(impls)}: suspect the machine or a library before the code of any "
                "one of them."
            )
    return said


def words_of(quantity: str) -> str:
    """Write a quantity as sentences and titles do."""
    return quantity.replace("_", " ")


def title(history: History, track: Track) -> str:
    """Name a track with its quantity: `time of sdpa n=1024`."""
    return f"{words_of(track.quantity)} of {history.name(track)}"


def size(track: Track, change: Interval) -> str:
    """Write the size of a step: `+10.2 % [+9.1, +11.3]`, `2.31×`, of an exponent `+0.21`."""
    if track.unit == words.EXPONENT:
        return _with_ends(change, "{:+.2f}".format, "")
    if not track.by_ratio:
        unit, scale = words.prefix(change.value, track.unit)
        plus = lambda end: ("+" if end > 0 else "") + words.digits(end / scale)  # noqa: E731
        return _with_ends(change, plus, f" {unit}" if unit else "")
    if 0.5 < change.value < 2:
        return _with_ends(change, lambda end: f"{100 * (end - 1):+.1f}", " %")
    return _with_ends(change, words.digits, words.RATIO)


def _with_ends(interval: Interval, write: Callable[[float], str], unit: str) -> str:
    text = write(interval.value) + unit
    if interval.low is None or interval.high is None:
        return text
    low, high = write(interval.low), write(interval.high)
    return text if low == high else f"{text} [{low}, {high}]"


def spread(track: Track, found: float) -> str:
    """Write how far runs scatter, or what change would be found."""
    if not track.by_ratio:
        return words.quantity(found, track.unit)
    return f"{100 * found:.1f} %" if found < 1 else f"{words.digits(1 + found)}{words.RATIO}"


def _sensitivity(history: History) -> Iterator[str]:
    """Say what could have been seen: that there is no step is worth no more than that."""
    for quantity in history.shown:
        own, head = history.of(quantity), capital(words_of(quantity))
        reasons = Counter(track.undecided for track in own if track.undecided)
        for reason, count in reasons.items():
            yield f"{head}, {count} of {len(own)} series undecided: {reason}."
        found = sorted(
            (track.would_find, spread(track, track.would_find))
            for track in own
            if track.would_find is not None and not track.exact
        )
        if found:
            best, worst = found[0][1], found[-1][1]
            yield (
                f"{head}, {len(found)} of {len(own)} series: a step of the latest {HELD} runs "
                f"would have been found 95 times in 100 if larger than {best}"
                + (f" (in the noisiest series {worst})." if best != worst else ".")
            )


def _out_of_line(history: History, tracks: Sequence[Track]) -> Iterator[str]:
    found: dict[int, list[tuple[Track, float]]] = {}
    for track in tracks:
        measured = dict(zip(track.present, track.values, strict=True))
        for i in track.out_of_line:
            level = track.fit[i]
            off = measured[i] / level if track.by_ratio else measured[i] - level
            found.setdefault(i, []).append((track, off))
    said = []
    for i, own in sorted(found.items(), reverse=True):
        track, off = max(own, key=lambda pair: abs(pair[0].worse(pair[1])))
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        visit = history.visits[i]
        what = f"{title(history, track)} {size(track, Interval(off))}{more}"
        said.append(f"{visit.name} (run `{visit.run_id}`), {what}")
    if said:
        yield f"Runs out of line, without weight, newest first: {_some(said)}."
    if len(history.visits) - 1 in found:
        yield "The latest run is out of line: the next ones will show whether that is a step."


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
