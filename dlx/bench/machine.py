"""What the benchmark measures of a machine: the speed of training beside a matrix product's, and a run's memory."""

import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.bench import pytorch
from dlx.bench.timing import (
    EXAMPLES,
    LARGEST_BATCH,
    WIDTHS,
    Case,
    Say,
    Timing,
    cases,
    finetuning,
    fresh,
    random_data,
    recurrent_cases,
    timing,
    wall_time,
)
from dlx.classify import classify
from dlx.losses.supervised import misclassified
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.stage import chain, evaluate
from dlx.sweep import Sweep
from dlx.types import Data

TABLES = {
    "alone": "One run on one device",
    "sweep": "A sweep of four runs on all devices",
    "seeds": "Cost of more seeds",
    "at_once": "Four runs a device, so many at once (vmap)",
    "shapes": "Cost of width and depth, a run a device",
    "devices": "Eight runs on more devices",
    "devices_a_run": "One run of 1000-1000-1000 shared out over more devices",
}
"""The title of each table."""

PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32"}
"""JAX's names for the precisions of a matrix product. CPUs know only the first; TPUs come near to both."""


class Row(NamedTuple):
    """A row of a table: what to time, and how."""

    table: str
    case: Case
    runs: int
    first: dict[str, Any]
    """The first column, if the table has one of its own."""
    how: dict[str, int]
    """Keyword arguments of `timing`."""


def rows(seeds: Sequence[int]) -> Iterator[Row]:
    """The rows of all tables, in the order of the tables."""
    everywhere, b100 = jax.device_count(), finetuning(WIDTHS, 100)
    counts = [n for n in (1, 2, 4, 8) if n <= everywhere]
    yield from (Row("alone", case, 1, {}, {"devices": 1}) for case in (*cases(), *recurrent_cases()))
    yield from (Row("sweep", case, 4, {}, {}) for case in cases())
    yield from (Row("seeds", b100, n, {}, {}) for n in seeds)
    for n in (1, 2, 4):
        yield Row("at_once", finetuning(WIDTHS, 20), 4 * everywhere, {"at_once": n}, {"at_once": n})
    for widths in ((w,) * depth for w in (500, 1000) for depth in (1, 3, 5)):
        yield Row("shapes", finetuning(widths, 100), everywhere, {"widths": "-".join(map(str, widths))}, {})
    yield from (Row("devices", b100, 8, {"devices": n}, {"devices": n}) for n in counts)
    wide = finetuning((1000, 1000, 1000), LARGEST_BATCH)
    yield from (Row("devices_a_run", wide, 1, {"devices": n}, {"devices": n, "per_run": n}) for n in counts)


def sgemm_gflops(n: int = 4096, repeats: int = 5) -> float:
    """The fastest of several products of two n x n float32 matrices, in GFLOP/s."""
    a = np.ones((n, n), np.float32)
    return 2 * n**3 / min(wall_time(lambda: a @ a) for _ in range(repeats)) / 1e9


def row_memory(data: Data) -> float:
    """Peak memory of this process, in units of 2**30 bytes, after one run of a table's row. Call it first.

    The run fine-tunes a deep net for one epoch, and evaluates its errors on all splits.
    """
    net = mlp(WIDTHS)
    tune = classify(net, sgd(0.1), epochs=1, patience=1, batch_size=100)
    train = chain(tune, evaluate(error=misclassified(net)))
    Sweep(fresh(net, train))(jax.random.key(0)[None], (), data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def product_gflops(precision: str, n: int = 8192) -> float:
    """The fastest of several products of two n x n float32 matrices on one device, in GFLOP/s."""
    product = jax.jit(lambda a: jax.numpy.matmul(a, a, precision=precision))
    a = jax.numpy.ones((n, n), np.float32)
    return 2 * n**3 / min(wall_time(lambda: product(a).block_until_ready()) for _ in range(5)) / 1e9


def figures(case: Case, runs: int, time: Timing, peak: float) -> dict[str, Any]:
    """A table's numbers for the runs of a case. `peak` is the GFLOP/s of a matrix product."""
    rate = runs * EXAMPLES * case.flops / time.epoch / 1e9
    return {
        "case": case.name,
        "runs": runs,
        "gflops": rate,
        "fraction_of_peak": rate / peak,
        "executed": rate / peak * case.executed / case.flops,
        "seconds_a_run": time.epoch / runs,
        "compile_seconds": time.compile,
        "memory_gb": time.memory / 1e9,
    }


def measure(examples: int, seeds: Sequence[int], say: Say) -> dict[str, Any]:
    """All numbers by table, each a list of rows, from epochs of so many examples. `say` is told what is measured.

    Where PyTorch is installed there is one more table, `pytorch`, of the same work there.
    """
    data, asked = random_data(examples), list(rows(seeds))
    say("measuring the memory of one run, and then the speed of a matrix product")
    memory, peak = row_memory(random_data(EXAMPLES)), sgemm_gflops()
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, (table, case, runs, first, how) in enumerate(asked, 1):
        column = "".join(f", {name} {value}" for name, value in first.items())
        say(f"[{number}/{len(asked)}] {TABLES[table]}: {case.name}, {runs} run{'s' * (runs > 1)}{column}")
        measured[table].append(first | figures(case, runs, timing(case, runs, data, **how), peak))
    if pytorch.installed():
        say("beside PyTorch")
        measured["pytorch"] = pytorch.beside(data)
    return {"sgemm_gflops": peak, "row_memory_gb": memory, **measured}


def measure_device(seeds: Sequence[int], say: Say) -> dict[str, Any]:
    """Every case at full size on all devices, by precision and number of runs."""
    data, measured, peaks = random_data(EXAMPLES), [], {}
    for precision, setting in PRECISIONS.items():
        peaks[precision] = product_gflops(setting) * jax.device_count()
        for case, runs in itertools.product(cases(), seeds):
            say(f"{precision}: {case.name}, {runs} run{'s' * (runs > 1)}")
            with jax.default_matmul_precision(setting):
                time = timing(case, runs, data)
            measured.append({"precision": precision, **figures(case, runs, time, peaks[precision])})
    return {"peak_gflops": peaks, "rows": measured}


def table_seconds(say: Say) -> float | None:
    """The seconds of the table of 2006, from nothing to its report. None if it fails; it then says so itself."""
    say("training the table of 2006")
    with tempfile.TemporaryDirectory(prefix="dlx-bench-") as folder:
        command = [sys.executable, "-m", "experiments", "bengio2006", "--preset", "paper", "--out", folder]
        begin = time.monotonic()
        ended = subprocess.run(command, stdout=sys.stderr)
        return None if ended.returncode else time.monotonic() - begin
