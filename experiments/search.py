"""What a search tries and which configuration it chooses: grids and samples of a space, ranked by validation error."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Trial = tuple[Any, Any]
"""A configuration of the search: a frozen Config and a NamedTuple of Hypers."""
Space = Sequence[tuple[Any, Mapping[str, Sequence[float]]]]
"""What a search may try: Configs, and the values of each of the `Hypers` for it."""


def grid(space: Space, kind: Callable[..., Any]) -> list[Trial]:
    """Every combination, as `kind` of Hypers.

    Raises ValueError if there is none, or a value is not a number of 0 or more.
    """
    trials = [
        (config, kind(**dict(zip(lists, values, strict=True))))
        for config, lists in checked(space)
        for values in itertools.product(*lists.values())
    ]
    if not trials:
        raise ValueError("the search has nothing to try: give every hyper-parameter at least one value")
    return trials


def sample(space: Space, kind: Callable[..., Any], count: int, seed: int = 0) -> list[Trial]:
    """`count` random combinations: a Config of the space, and between the least and the largest of its values for each
    hyper-parameter one that is uniform on a logarithmic scale (Bergstra & Bengio 2012), or uniform if the least is 0.

    Raises ValueError as `grid` does.
    """
    least = len(grid(space, kind)) and min(count, 1)
    if least < 1:
        raise ValueError(f"a random search needs at least one trial, not {count}")
    rng, trials = np.random.default_rng(seed), []
    for _ in range(count):
        config, lists = space[int(rng.integers(len(space)))]
        values = {}
        for name, choices in lists.items():
            low, high = min(choices), max(choices)
            values[name] = rng.uniform(low, high) if low == 0 else math.exp(rng.uniform(math.log(low), math.log(high)))
        trials.append((config, kind(**values)))
    return trials


def checked(space: Space) -> Space:
    """The space. Raises ValueError for values that no hyper-parameter can have."""
    for _, lists in space:
        for name, values in lists.items():
            for value in values:
                if not 0 <= value < float("inf"):
                    raise ValueError(f"{name} {value} cannot be searched: it must be a finite number of 0 or more")
    return space


def ranked(trials: Sequence[Trial], records: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """The configurations from the lowest validation error up, and then those whose run has diverged."""
    rank = [(record["diverged"], float(record["valid"])) for record in records]
    return [trials[i] for i in sorted(range(len(trials)), key=rank.__getitem__)]
