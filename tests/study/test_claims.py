"""Claims about differences of rows: from synthetic runs, against scipy's paired test."""

import numpy as np
import pytest
from scipy import stats
from synthetic import found, of_error

from dlx.study import claims
from dlx.study.declare.page import ERRORS, Metric
from dlx.study.judge.words import sentence

FRACTION, POINTS = Metric("test/error", "test error"), ERRORS[-1]._replace(matters=0)
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
    half = stats.t.ppf(0.995, 4) * stats.sem(gain)
    assert finding.verdict == "holds"
    np.testing.assert_allclose(finding.p, p, rtol=1e-6)
    np.testing.assert_allclose(finding.interval[:3], [5, 5 - half, 5 + half], rtol=1e-6)
    assert [side.title for side in finding.sides] == ["Better", "Worse"]
    np.testing.assert_allclose([side.mean for side in finding.sides], [27, 32])
    assert (finding.label, finding.unit, finding.unit_of_gaps) == ("test error", " %", " points")


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (0.05, "holds"),
        (0.006, "not enough runs"),
        (0.0, "not enough runs"),
        (-0.006, "not enough runs"),
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
    assert higher.sides == decided(claims.lower(FRACTION, "better", "worse"), errors).sides
    np.testing.assert_allclose(higher.interval.mean, gain, atol=1e-12)


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.0, "holds"), (0.02, "holds"), (0.045, "not enough runs"), (0.07, "does not hold")]
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


@pytest.mark.parametrize(("gain", "verdict"), [(0.05, "holds"), (0.012, "not enough runs"), (0.0, "does not hold")])
def test_what_does_not_matter_is_ruled_out_once_it_surely_is_smaller(gain, verdict):
    metric = FRACTION._replace(matters=0.02)
    assert decided(claims.lower(metric, "better", "worse"), gaining(gain)).verdict == verdict
    assert decided(claims.higher(metric, "worse", "better"), gaining(gain)).verdict == verdict


def test_each_part_of_a_conjunction_is_tested_at_the_level_without_correction():
    t = stats.t.isf(0.003, 4)
    errors = gaining(float(t * stats.sem(SPREAD)))
    errors |= {f"worse{i}": errors["worse"] for i in range(3)}
    single = decided(claims.lower(FRACTION, "better", "worse"), errors)
    finding = decided(claims.lower(FRACTION, "better", [f"worse{i}" for i in range(3)]), errors)
    assert (single.verdict, finding.verdict) == ("holds", "holds")
    assert (finding.p, finding.tests, finding.held) == (single.p, 3, 3)


def test_at_least_one_row_is_below_after_holms_correction():
    t = stats.t.isf(0.003, 4)
    errors = gaining(float(t * stats.sem(SPREAD))) | {"alike": BASE + 0.2 - 0.006 + SPREAD}
    parts = [claims.lower(FRACTION, "better", than) for than in ("worse", "alike")]
    assert decided(claims.any_of(*parts[:1]), errors).verdict == "holds"
    assert decided(claims.any_of(*parts), errors).verdict == "not enough runs"
    assert decided(claims.any_of(*parts), errors | gaining(0.05)).verdict == "holds"


def test_every_row_must_be_below_every_other_one():
    errors = {**gaining(0.05), "bad": BASE + 0.2 + 0.05 + SPREAD, "alike": BASE + 0.2 - 0.006 + SPREAD}
    both = claims.lower(FRACTION, ["better", "bad"], "worse")
    assert decided(both, errors).verdict == "does not hold"
    assert decided(claims.lower(FRACTION, ["better", "alike"], "worse"), errors).verdict == "not enough runs"
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
        ({"better": [0.1, 0.12], "worse": [0.3, None]}, "Test error: Better .1, Worse .3; 1 seed, and 3 are"),
        ({"better": [0.1, 0.12]}, "worse: not finished"),
        ({"worse": [0.1, 0.12]}, "better: not finished"),
        ({"better": [0.1, None], "worse": [None, 0.2]}, "Better and Worse: not finished"),
    ],
)
def test_without_shared_seeds_nothing_is_decided(errors, said):
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not enough runs"
    assert finding.p is None
    assert sentence(finding).lower().startswith(said.lower())


def test_a_row_that_is_missing_is_said_to_be():
    finding = decided(claims.lower(FRACTION, "better", ["worse", "absent"]), gaining(0.05))
    assert (finding.verdict, finding.p, finding.held, finding.tests) == ("not enough runs", None, 1, 2)
    assert finding.note == "absent: not finished, or without a number"


def test_equal_gains_have_no_p_even_where_subtraction_rounds():
    better = [0.1, 0.2, 0.3, 0.7]
    errors = {"better": better, "worse": [value + 0.1 for value in better]}
    gains = np.array(errors["worse"]) - better
    assert gains.std() > 0, "rounding makes them differ"
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not enough runs"
    assert finding.p is None


def test_rows_that_compute_the_same_have_no_difference():
    """Their values vary over seeds and agree in each; where they do not vary either, nothing is known."""
    same = {"better": BASE, "worse": BASE}
    finding = decided(claims.lower(FRACTION, "better", "worse"), same)
    assert (finding.verdict, finding.exact) == ("does not hold", True)
    assert decided(claims.costs_at_most(FRACTION, "better", "worse", 0.1), same).verdict == "holds"
    constant = {name: [0.1] * 5 for name in same}
    assert decided(claims.costs_at_most(FRACTION, "better", "worse", 0.1), constant).verdict == "not enough runs"


@pytest.mark.parametrize("row", ["better", "worse"])
def test_runs_that_diverged_without_a_number_are_said_to_have_diverged(row):
    lost = of_error(0.1, diverged=True)
    lost["measures"]["test"]["error"] = "nan"
    errors = {"better": [0.1, 0.1], "worse": [0.2, 0.3]}
    errors[row][0] = lost
    finding = decided(claims.lower(FRACTION, "better", "worse"), errors)
    assert finding.verdict == "not enough runs"
    assert finding.note == f"{row.title()}: not finished, or without a number"


def test_other_records_give_another_verdict():
    decide = claims.lower(FRACTION, "better", "worse")
    assert [decided(decide, gaining(gain)).verdict for gain in (0.05, -0.05)] == ["holds", "does not hold"]


def test_of_many_comparisons_the_one_that_decided_is_shown():
    errors = {**gaining(0.05), "far": BASE + 0.6 + SPREAD, "near": BASE + 0.2 - 0.02 + SPREAD}
    held = decided(claims.lower(FRACTION, "better", ["far", "worse", "near"]), errors)
    assert [side.title for side in held.sides] == ["Better", "Near"]
    failed = decided(claims.higher(FRACTION, ["far", "better"], "worse"), errors)
    assert failed.verdict == "does not hold"
    assert [side.title for side in failed.sides] == ["Worse", "Better"]


@pytest.mark.parametrize(("more", "verdict"), [(0.05, "holds"), (0.0, "not enough runs"), (-0.05, "does not hold")])
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
    assert finding.p == pytest.approx(stats.ttest_rel(*gains).pvalue)
    assert (finding.label, finding.unit) == ("gain in test error", " points")
    np.testing.assert_allclose([side.mean for side in finding.sides], np.mean(gains, 1)[::-1])
    del errors["many/without"]
    assert decided(decide, errors).verdict == "not enough runs"


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
