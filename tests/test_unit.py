"""What names a unit: all that makes its outcome what it is, and nothing else."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.show.progress import silent
from dlx.stage import Evaluation
from dlx.store import Store, open_store
from dlx.study.run.record import one_run
from dlx.train import Curve
from dlx.unit import Naming, Result, Unit, check_kept

MAIN = Naming({"main": "a" * 64, "other": "b" * 64})


class Hypers(NamedTuple):
    rate: float
    decay: float = 0.0


@dataclass(frozen=True)
class Program:
    widths: tuple[int, ...]
    epochs: int = 3
    way: str = "plain"

    def __call__(self, key, hypers, given, data, progress):
        raise NotImplementedError


def moved():
    """The same program in another module, after it has gained a field, and its hypers one."""

    class Hypers(NamedTuple):
        rate: float
        momentum: float = 0.9
        decay: float = 0.0

    @dataclass(frozen=True)
    class Program:
        widths: tuple[int, ...]
        new: str = "off"
        epochs: int = 3
        way: str = "plain"

        def __call__(self, key, hypers, given, data, progress):
            raise NotImplementedError

    Program.__module__ = "elsewhere"
    return Program, Hypers


def unit(program=Program, hypers=Hypers, widths=(5, 4), rate=0.1, seed=2, **more):
    return Unit(program(widths=widths, **more), hypers(rate), (), seed)


def test_a_record_is_found_again_after_its_program_has_moved_and_has_gained_fields_and_hypers(tmp_path):
    store = open_store(tmp_path, {"store": "records"})
    below = unit(widths=(5,))
    store.save(MAIN.name(replace(unit(way="other"), given=(below,))), {"score": 0.25})
    program, hypers = moved()
    below = unit(program, hypers, (5,))
    later = replace(unit(program, hypers, way="other"), given=(below,))
    naming = Naming({"main": "a" * 64})
    assert Store(tmp_path).load(naming.name(later)) == {"score": 0.25}
    assert store.load(naming.name(replace(later, program=program((5, 4), new="on", way="other")))) is None
    assert store.load(naming.name(replace(later, hypers=hypers(0.1, momentum=0.5)))) is None


def test_the_name_of_a_unit_stays_what_it_was():
    """Names of records on disk: sha256 of the identity with sorted keys, as the standard library writes it."""
    below = unit(widths=(5,))
    plain = {"program": "Program", "fields": {"widths": [5]}, "hypers": {"rate": 0.1}, "given": [], "seed": 2}
    digest = hashlib.sha256(json.dumps({**plain, "data": "a" * 64}, sort_keys=True).encode()).hexdigest()
    assert MAIN.name(below) == f"Program/2-{digest[:16]}"
    above = {
        "program": "Program",
        "fields": {"widths": [5, 4], "epochs": 9},
        "hypers": {"rate": 0.1},
        "given": [MAIN.name(below)],
        "seed": 2,
        "data": "b" * 64,
        "blind": True,
        "numerics": ["tf32"],
    }
    naming = Naming(MAIN.fingerprints, ("tf32",))
    given = naming.name(below)
    digest = hashlib.sha256(json.dumps({**above, "given": [given]}, sort_keys=True).encode()).hexdigest()
    blind = replace(unit(epochs=9), given=(below,), data="other", blind=True)
    assert naming.name(blind) == f"Program/2-{digest[:16]}"


def test_units_that_differ_in_anything_have_names_that_differ():
    one = unit()
    others = [
        unit(epochs=4),
        unit(way="other"),
        unit(widths=(4, 5)),
        unit(rate=0.2),
        unit(seed=3),
        unit(seed=-2),
        replace(one, hypers=Hypers(0.1, 0.5)),
        replace(one, hypers=()),
        replace(one, data="other"),
        replace(one, blind=True),
        replace(one, given=(one,)),
        replace(one, given=(one, one)),
        replace(one, given=(unit(seed=3),)),
        replace(one, given=(unit(seed=3), one)),
        replace(one, given=(one, unit(seed=3))),
        replace(one, given=(replace(one, data="other"),)),
        replace(one, given=(replace(one, blind=True),)),
    ]
    names = [MAIN.name(each) for each in (one, *others)]
    names += [Naming({"main": "c" * 64}).name(one), Naming(MAIN.fingerprints, ("tf32",)).name(one)]
    names += [Naming(MAIN.fingerprints, numerics).name(one) for numerics in (("unoptimized",), ("tf32", "unoptimized"))]
    assert len(set(names)) == len(names)
    assert all(name.startswith(f"Program/{each.seed}-") for name, each in zip(names, (one, *others), strict=False))


def test_the_name_of_a_data_set_is_no_part_of_a_units_name():
    assert Naming({"digits": "a" * 64}).name(replace(unit(), data="digits")) == MAIN.name(unit())


@pytest.mark.parametrize("hypers", [(0.1,), {"rate": 0.1}, [0.1], 0.1])
def test_hypers_without_names_are_refused_since_units_would_share_a_name(hypers):
    with pytest.raises(ValueError, match=r"hypers .*0\.1.* are no NamedTuple"):
        MAIN.identity(Unit(Program((1,)), hypers))


def test_a_field_that_no_record_can_hold_is_refused_by_name():
    with pytest.raises(ValueError, match="a unit of Program cannot be named"):
        MAIN.name(unit(way=frozenset({"a"})))


def test_lineage_is_each_unit_once_after_all_that_it_stands_on():
    first = unit(widths=(1,))
    second = replace(unit(widths=(1, 2)), given=(first,))
    third = replace(unit(widths=(1, 2, 3)), given=(second, first))
    last = replace(unit(seed=9), given=(third, second, first))
    assert last.lineage == (first, second, third, last)
    assert first.lineage == (first,)
    described = MAIN.description(last)
    assert list(described["lineage"]) == [MAIN.name(one) for one in (first, second, third)]
    assert described["lineage"][MAIN.name(second)] == MAIN.identity(second)
    assert {name: described[name] for name in MAIN.identity(last)} == MAIN.identity(last)
    assert "lineage" not in MAIN.description(first)


def test_blinded_is_blind_all_the_way_down_and_else_the_same():
    first = unit(widths=(1,))
    last = replace(unit(), given=(replace(unit(widths=(1, 2)), given=(first,)), first), data="other")
    blind = last.blinded()
    assert [one.blind for one in blind.lineage] == [True] * 3
    assert [replace(one, blind=False, given=()) for one in blind.lineage] == [
        replace(one, given=()) for one in last.lineage
    ]
    assert not any(one.blind for one in last.lineage)


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (jnp.ones(2), None),
        ({"a": {"b": jnp.ones(2)}, "c": np.ones(1)}, None),
        ({}, None),
        ({"a": [jnp.ones(2)]}, "dict of arrays .*/a is"),
        ({"a": {"b": (jnp.ones(2),)}}, "/a/b is"),
        ({"a": 1.0}, "/a is 1.0"),
        ({0: jnp.ones(2)}, "a string, not 0"),
        (None, "it is None"),
    ],
)
def test_what_a_program_keeps_is_nested_dicts_of_arrays_or_refused_when_traced(kept, said, data):
    def program(key, hypers, given, data, progress):
        return kept, Result()

    def traced():
        return jax.eval_shape(one_run(program, silent), jax.random.key(0), ((), ()), data)

    if said is None:
        check_kept(kept)
        traced()
        return
    with pytest.raises(ValueError, match=said):
        traced()


def curve(best=1, diverged=False):
    values = {"loss": jnp.array([0.5, 0.2, 0.4, jnp.inf]), "gap": jnp.array([3.0, 2.0, 1.0, jnp.inf])}
    score = jnp.array([0.6, 0.3, 0.35, jnp.inf])
    return Curve(values, {}, score, jnp.array(2.5), jnp.array(3), jnp.array(best), jnp.array(diverged))


@pytest.mark.parametrize(("best", "score"), [(1, 0.3), (2, 0.35)])
def test_the_result_of_a_fit_has_the_score_of_its_best_epoch(best, score):
    result = Result.of(curve(best))
    np.testing.assert_allclose(result.score, score, rtol=1e-6)
    assert set(result.measures) == {"fit"}
    fit = {name: float(value) for name, value in result.measures["fit"].items()}
    assert fit == {"epochs": 3, "best": best, "first_loss": 2.5}
    assert set(result.curves) == {"train", "valid"}
    jax.tree.map(np.testing.assert_array_equal, result.curves["train"], curve().metrics)
    np.testing.assert_array_equal(result.curves["valid"]["score"], curve().score)
    assert not result.diverged
    assert Result.of(curve(diverged=True)).diverged


def test_the_result_of_a_fit_with_errors_is_scored_by_the_validation_error():
    means = [{"error": jnp.array(error), "nats": jnp.array(9 * error)} for error in (0.01, 0.3, 0.25)]
    values = {"error": jnp.array([0.0, 1.0, 0.0, 0.0]), "nats": jnp.ones(4)}
    result = Result.of(curve(), Evaluation(*means, values))
    np.testing.assert_allclose(result.score, 0.3, rtol=1e-6)
    for split, error in {"train": 0.01, "valid": 0.3, "test": 0.25}.items():
        np.testing.assert_allclose(result.measures[split]["error"], error, rtol=1e-6)
        np.testing.assert_allclose(result.measures[split]["nats"], 9 * error, rtol=1e-6)
    np.testing.assert_array_equal(result.measures["test"]["wrong"], [0, 1, 0, 0])
    assert float(result.measures["fit"]["best"]) == 1


def test_a_fit_without_a_score_has_none_unless_errors_are_counted():
    silent = curve()._replace(score=None, watched={"norm": jnp.ones(4)})
    means = {"nats": jnp.array(0.3)}
    for measured in (None, Evaluation(means, means, means, {"nats": jnp.ones(4)})):
        result = Result.of(silent, measured)
        assert np.isnan(result.score)
        assert set(result.curves) == {"train", "watched"}
        assert "wrong" not in result.measures.get("test", {})
