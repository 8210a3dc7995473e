"""The seconds of an epoch of each row of a page, as `dlx.study.judge.clock` takes them for races in seconds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from dlx.bench.timing import Say, wall_time
from dlx.show.progress import silent
from dlx.study.declare.page import Study, main_of
from dlx.study.run.plan import first_trials
from dlx.study.run.record import on_host, one_run
from dlx.sweep import Sweep
from dlx.unit import Program, Unit


def measure_page(study: Study, data: str | None, repeats: int, say: Say) -> dict[str, Any]:
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
    return {
        "data": main_of(about).origin.name,
        "rows": {name: times[unit.program, unit.data] for name, unit in units.items()},
    }


def _call(unit: Unit, epochs: int, data: Any) -> Callable[[], Any]:
    """Calls the unit's program with this many epochs. It is compiled, and has run once."""
    program: Any = replace(unit.program, epochs=epochs)  # ty: ignore[invalid-argument-type]
    sweep = Sweep(one_run(program, silent), devices=1)
    hypers = jax.tree.map(lambda value: np.array([value], np.float32), unit.hypers)
    inputs = jax.random.key(unit.seed)[None], (hypers, ()), data
    sweep(*inputs)
    return lambda: sweep(*inputs)
