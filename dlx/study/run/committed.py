"""The trials that the committed results of a page have chosen: with them nothing is searched."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlx.study.declare.page import Row, Space, Trial
from dlx.study.run.plan import grid


def with_choices(rows: Sequence[Row], file: Path, preset: str, data: str) -> list[Row]:
    """The rows, each with the trial of its space that the results in the file have chosen.

    A row of one trial keeps it. `data` is the name of the data set. Raises ValueError, which says what to do, if there
    are no such results, or if they are of another preset or other data. When a space is asked for, it also raises
    ValueError if they have chosen no trial of it.
    """
    if not file.is_file():
        raise ValueError(f"--search committed: there are no committed results in {file}; search with --search grid")
    content = json.loads(file.read_text(encoding="utf-8"))
    there = content["preset"], content["data"]["name"]
    if there != (preset, data):
        raise ValueError(
            f"--search committed: the results in {file} are of the preset {there[0]} on {there[1]}, not of {preset} on "
            f"{data}; search with --search grid"
        )
    entries = {entry["row"]: entry for entry in content["search"] if entry["chosen"]}
    return [replace(row, space=_Chosen(row, entries.get(row.name))) for row in rows]


class _Chosen:
    """The space of a row, as a function of what other rows have chosen: the trial of an entry of results.json."""

    def __init__(self, row: Row, entry: Mapping[str, Any] | None):
        self.row, self.entry = row, entry

    def __call__(self, chosen: Mapping[str, Trial]) -> Space:
        trials = grid(self.row.space_after(chosen))
        if len(trials) == 1:
            return trials
        if self.entry is None:
            raise ValueError(f"--search committed: the committed results have no choice for row {self.row.name}")
        told = {name: value for name, value in self.entry.items() if name not in ("row", "score", "brief", "chosen")}
        alike = [trial for trial in trials if all(trial.get(name) == value for name, value in told.items())]
        if len(alike) != 1:
            words = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
            raise ValueError(
                f"--search committed: the committed results have chosen {words} for row {self.row.name}, which is "
                f"{'no trial' if not alike else 'several trials'} of the page as it is now; search with --search grid"
            )
        return alike
