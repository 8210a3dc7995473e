"""The seconds of an epoch of each row, as the benchmark measured them: for races in seconds.

`python -m experiments bench --page NAME` measures them several times, and prints them as JSON. They belong into the
file `seconds.json` beside the page's results.
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
from dlx.study.declare.page import Finding, Metric, Study
from dlx.study.judge.claims import OPEN, Comparison, Decide, decide
from dlx.study.judge.figures import Draw, panels
from dlx.study.run.found import Found
from dlx.study.run.plan import first_trials
from dlx.study.run.record import on_host, one_run
from dlx.sweep import Sweep
from dlx.unit import Program, Unit

Say = Callable[[str], None]


def measure(study: Study, data: str | None, repeats: int, say: Say) -> dict[str, Any]:
    """Seconds of an epoch of each row's program, at the preset "paper", one run on one device.

    Each row is measured `repeats` times. A measurement is half of the time that three epochs take more than one. The
    rows take turns, so that a slow time of the machine meets all of them. Rows whose program has no epochs or is not
    compiled are left out, and so are rows that start from other units.
    """
    options = study.options(preset="paper", data=data)
    about = study.datasets(options)
    rows = study.rows_on(options, about)
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
    """Calls the unit's program with this many epochs. It is compiled, and has run once."""
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


def faster(file: Path, row: str, than: str) -> Decide:
    """An epoch of one row takes less time than one of the other, measurement by measurement."""

    def decider(found: Found) -> Finding:
        known = an_epoch(file, found)
        if row not in known or than not in known:
            return Finding(OPEN, "the benchmark has not timed these data")
        gain, p = paired_interval(known[than], known[row]), over_seeds(known[than], known[row])
        return decide([Comparison(row, than, gain, p)], 0, " seconds an epoch below", "measurements")

    return decider
