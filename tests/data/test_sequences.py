"""Padded sequences against the lists that they were made of, and the tasks that ask a net to remember."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from dlx.data import DataError
from dlx.data.sequences import adding, answered, backwards, latch, padded
from dlx.types import END, UNLABELLED

LISTS = ([3, 1, 2], [4], [0, 0, 4, 1])


def test_sequences_are_padded_with_zeros_and_reversed_without_their_padding():
    values, lengths = padded([np.array(one) for one in LISTS], vocabulary=5)
    assert lengths.tolist() == [3, 1, 4]
    assert values.tolist() == [[3, 1, 2, 0], [4, 0, 0, 0], [0, 0, 4, 1]]
    assert (values.dtype, lengths.dtype) == (np.int32, np.int32)
    for reverse in backwards, jax.jit(backwards):
        turned = reverse(padded([np.array(one) for one in LISTS], steps=6))
        assert turned.lengths.tolist() == [3, 1, 4]
        assert turned.values.tolist() == [[2, 1, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [1, 4, 0, 0, 0, 0]]


def test_sequences_of_vectors_keep_their_dtype():
    vectors = [np.full((n, 2), n, np.float32) for n in (2, 1)]
    values, _ = padded(vectors, steps=3)
    assert (values.shape, values.dtype) == ((2, 3, 2), np.float32)
    assert values[:, :, 0].tolist() == [[2, 2, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("lists", "how", "said"),
    [
        ([], {}, "there is no sequence"),
        ([[1], []], {}, "sequence 1 is empty; a sequence has one step at least"),
        ([[1], [1, 2, 3]], {"steps": 2}, "sequence 1 has 3 steps, and the padding ends at 2; give more steps"),
        ([[1, 5]], {"vocabulary": 5}, "sequence 0 has the token 5 outside the vocabulary; there are 5, 0 to 4"),
        ([[1], [-1]], {"vocabulary": 5}, "sequence 1 has the token -1 outside the vocabulary"),
        ([[0.5]], {"vocabulary": 5}, "sequence 0 has tokens of the dtype float64; they are integers"),
    ],
)
def test_what_is_no_sequence_is_refused_by_its_place(lists, how, said):
    with pytest.raises(DataError, match=said):
        padded([np.array(one, int if all(isinstance(value, int) for value in one) else None) for one in lists], **how)


def test_an_answer_ends_with_a_token_of_its_own_and_each_token_is_told_the_one_before():
    sources, answers = padded([np.array([1]), np.array([2, 1])]), padded([np.array([3, 4, 3]), np.array([4])])
    (source, before), y = jax.jit(answered)(sources, answers)
    assert source.values.tolist() == [[1, 0], [2, 1]]
    assert y.tolist() == [[3, 4, 3, END], [4, END, UNLABELLED, UNLABELLED]]
    assert before.tolist() == [[END, 3, 4, 3], [END, 4, END, END]]


@pytest.mark.parametrize("steps", [2, 10])
def test_two_numbers_of_the_adding_problem_are_marked_and_added(steps):
    x, y = adding(jax.random.key(0), 3000, steps)
    assert (x.shape, y.shape) == ((3000, steps, 2), (3000, 1))
    numbers, marks = np.moveaxis(np.asarray(x), -1, 0)
    np.testing.assert_array_equal(
        np.sort(marks, 1)[:, -3:], np.sort([0, 1, 1][-min(steps, 3) :] * np.ones((3000, 1)), 1)
    )
    np.testing.assert_allclose(
        y[:, 0], [row[mark == 1].sum() for row, mark in zip(numbers, marks, strict=True)], rtol=1e-6
    )
    assert kstest(numbers.ravel(), "uniform").pvalue > 0.001
    assert chisquare(marks.sum(0)).pvalue > 0.001
    assert np.square(np.asarray(y) - 1).mean() == pytest.approx(1 / 6, rel=0.1)


def test_the_latch_has_its_class_in_the_first_step_and_noise_behind_it():
    x, y = jax.jit(latch, static_argnums=(1, 2))(jax.random.key(1), 2000, 6, jnp.asarray(0.5))
    assert x.shape == (2000, 6, 1)
    np.testing.assert_array_equal(x[:, 0, 0], 2 * np.asarray(y) - 1)
    assert kstest(np.asarray(x[:, 1:]).ravel() / 0.5, "norm").pvalue > 0.001
    assert chisquare(np.bincount(y)).pvalue > 0.001


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: adding(jax.random.key(0), 3, 1), "two numbers of 1 steps cannot be marked; choose 2"),
        (lambda: latch(jax.random.key(0), 3, 0), "a latch of 0 steps has nothing to keep"),
    ],
)
def test_a_task_that_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
