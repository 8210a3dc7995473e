"""The hash of a computation: names and places do not change it, and whatever changes a number does."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect.jaxpr import digest

X = jax.ShapeDtypeStruct((3,), np.float32)
TABLE = np.arange(3, dtype=np.float32)


def of(function, *shapes):
    return digest(jax.jit(function).trace(*(shapes or (X,))).jaxpr)


def doubled(x):
    return 2 * x


def loop(body):
    return lambda x: jax.lax.scan(lambda carry, _: (body(carry), None), x, length=4)[0]


def branch(one, other):
    return lambda x: jax.lax.cond(x.sum() > 0, one, other, x)


def relu(value):
    @jax.custom_jvp
    def function(x):
        return jnp.maximum(x, value)

    function.defjvp(lambda primals, tangents: (function(*primals), tangents[0] * (primals[0] > value)))
    return function


SAME = {
    "a name": (doubled, lambda other: 2 * other),
    "an inner function's name": (lambda x: jax.jit(doubled)(x) + 1, lambda x: jax.jit(lambda y: 2 * y)(x) + 1),
    "in a loop": (loop(doubled), loop(lambda y: 2 * y)),
    "in a branch": (branch(doubled, jnp.sin), branch(lambda y: 2 * y, jnp.sin)),
    "an array, made elsewhere": (lambda x: x + TABLE, lambda x: x + np.array([0, 1, 2], np.float32)),
    "a rule of derivatives": (jax.grad(lambda x: relu(0.0)(x).sum()), jax.grad(lambda y: relu(0.0)(y).sum())),
}
OTHER = {
    "a constant": (doubled, lambda x: 3 * x),
    "an operation": (jnp.sin, jnp.cos),
    "the order": (lambda x: jnp.sin(x) - x, lambda x: x - jnp.sin(x)),
    "what is returned": (lambda x: (x, 2 * x), lambda x: (2 * x, x)),
    "in a loop": (loop(doubled), loop(lambda y: 3 * y)),
    "how often": (loop(doubled), lambda x: jax.lax.fori_loop(0, 5, lambda _, y: 2 * y, x)),
    "in a branch": (branch(doubled, jnp.sin), branch(doubled, jnp.cos)),
    "the branches' order": (branch(doubled, jnp.sin), branch(jnp.sin, doubled)),
    "an array": (lambda x: x + TABLE, lambda x: x + np.array([0, 1, 3], np.float32)),
    "an array in a loop": (loop(lambda x: x + TABLE), loop(lambda x: x + np.array([0, 1, 3], np.float32))),
    "a number of a derivative": (jax.grad(lambda x: relu(0.0)(x).sum()), jax.grad(lambda x: relu(0.5)(x).sum())),
    "a key": (lambda x: x + jax.random.uniform(jax.random.key(0)), lambda x: x + jax.random.uniform(jax.random.key(1))),
}


@pytest.mark.parametrize("what", SAME)
def test_the_same_computation_has_the_same_hash(what):
    one, other = SAME[what]
    assert of(one) == of(other)


@pytest.mark.parametrize("what", OTHER)
def test_another_computation_has_another_hash(what):
    one, other = OTHER[what]
    assert of(one) != of(other)


def test_another_shape_or_dtype_has_another_hash():
    shapes = [X, jax.ShapeDtypeStruct((4,), np.float32), jax.ShapeDtypeStruct((3,), np.int32)]
    assert len({of(doubled, shape) for shape in shapes}) == 3


def test_another_process_has_the_same_hash():
    code = "import sys; sys.path.insert(0, 'tests'); import test_jaxpr as t; print(t.of(t.SAME['in a branch'][0]))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == of(SAME["in a branch"][1])
