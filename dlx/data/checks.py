"""What no data set may hold: labels that are no class, and pixels that a net would take for others."""

from collections.abc import Collection
from typing import Any

import numpy as np

from dlx.data.idx import DataError
from dlx.types import Data

IMAGE = (2, 3)
"""Axes of an image: height and width, or with channels."""


def check(data: Data, shape: Collection[int], classes: int, place: object) -> None:
    """Raise DataError if a split has labels that are no class, or pixels that are not. It names `place` and the split.

    `shape` is that of one example, and `classes` their number, 0 if there are none. Labels are integers `y` [n]. Of
    pixels, which have the shape of an image, uint8 are 0 to 255, and floats 0 to 1.
    """
    for name, split in zip(Data._fields, data, strict=True):
        y, x = getattr(split, "y", None), split.x
        if fault := wrong_labels(y, classes) if classes else "":
            raise DataError(f"{place}: {name} has {fault}")
        if len(shape) in IMAGE and (fault := wrong_pixels(x)):
            raise DataError(
                f"{place}: {name} has pixels {fault}; give uint8 from 0 to 255, or floats from 0 to 1. (The shape of a "
                "data set whose inputs are no images is that of a vector.)"
            )


def wrong_labels(y: Any, classes: int) -> str:
    """What is wrong with labels, in words; empty if nothing is, or if they are not one array [n]."""
    if np.ndim(y) != 1 or not hasattr(y, "dtype"):
        return ""
    if not np.issubdtype(y.dtype, np.integer):
        return f"labels of the dtype {y.dtype}; they are integers"
    outside = np.asarray(y)[(np.asarray(y) < 0) | (np.asarray(y) >= classes)]
    return f"the label {outside[0]}; there are {classes} classes, 0 to {classes - 1}" if len(outside) else ""


def wrong_pixels(x: Any) -> str:
    """What is wrong with pixels, in words; empty if nothing is, or if they are not one array."""
    if not hasattr(x, "dtype") or x.dtype == np.uint8 or not x.size:
        return ""
    if not np.issubdtype(x.dtype, np.floating):
        return f"of the dtype {x.dtype}"
    low, high = np.min(x), np.max(x)
    return "" if low >= 0 and high <= 1 else f"from {low:g} to {high:g} as {x.dtype}"
