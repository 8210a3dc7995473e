"""Losses and scores against finite differences, enumeration, NumPy, SciPy and scikit-learn."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp, softmax, xlogy
from scipy.stats import binom, chisquare, norm
from sklearn.metrics import log_loss

from dlx.inspect.check import check
from dlx.losses import adversarial, energy, reconstruction, supervised
from dlx.nets.layer import BINARY, GAUSSIAN, RELU, SIGMOID, TANH, LayerKind
from dlx.nets.mlp import mlp
from dlx.types import Labelled, Model

EXAMPLES, VISIBLE, HIDDEN, CLASSES = 6, 5, 4, 3
NET = mlp((HIDDEN,), CLASSES)
CRITIC, GENERATOR = mlp((HIDDEN,), 1), mlp((HIDDEN,), VISIBLE)
SPINS, REALS = LayerKind(TANH, TANH), LayerKind(SIGMOID, GAUSSIAN)


def random_layer(visible=VISIBLE, hidden=HIDDEN, scale=0.7, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"w": (visible, hidden), "b": (hidden,), "c": (visible,)}
    return {name: scale * rng.normal(size=shape) for name, shape in shapes.items()}


def random_params(kind):
    layer, rng = random_layer(), np.random.default_rng(1)
    if kind == "untied":
        return {**layer, "decoder": rng.normal(size=(HIDDEN, VISIBLE))}
    if kind == "players":
        shapes = {"critic": (CRITIC, VISIBLE), "generator": (GENERATOR, 2)}
        starts = {name: net.init(jax.random.key(0), jnp.zeros(size)) for name, (net, size) in shapes.items()}
        return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), starts)
    output = {"w": rng.normal(size=(HIDDEN, CLASSES)), "b": rng.normal(size=CLASSES)}
    return {"hidden_0": layer, "output": output} if kind == "net" else layer


def random_batch(binary=False):
    rng = np.random.default_rng(2)
    x = rng.random((EXAMPLES, VISIBLE))
    return Labelled((x > 0.5).astype(float) if binary else x, rng.integers(0, CLASSES, EXAMPLES))


LOSSES = {
    "cross-entropy": ("net", supervised.cross_entropy(NET)),
    "squared error": ("net", lambda *args: supervised.squared_error(NET)(*of_targets(*args))),
    "auto-associator, tied": ("layer", reconstruction.autoassociator()),
    "auto-associator, untied": ("untied", reconstruction.autoassociator()),
    "denoising, tied": ("layer", reconstruction.autoassociator(0.4)),
    "denoising, untied": ("untied", reconstruction.autoassociator(0.4)),
    "CD-1": ("layer", energy.contrastive_divergence()),
    "CD-3": ("layer", energy.contrastive_divergence(3)),
    "auto-associator, tanh": ("layer", reconstruction.autoassociator(None, SPINS)),
    "auto-associator, rectified and Gaussian": (
        "layer",
        reconstruction.autoassociator(None, LayerKind(RELU, GAUSSIAN)),
    ),
    "CD-2, tanh": ("layer", energy.contrastive_divergence(2, kind=SPINS)),
    "critic": ("players", lambda *args: critic_and_generator()[0](*of_examples(*args))),
    "generator": ("players", lambda *args: critic_and_generator()[1](*of_examples(*args))),
}


def critic_and_generator():
    return adversarial.non_saturating(GENERATOR, CRITIC, latent=2)


def of_targets(params, key, batch):
    return params, key, batch._replace(y=jnp.eye(CLASSES)[batch.y])


def of_examples(params, key, batch):
    return params, key, batch.x


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_agrees_with_central_differences(name):
    kind, loss = LOSSES[name]
    gaps = check(loss, jax.random.key(0), random_params(kind), random_batch(), worst=1000)
    assert gaps.relative < 1e-6
    assert max(abs(one.gradient) for one in gaps.worst) > 1e-2


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
        batch = Labelled(jnp.asarray(v), jnp.zeros(EXAMPLES, int))
        grads, metrics = jax.grad(energy.contrastive_divergence(k, mean_field), has_aux=True)(layer, key, batch)
    v_k = np.asarray(v_k)
    assert mean_field != (set(np.unique(v_k)) <= {0, 1})
    assert (v_k != v).any()
    h, h_k = (expit(u @ layer["w"] + layer["b"]) for u in (v, v_k))
    np.testing.assert_allclose(grads["w"], -(v.T @ h - v_k.T @ h_k) / EXAMPLES, rtol=1e-10)
    np.testing.assert_allclose(grads["b"], -(h - h_k).mean(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads["c"], -(v - v_k).mean(0), rtol=1e-10, atol=1e-12)
    assert metrics["reconstruction"] == pytest.approx(np.square(v - v_k).mean())


@pytest.mark.parametrize("kind", [REALS, LayerKind(TANH, GAUSSIAN)], ids=["sigmoid", "tanh"])
def test_with_gaussian_visible_units_it_is_a_difference_of_correlations_too(kind):
    """A sample moves with the parameters, and is held constant all the same."""
    layer, v, key = random_layer(), random_batch().x, jax.random.key(1)
    with jax.enable_x64(True):
        layer = jax.tree.map(jnp.asarray, layer)
        v_k = np.asarray(energy.gibbs_chain(key, layer, jnp.asarray(v), 2, kind=kind))
        loss = energy.contrastive_divergence(2, kind=kind)
        grads, _ = jax.grad(loss, has_aux=True)(layer, key, Labelled(jnp.asarray(v), jnp.zeros(EXAMPLES, int)))
    mean = expit if kind is REALS else np.tanh
    h, h_k = (mean(u @ np.asarray(layer["w"]) + np.asarray(layer["b"])) for u in (v, v_k))
    np.testing.assert_allclose(grads["w"], -(v.T @ h - v_k.T @ h_k) / EXAMPLES, rtol=1e-10)
    np.testing.assert_allclose(grads["b"], -(h - h_k).mean(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grads["c"], -(v - v_k).mean(0), rtol=1e-10, atol=1e-12)


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
        energies = np.asarray(BINARY.free_energy(layer, jnp.asarray(states(4))))
    np.testing.assert_allclose(energies, -logsumexp(joint_log_weights(layer), axis=1), rtol=1e-12)
    assert logsumexp(-energies) == pytest.approx(logsumexp(joint_log_weights(layer)), rel=1e-12)


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
    samples = np.asarray(jax.jit(energy.gibbs)(key, layer, jnp.asarray(v, jnp.float32)))
    return np.bincount((samples @ [4, 2, 1]).astype(int), minlength=8)


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
    batch = Labelled(jnp.tile(jnp.asarray(v, jnp.float32), (n, 1)), jnp.zeros(n, jnp.int32))
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
        nats = BINARY.nats(jnp.asarray(u), jnp.asarray(x))
    np.testing.assert_allclose(nats, -(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum(-1), rtol=1e-10)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_reconstruction_cross_entropy_and_its_slope_are_exact_at_extreme_logits(logit, target):
    u, x = jnp.array([logit]), jnp.array([target])
    value, slope = jax.value_and_grad(BINARY.nats)(u, x)
    wrong = 1 - target if logit > 0 else target
    assert value == pytest.approx(1e4 * wrong)
    assert float(slope[0]) == pytest.approx((logit > 0) - target)


@pytest.mark.parametrize("kind", ["layer", "untied"])
def test_a_reconstruction_is_decoded_by_the_transpose_or_by_a_matrix_of_its_own(kind):
    layer, x = random_params(kind), random_batch().x
    decoder = layer["decoder"] if kind == "untied" else layer["w"].T
    with jax.enable_x64(True):
        inputs = BINARY.decode_inputs(layer, BINARY.encode(layer, jnp.asarray(x)))
    expected = expit(x @ layer["w"] + layer["b"]) @ decoder + layer["c"]
    np.testing.assert_allclose(inputs, expected, rtol=1e-10)


def test_reconstruction_score_is_the_loss_example_by_example():
    layer = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_layer())
    batch = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_batch())
    scores = reconstruction.reconstruction()(layer, batch)
    assert scores.shape == (EXAMPLES,)
    assert scores.mean() == pytest.approx(reconstruction.autoassociator()(layer, jax.random.key(0), batch)[0])


def given_logits(values):
    """A net that ignores its input."""
    values = jnp.asarray(values)
    return Model(lambda key, x: None, lambda params, x: values, lambda params, key, x: (values, {}))


def test_cross_entropy_agrees_with_scikit_learn():
    rng = np.random.default_rng(7)
    values, y = rng.normal(0, 4, (50, 10)).astype(np.float32), rng.integers(0, 10, 50).astype(np.int32)
    loss, metrics = supervised.cross_entropy(given_logits(values))(None, jax.random.key(0), Labelled(y, y))
    p = softmax(values.astype(float), axis=1)
    assert float(loss) == pytest.approx(log_loss(y, p, labels=range(10)), rel=1e-5)
    assert metrics == {}


def test_misclassified_agrees_with_numpy():
    rng = np.random.default_rng(8)
    values, y = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 3, 50).astype(np.int32)
    errors = supervised.misclassified(given_logits(values))(None, Labelled(y, y))
    assert errors.dtype == jnp.float32
    np.testing.assert_array_equal(errors, values.argmax(1) != y)


def spying(seen):
    """A layer whose hidden units note their inputs."""
    return LayerKind(RELU._replace(mean=lambda u: seen.append(u) or u))


@pytest.mark.parametrize("masking", [0.0, 0.25, 0.9, 1.0])
def test_denoising_sets_the_expected_fraction_of_the_inputs_to_zero(masking):
    """Through a layer that hands the corrupted input on, to visible units whose log-odds are 2."""
    seen, layer = (
        [],
        {"w": jnp.eye(100), "b": jnp.zeros(100), "decoder": jnp.zeros((100, 100)), "c": jnp.full(100, 2.0)},
    )
    x = jnp.full((200, 100), 0.5)
    batch = Labelled(x, jnp.zeros(200, jnp.int32))
    loss, _ = reconstruction.autoassociator(masking, spying(seen))(layer, jax.random.key(9), batch)
    (corrupted,) = seen
    assert set(np.unique(corrupted)) <= {0.0, 0.5}
    low, high = binom.interval(0.999, x.size, masking)
    assert low <= np.count_nonzero(corrupted == 0) <= high
    each_unit = np.logaddexp(0, 2) - 0.5 * 2
    assert loss == pytest.approx(100 * each_unit, rel=1e-5), "the target is the input without noise"


def test_denoising_corrupts_each_unit_of_each_example_by_itself():
    seen, n, visible, masking = [], 200, 100, 0.25
    layer = {"w": jnp.eye(visible), "b": jnp.zeros(visible), "c": jnp.zeros(visible)}
    batch = Labelled(jnp.full((n, visible), 0.5), jnp.zeros(n, jnp.int32))
    for seed in range(2):
        reconstruction.autoassociator(masking, spying(seen))(layer, jax.random.key(seed), batch)
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
        value, metrics = reconstruction.autoassociator(masking)(
            layer, key, Labelled(jnp.asarray(x), jnp.zeros(EXAMPLES, int))
        )
    p = expit(expit(np.where(masked, 0, x) @ layer["w"] + layer["b"]) @ layer["w"].T + layer["c"])
    assert 0 < masked.sum() < masked.size
    assert float(value) == pytest.approx(-(xlogy(x, p) + xlogy(1 - x, 1 - p)).sum(1).mean(), rel=1e-10)
    assert metrics == {}


def test_masking_none_equals_masking_zero():
    layer = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_layer())
    batch = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), random_batch())
    key = jax.random.key(10)
    without, zero = (
        jax.grad(reconstruction.autoassociator(m), has_aux=True)(layer, key, batch)[0] for m in (None, 0.0)
    )
    jax.tree.map(np.testing.assert_array_equal, without, zero)


def test_energies_of_tanh_units_agree_with_the_enumeration_of_all_states():
    layer, spins = random_layer(4, 3, scale=0.7), lambda n: 2 * states(n) - 1
    w, b, c = layer["w"], layer["b"], layer["c"]
    joint = np.einsum("vi,ij,hj->vh", spins(4), w, spins(3)) + (spins(4) @ c)[:, None] + spins(3) @ b
    with jax.enable_x64(True):
        energies = np.asarray(SPINS.free_energy(layer, jnp.asarray(spins(4))))
        means = np.asarray(SPINS.encode(layer, jnp.asarray(spins(4))))
    np.testing.assert_allclose(energies, -logsumexp(joint, axis=1), rtol=1e-12)
    np.testing.assert_allclose(means, softmax(joint, axis=1) @ spins(3), rtol=1e-10, atol=1e-12)


def test_energies_of_gaussian_visible_units_integrate_to_the_sum_over_hidden_states():
    """In one dimension, against a fine grid: p(v) is a mixture of normal distributions."""
    layer = random_layer(1, 3, scale=0.9)
    grid = np.linspace(-30, 30, 60_001)
    h = states(3)
    mean, weight = h @ layer["w"][0] + layer["c"][0], h @ layer["b"]
    log_z = logsumexp(weight + mean**2 / 2) + np.log(2 * np.pi) / 2
    with jax.enable_x64(True):
        energies = np.asarray(REALS.free_energy(layer, jnp.asarray(grid[:, None])))
    assert logsumexp(-energies) + np.log(grid[1] - grid[0]) == pytest.approx(log_z, rel=1e-9)
    shares = softmax(weight + mean**2 / 2)
    expected = norm.pdf(grid[:, None], mean, 1) @ shares
    np.testing.assert_allclose(np.exp(-energies - log_z), expected, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize("units", [SIGMOID, TANH, GAUSSIAN], ids=lambda units: units.name)
def test_samples_have_the_mean_and_the_variance_that_the_log_partition_gives(units):
    """A'(u) and A''(u)."""
    n, inputs = 40_000, jnp.array([-1.0, 0.0, 0.3, 2.0])
    samples = np.asarray(units.sample(jax.random.key(0), jnp.tile(inputs, (n, 1))))
    mean, variance = (
        np.asarray(jax.vmap(slope)(inputs))
        for slope in (jax.grad(units.log_partition), jax.grad(jax.grad(units.log_partition)))
    )
    np.testing.assert_allclose(units.mean(inputs), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(samples.mean(0), mean, atol=5 * np.sqrt(variance.max() / n))
    np.testing.assert_allclose(samples.var(0), variance, atol=0.05)


def test_nats_of_gaussian_units_are_half_the_squared_error_and_of_tanh_units_a_cross_entropy():
    rng = np.random.default_rng(12)
    u, x = rng.normal(size=(7, 9)), rng.normal(size=(7, 9))
    spins, p = np.sign(x), expit(2 * u)
    with jax.enable_x64(True):
        gaussian, tanh = REALS.nats(jnp.asarray(u), jnp.asarray(x)), SPINS.nats(jnp.asarray(u), jnp.asarray(spins))
    np.testing.assert_allclose(gaussian, np.square(u - x).sum(1) / 2, rtol=1e-10)
    np.testing.assert_allclose(tanh, -np.log(np.where(spins > 0, p, 1 - p)).sum(1), rtol=1e-10)


@pytest.mark.parametrize("kind", [SPINS, REALS, LayerKind(TANH, GAUSSIAN)], ids=["spins", "reals", "both"])
def test_every_step_of_a_chain_draws_from_the_units_of_its_layer(kind):
    layer, v = jax.tree.map(jnp.float32, random_layer()), np.asarray(random_batch(binary=True).x, np.float32)

    def drawn(units, key, u):
        if units is GAUSSIAN:
            return u + np.asarray(jax.random.normal(key, u.shape))
        spins = units is TANH
        on = np.asarray(jax.random.bernoulli(key, jnp.asarray(expit((1 + spins) * u), jnp.float32)))
        return (2 * on - 1 if spins else on).astype(np.float32)

    end = energy.gibbs_chain(jax.random.key(3), layer, jnp.asarray(v), 3, kind=kind)
    for key in jax.random.split(jax.random.key(3), 3):
        key_hidden, key_visible = jax.random.split(key)
        h = drawn(kind.hidden, key_hidden, v @ np.asarray(layer["w"]) + layer["b"])
        v = drawn(kind.visible, key_visible, h @ np.asarray(layer["w"]).T + layer["c"])
    np.testing.assert_allclose(end, v, rtol=1e-4, atol=1e-5)


def test_a_chain_of_many_steps_is_one_step_after_the_other_and_compiles_as_one():
    layer = jax.tree.map(jnp.float32, random_layer())
    v, keys = jnp.asarray(random_batch(binary=True).x, jnp.float32), jax.random.split(jax.random.key(3), 100)
    end = jax.jit(partial(energy.gibbs_chain, k=100))(jax.random.key(3), layer, v)
    for key in keys:
        v = energy.gibbs(key, layer, v)
    np.testing.assert_array_equal(end, v)

    def operations(k):
        loss, batch = energy.contrastive_divergence(k), jax.tree.map(jnp.asarray, random_batch())
        return len(str(jax.make_jaxpr(jax.grad(loss, has_aux=True))(layer, jax.random.key(0), batch)))

    assert operations(100) < 1.1 * operations(2)


def test_the_players_losses_are_cross_entropies_of_true_and_made_examples():
    params, x = random_params("players"), random_batch().x
    critic_loss, generator_loss = critic_and_generator()
    with jax.enable_x64(True):
        params, x = jax.tree.map(jnp.asarray, (params, x))
        values = [loss(params, jax.random.key(4), x)[0] for loss in (critic_loss, generator_loss)]
        made = []
        for number, parts in enumerate((3, 2)):
            noise = jax.random.normal(jax.random.split(jax.random.split(jax.random.key(4), parts)[0])[0], (EXAMPLES, 2))
            made.append(CRITIC.apply(params["critic"], GENERATOR.apply(params["generator"], noise)))
            assert noise.dtype == x.dtype, number
        logits = np.concatenate([CRITIC.apply(params["critic"], x), made[0]])[:, 0]
    truth = np.repeat([1, 0], EXAMPLES)
    assert float(values[0]) == pytest.approx(2 * log_loss(truth, expit(logits)), rel=1e-6)
    ones = np.ones(EXAMPLES)
    assert float(values[1]) == pytest.approx(log_loss(ones, expit(np.asarray(made[1])[:, 0]), labels=[0, 1]), rel=1e-6)


def test_what_a_net_carries_goes_through_the_loss_beside_its_value():
    net = given_logits(np.zeros((4, 3), np.float32))
    carrying = net._replace(train=lambda params, key, x: (net.apply(params, x), {"seen": x.sum()}))
    batch = Labelled(jnp.ones((4, 2)), jnp.zeros(4, jnp.int32))
    value, metrics = supervised.cross_entropy(carrying)(None, jax.random.key(0), batch)
    assert float(value) == pytest.approx(np.log(3))
    assert metrics == {"carried": {"seen": 8}}


def test_squared_error_is_scikit_learns_summed_over_outputs():
    from sklearn.metrics import mean_squared_error

    params, (x, y) = jax.tree.map(jnp.asarray, random_params("net")), random_batch()
    batch = Labelled(jnp.asarray(x, jnp.float32), jnp.eye(CLASSES)[y])
    expected = CLASSES * mean_squared_error(batch.y, NET.apply(params, batch.x))
    assert supervised.squared_error(NET)(params, jax.random.key(0), batch)[0] == pytest.approx(expected, rel=1e-5)
    assert supervised.squared_distance(NET)(params, batch).mean() == pytest.approx(expected, rel=1e-5)
