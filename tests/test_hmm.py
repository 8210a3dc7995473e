"""Forward-backward against the sum over all paths of states, and samples against the model that they are drawn from."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from dlx import hmm

STATES, SYMBOLS, STEPS = 3, 4, 5


def random_model(seed=0):
    rng = np.random.default_rng(seed)
    return hmm.HMM(*(rng.dirichlet(np.ones(size), n) for n, size in ((1, STATES), (STATES, STATES), (STATES, SYMBOLS))))


START, TRANSITION, EMISSION = random_model()
MODEL = hmm.HMM(START[0], TRANSITION, EMISSION)
STUCK = hmm.HMM(np.array([1.0, 0, 0]), np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1.0]]), EMISSION)


def joint(model, states, symbols):
    """p(z_1..z_T, x_1..x_T)."""
    p = model.start[states[0]] * model.emission[states[0], symbols[0]]
    for t in range(1, len(states)):
        p *= model.transition[states[t - 1], states[t]] * model.emission[states[t], symbols[t]]
    return p


def by_paths(model, symbols):
    """p(x_1..x_T), and of each step and state p(x_1..x_t, z_t) and p(z_t | x_1..x_T), all paths enumerated."""
    whole = {path: joint(model, path, symbols) for path in product(range(STATES), repeat=len(symbols))}
    total, before, after = sum(whole.values()), np.zeros((len(symbols), STATES)), np.zeros((len(symbols), STATES))
    for t in range(len(symbols)):
        for path in product(range(STATES), repeat=t + 1):
            before[t, path[-1]] += joint(model, path, symbols[: t + 1])
        for path, p in whole.items():
            after[t, path[t]] += p / total
    return total, before, after


@pytest.mark.parametrize("model", [MODEL, STUCK], ids=["any", "with zeros"])
def test_it_is_the_sum_over_all_paths(model):
    symbols = np.random.default_rng(1).integers(0, SYMBOLS, (2, STEPS))
    with jax.enable_x64(True):
        given = jax.tree.map(jnp.asarray, (model, symbols))
        found = [
            np.exp(of(*given)) for of in (hmm.log_likelihood, hmm.forward, hmm.filtered, hmm.smoothed, hmm.backward)
        ]
    for i, sequence in enumerate(symbols):
        total, before, after = by_paths(model, sequence)
        likelihood, forward, filtered, smoothed, backward = (one[i] for one in found)
        np.testing.assert_allclose(likelihood, total, rtol=1e-12)
        np.testing.assert_allclose(forward, before, rtol=1e-12)
        np.testing.assert_allclose(filtered, before / before.sum(-1, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(smoothed, after, rtol=1e-12)
        np.testing.assert_allclose(forward * backward, total * after, rtol=1e-12)


def test_long_sequences_do_not_underflow():
    symbols = np.zeros((2000,), int)
    smoothed = hmm.smoothed(jax.tree.map(jnp.float32, MODEL), jnp.asarray(symbols))
    assert np.isfinite(smoothed).all()
    np.testing.assert_allclose(np.exp(smoothed).sum(-1), 1, rtol=1e-4)


def test_samples_have_the_frequencies_of_the_model():
    states, symbols = hmm.sample(jax.random.key(0), jax.tree.map(jnp.asarray, MODEL), 4000, 3)
    assert states.shape == symbols.shape == (4000, 3)
    paths, counts = np.unique(np.concatenate([states, symbols], 1), axis=0, return_counts=True)
    seen = {tuple(path): count for path, count in zip(paths, counts, strict=True)}
    expected = {
        (*z, *x): 4000 * joint(MODEL, z, x)
        for z in product(range(STATES), repeat=3)
        for x in product(range(SYMBOLS), repeat=3)
    }
    often = [path for path, count in expected.items() if count >= 5]
    rest = 4000 - sum(expected[path] for path in often)
    observed = [*(seen.get(path, 0) for path in often), 4000 - sum(seen.get(path, 0) for path in often)]
    assert chisquare(observed, [*(expected[path] for path in often), rest]).pvalue > 0.001
    twice = hmm.sample(jax.random.key(0), jax.tree.map(jnp.asarray, MODEL), 4000, 3)
    np.testing.assert_array_equal(twice.states, states)


@pytest.mark.parametrize(("n", "steps"), [(0, 3), (3, 0)])
def test_nothing_is_not_drawn(n, steps):
    with pytest.raises(ValueError, match=f"{n} sequences of {steps} steps"):
        hmm.sample(jax.random.key(0), MODEL, n, steps)


@pytest.mark.parametrize("model", [MODEL, STUCK], ids=["any", "with zeros"])
def test_a_data_set_has_the_frequencies_of_its_model(model):
    made = hmm.dataset("a model", model, STEPS, (20_000, 7, 3))
    assert [split.x.shape for split in made.data] == [split.y.shape for split in made.data]
    assert [split.x.shape for split in made.data] == [(20_000, STEPS), (7, STEPS), (3, STEPS)]
    assert (made.shape, made.classes) == ((STEPS,), STATES)
    x, y = made.data.train
    pairs = {"start": (y[:, 0],), "transition": (y[:, :-1], y[:, 1:]), "emission": (y, x)}
    for name, places in pairs.items():
        true, counts = np.asarray(getattr(model, name)), np.zeros(getattr(model, name).shape)
        np.add.at(counts, places, 1)
        expected = true * (counts.sum(-1, keepdims=True) if counts.ndim > 1 else len(y))
        assert not counts[true == 0].any()
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_a_data_set_without_sequences_is_refused():
    with pytest.raises(ValueError, match="choose 1 or more"):
        hmm.dataset("none", MODEL, STEPS, (5, 0, 5))
