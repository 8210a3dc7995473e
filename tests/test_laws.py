"""The laws that all stages keep: every stage under one family of tests."""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlx import pretrain
from dlx.algorithms import adversarial, gradient, persistent
from dlx.classify import classify
from dlx.losses.adversarial import non_saturating
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.convolutional import Conv, Local, flat, network
from dlx.nets.cropped import CORNERS, cropped
from dlx.nets.layer import GAUSSIAN, INITIALIZERS, RELU, TANH, LayerKind
from dlx.nets.mlp import codes, hidden, mlp
from dlx.nets.module import Affine
from dlx.nets.noise import dropout
from dlx.nets.pooling import contrast_normalised, max_pool
from dlx.nets.rectified import rectified
from dlx.nets.recurrent import in_rows, recurrent
from dlx.nets.recursive import recursive
from dlx.nets.standardised import standardised
from dlx.optim import adam, halve_on_plateau, max_norm, sgd
from dlx.stage import chain, evaluate, focus, standardise, temporary
from dlx.train import by_batches, fit, generated, minibatches, valid
from dlx.types import Labelled, Model, Sequences, Trees

VISIBLE = 64
LANES = 3
NET = mlp((8, 6))
ERROR = misclassified(NET)
NORMALISED, STANDARDISED = rectified((8, 6), normalised=True), standardised(NET)
IMAGES = Conv(2, 3, padding=1, name="shared"), contrast_normalised(), max_pool(2), Local(2, 2, name="local"), jnp.tanh
CONVOLUTIONAL = cropped(network((*IMAGES, flat, Affine(10, INITIALIZERS["glorot"], name="output"))), 6, CORNERS)
PLAYERS = {"critic": (mlp((8,), 1), 64), "generator": (mlp((8,), 64), 3)}
PAIR = Model(
    lambda key, x: {name: net.init(key, jnp.zeros(size)) for name, (net, size) in PLAYERS.items()},
    lambda params, x: x,
    lambda params, key, x: (x, {}),
)
RECURRENT = in_rows(recurrent("gru", (5,), both=True), 8)
JOINS = [[0, 1], [7, 8], [2, 3], [9, 10], [5, 6], [11, 4], [13, 12]]


def of_trees(net):
    """The net, of pixels that are read as trees of eight words."""

    def read(x):
        words = x.reshape(-1, 64)[:, :8].astype(jnp.int32) % 11
        whole = jnp.full(len(words), 8)
        return Trees(Sequences(words, whole), jnp.broadcast_to(jnp.array(JOINS), (len(words), 7, 2)))

    return Model(
        lambda key, x: net.init(key, jax.tree.map(lambda leaf: leaf[0], read(x))),
        lambda params, x: net.apply(params, read(x)),
        lambda params, key, x: net.train(params, key, read(x)),
    )


RECURSIVE = of_trees(recursive("tensor", 3, 10, vocabulary=11))
PHASE = {"epochs": 2, "batch_size": 7}


class Hypers(NamedTuple):
    """What varies from run to run."""

    rate: Any
    pretrain_rate: Any
    masking: Any


def jitter(hypers):
    """A stage that is quick to compile and still makes use of all it is given."""

    def noise(key, leaf):
        return jax.random.normal(jax.random.fold_in(key, leaf.size), leaf.shape, leaf.dtype)

    def stage(key, params, data):
        moved = jax.tree.map(lambda leaf: leaf + hypers.rate * noise(key, leaf), params)
        return moved, jnp.stack([split.x.mean(dtype=jnp.float32) for split in data])

    return stage


def layer(i, make, units=None, **more):
    """A stage of one layer, by its pre-training rate, on the codes below it."""

    def build(hypers):
        view = codes(i) if units is None else codes(i, units)
        return focus(hidden(i), view, make(rate=hypers.pretrain_rate, **PHASE, **more))

    return build


def supervised(hypers, net=NET, optimizer=None, patience=1):
    return classify(net, optimizer or sgd(hypers.rate), patience=patience, **PHASE)


def plateau(hypers):
    """The score never improves, so the rate is halved after every epoch."""
    algorithm = gradient(cross_entropy(NET), *halve_on_plateau(sgd(hypers.rate), patience=1))
    return fit(algorithm, minibatches(7), epochs=3, score=lambda params, data: hypers.rate)


def brighter(hypers):
    def prepare(key, batch):
        return batch._replace(x=batch.x * hypers.masking * jax.random.uniform(key))

    algorithm = gradient(cross_entropy(NET), sgd(hypers.rate))
    watch = {"watch": lambda params, data: {"b": params["output"]["b"]}}
    return fit(algorithm, minibatches(7, prepare, steps=12), epochs=2, score=valid(ERROR), **watch)


def drawn(hypers):
    """Two players, on examples that are drawn."""
    nets = [PLAYERS[name][0] for name in ("generator", "critic")]
    algorithm = adversarial(non_saturating(*nets, latent=3), sgd(hypers.rate), adam(0.01 * hypers.pretrain_rate))
    return fit(algorithm, generated(lambda key: hypers.masking * jax.random.normal(key, (5, 64)), 4), epochs=2)


STAGES: dict[str, Callable[[Hypers], Any]] = {
    "fit": lambda hypers: fit(gradient(cross_entropy(NET), sgd(hypers.rate, 0.5)), minibatches(7), epochs=2),
    "fit, prepared, watched": brighter,
    "fit, halving": plateau,
    "chain": lambda hypers: chain(jitter(hypers), evaluate(error=ERROR), jitter(hypers)),
    "focus": lambda hypers: focus(hidden(1), codes(1), jitter(hypers)),
    "temporary": lambda hypers: temporary("new", lambda key, _: jax.random.normal(key, (4,)), jitter(hypers)),
    "evaluate": lambda hypers: evaluate(error=ERROR),
    "standardise": lambda hypers: chain(standardise, jitter(hypers)),
    "autoassociate, tied": layer(1, pretrain.autoassociate),
    "autoassociate, untied": layer(1, pretrain.autoassociate, decoder=jax.nn.initializers.glorot_uniform()),
    "autoassociate, denoising": lambda hypers: layer(0, pretrain.autoassociate, masking=hypers.masking)(hypers),
    "autoassociate, rectified": layer(1, pretrain.autoassociate, RELU, kind=LayerKind(RELU, GAUSSIAN)),
    "boltzmann, k=1": layer(1, pretrain.boltzmann),
    "boltzmann, k=3": layer(0, pretrain.boltzmann, k=3),
    "boltzmann, tanh": layer(1, pretrain.boltzmann, TANH, kind=LayerKind(TANH, TANH)),
    "persistent": lambda hypers: focus(
        hidden(0), None, fit(persistent(2, sgd(hypers.pretrain_rate), 5), minibatches(7), epochs=2)
    ),
    "adversarial": drawn,
    "supervise": layer(1, pretrain.supervise),
    "finetune": supervised,
    "standardised": partial(supervised, net=STANDARDISED),
    "rectified": lambda hypers: supervised(hypers, rectified((8, 6)), adam(0.01 * hypers.rate)),
    "rectified, dropout": lambda hypers: supervised(
        hypers,
        rectified((8, 6), noise=dropout(0.5 * hypers.masking, hypers.masking)),
        optax.chain(sgd(0.1 * hypers.rate, 0.5), max_norm(10 * hypers.pretrain_rate)),
    ),
    "rectified, normalised": lambda hypers: supervised(hypers, NORMALISED, adam(0.01 * hypers.rate)),
    "recurrent": lambda hypers: supervised(hypers, RECURRENT, adam(0.01 * hypers.rate)),
    "recursive": lambda hypers: supervised(hypers, RECURSIVE, adam(0.01 * hypers.rate)),
    "convolutional": lambda hypers: supervised(hypers, CONVOLUTIONAL, sgd(0.1 * hypers.rate)),
}
NETS = {
    "rectified": rectified((8, 6)),
    "rectified, dropout": rectified((8, 6)),
    "rectified, normalised": NORMALISED,
    "recurrent": RECURRENT,
    "recursive": RECURSIVE,
    "standardise": STANDARDISED,
    "standardised": STANDARDISED,
    "adversarial": PAIR,
    "convolutional": CONVOLUTIONAL,
}


MEMBERS = {name: (NETS.get(name, NET), build) for name, build in STAGES.items()}

KEYS = jax.vmap(jax.random.key)(jnp.arange(LANES))
HYPERS = Hypers(*(jnp.array(values) for values in ([0.5, 0.1, 2.0], [0.1, 0.3, 0.05], [0.25, 0.1, 0.5])))


def lane(i, tree):
    return jax.tree.map(lambda leaf: leaf[i], tree)


def specification(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


class Member(NamedTuple):
    """A stage as a function of `(key, hypers, params, data)`, compiled for one run and for a batch of runs."""

    params: Any
    alone: Any
    batched: Any
    traces: list[str]


@cache
def member(name) -> Member:
    net, build = MEMBERS[name]
    traces = []

    @jax.jit
    def alone(key, hypers, params, data):
        traces.append(name)
        return build(hypers)(key, params, data)

    batched = jax.jit(jax.vmap(alone, in_axes=(0, 0, None, None)))  # traced once for both
    return Member(net.init(jax.random.key(9), np.zeros(VISIBLE, np.uint8)), alone, batched, traces)


every_member = pytest.mark.parametrize("name", MEMBERS)


@every_member
@pytest.mark.parametrize("x64", [False, True])
def test_structure_shapes_and_dtypes_come_back(name, x64, data):
    net, build = MEMBERS[name]
    with jax.enable_x64(x64):
        params = net.init(jax.random.key(9), np.zeros(VISIBLE, np.uint8))
        end, _ = jax.eval_shape(lambda *given: build(lane(0, HYPERS))(*given), KEYS[0], params, data)
    assert specification(end) == specification(params)


@pytest.mark.parametrize("name", STAGES)
def test_no_tracer_leaks_no_key_is_used_twice_and_the_parameters_given_are_not_written_to(name, data):
    def unchanged(key, hypers, params, data):
        before = specification(params)
        STAGES[name](hypers)(key, params, data)
        assert specification(params) == before

    key = KEYS[0]
    with jax.checking_leaks(), jax.debug_key_reuse(True):
        jax.jit(unchanged).trace(key, lane(0, HYPERS), member(name).params, data)


@every_member
def test_the_same_seed_twice_is_bit_identical(name, data):
    params, alone, *_ = member(name)
    args = KEYS[0], lane(0, HYPERS), params, data
    identical(alone(*args), alone(*args))


@every_member
def test_a_run_in_a_batch_gives_what_it_gives_alone(name, data):
    params, alone, batched, traces = member(name)
    batch = batched(KEYS, HYPERS, params, data)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    for i in range(LANES):
        jax.tree.map(close, lane(i, batch), alone(KEYS[i], lane(i, HYPERS), params, data))
    batched(KEYS[::-1], *other(HYPERS, params), data)
    assert (len(traces), batched._cache_size()) == (1, 1)


def other(*trees):
    return jax.tree.map(lambda values: 0.9 * values, trees)


@every_member
def test_other_seeds_hypers_and_parameters_do_not_trace_again(name, data):
    params, alone, _, traces = member(name)
    counts = []
    for key, hypers, start in (KEYS[0], HYPERS, params), (KEYS[1], *other(HYPERS, params)):
        alone(key, lane(0, hypers), start, data)
        counts.append((len(traces), alone._cache_size()))
    assert counts[0] == counts[1]


@every_member
def test_parameters_never_depend_on_the_test_split(name, data):
    params, alone, *_ = member(name)
    poisoned = data._replace(test=Labelled(255 - data.test.x, 9 - data.test.y))
    ends = [alone(KEYS[1], lane(1, HYPERS), params, given)[0] for given in (data, poisoned)]
    identical(*ends)


def longest_constant(program):
    """Characters of the longest constant in the text of a lowered program."""
    return max(map(len, re.findall(r"dense<[^>]*>", program.as_text())), default=0)


@every_member
def test_data_are_arguments_and_effects_there_are_none(name, data):
    params, alone, *_ = member(name)
    traced = alone.trace(KEYS[0], lane(0, HYPERS), params, data)
    assert not traced.jaxpr.effects
    assert longest_constant(traced.lower()) < 500


def test_closed_over_data_would_be_found(data):
    params = NET.init(jax.random.key(9), np.zeros(VISIBLE, np.uint8))
    train = jax.tree.map(jnp.asarray, data.train)
    closed = jax.jit(lambda params: by_batches(ERROR, params, train))
    assert longest_constant(closed.lower(params)) > data.train.x.size


def supervised_fit(batch_size=7, epochs=2, patience=None):
    return classify(NET, sgd(0.1), epochs=epochs, batch_size=batch_size, patience=patience)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_split_without_examples_is_refused_by_its_name(data, split):
    empty = data._replace(**{split: jax.tree.map(lambda leaf: leaf[:0], getattr(data, split))})
    stages = [evaluate(error=ERROR)] + [
        fit(gradient(cross_entropy(NET), sgd(0.1)), minibatches(7), epochs=1, score=valid(ERROR))
    ] * (split == "valid")
    for stage in stages:
        with pytest.raises(ValueError, match=f"the split '{split}' is empty"):
            jax.eval_shape(stage, KEYS[0], NET.init(jax.random.key(0), np.zeros(VISIBLE, np.uint8)), empty)


def lent(name, stage):
    return temporary(name, lambda key, params: 0, stage)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: supervised_fit(batch_size=61), r"batch of 61 .* 60 examples"),
        (lambda: supervised_fit(batch_size=0), "batch_size must be at least 1, not 0"),
        (lambda: supervised_fit(epochs=0), "epochs must be at least 1, not 0"),
        (lambda: supervised_fit(patience=0), "patience must be at least 1, not 0"),
        (lambda: supervised_fit(epochs=-3), "epochs must be at least 1, not -3"),
        (lambda: minibatches(5, steps=0), "steps must be at least 1, not 0"),
        (lambda: generated(lambda key: key, 0), "steps must be at least 1, not 0"),
        (lambda: halve_on_plateau(sgd(0.1), 0), "patience must be at least 1, not 0"),
        (lambda: persistent(0, sgd(0.1), 5), "k = 0 and 5 chains"),
        (lambda: persistent(1, sgd(0.1), 0), "k = 1 and 0 chains"),
        (lambda: pretrain.autoassociate(rate=0.1, epochs=0, batch_size=5), "epochs must be at least 1, not 0"),
        (lambda: lent("output", supervised_fit()), "already .* 'output'"),
        (lambda: focus(hidden(0), None, lent("w", supervised_fit())), "already .* 'w'"),
    ],
)
def test_bad_arguments_are_refused_in_words(data, make, said):
    with pytest.raises(ValueError, match=said):
        jax.eval_shape(make(), KEYS[0], NET.init(jax.random.key(0), np.zeros(VISIBLE, np.uint8)), data)
