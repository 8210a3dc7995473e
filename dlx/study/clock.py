"""What an epoch of a row takes, as the benchmark measured it: for a race in seconds, and for what is cheaper.

`python -m experiments bench --page NAME` writes the file: a page's rows with some measurements each.
"""

import json
from pathlib import Path

import numpy as np

from dlx.show import figures as draw
from dlx.stats import interval, over_seeds, paired_interval
from dlx.study.claims import OPEN, Comparison, Decide, decide
from dlx.study.figures import Figures, panels
from dlx.study.found import Found
from dlx.study.page import Finding, Metric


def an_epoch(file: Path, found: Found) -> dict[str, np.ndarray]:
    """Seconds of an epoch [measurements] by row; nothing without the file, or if it is of other data."""
    if not file.exists():
        return {}
    measured = json.loads(file.read_text(encoding="utf-8"))
    if found.main.origin.name != measured["data"]:
        return {}
    return {row: np.array(seconds) for row, seconds in measured["rows"].items()}


def seconds(file: Path, epochs: Metric, groups: tuple[str, ...] = ()) -> Figures:
    """A figure a group: a metric that counts epochs, times the median of the seconds that an epoch takes."""

    def figure(found: Found) -> list[draw.Bar]:
        known, drawn = an_epoch(file, found), []
        for group, rows in panels(found, groups).items():
            bars = []
            for row in rows:
                values = np.median(known.get(row, np.empty(0))) * found[row].values(epochs.name)
                if len(values) and np.isfinite(values).all():
                    bars.append(draw.Bar(found[row].row.title, values, *interval(values)[1:3], None))
            if bars:
                drawn.append(draw.bars(bars, xlabel=epochs.label.replace("epochs", "seconds"), title=group))
        return drawn

    return figure


def faster(file: Path, row: str, than: str) -> Decide:
    """An epoch of one row takes less time than one of the other, measurement by measurement."""

    def decider(found: Found) -> Finding:
        known = an_epoch(file, found)
        if row not in known or than not in known:
            return Finding(OPEN, "the benchmark has not timed these data")
        gain, p = paired_interval(known[than], known[row]), over_seeds(known[than], known[row])
        return decide([Comparison(row, than, gain, p)], 0, " seconds an epoch below", "measurements")

    return decider
