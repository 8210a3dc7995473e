"""Spaces of trials: the grid, random trials, and the values that --try puts in the place of a row's own."""

import math

import numpy as np
import pytest
from scipy import stats

from dlx.study.run.plan import Search, grid, sample

SPACE = [
    {"way": "one", "rate": [0.1, 1.0]},
    {"way": "two", "rate": [0.1, 1.0], "masking": [0.0, 0.5], "width": [8, 16, 32]},
]


def test_a_grid_holds_every_combination_once_in_the_order_of_the_space():
    tried = grid(SPACE)
    assert tried[:2] == [{"way": "one", "rate": 0.1}, {"way": "one", "rate": 1.0}]
    assert tried[2:5] == [{"way": "two", "rate": 0.1, "masking": 0.0, "width": width} for width in (8, 16, 32)]
    assert len(tried) == 2 + 2 * 2 * 3
    assert len({tuple(trial.items()) for trial in tried}) == len(tried)
    assert grid([{}]) == [{}]
    assert grid([{"widths": (3, 4), "name": "x", "on": True}]) == [{"widths": (3, 4), "name": "x", "on": True}]


def test_random_trials_stay_in_the_space_and_are_uniform_on_a_logarithmic_scale():
    tried = sample(SPACE, 2000)
    assert tried == sample(SPACE, 2000)
    assert tried != sample(SPACE, 2000, seed=1)
    logs = np.log10([trial["rate"] for trial in tried])
    assert stats.kstest(logs, stats.uniform(-1, 1).cdf).pvalue > 0.001
    second = [trial for trial in tried if trial["way"] == "two"]
    masking = [trial["masking"] for trial in second]
    assert stats.kstest(masking, stats.uniform(0, 0.5).cdf).pvalue > 0.001
    assert abs(len(second) / 2000 - 0.5) < 0.05
    counts = [sum(trial["width"] == width for trial in second) for width in (8, 16, 32)]
    assert sum(counts) == len(second)
    assert stats.chisquare(counts).pvalue > 0.001
    assert all("masking" not in trial for trial in tried if trial["way"] == "one")


def test_a_random_trial_has_a_single_value_as_it_stands():
    """Else it would stand on other pre-trained layers than the trials that name the same value."""
    values = [0.05, 0.1, 0.7, 1e-3, 3.0]
    for value in values:
        assert {trial["rate"] for trial in sample([{"rate": [value], "other": [0.1, 0.2]}], 5)} == {value}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ([], "nothing to try: give every argument at least one value"),
        ([{"rate": []}], "nothing to try"),
        ([{"rate": [0.1, math.nan]}], "rate nan cannot be searched: it must be a finite number of 0 or more"),
        ([{"rate": [0.1, -1.0]}], "rate -1.0 cannot be searched"),
        ([{"rate": math.inf}], "rate inf cannot be searched"),
        ([{"width": -1}], "width -1 cannot be searched"),
    ],
)
def test_spaces_without_a_trial_or_with_impossible_numbers_are_refused(space, said):
    for trials in (grid, lambda space: sample(space, 3)):
        with pytest.raises(ValueError, match=said):
            trials(space)


def test_a_random_search_needs_a_trial():
    with pytest.raises(ValueError, match="at least one trial, not 0"):
        sample(SPACE, 0)


def test_a_search_lists_the_grid_or_random_trials_of_a_space():
    assert Search().list_trials(SPACE) == grid(SPACE)
    drawn = Search("random", 5).list_trials(SPACE)
    assert drawn == sample(SPACE, 5)
    fixed = [{"rate": 0.3, "way": "one"}]
    assert Search("random", 5).list_trials(fixed) == fixed, "there is nothing to search"


def test_values_that_are_tried_take_the_place_of_a_rows_own():
    search = Search(values={"rate": [0.2, 0.4], "width": [4.0], "absent": [1.0]})
    assert search.list_trials([{"rate": 0.1, "way": "one"}]) == [
        {"rate": 0.2, "way": "one"},
        {"rate": 0.4, "way": "one"},
    ]
    (trial, _) = search.list_trials([{"rate": [1.0, 2.0, 3.0], "width": [8, 16], "masking": 0.5}])
    assert trial == {"rate": 0.2, "width": 4, "masking": 0.5}
    assert SPACE[0]["rate"] == [0.1, 1.0]


def test_values_that_are_tried_are_whole_numbers_where_the_rows_own_are():
    (trial,) = Search(values={"epochs": [3.0]}).list_trials([{"epochs": 10}])
    assert isinstance(trial["epochs"], int)
    (trial,) = Search(values={"rate": [3.0]}).list_trials([{"rate": [0.1, 0.2]}])
    assert isinstance(trial["rate"], float)
    with pytest.raises(ValueError, match=r"--try epochs=2.5 cannot be: epochs is a whole number"):
        Search(values={"epochs": [2.5]}).list_trials([{"epochs": [10, 20]}])
    with pytest.raises(ValueError, match=r"--try way=1 cannot be: way is no number"):
        Search(values={"way": [1.0]}).list_trials(SPACE)


def test_a_tried_value_that_no_trial_can_have_is_refused():
    with pytest.raises(ValueError, match="rate nan cannot be searched"):
        Search(values={"rate": [math.nan]}).list_trials(SPACE)
