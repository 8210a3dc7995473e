"""Recursive nets against a Python recursion over the tree, and their gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.data.trees import encode, parse, vocabulary_of
from dlx.inspect.check import check
from dlx.losses.labelling import cross_entropy
from dlx.nets.recursive import COMPOSITIONS, recursive
from dlx.types import Labelled, Sequences, Trees

LINES = (
    "(1 a)",
    "(0 (1 a) (2 b))",
    "(0 (1 (1 a) (0 (2 b) (1 c))) (2 a))",
    "(2 (1 c) (0 (2 (2 b) (1 c)) (1 (0 a) (1 (2 b) (2 d)))))",
)
TREES = [parse(line) for line in LINES]
VOCABULARY = vocabulary_of(TREES)
X, Y = encode(TREES, VOCABULARY)
WIDTH, OUTPUTS = 3, 3


def start(net, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], X))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


def vector(params, tree, node):
    """The vector of a node, by recursion."""
    words = len(tree.words)
    if node < words:
        return params["words"]["embedding"][VOCABULARY[tree.words[node]]]
    children = np.concatenate([vector(params, tree, child) for child in tree.children[node - words]])
    weights = params["node"]
    u = children @ weights["w"] + weights["b"]
    if "v" in weights:
        u += [children @ weights["v"][:, k] @ children for k in range(WIDTH)]
    return np.tanh(u)


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_it_is_the_recursion_over_the_tree(composition):
    nets = [recursive(composition, WIDTH, OUTPUTS, vocabulary=5, readout=readout) for readout in ("nodes", "root")]
    params = start(nets[0])
    with jax.enable_x64(True):
        nodes, roots = jax.jit(lambda params, x: [net.apply(params, x) for net in nets])(params, X)
    for i, tree in enumerate(TREES):
        vectors = np.stack([vector(params, tree, node) for node in range(len(tree.labels))])
        expected = vectors @ params["output"]["w"] + params["output"]["b"]
        np.testing.assert_allclose(nodes[i][Y[i] >= 0], expected, rtol=1e-9)
        np.testing.assert_allclose(roots[i], expected[-1], rtol=1e-9)


@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_gradients_are_finite_differences_and_padding_has_none(composition):
    net = recursive(composition, WIDTH, OUTPUTS, vocabulary=5, readout="nodes")
    params, batch = start(net), Labelled(X, Y)
    assert check(cross_entropy(net), jax.random.key(0), params, batch).relative < 1e-5
    grads, _ = jax.jit(jax.grad(cross_entropy(net), has_aux=True))(params, jax.random.key(0), batch)
    assert not np.any(grads["words"]["embedding"][0]), "the word of the padding stands in no tree"


def test_a_word_alone_is_a_tree_and_a_word_outside_the_vocabulary_is_seen():
    net = recursive("plain", WIDTH, OUTPUTS, vocabulary=5)
    one, _ = encode(TREES[:1], VOCABULARY)
    params = jax.jit(net.init)(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], one))
    apply = jax.jit(net.apply)
    outputs = apply(params, one)
    words = params["words"]["embedding"][VOCABULARY["a"]]
    np.testing.assert_allclose(outputs[0], words @ params["output"]["w"] + params["output"]["b"], rtol=1e-5)
    assert jnp.isnan(apply(params, Trees(Sequences(jnp.array([[7]]), jnp.array([1])), one.children))).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: recursive("sum", 2, vocabulary=3), "no 'sum'; choose one of plain, tensor"),
        (lambda: recursive("plain", 2, vocabulary=3, readout="end"), "no 'end'; choose one of root, nodes"),
        (lambda: recursive("plain", 2, vocabulary=0), "vocabulary must be at least 1, not 0"),
        (
            lambda: recursive("plain", 2, vocabulary=3).init(jax.random.key(0), np.zeros(3)),
            "takes trees, as dlx.data.trees.encode makes them, and not ndarray",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
