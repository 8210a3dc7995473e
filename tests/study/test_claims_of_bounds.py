"""Verdicts on bounds, on figures of the paper, and on claims of several parts."""

import numpy as np
import pytest
from scipy import stats
from synthetic import dataset, found, of_error

from dlx.study import claims
from dlx.study.declare.page import ERRORS, Metric

FRACTION, POINTS = Metric("test/error", "test error"), ERRORS[-1]
BASE = np.array([0.10, 0.14, 0.12, 0.11, 0.13])


def decided(decide, errors, **more):
    return decide(found({name: list(values) for name, values in errors.items()}, **more))


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (0.5, "holds"),
        ("high", "holds"),
        ("under high", "not enough runs"),
        ("low", "not enough runs"),
        ("under low", "does not hold"),
    ],
)
def test_at_most_is_decided_by_the_interval(bound, verdict):
    half = stats.t.ppf(0.995, 4) * stats.sem(BASE)
    places = {"high": 1 + 1e-9, "under high": 1 - 1e-9, "low": -1 + 1e-9, "under low": -1 - 1e-9}
    bound = bound if isinstance(bound, float) else BASE.mean() + places[bound] * half
    finding = decided(claims.at_most(POINTS, "a", 100 * bound), {"a": BASE})
    assert finding.verdict == verdict
    np.testing.assert_allclose(finding.interval[:3], 100 * (BASE.mean() + half * np.array([0, -1, 1])))
    assert finding.p == pytest.approx(stats.ttest_1samp(BASE, bound).pvalue)
    assert [side.title for side in finding.sides] == ["A"]


@pytest.mark.parametrize("place", [-2.0, -1.001, -0.999, 0.999, 1.001, 2.0])
def test_at_least_is_at_most_of_the_negative(place):
    half = stats.t.ppf(0.995, 4) * stats.sem(BASE)
    negative = decided(claims.at_most(FRACTION, "a", -BASE.mean() - place * half), {"a": -BASE})
    finding = decided(claims.at_least(FRACTION, "a", BASE.mean() + place * half), {"a": BASE})
    assert finding.verdict == negative.verdict
    np.testing.assert_allclose(finding.interval.mean, 0.12)


@pytest.mark.parametrize(("bounded", "sign"), [(claims.at_most, 1), (claims.at_least, -1)])
def test_a_bound_is_for_every_row_and_needs_three_seeds(bounded, sign):
    decide, far = bounded(FRACTION, ["a", "b"], sign * 0.2), sign * BASE
    assert decided(decide, {"a": far, "b": far}).verdict == "holds"
    failed = decided(decide, {"a": far, "b": far + sign * 0.5})
    assert (failed.verdict, failed.sides[0].title, failed.held) == ("does not hold", "B", 1)
    assert decided(decide, {"a": far}).note == "b: not finished, or without a number"
    assert decided(decide, {"a": far[:2], "b": far}).verdict == "not enough runs"


def test_a_mean_without_variance_decides_only_if_the_claim_is_exact():
    same = {"a": [0.25, 0.25, 0.25]}
    assert decided(claims.at_most(FRACTION, "a", 0.5), same).verdict == "not enough runs"
    assert decided(claims.exact(FRACTION, "a", 0.25), same).verdict == "holds"
    assert decided(claims.exact(FRACTION, ["a", "b"], 0.25), same | {"b": [0.2, 0.26, 0.2]}).verdict == "does not hold"


def test_the_interval_of_a_mean_ends_where_the_metric_does():
    finding = decided(claims.at_most(POINTS, "a", 50), {"a": [0.0, 0.0, 0.1]})
    assert finding.interval.low == 0 < finding.interval.high


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [(1.001, "holds"), (0.999, "not enough runs"), (-0.999, "not enough runs"), (-1.001, "does not hold")],
)
def test_a_cost_is_decided_by_the_interval_of_the_paired_difference(bound, verdict):
    cost = np.array([0.01, 0.03, 0.02, 0.05, 0.04])
    half = stats.t.ppf(0.995, 4) * stats.sem(cost)
    decide = claims.costs_at_most(POINTS, "dear", "cheap", 100 * (cost.mean() + bound * half))
    finding = decided(decide, {"dear": BASE + cost, "cheap": BASE})
    assert finding.verdict == verdict
    np.testing.assert_allclose(finding.interval[:3], 100 * (cost.mean() + half * np.array([0, -1, 1])))
    assert [side.title for side in finding.sides] == ["Cheap", "Dear"]


@pytest.mark.parametrize(
    ("mean", "examples", "verdict"),
    [
        (1.0, 10_000, "holds"),
        (1.4, 10_000, "not enough runs"),
        (2.0, 10_000, "does not hold"),
        (2.0, 200, "not enough runs"),
    ],
)
def test_near_paper_counts_how_far_the_papers_single_run_may_be_off(mean, examples, verdict):
    errors = {"a": (np.array([-0.02, 0.03, 0.01, -0.02]) + mean) / 100}
    finding = decided(claims.near_paper(POINTS, ["a"], 0.1), errors, paper={"a": 1.4}, about=of_size(examples))
    half = stats.norm.ppf(0.995) * 100 * stats.binom.std(examples, 0.014) / examples
    assert finding.verdict == verdict
    assert finding.interval.mean == pytest.approx(mean - 1.4)
    assert (finding.interval.high - finding.interval.low) / 2 == pytest.approx(half, rel=0.05)
    assert finding.needed is None, "more seeds would not tell"
    assert f"could be off by {half:.2f} points".replace("0.", ".") in finding.aside
    assert finding.aside.endswith("which more seeds do not mend") == (verdict == "not enough runs")


def of_size(examples):
    return {"main": dataset(test=examples)}


def test_near_paper_needs_a_figure_and_a_number_for_every_row():
    decide = claims.near_paper(POINTS, ["a", "b"], 0.1)
    low = [0.001, 0.002, 0.0015, 0.001]
    sure = {"paper": {"a": 5.0, "b": 5.0}, "about": of_size(10_000)}
    assert decided(decide, {"a": low, "b": low}, **sure).verdict == "holds"
    assert decided(decide, {"a": low}, **sure).note == "b: not finished, or without a number"
    assert (
        decided(decide, {"a": low, "b": low}, **{**sure, "paper": {"a": 5.0}}).note
        == "B: the paper has no value for these data"
    )
    nameless = of_error(0.0)
    nameless["measures"]["test"]["error"] = "nan"
    assert decided(decide, {"a": low, "b": [nameless]}, **sure).verdict == "not enough runs", "NaN is above nothing"


def test_all_parts_of_a_claim_have_to_hold():
    above, below = claims.at_least(FRACTION, "a", 0.05), claims.at_most(FRACTION, "a", 0.05)
    assert decided(claims.all_of(above, claims.at_most(FRACTION, "a", 0.3)), {"a": BASE}).verdict == "holds"
    assert decided(claims.all_of(above, below), {"a": BASE}).verdict == "does not hold"
