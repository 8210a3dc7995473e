"""The net that a flax module makes: in use as flax applies it, and in training with dropout and batch statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.module import STATISTICS, model
from dlx.optim import sgd
from dlx.train import fit, minibatches, valid

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(3, 2, (50, 6)).astype(np.float32)


class Dropped(nn.Module):
    """The inputs, of which half are dropped in training."""

    @nn.compact
    def __call__(self, x, train: bool):
        return nn.Dropout(0.5)(x, deterministic=not train)


class Normal(nn.Module):
    """The inputs, normalised."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.BatchNorm(momentum=0.9)(x, use_running_average=not train)


class Both(nn.Module):
    """Logits of images or vectors."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(momentum=0.9)(nn.Dense(16)(x.astype(jnp.float32) / 255), use_running_average=not train)
        return nn.Dense(10)(nn.Dropout(0.2)(nn.relu(x), deterministic=not train))


def test_units_are_dropped_in_training_alone_and_by_the_key():
    net = model(Dropped())
    params = net.init(KEY, X[0])
    np.testing.assert_array_equal(net.apply(params, X), X)
    (ones, carried), (others, _) = (net.train(params, jax.random.key(seed), X) for seed in (1, 2))
    assert carried == {}
    dropped = np.asarray(ones) == 0
    np.testing.assert_allclose(np.asarray(ones)[~dropped], 2 * X[~dropped], rtol=1e-6)
    assert abs(dropped.mean() - 0.5) < 4 * np.sqrt(0.25 / X.size), "four standard deviations"
    assert (ones != others).any()


def test_batches_are_normalised_by_themselves_and_running_statistics_are_carried_and_used():
    net = model(Normal())
    params = net.init(KEY, X[0])
    assert params[STATISTICS]["BatchNorm_0"].keys() == {"mean", "var"}
    output, carried = net.train(params, KEY, X)
    np.testing.assert_allclose(output, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5), rtol=1e-3, atol=1e-4)
    running = carried[STATISTICS]["BatchNorm_0"]
    np.testing.assert_allclose(running["mean"], 0.1 * X.mean(0), rtol=1e-4)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * X.var(0), rtol=1e-4)
    used = (X - running["mean"]) / np.sqrt(running["var"] + 1e-5)
    np.testing.assert_allclose(net.apply({**params, **carried}, X), used, rtol=1e-4, atol=1e-4)


def test_a_fit_carries_the_statistics_and_learns(data):
    net = model(Both())
    train = fit(gradient(cross_entropy(net), sgd(0.5)), minibatches(12), epochs=20, score=valid(misclassified(net)))
    start = net.init(KEY, data.train.x[0])
    params, curve = jax.jit(train)(KEY, start, data)
    assert jax.tree.structure(params) == jax.tree.structure(start)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), params[STATISTICS], start[STATISTICS])
    assert all(jax.tree.leaves(moved))
    assert curve.score[-1] < 0.3
    assert not curve.diverged


class Elsewhere(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic=True):
        return nn.Dropout(0.5)(x, deterministic=deterministic)


class Counted(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.variable("cache", "seen", jnp.zeros, ())
        return x


@pytest.mark.parametrize(
    ("module", "said"),
    [(Elsewhere(), "Elsewhere takes deterministic; a net's switch is `train`"), (Counted(), "variables of cache")],
)
def test_what_would_be_left_out_in_silence_is_refused_in_words(module, said):
    with pytest.raises(ValueError, match=said):
        model(module).init(KEY, X[0])
