"""How close training comes to the machine's own speed: GFLOP/s beside a matrix product's, memory, scaling.

    python -m experiments.bench            # tables
    python -m experiments.bench --json     # the same as one JSON object

A step on n examples counts as 6 n FLOPs a connection (2 forward, 4 backward), the field's convention; `executed` leaves
out the gradient for the net's input, which is never computed. A step of an auto-associator or of CD-1 counts 10 n. The
peak is the best single-precision product of two 4096 x 4096 matrices by NumPy in the same process. Seconds are of an
epoch on 50 000 digits, from the difference of three epochs and one, each the fastest of several. Run it on a machine
that does nothing else.
"""

import itertools
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx import greedy
from dlx.nets.mlp import MLP, init
from dlx.show import tables
from dlx.store import provenance, to_json
from dlx.sweep import Run, Sweep
from dlx.types import Data, Split, Stage
from experiments.bengio2006 import Config, Hypers, procedure
from experiments.contract import use_every_core

VISIBLE, CLASSES = 784, 10
WIDTHS = (500, 500, 500)
EXAMPLES = 50_000
REPEATS = 4
"""Times that each of the two is run in turn; the fastest counts."""

Stages = Callable[[int], Stage]
"""Makes a stage of so many epochs."""


@dataclass(frozen=True)
class Options:
    """What the benchmark can be asked for."""

    json: bool = False
    """Print one JSON object instead of tables."""
    examples: int = 5_000
    """Training examples that an epoch is measured on."""
    seeds: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of runs to compare, such as 1 8 32 128 on an accelerator."""


class Case(NamedTuple):
    """A stage to be timed, and the FLOPs an example: by convention and as executed."""

    name: str
    net: MLP
    stages: Stages
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
    return 2 * n**3 / min(seconds(lambda: a @ a) for _ in range(repeats)) / 1e9


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of one call, to the end of its computation."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def finetuning(widths: Sequence[int], batch: int) -> Case:
    """Fine-tuning of a whole net."""
    net = MLP(tuple(widths))
    first, *others = (a * b for a, b in itertools.pairwise((VISIBLE, *widths, CLASSES)))
    flops = 6 * (first + sum(others))

    def stages(n: int) -> Stage:
        return greedy.finetune(net, rate=0.1, epochs=n, patience=n, batch_size=batch)

    return Case(f"finetune b{batch}", net, stages, flops, flops - 2 * first)


def pretraining(name: str, build: Callable[..., Stage], batch: int) -> Case:
    """Greedy training of the first layer."""
    net, flops = MLP(WIDTHS[:1]), 10 * VISIBLE * WIDTHS[0]
    return Case(f"{name} b{batch}", net, lambda n: build(net, 0, rate=0.1, epochs=n, batch_size=batch), flops, flops)


def cases() -> Iterator[Case]:
    """Fine-tuning, and the two ways to pre-train without labels."""
    for batch in (20, 100):
        yield finetuning(WIDTHS, batch)
        yield pretraining("autoassociate", greedy.autoassociate, batch)
        yield pretraining("boltzmann", partial(greedy.boltzmann, mean_field=True), batch)


def random_data(examples: int) -> Data:
    """Noise in the shape of MNIST with `examples` training digits, and few others."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        x, y = rng.integers(0, 256, (n, VISIBLE), np.uint8), rng.integers(0, CLASSES, n, np.int32)
        return Split(jnp.asarray(x), jnp.asarray(y))

    return Data(split(examples), split(100), split(100))


def timing(
    case: Case, runs: int, data: Data, devices: int | None = None, per_run: int = 1, at_once: int | None = None
) -> Timing:
    """Time `runs` runs of a case on the devices."""

    def run(epochs: int) -> Run:
        def from_fresh(key, given, data):
            del given
            return case.stages(epochs)(key, init(key, case.net, VISIBLE), data)

        return from_fresh

    arguments = jax.vmap(jax.random.key)(jnp.arange(runs)), np.zeros(runs, np.float32), data
    short, long = (Sweep(run(epochs), devices, per_run, at_once) for epochs in (1, 3))
    compiling = seconds(lambda: long.memory(*arguments))
    rounds = [[seconds(lambda s=sweep: s(*arguments)) for sweep in (short, long)] for _ in range(REPEATS)]
    one, three = map(min, zip(*rounds, strict=True))
    scale = EXAMPLES / len(data.train.x)
    return Timing(scale * (three - one) / 2, compiling, long.memory(*arguments))


def row_memory(data: Data) -> float:
    """Peak memory of this process, in GB, after the fine-tuning of one run of the table. To be called first."""
    config = Config("deep", WIDTHS, 0, epochs=1, patience=1, batch_size=100)
    Sweep(procedure(config))(jax.random.key(0)[None], (Hypers(*jnp.full((3, 1), 0.1)), {}), data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(options: Options) -> dict[str, Any]:
    """All figures by table, each a list of rows."""
    data = random_data(options.examples)
    memory, peak = row_memory(random_data(EXAMPLES)), sgemm_gflops()

    def row(case: Case, runs: int, **how: int) -> dict[str, Any]:
        time = timing(case, runs, data, **how)
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

    everywhere = jax.device_count()
    shapes = [(w,) * depth for w in (500, 1000) for depth in (1, 3, 5)]
    counts = [n for n in (1, 2, 4, 8) if n <= everywhere]
    return {
        "sgemm_gflops": peak,
        "row_memory_gb": memory,
        "alone": [row(case, 1, devices=1) for case in cases()],
        "sweep": [row(case, 4) for case in cases()],
        "seeds": [row(finetuning(WIDTHS, 100), n) for n in options.seeds],
        "at_once": [{"at_once": n, **row(finetuning(WIDTHS, 20), 4 * everywhere, at_once=n)} for n in (1, 2, 4)],
        "shapes": [{"widths": "-".join(map(str, w)), **row(finetuning(w, 100), everywhere)} for w in shapes],
        "devices": [{"devices": n, **row(finetuning(WIDTHS, 100), 8, devices=n)} for n in counts],
        "devices_a_run": [
            {"devices": n, **row(finetuning((1000, 1000, 1000), 500), 1, devices=n, per_run=n)} for n in counts
        ],
    }


TABLES = {
    "alone": "One run on one device",
    "sweep": "A sweep of four runs on all devices",
    "seeds": "Cost of more seeds",
    "at_once": "Four runs a device, so many at once (vmap)",
    "shapes": "Cost of width and depth, a run a device",
    "devices": "Eight runs on more devices",
    "devices_a_run": "One run of 1000-1000-1000 shared out over more devices",
}


def main() -> None:
    """Measure and print."""
    import tyro

    options = tyro.cli(Options, prog="python -m experiments.bench", description=__doc__)
    use_every_core()
    found = measure(options)
    if options.json:
        print(to_json({**found, **provenance()}, indent=1))
        return
    for name, title in TABLES.items():
        first = [key for key in found[name][0] if key in ("widths", "devices", "at_once")]
        header = [*first, "case", "runs", "GFLOP/s", "of peak", "executed", "s a run", "s to compile", "GB a device"]
        body = [
            [
                *(str(r[key]) for key in first),
                r["case"],
                str(r["runs"]),
                f"{r['gflops']:.0f}",
                f"{r['fraction_of_peak']:.0%}",
                f"{r['executed']:.0%}",
                f"{r['seconds_a_run']:.2f}",
                f"{r['compile_seconds']:.1f}",
                f"{r['memory_gb']:.2f}",
            ]
            for r in found[name]
        ]
        tables.terminal(title, header, body)
    print(f"sgemm peak {found['sgemm_gflops']:.0f} GFLOP/s; one run peaks at {found['row_memory_gb']:.2f} GB")


if __name__ == "__main__":
    main()
