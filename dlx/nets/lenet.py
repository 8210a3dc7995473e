"""LeNet-5, for handwritten digits (LeCun, Bottou, Bengio & Haffner 1998, section II.B).

Lecture: Alpaydin 12, "LeNet-5".

The padding of two pixels takes the place of the paper's images of 32 x 32, and a softmax output that of its radial
basis functions of fixed codes. With `original` the second convolution has the paper's table of connections, and each
pooled map a trained scale and bias. The layers before the output then have 60 000 parameters; plain the whole net has
61 706.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax.nn.initializers import Initializer

from dlx.nets.convolutional import Conv, Layer, Local, Scaled, Table, flat, network
from dlx.nets.layer import INITIALIZERS, Units, check_name, check_positive
from dlx.nets.module import Affine
from dlx.nets.pooling import POOLS
from dlx.types import Model

SCALED_TANH = Units("scaled tanh", lambda u: 1.7159 * jnp.tanh(2 / 3 * u))
"""1.7159 tanh(2 u / 3), near 1 at 1 and -1 at -1 (their appendix A), without a distribution."""
TABLE = (
    *(tuple(sorted((i + j) % 6 for j in range(3))) for i in range(6)),
    *(tuple(sorted((i + j) % 6 for j in range(4))) for i in range(6)),
    *(tuple(sorted((i + j) % 6 for j in (0, 1, 3, 4))) for i in range(3)),
    tuple(range(6)),
)
"""Which of the six pooled maps each of the 16 maps above sees: table I of the paper."""


def lenet5(classes: int = 10, image: tuple[int, ...] | None = None, **options: Any) -> Model:
    """LeNet-5, from images or rows of pixels to logits [n, classes]. Its options are those of `lenet5_layers`.

    Raises ValueError as `lenet5_layers` does and, at the start, as `dlx.nets.convolutional.network` does.
    """
    return network(lenet5_layers(classes, **options), image)


def lenet5_layers(
    classes: int = 10,
    *,
    units: Units = SCALED_TANH,
    pool: str = "average",
    original: bool = False,
    shared: bool = True,
    size: int = 5,
    initializer: Initializer = INITIALIZERS["glorot"],
) -> tuple[Layer, ...]:
    """The layers of LeNet-5: `c1`, `c3`, `c5`, `f6` and `output`, and the functions between them.

    `pool` is one of `POOLS`, and `size` the rows and columns of a kernel. If not `shared`, each place of `c1` and `c3`
    has weights of its own.

    Raises ValueError for an unknown `pool`, for the original with weights that are not shared, and for sizes below 1.
    """
    check_positive(classes=classes, size=size)
    check_name(pool, POOLS)
    if original and not shared:
        raise ValueError("the original table of connections is of shared weights; choose one of the two")
    layer = partial(Conv if shared else Local, size=size, initializer=initializer)
    c3 = Table(TABLE, size, initializer, name="c3") if original else layer(16, name="c3")

    def pooled(name: str) -> tuple[Layer, ...]:
        return (POOLS[pool](2), *((Scaled(name=name), units.mean) if original else ()))

    return (
        layer(6, padding=size // 2, name="c1"),
        units.mean,
        *pooled("s2"),
        c3,
        units.mean,
        *pooled("s4"),
        flat,
        Affine(120, initializer, name="c5"),
        units.mean,
        Affine(84, initializer, name="f6"),
        units.mean,
        Affine(classes, initializer, name="output"),
    )
