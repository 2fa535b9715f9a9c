"""Histories of many runs: their order, gaps, machines, and steps that are known to be there."""

import json
import math
from dataclasses import replace

import histories
import numpy as np
import pytest
import synthetic

from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Runs
from linbench.studies.history.history import events_of, histories_of, to_json
from linbench.studies.history.sentences import sentences, size
from linbench.studies.history.tracks import NOT_IN_RUN
from linbench.studies.history.visits import Commit

RUNS = 24


def _runs(count=RUNS, *, heads=None, **settings):
    """Runs of sdpa; settings are functions of the run's index."""
    rng = np.random.default_rng(1)
    return [
        (
            (heads or histories.head)(i),
            histories.records(rng, **{name: of(i) for name, of in settings.items()}),
        )
        for i in range(count)
    ]


def _one(folder, runs, commits=None):
    (history,) = histories_of(histories.load(folder, runs), commits)
    return history


def test_a_step_is_dated_at_its_commit(tmp_path):
    """20 % slower from the 15th commit on: every size says so, with commit, date and runs."""
    history = _one(tmp_path, _runs(slower=lambda i: 1.2 if i >= 14 else 1.0))
    (event,) = events_of(history.of("time"))
    assert history.visits[event.visit].commit == histories.commit(14)
    assert history.visits[event.visit].date == "2026-01-15"
    assert len(event.steps) == len(histories.SIZES)
    for track, change in event.steps:
        assert change.last_before < 14 <= change.latest
        assert change.size.low < 1.2 < change.size.high
        assert change.after / change.before == pytest.approx(change.size.value)
        assert change.held == pytest.approx(RUNS - 14, abs=2)
        assert track.noise == pytest.approx(0.03, rel=0.6)
    assert not events_of(history.of("exponent"))


def test_bytes_step_at_once_and_exactly(tmp_path):
    """An allocator's count tells with its first run, to the byte, and needs no eight runs."""
    history = _one(tmp_path, _runs(3, bigger=lambda i: 1.02 if i == 2 else 1.0))
    for track in history.of("memory"):
        (change,) = track.changes
        assert (change.last_before, change.first, change.latest, change.held) == (1, 2, 2, 1)
        assert change.size.low == change.size.value == change.size.high
        assert change.size.value == pytest.approx(1.02, rel=1e-5)
        assert track.exact
    for track in history.of("time"):
        assert track.undecided == "it takes 8 runs to detect a step, there are 3"
        assert [point is not None for point in track.points] == [True] * 3


def test_memory_of_the_resident_set_is_noisy(tmp_path):
    """What no allocator counted is cut like times: a few bytes more are no step."""
    runs = _runs(12, bigger=lambda i: 1 + i % 3 / 100)
    for _, own in runs:
        for record in own:
            record.metrics["memory"] = replace(record.metrics["memory"], source="rss_hwm")
    for track in _one(tmp_path, runs).of("memory"):
        assert not track.exact
        assert not track.changes
        assert track.noise == pytest.approx(0.0085, rel=0.2)


def test_an_exponent_that_changes_is_a_step(tmp_path):
    """n² becomes n^2.4: a step of the exponent by the difference, over the same sizes."""
    history = _one(tmp_path, _runs(steeper=lambda i: 0.4 if i >= 10 else 0.0))
    time, memory = history.of("exponent")
    (change,) = time.changes
    assert (time.metric.name, time.sizes) == ("time", histories.SIZES)
    assert change.first == 10
    assert change.size.low < 0.4 < change.size.high
    assert change.before == pytest.approx(2.0, abs=0.02)
    assert (memory.metric.name, memory.changes, memory.exact) == ("memory", (), True)


def test_exponents_are_all_over_the_same_sizes(tmp_path):
    """A run without the largest n has no exponent: one over other sizes would be another."""
    runs = _runs(10, sizes=lambda i: histories.SIZES[:2] if i == 4 else histories.SIZES)
    time, _ = _one(tmp_path, runs).of("exponent")
    assert time.points[4] is None
    assert time.gaps == {4: "not measured at n = 4096"}
    assert all(point for i, point in enumerate(time.points) if i != 4)


def test_runs_stand_in_the_order_of_their_commits(tmp_path):
    """Where the repository knows all commits their order counts, not when they were measured."""
    runs = _runs(4)
    known = {
        histories.commit(i): Commit(9 - i, f"2025-12-0{4 - i}T12:00:00Z", f"Change {i}")
        for i in range(4)
    }
    history = _one(tmp_path, runs, known)
    assert [visit.run_id for visit in history.visits] == [
        "night-3",
        "night-2",
        "night-1",
        "night-0",
    ]
    assert "order of their commits" in history.order
    assert history.visits[0].date == "2025-12-01"
    assert history.visits[0].known.subject == "Change 3"
    del known[histories.commit(2)]
    history = _one(tmp_path, runs, known)
    assert [visit.run_id for visit in history.visits] == [
        "night-0",
        "night-1",
        "night-2",
        "night-3",
    ]
    assert "does not know commit 00000000" in history.order


def test_the_order_of_runs_heeds_time_zones(tmp_path):
    """Half past one in UTC comes before one o'clock in New York."""
    times = ["2026-01-01T01:00:00-05:00", "2026-01-01T01:30:00+00:00", "2026-01-01T00:00:00"]
    heads = lambda i: histories.head(i).model_copy(update={"created": times[i], "git": None})  # noqa: E731
    history = _one(tmp_path, _runs(3, heads=heads))
    assert [visit.run_id for visit in history.visits] == ["night-2", "night-1", "night-0"]
    assert "does not say its commit" in history.order
    assert history.visits[0].name == "2026-01-01 00:00"


def test_runs_of_one_commit_are_one_revision(tmp_path):
    """Several runs of a commit observe the same; a dirty tree is something else, and marked."""
    said = [{}, {"commit": histories.commit(0)}, {"commit": histories.commit(0), "dirty": True}]
    runs = _runs(4, heads=lambda i: histories.head(i, git=said[i] if i < 3 else {}))
    history = _one(tmp_path, runs, {histories.commit(i): Commit(i, "2026", "") for i in range(4)})
    revisions = [visit.revision for visit in history.visits]
    assert [revisions.index(revision) for revision in revisions] == [0, 0, 2, 3]
    assert [visit.dirty for visit in history.visits] == [False, False, True, False]
    assert history.visits[2].name == "00000000*"
    assert history.revisions == 3


def test_machines_are_never_in_one_history(tmp_path):
    """Runs of two machines give two histories, in which nothing changed."""
    heads = lambda i: histories.head(i, fingerprint="ab"[i % 2], cpu=f"CPU {'ab'[i % 2]}")  # noqa: E731
    runs = _runs(heads=heads, slower=lambda i: 1 + i % 2)
    first, second = histories_of(histories.load(tmp_path, runs))
    assert (first.machine, second.machine) == ("CPU a", "CPU b")
    assert (len(first.visits), len(second.visits)) == (RUNS // 2, RUNS // 2)
    assert not events_of([*first.tracks, *second.tracks])


def test_gaps_say_why(tmp_path):
    """Failed, absent and new cases are gaps with their reason; what never ran is named."""
    rng = np.random.default_rng(2)
    runs = _runs(10)
    for i, (_, own) in enumerate(runs):
        own.extend(histories.records(rng, impl="vanilla") if i >= 6 else [])
        own.append(synthetic.failed("skipped", "predicted 12 GiB", 65536))
    runs[3][1][:] = [record for record in runs[3][1] if record.case.seq != 4096]
    runs[3][1].append(synthetic.failed("oom", "killed at 8 GiB", 4096, impl="sdpa"))
    history = _one(tmp_path, runs)
    tracks = {track.label: track for track in history.of("time")}
    assert tracks["sdpa n=4096"].gaps == {3: "oom: killed at 8 GiB"}
    assert tracks["vanilla n=1024"].gaps == dict.fromkeys(range(6), NOT_IN_RUN)
    assert history.never == {"vanilla n=65536": "skipped: predicted 12 GiB"}
    assert next(track.label for track in history.of("time")) == "vanilla n=1024"


def test_a_case_that_was_wrong_once_is_a_gap_of_its_run(tmp_path):
    """Its other round is no value, and other runs keep theirs; wrong in all runs is never."""
    runs, wrong = _runs(3), {"status": "incorrect", "reason": "off by 0.5", "metrics": {}}
    for i, (_, own) in enumerate(runs):
        own[:] = [
            record.model_copy(update=wrong)
            if record.round == 0 and (record.case.seq == 1024 or (record.case.seq, i) == (2048, 1))
            else record
            for record in own
        ]
    history = _one(tmp_path, runs)
    tracks = {track.label: track for track in history.of("time")}
    assert set(tracks) == {"sdpa n=2048", "sdpa n=4096"}
    assert tracks["sdpa n=2048"].gaps == {1: "incorrect: off by 0.5"}
    assert history.never == {"sdpa n=1024": "incorrect: off by 0.5"}


def test_a_history_names_what_its_runs_used(tmp_path):
    """Runs on the processor of a machine with a GPU are of the processor."""
    of = {"fingerprint": "a", "cpu": "Example CPU", "gpu": "Example GPU"}
    for devices, name in (
        (("cpu", "cpu"), "Example CPU"),
        (("cuda", "cuda"), "Example GPU"),
        (("cpu", "cuda"), "Example CPU and Example GPU"),
    ):
        heads = [
            histories.head(i, **of).model_copy(update={"device": device})
            for i, device in enumerate(devices)
        ]
        assert _one(tmp_path, _runs(2, heads=lambda i, heads=heads: heads[i])).machine == name


def test_series_of_several_problems_are_told_apart(tmp_path):
    """Forward and backward of one configuration have names of their own, measured or not."""
    rng = np.random.default_rng(3)
    modes = ("forward", "forward_backward")
    own = [one for mode in modes for one in histories.records(rng, mode=mode)]
    own += [synthetic.failed("oom", "no memory", 65536, mode=mode) for mode in modes]
    history = _one(tmp_path, [(histories.head(0), own)])
    names = {history.name(track) for track in history.of("time")}
    assert {"sdpa n=1024, forward", "sdpa n=1024, forward + backward"} < names
    assert len(names) == 6
    assert len(history.never) == 2


def test_what_else_changed_is_told(tmp_path):
    """A new torch at the same commit as the step is named; one that came elsewhere is not."""
    heads = lambda i: histories.head(i, torch="2.14" if i >= 12 else "2.13", python=f"3.{i // 3}")  # noqa: E731
    history = _one(tmp_path, _runs(heads=heads, slower=lambda i: 1.5 if i >= 12 else 1.0))
    for track in history.of("time"):
        (change,) = track.changes
        assert change.settings == ("torch went from 2.13 to 2.14", "python went from 3.3 to 3.4")


def test_runs_of_the_same_name_all_count(tmp_path):
    """A job that always names its run alike makes many runs; the same file twice is one."""
    runs = _runs(10, heads=lambda i: histories.head(i, name="nightly"))
    paths = histories.write(tmp_path, runs)
    (history,) = histories_of(Runs.read([*paths, paths[3]]))
    assert len({visit.run_id for visit in history.visits}) == 10
    assert all(len(track.present) == 10 for track in history.tracks)


def test_steps_of_one_cause_are_one_event(tmp_path):
    """Series that disagree on the date by less than they know it stand together, worst first."""
    runs = _runs(slower=lambda i: 1.25 if i >= 8 else 1.0, bigger=lambda i: 1.3 if i >= 18 else 1.0)
    events = events_of(_one(tmp_path, runs).tracks)
    assert [event.visit for event in events] == [18, 8]
    assert [len(event.steps) for event in events] == [3, 3]
    for event in events:
        sizes = [change.size.value for _, change in event.steps]
        assert sizes == sorted(sizes, reverse=True)


def test_json_holds_what_was_found(tmp_path):
    """Machines get values, levels, gaps and steps with commit and interval, all finite or null."""
    history = _one(tmp_path, _runs(slower=lambda i: 1.2 if i >= 14 else 1.0))
    said = json.loads(json.dumps(to_json(replace(history, shown=("time",))), allow_nan=False))
    assert len(said["runs"]) == RUNS
    for series in said["series"]:
        (step,) = series["steps"]
        assert (step["commit"], step["run_id"], step["date"]) == (
            histories.commit(14), "night-14", "2026-01-15",
        )  # fmt: skip
        assert step["ci_low"] < 1.2 < step["ci_high"]
        assert len(series["values"]) == len(series["levels"]) == RUNS
        assert math.isclose(series["levels"][-1] / series["levels"][0], step["change"])
        assert (series["metric"], series["undecided"], series["gaps"]) == ("time", None, {})


def _graded(accuracy, *, count=12, better="more", noise="rounds"):
    """Runs whose cases have an accuracy besides, on a linear scale."""
    metric = Metric("accuracy", better=better, scale="linear", noise=noise)
    rng = np.random.default_rng(5)
    runs = []
    for i in range(count):
        own = histories.records(rng)
        for record in own:
            off = rng.normal(0, 0.002) if noise == "rounds" else 0.0
            record.metrics["accuracy"] = Measurement(accuracy(i) + float(off))
        runs.append((histories.head(i).model_copy(update={"metrics": [metric]}), own))
    return runs


def test_any_metric_has_a_history(tmp_path):
    """One on a linear scale steps by a difference, in its unit, and has no exponent."""
    history = _one(tmp_path, _graded(lambda i: 0.9 if i < 6 else 0.8))
    assert history.shown == ("time", "memory", "accuracy", "exponent")
    tracks = history.of("accuracy")
    assert len(tracks) == len(histories.SIZES)
    for track in tracks:
        (change,) = track.changes
        assert change.first == 6
        assert change.size.value == pytest.approx(-0.1, abs=0.005)
        assert change.size.low < -0.1 < change.size.high or change.size.value == pytest.approx(
            -0.1, abs=0.003
        )
        assert change.before == pytest.approx(0.9, abs=0.003)
        assert track.noise == pytest.approx(0.0015, rel=0.7)
        assert size(track, change.size).startswith("-0.")
    assert {track.metric.name for track in history.of("exponent")} == {"time", "memory"}
    assert "accuracy of sdpa n=1024 -0." in sentences(history)[0]


def test_values_of_a_linear_scale_may_be_anything(tmp_path):
    """Zero and negative values are values; what is exact tells at once."""
    history = _one(tmp_path, _graded(lambda i: 0.0 if i < 2 else -3.0, count=4, noise="exact"))
    for track in history.of("accuracy"):
        (change,) = track.changes
        assert (track.exact, change.first, change.size.value) == (True, 2, -3.0)
        assert track.fit == {0: 0.0, 1: 0.0, 2: -3.0, 3: -3.0}


def test_the_worst_comes_first_whichever_side_that_is(tmp_path):
    """Where more is better the series that lost most stands first."""
    runs = _graded(lambda i: 0.9, better="more", noise="exact")
    for i, (_, own) in enumerate(runs):
        for record in own:
            worse = {1024: 0.1, 2048: -0.1, 4096: 0.2}[record.case.seq] if i >= 6 else 0
            record.metrics["accuracy"] = Measurement(0.5 - worse)
    (event,) = events_of(_one(tmp_path, runs).of("accuracy"))
    assert [track.sizes for track, _ in event.steps] == [(4096,), (1024,), (2048,)]


def test_energy_has_a_history(tmp_path):
    """Joules are followed as seconds are, with their exponents."""
    runs = _runs(12)
    for i, (_, own) in enumerate(runs):
        for record in own:
            joules = 40 * record.value("time") * (1.5 if i >= 6 else 1)
            record.metrics["energy"] = Measurement(joules, source="nvml")
    history = _one(tmp_path, runs)
    assert all(track.changes[0].first == 6 for track in history.of("energy"))
    assert {track.metric.name for track in history.of("exponent")} == {"time", "memory", "energy"}


def test_every_task_counts_among_what_no_run_measured(tmp_path):
    """A case is a case, whatever task it is of."""
    own = [synthetic.failed("oom", "no memory", 512, task="spectrum")]
    history = _one(tmp_path, [(histories.head(0), own)])
    assert history.never == {"vanilla n=512": "oom: no memory"}
