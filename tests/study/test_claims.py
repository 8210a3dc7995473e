"""Verdicts on claims, at their boundaries: from synthetic runs, against scipy's paired test and Holm by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from synthetic import found, of_error

from dlx.stats import Interval
from dlx.study import claims
from dlx.study.declare.page import ERRORS, Metric

FRACTION, POINTS = Metric("test/error", "test error"), ERRORS[-1]
BASE = np.array([0.10, 0.14, 0.12, 0.11, 0.13])
SPREAD = np.array([-0.010, 0.005, 0.0, 0.010, -0.005])
HIGHER = {"higher": claims.higher, "lower": claims.lower}


def gaining(gain, spread=SPREAD):
    """The errors of a row that is better than BASE by this mean gain."""
    return {"better": BASE + 0.2 - gain - spread, "worse": BASE + 0.2}


def decided(decide, errors, **more):
    return decide(found({name: list(values) for name, values in errors.items()}, **more))


def test_a_clear_gain_holds_and_says_p_and_interval_of_the_paired_test():
    errors = gaining(0.05)
    finding = decided(claims.lower(POINTS, "better", "worse"), errors)
    gain = 100 * (errors["worse"] - errors["better"])
    p = stats.ttest_rel(100 * errors["worse"], 100 * errors["better"]).pvalue
    half = stats.t.ppf(0.975, 4) * stats.sem(gain)
    assert finding.verdict == "holds"
    np.testing.assert_allclose(finding.p, p, rtol=1e-6)
    np.testing.assert_allclose(finding.interval[:3], [5, 5 - half, 5 + half], rtol=1e-6)
    assert finding.words == (f"better 5 [{5 - half:.3g}, {5 + half:.3g}] points below worse; 5 seeds; p = {p:.2g}")


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.05, "holds"),
        (0.006, "not resolved"),
        (0.0, "not resolved"),
        (-0.006, "not resolved"),
        (-0.05, "does not hold"),
    ],
)
def test_lower_and_higher_are_each_others_opposite(gain, verdict):
    opposite = {"holds": "does not hold", "does not hold": "holds"}.get(verdict, verdict)
    errors = gaining(gain)
    assert decided(claims.lower(FRACTION, "better", "worse"), errors).verdict == verdict
    assert decided(claims.lower(FRACTION, "worse", "better"), errors).verdict == opposite
    assert decided(claims.higher(FRACTION, "better", "worse"), errors).verdict == opposite
    higher = decided(claims.higher(FRACTION, "worse", "better"), errors)
    assert higher.verdict == verdict
    assert "above better" in higher.words
    assert higher.words.startswith(f"worse {gain:.3g} [")


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.0, "holds"), (0.02, "holds"), (0.045, "not resolved"), (0.07, "does not hold")]
)
@pytest.mark.parametrize("way", ["lower", "higher"])
def test_a_gain_counts_from_the_least_that_is_claimed(way, least, verdict):
    names = {"lower": ("better", "worse"), "higher": ("worse", "better")}[way]
    errors = gaining(0.05)
    finding = decided(HIGHER[way](POINTS, *names, least=100 * least), errors)
    assert finding.verdict == verdict
    if verdict == "holds":
        p = stats.ttest_1samp(errors["worse"] - errors["better"], least).pvalue
        np.testing.assert_allclose(finding.p, p, rtol=1e-6)


def test_a_significant_gain_below_the_least_does_not_hold():
    """Far from the least, but on the wrong side: p alone must not decide."""
    finding = decided(claims.lower(FRACTION, "better", "worse", least=0.2), gaining(0.05))
    assert finding.verdict == "does not hold"


def test_the_level_is_one_percent():
    """Gains whose p lies just below and just above 0.01."""
    for factor, verdict in ((1.001, "holds"), (0.999, "not resolved")):
        t = stats.t.isf(0.005, 4) * factor
        gain = float(t * stats.sem(SPREAD))
        finding = decided(claims.lower(FRACTION, "better", "worse"), gaining(gain))
        assert finding.verdict == verdict
        assert (finding.p < 0.01) == (verdict == "holds")


def test_p_is_corrected_over_all_comparisons_by_holm():
    one, other = 0.015, 0.03
    errors = {**gaining(one), "second": BASE + 0.2 - one + other - 2 * SPREAD}
    single = [decided(claims.lower(FRACTION, "better", than), errors).p for than in ("worse", "second")]
    assert max(single) < 0.05
    finding = decided(claims.lower(FRACTION, ["better"], ["worse", "second"]), errors)
    np.testing.assert_allclose(finding.p, max(2 * min(single), max(single)), rtol=1e-6)
    assert finding.interval is None
    assert finding.words.count(" below ") == 2


def test_a_claim_that_holds_alone_is_not_resolved_among_many_comparisons():
    t = stats.t.isf(0.003, 4)
    errors = gaining(float(t * stats.sem(SPREAD)))
    errors |= {f"worse{i}": errors["worse"] for i in range(3)}
    decide = claims.lower(FRACTION, "better", [f"worse{i}" for i in range(3)])
    assert decided(claims.lower(FRACTION, "better", "worse"), errors).verdict == "holds"
    finding = decided(decide, errors)
    assert finding.verdict == "not resolved"
    np.testing.assert_allclose(finding.p, 3 * 0.006, rtol=1e-3)


def test_every_row_must_be_below_every_other_one():
    errors = {**gaining(0.05), "bad": BASE + 0.2 + 0.05 + SPREAD, "alike": BASE + 0.2 - 0.006 + SPREAD}
    both = claims.lower(FRACTION, ["better", "bad"], "worse")
    assert decided(both, errors).verdict == "does not hold"
    assert decided(claims.lower(FRACTION, ["better", "alike"], "worse"), errors).verdict == "not resolved"
    assert decided(claims.lower(FRACTION, ["better"], ["worse", "bad"]), errors).verdict == "holds"


def test_seeds_are_paired_by_number():
    """The order of the gains differs from row to row, and each row lacks a seed of its own."""
    base = np.array([0.1, 0.4, 0.2, 0.35, 0.15, 0.3])
    errors = {"better": [*base[:5] - 0.05 - SPREAD, None], "worse": [None, *base[1:]]}
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    gain = 0.05 + SPREAD[1:]
    np.testing.assert_allclose(finding.p, stats.ttest_1samp(gain, 0).pvalue, rtol=1e-6)
    assert finding.interval.n == 4
    assert finding.verdict == "holds"


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ({"better": [0.1, 0.12], "worse": [0.3, None]}, "better 0.2 below worse; 1 seeds"),
        ({"better": [0.1, 0.12]}, "better or worse is not finished"),
        ({"worse": [0.1, 0.12]}, "better or worse is not finished"),
        ({"better": [0.1, None], "worse": [None, 0.2]}, "better or worse is not finished"),
    ],
)
def test_without_two_shared_seeds_nothing_is_resolved(errors, said):
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not resolved"
    assert finding.p is None
    assert finding.words.startswith(said)


def test_a_row_that_is_missing_leaves_the_others_words_and_no_p():
    finding = decided(claims.lower(FRACTION, "better", ["worse", "absent"]), gaining(0.05))
    assert finding.verdict == "not resolved"
    assert "points" not in finding.words
    assert "better 0.05 [" in finding.words
    assert "better or absent is not finished" in finding.words
    assert finding.p is None


def test_equal_gains_have_no_p_even_where_subtraction_rounds():
    better = [0.1, 0.2, 0.3, 0.7]
    errors = {"better": better, "worse": [value + 0.1 for value in better]}
    gains = np.array(errors["worse"]) - better
    assert gains.std() > 0, "rounding makes them differ"
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not resolved"
    assert finding.p is None
    same = decided(claims.lower(FRACTION, "better", "worse"), {"better": better, "worse": better})
    assert same.verdict == "does not hold", "the interval holds nothing but 0"


@pytest.mark.parametrize("row", ["better", "worse"])
def test_runs_that_diverged_without_a_number_are_said_to_have_diverged(row):
    lost = of_error(0.1, diverged=True)
    lost["measures"]["test"]["error"] = "nan"
    errors = {"better": [0.1, 0.1], "worse": [0.2, 0.3]}
    errors[row][0] = lost
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not resolved"
    assert "better or worse is not finished, or diverged" in finding.words


def test_other_records_give_another_verdict():
    decide = claims.lower(FRACTION, "better", "worse")
    assert [decided(decide, gaining(gain)).verdict for gain in (0.05, -0.05)] == ["holds", "does not hold"]


def test_of_many_comparisons_the_words_tell_the_least_gain():
    errors = {**gaining(0.05), "far": BASE + 0.6 + SPREAD, "near": BASE + 0.2 - 0.02 + SPREAD}
    finding = decided(claims.lower(FRACTION, "better", ["far", "worse", "near"]), errors)
    assert finding.words.startswith("the least of 3 gains: better 0.03 [")
    assert "below near; 5 seeds" in finding.words
    assert "far" not in finding.words


def test_a_comparison_has_no_p_for_one_seed_and_no_interval():
    one = claims.compare(found({"a": [0.1], "b": [0.3]}), FRACTION, "a", "b", 0.0, "below")
    assert (one.row, one.than, one.p) == ("a", "b", None)
    assert isinstance(one.gain, Interval)
    assert math.isclose(one.gain.mean, 0.2)
    assert one.gain[1:] == (None, None, 1)


@pytest.mark.parametrize(("more", "verdict"), [(0.05, "holds"), (0.0, "not resolved"), (-0.05, "does not hold")])
def test_a_gain_is_larger_than_another_by_the_paired_test_of_the_gains(more, verdict):
    errors = {
        "few/with": BASE,
        "few/without": BASE + 0.1 + more + SPREAD,
        "many/with": BASE - 0.05,
        "many/without": BASE + 0.05 - SPREAD,
    }
    decide = claims.gains_more(POINTS, ("few/with", "few/without"), ("many/with", "many/without"))
    finding = decided(decide, errors)
    gains = [100 * (errors[f"{n}/without"] - errors[f"{n}/with"]) for n in ("few", "many")]
    assert finding.verdict == verdict
    assert (
        finding.p is None if verdict == "does not hold" else finding.p == pytest.approx(stats.ttest_rel(*gains).pvalue)
    )
    assert finding.words.startswith(f"few/with {100 * more:.3g} [" if more else "few/with ")
    assert "points of gain above many/with" in finding.words
    del errors["many/without"]
    assert decided(decide, errors).verdict == "not resolved"


def test_gains_are_compared_over_the_seeds_that_all_four_rows_have():
    errors = {
        "few/with": BASE,
        "few/without": BASE + 0.15 + SPREAD,
        "many/with": BASE - 0.05,
        "many/without": BASE + 0.05 - 2 * SPREAD,
    }
    holes = {"few/with": 1, "few/without": 1, "many/without": 3}
    some = {
        name: [None if holes.get(name) == i else value for i, value in enumerate(values)]
        for name, values in errors.items()
    }
    finding = claims.gains_more(POINTS, ("few/with", "few/without"), ("many/with", "many/without"))(found(some))
    gains = [100 * (errors[f"{n}/without"] - errors[f"{n}/with"])[[0, 2, 4]] for n in ("few", "many")]
    assert finding.interval.n == 3
    assert finding.p == pytest.approx(stats.ttest_rel(*gains).pvalue)
    np.testing.assert_allclose(finding.interval.mean, np.mean(gains[0] - gains[1]))
