"""Timing with a clock of our own: warm-up, samples, what is kept."""

import gc

from linbench.probes import timing


class Clock:
    """Time moves only when work is done."""

    def __init__(self, durations):
        self.now, self.durations, self.calls = 0.0, durations, 0

    def __call__(self):
        return self.now

    def work(self):
        self.now += self.durations(self.calls)
        self.calls += 1
        return self.calls


def test_warm_up_goes_on_until_steady():
    """A first slow stretch is not sampled."""
    clock = Clock(lambda i: max(0.01, 0.04 * 0.8**i))
    samples = timing.sample(clock.work, 0.04, clock)
    assert samples.steady
    assert max(samples.seconds) < 0.011


def test_warm_up_is_capped_and_says_so():
    """What never becomes steady is sampled all the same, and the record can say it was not."""
    clock = Clock(lambda i: 0.02 * 1.2 ** (i % 7))
    samples = timing.sample(clock.work, 0.02, clock)
    assert not samples.steady
    assert samples.warmup_calls <= timing.WARM_UP_S / 0.02 + 1


def test_no_sample_is_dropped():
    """Slow outliers are in the samples, in the order taken."""
    clock = Clock(lambda i: 0.05 if i == 9 else 0.01)
    samples = timing.sample(clock.work, 0.01, clock)
    assert samples.result == samples.warmup_calls + len(samples.seconds)
    assert max(samples.seconds) > 0.04


def test_short_calls_are_timed_in_groups():
    """A call the clock cannot resolve is repeated within a sample; seconds stay per call."""
    clock = Clock(lambda i: 2e-6)
    samples = timing.sample(clock.work, 2e-6, clock)
    assert samples.calls_per_sample == 25
    assert all(abs(second - 2e-6) < 1e-9 for second in samples.seconds)


def test_long_calls_are_sampled_once():
    """After a first call of over a second, one more is enough."""
    clock = Clock(lambda i: 3.0)
    samples = timing.sample(clock.work, 3.0, clock)
    assert (len(samples.seconds), samples.warmup_calls) == (1, 0)


def test_the_garbage_collector_is_off_while_timing_and_on_again():
    """A collection in the middle of a sample would be taken for attention."""
    seen = []
    clock = Clock(lambda i: 0.1)
    timing.sample(lambda: (seen.append(gc.isenabled()), clock.work()), 0.1, clock)
    assert set(seen) == {False}
    assert gc.isenabled()
