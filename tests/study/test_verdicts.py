"""The rules of verdicts: at their borders, and by simulated studies."""

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from dlx.stats import Estimate, Interval, student
from dlx.study.declare.finding import Bound, Finding
from dlx.study.judge.verdicts import (
    FAILS,
    HOLDS,
    LEVEL,
    OPEN,
    all_hold,
    decide,
    judge,
    judge_exactly,
    level_after,
    of_sentence,
    one_holds,
)

STUDIES = 2000
ABOVE, MOST, LEAST = (partial(Bound, sense) for sense in ("above", "at most", "at least"))


@pytest.mark.parametrize(
    ("low", "high", "bound", "verdict"),
    [
        (0.01, 0.5, ABOVE(0), HOLDS),
        (0.01, 0.05, ABOVE(0, 0.1), HOLDS),  # small, but surely there
        (-0.01, 0.5, ABOVE(0), OPEN),
        (-0.5, 0.01, ABOVE(0), OPEN),
        (-0.5, -0.01, ABOVE(0), FAILS),
        (-0.5, 0.09, ABOVE(0, 0.1), FAILS),
        (-0.5, 0.11, ABOVE(0, 0.1), OPEN),
        (0.21, 0.5, ABOVE(0.2, 0.1), HOLDS),
        (0.1, 0.29, ABOVE(0.2, 0.1), FAILS),
        (1, 2, MOST(2), HOLDS),
        (1, 2.1, MOST(2), OPEN),
        (2, 2.1, MOST(2), OPEN),
        (2.01, 2.1, MOST(2), FAILS),
        (2, 3, LEAST(2), HOLDS),
        (1.9, 3, LEAST(2), OPEN),
        (1.9, 1.99, LEAST(2), FAILS),
    ],
)
def test_the_interval_decides(low, high, bound, verdict):
    assert decide(Interval((low + high) / 2, low, high, 3), bound) == verdict
    assert decide(Interval((low + high) / 2, low, high, 2), bound) == OPEN, "two seeds never decide"
    assert decide(Interval((low + high) / 2, None, None, 9), bound) == OPEN, "nor do seeds without variance"


def studies(mean, spread, runs, seed=0):
    """The estimates of `STUDIES` studies, of runs whose gains are normal."""
    gains = np.random.default_rng(seed).normal(mean, spread, (STUDIES, runs))
    errors = gains.std(1, ddof=1) / math.sqrt(runs)
    return [Estimate(*one, runs - 1, runs) for one in np.stack([gains.mean(1), errors], 1).tolist()]


def shares(estimates, bound, looks=0):
    """How many of the studies have each verdict."""
    verdicts = [decide(one.interval(1 - level_after(looks)), bound) for one in estimates]
    return {verdict: verdicts.count(verdict) / len(verdicts) for verdict in (HOLDS, FAILS, OPEN)}


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("matters", [0, 0.5])
def test_without_a_difference_a_claim_holds_at_most_once_in_100_studies(runs, matters):
    assert shares(studies(0, 1, runs), ABOVE(0, matters))[HOLDS] <= 0.01


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("least", [0, 2])
def test_with_a_difference_that_matters_it_fails_at_most_once_in_100_studies(runs, least):
    assert shares(studies(least + 0.5, 1, runs), ABOVE(least, 0.5))[FAILS] <= 0.01


@pytest.mark.parametrize("bound", [MOST(0), LEAST(0)])
def test_a_mean_at_its_bound_is_on_either_side_at_most_once_in_100_studies(bound):
    made = shares(studies(0, 1, 5), bound)
    assert max(made[HOLDS], made[FAILS]) <= 0.01


def test_a_conjunction_errs_no_more_often_than_its_parts():
    """One part without a difference, the others clear; then all parts with a difference that just matters."""
    for mean, wrong in (([0, 9, 9, 9], HOLDS), ([0.5] * 4, FAILS)):
        parts = [studies(one, 1, 5, seed) for seed, one in enumerate(mean)]
        judged = [all_hold([judge(one, ABOVE(0, 0.5)) for one in study]) for study in zip(*parts, strict=True)]
        assert np.mean([finding.verdict == wrong for finding in judged]) <= 0.01


def test_where_one_of_several_is_enough_it_errs_no_more_often():
    parts = [studies(0, 1, 5, seed) for seed in range(4)]
    judged = [one_holds([judge(one, ABOVE(0)) for one in study]) for study in zip(*parts, strict=True)]
    assert np.mean([finding.verdict == HOLDS for finding in judged]) <= 0.01


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_a_look_halves_the_level(looks):
    """A gain whose p lies just below and just above the level."""
    assert level_after(looks) == LEVEL / 2**looks
    gains = np.array([-1, 0.5, 0, 1, -0.5])
    t = stats.t.isf(level_after(looks) / 2, 4) * stats.sem(gains)
    assert judge(student(gains + 1.001 * t), ABOVE(0), looks).verdict == HOLDS
    assert judge(student(gains + 0.999 * t), ABOVE(0), looks).verdict == OPEN


def exactly(mean, spread, runs):
    """An estimate of this mean and this spread."""
    return Estimate(mean, spread / math.sqrt(runs), runs - 1, runs)


@pytest.mark.parametrize(
    ("mean", "bound", "looks"),
    [
        (0.5, ABOVE(0), 0),
        (-0.6, ABOVE(0), 0),
        (0.02, ABOVE(0, 0.5), 0),
        (0.45, ABOVE(0, 0.5), 0),
        (0.7, ABOVE(0.2), 1),
        (1.5, MOST(2), 0),
        (2.4, MOST(2), 0),
        (1.6, LEAST(2), 0),
    ],
)
def test_with_the_runs_that_are_needed_nine_studies_of_ten_reach_their_verdict(mean, bound, looks):
    finding = judge(exactly(mean, 1, 5), bound, looks)
    assert finding.verdict == OPEN
    assert finding.needed is not None
    assert 10 < finding.needed < 150
    assert 0.85 <= 1 - shares(studies(mean, 1, finding.needed), bound, looks)[OPEN] <= 0.95


def test_the_smallest_difference_is_found_in_nine_studies_of_ten():
    finding = judge(exactly(0.1, 1, 8), ABOVE(0))
    assert 0.85 <= shares(studies(finding.smallest, 1, 8), ABOVE(0))[HOLDS] <= 0.95


def test_p_is_of_the_border_that_decided():
    gains = np.array([-0.02, 0.01, 0.0, 0.02, -0.01])
    held = judge(student(gains + 0.3), ABOVE(0.1, 0.1))
    failed = judge(student(gains), ABOVE(0.1, 0.1))
    assert (held.verdict, failed.verdict) == (HOLDS, FAILS)
    assert held.p == pytest.approx(stats.ttest_1samp(gains + 0.3, 0.1).pvalue)
    assert failed.p == pytest.approx(stats.ttest_1samp(gains, 0.2).pvalue)
    assert held.needed is None, "it is decided"


@pytest.mark.parametrize(
    ("values", "bound", "verdict"),
    [
        ([0, 0, 0], MOST(0), HOLDS),
        ([0, 0, 1e-9], MOST(0), FAILS),
        ([1, 3, 2], LEAST(1), HOLDS),
        ([1, 3, 0.9], LEAST(1), FAILS),
        ([0, 0, 0], ABOVE(0), FAILS),
        ([0, 0], MOST(0), OPEN),
    ],
)
def test_an_exact_claim_is_about_every_run(values, bound, verdict):
    finding = judge_exactly(values, bound)
    assert (finding.verdict, finding.exact) == (verdict, True)


def parts(*some):
    return [Finding(verdict, f"part {i}", p) for i, (verdict, p) in enumerate(some)]


@pytest.mark.parametrize(
    ("some", "verdict", "shown", "p"),
    [
        ([(HOLDS, 0.002), (HOLDS, 0.009)], HOLDS, 1, 0.009),
        ([(HOLDS, None), (HOLDS, 0.001)], HOLDS, 1, 0.001),
        ([(HOLDS, 0.001), (OPEN, 0.7), (OPEN, 0.3)], OPEN, 1, 0.7),
        ([(OPEN, 0.4), (FAILS, 0.003)], FAILS, 1, 0.006),
        ([(FAILS, 0.004), (FAILS, 0.001), (HOLDS, 0.001)], FAILS, 1, 0.003),
        ([(FAILS, 0.006), (HOLDS, 0.001)], OPEN, 0, 0.006),
        ([(FAILS, None), (HOLDS, 0.001)], FAILS, 0, None),
    ],
)
def test_all_hold_if_each_does_and_the_part_that_decided_is_shown(some, verdict, shown, p):
    finding = all_hold(parts(*some))
    assert (finding.verdict, finding.note) == (verdict, f"part {shown}")
    assert finding.p == (p if p is None else pytest.approx(p))
    assert (finding.tests, finding.held) == (len(some), [verdict for verdict, _ in some].count(HOLDS))
    nested = all_hold([finding, *parts((HOLDS, 1e-9))])
    assert (nested.tests, nested.held) == (finding.tests + 1, finding.held + 1)


@pytest.mark.parametrize(
    ("some", "verdict", "shown"),
    [
        ([(HOLDS, 0.004), (OPEN, 0.4)], HOLDS, 0),
        ([(HOLDS, 0.006), (OPEN, 0.4)], OPEN, 1),
        ([(HOLDS, None), (FAILS, 0.001)], HOLDS, 0),
        ([(FAILS, 0.001), (FAILS, 0.002)], FAILS, 0),
        ([(FAILS, 0.001), (OPEN, 0.2)], OPEN, 1),
    ],
)
def test_one_holds_after_holms_correction(some, verdict, shown):
    finding = one_holds(parts(*some))
    assert (finding.verdict, finding.note) == (verdict, f"part {shown}")


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([HOLDS], HOLDS),
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, HOLDS, FAILS, HOLDS], "partly (3 of 4)"),
        ([HOLDS, OPEN], "partly (1 of 2)"),
        ([OPEN, FAILS], FAILS),
        ([FAILS, FAILS], FAILS),
        ([OPEN, OPEN], OPEN),
    ],
)
def test_a_sentence_with_several_tests_may_be_partly_true(verdicts, verdict):
    assert of_sentence(verdicts) == verdict
