"""From a run to its record, and that a search never sees the test split: through a real runner."""

import io
import json
import time
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import dataset, rates, row, runner_in, toy

from dlx.show.progress import Progress
from dlx.stage import Evaluation
from dlx.store import open_store, to_json
from dlx.study.run.found import Found, as_booleans
from dlx.study.run.plan import plan
from dlx.study.run.record import as_record, blinded, on_host
from dlx.train import Curve
from dlx.unit import Result, Unit


def stored(result, blind=False):
    return json.loads(to_json(as_record(result, blind)))


@pytest.fixture
def runner(tmp_path):
    return runner_in(open_store(tmp_path, {}), devices=1)


@dataclass(frozen=True)
class Peek:
    """Tells what it was handed as test split, under a name that is no split."""

    host: bool = False

    def __call__(self, key, hypers, given, data, progress):
        seen = {"pixels": data.test.x.sum(dtype=jnp.float32), "labels": data.test.y.sum(dtype=jnp.float32)}
        split = {"error": jnp.ones(())}
        places = {"seen": seen, "train": split, "valid": split, "test": split}
        given_sum = sum((entry["sum"] for entry in given), jnp.zeros(()))
        return {"sum": given_sum + seen["pixels"]}, Result(given_sum, places, {"test": {"error": jnp.ones(2)}})


@pytest.mark.parametrize("host", [False, True])
def test_a_search_is_handed_zeros_as_test_split_and_its_records_say_nothing_of_it(runner, host):
    layer = Unit(Peek(host))
    fresh = Unit(Peek(host), (), (layer,), seed=1)
    while runner.advance([fresh, fresh.blinded()]):
        pass
    data = runner.data["main", False]
    seen = {"pixels": float(data.test.x.sum()), "labels": float(data.test.y.sum())}
    assert min(seen.values()) > 0
    for unit in fresh.lineage:
        record = runner.records.finished(unit)
        assert record["measures"]["seen"] == seen
        assert set(record["measures"]) == {"seen", "train", "valid", "test"}
        assert record["curves"] == {"test": {"error": [1.0, 1.0]}}
        assert "blind" not in record
    for unit in fresh.blinded().lineage:
        record = runner.records.finished(unit)
        assert record["measures"]["seen"] == {"pixels": 0.0, "labels": 0.0}
        assert set(record["measures"]) == {"seen", "train", "valid"}
        assert record["curves"] == {}
        assert record["blind"]
        assert record["score"] == 0, "the layers below were trained without the test split, too"
    assert runner.records.finished(fresh)["score"] == seen["pixels"]


def test_a_curve_of_columns_ends_with_the_last_epoch_in_which_one_is_finite():
    inf, nan = np.inf, np.nan
    curves = {"two": [[1, inf], [nan, 2], [inf, nan]], "never": [[3, inf], [inf, inf], [5, nan]], "none": [inf, nan]}
    made = as_record(Result(curves={"test": {name: np.array(one) for name, one in curves.items()}}), blind=False)
    assert {name: len(one) for name, one in made["curves"]["test"].items()} == {"two": 2, "never": 3, "none": 0}
    np.testing.assert_array_equal(made["curves"]["test"]["never"], curves["never"])


def test_train_and_valid_are_handed_to_a_search_as_they_are():
    data = dataset().data
    blind = blinded(data)
    for one, other in ((blind.train, data.train), (blind.valid, data.valid)):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)
    for one, other in zip(blind.test, data.test, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert not one.any()


def test_a_page_of_toys_runs_from_its_plan_to_what_is_found(runner):
    rows = [row("a", rates(0.5, 2.0), keep=1), row("b", lambda chosen: [chosen["a"]], after=("a",))]
    while True:
        units, outcomes = plan(rows, runner.records.finished, 3)
        keep = [unit for one in rows if one.name in outcomes for unit in outcomes[one.name].wanted[: one.keep]]
        if not runner.advance(units, keep):
            break
    found = Found.of(rows, outcomes, {"main": dataset()}, runner.records.load)
    least = min(found["a"].tried, key=lambda one: one.score)
    assert found["a"].trial == found["b"].trial == least.trial
    assert len(found["a"].values("valid/error")) == 3
    assert found["a"].kept(1)["w"].size == rows[0].build(1).program.width
    scores = [float(record["score"]) for record in found["a"].records]
    assert len(set(scores)) == 3, "seeds give different results"
    for tried in found["a"].tried:
        assert "test" not in tried.records[0]["measures"]
    np.testing.assert_allclose(found["a"].values("test/error"), dataset().data.test.x.mean(), rtol=1e-5)
    assert found["a"].per_example("test/wrong")[1].all()


FAULTS = {
    "no score": lambda record: record.pop("score"),
    "a word as score": lambda record: record.update(score="x"),
    "measures in a list": lambda record: record.update(measures=[]),
    "a list of measures": lambda record: record["measures"].update(test=[1]),
    "wrong examples beyond the last": lambda record: record["measures"]["test"]["wrong"].update(true=[10**6]),
    "a curve of one number": lambda record: record["curves"]["test"].update(mean=1.0),
    "divergence as a word": lambda record: record.update(diverged="no"),
    "no time": lambda record: record.update(seconds=None),
}


@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS)
def test_a_record_that_is_not_well_formed_is_named_and_trained_again(runner, spoil):
    unit = toy(1)
    while runner.advance([unit]):
        pass
    whole = runner.records.finished(unit)
    broken = json.loads(to_json(whole))
    spoil(broken)
    name = runner.records.naming.name(unit)
    runner.records.store.save(name, broken)
    said = io.StringIO()
    again = runner_in(runner.records.store, Progress({}, stream=said), devices=1)
    assert again.records.finished(unit) is None
    while again.advance([unit]):
        pass
    assert {key: again.records.finished(unit)[key] for key in ("score", "measures")} == {
        key: whole[key] for key in ("score", "measures")
    }
    assert said.getvalue().count(f"the record of {name} is not well formed, so it counts as none: it") == 1


def test_arrays_that_another_process_has_added_to_a_record_are_found(tmp_path):
    """Two pages share a unit: one wanted its record alone, another one starts from what it keeps."""
    one, other = (runner_in(open_store(tmp_path, {}), devices=1) for _ in range(2))
    below = toy(1)
    above = toy(1, rate=0.3, given=(below,))
    assert one.advance([below])
    assert not one.records.finished(below)["kept"]
    assert other.advance([above])
    assert other.records.finished(below)["kept"]
    for _ in range(3):
        one.advance([above])
    assert one.records.finished(above)


def test_the_time_left_is_told_by_a_program_s_records_as_soon_as_there_are_any(tmp_path, monkeypatch):
    """The records there are tell of a quick program. What a slow one takes is known when its first unit is done."""
    now, left = [0.0], []

    @dataclass(frozen=True)
    class Waits:
        seconds: float
        host = True

        def __call__(self, key, hypers, given, data, progress):
            left.append(following.left())
            now[0] += self.seconds
            return {}, Result()

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    first, following = (Progress({}, clock=lambda: now[0], stream=io.StringIO()) for _ in range(2))
    quick, slow = ([Unit(Waits(seconds), seed=seed) for seed in range(4)] for seconds in (1.0, 100.0))
    store = open_store(tmp_path, {})
    assert runner_in(store, first, devices=1).advance(quick[:1])
    runner = runner_in(store, following, devices=1)
    while runner.advance([*quick, *slow]):
        pass
    assert left == [None, 7, 6, 5, 4, 300, 200, 100]


def test_a_record_holds_what_a_unit_is_and_what_it_took(runner):
    below = toy(2)
    unit = toy(3, rate=0.25, width=2, given=(below,))
    while runner.advance([unit]):
        pass
    record = runner.records.finished(unit)
    assert {name: record[name] for name in ("program", "fields", "hypers", "seed", "data", "given")} == {
        "program": "Toy",
        "fields": {"width": 2},
        "hypers": {"rate": 0.25},
        "seed": 3,
        "data": "f" * 64,
        "given": [runner.records.naming.name(below)],
    }
    assert list(record["lineage"]) == [runner.records.naming.name(below)]
    assert (record["kept"], runner.records.finished(below)["kept"]) == (False, True)
    assert record["seconds"] > 0
    assert record["memory"] > 0
    assert record["origin"] == dataset().origin._asdict()
    assert {"versions", "device", "revision"} <= set(record)


def test_booleans_are_compact_and_come_back():
    wrong = np.array([True, False, False, True, True])
    record = stored(
        Result(measures={"test": {"wrong": jnp.asarray(wrong), "any": jnp.asarray(True), "n": jnp.arange(2)}})
    )
    test = record["measures"]["test"]
    assert test["wrong"] == {"true": [0, 3, 4], "size": 5}
    np.testing.assert_array_equal(as_booleans(test["wrong"]), wrong)
    assert test["any"] is True
    assert test["n"] == [0, 1]


@pytest.mark.parametrize(
    ("errors", "true"),
    [
        ([0.0, 1.0, 0.0, 1.0], [1, 3]),
        ([0.0, 0.0], []),
        ([0.0, 0.5, 1.0], None),  # of the tokens of a sequence
        ([2.0, 1.0], None),
        ([np.nan, 1.0], None),
    ],
)
def test_examples_are_right_or_wrong_only_where_each_error_is_0_or_1(errors, true):
    means = {"error": jnp.mean(jnp.array(errors))}
    measured = Evaluation(means, means, means, {"error": jnp.array(errors)})
    curve = Curve({}, {}, None, *jnp.zeros(3), jnp.asarray(False))
    test = stored(Result.of(curve, measured))["measures"]["test"]
    assert test.pop("wrong", None) == (None if true is None else {"true": true, "size": len(errors)})
    assert test.keys() == {"error"}


def test_a_curve_ends_with_its_last_number():
    nan, inf = np.nan, np.inf
    curves = {"ended": [1.0, 2.0, inf, inf], "gap": [nan, 1.0, nan, 2.0], "none": [inf, nan], "steps": [1, 2]}
    curves["rows"] = [[1.0, inf], [2.0, 3.0], [inf, inf]]
    record = stored(Result(curves={"train": {name: jnp.array(line) for name, line in curves.items()}}))
    assert record["curves"]["train"] == {
        "ended": [1.0, 2.0],
        "gap": ["nan", 1.0, "nan", 2.0],
        "none": [],
        "steps": [1, 2],
        "rows": [[1.0, "inf"], [2.0, 3.0]],
    }


@pytest.mark.parametrize("diverged", [True, False])
def test_a_record_has_score_and_divergence(diverged):
    record = stored(Result(jnp.array(0.25), diverged=jnp.array(diverged)))
    assert record == {"score": 0.25, "diverged": diverged, "measures": {}, "curves": {}}
    assert stored(Result())["score"] == "nan"


def test_units_of_one_kind_share_a_compiled_program():
    below = toy(1, width=2)
    same = [toy(1, rate=0.1, given=(below,)), toy(2, rate=0.2, given=(toy(5, rate=0.3, width=2),))]
    assert same[0].kind == same[1].kind
    others = [
        toy(1, width=3, given=(below,)),
        toy(1, given=(toy(1, width=3),)),
        toy(1, given=(below, below)),
        toy(1),
        same[0].blinded(),
        Unit(same[0].program, same[0].hypers, same[0].given, 1, "other"),
    ]
    assert len({unit.kind for unit in (same[0], *others)}) == len(others) + 1


def test_a_program_says_whether_it_is_compiled():
    assert on_host(Peek(host=True))
    assert not on_host(Peek())
    assert not on_host(toy(1).program)
