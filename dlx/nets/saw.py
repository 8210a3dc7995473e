"""A saw of many straight pieces: few rectified units make it in a deep net, and many in a shallow one.

M. Telgarsky, "Benefits of depth in neural networks", COLT 2016. On a line, one hidden layer of m rectified units makes
at most m + 1 pieces, because each unit bends the line once. Lecture CS/CNS/EE 155 16, "Expressive Power".
"""

import numpy as np
from jaxtyping import Float


def deep_saw(x: Float[np.ndarray, " n"], layers: int) -> Float[np.ndarray, " n"]:
    """2^layers pieces between 0 and 1, from layers of two rectified units each. Each layer folds [0, 1] once."""
    for _ in range(layers):
        x = 2 * np.maximum(x, 0) - 4 * np.maximum(x - 0.5, 0)
    return x


def shallow_saw(x: Float[np.ndarray, " n"], pieces: int) -> Float[np.ndarray, " n"]:
    """The same from one hidden layer of `pieces` rectified units; one unit starts where each piece starts."""
    starts = np.arange(pieces)
    bends = pieces * np.where(starts % 2, -2.0, 2.0)
    bends[0] /= 2
    return np.maximum(x[:, None] - starts / pieces, 0) @ bends


def count_pieces(y: Float[np.ndarray, " points"]) -> int:
    """How many straight pieces there are, if the points are evenly spaced and include each end of a piece."""
    slopes = np.diff(y)
    return 1 + int((slopes[1:] != slopes[:-1]).sum())


def saw_gap(layers: int) -> float:
    """How far both saws are from each other, and their number of pieces from 2^layers; 0 if all agree."""
    x = np.linspace(0, 1, 2 ** (layers + 3) + 1)
    deep, shallow = deep_saw(x, layers), shallow_saw(x, 2**layers)
    return float(np.abs(deep - shallow).max() + abs(count_pieces(deep) - 2**layers))
