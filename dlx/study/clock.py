"""What an epoch of a row takes, as the benchmark measured it: for a race in seconds, and for what is cheaper.

`python -m experiments bench --page NAME` measures: it prints a page's rows with some measurements each, as JSON, for
the file `seconds.json` beside the page's results.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlx.show import figures as draw
from dlx.stats import interval, over_seeds, paired_interval
from dlx.study.claims import OPEN, Comparison, Decide, decide
from dlx.study.figures import Figures, panels
from dlx.study.found import Found
from dlx.study.page import Finding, Metric, Study
from dlx.study.plan import first_trials
from dlx.study.record import on_host, one_run
from dlx.sweep import Sweep
from dlx.unit import Program, Unit

Say = Callable[[str], None]


def measure(study: Study, data: str | None, repeats: int, say: Say) -> dict[str, Any]:
    """Seconds of an epoch of each row's program at the preset "paper", one run on one device, so many measurements.

    A measurement is the half of what three epochs take more than one; those of the rows follow each other in turn, so
    that they share the machine's moods. Rows whose program has no epochs, or starts from other units, are left out.
    """
    options = study.options(preset="paper", data=data)
    about = study.datasets(options)
    rows = study.rows(options, about)
    trials = first_trials(rows)
    units = {row.name: row.build(1, **trials[row.name]) for row in rows}
    units = {name: unit for name, unit in units.items() if hasattr(unit.program, "epochs") and not unit.given}
    units = {name: unit for name, unit in units.items() if not on_host(unit.program)}
    runs: dict[tuple[Program, str], tuple[Callable[[], Any], ...]] = {}
    for name, unit in units.items():
        if (unit.program, unit.data) not in runs:
            say(f"compiling {name}")
            runs[unit.program, unit.data] = tuple(_call(unit, epochs, about[unit.data].data) for epochs in (1, 3))
    times: dict[tuple[Program, str], list[float]] = {of: [] for of in runs}
    for turn in range(repeats):
        say(f"measuring, {turn + 1} of {repeats}")
        for of, (short, long) in runs.items():
            one, three = wall_time(short), wall_time(long)
            times[of].append((three - one) / 2)
    main = about["main" if "main" in about else next(iter(about))]
    return {"data": main.origin.name, "rows": {name: times[unit.program, unit.data] for name, unit in units.items()}}


def _call(unit: Unit, epochs: int, data: Any) -> Callable[[], Any]:
    """The unit's program of so many epochs, compiled and run once."""
    program: Any = replace(unit.program, epochs=epochs)  # ty: ignore[invalid-argument-type]
    sweep = Sweep(one_run(program, lambda stage, **how: None), devices=1)
    hypers = jax.tree.map(lambda value: np.array([value], np.float32), unit.hypers)
    inputs = jax.random.key(unit.seed)[None], (hypers, ()), data
    sweep(*inputs)
    return lambda: sweep(*inputs)


def wall_time(call: Callable[[], Any]) -> float:
    """Seconds of one call, to the end of its computation."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


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


def faster(file: Path, row: str, than: str) -> Decide:
    """An epoch of one row takes less time than one of the other, measurement by measurement."""

    def decider(found: Found) -> Finding:
        known = an_epoch(file, found)
        if row not in known or than not in known:
            return Finding(OPEN, "the benchmark has not timed these data")
        gain, p = paired_interval(known[than], known[row]), over_seeds(known[than], known[row])
        return decide([Comparison(row, than, gain, p)], 0, " seconds an epoch below", "measurements")

    return decider
