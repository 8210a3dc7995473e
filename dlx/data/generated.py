"""Data sets that are made from a formula: patterns of bits, a stated function of two numbers, and two spirals."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from dlx.data.sources import Dataset, Provenance, fingerprint
from dlx.types import Data, Labelled, Rate

MOST_BITS = 16
RADIUS = 6.5
"""Of the two spirals at their outer ends."""


class Targets(NamedTuple):
    """Examples of a function of real values: points or sequences `x` [n, ...] and values `y` [n, outputs]."""

    x: Shaped[Array | np.ndarray, "n *shape"]
    y: Float[Array | np.ndarray, "n outputs"]


def bit_patterns(bits: int) -> Dataset:
    """All 2^bits patterns of bits, -1 or 1 as float32 [2^bits, bits], labelled by their parity.

    There is nothing to be generalised to, so that each of the three splits holds all of them.

    Raises ValueError if `bits` is not between 1 and `MOST_BITS`.
    """
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"patterns of {bits} bits are not made; choose 1 to {MOST_BITS} bits")
    on = (np.arange(2**bits)[:, None] >> np.arange(bits)) & 1
    split = Labelled((2 * on - 1).astype(np.float32), (on.sum(1) % 2).astype(np.int32))
    return _dataset(f"patterns of {bits} bits", Data(split, split, split), classes=2)


def first_bits(split: Labelled, bits: Rate) -> Labelled:
    """The patterns with all but their first bits set to 0, labelled by the parity of those; `bits` may be traced."""
    x = jnp.where(jnp.arange(split.x.shape[-1]) < bits, split.x, 0)
    return Labelled(x, (x > 0).sum(-1) % 2)


def franke(x: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n"]:
    """Franke's function of the square [-1, 1]^2: two hills, a third one, and a dip.

    R. Franke, "A critical comparison of some methods for interpolation of scattered data", 1979; its own unit square
    is stretched to this one.
    """
    u, v = np.moveaxis(9 * (x + 1) / 2, -1, 0)
    return (
        0.75 * np.exp(-((u - 2) ** 2 + (v - 2) ** 2) / 4)
        + 0.75 * np.exp(-((u + 1) ** 2) / 49 - (v + 1) / 10)
        + 0.5 * np.exp(-((u - 7) ** 2 + (v - 3) ** 2) / 4)
        - 0.2 * np.exp(-((u - 4) ** 2) - (v - 7) ** 2)
    )


def square(points: int) -> Float[Array, "points points 2"]:
    """Evenly spaced points of the square [-1, 1]^2, the first of two numbers along the second axis."""
    line = jnp.linspace(-1, 1, points)
    return jnp.stack(jnp.meshgrid(line, line), -1)


def franke_points(train: int, others: int) -> Dataset:
    """Franke's function, without noise, at random points of the square: `Targets` of float32.

    `others` is the size of each of the other splits. Values are shifted and scaled so that those of the training
    points have the mean 0 and the variance 1.

    Raises ValueError if a split would have fewer than two points.
    """
    if min(train, others) < 2:
        raise ValueError(f"splits of {train} and {others} points are too few; give each two points at least")
    # Of NumPy's random numbers only the raw bits are promised to be the same in every release.
    raw = np.random.PCG64(0).random_raw(2 * (train + 2 * others))
    x = (raw / 2.0**63 - 1).reshape(-1, 2).astype(np.float32)
    y = franke(x.astype(float))[:, None]
    y = ((y - y[:train].mean()) / y[:train].std()).astype(np.float32)
    ends = [(0, train), (train, train + others), (train + others, len(x))]
    return _dataset("Franke's function", Data(*(Targets(x[a:b], y[a:b]) for a, b in ends)), classes=0)


def two_spirals(turns: Rate, points: int = 97, shift: Rate = 0.0) -> Labelled:
    """Points of two spirals that wind around each other, [2 points, 2]: those of class 0, then of class 1.

    Point i of class 0 has the angle 2 pi turns i / 96 and the radius 6.5 (104 - i) / 104; class 1 is opposite. With
    `shift` .5 the points lie half-way between these. `turns` and `shift` may be traced. Of 3 turns it is the task of
    Lang & Witbrock 1988, "Learning to tell two spirals apart".

    Raises ValueError if a class would have no point, or more than 104, which lie beyond the centre.
    """
    if not 1 <= points <= 104:
        raise ValueError(f"a spiral of {points} points cannot be drawn; choose 1 to 104 points")
    place = jnp.arange(points) + shift
    angle, radius = 2 * jnp.pi * turns * place / 96, RADIUS * (104 - place) / 104
    x = radius[:, None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
    return Labelled(jnp.concatenate([x, -x]), jnp.repeat(jnp.arange(2), points, total_repeat_length=2 * points))


def _dataset(name: str, data: Data, classes: int) -> Dataset:
    origin = Provenance(name, "generated", "generated", fingerprint(data))
    return Dataset(data, origin, data.train.x.shape[1:], classes)
