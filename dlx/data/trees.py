"""Binary trees with a label at each node: the bracket format of the Stanford sentiment treebank, and arrays of them.

A line is a tree, such as `(3 (2 It) (4 (2 works) (2 .)))`: a node is a label with a word, or with two nodes. The files
of the treebank are train.txt, dev.txt and test.txt (Socher et al. 2013; nlp.stanford.edu/sentiment).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Int

from dlx.data.idx import DataError
from dlx.data.sequences import padded
from dlx.data.sources import Dataset, Provenance, Source, fingerprint
from dlx.types import UNLABELLED, Data, Trees

CLASSES = 5
"""Labels of the treebank, from very negative to very positive."""
FILES = ("train.txt", "dev.txt", "test.txt")
UNKNOWN = "<unknown>"
"""The entry of a vocabulary that stands for all words outside it."""
ADDRESS = "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip"


class Tree(NamedTuple):
    """A binary tree over n words. Its nodes are the words 0 to n - 1, then the inner nodes, each after its children."""

    words: tuple[str, ...]
    children: tuple[tuple[int, int], ...]
    """The two children of each inner node."""
    labels: tuple[int, ...]
    """Of all nodes; the last one is that of the root."""


class LabelledTrees(NamedTuple):
    """Trees with labels of their nodes, `UNLABELLED` where there is no node."""

    x: Trees
    y: Int[Array, "n nodes"]


def leaf(label: int, word: str) -> Tree:
    """The tree of one word."""
    return Tree((word,), (), (label,))


def join(label: int, left: Tree, right: Tree) -> Tree:
    """The tree whose root has these children."""
    n = len(left.words), len(right.words)
    inner = sum(n), sum(n) + len(left.children)
    places = [  # the nodes of the joined tree that the nodes of each side become
        [*range(n[0]), *range(inner[0], inner[1])],
        [*range(n[0], sum(n)), *range(inner[1], inner[1] + len(right.children))],
    ]
    sides = list(zip((left, right), places, strict=True))
    children = [(place[a], place[b]) for side, place in sides for a, b in side.children]
    children.append((places[0][-1], places[1][-1]))
    labels = [*left.labels[: n[0]], *right.labels[: n[1]], *left.labels[n[0] :], *right.labels[n[1] :], label]
    return Tree(left.words + right.words, tuple(children), tuple(labels))


class _Node(NamedTuple):
    """A node that is being read: the column where it begins, its label, and what has been read in it."""

    column: int
    label: list[int]
    parts: list[str | Tree]


def parse(text: str, classes: int = CLASSES) -> Tree:
    """The tree of one line. Raises ValueError with the column, from 1, and what is wrong there."""
    way: list[_Node] = []
    tree = None
    for match in re.finditer(r"\(|\)|[^\s()]+", text):
        token, column = match[0], match.start() + 1
        if tree is not None:
            raise ValueError(f"{column}: {token!r} stands behind the end of the tree; give one tree a line")
        if token == "(":
            way.append(_Node(column, [], []))
        elif not way:
            raise ValueError(f"{column}: {token!r} stands outside of all brackets; a tree begins with '('")
        elif token == ")":
            node = _finished(way.pop())
            if way and not way[-1].label:
                raise ValueError(f"{way[-1].column}: the node has no label; it begins as in '(2 word)'")
            way[-1].parts.append(node) if way else (tree := node)
        elif not way[-1].label:
            way[-1].label.append(_label(token, column, classes))
        else:
            way[-1].parts.append(token)
    if way:
        raise ValueError(f"{way[-1].column}: the bracket is not closed; a line holds a whole tree")
    if tree is None:
        raise ValueError("1: there is no tree; a tree begins with '('")
    return tree


def _label(token: str, column: int, classes: int) -> int:
    if not token.isascii() or not token.isdigit() or int(token) >= classes:
        raise ValueError(f"{column}: {token!r} is no label; labels are 0 to {classes - 1}")
    return int(token)


def _finished(node: _Node) -> Tree:
    match node.label, node.parts:
        case [label], [str(word)]:
            return leaf(label, word)
        case [label], [Tree() as left, Tree() as right]:
            return join(label, left, right)
        case [], _:
            raise ValueError(f"{node.column}: the node has no label; it begins as in '(2 word)'")
    count = len(node.parts)
    has = f"{count} part{'s' * (count > 1)}" if count else "nothing but its label"
    raise ValueError(f"{node.column}: the node has {has}; it has one word or two nodes")


def read_trees(path: Path, classes: int = CLASSES) -> list[Tree]:
    """The trees of a file, one a line; empty lines count for nothing.

    Raises DataError, with file, line and column, for what is no tree, and for a file that is missing or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "is no text in UTF-8"
        raise DataError(f"{path}: {reason}; the treebank's files are in {ADDRESS}") from fault
    trees = []
    for number, line in enumerate(lines, 1):
        try:
            trees += [parse(line, classes)] if line.strip() else []
        except ValueError as fault:
            raise DataError(f"{path}:{number}:{fault}") from fault
    if not trees:
        raise DataError(f"{path}: there is no tree in it; the treebank's files are in {ADDRESS}")
    return trees


def vocabulary_of(trees: Iterable[Tree]) -> dict[str, int]:
    """A number for each word of the trees, in alphabetical order, from 1 on; 0 is that of all other words."""
    words = sorted({word for tree in trees for word in tree.words})
    return {UNKNOWN: 0, **{word: number for number, word in enumerate(words, 1)}}


def encode(trees: Sequence[Tree], vocabulary: Mapping[str, int], most: int | None = None) -> LabelledTrees:
    """The trees as NumPy arrays for at most so many words; the longest says how many by default.

    Raises DataError for a tree with more words, or for a word outside a vocabulary without `UNKNOWN`.
    """
    unknown = vocabulary.get(UNKNOWN)
    known = [[vocabulary.get(word, unknown) for word in tree.words] for tree in trees]
    for tree, numbers in zip(trees, known, strict=True):
        if None in numbers:
            word = tree.words[numbers.index(None)]
            raise DataError(f"the word {word!r} is outside the vocabulary; take it in, or give it {UNKNOWN!r}")
    words = padded([np.array(numbers) for numbers in known], most, max(vocabulary.values()) + 1)
    most = words.values.shape[1]
    children = np.zeros((len(trees), most - 1, 2), np.int32)
    labels = np.full((len(trees), 2 * most - 1), UNLABELLED, np.int32)
    for i, tree in enumerate(trees):
        n = len(tree.words)
        places = np.array([*range(n), *range(most, most + n - 1)])
        labels[i, places] = tree.labels
        children[i, : n - 1] = places[np.array(tree.children, int).reshape(-1, 2)]
    return LabelledTrees(Trees(words, children), labels)  # ty: ignore[invalid-argument-type]


def of_trees(name: str, splits: Sequence[Sequence[Tree]], source: Source, classes: int = CLASSES) -> Dataset:
    """A data set of trees for training, validation and test, with the vocabulary of the training trees."""
    vocabulary = vocabulary_of(splits[0])
    most = max(len(tree.words) for split in splits for tree in split)
    data = Data(*(encode(split, vocabulary, most) for split in splits))
    variant = "generated" if source == "generated" else "unrecognised"
    return Dataset(data, Provenance(name, source, variant, fingerprint(data)), (most,), classes)


def treebank(folder: Path) -> Dataset:
    """The Stanford sentiment treebank in a folder. Raises DataError as `read_trees` does."""
    return of_trees("treebank", [read_trees(folder / name) for name in FILES], "arrays")
