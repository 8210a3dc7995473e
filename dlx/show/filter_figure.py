"""A figure of filters: the incoming weights of units, as images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from dlx.show import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Weights = Float[np.ndarray | jax.Array, "_visible _hidden"]


def filters(groups: Mapping[str, Weights], shape: tuple[int, ...], *, count: int = 6, title: str = "") -> Figure:
    """A block a group: the weights of its `count` units of largest norm, each as an image.

    `groups` maps names to weights [visible, hidden]. `shape` is that of one image: (height, width), drawn from black
    to white, or (height, width, 3), drawn in colour; gray is 0 in both. Each block has a scale of its own, which
    stands under its name. Raises ValueError if `shape` is another one, if the weights do not fill it, or if there is
    nothing to draw.
    """
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3) or min(shape) < 1:
        raise ValueError(
            f"inputs of shape {shape} are no images: filters are drawn for (height, width) or (height, width, 3)"
        )
    if not groups or count < 1:
        raise ValueError("there are no filters to draw: give at least one group, and a count of at least 1")
    blocks = {name: _block(name, np.asarray(weights, np.float64), shape, count) for name, weights in groups.items()}
    across = 2 if len(groups) in (2, 4) else min(len(groups), 3)
    down = math.ceil(len(groups) / across)
    names = {name: canvas.wrap(name, {1: 54, 2: 30, 3: 19}[across]) for name in groups}
    wide = (canvas.WIDTH - 0.1) / across - 0.1
    tall = min(wide * max((len(b.picture) / b.picture.shape[1] for b in blocks.values() if b), default=0.5), 2 * wide)
    lines = 2 + max(name.count("\n") for name in names.values())
    figure = canvas.blank(down * (tall + canvas.LINE * lines + 0.1), title)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (name, block) in zip(grid, blocks.items(), strict=False):
        if block is None:
            axes.set_title(f"{names[name]}\n(diverged)", fontsize=canvas.SMALL)
            continue
        colours = {} if len(shape) == 3 else {"cmap": _gray(), "vmin": -block.scale, "vmax": block.scale}
        axes.imshow(block.picture, interpolation="nearest", **colours)
        axes.set_title(f"{names[name]}\ngray 0, white {block.scale:.2g}", fontsize=canvas.SMALL)
    return figure


def _gray():
    import matplotlib

    return matplotlib.colormaps["gray"].with_extremes(bad="white")


class _Block(NamedTuple):
    picture: np.ndarray
    """[height, width], NaN in the gaps; or [height, width, 3] from 0 to 1, white in the gaps."""
    scale: float
    """The weight that is drawn as white, or as a full colour: 99.5 % of the weights are below it."""


def _block(name: str, weights: np.ndarray, shape: tuple[int, ...], count: int) -> _Block | None:
    """The units of largest norm side by side, in a picture that is about square; None if a weight is not finite."""
    if len(weights) != math.prod(shape):
        raise ValueError(f"{name}: {len(weights)} weights a unit do not fill an image of shape {shape}")
    if not np.isfinite(weights).all():
        return None
    shown = weights[:, np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:count]].T
    scale = float(np.quantile(np.abs(shown), 0.995)) or 1.0
    images = shown.reshape(-1, *shape)
    if len(shape) == 3:
        images = np.clip(0.5 + images / (2 * scale), 0, 1)
    gap = max(1, round(max(shape[:2]) / 14))
    height, width = shape[0] + gap, shape[1] + gap
    across = min(len(images), math.ceil(math.sqrt(len(images) * height / width)))
    down = math.ceil(len(images) / across)
    picture = np.full((down * height - gap, across * width - gap, *shape[2:]), 1.0 if len(shape) == 3 else np.nan)
    for unit, image in enumerate(images):
        y, x = unit // across * height, unit % across * width
        picture[y : y + shape[0], x : x + shape[1]] = image
    return _Block(picture, scale)
