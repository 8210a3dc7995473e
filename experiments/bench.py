"""How close training comes to the machine's own speed: GFLOP/s beside a matrix product's, memory, scaling.

    python -m experiments bench            # tables
    python -m experiments bench --json     # the same as one JSON object
    python -m experiments bench --page optimizers    # seconds of an epoch of a page's rows, as a JSON object

A step on n examples counts as 6 n FLOPs a connection (2 forward, 4 backward), the field's convention; `executed` leaves
out the gradient for the net's input, which is never computed. A step of an auto-associator or of CD-1 counts 10 n. The
peak is the best single-precision product of two 4096 x 4096 matrices by NumPy in the same process. Seconds are of an
epoch on 50 000 digits, from the difference of three epochs and one, each the fastest of several. Run it on a machine
that does nothing else.
"""

import importlib
import itertools
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx import greedy
from dlx.data import DataError
from dlx.losses.supervised import misclassified
from dlx.nets.mlp import codes, hidden, mlp
from dlx.optim import sgd
from dlx.show import tables
from dlx.show.console import steady
from dlx.stage import chain, evaluate, focus
from dlx.store import provenance, to_json
from dlx.study import clock
from dlx.study.clock import wall_time
from dlx.study.hosts import find_devices, use_every_core
from dlx.sweep import Run, Sweep
from dlx.types import Data, Labelled, Model, Stage

VISIBLE, CLASSES = 784, 10
WIDTHS = (500, 500, 500)
EXAMPLES = 50_000
LARGEST_BATCH = 500
"""The largest minibatch of a case. An epoch needs one at least."""
REPEATS = 4
"""Times that each of the two is run in turn; the fastest counts."""


@dataclass(frozen=True)
class Options:
    """What the benchmark can be asked for."""

    json: bool = False
    """Print one JSON object instead of tables."""
    examples: int = 5_000
    """Training examples that an epoch is measured on: 500 or more. With few, the times are less sure."""
    seeds: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of runs to compare, such as 1 8 32 128 on an accelerator."""
    page: str | None = None
    """Measure the rows of this page instead, at its preset "paper", one run on one device."""
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
        if not self.seeds or min(self.seeds) < 1:
            given = " ".join(map(str, self.seeds)) or "none"
            raise ValueError(f"--seeds takes numbers of runs, each 1 or more, such as 1 2 4 8; given: {given}")


class Case(NamedTuple):
    """A run to be timed, of so many epochs, and the FLOPs an example: by convention and as executed."""

    name: str
    run: Callable[[int], Run]
    flops: int
    executed: int


class Timing(NamedTuple):
    """Runs of one program: seconds an epoch of 50 000 for all of them, seconds to compile, bytes a device."""

    epoch: float
    compile: float
    memory: int


def sgemm_gflops(n: int = 4096, repeats: int = 5) -> float:
    """The best of some products of two n x n float32 matrices, in GFLOP/s."""
    a = np.ones((n, n), np.float32)
    return 2 * n**3 / min(wall_time(lambda: a @ a) for _ in range(repeats)) / 1e9


def fresh(net: Model, stage: Stage) -> Run:
    """The run that trains fresh parameters by a stage; nothing varies but the key."""
    return lambda key, given, data: stage(key, net.init(key, data.train.x[0]), data)


def finetuning(widths: Sequence[int], batch: int) -> Case:
    """Fine-tuning of a whole net."""
    net = mlp(tuple(widths))
    tune = partial(greedy.finetune, net, sgd(0.1), batch_size=batch)
    first, *others = (a * b for a, b in itertools.pairwise((VISIBLE, *widths, CLASSES)))
    flops = 6 * (first + sum(others))
    return Case(f"finetune b{batch}", lambda n: fresh(net, tune(epochs=n, patience=n)), flops, flops - 2 * first)


def pretraining(name: str, build: Callable[..., Stage], batch: int) -> Case:
    """Greedy training of the first layer."""
    net, flops = mlp(WIDTHS[:1]), 10 * VISIBLE * WIDTHS[0]

    def run(n: int) -> Run:
        return fresh(net, focus(hidden(0), codes(0), build(rate=0.1, epochs=n, batch_size=batch)))

    return Case(f"{name} b{batch}", run, flops, flops)


def cases() -> Iterator[Case]:
    """Fine-tuning, and the two ways to pre-train without labels."""
    for batch in (20, 100):
        yield finetuning(WIDTHS, batch)
        yield pretraining("autoassociate", greedy.autoassociate, batch)
        yield pretraining("boltzmann", partial(greedy.boltzmann, mean_field=True), batch)


def random_data(examples: int) -> Data:
    """Noise in the shape of MNIST with `examples` training digits, and few others."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Labelled:
        x, y = rng.integers(0, 256, (n, VISIBLE), np.uint8), rng.integers(0, CLASSES, n, np.int32)
        return Labelled(jnp.asarray(x), jnp.asarray(y))

    return Data(split(examples), split(100), split(100))


def timing(
    case: Case, runs: int, data: Data, devices: int | None = None, per_run: int = 1, at_once: int | None = None
) -> Timing:
    """Time `runs` runs of a case on the devices."""
    arguments = jax.vmap(jax.random.key)(jnp.arange(runs)), (), data
    short, long = (Sweep(case.run(epochs), devices, per_run, at_once) for epochs in (1, 3))
    compiling = wall_time(lambda: long.memory(*arguments))
    rounds = [[wall_time(lambda s=sweep: s(*arguments)) for sweep in (short, long)] for _ in range(REPEATS)]
    one, three = map(min, zip(*rounds, strict=True))
    return Timing(EXAMPLES / len(data.train.x) * (three - one) / 2, compiling, long.memory(*arguments))


def row_memory(data: Data) -> float:
    """Peak memory of this process, in units of 2**30 bytes, after one run of a table's row. To be called first.

    The run is the fine-tuning of a deep net for an epoch, and its errors on all splits.
    """
    net = mlp(WIDTHS)
    tune = greedy.finetune(net, sgd(0.1), epochs=1, patience=1, batch_size=100)
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
"""What a table shows: the heading of each figure, and how it is written."""


class Row(NamedTuple):
    """A row of a table: what is to be timed, and how."""

    table: str
    case: Case
    runs: int
    first: dict[str, Any]
    """The first column, where a table has one of its own."""
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
    """All figures by table, each a list of rows. Says on stderr what is being measured."""
    data, asked = random_data(options.examples), list(rows(options.seeds))
    say("measuring the memory of one run, and then the speed of a matrix product")
    memory, peak = row_memory(random_data(EXAMPLES)), sgemm_gflops()
    found: dict[str, Any] = {"sgemm_gflops": peak, "row_memory_gb": memory, **{name: [] for name in TABLES}}
    for number, (table, case, runs, first, how) in enumerate(asked, 1):
        column = "".join(f", {name} {value}" for name, value in first.items())
        say(f"[{number}/{len(asked)}] {TABLES[table]}: {case.name}, {runs} run{'s' * (runs > 1)}{column}")
        found[table].append(first | figures(case, runs, timing(case, runs, data, **how), peak))
    return found


def measure_page(name: str, options: Options) -> dict[str, Any]:
    """The seconds of an epoch of a page's rows. Raises ValueError if there is no such page."""
    known = [path.stem for path in Path(__file__).parent.glob("[!_]*.py")]
    study = getattr(importlib.import_module(f"experiments.{name}"), "STUDY", None) if name in known else None
    if study is None:
        raise ValueError(f"--page {name!r} is no page of experiments")
    return clock.measure(study, options.data, options.measurements, say)


def figures(case: Case, runs: int, time: Timing, peak: float) -> dict[str, Any]:
    """What a table shows of the runs of a case. `peak`: GFLOP/s of a matrix product."""
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


def say(text: str) -> None:
    """Print a line to stderr: stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    for name, title in TABLES.items():
        columns = {key: COLUMNS.get(key, (key, "{}")) for key in found[name][0]}
        body = [[form.format(row[key]) for key, (_, form) in columns.items()] for row in found[name]]
        tables.terminal(title, [heading for heading, _ in columns.values()], body)
    print(f"sgemm peak {found['sgemm_gflops']:.0f} GFLOP/s; one run peaks at {found['row_memory_gb']:.2f} GB")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; exits with status 2 for what a user can mend, 130 when interrupted."""
    steady()
    try:
        import tyro

        options = tyro.cli(Options, prog="python -m experiments bench", description=__doc__, args=arguments)
        options.check()
        use_every_core()
        find_devices()
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
