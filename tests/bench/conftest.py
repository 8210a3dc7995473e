"""The benchmark, with a clock that is made up."""

from pathlib import Path

import pages
import pytest

from dlx.bench import command, machine
from dlx.bench.timing import Timing

ROOT = Path(command.__file__).parents[2]


@pytest.fixture
def calls(monkeypatch):
    """What is timed; each run of it takes half a second an epoch. The peak is 2 GFLOP/s."""
    made = []

    def timing(case, runs, data, **how):
        made.append((case.name, runs, len(data.train.x), how))
        return Timing(0.5 * runs, 1.25, 3 * 10**9)

    monkeypatch.setattr(command, "use_every_core", lambda: None)
    monkeypatch.setattr(machine, "row_memory", lambda data: len(data.train.x) / 10**5)
    monkeypatch.setattr(machine, "sgemm_gflops", lambda: 2.0)
    monkeypatch.setattr(machine, "timing", timing)
    monkeypatch.setattr(machine.pytorch, "installed", lambda: False)
    return made


@pytest.fixture
def call(calls):
    """Calls the command with these arguments."""
    studies = {name: lambda study=study: study for name, study in pages.studies().items()}
    return lambda *arguments: command.main(studies, ROOT / "experiments" / "results", arguments)
