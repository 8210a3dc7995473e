"""How a command of `experiments` starts and ends, in a process of its own."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start(*command, before=(sys.executable,), **environment):
    return subprocess.Popen(
        [*before, *command],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


CUDA = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))


@pytest.mark.parametrize(
    "platform", ["nonsense", pytest.param("cuda", marks=pytest.mark.skipif(CUDA, reason="jax has CUDA here"))]
)
def test_a_platform_that_is_not_there_is_said_in_words(platform):
    out, err = (process := start("-m", "experiments", "bench", JAX_PLATFORMS=platform)).communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith(f"error: JAX_PLATFORMS={platform} ")
    assert err.count("\n") == 1


def wait_for_the_package(process):
    """Python prints a line for each module that it has imported, if it is asked to."""
    for line in process.stderr:
        if line.split("|")[-1].strip() == "experiments":
            return


def without_imports(err):
    return [line for line in err.splitlines() if not line.startswith("import time:")]


@pytest.mark.parametrize(
    ("module", "delay"),
    [
        *((["experiments", "bench"], delay) for delay in (0.0, 0.1, 0.3, 0.5, 1.0, 2.0)),
        (["experiments.dbn", "--help"], 0.3),
    ],
)
def test_an_interrupt_at_any_moment_of_the_start_ends_with_one_line(module, delay):
    process = start("-X", "importtime", "-m", *module)
    wait_for_the_package(process)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    said = [line for line in without_imports(err) if not line.startswith("measuring ")]
    assert said == ["stopped"]
    assert process.returncode == 130
    assert out == ""


def test_an_interrupt_between_imports_ends_with_one_line():
    """Where no module is being imported, Python itself is left to say what the error was."""
    stop = "import sys; sys.argv[:] = ['-m']; import experiments; import signal; signal.raise_signal(signal.SIGINT)"
    _, err = (process := start("-c", stop)).communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n")


def test_errors_of_other_kinds_are_shown_as_python_does():
    fail = "import sys; sys.argv[:] = ['-m']; import experiments; 1 / 0"
    _, err = (process := start("-c", fail)).communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_interrupts_stay_ignored_where_they_were():
    """A shell script starts its background jobs so."""
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable]
    process = start("-X", "importtime", "-m", "experiments", "bench", "--examples", "0", before=ignoring)
    wait_for_the_package(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert without_imports(err)[0].startswith("error: --examples 0 ")


def test_importing_the_package_elsewhere_changes_nothing():
    look = "import signal, sys; import experiments; print(signal.getsignal(2) is signal.default_int_handler)"
    look += "; print(sys.excepthook is sys.__excepthook__)"
    out, _ = start("-c", look).communicate(timeout=60)
    assert out.split() == ["True", "True"]
