"""Greedy layer-wise training: what each stage touches, sees and does with its options, and what it is good for."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from dlx import greedy
from dlx.data import load
from dlx.losses.energy import contrastive_divergence
from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import INITIALIZERS, Affine
from dlx.nets.mlp import MLP, hidden, init, logits
from dlx.optim import sgd
from dlx.stage import chain, evaluate, focus, scratch
from dlx.train import fit, gradient
from dlx.types import Data, Split

VISIBLE, CLASSES = 64, 11
NET, GLOROT = (MLP((8, 6), CLASSES, INITIALIZERS[name]) for name in ("fan", "glorot"))
PHASE = {"epochs": 2, "batch_size": 7}
KEY = jax.random.key(1)
START = init(jax.random.key(9), NET, VISIBLE)
TOLD = []


def report(*heard):
    TOLD.append(heard)


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def head_logits(layer, x):
    code = jax.nn.sigmoid(x @ layer["w"] + layer["b"])
    return code @ layer["head"]["w"] + layer["head"]["b"]


def decoder(net):
    """Lend a stage the untied decoder of the top layer."""
    return partial(scratch, "decoder", lambda key, layer: net.initializer(key, layer["w"].T.shape))


def head(net):
    """Lend a stage a classifier on the code of the top layer."""
    return partial(scratch, "head", lambda key, layer: init(key, Affine(CLASSES, net.initializer), 6))


class Case(NamedTuple):
    """A stage of `dlx.greedy` as a function of its rate, and the same put together by hand."""

    stage: Any
    by_hand: Any


def pretraining(i, pretrain, loss, score=None, lend=None, net=NET, options=None, **phase):
    """Layer i by a function of `dlx.greedy` with these options, and by a loss of one's own."""

    def stage(rate):
        return pretrain(net, i, rate=rate, report=report, **PHASE | phase | (options or {}))

    def by_hand(rate):
        inner = fit(gradient(loss, sgd(rate)), score or reconstruction(), report=report, **PHASE | phase)
        return focus(NET, i, lend(inner) if lend else inner)

    return Case(stage, by_hand)


def tuning(**phase):
    def stage(rate):
        return greedy.finetune(NET, rate=rate, report=report, **PHASE | phase)

    def by_hand(rate):
        ours = partial(logits, NET)
        return fit(gradient(cross_entropy(ours), sgd(rate)), misclassified(ours), report=report, **PHASE | phase)

    return Case(stage, by_hand)


associate = partial(pretraining, pretrain=greedy.autoassociate, loss=autoassociator())
boltzmann = partial(pretraining, pretrain=greedy.boltzmann)
supervise = partial(
    pretraining, pretrain=greedy.supervise, loss=cross_entropy(head_logits), score=misclassified(head_logits)
)
CASES = {
    "autoassociate": associate(1),
    "autoassociate, layer 0": associate(0),
    "autoassociate, batch size": associate(1, batch_size=20),
    "autoassociate, epochs": associate(1, epochs=1),
    "autoassociate, masking": associate(1, loss=autoassociator(0.3), options={"masking": 0.3}),
    "autoassociate, untied": associate(1, lend=decoder(NET), options={"tied": False}),
    "autoassociate, untied, initializer": associate(1, lend=decoder(GLOROT), net=GLOROT, options={"tied": False}),
    "boltzmann": boltzmann(1, loss=contrastive_divergence(1)),
    "boltzmann, layer 0": boltzmann(0, loss=contrastive_divergence(1)),
    "boltzmann, batch size": boltzmann(1, loss=contrastive_divergence(1), batch_size=20),
    "boltzmann, epochs": boltzmann(1, loss=contrastive_divergence(1), epochs=1),
    "boltzmann, k": boltzmann(1, loss=contrastive_divergence(3), options={"k": 3}),
    "boltzmann, mean field": boltzmann(1, loss=contrastive_divergence(1, True), options={"mean_field": True}),
    "boltzmann, k, mean field": boltzmann(
        1, loss=contrastive_divergence(3, True), options={"k": 3, "mean_field": True}
    ),
    "supervise": supervise(1, lend=head(NET)),
    "supervise, batch size": supervise(1, lend=head(NET), batch_size=20),
    "supervise, epochs": supervise(1, lend=head(NET), epochs=1),
    "supervise, initializer": supervise(1, lend=head(GLOROT), net=GLOROT),
    "finetune": tuning(patience=2),
    "finetune, batch size": tuning(patience=2, batch_size=20),
    "finetune, epochs": tuning(patience=2, epochs=3),
    "finetune, patience": tuning(patience=1),
}
# To compile is dear: where a layer, a batch size or a number of epochs is all that differs, the stage is traced only.
RUN = [name for name in CASES if not name.endswith(("layer 0", "batch size", "epochs", "k, mean field", "patience"))]


@cache
def compiled(name):
    return jax.jit(lambda rate, params, data: CASES[name].stage(rate)(KEY, params, data))


def run(name, data, rate=0.5):
    """Parameters and log of a stage that starts from START."""
    return compiled(name)(rate, START, data)


every_run = pytest.mark.parametrize("name", RUN)
every_way = pytest.mark.parametrize("name", [name for name in RUN if name != "finetune"])


def operations(build, data):
    """All that a stage computes, as text."""
    return str(jax.make_jaxpr(lambda rate, params, data: build(rate)(KEY, params, data))(0.5, START, data))


@pytest.mark.parametrize("name", CASES)
def test_a_stage_is_the_one_put_together_by_hand(name, data):
    ours, by_hand = (operations(build, data) for build in CASES[name])
    assert ours == by_hand
    without_the_last_option = name.rpartition(", ")[0]
    assert not without_the_last_option or ours != operations(CASES[without_the_last_option].stage, data)


def differ(a, b):
    return not all(np.array_equal(*pair) for pair in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.mark.parametrize("name", [name for name in RUN if "," in name])
def test_every_option_changes_the_parameters(name, data):
    """Against the same stage without the last option of its name."""
    assert differ(run(name, data)[0], run(name.rpartition(", ")[0], data)[0])


@every_run
def test_the_rate_scales_the_updates_and_a_rate_of_0_changes_nothing(name, data):
    identical(run(name, data, rate=0.0)[0], START)
    assert differ(run(name, data, rate=0.1)[0], run(name, data)[0])


@pytest.mark.parametrize("name", ["autoassociate", "boltzmann", "supervise", "finetune"])
def test_the_report_is_told_of_every_epoch(name, data):
    jax.effects_barrier()
    TOLD.clear()
    _, curve = run(name, data)
    jax.effects_barrier()
    assert sorted((int(epoch), float(valid)) for epoch, valid, _ in TOLD) == [
        (epoch, float(valid)) for epoch, valid in enumerate(curve.valid)
    ]


@every_way
def test_one_layer_is_trained_and_all_else_stays_bit_identical(name, data):
    trained = hidden(1)
    end, curve = run(name, data)
    others = {entry for entry in START if entry != trained}
    identical({entry: end[entry] for entry in others}, {entry: START[entry] for entry in others})
    changed = {entry for entry in START[trained] if not np.array_equal(end[trained][entry], START[trained][entry])}
    assert changed == ({"w", "b"} if name.startswith("supervise") else {"w", "b", "c"})
    assert curve.best + 1 == curve.epochs == 2


@every_way
def test_neither_validation_nor_test_digits_are_seen(name, data):
    garbage = Data(data.train, *(Split(255 - x[::-1], 9 - y) for x, y in data[1:]))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, garbage)
    identical((end, curve.loss), (end_again, curve_again.loss))
    assert (curve.valid != curve_again.valid).any()


@every_way
def test_labels_are_seen_by_supervised_pretraining_alone(name, data):
    relabelled = Data(*(Split(x, 9 - y) for x, y in data))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, relabelled)
    if name.startswith("supervise"):
        assert (curve.loss != curve_again.loss).any()
    else:
        identical((end, curve), (end_again, curve_again))


def test_an_untied_decoder_is_drawn_from_the_initializer(data):
    """At rate 0 the first loss is that of the untouched encoder and a decoder of the transposed shape."""
    _, curve = run("autoassociate, untied", data, rate=0.0)
    below, layer = START[hidden(0)], START[hidden(1)]
    x = expit(data.train.x / 255 @ below["w"] + below["b"])
    weights = NET.initializer(jax.random.split(KEY)[0], layer["w"].T.shape)
    u = np.asarray(expit(x @ layer["w"] + layer["b"]) @ weights + layer["c"])
    losses = (np.logaddexp(0, u) - x * u).sum(1)
    assert losses.min() <= curve.first_loss <= losses.max()
    assert float(curve.loss[0]) == pytest.approx(float(losses.mean()), rel=0.01), "56 of the 60 examples"


def numpy_logits(params, x):
    x = x / 255
    for layer in (params[hidden(0)], params[hidden(1)], params["output"]):
        u = np.asarray(x @ layer["w"] + layer["b"])
        x = expit(u)
    return u


ROWS = {
    "deep": None,
    "autoassociator": greedy.autoassociate,
    "supervised": greedy.supervise,
    "dbn": greedy.boltzmann,
}


@pytest.mark.parametrize("row", ROWS)
def test_fine_tuning_starts_from_the_pretrained_layers_and_a_fresh_output_layer(row, data):
    """Fine-tuning at rate 0 returns what it was given, and its loss is that of those parameters."""
    layers = [ROWS[row](NET, i, rate=0.1, epochs=1, batch_size=20) for i in range(2)] if ROWS[row] else []
    tuned = greedy.finetune(NET, rate=0.0, epochs=1, batch_size=20, patience=1)
    train = chain(*layers, tuned, evaluate(misclassified(partial(logits, NET))))
    end, (*_, curve, errors) = jax.jit(train)(KEY, START, data)
    identical(end["output"], START["output"])
    for i in range(2):
        assert differ(end[hidden(i)]["w"], START[hidden(i)]["w"]) == (row != "deep")
    u = numpy_logits(end, data.train.x)
    expected = -log_softmax(u, axis=1)[np.arange(60), data.train.y].mean()
    assert float(curve.loss[0]) == pytest.approx(expected, rel=1e-5)
    assert errors.train == pytest.approx((u.argmax(1) != data.train.y).mean())


@pytest.mark.parametrize("patience", [2, 20])
def test_patience_ends_fine_tuning_and_the_best_epoch_is_returned(patience, data):
    """To learn labels that the validation split contradicts makes its error worse sooner or later."""
    contrary = Data(data.train, Split(data.train.x, 9 - data.train.y), data.test)
    tuned = greedy.finetune(NET, rate=1.0, epochs=20, batch_size=20, patience=patience)
    end, curve = jax.jit(tuned)(KEY, START, contrary)
    assert curve.epochs == min(curve.best + 1 + patience, 20)
    assert curve.epochs < 20 or patience == 20
    assert curve.best == np.nanargmin(curve.valid)
    wrong = numpy_logits(end, contrary.valid.x).argmax(1) != contrary.valid.y
    assert curve.valid[curve.best] == pytest.approx(wrong.mean())


@pytest.fixture(scope="module")
def digits():
    return Data(*(Split(x.reshape(-1, VISIBLE), y) for x, y in load("digits")))


def first_epoch(pretrain, key, data):
    """The loss of the first epoch of fine-tuning, after this pre-training of each layer."""
    net = MLP((64, 64))
    tuned = greedy.finetune(net, rate=0.5, epochs=1, batch_size=20, patience=1)
    stages = [pretrain(net, i, epochs=10, batch_size=20) for i in range(2)] if pretrain else []
    return chain(*stages, tuned)(key, init(key, net, VISIBLE), data)[1][-1].loss[0]


@pytest.fixture(scope="module")
def loss_without(digits):
    return jax.jit(partial(first_epoch, None))(KEY, digits)


@pytest.mark.parametrize(
    ("stage", "rate"), [(greedy.autoassociate, 0.1), (greedy.boltzmann, 0.2), (greedy.supervise, 0.5)]
)
def test_pretraining_lowers_the_loss_of_the_first_epoch_of_fine_tuning(stage, rate, digits, loss_without):
    loss = jax.jit(partial(first_epoch, partial(stage, rate=rate)))(KEY, digits)
    assert loss < 0.9 * loss_without


def test_a_net_learns_500_digits_by_heart(digits):
    few = Split(*(array[:500] for array in digits.train))
    net = MLP((64,))
    tuned = greedy.finetune(net, rate=1.0, epochs=60, batch_size=20, patience=60)
    _, curve = jax.jit(tuned)(KEY, init(jax.random.key(2), net, VISIBLE), Data(few, few, few))
    assert curve.valid[curve.best] == 0
    assert jnp.nanmin(curve.loss) < 0.1
