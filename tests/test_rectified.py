"""Rectified nets and their training: forward passes, statistics and gradients against NumPy, dropout by its moments."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import logsumexp

from dlx.algorithms import gradient
from dlx.classify import classify
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.module import STATISTICS
from dlx.nets.noise import SILENT, drop, dropout
from dlx.nets.rectified import DECAY, rectified
from dlx.optim import adam, max_norm, sgd
from dlx.train import fit, minibatches, valid
from dlx.types import CARRIED, Labelled

VISIBLE, N = 7, 30
KEY = jax.random.key(0)
NET, NORMALISED = (rectified((8, 6), 5, normalised=normalised) for normalised in (False, True))
every_net = pytest.mark.parametrize("net", [NET, NORMALISED], ids=["plain", "normalised"])


def fresh(net, visible):
    return net.init(KEY, np.zeros(visible, np.float32))


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def some_params(net):
    """Parameters that are all positive where a variance has to be, and of both signs elsewhere."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), fresh(net, VISIBLE))
    for statistics in params.get(STATISTICS, {}).values():
        statistics["var"] = np.exp(statistics["var"])
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), params)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    return Labelled(rng.random((N, VISIBLE)).astype(np.float32), rng.integers(0, 5, N).astype(np.int32))


def numpy_logits(params, x, training=False):
    """Logits and new running statistics, for any depth, in float64."""
    renewed = {}
    for i in range(len([name for name in params if name.startswith("hidden")])):
        x = x @ params[f"hidden_{i}"]["w"].astype(float) + params[f"hidden_{i}"].get("b", 0)
        if f"norm_{i}" in params:
            norm, running = params[f"norm_{i}"], params[STATISTICS][f"norm_{i}"]
            mean, var = (x.mean(0), x.var(0)) if training else (running["mean"], running["var"])
            seen = {"mean": mean, "var": var}
            renewed[f"norm_{i}"] = {name: DECAY * running[name] + (1 - DECAY) * seen[name] for name in seen}
            x = norm["scale"] * (x - mean) / np.sqrt(var + 1e-5) + norm["bias"]
        x = np.maximum(x, 0)
    return x @ params["output"]["w"] + params["output"]["b"], renewed


def numpy_loss(params, batch):
    outputs, _ = numpy_logits(params, batch.x, training=True)
    return (logsumexp(outputs, axis=1) - outputs[np.arange(N), batch.y]).mean()


close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)


@every_net
@pytest.mark.parametrize("shape", [(VISIBLE,), (4, VISIBLE), (2, 3, VISIBLE)])
def test_logits_in_use_agree_with_numpy(net, shape):
    x = np.random.default_rng(2).random(shape).astype(np.float32)
    close(net.apply(some_params(net), jnp.asarray(x)), numpy_logits(some_params(net), x)[0])


@every_net
def test_logits_in_training_and_the_statistics_renewed_agree_with_numpy(net, batch):
    params = some_params(net)
    outputs, renewed = net.train(params, KEY, jnp.asarray(batch.x))
    expected, statistics = numpy_logits(params, batch.x, training=True)
    close(outputs, expected)
    jax.tree.map(close, renewed, {STATISTICS: statistics} if net is NORMALISED else {})


@every_net
def test_the_gradient_goes_through_the_statistics_of_the_batch(net, batch):
    """Along a random direction, against a central difference in float64."""
    params, loss = some_params(net), cross_entropy(net)
    grads = jax.grad(loss, has_aux=True)(params, KEY, jax.tree.map(jnp.asarray, batch))[0]
    assert not any(leaf.any() for leaf in jax.tree.leaves(grads.get(STATISTICS, {})))
    rng = np.random.default_rng(4)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params)

    def moved(step):
        return numpy_loss(jax.tree.map(lambda p, d: p + step * d, params, direction), batch)

    slope = sum(np.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (grads, direction)), strict=True))
    assert slope == pytest.approx((moved(1e-6) - moved(-1e-6)) / 2e-6, rel=1e-3)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropped_units_are_a_binomial_share_and_the_mean_stays(rate):
    n = 40_000
    x = jnp.linspace(1, 2, n)
    dropped = jax.jit(drop)(KEY, jnp.float32(rate), x)
    kept = np.asarray(dropped != 0)
    close(dropped[kept], x[kept] / (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 4 * (rate * (1 - rate) / n) ** 0.5
    assert abs(dropped.mean() - x.mean()) < 4 * (rate / (1 - rate) * jnp.square(x).mean() / n) ** 0.5


@pytest.mark.parametrize("rates", [(0.2, 0.0), (0.0, 0.5), (0.3, 0.4)])
def test_inputs_and_hidden_units_are_dropped_at_their_own_rates(rates):
    """Through a net of unit matrices the input comes out, but for what was dropped at each layer."""
    n, width = 100, 50
    net, eye = rectified((width, width), width, noise=dropout(*rates)), np.eye(width, dtype=np.float32)
    params = {name: {"w": eye, "b": layer["b"]} for name, layer in fresh(net, width).items()}
    outputs, _ = net.train(params, KEY, jnp.ones((n, width)))
    keep = (1 - rates[0]) * (1 - rates[1]) ** 2
    assert set(np.unique(outputs).round(4)) == {0, np.float32(1 / keep).round(4)}
    assert abs((outputs != 0).mean() - keep) < 4 * (keep * (1 - keep) / (n * width)) ** 0.5


def test_the_defaults_are_those_of_the_sources():
    """A running mean over about 20 batches, whose start is 1 % after 100."""
    assert pytest.approx(20) == 1 / (1 - DECAY)
    assert DECAY**100 < 0.01


def test_the_expectation_over_the_hidden_masks_is_the_output_without(batch):
    net = rectified((8,), 5, noise=dropout(0.0, 0.5))
    params, x = some_params(net), jnp.asarray(batch.x[:3])
    noisy = jax.jit(jax.vmap(lambda key: net.train(params, key, x)[0]))
    outputs = noisy(jax.random.split(KEY, 20_000))
    assert (abs(outputs.mean(0) - net.apply(params, x)) < 4.5 * outputs.std(0) / len(outputs) ** 0.5).all()


@every_net
def test_dropout_at_rate_0_is_none_and_in_use_there_is_none(net, batch):
    params, x = some_params(net), jnp.asarray(batch.x)
    none, some = (
        rectified((8, 6), 5, normalised=net is NORMALISED, noise=noise)
        for noise in (dropout(jnp.float32(0), jnp.float32(0)), dropout())
    )
    without = net.train(params, KEY, x)
    identical(none.train(params, KEY, x), without)
    assert (some.train(params, KEY, x)[0] != without[0]).any()
    identical(some.apply(params, x), net.apply(params, x))


@pytest.mark.parametrize("rate", [1.0, -0.1, 1.5, float("nan")])
@pytest.mark.parametrize("place", ["inputs", "hidden"])
def test_a_rate_that_is_no_probability_is_refused_in_words(rate, place):
    with pytest.raises(ValueError, match="dropout rate must be at least 0 and less than 1, not"):
        dropout(**{place: rate})


def test_pre_activations_keep_their_scale_through_depth():
    width, depth = 400, 8
    params = fresh(rectified((width,) * depth, width), width)
    x, scales = np.random.default_rng(3).normal(size=(300, width)), []
    for layer in params.values():
        assert layer["w"].std() == pytest.approx((2 / width) ** 0.5, rel=0.02)
        x = x @ layer["w"]
        scales.append(float((x**2).mean()))
        x = np.maximum(x, 0)
    np.testing.assert_allclose(scales, 2, rtol=0.5, err_msg="half the variance would leave a factor of 2 ** -8")


def test_parameters_have_the_stated_names_and_shapes():
    shapes = jax.tree.map(np.shape, fresh(NORMALISED, VISIBLE), is_leaf=lambda leaf: hasattr(leaf, "shape"))
    assert shapes == {
        "hidden_0": {"w": (VISIBLE, 8)},
        "hidden_1": {"w": (8, 6)},
        "norm_0": {"scale": (8,), "bias": (8,)},
        "norm_1": {"scale": (6,), "bias": (6,)},
        "output": {"w": (6, 5), "b": (5,)},
        STATISTICS: {"norm_0": {"mean": (8,), "var": (8,)}, "norm_1": {"mean": (6,), "var": (6,)}},
    }


@every_net
def test_the_training_loss_is_the_cross_entropy_as_in_training(net, batch):
    batch, params = jax.tree.map(jnp.asarray, batch), some_params(net)
    value, metrics = cross_entropy(net)(params, KEY, batch)
    assert value == pytest.approx(numpy_loss(params, batch), rel=1e-5)
    assert set(metrics) == ({CARRIED} if net is NORMALISED else set())


DIGITS = {normalised: rectified((8, 6), normalised=normalised) for normalised in (False, True)}
STARTS = {normalised: fresh(net, 64) for normalised, net in DIGITS.items()}
ADAM = adam(0.01)
PHASE = {"epochs": 3, "batch_size": 7, "patience": 1}
OPTIONS = {
    "plain": {},
    "inputs dropped": {"noise": dropout(0.4, 0.0)},
    "hidden units dropped": {"noise": dropout(0.0, 0.4)},
    "batch size": {"batch_size": 20},
    "patience": {"patience": 2},
    "epochs": {"epochs": 4},
    "optimizer": {"optimizer": optax.chain(sgd(0.1, 0.5), max_norm(1.0))},
}
TOLD = []


def progress(*heard):
    TOLD.append(heard)


def ours(normalised, optimizer=ADAM, noise=SILENT, **phase):
    net = rectified((8, 6), normalised=normalised, noise=noise)
    return classify(net, optimizer, progress=progress, **PHASE | phase)


def by_hand(normalised, optimizer=ADAM, noise=SILENT, **phase):
    net, phase = rectified((8, 6), normalised=normalised, noise=noise), PHASE | phase

    def loss(params, key, batch):
        outputs, carried = net.train(params, key, batch.x)
        value = optax.softmax_cross_entropy_with_integer_labels(outputs, batch.y).mean()
        return value, {CARRIED: carried} if normalised else {}

    feed = minibatches(phase.pop("batch_size"))
    return fit(gradient(loss, optimizer), feed, score=valid(misclassified(net)), progress=progress, **phase)


@cache
def compiled(normalised, option):
    return jax.jit(ours(normalised, **OPTIONS[option]))


def run(normalised, option, data):
    return compiled(normalised, option)(KEY, STARTS[normalised], data)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("normalised", [False, True])
def test_the_stage_is_the_one_put_together_by_hand(normalised, option, data):
    def operations(make, option):
        return str(jax.make_jaxpr(make(normalised, **OPTIONS[option]))(KEY, STARTS[normalised], data))

    assert operations(ours, option) == operations(by_hand, option)
    assert (operations(ours, option) == operations(ours, "plain")) == (option == "plain")


# To compile is dear: the other options are traced only.
every_run = pytest.mark.parametrize(
    ("normalised", "option"),
    [(False, "plain"), (False, "inputs dropped"), (False, "hidden units dropped"), (True, "plain")],
)


@every_run
def test_every_option_changes_the_parameters_and_not_the_validation_error_of_the_net_in_use(normalised, option, data):
    """The error comes from the parameters returned alone: no masks, no statistics of a batch."""
    end, curve = run(normalised, option, data)
    outputs, _ = numpy_logits(end, data.valid.x / 255)
    assert curve.score[curve.best] == pytest.approx((outputs.argmax(1) != data.valid.y).mean())
    plain, _ = run(False, "plain", data)
    assert np.array_equal(end["hidden_0"]["w"], plain["hidden_0"]["w"]) == ((normalised, option) == (False, "plain"))


def test_progress_is_told_of_every_epoch(data):
    jax.effects_barrier()
    TOLD.clear()
    _, curve = run(False, "plain", data)
    jax.effects_barrier()
    assert [int(epoch) for epoch, *_ in TOLD] == list(range(int(curve.epochs)))


@pytest.mark.parametrize("normalised", [False, True])
def test_a_rate_of_0_changes_nothing_but_the_running_statistics(normalised, float_data):
    """With one batch an epoch these go towards the statistics of the training split."""
    train = ours(normalised, optimizer=sgd(jnp.zeros(())), epochs=3, batch_size=60, patience=3)
    start = STARTS[normalised]
    end, curve = jax.jit(train)(KEY, start, float_data)
    expected, losses = start, []
    for _ in range(int(curve.best) + 1):
        outputs, statistics = numpy_logits(expected, float_data.train.x, training=True)
        losses.append((logsumexp(outputs, axis=1) - outputs[np.arange(60), float_data.train.y]).mean())
        expected = {**expected, STATISTICS: statistics} if normalised else expected
    jax.tree.map(close, end, expected)
    close(curve.metrics["loss"][: len(losses)], losses)
    identical({name: end[name] for name in end if name != STATISTICS}, {n: start[n] for n in start if n != STATISTICS})
