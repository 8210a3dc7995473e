"""Claims about what runs are called, against exact intervals of SciPy, and the table of all names."""

import numpy as np
import pytest
import synthetic
from scipy.stats import beta, binom

from dlx.study.judge.shares import called, confusion, runs_of_share

LABELS = ["sick", "slow", "sound"]


def found(group="", **rows):
    """Rows whose seeds are called by these names; a name with "!" is that of a run that diverged."""
    records = {
        row: [
            synthetic.record(measures={"flags": {"first": float(LABELS.index(one.strip("!")))}}, diverged="!" in one)
            for one in names
        ]
        for row, names in rows.items()
    }
    return synthetic.found(records, group=group)


@pytest.mark.parametrize(
    ("right", "of", "verdict"),
    [
        (60, 60, "holds"),
        (20, 20, "not enough runs"),
        (55, 60, "not enough runs"),
        (30, 60, "does not hold"),
        (0, 9, "does not hold"),
    ],
)
def test_the_exact_interval_of_the_share_decides(right, of, verdict):
    names = ["sick!"] * right + ["slow"] * (of - right)
    finding = called("flags/first", LABELS, {"row": ["sick"]}, 0.9)(found(row=names))
    low = beta.ppf(0.005, right, of - right + 1) if right else 0
    high = beta.ppf(0.995, right + 1, of - right) if right < of else 1
    assert finding.verdict == verdict
    np.testing.assert_allclose(finding.interval, [100 * right / of, 100 * low, 100 * high, of])
    assert (finding.needed is None) == (right != 20), "of 55 / 60 more than 1000 would be needed"


def test_each_row_has_names_of_its_own_and_all_runs_count_alike():
    finding = called("flags/first", LABELS, {"one": ["sick", "slow"], "two": ["sound"]}, 0.1)(
        found(one=["sick", "slow", "sound"], two=["sound", "slow", "slow"])
    )
    assert (finding.interval.mean, finding.interval.n) == (50, 6)


def test_a_row_that_is_not_finished_leaves_the_claim_open():
    decide = called("flags/first", LABELS, {"one": ["sick"], "two": ["sick"]}, 0.1)
    assert decide(found(one=["sick"] * 50)).verdict == "not enough runs"
    assert decide(found(one=["sick"] * 50)).note == "two: not finished, or without a number"
    assert decide(found(other=["sick"])).note.startswith("one and two: ")


@pytest.mark.parametrize(("share", "bound"), [(1.0, 0.9), (0.97, 0.9), (0.5, 0.7), (0.0, 0.1)])
def test_with_the_runs_that_are_needed_the_interval_leaves_the_bound_in_nine_studies_of_ten(share, bound):
    runs = runs_of_share(share, bound, 0.01, 0.9)
    counts = np.arange(runs + 1)
    low, high = beta.ppf(0.005, counts, runs - counts + 1), beta.ppf(0.995, counts + 1, runs - counts)
    left = (
        np.where(counts == 0, False, low >= bound) if share >= bound else np.where(counts == runs, False, high < bound)
    )
    assert binom.pmf(counts, runs, share)[left].sum() >= 0.9
    assert runs_of_share(bound, bound, 0.01, 0.9) is None


def test_the_table_has_a_line_a_row_of_some_groups_and_one_for_each_other_group():
    runs = found("Faults", one=["sick", "slow!"], two=["sound"])
    (axes,) = confusion("flags/first", LABELS, ["Faults"])(runs).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["One", "Two"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.5, 0.5, 0], [0, 0, 1]])
    (axes,) = confusion("flags/first", LABELS, [])(runs).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Faults"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 1 / 3, 1 / 3]])


def test_without_such_a_measure_there_is_no_table():
    assert confusion("flags/first", LABELS, [])(synthetic.found({"row": [0.5]})) is None
