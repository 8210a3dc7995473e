"""The net of ConvNetJS's demonstration on MNIST (Karpathy 2014). Lecture: CS/CNS/EE 155 16, "Online Demo".

Two convolutions of 5 x 5 with rectifiers, 8 and 16 maps, pooled over 2 x 2 and 3 x 3, under a softmax output. It sees
24 x 24 of the 28 x 28 pixels: in training a part at a random place, in use the middle, or several parts whose
probabilities are averaged. The demonstration draws the parts at random in use as well.
"""

from typing import Any

import jax
from jax.nn.initializers import Initializer, variance_scaling

from dlx.nets.convolutional import Conv, Layer, flat, network
from dlx.nets.cropped import MIDDLE, Parts, cropped
from dlx.nets.layer import check_name, check_positive
from dlx.nets.module import Affine
from dlx.nets.pooling import POOLS, contrast_normalised
from dlx.types import Model

FAN_IN = variance_scaling(1.0, "fan_in", "normal")
"""N(0, 1 / fan-in), which the demonstration draws from."""
BIAS = 0.1
"""Of its rectified units at the start."""
STRIDE = "stride"
"""In place of a name in `POOLS`: nothing is pooled, and the convolutions move on by as many pixels."""


def convnetjs(
    classes: int = 10,
    image: tuple[int, ...] | None = None,
    *,
    side: int | None = 24,
    parts: Parts = MIDDLE,
    **options: Any,
) -> Model:
    """ConvNetJS's net, from images or rows of pixels to logits [n, classes].

    `side` and `parts` are those of `dlx.nets.cropped.cropped`; where `side` is None it sees whole images. Other options
    are those of `convnetjs_layers`.

    Raises ValueError as these do and, at the start, as `dlx.nets.convolutional.network` does.
    """
    layers = convnetjs_layers(classes, **options)
    return network(layers, image) if side is None else cropped(network(layers), side, parts, image)


def convnetjs_layers(
    classes: int = 10,
    *,
    pool: str = "max",
    groups: int = 1,
    contrast: bool = False,
    initializer: Initializer = FAN_IN,
) -> tuple[Layer, ...]:
    """The layers of ConvNetJS's net: `first`, `second` and `output`, and the functions between them.

    `pool` is one of `POOLS`, or `STRIDE`. The second convolution has `groups`. With `contrast` rectified units are
    normalised by their neighbours before they are pooled.

    Raises ValueError for an unknown `pool`, and for sizes below 1.
    """
    check_positive(classes=classes, groups=groups)
    check_name(pool, (*POOLS, STRIDE))

    def stage(units: int, window: int, name: str, groups: int = 1) -> tuple[Layer, ...]:
        stride = window if pool == STRIDE else 1
        maps = Conv(units, 5, stride, 2, groups, initializer, BIAS, name=name)
        normalised = (contrast_normalised(),) if contrast else ()
        return maps, jax.nn.relu, *normalised, *(() if pool == STRIDE else (POOLS[pool](window),))

    first, second = stage(8, 2, "first"), stage(16, 3, "second", groups)
    return *first, *second, flat, Affine(classes, initializer, name="output")
