"""A command ends within seconds of Ctrl-C or SIGTERM, whatever it does, and loses no more than the unit at work."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from synthetic import runner_in

from dlx.store import Store, open_store
from dlx.study.run import stopping
from dlx.unit import Unit

PAGE = '''"""A short row, and one that would take hours within one call of a compiled program."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from dlx import study


@dataclass(frozen=True)
class Count:
    steps: int

    def __call__(self, key, hypers, given, data, progress):
        end = jax.lax.fori_loop(0, self.steps, lambda _, x: jnp.sin(x) + 1, jnp.zeros(()))
        return {}, study.Result(end, {"model": {"end": end}})


def rows(options, about):
    count = {"short": 1, "long": 2_000_000_000}
    return [study.Row(name, name, lambda seed, steps=steps: study.Unit(Count(steps), seed=seed), seeds=1)
            for name, steps in count.items()]


if __name__ == "__main__":
    study.main(study.Study(__doc__, study.images(flat=True), rows, metrics=(study.Metric("model/end", "end"),)))
'''


def test_within_a_compiled_program_it_ends_with_its_records_whole(tmp_path):
    (tmp_path / "page.py").write_text(PAGE)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    line = [sys.executable, "page.py"]
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        announced = (line for line in process.stderr if "Count: 1 at once" in line)
        assert next(announced)
        assert next(announced), "the short row is done, and the long one is compiled"
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert time.monotonic() - begin < 3
    assert process.returncode == 130
    assert "stopped; Count seed 1 (" in said.splitlines()[-1]
    assert said.endswith(", which are lost; the same command goes on from the last finished unit\n")
    [record] = tmp_path.glob("runs/units/Count/*.json")
    assert Store(tmp_path / "runs").load(f"Count/{record.stem}")["score"] == 1.0


SCRIPT = """
import hashlib, runpy, sys, threading, time
ends_on_signal = runpy.run_path(sys.argv[1])["ends_on_signal"]
last_words = {"says": lambda: print("lost"), "hangs": lambda: time.sleep(60)}[sys.argv[2]]
with ends_on_signal(last_words):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"C code, which no signal interrupts", b"", 300_000_000)
"""


@pytest.mark.parametrize(
    ("signals", "gap", "words", "status", "least", "most"),
    [
        ([signal.SIGINT], 0, "says", 130, 0, 1.5),
        ([signal.SIGTERM], 0, "says", 143, 0, 1.5),
        ([signal.SIGINT, signal.SIGINT], 0, "says", 130, 0, 1.5),
        ([signal.SIGINT], 0, "hangs", 130, stopping.SECONDS - 0.1, stopping.SECONDS + 1.5),
        ([signal.SIGINT, signal.SIGINT], 2 * stopping.TWICE, "hangs", 130, 0, 1.9),
    ],
)
def test_c_code_is_ended_and_last_words_have_little_time(signals, gap, words, status, least, most):
    line = [sys.executable, "-c", SCRIPT, stopping.__file__, words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        begin = time.monotonic()
        for number in signals:
            process.send_signal(number)
            time.sleep(gap)
        rest = process.communicate(timeout=30)[0]
    assert least <= time.monotonic() - begin < most
    assert process.returncode == status
    assert rest == ("lost\n" if words == "says" else "")


def test_afterwards_signals_are_what_they_were():
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    with stopping.ends_on_signal(lambda: None):
        assert all(signal.getsignal(number) is not handler for number, handler in before.items())
    assert {number: signal.getsignal(number) for number in stopping.SIGNALS} == before
    assert signal.set_wakeup_fd(-1) == -1
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stopping.ends_on_signal(lambda: None):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "as the parent process asked"
    signal.signal(signal.SIGINT, handler)


@dataclass(frozen=True)
class Raises:
    host: bool = True

    def __call__(self, key, hypers, given, data, progress):
        raise KeyboardInterrupt


def test_a_unit_that_raises_is_free_for_other_processes(tmp_path, monkeypatch):
    """Also in a notebook, whose process goes on."""
    released = []
    monkeypatch.setattr(Store, "release", lambda _, name: released.append(name))
    runner = runner_in(open_store(tmp_path, {}), devices=1)
    unit = Unit(Raises(), given=(), seed=1)
    with pytest.raises(KeyboardInterrupt):
        runner.advance([unit])
    assert released == [runner.records.naming.name(unit)]
