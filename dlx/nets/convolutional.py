"""Layers that see images: convolutions, local connections, transposed convolutions; and nets that are stacked of them.

A layer of any kind is a flax module, or a function of images such as pooling. Weights are `w`, their last axis over
units, and biases `b`. Lectures: Alpaydin 12, "Convolution", "Weight Sharing", "Deconvolution"; CS/CNS/EE 155 16.
"""

from collections.abc import Callable
from math import isqrt, prod
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer, constant
from jaxtyping import Array, Float, Shaped

from dlx.nets.convolution import Images, Pair, convolution, pair, places, transposed, windows
from dlx.nets.layer import INITIALIZERS, as_float, check_positive
from dlx.nets.module import model, variables
from dlx.types import Model, Params

Layer = nn.Module | Callable[[Array], Array]
GLOROT = INITIALIZERS["glorot"]


class Conv(nn.Module):
    """So many maps, whose units share a kernel a map: w [rows, columns, channels / groups, units], b [units]."""

    units: int
    size: int | Pair
    stride: int | Pair = 1
    padding: int | Pair = 0
    groups: int = 1
    initializer: Initializer = GLOROT
    bias: float | None = 0.0
    """Where biases start; with None there is none."""

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "n down across units"]:
        """The inputs of the units."""
        check_positive(units=self.units, groups=self.groups)
        channels = x.shape[3] // self.groups
        w = self.param("w", self.initializer, (*pair(self.size), channels, self.units))
        made = convolution(x, w, pair(self.stride), pair(self.padding), self.groups)
        return made if self.bias is None else made + self.param("b", constant(self.bias), (self.units,))


class Table(nn.Module):
    """A convolution in which each unit sees some of the channels: w [rows, columns, connections], b [units]."""

    channels: tuple[tuple[int, ...], ...]
    """By unit, the channels that it sees."""
    size: int | Pair
    initializer: Initializer = GLOROT

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "n down across units"]:
        """The inputs of the units."""
        pairs = [(channel, unit) for unit, seen in enumerate(self.channels) for channel in seen]
        units, window = len(self.channels), pair(self.size)
        if max(channel for channel, _ in pairs) >= x.shape[3]:
            raise ValueError(f"the table connects more channels than the {x.shape[3]} that there are")
        fan_in = -(-len(pairs) // units)

        def draw(key, shape):
            full = self.initializer(key, (*window, fan_in, units)).reshape(*window, -1)
            return full[..., : shape[-1]]

        w = self.param("w", draw, (*window, len(pairs)))
        index = [[len(pairs)] * units for _ in range(x.shape[3])]
        for place, (channel, unit) in enumerate(pairs):
            index[channel][unit] = place
        kernel = jnp.pad(w, ((0, 0), (0, 0), (0, 1)))[..., jnp.array(index, jnp.int16)]
        return convolution(x, kernel) + self.param("b", nn.initializers.zeros, (units,))


class Local(nn.Module):
    """As `Conv`, but each place has weights and biases of its own: w [rows, columns, channels, all units], b.

    The units of all places are numbered row by row, and at a place map by map. Each place is drawn as a layer of its
    own.
    """

    units: int
    size: int | Pair
    stride: int | Pair = 1
    padding: int | Pair = 0
    initializer: Initializer = GLOROT

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "n down across units"]:
        """The inputs of the units."""
        check_positive(units=self.units)
        window, stride, padding = pair(self.size), pair(self.stride), pair(self.padding)
        down, across = places(x.shape[1:3], window, stride, padding)
        fan_in = *window, x.shape[3]

        def draw(key, shape):
            keys = jax.random.split(key, down * across)
            each = jax.vmap(lambda one: self.initializer(one, (prod(fan_in), self.units)))(keys)
            return jnp.moveaxis(each, 0, 1).reshape(shape)

        w = self.param("w", draw, (*fan_in, down * across * self.units))
        b = self.param("b", nn.initializers.zeros, (down * across * self.units,))
        x = jnp.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
        weights = w.reshape(*fan_in, down, across, self.units)
        made = jnp.einsum("nyxijc,ijcyxu->nyxu", windows(x, window, stride), weights)
        return made + b.reshape(down, across, self.units)


class Transposed(nn.Module):
    """The transpose of a convolution, which makes images larger: w [rows, columns, channels, units], b [units]."""

    units: int
    size: int | Pair
    stride: int | Pair = 1
    padding: int | Pair = 0
    initializer: Initializer = GLOROT

    @nn.compact
    def __call__(self, x: Images) -> Float[Array, "n down across units"]:
        """The inputs of the units."""
        check_positive(units=self.units)
        w = self.param("w", self.initializer, (*pair(self.size), x.shape[3], self.units))
        b = self.param("b", nn.initializers.zeros, (self.units,))
        return transposed(x, w, pair(self.stride), pair(self.padding)) + b


class Scaled(nn.Module):
    """Each map times a `scale` of its own, plus a `bias`: LeCun's trained subsampling, after average pooling."""

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """The inputs of the units."""
        scale = self.param("scale", nn.initializers.ones, x.shape[3:])
        return x * scale + self.param("bias", nn.initializers.zeros, x.shape[3:])


class Biased(nn.Module):
    """A bias for each place of each map, as where units share a kernel and nothing else: b [down, across, maps]."""

    @nn.compact
    def __call__(self, x: Images) -> Images:
        """The inputs of the units."""
        return x + self.param("b", nn.initializers.zeros, x.shape[1:])


def flat(x: Float[Array, "n ..."]) -> Float[Array, "n values"]:
    """All values of an example in a row."""
    return x.reshape(len(x), -1)


def as_images(x: Shaped[Array, "n ..."], image: tuple[int, ...] | None = None) -> Images:
    """Pixels as floats [n, height, width, channels]; see `in_rows_and_columns`."""
    return as_float(in_rows_and_columns(x, image))


def in_rows_and_columns(
    x: Shaped[Array, "n ..."], image: tuple[int, ...] | None = None
) -> Shaped[Array, "n height width channels"]:
    """Pixels [n, height, width, channels], from images with or without channels, or from rows of pixels.

    `image` is the height and the width of an image, with its channels if it has several; without it rows of pixels
    are square images. Raises ValueError for what are no images of that shape.
    """
    if image is None and x.ndim == 2:
        image = (isqrt(x.shape[1]),) * 2
    if image is not None:
        if prod(image) != prod(x.shape[1:]):
            raise ValueError(
                f"an input of the shape {x.shape[1:]} is no image of {' x '.join(map(str, image))} pixels; tell the "
                "net what its images are, as in image=(28, 28) or (32, 32, 3)"
            )
        x = x.reshape(len(x), *image)
    if x.ndim not in (3, 4):
        raise ValueError(f"an image has a height, a width and perhaps channels; an input has the shape {x.shape[1:]}")
    return x if x.ndim == 4 else x[..., None]


class Stack(nn.Module):
    """Layers, one after the other, on images. Parameters are named as their layers are."""

    layers: tuple[Layer, ...]
    image: tuple[int, ...] | None = None
    preserve_adopted_names: ClassVar[bool] = True

    def __call__(self, x: Shaped[Array, "n ..."]) -> Array:
        """The output of the last layer."""
        return self.outputs(x)[-1]

    def outputs(self, x: Shaped[Array, "n ..."]) -> list[Array]:
        """What each layer makes of the images."""
        x, made = as_images(x, self.image), []
        for layer in self.layers:
            x = layer(x)
            made.append(x)
        return made


def network(layers: tuple[Layer, ...], image: tuple[int, ...] | None = None) -> Model:
    """The net of these layers. Its inputs are images, or rows of pixels; see `as_images`.

    A layer with parameters has a name, as in `Conv(8, 5, padding=2, name="first")`. What is no image, a kernel larger
    than an image, or groups that do not divide raise ValueError at the start.
    """
    return model(Stack(layers, image))


def outputs(
    layers: tuple[Layer, ...], image: tuple[int, ...] | None = None
) -> Callable[[Params, Any], list[Float[Array, "n ..."]]]:
    """The view (params, x) -> what each layer of a `network` makes of the images, from the first."""
    stack = Stack(layers, image)
    return lambda params, x: cast(list[Array], stack.apply(variables(params), x, method=Stack.outputs))
