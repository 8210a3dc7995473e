"""What is measured of a machine, on this one."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dlx.bench import machine
from dlx.bench.timing import random_data


def test_a_product_of_matrices_is_timed():
    assert 0.01 < machine.sgemm_gflops(256, repeats=2) < 10**5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the second opinion is Linux's")
def test_the_memory_of_a_run_is_the_peak_of_this_process(monkeypatch):
    monkeypatch.setattr(machine, "WIDTHS", (8, 8))
    gigabytes = machine.row_memory(random_data(500))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    np.testing.assert_allclose(gigabytes, int(status["VmHWM"].split()[0]) / 2**20, rtol=0.05)


def test_the_table_is_timed_from_nothing_to_its_report(monkeypatch):
    commands = []
    monkeypatch.setattr(
        machine.subprocess, "run", lambda *how, **_: commands.append(how) or SimpleNamespace(returncode=0)
    )
    assert 0 <= machine.table_seconds(lambda text: None) < 1
    ((command,),) = commands
    assert command[1:6] == ["-m", "experiments", "bengio2006", "--preset", "paper"]


def test_a_product_is_timed_on_the_device():
    assert machine.product_gflops("highest", n=64) > 0
