"""From a program to a run of a sweep, and from what the run returns to a record."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from dlx.study.run.found import is_number
from dlx.sweep import Run
from dlx.types import Data
from dlx.unit import Follow, Program, Result, check_kept


def on_host(program: Program) -> bool:
    """Whether the program is called as it is, and not compiled."""
    return bool(getattr(program, "host", False))


def one_run(program: Program, progress: Follow) -> Run:
    """The program as a run of a `Sweep`: from a key, (hypers, given) and data to (kept, `Result`).

    Raises ValueError, when traced, if what the program keeps is not arrays in nested dicts.
    """

    def run(key, varied, data: Data):
        hypers, given = varied
        kept, result = program(key, hypers, given, data, progress)
        check_kept(kept)
        return kept, result

    return run


def blinded(data: Data) -> Data:
    """The data with zeros in place of the test split: nothing can be chosen by it."""
    return data._replace(test=jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), data.test))


def as_record(result: Result, blind: bool) -> dict[str, Any]:
    """A result in a form for JSON; without measures and curves of the test split if the run was blind.

    Booleans become the indices of those that are true. What is `wrong` becomes booleans if each example's error is 0 or
    1. Else it is left out, as no example is right or wrong. Entries at the end of a curve are left out if they are not
    finite.
    """

    def seen(tree: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        return {place: entries for place, entries in tree.items() if not (blind and place == "test")}

    return {
        "score": result.score,
        "diverged": bool(result.diverged),
        "measures": {
            place: {name: _compact(value) for name, value in _arrays(entries).items()}
            for place, entries in seen(result.measures).items()
        },
        "curves": {
            place: {name: _trimmed(np.asarray(value)) for name, value in entries.items()}
            for place, entries in seen(result.curves).items()
        },
    }


def _arrays(entries: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(value) for name, value in entries.items()}
    if "wrong" in arrays:
        wrong = arrays.pop("wrong")
        arrays |= {"wrong": wrong == 1} if np.isin(wrong, (0, 1)).all() else {}
    return arrays


def fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of a record, in words; None if it has the form of `as_record` and what is beside it.

    A measure may be an array, so what is no number is found where a metric of the page needs one.
    """
    missing = [name for name in ("score", "diverged", "measures", "curves", "kept", "seconds") if name not in record]
    if missing:
        return f"it has no {', '.join(missing)}"
    for name in ("score", "seconds"):
        if not is_number(record[name]):
            return f"its {name} is {record[name]!r:.40}"
    for name in ("diverged", "kept"):
        if not isinstance(record[name], bool):
            return f"its {name} is {record[name]!r:.40}"
    for name, whole in WHOLE.items():
        places = record[name]
        if not isinstance(places, dict) or not all(isinstance(entries, dict) for entries in places.values()):
            return f"its {name} are no numbers by place and name but {places!r:.40}"
        for place, entries in places.items():
            for entry, value in entries.items():
                if not whole(value):
                    return f"its {name} {place}/{entry} are {value!r:.40}"
    return None


def _is_measure(value: Any) -> bool:
    """Whether a value is no mapping, or the booleans of `_compact`."""
    if not isinstance(value, dict):
        return True
    true, size = value.get("true"), value.get("size")
    return type(size) is int and isinstance(true, list) and all(type(i) is int and 0 <= i < size for i in true)


def _is_curve(value: Any) -> bool:
    return isinstance(value, list)


WHOLE = {"measures": _is_measure, "curves": _is_curve}
"""Whether a value of such a part of a record is well formed."""


def _compact(value: np.ndarray) -> Any:
    return {"true": np.flatnonzero(value), "size": value.size} if value.dtype == bool and value.ndim else value


def _trimmed(curve: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(np.isfinite(curve).any(axis=tuple(range(1, curve.ndim))))
    return curve[: known[-1] + 1 if len(known) else 0]
