"""Signs and flags: each sign made by hand raises its flag, and causes come before what follows from them."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect.diagnose import NAMES, SOUND, Look, Signs, Thresholds, are_among, diagnose, explain, measure, name
from dlx.nets.mlp import hidden
from dlx.types import Data, Labelled

HEALTHY = Signs(
    gradient=0.01,
    leaked=0.0,
    inputs=1.0,
    twins=0.0,
    dead=0.0,
    saturated=0.1,
    diverged=False,
    peak=0.9,
    bounce=0.0,
    still=0.3,
    fall=0.95,
    late=0.02,
    train_error=0.0,
    valid_error=0.1,
    chance=0.9,
)
SICK = {
    "gradient": {"gradient": 2.0},
    "leak": {"leaked": 0.5},
    "inputs": {"inputs": 90.0},
    "twins": {"twins": 1.0},
    "dead": {"dead": 1.0},
    "saturated": {"saturated": 0.9},
    "diverging": {"peak": 3.0},
    "bouncing": {"bounce": 1.0},
    "frozen": {"still": 0.0},
    "collapsed": {"train_error": 0.9, "valid_error": 0.9, "fall": 0.99},
    "memorised": {"valid_error": 0.9},
    "slow": {"train_error": 0.5, "valid_error": 0.5, "fall": 0.2, "late": 0.3},
    "small": {"train_error": 0.5, "valid_error": 0.5, "fall": 0.5},
}


def signs(**changed):
    return jax.tree.map(jnp.asarray, HEALTHY._replace(**changed))


def called(flags):
    return [*NAMES, "sound"][int(name(flags))]


@pytest.mark.parametrize("one", NAMES)
def test_each_sign_raises_its_flag_and_is_what_the_run_is_called(one):
    flags = jax.jit(diagnose)(signs(**SICK[one]))
    assert called(flags) == one
    assert explain(flags)[0] == f"{NAMES[one].sign}: {NAMES[one].remedy}"


def test_nothing_is_said_of_a_sound_run():
    flags = diagnose(signs())
    assert int(name(flags)) == SOUND
    assert not any(flags.values())
    assert explain(flags) == ["nothing is wrong that can be seen here"]


def test_a_cause_comes_before_what_follows_from_it():
    lost = signs(**SICK["dead"], **SICK["frozen"], **SICK["small"])
    assert called(diagnose(lost)) == "dead"
    assert len(explain(diagnose(lost))) == 3
    nan = signs(diverged=True, peak=jnp.nan, bounce=jnp.nan, still=jnp.nan, fall=jnp.nan, train_error=0.9)
    assert called(diagnose(nan)) == "diverging"


def test_thresholds_can_be_set():
    assert called(diagnose(signs(saturated=0.4), Thresholds(saturated=0.3))) == "saturated"


def test_many_runs_are_diagnosed_at_once():
    many = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(signs(**sick) for sick in SICK.values()))
    first = jax.vmap(lambda one: name(diagnose(one)))(many)
    np.testing.assert_array_equal(first, range(len(NAMES)))


def curve(loss, epochs=None, diverged=False):
    padded = jnp.array([*loss, jnp.inf, jnp.inf])
    return SimpleNamespace(
        metrics={"loss": padded},
        first_loss=jnp.asarray(2.0),
        epochs=jnp.asarray(epochs or len(loss)),
        diverged=jnp.asarray(diverged),
    )


def net(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    layers = {hidden(0): {"w": rng.normal(size=(5, 4)), "b": np.zeros(4)}, "output": {"w": rng.normal(size=(4, 3))}}
    return jax.tree.map(lambda leaf: scale * jnp.asarray(leaf, jnp.float32), layers)


def data():
    rng = np.random.default_rng(1)
    splits = [
        Labelled(jnp.asarray(rng.normal(size=(n, 5)), jnp.float32), jnp.asarray([0] * (n - 3) + [1, 2, 2]))
        for n in (20, 10, 10)
    ]
    return Data(*splits)


def measured(loss, before=None, after=None, of=None, **more):
    h = [jnp.asarray(np.random.default_rng(2).random((7, 4)), jnp.float32)]
    before, after = Look(before or net(), h), Look(after or net(1.5), h)
    return measure(curve(loss), before, after, of or data(), (jnp.asarray(0.1), jnp.asarray(0.2)), **more)


def test_the_course_of_a_loss_is_measured_over_what_it_was_before_training():
    signs = measured([3.0, 1.0, 1.5, 1.2, 0.9, 0.8, 0.6, 0.4])
    assert signs.peak == pytest.approx(1.5)
    assert signs.bounce == pytest.approx(0.25)
    assert signs.fall == pytest.approx(0.8)
    assert signs.late == pytest.approx((0.8 - 0.4) / (2 - 0.4))


def test_the_net_and_the_data_are_measured():
    signs = measured([1.0, 0.5], low=0.0, high=1.0)
    x = np.asarray(data().train.x)
    assert signs.inputs == pytest.approx(np.sqrt((x**2).mean()), rel=1e-5)
    assert signs.still == pytest.approx(0.5, rel=1e-5)
    assert signs.chance == pytest.approx(0.3)
    assert (signs.leaked, signs.twins, signs.dead) == (0, 0, 0)
    alike = net()
    alike[hidden(0)]["w"] = jnp.ones((5, 4))
    assert measured([1.0], alike, alike).twins == 1
    assert measured([1.0], alike).twins == 0, "they have become different"
    half = {**net(1.5), "output": net()["output"]}
    assert measured([1.0], after=half).still == 0
    mixed = data()._replace(train=jax.tree.map(lambda leaf, other: leaf.at[:4].set(other[:4]), *data()[:2]))
    assert measured([1.0], of=mixed).leaked == pytest.approx(0.4)


def test_examples_are_found_among_others_bit_by_bit():
    among = np.random.default_rng(0).integers(0, 256, (30, 3, 3), np.uint8)
    examples = np.concatenate([among[[4, 7]], among[[1]] ^ 1])
    np.testing.assert_array_equal(are_among(jnp.array(examples), jnp.array(among)), [True, True, False])


def test_a_net_without_hidden_units_is_refused():
    look = Look(net(), [])
    with pytest.raises(ValueError, match="no hidden units"):
        measure(curve([1.0]), look, look, data(), (jnp.zeros(()), jnp.zeros(())))
