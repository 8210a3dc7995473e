"""The page of Larochelle et al. 2009: what it refuses, and least training errors. What it tells is in `measures`."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from experiments.larochelle2009 import Reconstructed, fits_better, reaches


class Found(dict):
    """Rows of runs whose training errors by epoch are given."""

    rows, looks = {}, 0

    def __init__(self, **rows):
        super().__init__({name: SimpleNamespace(seeds=[1, 2, 3], curves=curves_of(rows[name])) for name in rows})


def curves_of(errors):
    return lambda name: {"train/error": np.array(errors)}[name]


HIGH = [[0.30, 0.10, 0.20], [0.30, 0.20, 0.11], [0.12, 0.20, 0.30]]
LOW = [[0.09, 0.01, 0.50], [0.02, 0.03, 0.50], [0.09, 0.50, 0.01]]


def test_a_method_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="dbn, autoassociator"):
        Reconstructed("rbm")


def test_the_least_training_errors_of_all_epochs_are_compared_seed_against_seed():
    found = Found(high=HIGH, low=LOW)
    least = {name: 100 * np.min(errors, 1) for name, errors in (("high", HIGH), ("low", LOW))}
    finding = fits_better("low", than="high")(found)
    assert finding.verdict == "holds"
    assert finding.p == pytest.approx(stats.ttest_rel(least["high"], least["low"]).pvalue)
    assert [side.mean for side in finding.sides] == pytest.approx([least["low"].mean(), least["high"].mean()])
    assert fits_better("high", than="low")(found).verdict == "does not hold"


@pytest.mark.parametrize(("bound", "verdict"), [(9, "holds"), (1.5, "not enough runs"), (0.1, "not enough runs")])
def test_a_training_error_reaches_a_bound_at_its_best_epoch(bound, verdict):
    finding = reaches("low", bound)(Found(low=LOW))
    least = 100 * np.min(LOW, 1)
    assert finding.verdict == verdict
    assert finding.p == pytest.approx(stats.ttest_1samp(least, bound).pvalue)


@pytest.mark.parametrize("decide", [reaches("low", 1), fits_better("low", than="high")])
def test_without_runs_nothing_is_decided(decide):
    assert decide(Found()).verdict == "not enough runs"
