"""Update rules of all kinds through the one `fit`, each against something known."""

from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from scipy.special import logsumexp

from dlx.algorithms import adversarial, gradient, persistent
from dlx.data import load
from dlx.losses.adversarial import non_saturating
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import BINARY
from dlx.nets.mlp import mlp
from dlx.nets.module import model
from dlx.nets.rectified import rectified
from dlx.optim import adam, halve_on_plateau, sgd
from dlx.train import fit, generated, minibatches, valid
from dlx.types import CARRIED, Data, Labelled

NET = mlp((8,))
KEY = jax.random.key(0)


def test_what_a_loss_carries_is_seen_by_neither_gradient_nor_optimizer(float_data):
    """Two updates: the entry scales the loss and is doubled by it; the rule's updates depend on the norm of all."""
    params, batch = NET.init(KEY, np.zeros(64)), jax.tree.map(jnp.asarray, float_data.train)
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), adam(0.1), optax.add_decayed_weights(0.1))

    def loss(params, key, batch):
        value, _ = cross_entropy(NET)({"hidden_0": params["hidden_0"], "output": params["output"]}, key, batch)
        return params["scale"] * value, {CARRIED: {"scale": 2 * params["scale"]}, "value": value}

    algorithm = gradient(loss, optimizer)
    state, inner = algorithm.init(KEY, {**params, "scale": jnp.float32(3)}), optimizer.init(params)
    slope = jax.jit(jax.value_and_grad(lambda p, s: loss({**p, "scale": s}, KEY, batch)[0]))
    for scale in (3, 6):
        value, grads = slope(params, float(scale))
        updates, inner = jax.jit(optimizer.update)(grads, inner, params)
        params = optax.apply_updates(params, updates)
        state, metrics = jax.jit(algorithm.step)(KEY, state, batch)
        assert metrics["loss"] == pytest.approx(float(value))
        assert set(metrics) == {"loss", "value"}
        close = partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
        jax.tree.map(close, state.params, {**params, "scale": np.float32(2 * scale)})


def test_the_optimizer_is_told_the_value_of_the_loss():
    """The rate falls by a half as soon as the loss has not improved for two steps, which here is never and always."""

    def rates(slope):
        plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=2)

        def loss(params, key, batch):
            return slope * params.sum(), {}

        algorithm = gradient(loss, optax.chain(sgd(0.1), plateau))
        state, scales = algorithm.init(KEY, jnp.ones(3)), []
        for _ in range(6):
            state, _ = jax.jit(algorithm.step)(KEY, state, None)
            scales.append(float(state.optimizer[1].scale))
        return scales

    assert rates(1.0) == [1] * 6
    assert rates(0.0) == [1, 1, 0.5, 0.5, 0.25, 0.25]


def halvings(scores, patience):
    """What the rate is multiplied by after these scores: the rule in plain Python."""
    scale, best, waited = 1.0, np.inf, 0
    for score in scores:
        waited = 0 if score < best else waited + 1
        best = min(best, score)
        if waited == patience:
            scale, waited = scale / 2, 0
    return scale


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_the_rate_is_halved_whenever_the_score_has_not_improved_for_so_many_epochs(patience):
    """Of a loss of slope 1 a step is the rate. A hundred runs, whose scores have many ties."""
    scores = np.random.default_rng(0).integers(0, 6, (100, 12)).astype(np.float32)
    algorithm = gradient(lambda w, key, batch: (w, {}), *halve_on_plateau(sgd(1.0), patience))
    state = jax.vmap(lambda w: algorithm.init(KEY, w))(jnp.zeros(100))
    for epoch in range(12):
        stepped, _ = jax.vmap(lambda one: algorithm.step(KEY, one, None))(state)
        expected = [halvings(line[:epoch], patience) for line in scores]
        np.testing.assert_allclose(state.params - stepped.params, expected, rtol=1e-6)
        state = jax.vmap(algorithm.review)(stepped, scores[:, epoch])
    assert len(set(expected)) > 2


def all_states(n):
    return np.array(list(product([0.0, 1.0], repeat=n)), np.float32)


def log_likelihood(layer, v):
    """Mean log p(v) in nats; the partition function is summed over all states of the hidden units."""
    h = all_states(len(layer["b"]))
    log_z = logsumexp(h @ layer["b"] + np.logaddexp(0, h @ np.asarray(layer["w"]).T + layer["c"]).sum(1))
    return float(-BINARY.free_energy(layer, jnp.asarray(v)).mean() - log_z)


def bars_and_stripes():
    """The 14 images of 3 x 3 pixels whose rows, or columns, are all alike."""
    columns = np.repeat(all_states(3), 3, 0).reshape(8, 3, 3)
    both = np.concatenate([columns, columns.transpose(0, 2, 1)])
    return np.unique(both.reshape(16, 9), axis=0)


def random_layer(visible, hidden, scale):
    w = scale * jax.random.normal(jax.random.key(1), (visible, hidden))
    return {"w": w, "b": jnp.zeros(hidden), "c": jnp.zeros(visible)}


def test_persistent_chains_teach_a_machine_its_patterns_to_nearly_the_best_likelihood():
    """The best is that of 14 patterns of equal probability, -log 14; a uniform distribution has -9 log 2."""
    x = bars_and_stripes()
    train = Labelled(x, np.zeros(14, np.int32))
    stage = fit(persistent(1, sgd(0.1), chains=100), minibatches(14, steps=500), epochs=8)
    start = random_layer(9, 10, scale=0.1)
    layer, curve = jax.jit(stage)(KEY, start, Data(train, (), ()))
    assert set(curve.metrics) == {"loss"}
    assert log_likelihood(start, x) < -6
    assert log_likelihood(layer, x) > -np.log(14) - 0.7


def test_a_persistent_step_moves_the_chains_and_descends_on_the_difference_of_correlations():
    layer, v = random_layer(5, 4, scale=1.0), jnp.asarray(all_states(5)[7:13])
    algorithm = persistent(3, sgd(0.5), chains=6)
    state = algorithm.init(jax.random.key(2), layer)
    assert set(np.unique(state.chains)) == {0, 1}
    after, _ = jax.jit(algorithm.step)(jax.random.key(3), state, Labelled(v, jnp.zeros(6, int)))
    h, h_k = BINARY.encode(layer, v), BINARY.encode(layer, after.chains)
    assert (after.chains != state.chains).any()
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(after.params["w"], layer["w"] + 0.5 * (v.T @ h - after.chains.T @ h_k) / 6)
    close(after.params["b"], layer["b"] + 0.5 * (h - h_k).mean(0))
    close(after.params["c"], layer["c"] + 0.5 * (v - after.chains).mean(0))


GENERATOR, CRITIC = rectified((32, 32), 2), rectified((32, 32), 1)
CORNERS = np.array(list(product([-1.0, 1.0], repeat=2)), np.float32)


def corners(key):
    """Points near the four corners of a square."""
    key_corner, key_noise = jax.random.split(key)
    which = jax.random.randint(key_corner, (128,), 0, 4)
    return jnp.asarray(CORNERS)[which] + 0.1 * jax.random.normal(key_noise, (128, 2))


def players():
    sizes = {"generator": (GENERATOR, 4), "critic": (CRITIC, 2)}
    return {name: net.init(jax.random.key(6), jnp.zeros(size)) for name, (net, size) in sizes.items()}


def test_a_generator_finds_all_modes_of_what_its_critic_sees():
    rule = optax.adam(2e-3, b1=0.5)
    algorithm = adversarial(non_saturating(GENERATOR, CRITIC, latent=4), critic=rule, generator=rule)
    stage = fit(algorithm, generated(corners, steps=500), epochs=4)
    params, curve = jax.jit(stage)(KEY, players(), Data((), (), ()))
    assert set(curve.metrics) == {"critic", "generator"}
    made = GENERATOR.apply(params["generator"], jax.random.normal(jax.random.key(7), (1000, 4)))
    distances = np.linalg.norm(np.asarray(made)[:, None] - CORNERS, axis=2)
    assert (distances.min(1) < 0.4).mean() > 0.9
    shares = np.bincount(distances.argmin(1), minlength=4) / 1000
    assert shares.min() > 0.1


def test_each_player_descends_on_its_own_loss_and_the_generator_after_the_critic():
    losses = non_saturating(GENERATOR, CRITIC, latent=4)
    algorithm = adversarial(losses, critic=sgd(0.1), generator=sgd(0.3))
    start, real = players(), corners(KEY)
    state, metrics = jax.jit(algorithm.step)(jax.random.key(8), algorithm.init(KEY, start), real)
    key_critic, key_generator = jax.random.split(jax.random.key(8))
    value, grads = jax.jit(jax.value_and_grad(lambda p: losses[0](p, key_critic, real)[0]))(start)
    params = {**start, "critic": jax.tree.map(lambda p, g: p - 0.1 * g, start["critic"], grads["critic"])}
    made, grads = jax.jit(jax.value_and_grad(lambda p: losses[1](p, key_generator, real)[0]))(params)
    params["generator"] = jax.tree.map(lambda p, g: p - 0.3 * g, start["generator"], grads["generator"])
    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, (state.params, metrics), (params, {"critic": value, "generator": made}))


class Convolutional(nn.Module):
    """One convolution, and its largest activation in each window."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3))(x.reshape(-1, 8, 8, 1).astype(jnp.float32) / 255))
        return nn.Dense(10)(nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1))


def shifted(key, batch):
    """Each image moved by up to a pixel along both axes."""
    steps = jax.random.randint(key, (len(batch.y), 2), -1, 2)
    return batch._replace(x=jax.vmap(lambda image, step: jnp.roll(image, step, (0, 1)))(batch.x, steps))


def test_a_convolutional_net_learns_shifted_digits_by_a_rate_that_is_halved():
    data, net = load("digits"), model(Convolutional())
    start = net.init(KEY, data.train.x[0])
    assert start["Dense_0"]["kernel"].shape == (4 * 4 * 8, 10), "from the shape of an example"
    algorithm = gradient(cross_entropy(net), *halve_on_plateau(sgd(0.5), patience=2))

    def step(key, state, batch):
        state, metrics = algorithm.step(key, state, batch)
        return state, {**metrics, "scale": state.optimizer.scale}

    error = misclassified(net)
    stage = fit(algorithm._replace(step=step), minibatches(50, shifted), epochs=15, score=valid(error), patience=10)
    params, curve = jax.jit(stage)(KEY, start, data)
    scale, score = (line[: curve.epochs] for line in (curve.metrics["scale"], curve.score))
    assert [1, *(halvings(score[:epoch], 2) for epoch in range(1, curve.epochs))] == scale.tolist()
    assert scale[-1] < 1
    assert error(params, jax.tree.map(jnp.asarray, data.test)).mean() < 0.1


class Sequences(NamedTuple):
    tokens: np.ndarray
    lengths: np.ndarray


class Recurrent(nn.Module):
    """Logits of the next token after each token."""

    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(5)(nn.RNN(nn.GRUCell(12))(nn.Embed(5, 6)(tokens)))


def sequences(seed, n):
    """Each token is twice the one before, modulo 5, up to the length; then come tokens at random."""
    rng = np.random.default_rng(seed)
    tokens, lengths = rng.integers(0, 5, (n, 9)), rng.integers(3, 10, n)
    for i in range(1, 9):
        tokens[:, i] = np.where(i < lengths, 2 * tokens[:, i - 1] % 5, tokens[:, i])
    return Sequences(tokens.astype(np.uint8), lengths.astype(np.int32))


def test_a_recurrent_net_learns_the_rule_of_padded_sequences():
    net = model(Recurrent())
    data = Data(*(sequences(seed, n) for seed, n in enumerate((64, 30, 30))))

    def per_example(params, split):
        """Mean cross-entropy of the tokens that are there."""
        logits, targets = net.apply(params, split.tokens)[:, :-1], split.tokens[:, 1:].astype(jnp.int32)
        there = jnp.arange(8) < split.lengths[:, None] - 1
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return (nats * there).sum(1) / there.sum(1)

    algorithm = gradient(lambda params, key, batch: (per_example(params, batch).mean(), {}), adam(0.02))
    stage = fit(algorithm, minibatches(16), epochs=25, score=valid(per_example), patience=25)
    params, curve = jax.jit(stage)(KEY, net.init(KEY, data.train.tokens[0]), data)
    answers = np.asarray(net.apply(params, jnp.asarray(data.test.tokens)).argmax(-1))
    for tokens, length, said in zip(*data.test, answers, strict=True):
        np.testing.assert_array_equal(said[: length - 1], 2 * tokens[: length - 1] % 5)
    assert curve.score[curve.best] < 0.2
