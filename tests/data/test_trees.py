"""Trees in brackets: read back as they were written, made into arrays, and refused by line and column."""

import re

import numpy as np
import pytest

from dlx.data import DataError, fingerprint
from dlx.data.trees import CLASSES, UNKNOWN, encode, join, leaf, of_trees, parse, read_trees, treebank, vocabulary_of
from dlx.types import UNLABELLED

LINES = (
    "(3 (2 It) (4 (4 (2 's) (4 (3 lovely) (2 film))) (2 .)))",
    "(1 (2 (2 Not) (2 here)) (1 (0 bad) (2 -LRB-)))",
    "(4 Wow)",
)


def written(tree, node=-1):
    """A tree in brackets, by recursion from its root."""
    words = len(tree.words)
    node = node % len(tree.labels)
    inside = (
        tree.words[node] if node < words else " ".join(written(tree, child) for child in tree.children[node - words])
    )
    return f"({tree.labels[node]} {inside})"


@pytest.mark.parametrize("line", LINES)
def test_a_tree_is_read_as_it_is_written(line):
    tree = parse(line)
    assert written(tree) == line
    assert tree.words == tuple(re.findall(r"[^\s()]+(?=\))", line))
    assert all(child < len(tree.words) + i for i, pair in enumerate(tree.children) for child in pair)
    assert parse(line.replace(" ", "  ").replace("(", " ( ")) == tree


def test_trees_are_joined():
    assert written(join(0, join(3, leaf(1, "a"), leaf(2, "b")), leaf(4, "c"))) == "(0 (3 (1 a) (2 b)) (4 c))"


@pytest.mark.parametrize("shape", ["left", "right"])
def test_a_tree_may_be_as_deep_as_it_is_long(shape):
    n = 1500
    line = "(1 " * n + "(2 a)" + " (2 b))" * n if shape == "left" else "(1 (2 a) " * n + "(2 b)" + ")" * n
    tree = parse(line)
    assert len(tree.words) == n + 1
    assert len(tree.children) == n


@pytest.mark.parametrize("most", [None, 8])
def test_arrays_hold_the_same_trees(most):
    trees = [parse(line) for line in LINES]
    vocabulary = vocabulary_of(trees)
    x, y = encode(trees, vocabulary, most)
    most = most or 5
    names = {number: word for word, number in vocabulary.items()}
    assert x.children.shape == (3, most - 1, 2)
    assert y.shape == (3, 2 * most - 1)
    for i, line in enumerate(LINES):
        n = x.words.lengths[i]

        def bracket(node, i=i):
            label = y[i, node]
            if node < most:
                return f"({label} {names[x.words.values[i, node]]})"
            return f"({label} {' '.join(map(bracket, x.children[i, node - most]))})"

        assert bracket(most + n - 2 if n > 1 else 0) == line
        assert (y[i] != UNLABELLED).sum() == 2 * n - 1


def test_words_that_training_has_not_seen_are_unknown():
    trees = [parse(line) for line in LINES]
    dataset = of_trees("three", [trees[:1], trees[1:2], trees[2:]], "arrays")
    train, valid, test = dataset.data
    assert set(train.x.words.values[0]) == {1, 2, 3, 4, 5}
    assert set(valid.x.words.values[0]) == {0}
    assert (test.x.words.values[0, 0], test.x.words.lengths[0]) == (0, 1)
    assert (dataset.classes, dataset.shape) == (CLASSES, (5,))
    assert dataset.origin.fingerprint == fingerprint(dataset.data)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("(3 (2 It) (4 works)", "1: the bracket is not closed"),
        ("(3 (2 It) (4 works)))", "21: ')' stands behind the end of the tree; give one tree a line"),
        ("3 (2 It)", "1: '3' stands outside of all brackets; a tree begins with '('"),
        ("(3 (2 It) (5 works))", "12: '5' is no label; labels are 0 to 4"),
        ("(3 (2 It) (x works))", "12: 'x' is no label"),
        ("(3 (2 It) (² works))", "12: '²' is no label"),
        ("(3 (2 It) ((2 a) (2 b)))", "11: the node has no label; it begins as in '(2 word)'"),
        ("(3 (2 It) ())", "11: the node has no label"),
        ("(3 (2 It) (2))", "11: the node has nothing but its label; it has one word or two nodes"),
        ("(3 (2 It))", "1: the node has 1 part; it has one word or two nodes"),
        ("(3 (2 It) (2 a) (2 b))", "1: the node has 3 parts; it has one word or two nodes"),
        ("(3 (2 It) (2 two words))", "11: the node has 2 parts"),
        ("(3 It (2 a))", "1: the node has 2 parts"),
    ],
)
def test_what_is_no_tree_is_refused_by_file_line_and_column(line, said, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text(f"{LINES[0]}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(f"{path}:3:{said}")):
        read_trees(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"\xff(2 a)", "is no text in UTF-8"), (b" \n", "there is no tree in it")],
)
def test_a_file_without_trees_is_refused_with_the_address_of_the_files(content, said, tmp_path):
    path = tmp_path / "dev.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"dev.txt: {said}.*; the treebank's files are in https"):
        read_trees(path)


def test_the_treebank_is_read_from_its_three_files(tmp_path):
    for name, line in zip(("train.txt", "dev.txt", "test.txt"), LINES, strict=True):
        (tmp_path / name).write_text(f"{line}\n{line}\n", encoding="utf-8")
    data = treebank(tmp_path).data
    assert [split.x.words.lengths.tolist() for split in data] == [[5, 5], [4, 4], [1, 1]]


@pytest.mark.parametrize(
    ("vocabulary", "most", "said"),
    [
        ({"Wow": 0}, None, f"the word 'It' is outside the vocabulary; take it in, or give it '{UNKNOWN}'"),
        ({UNKNOWN: 0}, 4, "sequence 0 has 5 steps, and the padding ends at 4"),
    ],
)
def test_trees_that_do_not_fit_are_refused(vocabulary, most, said):
    with pytest.raises(DataError, match=said):
        encode([parse(line) for line in LINES], vocabulary, most)


def test_no_node_has_a_child_behind_it_in_the_arrays():
    x, _ = encode([parse(line) for line in LINES], {UNKNOWN: 0})
    inner = np.arange(x.children.shape[1])
    assert (x.children < x.words.values.shape[1] + inner[:, None]).all()
