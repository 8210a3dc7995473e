"""How close training comes to the machine's own speed: GFLOP/s beside a matrix product's, memory, scaling.

    python -m experiments bench            # tables
    python -m experiments bench --json     # the same as one JSON object
    python -m experiments bench --page optimizers    # seconds per epoch of a page's rows, as a JSON object
    python -m experiments bench --device   # for a GPU or a TPU: up to 128 runs, both precisions, the table of 2006

A step on n examples counts as 6 n FLOPs per connection: 2 forward, 4 backward. This is the field's convention.
`executed` leaves out the gradient for the net's input, which is never computed. A step of an auto-associator or of CD-1
counts as 10 n. The peak is NumPy's fastest float32 product of two 4096 x 4096 matrices in the same process. Seconds are
per epoch of 50 000 digits. They are half the difference of three epochs and one, each the fastest of several. Run it on
a machine that does nothing else.
"""

import importlib
import itertools
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.bench.timing import (
    EXAMPLES,
    LARGEST_BATCH,
    WIDTHS,
    Case,
    Timing,
    cases,
    finetuning,
    fresh,
    random_data,
    timing,
)
from dlx.classify import classify
from dlx.data import DataError
from dlx.losses.supervised import misclassified
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.show import tables
from dlx.show.console import steady
from dlx.stage import chain, evaluate
from dlx.store import provenance, to_json
from dlx.study import clock
from dlx.study.judge.clock import wall_time
from dlx.study.run.hosts import find_devices, use_every_core
from dlx.sweep import Sweep
from dlx.types import Data


@dataclass(frozen=True)
class Options:
    """The options of the benchmark."""

    json: bool = False
    """Print one JSON object instead of tables."""
    examples: int = 5_000
    """Training examples of the epoch that is measured: 500 or more. With few, the times are less sure."""
    seeds: tuple[int, ...] | None = None
    """Numbers of runs to compare. Default: 1 2 4 8, and with --device 1 8 32 128."""
    device: bool = False
    """Measure an accelerator at full size, with the whole table of 2006. Write a file that can be committed."""
    table: bool = True
    """With --device: train the table, too. It needs MNIST."""
    out: Path = Path(__file__).parent / "results" / "bench"
    """With --device: the folder of the file. The file is named after the device."""
    page: str | None = None
    """Measure the rows of this page instead, with its preset "paper", one run on one device."""
    data: str | None = None
    """Data set of the page. Default: its own."""
    measurements: int = 10
    """How often each row of a page is measured."""

    def check(self) -> None:
        """Raise ValueError for what cannot be measured."""
        if self.measurements < 1:
            raise ValueError(f"--measurements must be at least 1, not {self.measurements}")
        if self.examples < LARGEST_BATCH:
            raise ValueError(
                f"--examples {self.examples} is less than the largest minibatch; choose {LARGEST_BATCH} or more"
            )
        if self.seeds is not None and min(self.seeds, default=0) < 1:
            given = " ".join(map(str, self.seeds)) or "none"
            raise ValueError(f"--seeds takes numbers of runs, each 1 or more, such as 1 2 4 8; given: {given}")


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

COLUMNS = {
    "case": ("case", "{}"),
    "runs": ("runs", "{}"),
    "gflops": ("GFLOP/s", "{:.0f}"),
    "fraction_of_peak": ("of peak", "{:.0%}"),
    "executed": ("executed", "{:.0%}"),
    "seconds_a_run": ("s a run", "{:.2f}"),
    "compile_seconds": ("s to compile", "{:.1f}"),
    "memory_gb": ("GB a device", "{:.2f}"),
}
"""The columns of the tables: the heading and the format of each."""


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
    yield from (Row("alone", case, 1, {}, {"devices": 1}) for case in cases())
    yield from (Row("sweep", case, 4, {}, {}) for case in cases())
    yield from (Row("seeds", b100, n, {}, {}) for n in seeds)
    for n in (1, 2, 4):
        yield Row("at_once", finetuning(WIDTHS, 20), 4 * everywhere, {"at_once": n}, {"at_once": n})
    for widths in ((w,) * depth for w in (500, 1000) for depth in (1, 3, 5)):
        yield Row("shapes", finetuning(widths, 100), everywhere, {"widths": "-".join(map(str, widths))}, {})
    yield from (Row("devices", b100, 8, {"devices": n}, {"devices": n}) for n in counts)
    wide = finetuning((1000, 1000, 1000), LARGEST_BATCH)
    yield from (Row("devices_a_run", wide, 1, {"devices": n}, {"devices": n, "per_run": n}) for n in counts)


def measure(options: Options) -> dict[str, Any]:
    """All numbers by table, each a list of rows. It says on stderr what it measures."""
    data, asked = random_data(options.examples), list(rows(options.seeds or (1, 2, 4, 8)))
    say("measuring the memory of one run, and then the speed of a matrix product")
    memory, peak = row_memory(random_data(EXAMPLES)), sgemm_gflops()
    found: dict[str, Any] = {"sgemm_gflops": peak, "row_memory_gb": memory, **{name: [] for name in TABLES}}
    for number, (table, case, runs, first, how) in enumerate(asked, 1):
        column = "".join(f", {name} {value}" for name, value in first.items())
        say(f"[{number}/{len(asked)}] {TABLES[table]}: {case.name}, {runs} run{'s' * (runs > 1)}{column}")
        found[table].append(first | figures(case, runs, timing(case, runs, data, **how), peak))
    return found


def product_gflops(precision: str, n: int = 8192) -> float:
    """The fastest of several products of two n x n float32 matrices on one device, in GFLOP/s."""
    product = jax.jit(lambda a: jax.numpy.matmul(a, a, precision=precision))
    a = jax.numpy.ones((n, n), np.float32)
    return 2 * n**3 / min(wall_time(lambda: product(a).block_until_ready()) for _ in range(5)) / 1e9


def measure_device(options: Options) -> dict[str, Any]:
    """Every case at full size on all devices, by precision and number of runs; seconds of the 2006 table."""
    data, found, peaks = random_data(EXAMPLES), [], {}
    for precision, setting in PRECISIONS.items():
        peaks[precision] = product_gflops(setting) * jax.device_count()
        for case, runs in itertools.product(cases(), options.seeds or (1, 8, 32, 128)):
            say(f"{precision}: {case.name}, {runs} run{'s' * (runs > 1)}")
            with jax.default_matmul_precision(setting):
                measured = timing(case, runs, data)
            found.append({"precision": precision, **figures(case, runs, measured, peaks[precision])})
    return {"peak_gflops": peaks, "rows": found, "table_seconds": table_seconds() if options.table else None}


def table_seconds() -> float | None:
    """The seconds of the table of 2006, from nothing to its report. None if it fails; it then says so itself."""
    say("training the table of 2006")
    with tempfile.TemporaryDirectory(prefix="dlx-bench-") as folder:
        command = [sys.executable, "-m", "experiments", "bengio2006", "--preset", "paper", "--out", folder]
        begin = time.monotonic()
        ended = subprocess.run(command, stdout=sys.stderr)
        return None if ended.returncode else time.monotonic() - begin


def measure_page(name: str, options: Options) -> dict[str, Any]:
    """The seconds per epoch of a page's rows. Raises ValueError if there is no such page."""
    known = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    study = getattr(importlib.import_module(f"experiments.{name}"), "STUDY", None) if name in known else None
    if study is None:
        raise ValueError(f"--page {name!r} is no page of experiments")
    return clock.measure(study, options.data, options.measurements, say)


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


PRECISIONS = {"float32": "highest", "tf32": "tensorfloat32"}
"""JAX's names for the precisions of a matrix product. CPUs know only the first; TPUs come near to both."""


def say(text: str) -> None:
    """Print a line to stderr: stdout is for the results."""
    print(text, file=sys.stderr, flush=True)


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    for name, title in TABLES.items():
        columns = {key: COLUMNS.get(key, (key, "{}")) for key in found[name][0]}
        body = [[form.format(row[key]) for key, (_, form) in columns.items()] for row in found[name]]
        tables.terminal(title, [heading for heading, _ in columns.values()], body)
    print(f"sgemm peak {found['sgemm_gflops']:.0f} GFLOP/s; one run peaks at {found['row_memory_gb']:.2f} GB")


def write(found: dict[str, Any], folder: Path) -> None:
    """Write what was measured of a device, and print the path of the file."""
    known = provenance()
    path = folder / f"{re.sub('[^a-z0-9]+', '-', known['device'].lower()).strip('-')}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json({"command": "python -m experiments bench --device", **found, **known}, indent=1) + "\n")
    print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print. It exits with status 2 for an error that a user can correct, and 130 when interrupted."""
    steady()
    try:
        import tyro

        options = tyro.cli(Options, prog="python -m experiments bench", description=__doc__, args=arguments)
        options.check()
        use_every_core()
        find_devices()
        if options.device:
            write(measure_device(options), options.out.expanduser())
            return
        found = measure(options) if options.page is None else measure_page(options.page, options)
        if options.json or options.page is not None:
            print(to_json({**found, **provenance()}, indent=1))
        else:
            show(found)
    except (DataError, ValueError) as error:
        say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()
