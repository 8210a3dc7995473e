"""What hidden units do: are they saturated, dead, equal, sparse, correlated?

All take the values h [n, units] of a layer's units on n examples, and give shares or means between 0 and 1. Good
training leaves units that are active for few examples each and not correlated; after bad training many ignore the input
or are strongly correlated (lecture on feed-forward nets, "Visualization").
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dlx.types import Rate, Scalar

Codes = Float[Array, "n units"]
TINY = 1e-12


def saturated(h: Codes, low: Rate, high: Rate, margin: float = 0.05) -> Scalar:
    """The share of the values within a `margin` of the ends `low` and `high` of what the units can give.

    The margin is a share of the distance of the ends. Units without an end there (infinite) do not saturate.
    """
    bounded = jnp.isfinite(high - low)
    edge = jnp.where(bounded, margin * (high - low), 0)
    return jnp.where(bounded, ((h <= low + edge) | (h >= high - edge)).mean(), 0.0)


def dead(h: Codes) -> Scalar:
    """The share of the units that are 0 for every example: a rectifier then has no gradient."""
    return (h == 0).all(0).mean()


def ignoring(h: Codes, least: float = 0.01) -> Bool[Array, " units"]:
    """Whether a unit's standard deviation over the examples is not above a share of its root mean square, or NaN."""
    return ~(h.std(0) > least * jnp.sqrt(jnp.square(h).mean(0)) + TINY)


def correlations(h: Codes) -> Float[Array, "units units"]:
    """The absolute correlation of each unit with each. A unit that ignores the input is a function of any other: 1."""
    apart = h - h.mean(0)
    scale = jnp.sqrt(jnp.square(apart).sum(0))
    flat = ignoring(h)
    unit = apart / jnp.where(flat, 1, scale)
    return jnp.where(flat[:, None] | flat, 1.0, jnp.minimum(jnp.abs(unit.T @ unit), 1))


def correlation(h: Codes) -> Scalar:
    """The mean absolute correlation of two different units."""
    units = h.shape[1]
    return (correlations(h).sum() - units) / (units * (units - 1))


def redundant(h: Codes, least: float = 0.95) -> Scalar:
    """The share of the units that ignore the input, or whose correlation with another unit is above `least`."""
    flat = ignoring(h)
    compared = ~(flat | flat[:, None] | jnp.eye(h.shape[1], dtype=bool))
    return (flat | (jnp.where(compared, correlations(h), 0).max(1) > least)).mean()


def activity(h: Codes) -> Scalar:
    """(mean |h|)^2 / mean h^2 over the examples, averaged over units: 1 for a unit that is the same for all.

    A unit that is on for a share s of the examples, and else 0, has s; it is sparse if that is small (Rolls & Tovee
    1995). A unit that is always 0 is the same for all examples.
    """
    power = jnp.square(h).mean(0)
    return jnp.where(power > TINY, jnp.square(jnp.abs(h).mean(0)) / jnp.maximum(power, TINY), 1.0).mean()


def twins(w: Float[Array, "inputs units"]) -> Scalar:
    """The share of the units whose incoming weights are those of another unit, but for rounding."""
    w = w / jnp.maximum(jnp.abs(w).max(), TINY)
    square = jnp.square(w).sum(0)
    distance = square[:, None] + square - 2 * w.T @ w
    alike = (distance <= 1e-5 * jnp.maximum(square, TINY)) & ~jnp.eye(w.shape[1], dtype=bool)
    return alike.any(1).mean()


def picture(h: Codes, y: Int[Array, " n"]) -> Codes:
    """The values sample by unit, from 0 to 1, samples in the order of their classes."""
    low, high = h.min(), h.max()
    return ((h - low) / jnp.maximum(high - low, TINY))[jnp.argsort(y)]
