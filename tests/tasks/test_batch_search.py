"""The search for the largest batch: right answers from few runs, and honest grounds for them."""

import random

import pytest

from linbench.tasks.support.batch_search import search

MIB = 2**20


def bent(*sums):
    """What a call needs: the largest of several sums `fixed + each * batch`."""
    return lambda batch: max(fixed + each * batch for fixed, each in sums)


def unknown(_):
    return None


def find(need, limit, counted=unknown, *, frugal=True, weights=0):
    ran = []

    def run(batch):
        ran.append(batch)
        return need(batch)

    found = search(run, limit, frugal=frugal, counted=counted, weights=lambda: weights)
    assert [one.batch for one in found.ran] == ran
    return found


@pytest.mark.parametrize("frugal", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_the_answer_is_the_largest_batch_that_fits(frugal, known):
    """With straight needs every way of searching agrees with trying all batches."""
    chance = random.Random(0)
    for _ in range(200):
        need = bent((chance.randrange(100), chance.randrange(1, 50)))
        limit = chance.randrange(1, 2000)
        truth = max((b for b in range(1, 2001) if need(b) <= limit), default=0)
        assert find(need, limit, need if known else unknown, frugal=frugal).batch == truth


def test_two_runs_are_enough_where_counts_are_right():
    """Dear calls are spared: the line through two batches, borne out by exact counts."""
    need = bent((100, 10))
    found = find(need, 10**6, need)
    assert [one.batch for one in found.tried] == [1, 2, 99_990, 99_991]
    assert found.how == "extrapolated"
    assert [one.fits for one in found.tried] == [True, True, True, False]


def test_without_counts_a_third_batch_is_run():
    """Of a plug-in nothing is counted: three batches must lie on a line, weights aside."""
    found = find(bent((100, 10)), 10**6, weights=100)
    assert [one.batch for one in found.ran] == [1, 2, 4]
    assert found.batch == 99_990


def test_without_counts_what_grows_must_outweigh_what_does_not():
    """A plug-in's scratch space may hide a sum that grows faster: it is outgrown first."""
    found = find(bent((1100, 10), (100, 60)), 60_100, weights=100)
    assert found.batch == 1000
    assert len(found.ran) < 12


def test_a_need_that_bends_is_followed_until_it_is_straight():
    """The line of small batches is not taken where another sum is ahead further out."""
    need = bent((1000, 10), (0, 60))  # bends at batch 20
    found = find(need, 60_000, need)
    assert found.batch == 1000
    assert len(found.ran) > 4


def test_counts_that_are_off_do_not_make_the_answer_wrong():
    """Counts 10 % below to 25 % above the truth only cost runs."""
    need = bent((500, 100))
    for off in (0.9, 0.97, 1.05, 1.25):
        found = find(need, 100_000, lambda batch, off=off: round(off * need(batch)))
        assert found.batch == 995


def test_nothing_is_run_that_counts_exclude():
    """Where counts exceed the limit by more than they may be off, no sequence is run: counted 0."""
    found = find(bent((0, 126)), 100, bent((0, 126)))
    assert (found.batch, found.how, found.ran) == (0, "counted", [])
    assert not found.tried[0].fits


def test_close_to_the_limit_a_run_decides():
    """Counts within their error of the limit exclude nothing."""
    found = find(bent((0, 101)), 100, bent((0, 120)))
    assert (found.batch, found.how) == (0, "measured")
    found = find(bent((0, 99)), 100, bent((0, 120)))
    assert found.batch == 1


def test_runs_stay_near_the_limit():
    """On a machine hardly larger than the limit nothing far beyond it is run."""
    for each in range(10, 100):
        need = bent((5, each))
        found = find(need, 100, need)
        assert all(one.bytes <= 125 for one in found.ran)
        assert found.batch == 95 // each


def test_running_out_of_memory_is_not_to_fit():
    """Where every answer comes from a run, None means that the memory ran out."""
    limit = 100
    need = bent((7, 3))
    found = find(lambda b: need(b) if need(b) <= limit else None, limit, frugal=False)
    assert (found.batch, found.how) == (31, "measured")
    assert {one.bytes is None for one in found.tried if not one.fits} == {True}
    nothing = find(lambda _: None, limit, frugal=False)
    assert (nothing.batch, nothing.how) == (0, "measured")


def test_memory_that_is_lost_to_fragments_costs_few_runs():
    """Where less fits than the bytes of calls say, the end is found from runs close to it."""
    need = bent((1000, 100))
    for lost in (0, 0.001, 0.02, 0.3):
        limit = 100_000

        def run(batch, lost=lost, limit=limit):
            return need(batch) if need(batch) <= (1 - lost) * limit else None

        found = find(run, limit, frugal=False)
        assert found.batch == int(((1 - lost) * limit - 1000) // 100)
        assert found.how == "measured"
        assert len(found.tried) <= 4 + 12 * (lost > 0)


def test_the_grounds_are_the_weaker_of_the_two_that_decide():
    """Measured only where the batch and the next one were both run."""
    need = bent((0, 40))
    found = find(need, 100, need)
    assert found.batch == 2
    assert {one.batch: one.how for one in found.tried}[3] == "extrapolated"
    assert found.how == "extrapolated"
    assert find(need, 100, frugal=False).how == "measured"
