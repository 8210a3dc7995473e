"""Claims about two numbers of the same runs or of two rows, and about rows of which one is trained for too short."""

import numpy as np
import pytest
from scipy import stats
from synthetic import found, of_error

from dlx.study import claims
from dlx.study.declare.finding import Bound
from dlx.study.declare.page import ERRORS
from dlx.study.judge.words import sentence

POINTS = ERRORS[-1]
BASE = np.array([0.10, 0.14, 0.12, 0.11, 0.13])
SPREAD = np.array([-0.010, 0.005, 0.0, 0.010, -0.005])


def of_measure(row, name):
    return claims.Number(row, lambda runs: runs.by_seed(name))


def test_two_numbers_of_the_same_runs_are_paired():
    numbers = {"validation": of_measure("one", "valid/error"), "test": of_measure("one", "test/error")}
    finding = claims.of_numbers(POINTS, numbers, Bound("above", 0))(found({"one": [*BASE]}))
    test = stats.ttest_rel(100 * BASE, 50 * BASE)
    assert (finding.verdict, finding.p) == ("holds", pytest.approx(test.pvalue))
    np.testing.assert_allclose(finding.interval[:3], [50 * BASE.mean(), *test.confidence_interval(0.99)], rtol=1e-6)
    assert [side.title for side in finding.sides] == ["validation", "test"]
    np.testing.assert_allclose(finding.sides[0].values, 50 * BASE)


def test_numbers_of_two_rows_are_paired_by_seed_and_those_of_a_missing_row_are_not_compared():
    numbers = {"the one": of_measure("one", "test/error"), "the other": of_measure("other", "test/error")}
    decide = claims.of_numbers(POINTS, numbers, Bound("at most", 6))
    errors = {"one": [*BASE], "other": [*(BASE + 0.05 + SPREAD)]}
    finding = decide(found({**errors, "other": [None, *errors["other"][1:]]}))
    assert (finding.verdict, finding.interval.n) == ("not enough runs", 4)
    np.testing.assert_allclose(finding.interval.mean, 100 * (0.05 + SPREAD[1:]).mean())
    assert decide(found({"one": [*BASE]})).note == "other: not finished, or without a number"


def with_training_errors(errors, left):
    """Records with these test errors that err on so large a part of the training examples."""
    records = [of_error(error) for error in errors]
    return [{**one, "measures": {**one["measures"], "train": {"error": left}}} for one in records]


@pytest.mark.parametrize(
    ("left", "verdict"), [(0.0, "does not hold"), (0.0005, "does not hold"), (0.02, "not enough runs")]
)
def test_a_claim_does_not_fail_while_more_training_errors_are_left(left, verdict):
    runs = {"short": with_training_errors(BASE + 0.05 + SPREAD, left), "long": with_training_errors(BASE, 0.0)}
    finding = claims.if_trained(claims.lower(POINTS, "short", than="long"), "short", than="long")(found(runs))
    assert finding.verdict == verdict
    said = "of training errors 2.00 % (Short) and 0 % (Long) are left: longer training would tell, not more seeds"
    assert (said in sentence(finding)) == (verdict == "not enough runs")


def test_a_claim_that_holds_is_left_as_it_is_whatever_training_errors_are_left():
    runs = {"short": with_training_errors(BASE, 0.02), "long": with_training_errors(BASE + 0.05 + SPREAD, 0.0)}
    decide = claims.lower(POINTS, "short", than="long")
    assert claims.if_trained(decide, "short", than="long")(found(runs)) == decide(found(runs))
