"""Regions of a slice, beside points that are looked at one by one, and sets of hyperplanes that are solved for."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

from dlx.inspect.regions import count, points, through, within
from dlx.nets.prototypes import distances, k_means, nearest, radial

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_hyperplanes_that_all_meet_within_the_ball_cut_it_into_sums_of_binomials(dims):
    normals, offsets = RNG.normal(size=(9, dims)), 1e-3 * RNG.normal(size=9)
    expected = sum(math.comb(9, many) for many in range(dims + 1))
    assert jax.jit(count)(jnp.asarray(normals), jnp.asarray(offsets)) == expected


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_set_of_hyperplanes_that_meet_within_the_ball_adds_a_region(dims):
    normals, offsets = RNG.normal(size=(12, dims)), RNG.normal(size=12)
    sets = [set_ for many in range(1, dims + 1) for set_ in itertools.combinations(range(12), many)]
    least = [np.linalg.lstsq(normals[list(one)], -offsets[list(one)], rcond=None)[0] for one in sets]
    assert count(jnp.asarray(normals), jnp.asarray(offsets)) == 1 + sum(np.linalg.norm(z) < 1 for z in least)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_regions_are_what_units_tell_apart(dims):
    corners = RNG.normal(size=(dims + 1, 7)).astype(np.float32)
    w, b = (jnp.asarray(RNG.normal(size=size), jnp.float32) for size in ((7, 5), 5))
    place = through(jnp.asarray(corners))
    x = points(jax.random.key(0), place, 200_000)
    patterns = np.unique(np.asarray(x @ w + b) > 0, axis=0)
    assert len(patterns) == count(*within(place, w, b)) > dims + 1


def test_a_slice_goes_through_its_corners():
    corners = RNG.normal(size=(3, 7)).astype(np.float32)
    place = through(jnp.asarray(corners))
    away = corners - place.centre
    np.testing.assert_allclose(away @ place.directions.T @ place.directions, away, atol=1e-5)
    np.testing.assert_allclose(place.directions @ place.directions.T, np.eye(2), atol=1e-5)
    x = points(jax.random.key(0), place, 1000)
    far = np.linalg.norm(np.asarray(x - place.centre), axis=1)
    radius = float(place.radius)
    assert far.max() < radius == pytest.approx(np.linalg.norm(np.asarray(away), axis=1).mean(), rel=1e-5)
    assert np.median(far) == pytest.approx(radius / 2**0.5, rel=0.05)


def test_k_means_is_that_of_scikit_learn():
    x = RNG.normal(size=(200, 3)).astype(np.float32)
    key = jax.random.key(1)
    start = k_means(key, jnp.asarray(x), 6, 0)
    assert {tuple(row) for row in np.asarray(start)} <= {tuple(row) for row in x}
    theirs = KMeans(6, init=np.asarray(start), n_init=1, max_iter=50, tol=0, algorithm="lloyd").fit(x)
    centres = k_means(key, jnp.asarray(x), 6, 50)
    np.testing.assert_allclose(centres, theirs.cluster_centers_, atol=1e-5)
    np.testing.assert_array_equal(nearest(centres, jnp.asarray(x)).argmax(1), theirs.labels_)


def test_a_centre_that_nobody_is_nearest_to_stays():
    x = jnp.array([[0.0], [0.0], [4.0]])
    centres = k_means(jax.random.key(0), x, 3, 3)
    np.testing.assert_allclose(np.sort(centres[:, 0]), [0, 0, 4])


def test_radial_codes_fall_with_the_distance():
    centres, x = jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.zeros((1, 2))
    np.testing.assert_allclose(distances(centres, x), [[0, 25]], atol=1e-5)
    np.testing.assert_allclose(radial(centres, x, 5.0), [[1, math.exp(-0.5)]], rtol=1e-5)
