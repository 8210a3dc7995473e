"""Data that are made from a formula, against enumeration and the formula as it is written."""

import math
from functools import reduce
from itertools import product
from operator import xor

import jax
import numpy as np
import pytest
from scipy.stats import kstest

from dlx.data.generated import bit_patterns, first_bits, franke, franke_points, square, two_spirals
from dlx.data.sources import fingerprint


@pytest.mark.parametrize("bits", [1, 4])
def test_every_pattern_stands_once_in_each_split_with_its_parity(bits):
    dataset = bit_patterns(bits)
    assert dataset.shape == (bits,)
    for x, y in dataset.data:
        assert {tuple(row) for row in x} == set(product((-1, 1), repeat=bits))
        assert len(x) == 2**bits
        np.testing.assert_array_equal(y, [reduce(xor, (int(value > 0) for value in row)) for row in x])
        assert (x.dtype, y.dtype) == (np.float32, np.int32)


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_the_first_bits_have_a_parity_of_their_own(bits):
    split = bit_patterns(5).data.train
    x, y = jax.jit(first_bits)(split, float(bits))
    np.testing.assert_array_equal(x[:, :bits], split.x[:, :bits])
    assert not x[:, bits:].any()
    np.testing.assert_array_equal(y, (split.x[:, :bits] == 1).sum(1) % 2)


def written(u, v):
    """Franke's function as he writes it, on the unit square."""
    return (
        0.75 * math.exp(-((9 * u - 2) ** 2 + (9 * v - 2) ** 2) / 4)
        + 0.75 * math.exp(-((9 * u + 1) ** 2) / 49 - (9 * v + 1) / 10)
        + 0.5 * math.exp(-((9 * u - 7) ** 2 + (9 * v - 3) ** 2) / 4)
        - 0.2 * math.exp(-((9 * u - 4) ** 2) - (9 * v - 7) ** 2)
    )


def test_frankes_function_is_that_of_the_paper_on_its_unit_square():
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    np.testing.assert_allclose(franke(x), [written((u + 1) / 2, (v + 1) / 2) for u, v in x], rtol=1e-12)
    assert franke(np.array([[-1.0, -1.0]]))[0] == pytest.approx(0.7664, abs=1e-4)  # at (0, 0) of the unit square


def test_points_are_uniform_and_values_have_variance_1_in_training():
    dataset = franke_points(500, 100)
    assert [len(split.x) for split in dataset.data] == [500, 100, 100]
    points = np.concatenate([split.x for split in dataset.data])
    assert len(np.unique(points, axis=0)) == 700
    assert min(kstest((points[:, i] + 1) / 2, "uniform").pvalue for i in (0, 1)) > 0.01
    y = dataset.data.train.y
    assert (y.mean(), y.std()) == pytest.approx((0, 1), abs=1e-5)
    for split in dataset.data:  # one line for all splits: y = a franke(x) + b
        slope, shift = np.polyfit(franke(split.x.astype(float)), split.y[:, 0], 1)
        assert (slope, shift) == pytest.approx(
            tuple(np.polyfit(franke(dataset.data.train.x.astype(float)), y[:, 0], 1))
        )


def test_the_points_of_the_square_are_rows_of_its_second_number():
    points = square(3)
    np.testing.assert_array_equal(points[0], [[-1, -1], [0, -1], [1, -1]])
    np.testing.assert_array_equal(points[:, 1], [[0, -1], [0, 0], [0, 1]])


def test_two_spirals_are_those_of_lang_and_witbrock_and_of_other_turns():
    points = [
        (side * r * math.sin(a), side * r * math.cos(a))
        for side in (1, -1)
        for a, r in ((i * math.pi / 16, 6.5 * (104 - i) / 104) for i in range(97))
    ]
    x, y = jax.jit(two_spirals)(3.0)
    np.testing.assert_allclose(x, points, atol=1e-4)
    np.testing.assert_array_equal(y, [0] * 97 + [1] * 97)
    for turns in (1.0, 2.0):
        angles = np.unwrap(np.arctan2(*two_spirals(turns).x[:97].T))
        assert angles[-1] - angles[0] == pytest.approx(2 * np.pi * turns, abs=1e-4)
    between, ends = two_spirals(3.0, 96, 0.5).x[:96], np.array(points)
    radii = np.linalg.norm(ends[:97], axis=1)
    np.testing.assert_allclose(np.linalg.norm(between, axis=1), (radii[1:] + radii[:-1]) / 2, rtol=1e-4)


@pytest.mark.parametrize("make", [lambda: bit_patterns(3), lambda: franke_points(20, 5)])
def test_the_same_data_are_made_each_time_and_are_known_by_their_fingerprint(make):
    first, second = make(), make()
    assert first.origin == second.origin
    assert first.origin.fingerprint == fingerprint(second.data)
    assert first.origin.source == "generated"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bit_patterns(0), "0 bits"),
        (lambda: bit_patterns(17), "1 to 16"),
        (lambda: franke_points(100, 1), "two points"),
        (lambda: two_spirals(3.0, 105), "1 to 104"),
    ],
)
def test_what_cannot_be_made_is_an_error(make, words):
    with pytest.raises(ValueError, match=words):
        make()
