"""The law of splits: `x`, and `y` where there are labels, each any pytree of arrays with one leading axis."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from synthetic import Toy

from dlx.data import Dataset, Provenance, flat, shorten
from dlx.data.sources import fingerprint
from dlx.stage import evaluate, focus
from dlx.study.declare.page import Metric, Row
from dlx.study.run.code import Shapes
from dlx.study.run.found import Found, Runs
from dlx.study.run.record import blinded
from dlx.train import by_batches, examples, minibatches, take, valid
from dlx.types import Data, Labelled
from dlx.unit import Unit

SIZES = (12, 7, 5)


class Inputs(NamedTuple):
    x: Any


class Padded(NamedTuple):
    tokens: Any
    lengths: Any


def of(n, kind):
    rng = np.random.default_rng(n)
    images, labels = rng.integers(0, 256, (n, 4, 3), np.uint8), rng.integers(0, 10, n).astype(np.int32)
    tokens = Padded(rng.integers(0, 9, (n, 6)).astype(np.int32), rng.integers(1, 7, n).astype(np.int32))
    return {
        "images": Labelled(images, labels),
        "no labels": Inputs(images),
        "padded": Labelled(tokens, labels),
        "pairs": Inputs({"left": images, "right": tokens}),
        "values by step": Labelled(images, {"steps": images.astype(np.float32), "sum": labels.astype(np.float32)}),
    }[kind]


@pytest.fixture(params=["images", "no labels", "padded", "pairs", "values by step"])
def dataset(request):
    data = Data(*(of(n, request.param) for n in SIZES))
    return Dataset(data, Provenance("own", "generated", "generated", fingerprint(data)), (4, 3), 0)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def total(params, split):
    """The sum of all that an example holds."""
    return sum(jnp.asarray(leaf).reshape(len(leaf), -1).astype(jnp.float32).sum(1) for leaf in jax.tree.leaves(split))


def by_hand(split):
    return sum(leaf.reshape(len(leaf), -1).astype(float).sum(1) for leaf in leaves(split))


def test_data_are_cut_flattened_and_named(dataset):
    cut = shorten(dataset, 5)
    for short, whole in zip(leaves(cut.data.train), leaves(dataset.data.train), strict=True):
        np.testing.assert_array_equal(short, whole[:5])
    assert cut.data[1:] == dataset.data[1:]
    assert cut.origin.fingerprint == fingerprint(cut.data) != dataset.origin.fingerprint
    assert shorten(dataset, 12) is dataset
    for vectors, split in zip(flat(dataset.data), dataset.data, strict=True):
        assert type(vectors) is type(split)
        for row, leaf in zip(leaves(vectors.x), leaves(split.x), strict=True):
            np.testing.assert_array_equal(row, leaf.reshape(len(leaf), -1))
        jax.tree.map(np.testing.assert_array_equal, vectors._replace(x=0), split._replace(x=0))


def test_stages_and_feeds_take_them(dataset):
    data = dataset.data
    assert [examples(split) for split in data] == list(SIZES)
    np.testing.assert_allclose(by_batches(total, (), data.train, 5), by_hand(data.train), rtol=1e-6)
    np.testing.assert_allclose(valid(total)((), data), by_hand(data.valid).mean(), rtol=1e-6)
    _, result = evaluate(total=total)(jax.random.key(0), (), data)
    np.testing.assert_allclose(result.per_example["total"], by_hand(data.test), rtol=1e-6)
    rows, batch = minibatches(4)(jax.random.key(0), data.train)
    taken = np.concatenate([total((), batch(jax.random.key(1), row)) for row in rows])
    np.testing.assert_allclose(np.sort(taken), np.sort(by_hand(data.train)), rtol=1e-6)
    jax.tree.map(
        lambda one, all: np.testing.assert_array_equal(one, all[3:4]), take(data.test, jnp.array([3])), data.test
    )


def test_a_view_takes_the_place_of_the_inputs_alone(dataset):
    def stage(key, params, data):
        return params, data

    _, seen = focus("part", lambda params, x: total(params, x), stage)(jax.random.key(0), {"part": 0}, dataset.data)
    for split, old in zip(seen, dataset.data, strict=True):
        np.testing.assert_allclose(split.x, by_hand(old.x), rtol=1e-6)
        jax.tree.map(np.testing.assert_array_equal, split._replace(x=0), old._replace(x=0))


def test_studies_take_them(dataset):
    hidden = blinded(dataset.data)
    assert all(not leaf.any() for leaf in leaves(hidden.test))
    assert hidden[:2] == dataset.data[:2]
    unit = Unit(Toy())
    _, _, shapes = Shapes({"main": dataset}).arguments(unit)
    assert jax.tree.map(jnp.shape, dataset.data) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    row = Row("a", "A", lambda seed: unit)
    runs = Runs(row, [], {}, [unit], [unit], [{"measures": {}}])
    found = Found({"a": runs}, {"main": dataset}, {"a": row})
    names = ("train/error", "valid/error", "test/error", "model/size")
    assert [found.examples("a", Metric(name, name)) for name in names] == [*SIZES, 0]
