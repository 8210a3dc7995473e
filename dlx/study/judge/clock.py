"""The seconds of an epoch of each row, as the benchmark measured them: for races in seconds.

`python -m experiments bench --page NAME` measures them several times, and prints them as JSON. They belong into the
file `seconds.json` beside the page's results.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dlx.show import figures as draw
from dlx.stats import interval
from dlx.study.declare.finding import Bound, Finding
from dlx.study.declare.page import Metric
from dlx.study.judge.claims import Decide, paired
from dlx.study.judge.figures import Draw, panels
from dlx.study.judge.verdicts import OPEN
from dlx.study.run.found import Found


def an_epoch(file: Path, found: Found) -> dict[str, np.ndarray]:
    """Seconds of an epoch [measurements] by row; empty if there is no file, or if it is of other data."""
    if not file.exists():
        return {}
    measured = json.loads(file.read_text(encoding="utf-8"))
    if found.main.origin.name != measured["data"]:
        return {}
    return {row: np.array(seconds) for row, seconds in measured["rows"].items()}


def seconds(file: Path, epochs: Metric, groups: tuple[str, ...] = ()) -> Draw:
    """One figure per group: a metric that counts epochs, times the median seconds of an epoch."""

    def figure(found: Found) -> list[Any]:
        known, drawn = an_epoch(file, found), []
        for group, rows in panels(found, groups).items():
            bars = []
            for row in (row for row in rows if row in known and found[row].by_seed(epochs.name)):
                values = np.median(known[row]) * found[row].values(epochs.name)
                low, high = interval(values)[1:3] if len(values) else (None, None)
                lost = [np.nan] * found[row].lost(epochs.name)
                bars.append(draw.Bar(found[row].row.title, [*values, *lost], low, high, None))
            if bars:
                drawn.append(draw.bars(bars, xlabel=epochs.label.replace("epochs", "seconds"), title=group))
        return drawn

    return figure


def untimed() -> Finding:
    """The finding where the benchmark has not timed what is asked for."""
    return Finding(OPEN, "the benchmark has not timed these data")


def faster(file: Path, row: str, than: str) -> Decide:
    """An epoch of one row takes less time than one of the other, measurement by measurement."""

    def decider(found: Found) -> Finding:
        known = an_epoch(file, found)
        if row not in known or than not in known:
            return untimed()
        by_run = [dict(enumerate(known[name].tolist())) for name in (row, than)]
        seconds_an_epoch = Metric("", "an epoch", unit=" s")
        return paired(found, seconds_an_epoch, (row, than), by_run, Bound("above", 0), "measurements")

    return decider
