"""The choices of committed results: the trials that a search had chosen, without a search."""

import json

import pytest
from synthetic import find, rates, record, row

from dlx.study.judge.table import results
from dlx.study.run.committed import with_choices
from dlx.study.run.plan import plan

SPACE = [{"epochs": 4, "rate": [0.1, 0.2]}, {"epochs": 8, "rate": [0.2, 0.3]}]
ROWS = [
    row("a", SPACE),
    row("b", lambda chosen: [{**chosen["a"], "rate": [0.7, 0.8]}], after=("a",)),
    row("c", rates(0.5)),
]


@pytest.fixture(scope="module")
def searched():
    """What is found where the largest rate is best, and the same rate is better with more epochs."""

    def by_rate(unit):
        return record(-unit.hypers.rate - unit.program.epochs / 1000, {"test": {"error": 0.1}})

    class Every(dict):
        get = staticmethod(by_rate)

    return find(ROWS, Every())


@pytest.fixture
def file(searched, tmp_path):
    path = tmp_path / "results.json"
    content = results("page", "paper", "command", searched, [], [])
    path.write_text(json.dumps(content))
    return path


def test_the_chosen_trials_are_trained_from_fresh_seeds_and_nothing_is_searched(searched, file):
    rows = with_choices(ROWS, file, "paper", "mnist")
    units, outcomes = plan(rows, lambda unit: None, 3)
    for name, expected in searched.outcomes.items():
        assert (outcomes[name].trial, outcomes[name].wanted) == (expected.trial, expected.wanted)
        assert outcomes[name].tried == []
    assert {unit.seed for unit in units} == {1, 2, 3}
    assert not any(unit.blind for unit in units)


def test_results_of_another_preset_or_other_data_or_none_are_refused(file):
    for preset, data in (("quick", "mnist"), ("paper", "other")):
        with pytest.raises(ValueError, match=rf"are of the preset paper on mnist, not of {preset} on {data}"):
            with_choices(ROWS, file, preset, data)
    with pytest.raises(
        ValueError, match=r"there are no committed results in .*nothing\.json; search with --search grid"
    ):
        with_choices(ROWS, file.with_name("nothing.json"), "paper", "mnist")


def test_a_choice_that_the_page_has_no_more_is_refused(file):
    def chosen(space):
        (one,) = with_choices([row("a", space)], file, "paper", "mnist")
        return one.space_after({})

    assert chosen(SPACE) == [{"epochs": 8, "rate": 0.3}]
    assert chosen([{"rate": 0.6}]) == [{"rate": 0.6}], "there was nothing to choose"
    with pytest.raises(ValueError, match=r"chosen epochs 8, rate 0\.3 for row a, which is no trial of the page"):
        chosen([{"epochs": 8, "rate": [0.1, 0.2]}])
    with pytest.raises(ValueError, match="several trials of the page"):
        chosen([{"epochs": 8, "rate": 0.3, "masking": [0.1, 0.2]}, {"epochs": 8, "rate": 0.3}] * 2)
    (new,) = with_choices([row("new", SPACE)], file, "paper", "mnist")
    with pytest.raises(ValueError, match="have no choice for row new"):
        new.space_after({})
