"""What the records of a study say: values, examples and curves, by row and seed."""

import math

import numpy as np
import pytest
from synthetic import TEST, dataset, find, found, of_error, rates, record, row

from dlx.study.declare.page import ERRORS, Metric
from dlx.study.run.found import as_booleans, measure


def test_a_measure_is_found_by_its_path():
    entry = record(measures={"test": {"error": 0.25}, "model": {"parameters": 12}})
    assert measure(entry, "test/error") == 0.25
    assert measure(entry, "model/parameters") == 12
    assert measure(entry, "test/wrong") is None
    assert measure(entry, "valid/error") is None


def test_booleans_are_held_by_the_numbers_of_those_that_are_true():
    assert as_booleans({"true": [0, 3], "size": 5}).tolist() == [True, False, False, True, False]
    assert as_booleans({"true": [], "size": 2}).tolist() == [False, False]


def test_values_are_those_of_the_runs_that_converged_in_the_order_of_the_seeds():
    lost = of_error(0.9, diverged=True)
    runs = found({"a": [0.3, None, lost, 0.1]})["a"]
    assert runs.seeds == [1, 3, 4]
    assert runs.values("test/error").tolist() == [0.3, 0.1]
    assert runs.by_seed("test/error") == {1: 0.3, 3: 0.9, 4: 0.1}
    assert runs.lost("test/error") == 1
    assert runs.values("valid/error").tolist() == [0.15, 0.05]
    assert runs.values("model/parameters").tolist() == []
    assert runs.lost("model/parameters") == 0


def test_a_measure_without_a_number_is_lost_too():
    nameless = of_error(0.2)
    nameless["measures"]["test"]["error"] = "nan"
    endless = of_error(0.2)
    endless["measures"]["test"]["error"] = "inf"
    runs = found({"a": [0.3, nameless, endless]})["a"]
    assert runs.values("test/error").tolist() == [0.3]
    assert runs.lost("test/error") == 2
    assert math.isnan(runs.by_seed("test/error")[2])


@pytest.mark.parametrize("value", [[0.1], "much", {"a": 1}])
def test_a_measure_that_is_no_number_is_named_with_its_row_and_seed(value):
    strange = of_error(0.2)
    strange["measures"]["test"]["error"] = value
    with pytest.raises(ValueError, match="'test/error' is no number in the record of row a, seed 2, but "):
        found({"a": [0.3, strange]})["a"].values("test/error")


def test_the_examples_that_a_run_gets_wrong_come_back_by_seed():
    runs = found({"a": [0.25, None, 0.5]}, first=10)["a"]
    wrong = runs.per_example("test/wrong")
    assert list(wrong) == [1, 3]
    for seed, count in {1: 50, 3: 100}.items():
        expected = np.zeros(TEST, bool)
        expected[10 : 10 + count] = True
        np.testing.assert_array_equal(wrong[seed], expected)
    assert runs.per_example("valid/wrong") == {}


def test_curves_of_runs_of_different_lengths_end_in_nan():
    records = [
        record(curves={"valid": {"score": values}}) for values in ([0.5, 0.4, 0.3], [0.6], [0.2, float("nan"), 0.1])
    ]
    runs = found({"a": records})["a"]
    nan = np.nan
    np.testing.assert_array_equal(runs.curves("valid/score"), [[0.5, 0.4, 0.3], [0.6, nan, nan], [0.2, nan, 0.1]])
    assert runs.curves("train/loss").shape == (3, 0)


def test_rows_without_a_run_are_not_among_the_runs():
    rows = [row("b", group="two"), row("a", group="one"), row("c", rates(0.1, 0.2), group="one"), row("d", group="two")]
    some = find(rows, {rows[0].build(1): of_error(0.1), rows[3].build(2): of_error(0.2)})
    assert list(some) == ["b", "d"]
    assert "a" not in some
    assert some.groups() == {"two": ["b", "d"]}
    assert list(some.outcomes) == ["b", "a", "d"]
    assert list(some.rows) == ["b", "a", "c", "d"]


def test_a_row_without_runs_says_what_to_do():
    some = found({"a": [0.1], "b": [None]})
    with pytest.raises(ValueError, match="row 'b' has no finished run in these records: run the page"):
        some["b"]
    with pytest.raises(ValueError, match="there is no row 'c'; the rows are a, b"):
        some["c"]


def test_rows_stand_in_the_order_of_the_page():
    rows = [row("late", lambda chosen: [{}], after=("early",)), row("early")]
    both = find(rows, {one.build(1): of_error(0.1) for one in rows})
    assert list(both) == list(both.outcomes) == ["late", "early"]


def test_the_runs_of_some_seeds():
    some = found({"a": [0.1, None, 0.3, 0.4], "b": [0.5]}).of_seeds({1, 2, 4})
    assert some["a"].seeds == [1, 4]
    assert some["a"].values("test/error").tolist() == [0.1, 0.4]
    assert [unit.seed for unit in some["a"].wanted] == [1, 2, 4]
    assert some["b"].seeds == [1]
    assert list(some.of_seeds({4})) == ["a"]


def test_what_a_seed_keeps_is_read_and_an_unknown_seed_is_refused_in_words():
    one = row("a")
    records = {one.build(seed): of_error(0.1) for seed in (1, 3)}
    runs = find([one], records, load=lambda unit: {"seed": np.array(unit.seed)})["a"]
    assert runs.kept(3)["seed"] == 3
    with pytest.raises(ValueError, match="a has no finished run of seed 2; it has those of 1, 3"):
        runs.kept(2)


def test_how_many_examples_the_split_of_a_metric_has():
    runs = found({"a": [0.1]})
    assert [runs.examples("a", metric) for metric in ERRORS] == [6, 4, TEST]
    assert runs.examples("a", Metric("model/parameters", "parameters")) == 0


def test_a_study_may_name_its_data_sets_as_it_likes():
    from dataclasses import replace

    about = {"small": dataset(test=50), "large": dataset(test=300)}
    rows = [row(name) for name in about]
    rows = [
        replace(one, build=lambda seed, one=one, **trial: replace(one.build(seed, **trial), data=one.name))
        for one in rows
    ]
    both = find(rows, {one.build(1): of_error(0.1) for one in rows}, about=about)
    assert [both.examples(name, ERRORS[-1]) for name in about] == [50, 300]
