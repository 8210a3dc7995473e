"""Figures of images: filters, which are the incoming weights of units, and samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float, Shaped

from dlx.show import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Weights = Float[np.ndarray | jax.Array, "_visible _hidden"]
Intensities = Shaped[np.ndarray | jax.Array, "_down _across _pixels"]
WIDE = 150
"""Two blocks of more pixels than this stand beside each other, and three of fewer."""
GRAYS = 17
"""So many shades: an eye sees no more in small images, and a file with fewer is much smaller."""


def filters(groups: Mapping[str, Weights], shape: tuple[int, ...], *, count: int = 6) -> Figure:
    """One block per group: the weights of its `count` units of largest norm, each as an image.

    `groups` maps names to weights [visible, hidden]. `shape` is that of one image. (height, width) is drawn from black
    to white, and (height, width, 3) in colour; gray is 0 in both. Each block has a scale of its own, which stands under
    its name. Raises ValueError for other shapes, if the weights do not fill one, or if there is nothing to draw.
    """
    _check_shape(shape)
    if not groups or count < 1:
        raise ValueError("there are no filters to draw: give at least one group, and a count of at least 1")
    pictures = {}
    for name, weights in groups.items():
        picture, scale = _picture(name, np.asarray(weights, np.float64), shape, count)
        pictures[f"{name}\n{scale}"] = picture
    return _blocks(pictures)


def samples(groups: Mapping[str, Intensities], shape: tuple[int, ...]) -> Figure:
    """One block per group: its images [down, across, pixels], in rows and columns.

    Black is 0. White is 1, or 255 if they are uint8. Raises ValueError if `shape` is not that of an image, or if there
    is nothing to draw.
    """
    _check_shape(shape)
    if not groups:
        raise ValueError("there are no images to draw: give at least one group")
    pictures = {}
    for name, images in groups.items():
        white = 255 if images.dtype == np.uint8 else 1
        pictures[name] = _grid(np.asarray(images, np.float64).reshape(-1, *shape) / white, images.shape[1], shape)
    return _blocks(pictures)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3) or min(shape) < 1:
        raise ValueError(f"inputs of shape {shape} are no images: give (height, width) or (height, width, 3)")


def _blocks(pictures: Mapping[str, np.ndarray]) -> Figure:
    """A figure of pictures, at most three in a row, each under its title. The first line of a title is wrapped."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    grays = colormaps["gray"].resampled(GRAYS)
    wide = max(picture.shape[1] for picture in pictures.values()) > WIDE
    across = 2 if wide or len(pictures) == 4 else 3
    across = min(len(pictures), across)
    titles = []
    for title in pictures:
        name, *rest = title.split("\n")
        titles.append("\n".join([canvas.wrap(name, {1: 54, 2: 30, 3: 19}[across]), *rest]))
    gap = 0.1
    side = (canvas.WIDTH - gap) / across - gap
    tall = side * min(2, max(len(picture) / picture.shape[1] for picture in pictures.values()))
    lines = [max(len(t.splitlines()) for t in titles[i : i + across]) for i in range(0, len(titles), across)]
    rows = [tall + canvas.LINE * count + gap for count in lines]
    height = sum(rows) + gap
    figure = Figure(figsize=(canvas.WIDTH, height))
    for i, (picture, title) in enumerate(zip(pictures.values(), titles, strict=True)):
        left, bottom = gap + i % across * (side + gap), gap + sum(rows[i // across + 1 :])
        axes = figure.add_axes((left / canvas.WIDTH, bottom / height, side / canvas.WIDTH, tall / height))
        axes.set_axis_off()
        axes.set_title(title, fontsize=canvas.SMALL)
        axes.imshow(picture, cmap=grays, vmin=0, vmax=1, interpolation="nearest")
    return figure


def _grid(images: np.ndarray, across: int, shape: tuple[int, ...]) -> np.ndarray:
    """Images in rows of `across`, in one picture that is white in the gaps."""
    gap = max(1, round(max(shape[:2]) / 14))
    height, width = shape[0] + gap, shape[1] + gap
    down = math.ceil(len(images) / across)
    picture = np.ones((down * height - gap, across * width - gap, *shape[2:]))
    for unit, image in enumerate(images):
        y, x = unit // across * height, unit % across * width
        picture[y : y + shape[0], x : x + shape[1]] = image
    return picture


def _picture(name: str, weights: np.ndarray, shape: tuple[int, ...], count: int) -> tuple[np.ndarray, str]:
    """The units of largest norm in a picture that is about square, and what its gray and white mean.

    The picture is [height, width] or [height, width, 3], from 0 to 1. The gaps are white. All of it is white if a
    weight is not finite. White, or a full colour, is a weight that 99.5 % of the weights do not reach.
    """
    if len(weights) != math.prod(shape):
        raise ValueError(f"{name}: {len(weights)} weights a unit do not fill an image of shape {shape}")
    diverged = not np.isfinite(weights).all()
    shown = weights[:, np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:count]].T
    scale = float(np.quantile(np.abs(shown), 0.995)) or 1.0
    images = np.clip(0.5 + shown / (2 * scale), 0, 1).reshape(-1, *shape)
    gap = max(1, round(max(shape[:2]) / 14))
    across = min(len(images), math.ceil(math.sqrt(len(images) * (shape[0] + gap) / (shape[1] + gap))))
    if diverged:
        return _grid(np.ones_like(images), across, shape), "(diverged)"
    return _grid(images, across, shape), f"gray 0, white {scale:.2g}"
