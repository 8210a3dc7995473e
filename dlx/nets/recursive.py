"""Recursive nets: one small net, applied at each inner node of a binary tree to the vectors of its two children.

A word has a vector of its own; an inner node with children l and r, of which [l; r] is both vectors side by side, has

    plain   h = tanh([l; r] w + b)                                        (Socher et al. 2011)
    tensor  h_k = tanh([l; r] v_k [l; r]' + ([l; r] w + b)_k)             (Socher et al. 2013, RNTN)

Trees are arrays of one size (`dlx.types.Trees`), so many are computed at once, node after node from below. Lecture
Caltech 155-16, "Deep Recursive Networks".
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from dlx.nets.layer import INITIALIZERS, check_name, check_positive
from dlx.nets.module import Affine, model
from dlx.types import Model, Params, Trees

READOUTS = ("root", "nodes")
"""Where a net has its outputs: at the root, or at every node."""


class Composition(NamedTuple):
    """How a node is made of its children."""

    shapes: Callable[[int], Mapping[str, tuple[int, ...]]]
    """The shapes of the weights, by name, for vectors of so many numbers."""
    inputs: Callable[[Params, Array], Float[Array, "n width"]]
    """What the tanh of a node gets, less b, from the vectors of its children side by side [n, 2 width]."""


def plain(node: Params, both: Float[Array, "n double"]) -> Float[Array, "n width"]:
    """[l; r] w."""
    return both @ node["w"]


def tensor(node: Params, both: Float[Array, "n double"]) -> Float[Array, "n width"]:
    """[l; r] v [l; r]' + [l; r] w."""
    return jnp.einsum("ni,ikj,nj->nk", both, node["v"], both) + both @ node["w"]


COMPOSITIONS: Mapping[str, Composition] = {
    "plain": Composition(lambda width: {"w": (2 * width, width)}, plain),
    "tensor": Composition(lambda width: {"w": (2 * width, width), "v": (2 * width, width, 2 * width)}, tensor),
}
"""Ways to make a node of its children, by name."""


def recursive(composition: str, width: int, outputs: int = 5, *, vocabulary: int, readout: str = "root") -> Model:
    """A net from `Trees` to [n, outputs], or with the readout "nodes" to [n, nodes, outputs].

    Each word and each node has a vector of `width` numbers. The outputs of nodes stand in the order of the nodes.
    Parameters are `words`, `node` {w, b} and for "tensor" v, and `output` {w, b}.

    Raises ValueError for an unknown composition or readout, or if a size is less than 1; at the start, for other
    inputs.
    """
    check_name(composition, COMPOSITIONS)
    check_name(readout, READOUTS)
    check_positive(width=width, outputs=outputs, vocabulary=vocabulary)
    net = model(Recursive(composition, width, outputs, vocabulary, readout))

    def init(key, x):
        if not isinstance(x, Trees):
            raise ValueError(f"the net takes trees, as dlx.data.trees.encode makes them, and not {type(x).__name__}")
        return net.init(key, x)

    return net._replace(init=init)


class Recursive(nn.Module):
    """The net that `recursive` makes."""

    composition: str
    width: int
    outputs: int
    vocabulary: int
    readout: str

    @nn.compact
    def __call__(self, trees: Trees) -> Float[Array, "n *nodes outputs"]:
        """The outputs for trees."""
        words = nn.Embed(self.vocabulary, self.width, name="words")(trees.words.values)
        node = Node(self.composition, self.width, name="node")()
        vectors = nodes_of(COMPOSITIONS[self.composition], node, words, trees)
        if self.readout == "root":
            vectors = vectors[jnp.arange(len(vectors)), root(trees)]
        return Affine(self.outputs, INITIALIZERS["fan"], name="output")(vectors)


class Node(nn.Module):
    """The parameters of a composition."""

    composition: str
    width: int

    @nn.compact
    def __call__(self) -> Params:
        """Weights by name, and b."""
        shapes = COMPOSITIONS[self.composition].shapes(self.width)
        weights = {name: self.param(name, INITIALIZERS["fan"], shape) for name, shape in shapes.items()}
        return {**weights, "b": self.param("b", nn.initializers.zeros, (self.width,))}


def nodes_of(
    composition: Composition, node: Params, words: Float[Array, "n most width"], trees: Trees
) -> Float[Array, "n nodes width"]:
    """The vectors of all nodes of trees, from those of their words."""
    n, most, width = words.shape

    def join(vectors, where):
        place, children = where
        both = vectors[jnp.arange(n)[:, None], children].reshape(n, 2 * width)
        return vectors.at[:, place].set(jnp.tanh(composition.inputs(node, both) + node["b"])), None

    inner = trees.children.shape[1]
    none = jnp.zeros((n, inner, width), jnp.result_type(words, *node.values()))
    vectors = jnp.concatenate([words, none], 1)
    vectors, _ = jax.lax.scan(join, vectors, (most + jnp.arange(inner), jnp.moveaxis(trees.children, 1, 0)))
    return vectors


def root(trees: Trees) -> Array:
    """The node that is the root of each tree: of a single word, the word."""
    most, words = trees.words.values.shape[1], trees.words.lengths
    return jnp.where(words == 1, 0, most + words - 2)
