"""Greedy layer-wise training: what each stage touches, sees and does with its options, and what it is good for."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from dlx import pretrain
from dlx.algorithms import gradient
from dlx.classify import classify
from dlx.data import load
from dlx.losses.energy import contrastive_divergence
from dlx.losses.penalties import contraction, penalised
from dlx.losses.reconstruction import autoassociator, reconstruction
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.layer import GAUSSIAN, INITIALIZERS, RELU, SIGMOID, TANH, LayerKind
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.module import Affine, model
from dlx.optim import sgd
from dlx.stage import chain, evaluate, focus, temporary
from dlx.train import fit, minibatches, valid
from dlx.types import Data, Labelled, Model

VISIBLE, CLASSES = 64, 11
FAN, GLOROT = INITIALIZERS["fan"], INITIALIZERS["glorot"]
NET = mlp((8, 6), CLASSES)
PHASE = {"epochs": 2, "batch_size": 7}
KEY = jax.random.key(1)
START = NET.init(jax.random.key(9), np.zeros(VISIBLE, np.uint8))
TOLD = []


def progress(*heard):
    TOLD.append(heard)


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def head_logits(layer, x):
    code = jax.nn.sigmoid((x / 255 if x.dtype == np.uint8 else x) @ layer["w"] + layer["b"])
    return code @ layer["head"]["w"] + layer["head"]["b"]


CLASSIFIER = Model(NET.init, head_logits, lambda layer, key, x: (head_logits(layer, x), {}))


def decoder(initializer):
    """Lend a stage the untied decoder of the top layer."""
    return partial(temporary, "decoder", lambda key, layer: initializer(key, layer["w"].T.shape))


def head(initializer):
    """Lend a stage a classifier on the code of the top layer."""
    return partial(temporary, "head", lambda key, layer: model(Affine(CLASSES, initializer)).init(key, layer["b"]))


class Case(NamedTuple):
    """A stage of `dlx.pretrain` as a function of its rate, and the same put together by hand."""

    stage: Any
    by_hand: Any


def fit_by_hand(loss, rate, measure, *, epochs, batch_size, patience=None):
    feed, how = minibatches(batch_size), {"score": valid(measure), "patience": patience, "progress": progress}
    return fit(gradient(loss, sgd(rate)), feed, epochs=epochs, **how)


def pretraining(i, pretrain, loss, measure=None, lend=None, options=None, **phase):
    """Layer i by a function of `dlx.pretrain` with these options, and by a loss of one's own."""

    def stage(rate):
        own = pretrain(rate=rate, progress=progress, **PHASE | phase | (options or {}))
        return focus(hidden(i), codes(i), own)

    def by_hand(rate):
        inner = fit_by_hand(loss, rate, measure or reconstruction(), **PHASE | phase)
        return focus(hidden(i), codes(i), lend(inner) if lend else inner)

    return Case(stage, by_hand)


def tuning(**phase):
    return Case(
        lambda rate: classify(NET, sgd(rate), progress=progress, **PHASE | phase),
        lambda rate: fit_by_hand(cross_entropy(NET), rate, misclassified(NET), **PHASE | phase),
    )


associate = partial(pretraining, pretrain=pretrain.autoassociate, loss=autoassociator())
boltzmann = partial(pretraining, pretrain=pretrain.boltzmann)
supervise = partial(
    pretraining,
    pretrain=partial(pretrain.supervise, classes=CLASSES),
    loss=cross_entropy(CLASSIFIER),
    measure=misclassified(CLASSIFIER),
)
RELU_CODE, WHITENED, SQUARED = LayerKind(RELU), LayerKind(TANH, GAUSSIAN), LayerKind(SIGMOID, GAUSSIAN)
CASES = {
    "autoassociate": associate(1),
    "autoassociate, layer 0": associate(0),
    "autoassociate, batch size": associate(1, batch_size=20),
    "autoassociate, epochs": associate(1, epochs=1),
    "autoassociate, masking": associate(1, loss=autoassociator(0.3), options={"masking": 0.3}),
    "autoassociate, untied": associate(1, lend=decoder(FAN), options={"decoder": FAN}),
    "autoassociate, untied, initializer": associate(1, lend=decoder(GLOROT), options={"decoder": GLOROT}),
    "autoassociate, kind": associate(
        1, loss=autoassociator(None, RELU_CODE), measure=reconstruction(RELU_CODE), options={"kind": RELU_CODE}
    ),
    "autoassociate, squared error": associate(
        1, loss=autoassociator(None, SQUARED), measure=reconstruction(SQUARED), options={"kind": SQUARED}
    ),
    "autoassociate, contractive": associate(
        1, loss=penalised(autoassociator(), contraction(0.1)), options={"penalties": [contraction(0.1)]}
    ),
    "boltzmann": boltzmann(1, loss=contrastive_divergence(1)),
    "boltzmann, layer 0": boltzmann(0, loss=contrastive_divergence(1)),
    "boltzmann, batch size": boltzmann(1, loss=contrastive_divergence(1), batch_size=20),
    "boltzmann, epochs": boltzmann(1, loss=contrastive_divergence(1), epochs=1),
    "boltzmann, k": boltzmann(1, loss=contrastive_divergence(3), options={"k": 3}),
    "boltzmann, mean field": boltzmann(1, loss=contrastive_divergence(1, True), options={"mean_field": True}),
    "boltzmann, k, mean field": boltzmann(
        1, loss=contrastive_divergence(3, True), options={"k": 3, "mean_field": True}
    ),
    "boltzmann, kind": boltzmann(
        1,
        loss=contrastive_divergence(1, False, WHITENED),
        measure=reconstruction(WHITENED),
        options={"kind": WHITENED},
    ),
    "supervise": supervise(1, lend=head(FAN)),
    "supervise, batch size": supervise(1, lend=head(FAN), batch_size=20),
    "supervise, epochs": supervise(1, lend=head(FAN), epochs=1),
    "supervise, initializer": supervise(1, lend=head(GLOROT), options={"initializer": GLOROT}),
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
def test_progress_is_told_of_every_epoch(name, data):
    jax.effects_barrier()
    TOLD.clear()
    _, curve = run(name, data)
    jax.effects_barrier()
    assert sorted((int(epoch), float(valid)) for epoch, valid, _ in TOLD) == [
        (epoch, float(valid)) for epoch, valid in enumerate(curve.score)
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
    garbage = Data(data.train, *(Labelled(255 - x[::-1], 9 - y) for x, y in data[1:]))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, garbage)
    identical((end, curve.metrics), (end_again, curve_again.metrics))
    assert (curve.score != curve_again.score).any()


@every_way
def test_labels_are_seen_by_supervised_pretraining_alone(name, data):
    relabelled = Data(*(Labelled(x, 9 - y) for x, y in data))
    (end, curve), (end_again, curve_again) = run(name, data), run(name, relabelled)
    if name.startswith("supervise"):
        assert (curve.metrics["loss"] != curve_again.metrics["loss"]).any()
    else:
        identical((end, curve), (end_again, curve_again))


def test_an_untied_decoder_is_drawn_from_the_initializer(data):
    """At rate 0 the first loss is that of the untouched encoder and a decoder of the transposed shape."""
    _, curve = run("autoassociate, untied", data, rate=0.0)
    below, layer = START[hidden(0)], START[hidden(1)]
    x = expit(data.train.x / 255 @ below["w"] + below["b"])
    weights = FAN(jax.random.split(KEY)[0], layer["w"].T.shape)
    u = np.asarray(expit(x @ layer["w"] + layer["b"]) @ weights + layer["c"])
    losses = (np.logaddexp(0, u) - x * u).sum(1)
    assert losses.min() <= curve.first_loss <= losses.max()
    assert float(curve.metrics["loss"][0]) == pytest.approx(float(losses.mean()), rel=0.01), "56 of the 60 examples"


def numpy_logits(params, x):
    x = x / 255
    for layer in (params[hidden(0)], params[hidden(1)], params["output"]):
        u = np.asarray(x @ layer["w"] + layer["b"])
        x = expit(u)
    return u


ROWS = {
    "deep": None,
    "autoassociator": pretrain.autoassociate,
    "supervised": pretrain.supervise,
    "dbn": pretrain.boltzmann,
}


@pytest.mark.parametrize("row", ROWS)
def test_fine_tuning_starts_from_the_pretrained_layers_and_a_fresh_output_layer(row, data):
    """Fine-tuning at rate 0 returns what it was given, and its loss is that of those parameters."""
    phase = {"epochs": 1, "batch_size": 20}
    layers = [focus(hidden(i), codes(i), ROWS[row](rate=0.1, **phase)) for i in range(2)] if ROWS[row] else []
    train = chain(*layers, classify(NET, sgd(jnp.zeros(())), **phase), evaluate(error=misclassified(NET)))
    end, (*_, curve, errors) = jax.jit(train)(KEY, START, data)
    identical(end["output"], START["output"])
    for i in range(2):
        assert differ(end[hidden(i)]["w"], START[hidden(i)]["w"]) == (row != "deep")
    u = numpy_logits(end, data.train.x)
    expected = -log_softmax(u, axis=1)[np.arange(60), data.train.y].mean()
    assert float(curve.metrics["loss"][0]) == pytest.approx(expected, rel=1e-5)
    assert errors.train["error"] == pytest.approx((u.argmax(1) != data.train.y).mean())


@pytest.mark.parametrize("patience", [2, 20])
def test_patience_ends_fine_tuning_and_the_best_epoch_is_returned(patience, data):
    """To learn labels that the validation split contradicts makes its error worse sooner or later."""
    contrary = Data(data.train, Labelled(data.train.x, 9 - data.train.y), data.test)
    tuned = classify(NET, sgd(1.0), epochs=20, batch_size=20, patience=patience)
    end, curve = jax.jit(tuned)(KEY, START, contrary)
    assert curve.epochs == min(curve.best + 1 + patience, 20)
    assert curve.epochs < 20 or patience == 20
    assert curve.best == np.argmin(curve.score)
    wrong = numpy_logits(end, contrary.valid.x).argmax(1) != contrary.valid.y
    assert curve.score[curve.best] == pytest.approx(wrong.mean())


@pytest.fixture(scope="module")
def digits():
    return Data(*(Labelled(x.reshape(-1, VISIBLE), y) for x, y in load("digits")))


def first_epoch(pretrain, key, data):
    """The loss of the first epoch of fine-tuning, after this pre-training of each layer."""
    net = mlp((64, 64))
    tuned = classify(net, sgd(0.5), epochs=1, batch_size=20)
    stages = [focus(hidden(i), codes(i), pretrain(epochs=10, batch_size=20)) for i in range(2)] if pretrain else []
    return chain(*stages, tuned)(key, net.init(key, data.train.x[0]), data)[1][-1].metrics["loss"][0]


@pytest.fixture(scope="module")
def loss_without(digits):
    return jax.jit(partial(first_epoch, None))(KEY, digits)


@pytest.mark.parametrize(
    ("stage", "rate"), [(pretrain.autoassociate, 0.1), (pretrain.boltzmann, 0.2), (pretrain.supervise, 0.5)]
)
def test_pretraining_lowers_the_loss_of_the_first_epoch_of_fine_tuning(stage, rate, digits, loss_without):
    loss = jax.jit(partial(first_epoch, partial(stage, rate=rate)))(KEY, digits)
    assert loss < 0.9 * loss_without


def test_a_net_learns_500_digits_by_heart(digits):
    few = Labelled(*(array[:500] for array in digits.train))
    net = mlp((64,))
    tuned = classify(net, sgd(1.0), epochs=60, batch_size=20, patience=60)
    _, curve = jax.jit(tuned)(KEY, net.init(jax.random.key(2), few.x[0]), Data(few, few, few))
    assert curve.score[curve.best] == 0
    assert curve.metrics["loss"].min() < 0.1


@pytest.mark.parametrize("units", [SIGMOID, TANH, RELU], ids=lambda units: units.name)
def test_layers_of_all_units_are_stacked_on_standardised_digits(units, digits):
    """Gaussian visible units below, and above what the layer below has, or Gaussian ones where that has no
    distribution. Each layer reconstructs better than before."""
    x = digits.train.x / np.float32(255)
    white = Data(*(split._replace(x=(split.x / np.float32(255) - x.mean(0)) / (x.std(0) + 0.1)) for split in digits))
    net, above = mlp((32, 16), units=units), GAUSSIAN if units is RELU else units
    kinds = LayerKind(units, GAUSSIAN), LayerKind(units, above)
    stages = [
        focus(hidden(i), codes(i, units), pretrain.autoassociate(rate=0.01, epochs=8, batch_size=20, kind=kind))
        for i, kind in enumerate(kinds)
    ]
    _, curves = jax.jit(chain(*stages))(KEY, net.init(KEY, white.train.x[0]), white)
    for curve, ratio in zip(curves, (0.9, 0.99), strict=True):
        assert curve.score[-1] < ratio * curve.first_loss


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (pretrain.autoassociate, LayerKind(SIGMOID, RELU)),
        (pretrain.boltzmann, LayerKind(RELU)),
        (pretrain.boltzmann, LayerKind(SIGMOID, RELU)),
    ],
)
def test_units_without_a_distribution_are_refused_in_words_where_one_is_needed(make, kind):
    with pytest.raises(ValueError, match=r"rectified linear units have no distribution.* choose sigmoid"):
        make(rate=0.1, epochs=1, batch_size=2, kind=kind)
