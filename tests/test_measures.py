"""What every program of every page tells is computed again by hand: in NumPy, or from stages put together here.

The oracles are in the folder `measures`. A program without one fails.
"""

import importlib
from pathlib import Path

import jax
import numpy as np
import pages
import pytest
from measures.by_hand import CASES, KEY, Run, close

from dlx.show.progress import silent
from dlx.study.run.record import on_host, one_run

for path in sorted(Path(__file__).with_name("measures").glob("of_*.py")):
    importlib.import_module(f"measures.{path.stem}")

PROGRAMS = {
    type(unit.program)
    for name in pages.studies()
    for preset in ("quick", "paper")
    for unit in pages.planned(name, preset).units
}
MEMBERS = [
    pytest.param(program, i, id=f"{program.__name__}-{i}")
    for program in sorted(PROGRAMS, key=lambda one: one.__name__)
    for i in range(len(CASES.get(program, [()])))
]


@pytest.mark.parametrize(("program", "i"), MEMBERS)
def test_what_a_program_tells_is_what_is_computed_by_hand(monkeypatch, program, i):
    assert program in CASES, f"{program.__name__} has no oracle of its measures in tests/measures"
    case = CASES[program][i]
    for name, value in case.patches.items():
        monkeypatch.setattr(name, value)
    run, hypers = one_run(case.program, silent), case.hypers
    if not on_host(case.program):
        run, hypers = jax.jit(run), jax.tree.map(np.float32, hypers)
    kept, result = jax.device_get(run(KEY, (hypers, case.given), case.data))
    close(result._asdict(), case.oracle(Run(case.program, KEY, hypers, case.given, case.data, kept))._asdict())
