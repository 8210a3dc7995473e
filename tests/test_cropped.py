"""Nets that see a part of an image, against what their nets make of parts that are cut by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from scipy.special import log_softmax, logsumexp

from dlx.nets.convolutional import network
from dlx.nets.cropped import CORNERS, cropped, cut

KEY = jax.random.key(0)


class Sum(nn.Module):
    """Two logits: the sum of the pixels of an image and that of their squares."""

    @nn.compact
    def __call__(self, x):
        self.param("b", nn.initializers.zeros, (1,))
        return jnp.stack([x.sum((1, 2, 3)), jnp.square(x).sum((1, 2, 3))], -1)


def test_in_training_parts_are_cut_at_random_and_in_use_at_stated_places():
    images = jnp.asarray(np.random.default_rng(3).random((400, 5, 6, 1)), jnp.float32)
    net = network((Sum(name="sum"),))
    params = net.init(KEY, images[0])
    logits = {
        (i, j): np.asarray(net.apply(params, images[:, i : i + 4, j : j + 4])) for i in range(2) for j in range(3)
    }
    middle, corners = (cropped(net, 4, *parts) for parts in ((), (CORNERS,)))
    np.testing.assert_allclose(middle.apply(params, images), logits[0, 1], rtol=1e-5)
    mean = logsumexp([log_softmax(logits[i, j], 1) for i in (0, 1) for j in (0, 2)], 0) - np.log(4)
    np.testing.assert_allclose(corners.apply(params, images), mean, rtol=1e-4, atol=1e-5)
    made, _ = middle.train(params, KEY, images)
    seen = [[np.abs(one[n] - made[n]).max() < 1e-4 for one in logits.values()] for n in range(400)]
    assert np.sum(seen, 1).tolist() == [1] * 400
    assert np.abs(np.sum(seen, 0) - 400 / 6).max() < 4 * np.sqrt(400 / 6)


def test_a_part_is_cut_where_its_corner_is():
    x = np.random.default_rng(4).random((3, 6, 5, 2)).astype(np.float32)
    corners = np.array([[0, 0], [2, 1], [1, 0]])
    expected = [one[i : i + 4, j : j + 4] for one, (i, j) in zip(x, corners, strict=True)]
    np.testing.assert_array_equal(cut(jnp.asarray(x), jnp.asarray(corners), 4), expected)
