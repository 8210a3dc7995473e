"""Training with dropout, and averages over masks, against enumeration in NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from dlx.data import flat, load
from dlx.inspect.masks import over_all_masks
from dlx.show.progress import silent
from dlx.types import Labelled
from experiments.srivastava2014 import AllMasks, Averaged, Dropped, Dropping

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def data():
    digits = flat(load("digits"))
    return digits._replace(train=Labelled(digits.train.x[:300], digits.train.y[:300]))


def run(program, data, given=(), **hypers):
    hypers = Dropping(*map(jnp.float32, Dropping(**{"rate": 0.1, **hypers})))
    return jax.jit(lambda hypers, given, data: program(KEY, hypers, given, data, silent))(hypers, given, data)


def test_all_masks_are_averaged_as_if_enumerated_by_hand():
    h, w, b = (RNG.normal(size=shape) for shape in ((4, 5), (5, 3), (3,)))
    said = [log_softmax(2 * np.array(mask) * h @ w + b, -1) for mask in itertools.product((0, 1), repeat=5)]
    found = over_all_masks(h, {"w": w, "b": b})
    np.testing.assert_allclose(found, log_softmax(np.mean(said, 0), -1), rtol=1e-12)


@pytest.mark.parametrize("units", ["sigmoid", "relu"])
def test_the_net_in_use_is_the_average_over_all_masks_and_near_that_over_many(units, data):
    net, _ = run(Dropped(units, (6,), 3, 20, 200), data, hidden=0.5)
    every = AllMasks(units)(KEY, (), (net,), data, silent)[1].measures["test"]
    many = run(Averaged(units, (6,), 3000), data, (net,))[1].measures["test"]
    assert every["apart"] < 1e-14
    assert every["excess"] == 0
    assert 1e-4 < many["apart"] < 0.1


def test_with_two_hidden_layers_the_net_in_use_is_not_the_average(data):
    net, _ = run(Dropped("relu", (16, 16), 5, 20, 200), data, hidden=0.5)
    assert run(Averaged("relu", (16, 16), 300), data, (net,))[1].measures["test"]["apart"] > 0.02


def test_no_unit_has_weights_longer_than_the_largest_norm(data):
    net, _ = run(Dropped("relu", (16, 16), 5, 20), data, norm=0.7)
    longest = [float(jnp.linalg.norm(layer["w"], axis=0).max()) for layer in net.values()]
    assert max(longest) == pytest.approx(0.7, rel=1e-4)


def test_without_drops_the_probabilities_do_not_matter_and_with_them_they_do(data):
    for drops in (False, True):
        nets = [run(Dropped("relu", (16,), 2, 20, 200, drops), data, hidden=p)[0] for p in (0.0, 0.5)]
        same = (nets[0]["output"]["w"] == nets[1]["output"]["w"]).all()
        assert same == (not drops)


def test_it_trains_on_the_first_examples_and_scores_each_epoch_only_on_all(data):
    fewer = data._replace(train=Labelled(data.train.x[:100], data.train.y[:100]))
    first, asked, on_all = (
        run(program, split)
        for program, split in (
            (Dropped("relu", (8,), 3, 20, 100), data),
            (Dropped("relu", (8,), 3, 20, 1000), fewer),
            (Dropped("relu", (8,), 3, 20), fewer),
        )
    )
    for other in (asked, on_all):
        jax.tree.map(np.testing.assert_array_equal, first[0], other[0])
    assert "valid" not in first[1].curves
    assert on_all[1].curves["valid"]["score"].shape == (3,)
    assert on_all[1].curves["valid"]["score"][-1] == on_all[1].measures["valid"]["error"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"units": "tanh"}, "no 'tanh'; choose one of sigmoid, relu"),
        ({"rule": "newton"}, "no 'newton'; choose one of momentum, adam"),
        ({"units": "sigmoid", "normalised": True}, "batch normalisation has units 'relu'"),
    ],
)
def test_what_there_is_not_is_refused_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        Dropped(**{"units": "relu", "widths": (8,), "epochs": 1, "batch_size": 10, **wrong})
