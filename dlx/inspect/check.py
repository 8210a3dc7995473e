"""Are the gradients of a loss right? They are compared with finite differences of its value.

`check` looks at every parameter, in float64, on the host. `slope_gaps` looks along one direction a layer, in whatever
precision training has, and can be jitted and vmapped. Both find what a slip in a hand-written gradient leaves behind; a
loss that samples keeps its samples, as the key is the same throughout.

Lecture on feed-forward nets, "Gradient Checking": (f(x + e) - f(x - e)) / 2 e.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from dlx.inspect.counts import parameter_count
from dlx.types import Batch, Key, Loss, Params

STEP = 1e-5
"""By how much a parameter is moved, in float64: the third derivative and rounding then each add about 1e-10."""
STEPS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""Steps along a direction of length 1: several, as the third derivative of a layer is not known beforehand."""
NOISE = 1e-5
"""A change of the loss in float32 by less than this share of it says nothing about its slope."""


class Entry(NamedTuple):
    """One parameter: where it stands, its gradient, and what finite differences say."""

    path: str
    index: tuple[int, ...]
    gradient: float
    difference: float


class Gaps(NamedTuple):
    """The outcome of a gradient check."""

    relative: float
    """The largest distance of a gradient from its difference, as a share of the largest of both in its array."""
    worst: tuple[Entry, ...]
    """The parameters with the largest distances in proportion to their array's, the worst one first."""


def check(loss: Loss, key: Key, params: Params, batch: Batch, worst: int = 5) -> Gaps:
    """Compare the gradient of `loss` at `params` with central differences, parameter by parameter, in float64.

    An array whose gradients are far smaller than those of others is measured by a millionth of the largest of all.
    Called again with the same function and shapes, it does not compile again. Raises ValueError if there are no
    parameters, or the loss or a gradient is not finite.
    """
    with jax.enable_x64(True):
        params, batch = jax.tree.map(_as_float64, (params, batch))
        if not parameter_count(params):
            raise ValueError("there is no parameter whose gradient could be checked; give the net some")
        gradients, differences = jax.tree.map(np.asarray, _both(loss, key, params, batch))
    pairs = [
        (jax.tree_util.keystr(path), gradient, difference)
        for (path, gradient), difference in zip(
            jax.tree_util.tree_leaves_with_path(gradients), jax.tree.leaves(differences), strict=True
        )
    ]
    if not all(np.isfinite(pair).all() for _, *pair in pairs):
        raise ValueError("the loss or a gradient is not finite there; check it where it is, such as at a smaller start")
    sizes = {path: np.abs(pair).max(initial=0) for path, *pair in pairs}
    least = 1e-6 * max(sizes.values()) or 1.0
    gaps = {path: np.abs(one - other) / max(sizes[path], least) for path, one, other in pairs}
    entries = [
        (gap[i], Entry(path, i, float(one[i]), float(other[i])))
        for (path, one, other), gap in zip(pairs, gaps.values(), strict=True)
        for i in np.ndindex(gap.shape)
    ]
    entries.sort(key=lambda pair: -pair[0])
    return Gaps(float(entries[0][0]), tuple(entry for _, entry in entries[:worst]))


@partial(jax.jit, static_argnums=0)
def _both(loss: Loss, key: Key, params: Params, batch: Batch) -> tuple[Params, Params]:
    """The gradient, and the central differences: of two steps the nearer ones, as a sample may change in a step."""
    flat, restore = ravel_pytree(params)

    def value(flat):
        return loss(restore(flat), key, batch)[0]

    def moved(index_and_step):
        index, step = index_and_step
        return value(flat.at[index].add(step))

    steps = jnp.array([STEP, STEP / 10])
    signed = jnp.concatenate([steps, -steps])
    every = jnp.tile(jnp.arange(flat.size), len(signed)), jnp.repeat(signed, flat.size)
    up, down = jax.lax.map(moved, every).reshape(2, len(steps), -1)
    gradient, slopes = jax.grad(value)(flat), (up - down) / (2 * steps[:, None])
    nearest = jnp.argmin(jnp.abs(slopes - gradient), 0)
    return restore(gradient), restore(jnp.take_along_axis(slopes, nearest[None], 0)[0])


def _as_float64(leaf: Any) -> Array:
    leaf = jnp.asarray(leaf)
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def slope_gaps(loss: Loss, key: Key, params: Params, batch: Batch) -> Float[Array, " entries"]:
    """How far the slope of the loss along each entry's gradient is from that gradient's length, as a share of it.

    An entry is one of the mapping `params`, such as a layer. 0: they agree; 2: the gradient has the wrong sign. Of
    several steps the one with the smallest gap counts, and a step along which the loss hardly changes does not; if none
    is left, there is nothing to compare, and the gap is 0.
    """

    def value(entry, name):
        return loss({**params, name: entry}, key, batch)[0]

    def gap(name, gradient):
        length = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient)))
        unit = jax.tree.map(lambda leaf: leaf / jnp.where(length > 0, length, 1), gradient)

        def moved(step):
            return value(jax.tree.map(lambda leaf, way: leaf + step * way, params[name], unit), name)

        steps = jnp.array(STEPS)
        up, down = jax.lax.map(moved, jnp.concatenate([steps, -steps])).reshape(2, -1)
        slopes = (up - down) / (2 * steps)
        told = steps * length > NOISE * jnp.abs(up)
        gaps = jnp.where(told, jnp.abs(slopes - length) / jnp.where(told, length, 1), jnp.inf).min()
        return jnp.where(jnp.isfinite(gaps), gaps, 0)

    gradients = jax.grad(loss, has_aux=True)(params, key, batch)[0]
    return jnp.stack([gap(name, gradients[name]) for name in params])
