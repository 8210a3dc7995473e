"""Slices of functions that are known, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.inspect.slices import barrier, line, plane, random_neighbour

RNG = np.random.default_rng(0)
A, B, C = ({"w": RNG.normal(size=(2, 3)), "b": RNG.normal(size=3)} for _ in range(3))
PLACES = np.linspace(0, 1, 5)


def square(params):
    return jnp.square(params["w"]).sum() + 2 * jnp.square(params["b"]).sum()


def expected(start, *ways):
    point = {name: start[name] + sum(t * (end[name] - start[name]) for t, end in ways) for name in start}
    return (point["w"] ** 2).sum() + 2 * (point["b"] ** 2).sum()


def test_a_line_goes_from_the_start_to_the_end():
    values = line(square, A, B, jnp.array(PLACES))
    np.testing.assert_allclose(values, [expected(A, (t, B)) for t in PLACES], rtol=1e-5)


def test_a_plane_has_the_first_way_across_and_the_second_up():
    values = plane(square, A, B, C, jnp.array(PLACES))
    np.testing.assert_allclose(values, [[expected(A, (s, B), (t, C)) for s in PLACES] for t in PLACES], rtol=1e-5)


@pytest.mark.parametrize(("sign", "height"), [(1, 0.0), (-1, 0.25)])
def test_a_barrier_is_the_largest_rise_above_the_chord(sign, height):
    """For s t^2 from -1/2 to 1/2 and a slope, which does not count."""
    values = sign * (PLACES - 0.5) ** 2 + 3 * PLACES
    np.testing.assert_allclose(barrier(jnp.array(values), jnp.array(PLACES)), height, atol=1e-6)


def test_a_random_neighbour_is_as_far_in_each_array_as_the_array_is_long():
    near = random_neighbour(jax.random.key(0), A)
    other = random_neighbour(jax.random.key(1), A)
    for name, array in A.items():
        np.testing.assert_allclose(np.linalg.norm(near[name] - array), np.linalg.norm(array), rtol=1e-5)
        assert np.abs(near[name] - other[name]).min() > 1e-6
