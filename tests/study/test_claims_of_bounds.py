"""Verdicts on bounds, on figures of the paper, and on claims of several parts."""

import numpy as np
import pytest
from scipy import stats
from synthetic import found, of_error

from dlx.study import claims
from dlx.study.declare.page import ERRORS, Finding, Metric

FRACTION, POINTS = Metric("test/error", "test error"), ERRORS[-1]
BASE = np.array([0.10, 0.14, 0.12, 0.11, 0.13])


def decided(decide, errors, **more):
    return decide(found({name: list(values) for name, values in errors.items()}, **more))


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        (0.5, "holds"),
        ("high", "holds"),
        ("under high", "not resolved"),
        ("low", "not resolved"),
        ("under low", "does not hold"),
    ],
)
def test_at_most_is_decided_by_the_interval(bound, verdict):
    half = stats.t.ppf(0.975, 4) * stats.sem(BASE)
    places = {"high": 1 + 1e-9, "under high": 1 - 1e-9, "low": -1 + 1e-9, "under low": -1 - 1e-9}
    bound = bound if isinstance(bound, float) else BASE.mean() + places[bound] * half
    finding = decided(claims.at_most(POINTS, "a", 100 * bound), {"a": BASE})
    assert finding.verdict == verdict
    low, high = 100 * (BASE.mean() - half), 100 * (BASE.mean() + half)
    assert finding.words == f"a 12 [{low:.3g}, {high:.3g}] points over 5 seeds"


@pytest.mark.parametrize("place", [-2.0, -1.001, -0.999, 0.999, 1.001, 2.0])
def test_at_least_is_at_most_of_the_negative(place):
    half = stats.t.ppf(0.975, 4) * stats.sem(BASE)
    negative = decided(claims.at_most(FRACTION, "a", -BASE.mean() - place * half), {"a": -BASE})
    finding = decided(claims.at_least(FRACTION, "a", BASE.mean() + place * half), {"a": BASE})
    assert finding.verdict == negative.verdict
    assert finding.words.startswith("a 0.12 [")


def test_at_least_tells_the_least_of_many_rows_and_needs_two_seeds():
    values = {"a": BASE + 0.1, "b": BASE, "c": BASE + 0.2}
    assert "the least of 3 means: b 0.12" in decided(claims.at_least(FRACTION, list(values), 0.05), values).words
    assert decided(claims.at_least(FRACTION, list(values), 0.2), values).verdict == "does not hold"
    assert decided(claims.at_least(FRACTION, "a", 0.05), {"a": [0.1]}).verdict == "not resolved"


def test_at_most_takes_every_row_and_needs_two_seeds():
    decide = claims.at_most(FRACTION, ["a", "b"], 0.2)
    assert decided(decide, {"a": BASE, "b": BASE}).verdict == "holds"
    assert decided(decide, {"a": BASE, "b": BASE + 0.5}).verdict == "does not hold"
    assert decided(decide, {"a": BASE}).words.endswith("b is not finished")
    assert decided(decide, {"a": BASE}).verdict == "not resolved"
    assert decided(claims.at_most(FRACTION, "a", 0.2), {"a": [0.1]}).verdict == "not resolved"
    assert decided(claims.at_most(FRACTION, "a", 0.05), {"a": [0.1]}).verdict == "not resolved"


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [(1.001, "holds"), (0.999, "not resolved"), (-0.999, "not resolved"), (-1.001, "does not hold")],
)
def test_a_cost_is_decided_by_the_interval_of_the_paired_difference(bound, verdict):
    cost = np.array([0.01, 0.03, 0.02, 0.05, 0.04])
    half = stats.t.ppf(0.975, 4) * stats.sem(cost)
    decide = claims.costs_at_most(POINTS, "dear", "cheap", 100 * (cost.mean() + bound * half))
    finding = decided(decide, {"dear": BASE + cost, "cheap": BASE})
    assert finding.verdict == verdict
    np.testing.assert_allclose(finding.interval[:3], 100 * (cost.mean() + half * np.array([0, -1, 1])))
    low, high = 100 * (cost.mean() - half), 100 * (cost.mean() + half)
    assert finding.words == f"dear 3 [{low:.3g}, {high:.3g}] points above cheap over 5 seeds"


def test_equal_rows_cost_nothing():
    assert decided(claims.costs_at_most(POINTS, "a", "b", 0.2), {"a": BASE, "b": BASE}).verdict == "holds"
    assert decided(claims.costs_at_most(POINTS, "a", "b", 0.2), {"a": BASE}).verdict == "not resolved"
    assert decided(claims.costs_at_most(POINTS, "a", "b", 0.2), {"a": [0.1], "b": [0.1]}).verdict == "not resolved"


def test_of_many_rows_the_words_tell_the_largest_mean():
    decide = claims.at_most(FRACTION, ["a", "b", "c", "d"], 0.6)
    words = decided(decide, {"a": BASE, "b": BASE + 0.4, "c": BASE + 0.1}).words
    assert words.startswith("the largest of 3 means: b 0.52 [")
    assert words.endswith("] over 5 seeds; d is not finished")


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [(1.3, "holds"), (1.45, "holds"), (1.5, "holds"), (1.501, "does not hold"), (0.0, "holds"), (2.0, "does not hold")],
)
def test_near_paper_allows_the_tolerance_above_and_anything_below(mean, verdict):
    """1.5 - 1.4 is a little more than 0.1 in floating point; it is not more than 0.1."""
    errors = {"a": [(mean - 0.2) / 100, (mean + 0.2) / 100]} if mean > 1 else {"a": [mean / 100] * 2}
    decide = claims.near_paper(POINTS, ["a"], 0.1)
    finding = decided(decide, errors, paper={"a": 1.4})
    assert finding.verdict == verdict
    assert finding.words == (
        "1 of 1 rows are at most 0.1 points above the paper's figures"
        if verdict == "holds"
        else f"above it: a by {mean - 1.4:.3f} points"
    )


def test_near_paper_needs_a_figure_and_a_number_for_every_row():
    decide = claims.near_paper(POINTS, ["a", "b"], 0.1)
    some = {"a": [0.014], "b": [0.014]}
    assert decided(decide, some, paper={"a": 1.4, "b": 1.4}).verdict == "holds"
    finding = decided(decide, some, paper={"a": 1.4})
    assert (finding.verdict, finding.words[:6]) == ("not resolved", "1 of 2")
    assert decided(decide, {"a": [0.014]}, paper={"a": 1.4}).verdict == "not resolved"
    assert decided(decide, {"a": [0.02]}, paper={"a": 1.4}).verdict == "does not hold"
    nameless = of_error(0.0)
    nameless["measures"]["test"]["error"] = "nan"
    finding = decided(decide, {"a": [0.014], "b": [nameless]}, paper={"a": 1.4, "b": 1.4})
    assert finding.verdict == "not resolved", "NaN is above nothing, and below nothing"


@pytest.mark.parametrize(
    ("parts", "verdict", "p"),
    [
        ([("holds", 0.002), ("holds", 0.004)], "holds", 0.008),
        ([("holds", 0.002), ("holds", 0.005)], "not resolved", 0.010),
        ([("holds", 0.004), ("holds", None), ("holds", None)], "not resolved", 0.012),
        ([("holds", None), ("holds", None)], "holds", None),
        ([("holds", 0.001), ("not resolved", 0.7)], "not resolved", 1.0),
        ([("not resolved", 0.4), ("does not hold", None)], "does not hold", 0.8),
        ([("does not hold", 0.001), ("holds", 0.001)], "does not hold", 0.002),
    ],
)
def test_all_of_holds_if_every_part_does_after_correction(parts, verdict, p):
    deciders = [lambda found, part=part, i=i: Finding(part[0], f"part {i}", part[1]) for i, part in enumerate(parts)]
    finding = claims.all_of(*deciders)(found({"a": [0.1]}))
    assert finding.verdict == verdict
    assert finding.p == (p if p is None else pytest.approx(p))
    assert finding.words == "; ".join(f"part {i}" for i in range(len(parts)))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([("holds", 1e-4), ("holds", 1e-3), ("holds", None), ("holds", 1e-5)], "4 of 4 parts hold; part 1"),
        (
            [("holds", 1e-4), ("does not hold", None), ("not resolved", 0.3), ("holds", 1e-5)],
            "2 of 4 parts hold; part 1",
        ),
        ([("holds", 1e-4), ("not resolved", 0.2), ("not resolved", 0.3), ("holds", 0.9)], "2 of 4 parts hold; part 2"),
    ],
)
def test_of_many_parts_the_words_tell_the_one_that_decides(parts, words):
    deciders = [lambda found, part=part, i=i: Finding(part[0], f"part {i}", part[1]) for i, part in enumerate(parts)]
    assert claims.all_of(*deciders)(found({"a": [0.1]})).words == words


@pytest.mark.parametrize(("bounded", "side"), [(claims.at_most, 1), (claims.at_least, -1)])
def test_a_mean_without_variance_may_be_the_bound_itself(bounded, side):
    some = found({"a": [0.25, 0.25, 0.25]})
    metric = Metric("test/error", "error")
    assert bounded(metric, "a", 0.25)(some).verdict == "holds"
    assert bounded(metric, "a", 0.25 - 0.01 * side)(some).verdict == "does not hold"
