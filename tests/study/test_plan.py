"""The plan: what is to be done next, in which order, from which seeds, and which trial is chosen."""

import math

import numpy as np
import pytest
from synthetic import find, rates, record, row, toy

from dlx.study.judge import table
from dlx.study.run.plan import Attempt, Search, best, foresee, in_order, plan, rank, searched_whole, select


def scored(units, score=lambda unit: unit.hypers.rate):
    return {unit: record(score(unit)) for unit in units}


def nothing(unit):
    return None


def test_searches_come_first_row_by_row_and_then_seed_by_seed_over_the_rows():
    rows = [row("a", rates(0.2, 0.1)), row("b"), row("c", rates(0.3, 0.4), seeds=1)]
    units, outcomes = plan(rows, nothing, 3)
    build = {one.name: one.build for one in rows}
    searches = [build[name](0, rate=rate).blinded() for name, rate in [("a", 0.2), ("a", 0.1), ("c", 0.3), ("c", 0.4)]]
    assert units == searches + [build["b"](seed) for seed in (1, 2, 3)]
    assert list(outcomes) == ["b"], "the others' searches are not over"
    units, outcomes = plan(rows, scored(searches).get, 3)
    a, b, c = ((build[name], trial) for name, trial in [("a", {"rate": 0.1}), ("b", {}), ("c", {"rate": 0.3})])
    order = [(a, 1), (b, 1), (c, 1), (a, 2), (b, 2), (a, 3), (b, 3)]
    assert units == searches + [make(seed, **trial) for (make, trial), seed in order]
    assert [len(outcome.wanted) for outcome in outcomes.values()] == [3, 3, 1]


def test_told_that_the_planned_is_finished_it_goes_on_until_every_row_has_its_seeds():
    rows = [
        row("last", lambda chosen: [{**chosen["middle"], **chosen["first"]}], after=("middle", "first")),
        row("first", rates(0.3, 0.2, 0.9), search_seeds=2),
        row("middle", lambda chosen: [{"rate": [chosen["first"]["rate"] / 2, 1.0], "masking": 0.1}], after=("first",)),
    ]
    done, steps = {}, 0
    while True:
        units, outcomes = plan(rows, done.get, 4)
        new = [unit for unit in units if unit not in done]
        if not new:
            break
        assert [unit for unit in units if unit in done] == units[: len(units) - len(new)] or steps
        fresh = [unit.seed for unit in new if unit.seed > 0]
        assert fresh == sorted(fresh), "seed by seed"
        assert all(unit.blind == (unit.seed < 1) for unit in units)
        done |= scored(new[:2])
        steps += 1
    assert steps > 5
    assert {name: outcome.trial for name, outcome in outcomes.items()} == {
        "first": {"rate": 0.2},
        "middle": {"rate": 0.1, "masking": 0.1},
        "last": {"rate": 0.2, "masking": 0.1},
    }
    for outcome in outcomes.values():
        assert [unit.seed for unit in outcome.wanted] == [1, 2, 3, 4]
        assert outcome.units == outcome.wanted
        assert outcome.records == [done[unit] for unit in outcome.units]
    searched = {unit.seed for outcome in outcomes.values() for tried in outcome.tried for unit in tried.units}
    assert searched == {0, -1}
    assert outcomes["last"].tried == [], "one trial needs no search"


def test_only_the_finished_are_among_the_outcomes_units():
    one = row("a")
    outcome = plan([one], scored([one.build(2)]).get, 3)[1]["a"]
    assert [unit.seed for unit in outcome.wanted] == [1, 2, 3]
    assert [unit.seed for unit in outcome.units] == [2]
    assert len(outcome.records) == 1


def test_a_row_may_come_after_several_wherever_they_stand():
    after_both = row("c", lambda chosen: [{"rate": chosen["b"]["rate"] + chosen["a"]["rate"]}], after=("b", "a"))
    rows = [after_both, row("b", rates(1.0, 2.0)), row("a", rates(4.0, 8.0))]
    assert [one.name for one in in_order(rows)] == ["b", "a", "c"]
    units, _ = plan(rows, nothing, 1)
    b_alone = scored(units[:2])
    assert set(plan(rows, b_alone.get, 1)[1]) == {"b"}
    _, outcomes = plan(rows, scored(units).get, 1)
    assert outcomes["c"].trial == {"rate": 5.0}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("a", after=("z",))], "row 'a' comes after 'z', which is no row; the rows are a"),
        ([row("a", after=("b",)), row("b", after=("a",))], "row 'a' comes after 'b' in a circle; the rows are a, b"),
        ([row("a", after=("a",))], "row 'a' comes after 'a' in a circle"),
        ([row("a"), row("b"), row("a")], "two rows are called a; give each a name of its own"),
    ],
)
def test_rows_that_have_no_order_or_share_a_name_are_refused(rows, said):
    with pytest.raises(ValueError, match=said):
        plan(rows, nothing, 1)


def attempts(*scores):
    records = {name: record(diverged=True, score=0.0) for name in ("diverged",)}
    return [
        Attempt({"number": i}, (toy(0),), (records[score] if score in records else record(score),))
        for i, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("scores", "order"),
    [
        ((0.3, 0.1, 0.2), [1, 2, 0]),
        ((0.3, 0.1, 0.1), [1, 2, 0]),
        ((math.nan, 0.3, 0.2), [2, 1, 0]),
        (("diverged", 0.3, math.nan, 0.2), [3, 1, 0, 2]),
        ((math.inf, 0.5, -math.inf), [1, 0, 2]),
    ],
)
def test_trials_rank_by_score_ties_as_they_stand_and_what_diverged_or_has_no_number_last(scores, order):
    tried = attempts(*scores)
    assert [one.trial["number"] for one in sorted(tried, key=rank)] == order
    assert best(tried) == {"number": order[0]}


def test_trials_rank_by_a_measure_if_the_row_says_so():
    speeds = [3.0, 1.0, math.inf, 2.0]
    tried = [
        one._replace(records=({**one.records[0], "measures": {"race": {"epochs": speed}}},))
        for one, speed in zip(attempts(0.1, 0.3, 0.2, 0.4), speeds, strict=True)
    ]
    assert [one.trial["number"] for one in sorted(tried, key=lambda one: rank(one, "race/epochs"))] == [1, 3, 0, 2]
    assert best(tried, "race/epochs") == {"number": 1}
    assert best(tried[2:3], "race/epochs") is None
    assert best(tried) == {"number": 0}


def test_of_diverged_trials_none_is_chosen_and_briefly_trained_ones_are_no_choice():
    assert best(attempts("diverged", math.nan, math.inf)) is None
    brief = [one._replace(brief=True) for one in attempts(0.0, 0.1)]
    assert best([*brief, *attempts(0.5, 0.4)]) == {"number": 1}


def test_if_every_trial_diverged_nothing_is_trained_and_the_report_says_so():
    rows = [row("a", rates(0.1, 0.2)), row("b", lambda chosen: [chosen["a"]], after=("a",)), row("c")]
    units, _ = plan(rows, nothing, 2)
    records = {unit: record(0.1, diverged=True) for unit in units if unit.blind}
    after, outcomes = plan(rows, records.get, 2)
    assert [unit for unit in after if not unit.blind] == [rows[2].build(1), rows[2].build(2)]
    assert [outcomes[name].trial for name in "abc"] == [None, None, {}]
    said = table.unfinished(find(rows, records | {rows[2].build(1): record(0.1)}, 2))
    assert said[1].startswith("Nothing is trained for a, b: every trial of the search diverged")
    assert said[0].startswith("Not finished, by number of seeds: c (1 of 2).")
    assert len(said) == 2


def test_rows_whose_search_is_not_over_are_named_as_unfinished():
    rows = [row("a", rates(0.1, 0.2)), row("b", lambda chosen: [chosen["a"]], after=("a",)), row("c")]
    said = table.unfinished(find(rows, {rows[2].build(1): record(0.1)}, 1))
    assert said == ["The search is not over for a, b. The same command goes on with it."]
    assert table.unfinished(find(rows[2:], {rows[2].build(1): record(0.1)}, 1)) == []


def test_a_score_is_the_mean_over_the_search_seeds_and_one_that_diverged_spoils_it():
    one = row("a", rates(0.1, 0.2), search_seeds=3)
    units, _ = plan([one], nothing, 1)
    assert [(unit.seed, unit.hypers.rate) for unit in units] == [(-i, rate) for rate in (0.1, 0.2) for i in range(3)]
    scores = dict(zip(units, [0.1, 0.9, 0.2, 0.3, 0.4, 0.35], strict=True))
    records = {unit: record(score) for unit, score in scores.items()}
    outcome = plan([one], records.get, 1)[1]["a"]
    np.testing.assert_allclose([tried.score for tried in outcome.tried], [0.4, 0.35])
    assert outcome.trial == {"rate": 0.2}
    records[units[4]] = record(0.0, diverged=True)
    outcome = plan([one], records.get, 1)[1]["a"]
    assert math.isnan(outcome.tried[1].score)
    assert outcome.trial == {"rate": 0.1}
    del records[units[2]]
    assert "a" not in plan([one], records.get, 1)[1], "a trial lacks one of its seeds"


@pytest.mark.parametrize(("epochs", "quarter"), [(10, 3), (8, 2), (9, 3), (1, 1)])
def test_successive_halving_trains_the_better_half_to_the_end(epochs, quarter):
    one = row("a", ({"epochs": epochs, "rate": [0.5, 0.2, 0.4]},))
    search = Search(halving=True)
    units, outcomes = plan([one], nothing, 1, search)
    brief = [(quarter, 0.5), (quarter, 0.2), (quarter, 0.4)]
    assert [(unit.program.epochs, unit.hypers.rate) for unit in units] == brief
    assert not outcomes
    assert all(unit.blind and unit.seed == 0 for unit in units)
    done = scored(units)
    units, outcomes = plan([one], done.get, 1, search)
    assert [(unit.program.epochs, unit.hypers.rate) for unit in units[:5]] == [*brief, (epochs, 0.2), (epochs, 0.4)]
    done |= {unit: record(1 - unit.hypers.rate) for unit in units if unit not in done}
    _, outcomes = plan([one], done.get, 1, search)
    tried = outcomes["a"].tried
    assert [attempt.brief for attempt in tried] == [True, True, True, False, False]
    assert outcomes["a"].trial == {"epochs": epochs, "rate": 0.2 if epochs == 1 else 0.4}
    entries = table.search(find([one], done | {outcomes["a"].wanted[0]: record(0.1)}, 1, search=search))
    assert [entry["chosen"] for entry in entries] == [False] * 3 + ([True, False] if epochs == 1 else [False, True])
    assert [entry["brief"] for entry in entries] == [True] * 3 + [False] * 2


def test_a_row_without_epochs_is_searched_whole_beside_one_that_is_halved():
    rows = [
        row("halved", ({"epochs": 8, "rate": [0.1, 0.2]},)),
        row("whole", rates(0.1, 0.2)),
        row("partly", ({"epochs": 8, "rate": 0.1}, {"rate": 0.2})),
        row("one", rates(0.1)),
    ]
    units, outcomes = plan(rows, nothing, 1, Search(halving=True))
    assert units[:2] == [rows[0].build(0, epochs=2, rate=rate).blinded() for rate in (0.1, 0.2)]
    assert units[2:] == plan(rows[1:], nothing, 1)[0]
    assert list(outcomes) == ["one"]
    assert searched_whole(rows) == ["whole", "partly"]


def test_rows_are_selected_by_pattern_with_those_that_they_come_after():
    rows = [
        row("exp3/b", after=("exp2/b",), seeds=5),
        row("exp2/a", rates(0.1, 0.2)),
        row("exp2/b", rates(0.1, 0.2), after=("exp2/a",)),
        row("exp2/c"),
    ]
    assert select(rows, ()) == rows
    kept = select(rows, ("exp3/*",))
    assert [(one.name, one.seeds) for one in kept] == [("exp3/b", 5), ("exp2/a", 0), ("exp2/b", 0)]
    assert [(one.name, one.seeds) for one in select(rows, ("exp2/b", "*/c"))] == [
        ("exp2/a", 0),
        ("exp2/b", None),
        ("exp2/c", None),
    ]
    with pytest.raises(ValueError, match=r"--rows 'exp4/\*' names no row; the rows are exp3/b, exp2/a"):
        select(rows, ("exp2/*", "exp4/*"))
    planned = foresee(kept, nothing, 2)
    assert [unit for unit in planned if not unit.blind] == [rows[0].build(seed) for seed in range(1, 6)]
    assert len(planned) == 2 + 2 + 5, "of a row that others come after, only the search is run"


def test_foreseen_is_all_that_will_ever_be_planned():
    rows = [row("a", rates(0.3, 0.2)), row("b", lambda chosen: [{"rate": [0.1, 0.7]}], after=("a",), search_seeds=2)]
    expected = foresee(rows, nothing, 3)
    assert len(set(expected)) == len(expected) == 2 + 4 + 2 * 3
    searched = scored([unit for unit in expected if unit.blind])
    assert len(foresee(rows, searched.get, 3)) == 12
