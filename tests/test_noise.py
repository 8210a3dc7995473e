"""Noise in training: where nets apply it, against NumPy; Gaussian noise by its moments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.nets.mlp import mlp
from dlx.nets.module import STATISTICS
from dlx.nets.noise import SILENT, Noise, dropout, gaussian
from dlx.nets.normalised import EPSILON, normalised
from dlx.nets.rectified import rectified

KEY = jax.random.key(0)
NETS = {"mlp": mlp, "normalised": normalised}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)
PLACES = {
    "inputs": Noise(inputs=lambda key, x: 2 * x),
    "hidden": Noise(hidden=lambda key, x: 2 * x),
    "weights": Noise(weights=lambda key, w: 2 * w),
    "all": Noise(*[lambda key, x: 2 * x] * 3),
}
"""Each doubles what it gets, so that NumPy knows the outcome."""


def params_and_x(make):
    x = np.random.default_rng(0).random((9, 5)).astype(np.float32)
    return make((4, 3), 2).init(KEY, x[0]), jnp.asarray(x)


def by_hand(params, x, noise):
    """Logits in float64, where a place of the noise doubles."""
    inputs, hidden, weights = (1 if place is None else 2 for place in noise)
    x = inputs * np.asarray(x, float)
    for name in ("hidden_0", "hidden_1"):
        layer = jax.tree.map(lambda leaf: np.asarray(leaf, float), params[name])
        z = x @ (weights * layer["w"])
        if STATISTICS in params:
            z = layer["scale"] * (z - z.mean(0)) / np.sqrt(z.var(0) + EPSILON)
        x = hidden / (1 + np.exp(-z - layer["b"]))
    return x @ (weights * np.asarray(params["output"]["w"], float)) + params["output"]["b"]


@every_net
@pytest.mark.parametrize("noise", PLACES.values(), ids=PLACES)
def test_each_kind_of_noise_is_where_it_says(make, noise):
    params, x = params_and_x(make)
    outputs, _ = make((4, 3), 2, noise=noise).train(params, KEY, x)
    np.testing.assert_allclose(outputs, by_hand(params, x, noise), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("noise", [PLACES["inputs"], PLACES["hidden"]], ids=["inputs", "hidden"])
def test_a_rectified_net_with_batch_normalisation_has_its_noise(noise):
    x = np.random.default_rng(0).random((9, 5)).astype(np.float32)
    net = rectified((4, 3), 2, normalised=True, noise=noise)
    params = net.init(KEY, x[0])
    inputs, hidden, _ = (1 if place is None else 2 for place in noise)
    h = inputs * x.astype(float)
    for i in range(2):
        z = h @ np.asarray(params[f"hidden_{i}"]["w"], float)
        h = hidden * np.maximum((z - z.mean(0)) / np.sqrt(z.var(0) + EPSILON), 0)
    outputs, _ = net.train(params, KEY, jnp.asarray(x))
    np.testing.assert_allclose(outputs, h @ params["output"]["w"] + params["output"]["b"], rtol=1e-3, atol=1e-4)


@every_net
def test_noise_of_nothing_is_none_and_in_use_there_is_none(make):
    params, x = params_and_x(make)
    still = gaussian(0.0)
    without, none, some = (
        make((4, 3), 2, noise=noise) for noise in (SILENT, Noise(still, still, still), Noise(*[gaussian(1.0)] * 3))
    )
    jax.tree.map(np.testing.assert_array_equal, none.train(params, KEY, x), without.train(params, KEY, x))
    np.testing.assert_array_equal(some.apply(params, x), without.apply(params, x))
    assert (some.train(params, KEY, x)[0] != without.train(params, KEY, x)[0]).all()


def test_no_two_layers_and_no_two_keys_have_the_same_noise():
    seen = []

    def record(key, x):
        seen.append(tuple(np.asarray(jax.random.key_data(key))))
        return x

    params, x = params_and_x(mlp)
    for key in jax.random.split(KEY):
        mlp((4, 3), 2, noise=Noise(record, record, record)).train(params, key, x)
    assert len(seen) == len({*seen}) == 12


def test_gaussian_noise_has_its_deviation_and_mean_0():
    n, deviation = 100_000, 0.3
    x = jnp.linspace(-1, 1, n)
    noise = np.asarray(jax.jit(lambda key: gaussian(deviation)(key, x))(KEY) - x)
    assert abs(noise.mean()) < 4 * deviation / n**0.5
    assert noise.std() == pytest.approx(deviation, rel=0.02)
    assert abs(np.corrcoef(noise, x)[0, 1]) < 4 / n**0.5


def test_dropout_has_by_default_the_rates_of_the_paper_on_mnist():
    """Srivastava et al. 2014, appendix B.1."""
    x, noise = jnp.ones(40_000), dropout()
    shares = [float((noise.values(KEY, i, x) == 0).mean()) for i in (0, 1)]
    np.testing.assert_allclose(shares, [0.2, 0.5], atol=0.01)


def test_what_cannot_be_is_refused_in_words():
    with pytest.raises(ValueError, match=r"deviation of noise must be at least 0, not -0\.1"):
        gaussian(-0.1)
    with pytest.raises(ValueError, match=r"noise on inputs and hidden values only; dlx\.nets\.mlp has it on weights"):
        rectified((3,), noise=Noise(weights=gaussian(0.1)))
