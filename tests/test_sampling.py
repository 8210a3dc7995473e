"""Partition functions and samples of small machines, against enumeration in NumPy."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from dlx import sampling
from dlx.nets.layer import BINARY
from dlx.types import Labelled


def machine(hidden, visible=9, scale=1.5, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"w": (visible, hidden), "b": (hidden,), "c": (visible,)}
    return {name: jnp.asarray(scale * rng.standard_normal(shape), jnp.float32) for name, shape in shapes.items()}


def states(n):
    return np.array(list(itertools.product([0, 1], repeat=n)), np.float64)


def log_p(layer):
    """log p(v) of every state of the visible units, summed over all states (v, h)."""
    w, b, c = (np.float64(layer[name]) for name in "wbc")
    v, h = states(len(c)), states(len(b))
    joint = v @ w @ h.T + h @ b + (v @ c)[:, None]
    return v, logsumexp(joint, 1) - logsumexp(joint), logsumexp(joint)


@pytest.mark.parametrize("hidden", [1, 4, 12])
def test_the_sum_over_hidden_states_is_that_over_all_states(hidden):
    layer = machine(hidden)
    v, log_probability, log_z = log_p(layer)
    np.testing.assert_allclose(jax.jit(sampling.log_partition)(layer), log_z, rtol=1e-5)
    by_summation = -BINARY.free_energy(layer, jnp.asarray(v, jnp.float32)) - sampling.log_partition(layer)
    np.testing.assert_allclose(by_summation, log_probability, rtol=1e-4, atol=1e-4)


def samples(layer, n, seed=0):
    v, log_probability, _ = log_p(layer)
    return jnp.asarray(v[np.random.default_rng(seed).choice(len(v), n, p=np.exp(log_probability))], jnp.float32)


SAMPLERS = {
    "ais": lambda key, layer, v: sampling.ais(key, layer, jnp.zeros(9), sampling.temperatures(4), 3),
    "reverse_ais": lambda key, layer, v: sampling.reverse_ais(key, layer, jnp.zeros(9), sampling.temperatures(4), v),
    "frames": lambda key, layer, v: sampling.frames(key, layer, v, 2, 3),
}


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_no_key_is_used_twice(sampler):
    with jax.debug_key_reuse(True):
        jax.jit(sampler).trace(jax.random.key(0), machine(4), jnp.ones((3, 9)))


@pytest.mark.parametrize("seed", range(3))
def test_annealing_from_both_ends_gives_log_z(seed):
    layer, betas = machine(6, seed=seed), sampling.temperatures(300)
    a = sampling.independent_pixels(samples(layer, 500))
    _, _, log_z = log_p(layer)
    forward = jax.jit(partial(sampling.ais, betas=betas, chains=300))(jax.random.key(seed), layer, a)
    backward = jax.jit(partial(sampling.reverse_ais, betas=betas))(
        jax.random.key(seed), layer, a, v=samples(layer, 300)
    )
    for estimate in (forward, backward):
        assert abs(estimate.mean - log_z) < 4 * estimate.deviation / 300**0.5 + 1e-3
        assert abs(estimate.mean - log_z) < 0.1


def test_few_temperatures_err_to_opposite_sides():
    layer, betas, chains = machine(6, scale=3.0), sampling.temperatures(2), 200
    a = sampling.independent_pixels(samples(layer, 500))
    _, _, log_z = log_p(layer)
    keys = jax.random.split(jax.random.key(0), 20)
    forward = jax.vmap(lambda key: sampling.ais(key, layer, a, betas, 3).mean)(keys)
    backward = jax.vmap(lambda key: sampling.reverse_ais(key, layer, a, betas, samples(layer, chains)[:3]).mean)(keys)
    assert forward.mean() < log_z < backward.mean()


def test_weights_without_any_way_are_the_ratio_of_the_two_distributions():
    """With two temperatures the log-weight is log p*(v; 1) - log p*(v; 0), and what it starts from is independent."""
    layer, a = machine(3), jnp.linspace(-1, 1, 9)
    estimate = sampling.reverse_ais(jax.random.key(0), layer, a, jnp.ones(2), jnp.zeros((50, 9)))
    base = np.log1p(np.exp(a)).sum() + 3 * np.log(2)
    np.testing.assert_allclose(estimate.mean, base, rtol=1e-5)
    assert estimate.deviation == 0


def test_temperatures_rise_from_0_to_1_most_of_them_near_1():
    betas = sampling.temperatures(14_500)
    assert (betas[0], betas[-1]) == (0, 1)
    assert (np.diff(betas) > 0).all()
    counts = [(betas < 0.5).sum(), ((betas >= 0.5) & (betas < 0.9)).sum(), (betas >= 0.9).sum()]
    np.testing.assert_allclose(counts, [500, 4_000, 10_000], atol=1)


def test_chains_have_the_frequencies_of_the_machine_and_every_frame_is_so_many_steps_later():
    layer = machine(4, visible=4, scale=1.0)
    v, log_probability, _ = log_p(layer)
    shown = jax.jit(partial(sampling.frames, count=300, every=5))(jax.random.key(0), layer, jnp.zeros((200, 4)))
    assert shown.shape == (300, 200, 4)
    np.testing.assert_allclose(shown[20:].mean((0, 1)), np.exp(log_probability) @ v, atol=0.01)


@pytest.mark.parametrize("every", [1, 3])
def test_a_frame_is_the_mean_of_the_pixels_after_so_many_steps(every):
    layer, start = machine(4, visible=4, scale=1.0), jnp.zeros((6, 4))
    shown, v = sampling.frames(jax.random.key(1), layer, start, 2, every), start
    for key, frame in zip(jax.random.split(jax.random.key(1), 2), shown, strict=True):
        key_steps, key_seen = jax.random.split(key)
        for one in [*jax.random.split(key_steps, every - 1), key_seen]:
            key_hidden, key_visible = jax.random.split(one)
            h = jax.random.bernoulli(key_hidden, jax.nn.sigmoid(v @ layer["w"] + layer["b"])).astype(float)
            means = jax.nn.sigmoid(h @ layer["w"].T + layer["c"])
            v = jax.random.bernoulli(key_visible, means).astype(float)
        np.testing.assert_allclose(frame, means, rtol=1e-5)


def test_binarised_pixels_are_0_or_1_with_the_mean_of_the_intensity():
    x = jnp.array([[0, 51, 255]], jnp.uint8)
    split = Labelled(jnp.repeat(x, 20_000, 0), jnp.zeros(20_000, jnp.int32))
    drawn = sampling.binarise(jax.random.key(0), split).x
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), [0, 0.2, 1], atol=0.01)


def test_pixels_that_never_vary_have_finite_log_odds():
    a = sampling.independent_pixels(jnp.array([[0.0, 1, 1], [0, 1, 0]]), smoothing=0.1)
    np.testing.assert_allclose(jax.nn.sigmoid(a), [0.05, 0.95, 0.5], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sampling.log_partition(machine(25)), "are too many to be summed"),
        (lambda: sampling.temperatures(1), "at least 2 temperatures, not 1"),
        (lambda: sampling.frames(jax.random.key(0), machine(2), jnp.zeros((1, 9)), 0, 5), "at least one frame"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
