"""What counts as a weight, by whichever name a net calls it: penalties, the norm of a unit, the largest."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from dlx.inspect.weights import largest, near_zero, pruned, sizes
from dlx.losses.penalties import l1, l2
from dlx.nets.mlp import mlp
from dlx.nets.module import STATISTICS, model
from dlx.nets.weights import is_weight, weights
from dlx.optim import max_norm
from dlx.types import Labelled

KEY = jax.random.key(0)
BATCH = Labelled(jnp.zeros((1, 1)), jnp.zeros(1, jnp.int32))


class Convolutional(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3))(x))
        return nn.Dense(3)(x.reshape(len(x), -1))


class Recurrent(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(3)(nn.RNN(nn.GRUCell(5))(nn.Embed(7, 2)(tokens)))


NETS = {
    "mlp": mlp((4,), 3).init(KEY, jnp.zeros(6)),
    "convolutional": model(Convolutional()).init(KEY, jnp.zeros((5, 5, 2))),
    "recurrent": model(Recurrent()).init(KEY, jnp.zeros(6, jnp.int32)),
}
COUNTS = {"mlp": 6 * 4 + 4 * 3, "convolutional": 9 * 2 * 4 + 100 * 3, "recurrent": 3 * (2 * 5 + 5 * 5) + 5 * 3}


def arrays(params):
    """By name, of a net; NumPy's."""
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(params)}


def of_weights(params):
    return {name: leaf for name, leaf in arrays(params).items() if name.endswith(("['w']", "['kernel']"))}


@pytest.fixture(params=NETS)
def net(request):
    """Parameters at random, biases and statistics too; and how many numbers of them are weights."""
    rng = np.random.default_rng(0)
    start = NETS[request.param]
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), start), COUNTS[request.param]


def test_weights_are_found_and_nothing_else(net):
    params, count = net
    assert sum(leaf.size for leaf in weights(params)) == sizes(params).size == count
    assert {name for name, is_w in arrays(is_weight(params)).items() if is_w} == of_weights(params).keys()


def test_penalties_are_of_all_weights(net):
    params, _ = net
    own = np.concatenate([leaf.ravel() for leaf in of_weights(params).values()]).astype(float)
    np.testing.assert_allclose(l2(0.1)(params, KEY, BATCH), 0.05 * (own**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(l1(0.1)(params, KEY, BATCH), 0.1 * np.abs(own).sum(), rtol=1e-5)


def test_the_norm_of_each_unit_is_bounded_whatever_the_rank(net):
    params, _ = net
    step = jax.tree.map(lambda leaf: 0.5 * jnp.ones_like(leaf), params)
    updates, _ = max_norm(1.5).update(step, optax.EmptyState(), params)
    bounded, free = arrays(optax.apply_updates(params, updates)), arrays(optax.apply_updates(params, step))
    for name, leaf in free.items():
        expected = leaf
        if name in of_weights(params):
            units = [leaf[..., i] for i in range(leaf.shape[-1])]
            expected = np.stack([unit * min(1, 1.5 / np.sqrt((unit.astype(float) ** 2).sum())) for unit in units], -1)
            assert not np.allclose(expected, leaf), "some are longer"
        np.testing.assert_allclose(bounded[name], expected, rtol=1e-5, atol=1e-6)


def test_the_largest_weights_are_of_the_whole_net(net):
    params, count = net
    own = np.sort(np.abs(np.concatenate([leaf.ravel() for leaf in of_weights(params).values()])))[::-1]
    left = np.concatenate([leaf.ravel() for leaf in of_weights(pruned(params, 0.25)).values()])
    np.testing.assert_array_equal(np.sort(np.abs(left[left != 0]))[::-1], own[: round(0.25 * count)])
    stays = arrays(largest(params, 0.25))
    assert all(stays[name].all() for name in arrays(params) if name not in of_weights(params))
    np.testing.assert_allclose(near_zero(params), (own < 0.1 * np.sqrt((own**2).mean())).mean(), rtol=1e-6)


@pytest.mark.parametrize("params", [{"v": jnp.ones(2), STATISTICS: {"mean": jnp.ones(2)}}, {}, jnp.ones(3)])
@pytest.mark.parametrize(
    "use",
    [
        lambda params: l2(0.1)(params, KEY, BATCH),
        lambda params: max_norm(1.0).update(params, optax.EmptyState(), params),
        lambda params: largest(params, 0.5),
        lambda params: near_zero(params),
    ],
)
def test_a_net_without_weights_is_refused_in_words(use, params):
    with pytest.raises(ValueError, match="weights are arrays named w or kernel"):
        use(params)
