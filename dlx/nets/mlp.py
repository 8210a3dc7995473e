"""The multi-layer perceptron of Bengio et al. 2006: sigmoid hidden layers, or others, under a softmax output."""

from collections.abc import Callable

import jax
from flax import linen as nn
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, Shaped

from dlx.nets.layer import INITIALIZERS, SIGMOID, LayerKind, Units, as_float, check_positive, check_widths
from dlx.nets.module import Affine, Layer, model, of_vectors
from dlx.nets.noise import SILENT, Noise
from dlx.types import Key, Model, Params


class MLP(nn.Module):
    """Layers `hidden_0`, `hidden_1`, ... of the given widths, then `output` with one logit a class."""

    widths: tuple[int, ...]
    classes: int
    initializer: Initializer
    units: Units

    def setup(self):
        """Layers in the order of the data's way through them."""
        self.hidden = [Layer(width, self.initializer, self.units) for width in self.widths]
        self.output = Affine(self.classes, self.initializer)

    def __call__(self, x: Shaped[Array, "*n visible"]) -> Float[Array, "*n classes"]:
        """Logits of the classes."""
        x = as_float(x)
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


def mlp(
    widths: tuple[int, ...],
    classes: int = 10,
    initializer: Initializer = INITIALIZERS["fan"],
    units: Units = SIGMOID,
    noise: Noise = SILENT,
) -> Model:
    """A net from inputs [n, visible], pixels or floats, to logits [n, classes]. In training it has the noise.

    Its parameters are layers `{w, b, c}` named `hidden_0`, `hidden_1`, ... and `output`, which is `{w, b}`.

    Raises ValueError if a width or the number of classes is less than 1; at the start, for inputs that are no vectors.
    """
    check_positive(classes=classes)
    check_widths(widths)
    net = of_vectors(model(MLP(widths, classes, initializer, units)))
    return net._replace(train=_with_noise(len(widths), units, noise)) if noise != SILENT else net


def _with_noise(depth: int, units: Units, noise: Noise) -> Callable[[Params, Key, Array], tuple[Array, dict]]:
    def train(params, key, x):
        key_values, key_weights = jax.random.split(key)
        x = as_float(x)
        for i in range(depth):
            layer = noise.layer(jax.random.fold_in(key_weights, i), params[hidden(i)])
            x = LayerKind(units).encode(layer, noise.values(key_values, i, x))
        output = noise.layer(jax.random.fold_in(key_weights, depth), params["output"])
        return noise.values(key_values, depth, x) @ output["w"] + output["b"], {}

    return train


def hidden(i: int) -> str:
    """The name of hidden layer i in the parameters."""
    return f"hidden_{i}"


def in_order(params: Params) -> list[Params]:
    """The layers of an `mlp` from below: `hidden_0`, `hidden_1`, ..., `output`."""
    return [*(params[hidden(i)] for i in range(len(params) - 1)), params["output"]]


def widths_of(params: Params) -> tuple[tuple[int, ...], int]:
    """The widths of the hidden layers of an `mlp`, and its number of classes: `mlp(*widths_of(params))` fits them."""
    *widths, classes = (layer["b"].size for layer in in_order(params))
    return tuple(widths), classes


def pre_activations(i: int, units: Units = SIGMOID) -> Callable[[Params, Array], Array]:
    """The view (params, x [n, visible]) -> [n, width]: what the units of hidden layer i of an `mlp` get."""
    below = codes(i, units)

    def view(params: Params, x: Shaped[Array, "n visible"]) -> Float[Array, "n width"]:
        layer = params[hidden(i)]
        return (below(params, x) if below else as_float(x)) @ layer["w"] + layer["b"]

    return view


def codes(depth: int, units: Units = SIGMOID) -> Callable[[Params, Array], Array] | None:
    """The view (params, x [n, visible]) -> code [n, width] after the first `depth` layers of an `mlp`.

    It is what layer `depth` is trained on by `dlx.stage.focus`. At depth 0 there is None: the data as they are.
    """

    def view(params, x):
        for i in range(depth):
            x = LayerKind(units).encode(params[hidden(i)], x)
        return x

    return view if depth else None
