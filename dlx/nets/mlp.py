"""The multi-layer perceptron of Bengio et al. 2006: sigmoid hidden layers under a softmax output."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from dlx.nets.layer import Affine, Layer, apply, fan_uniform
from dlx.types import Key, Params


class MLP(nn.Module):
    """Layers `hidden_0`, `hidden_1`, ... of the given widths, then `output` with one logit a class."""

    widths: tuple[int, ...]
    classes: int = 10
    initializer: Initializer = fan_uniform()

    def setup(self):
        """Layers in the order of the data's way through them."""
        self.hidden = [Layer(width, self.initializer) for width in self.widths]
        self.output = Affine(self.classes, self.initializer)

    def codes(self, x: Float[Array, "*n visible"], depth: int) -> Float[Array, "*n code"]:
        """The code after the first `depth` hidden layers; x itself at depth 0."""
        for layer in self.hidden[:depth]:
            x = layer(x)
        return x

    def __call__(self, x: Float[Array, "*n visible"]) -> Float[Array, "*n classes"]:
        """Logits of the classes."""
        return self.output(self.codes(x, len(self.widths)))


def init(key: Key, net: nn.Module, visible: int) -> Params:
    """Fresh parameters of a net that reads `visible` inputs, its running statistics among them if it has any."""
    entries = dict(net.init(key, jnp.zeros((1, visible))))
    return {**entries.pop("params"), **entries}


def logits(net: nn.Module, params: Params, x: Float[Array, "*n visible"]) -> Float[Array, "*n classes"]:
    """The net's output for x."""
    return apply(net, params, x)


def hidden(i: int) -> str:
    """The name of hidden layer i in the parameters."""
    return f"hidden_{i}"


def parameter_count(params: Params) -> int:
    """How many numbers the parameters hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
