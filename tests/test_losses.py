"""Losses and scores against finite differences, enumeration, NumPy, SciPy and scikit-learn."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.special import expit, logsumexp, softmax, xlogy
from scipy.stats import binom, chisquare
from sklearn.metrics import log_loss

from dlx.losses import energy, reconstruction, supervised
from dlx.nets.mlp import MLP, logits
from dlx.types import Split

EXAMPLES, VISIBLE, HIDDEN, CLASSES = 6, 5, 4, 3
NET = MLP((HIDDEN,), classes=CLASSES)


def random_layer(visible=VISIBLE, hidden=HIDDEN, scale=0.7, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"w": (visible, hidden), "b": (hidden,), "c": (visible,)}
    return {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}


def random_params(kind):
    layer, rng = random_layer(), np.random.default_rng(1)
    if kind == "untied":
        return {**layer, "decoder": rng.normal(size=(HIDDEN, VISIBLE))}
    output = {"w": rng.normal(size=(HIDDEN, CLASSES)), "b": rng.normal(size=CLASSES)}
    return {"hidden_0": layer, "output": output} if kind == "net" else layer


def random_batch(binary=False):
    rng = np.random.default_rng(2)
    x = rng.random((EXAMPLES, VISIBLE))
    return Split((x > 0.5).astype(float) if binary else x, rng.integers(0, CLASSES, EXAMPLES))


LOSSES = {
    "cross-entropy": ("net", supervised.cross_entropy(partial(logits, NET))),
    "auto-associator, tied": ("layer", reconstruction.autoassociator()),
    "auto-associator, untied": ("untied", reconstruction.autoassociator()),
    "denoising, tied": ("layer", reconstruction.autoassociator(0.4)),
    "denoising, untied": ("untied", reconstruction.autoassociator(0.4)),
    "CD-1": ("layer", energy.contrastive_divergence()),
    "CD-3": ("layer", energy.contrastive_divergence(3)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_agrees_with_central_differences(name):
    kind, loss = LOSSES[name]
    with jax.enable_x64(True):
        batch = jax.tree.map(jnp.asarray, random_batch())
        flat, restore = ravel_pytree(jax.tree.map(jnp.asarray, random_params(kind)))

        def value(flat):
            return loss(restore(flat), jax.random.key(0), batch)[0]

        steps = 1e-6 * jnp.eye(flat.size)
        found, slopes = jax.jit(
            lambda flat: (jax.grad(value)(flat), jax.vmap(lambda d: value(flat + d) - value(flat - d))(steps))
        )(flat)
        np.testing.assert_allclose(found, slopes / 2e-6, rtol=1e-5, atol=1e-8)
        assert np.abs(found).max() > 1e-2


@pytest.mark.parametrize("mean_field", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_contrastive_divergence_gradient_is_the_difference_of_correlations(k, mean_field):
    layer, v = random_layer(), random_batch(binary=True).x
    with jax.enable_x64(True):
        key = jax.random.key(1)
        v_k = jnp.asarray(v)
        for i, key_step in enumerate(jax.random.split(key, k)):
            assert set(np.unique(v_k)) <= {0, 1}
            v_k = energy.gibbs(key_step, layer, v_k, mean_field and i == k - 1)
        batch = Split(jnp.asarray(v), jnp.zeros(EXAMPLES, int))
        grads, metrics = jax.grad(energy.contrastive_divergence(k, mean_field), has_aux=True)(layer, key, batch)
    v_k = np.asarray(v_k)
    assert mean_field != (set(np.unique(v_k)) <= {0, 1})
    assert (v_k != v).any()
    h, h_k = (expit(u @ layer["w"] + layer["b"]) for u in (v, v_k))
    np.testing.assert_allclose(grads["w"], -(v.T @ h - v_k.T @ h_k) / EXAMPLES, rtol=1e-10)
    np.testing.assert_allclose(grads["b"], -(h - h_k).mean(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads["c"], -(v - v_k).mean(0), rtol=1e-10, atol=1e-12)
    assert metrics["reconstruction"] == pytest.approx(np.square(v - v_k).mean())


def test_mean_field_is_the_mean_of_the_samples():
    """Given the same hidden sample, which the same key draws."""
    layer = {name: value.astype(np.float32) for name, value in random_layer(3, 1, scale=2).items()}
    v = jnp.ones((20_000, 3))
    sampled, mean = (energy.gibbs(jax.random.key(2), layer, v, mean_field) for mean_field in (False, True))
    for p in np.unique(mean, axis=0):
        rows = np.isclose(mean, p).all(1)
        np.testing.assert_allclose(np.asarray(sampled)[rows].mean(0), p, atol=4 * 0.5 / rows.sum() ** 0.5)


def test_contrastive_divergence_needs_a_step():
    with pytest.raises(ValueError, match="at least one Gibbs step, not 0"):
        energy.contrastive_divergence(0)


def states(n):
    return np.array(list(product([0.0, 1.0], repeat=n)))


def joint_log_weights(layer):
    """-E(v, h) of every pair of states [2 ** visible, 2 ** hidden]."""
    w, b, c = layer["w"], layer["b"], layer["c"]
    v, h = states(len(c)), states(len(b))
    return np.einsum("vi,ij,hj->vh", v, w, h) + (v @ c)[:, None] + h @ b


def visible_distribution(layer):
    weights = logsumexp(joint_log_weights(layer), axis=1)
    return np.exp(weights - logsumexp(weights))


def test_free_energy_agrees_with_the_enumeration_of_all_states():
    layer = random_layer(4, 3, scale=1.5)
    with jax.enable_x64(True):
        found = np.asarray(energy.free_energy(layer, jnp.asarray(states(4))))
    np.testing.assert_allclose(found, -logsumexp(joint_log_weights(layer), axis=1), rtol=1e-12)
    assert logsumexp(-found) == pytest.approx(logsumexp(joint_log_weights(layer)), rel=1e-12)


def transition_matrix(layer):
    """P(v' | v) of one Gibbs step, by enumeration of h."""
    v, h = states(len(layer["c"])), states(len(layer["b"]))
    up = expit(v @ layer["w"] + layer["b"])[:, None]
    down = expit(h @ layer["w"].T + layer["c"])[:, None]
    p_h = np.where(h == 1, up, 1 - up).prod(-1)
    p_v = np.where(v == 1, down, 1 - down).prod(-1)
    return p_h @ p_v


def counts_after_gibbs(key, layer, v):
    """How often each state is reached by one step from v [n, 3]."""
    found = np.asarray(jax.jit(energy.gibbs)(key, layer, jnp.asarray(v, jnp.float32)))
    return np.bincount((found @ [4, 2, 1]).astype(int), minlength=8)


@pytest.mark.parametrize("hidden", [3, 4], ids=["as many hidden as visible units", "more hidden units"])
def test_gibbs_samples_the_exact_transition_and_leaves_the_distribution_invariant(hidden):
    layer, n = random_layer(3, hidden, scale=0.8, seed=3), 40_000
    exact, transition = visible_distribution(layer), transition_matrix(layer)
    np.testing.assert_allclose(exact @ transition, exact, rtol=1e-10)

    layer = {name: value.astype(np.float32) for name, value in layer.items()}
    keys = jax.random.split(jax.random.key(4), 9)
    start = states(3)[np.random.default_rng(5).choice(8, n, p=exact)]
    assert chisquare(counts_after_gibbs(keys[8], layer, start), n * exact).pvalue > 1e-3
    for key, v, row in zip(keys[:8], states(3), transition, strict=True):
        assert chisquare(counts_after_gibbs(key, layer, np.tile(v, (n, 1))), n * row).pvalue > 1e-3


@pytest.mark.parametrize(("k", "mean_field"), [(1, False), (1, True), (3, False), (3, True)])
def test_the_mean_update_of_contrastive_divergence_is_that_of_k_exact_transitions(k, mean_field):
    """With as many hidden as visible units, over 40 000 chains from one state, against the enumeration of all paths."""
    layer, n, v = random_layer(3, 3, scale=1.5, seed=8), 40_000, np.array([1.0, 0.0, 1.0])
    seen, hidden = states(3), states(3)
    before = np.linalg.matrix_power(transition_matrix(layer), k - mean_field)[5]  # state 5 is [1, 0, 1]
    if mean_field:
        up = expit(seen @ layer["w"] + layer["b"])[:, None]
        ends = expit(hidden @ layer["w"].T + layer["c"])
        weights = before @ np.where(hidden == 1, up, 1 - up).prod(-1)
    else:
        ends, weights = seen, before
    codes = expit(ends @ layer["w"] + layer["b"])
    start = expit(v @ layer["w"] + layer["b"])
    expected = {
        "w": np.einsum("s,si,sj->ij", weights, ends, codes) - np.outer(v, start),
        "b": weights @ codes - start,
        "c": weights @ ends - v,
    }
    batch = Split(jnp.tile(jnp.asarray(v, jnp.float32), (n, 1)), jnp.zeros(n, jnp.int32))
    update = jax.jit(jax.grad(energy.contrastive_divergence(k, mean_field), has_aux=True))
    grads, metrics = update(jax.tree.map(jnp.float32, layer), jax.random.key(6), batch)
    jax.tree.map(partial(np.testing.assert_allclose, atol=5 * 0.5 / n**0.5), grads, expected)
    squared = weights @ np.square(ends - v).mean(-1)
    assert float(metrics["reconstruction"]) == pytest.approx(squared, abs=5 * 0.5 / n**0.5)


def test_reconstruction_cross_entropy_agrees_with_scipy():
    rng = np.random.default_rng(6)
    u, x = rng.normal(0, 3, (7, 9)), rng.random((7, 9)).round(1)
    x[0], x[1] = 0, 1
    p = expit(u)
    with jax.enable_x64(True):
        found = reconstruction.cross_entropy(jnp.asarray(u), jnp.asarray(x))
    np.testing.assert_allclose(found, -(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum(-1), rtol=1e-10)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_reconstruction_cross_entropy_and_its_slope_are_exact_at_extreme_logits(logit, target):
    u, x = jnp.array([logit]), jnp.array([target])
    value, slope = jax.value_and_grad(reconstruction.cross_entropy)(u, x)
    wrong = 1 - target if logit > 0 else target
    assert value == pytest.approx(1e4 * wrong)
    assert float(slope[0]) == pytest.approx((logit > 0) - target)


@pytest.mark.parametrize("kind", ["layer", "untied"])
def test_a_reconstruction_is_decoded_by_the_transpose_or_by_a_matrix_of_its_own(kind):
    layer, x = random_params(kind), random_batch().x
    decoder = layer["decoder"] if kind == "untied" else layer["w"].T
    with jax.enable_x64(True):
        found = reconstruction.reconstruct_logits(layer, jnp.asarray(x))
    expected = expit(x @ layer["w"] + layer["b"]) @ decoder + layer["c"]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_reconstruction_score_is_the_loss_example_by_example():
    layer = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_layer())
    batch = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_batch())
    scores = reconstruction.reconstruction()(layer, batch)
    assert scores.shape == (EXAMPLES,)
    assert scores.mean() == pytest.approx(reconstruction.autoassociator()(layer, jax.random.key(0), batch)[0])


def given_logits(values):
    """A net that ignores its input."""
    return lambda params, x: jnp.asarray(values)


def test_cross_entropy_agrees_with_scikit_learn():
    rng = np.random.default_rng(7)
    values, y = rng.normal(0, 4, (50, 10)).astype(np.float32), rng.integers(0, 10, 50).astype(np.int32)
    loss, metrics = supervised.cross_entropy(given_logits(values))(None, jax.random.key(0), Split(y, y))
    p = softmax(values.astype(float), axis=1)
    assert float(loss) == pytest.approx(log_loss(y, p, labels=range(10)), rel=1e-5)
    assert metrics == {}


def test_misclassified_agrees_with_numpy():
    rng = np.random.default_rng(8)
    values, y = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 3, 50).astype(np.int32)
    found = supervised.misclassified(given_logits(values))(None, Split(y, y))
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, values.argmax(1) != y)


@pytest.mark.parametrize("masking", [0.0, 0.25, 0.9, 1.0])
def test_denoising_sets_the_expected_fraction_of_the_inputs_to_zero(monkeypatch, masking):
    seen = []

    def spy(layer, x):
        seen.append(x)
        return jnp.full_like(x, 2)

    monkeypatch.setattr(reconstruction, "reconstruct_logits", spy)
    x = jnp.full((200, 100), 0.5)
    batch = Split(x, jnp.zeros(200, jnp.int32))
    loss, _ = reconstruction.autoassociator(masking)(None, jax.random.key(9), batch)
    (corrupted,) = seen
    assert set(np.unique(corrupted)) <= {0.0, 0.5}
    low, high = binom.interval(0.999, x.size, masking)
    assert low <= np.count_nonzero(corrupted == 0) <= high
    each_unit = np.logaddexp(0, 2) - 0.5 * 2
    assert loss == pytest.approx(100 * each_unit, rel=1e-5), "the target is the input without noise"


def test_denoising_corrupts_each_unit_of_each_example_by_itself(monkeypatch):
    seen, n, visible, masking = [], 200, 100, 0.25
    monkeypatch.setattr(reconstruction, "reconstruct_logits", lambda layer, x: seen.append(x) or x)
    batch = Split(jnp.full((n, visible), 0.5), jnp.zeros(n, jnp.int32))
    for seed in range(2):
        reconstruction.autoassociator(masking)(None, jax.random.key(seed), batch)
    first, second = (np.asarray(x == 0) for x in seen)
    for masked, of in ((first.sum(0), n), (first.sum(1), visible)):
        low, high = binom.interval(1 - 1e-6, of, masking)
        assert low <= masked.min() <= masked.max() <= high
    assert len(np.unique(first, axis=0)) == n
    assert len(np.unique(first, axis=1).T) == visible
    assert (first != second).mean() > masking * (1 - masking), "another key, another mask"


def test_denoising_is_the_cross_entropy_of_the_clean_input_given_the_code_of_the_corrupted_one():
    layer, x, masking = random_layer(), random_batch().x, 0.4
    with jax.enable_x64(True):
        key = jax.random.key(11)
        masked = np.asarray(jax.random.bernoulli(key, masking, x.shape))
        found, metrics = reconstruction.autoassociator(masking)(
            layer, key, Split(jnp.asarray(x), jnp.zeros(EXAMPLES, int))
        )
    p = expit(expit(np.where(masked, 0, x) @ layer["w"] + layer["b"]) @ layer["w"].T + layer["c"])
    assert 0 < masked.sum() < masked.size
    assert float(found) == pytest.approx(-(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum(1).mean(), rel=1e-10)
    assert metrics == {}


def test_masking_none_equals_masking_zero():
    layer = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_layer())
    batch = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_batch())
    key = jax.random.key(10)
    without, zero = (jax.grad(reconstruction.autoassociator(m), has_aux=True)(layer, key, batch)[0]
                     for m in (None, 0.0))  # fmt: skip
    jax.tree.map(np.testing.assert_array_equal, without, zero)
