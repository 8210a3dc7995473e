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

from dlx import greedy, modern
from dlx.losses.supervised import cross_entropy, misclassified
from dlx.nets.mlp import MLP, init, logits
from dlx.nets.rectified import Dropout, Rectified
from dlx.optim import adam, max_norm, sgd
from dlx.stage import chain, evaluate, focus, scratch
from dlx.train import each, fit, gradient
from dlx.types import Split

VISIBLE = 64
LANES = 3
NET = MLP((8, 6))
NET_LOGITS = partial(logits, NET)
RECTIFIED, NORMALISED = Rectified((8, 6)), Rectified((8, 6), normalised=True)
PHASE = {"epochs": 2, "batch_size": 7}


class Hypers(NamedTuple):
    """What varies from run to run."""

    rate: Any
    pretrain_rate: Any
    masking: Any


def jitter(hypers):
    """A stage that is quick to compile and still makes use of all it is given."""

    def stage(key, params, data):
        moved = jax.tree.map(lambda leaf: leaf + hypers.rate * jax.random.normal(key, leaf.shape), params)
        return moved, jnp.stack([split.x.mean(dtype=jnp.float32) for split in data])

    return stage


def pretrainer(stage, i, **more):
    return lambda hypers: stage(NET, i, rate=hypers.pretrain_rate, **PHASE, **more)


STAGES: dict[str, Callable[[Hypers], Any]] = {
    "fit": lambda hypers: fit(
        gradient(cross_entropy(NET_LOGITS), sgd(hypers.rate, 0.5)), misclassified(NET_LOGITS), **PHASE
    ),
    "chain": lambda hypers: chain(jitter(hypers), evaluate(misclassified(NET_LOGITS)), jitter(hypers)),
    "focus": lambda hypers: focus(NET, 1, jitter(hypers)),
    "scratch": lambda hypers: scratch("new", lambda key, _: jax.random.normal(key, (4,)), jitter(hypers)),
    "evaluate": lambda hypers: evaluate(misclassified(NET_LOGITS)),
    "autoassociate, tied": pretrainer(greedy.autoassociate, 1),
    "autoassociate, untied": pretrainer(greedy.autoassociate, 1, tied=False),
    "autoassociate, denoising": lambda hypers: pretrainer(greedy.autoassociate, 0, masking=hypers.masking)(hypers),
    "boltzmann, k=1": pretrainer(greedy.boltzmann, 1),
    "boltzmann, k=3": pretrainer(greedy.boltzmann, 0, k=3),
    "supervise": pretrainer(greedy.supervise, 1),
    "finetune": lambda hypers: greedy.finetune(NET, rate=hypers.rate, patience=1, **PHASE),
    "rectified": lambda hypers: modern.train_rectified(RECTIFIED, adam(0.01 * hypers.rate), patience=1, **PHASE),
    "rectified, dropout": lambda hypers: modern.train_rectified(
        RECTIFIED,
        optax.chain(sgd(0.1 * hypers.rate, 0.5), max_norm(10 * hypers.pretrain_rate)),
        dropout=Dropout(0.5 * hypers.masking, hypers.masking),
        patience=1,
        **PHASE,
    ),
    "rectified, normalised": lambda hypers: modern.train_rectified(
        NORMALISED, adam(0.01 * hypers.rate), patience=1, **PHASE
    ),
}
NETS = {"rectified": RECTIFIED, "rectified, dropout": RECTIFIED, "rectified, normalised": NORMALISED}


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

    def run(kind, key, hypers, params, data):
        traces.append(kind)
        return build(hypers)(key, params, data)

    alone, batched = partial(run, "alone"), partial(run, "batched")
    return Member(
        init(jax.random.key(9), net, VISIBLE),
        jax.jit(alone),
        jax.jit(jax.vmap(batched, in_axes=(0, 0, None, None))),
        traces,
    )


every_member = pytest.mark.parametrize("name", MEMBERS)


@every_member
def test_structure_shapes_and_dtypes_come_back(name, data):
    params, alone, *_ = member(name)
    end, _ = jax.eval_shape(alone, KEYS[0], lane(0, HYPERS), params, data)
    assert specification(end) == specification(params)


@pytest.mark.parametrize("name", STAGES)
def test_no_tracer_leaks_and_the_parameters_given_are_not_written_to(name, data):
    def unchanged(key, hypers, params, data):
        before = specification(params)
        STAGES[name](hypers)(key, params, data)
        assert specification(params) == before

    with jax.checking_leaks():
        jax.eval_shape(unchanged, KEYS[0], lane(0, HYPERS), member(name).params, data)


@every_member
def test_the_same_seed_twice_is_bit_identical(name, data):
    params, alone, *_ = member(name)
    args = KEYS[0], lane(0, HYPERS), params, data
    identical(alone(*args), alone(*args))


@every_member
def test_a_run_in_a_batch_gives_what_it_gives_alone(name, data):
    params, alone, batched, _ = member(name)
    batch = batched(KEYS, HYPERS, params, data)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    for i in range(LANES):
        jax.tree.map(close, lane(i, batch), alone(KEYS[i], lane(i, HYPERS), params, data))
    batched(KEYS[::-1], *other(HYPERS, params), data)
    assert member(name).traces.count("batched") == 1


def other(*trees):
    return jax.tree.map(lambda values: 0.9 * values, trees)


@every_member
def test_other_seeds_hypers_and_parameters_do_not_trace_again(name, data):
    params, alone, _, traces = member(name)
    counts = []
    for key, hypers, start in (KEYS[0], HYPERS, params), (KEYS[1], *other(HYPERS, params)):
        alone(key, lane(0, hypers), start, data)
        counts.append((traces.count("alone"), alone._cache_size()))
    assert counts[0] == counts[1]


@every_member
def test_parameters_never_depend_on_the_test_split(name, data):
    params, alone, *_ = member(name)
    poisoned = data._replace(test=Split(255 - data.test.x, 9 - data.test.y))
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
    params = init(jax.random.key(9), NET, VISIBLE)
    train = jax.tree.map(jnp.asarray, data.train)
    closed = jax.jit(lambda params: each(misclassified(NET_LOGITS), params, train))
    assert longest_constant(closed.lower(params)) > data.train.x.size


def supervised_fit(**changes):
    return fit(gradient(cross_entropy(NET_LOGITS), sgd(0.1)), misclassified(NET_LOGITS), **{**PHASE, **changes})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: supervised_fit(batch_size=61), r"batch of 61 .* 60 examples"),
        (lambda: supervised_fit(batch_size=0), "batch_size must be at least 1, not 0"),
        (lambda: supervised_fit(epochs=0), "epochs must be at least 1, not 0"),
        (lambda: supervised_fit(patience=0), "patience must be at least 1, not 0"),
        (lambda: supervised_fit(epochs=-3), "epochs must be at least 1, not -3"),
        (
            lambda: greedy.autoassociate(NET, 0, rate=0.1, epochs=0, batch_size=5),
            "epochs must be at least 1, not 0",
        ),
        (
            lambda: greedy.finetune(NET, rate=0.1, epochs=1, batch_size=61, patience=1),
            r"batch of 61 .* 60 examples",
        ),
        (lambda: scratch("output", lambda key, params: 0, supervised_fit()), "already .* 'output'"),
        (lambda: focus(NET, 0, scratch("w", lambda key, layer: 0, supervised_fit())), "already .* 'w'"),
    ],
)
def test_bad_arguments_are_refused_in_words(data, make, said):
    with pytest.raises(ValueError, match=said):
        jax.eval_shape(make(), KEYS[0], init(jax.random.key(0), NET, VISIBLE), data)
