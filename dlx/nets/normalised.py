"""Multi-layer perceptrons with batch normalisation before their units (Ioffe & Szegedy 2015, algorithms 1 and 2).

A hidden layer is f(scale (x w - mean) / sqrt(var + EPSILON) + b). In training mean and variance are those of the
minibatch. In use they are those that stand among the parameters: a running average, or what `dlx.stage.population`
stored. Lectures: on feed-forward nets, "Batch Normalization"; Alpaydin 12, "Batch Normalization".

The statistics may be those of a part of the minibatch: ghost batches (Hoffer, Hubara & Soudry 2017, algorithm 1). Then
a net makes as many updates on the same minibatches, with more noise or less.

`dlx.nets.rectified` has the same algorithms by flax's `BatchNorm`. That one computes a variance as E[z^2] - E[z]^2, so
its last bits differ; it averages over about 20 minibatches, where this one averages over 100. Committed numbers stand
on both, so there are two.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import INITIALIZERS, SIGMOID, Units, as_float, check_positive, check_widths
from dlx.nets.mlp import hidden
from dlx.nets.module import STATISTICS, of_vectors
from dlx.nets.noise import SILENT, Noise
from dlx.types import Model, Params

EPSILON = 1e-5
DECAY = 0.99
"""Of the running statistics, a minibatch."""

Statistics = Mapping[str, Float[Array, " _width"]]
"""`mean` and `var` of a layer's inputs x w, unit by unit."""


def normalised(
    widths: tuple[int, ...],
    classes: int = 10,
    *,
    units: Units = SIGMOID,
    initializer: Initializer = INITIALIZERS["glorot"],
    noise: Noise = SILENT,
    ghost: int | None = None,
) -> Model:
    """A net from inputs [n, visible], pixels or floats, to logits [n, classes]; every hidden layer is normalised.

    In training it has the noise, and statistics over each `ghost` examples of a minibatch; over all without a number.
    Running averages have the means of these.

    Its parameters are `hidden_0`, ... {w, scale, b}, `output` {w, b}, and `STATISTICS`, by layer {mean, var}.

    Raises ValueError if a width, the number of classes or `ghost` is less than 1, and in training if a minibatch does
    not fall into parts of `ghost`.
    """
    check_positive(classes=classes, ghost=ghost or 1)
    check_widths(widths)

    def init(key, x):
        *keys, key_output = jax.random.split(key, len(widths) + 1)
        fans = (x.shape[0], *widths)
        layers = {
            hidden(i): {"w": initializer(one, fans[i : i + 2], jnp.float32), "scale": jnp.ones(n), "b": jnp.zeros(n)}
            for i, (one, n) in enumerate(zip(keys, widths, strict=True))
        }
        output = {"w": initializer(key_output, (fans[-1], classes), jnp.float32), "b": jnp.zeros(classes)}
        fresh = {hidden(i): {"mean": jnp.zeros(n), "var": jnp.ones(n)} for i, n in enumerate(widths)}
        return {**layers, "output": output, STATISTICS: fresh}

    def logits(output, h):
        return h @ output["w"] + output["b"]

    def apply(params, x):
        return logits(params["output"], layer_inputs(len(widths), units)(params, x))

    def train(params, key, x):
        key_values, key_weights = jax.random.split(key)
        x, running = as_float(x), {}
        for i in range(len(widths)):
            name = hidden(i)
            layer = noise.layer(jax.random.fold_in(key_weights, i), params[name])
            z = noise.values(key_values, i, x) @ layer["w"]
            z, batch = _normalised_by_parts(params[name], z, ghost)
            x, old = units.mean(z), params[STATISTICS][name]
            running[name] = {
                moment: DECAY * old[moment] + (1 - DECAY) * jax.lax.stop_gradient(batch[moment]) for moment in batch
            }
        output = noise.layer(jax.random.fold_in(key_weights, len(widths)), params["output"])
        return logits(output, noise.values(key_values, len(widths), x)), {STATISTICS: running}

    return of_vectors(Model(init, apply, train))


def _normalised_by_parts(
    layer: Params, z: Float[Array, "n width"], ghost: int | None
) -> tuple[Float[Array, "n width"], Statistics]:
    """What the units of the layer get in training, and the mean statistics of the parts of the minibatch."""

    def normalised_part(z):
        statistics = {"mean": z.mean(0), "var": z.var(0)}
        return _normalise(layer, z, statistics), statistics

    if ghost is None:
        return normalised_part(z)
    if len(z) % ghost:
        raise ValueError(f"a minibatch of {len(z)} does not fall into parts of {ghost}; choose a multiple")
    parts, statistics = jax.vmap(normalised_part)(z.reshape(-1, ghost, z.shape[1]))
    return parts.reshape(z.shape), jax.tree.map(lambda of: of.mean(0), statistics)


def _normalise(layer: Params, z: Float[Array, "n width"], statistics: Statistics) -> Float[Array, "n width"]:
    """What the units of the layer get, where its inputs x w are z."""
    return layer["scale"] * (z - statistics["mean"]) / jnp.sqrt(statistics["var"] + EPSILON) + layer["b"]


def pre_activations(i: int, units: Units = SIGMOID) -> Callable[[Params, Array], Array]:
    """The view (params, x [n, visible]) -> [n, width]: what the units of hidden layer i get in use."""

    def view(params: Params, x: Shaped[Array, "n visible"]) -> Float[Array, "n width"]:
        name = hidden(i)
        z = layer_inputs(i, units)(params, x) @ params[name]["w"]
        return _normalise(params[name], z, params[STATISTICS][name])

    return view


def layer_inputs(i: int, units: Units = SIGMOID) -> Callable[[Params, Array], Array]:
    """The view (params, x [n, visible]) -> [n, fan-in]: what hidden layer i gets in use, before its weights."""

    def view(params: Params, x: Shaped[Array, "n visible"]) -> Float[Array, "n fan_in"]:
        return units.mean(pre_activations(i - 1, units)(params, x)) if i else as_float(x)

    return view


def to_normalise(widths: tuple[int, ...], units: Units = SIGMOID) -> dict[str, Callable[[Params, Array], Array]]:
    """By hidden layer, the view (params, x [n, visible]) -> [n, width] whose mean and variance its statistics are."""

    def view(i):
        return lambda params, x: layer_inputs(i, units)(params, x) @ params[hidden(i)]["w"]

    return {hidden(i): view(i) for i in range(len(widths))}
