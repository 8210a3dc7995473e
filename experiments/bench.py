"""How close training comes to the machine's own speed: GFLOP/s beside a matrix product's, compile time, memory.

    python -m experiments.bench            # a table
    python -m experiments.bench --json     # the same as one JSON object

A step on n examples counts as 6 n FLOPs a connection (2 forward, 4 backward), the field's convention; `executed` leaves
out the gradient for the net's input, which is never computed. A step of an auto-associator or of CD-1 counts 10 n. The
peak is the best single-precision product of two 4096 x 4096 matrices by NumPy in the same process. Run it
on a machine that does nothing else.
"""

import itertools
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlx import greedy, report
from dlx.nets.mlp import MLP, init
from dlx.store import provenance, to_json
from dlx.sweep import sweep
from dlx.types import Data, Split, Stage
from experiments.bengio2006 import Config, Hypers, procedure
from experiments.contract import use_every_core

WIDTHS = (784, 500, 500, 500, 10)
EXAMPLES = 50_000


class Measure(NamedTuple):
    """One case: a training epoch of one run."""

    case: str
    gflops: float
    fraction_of_peak: float
    executed: float
    """Fraction of the peak by the products that were really executed."""
    epoch_seconds: float
    compile_seconds: float


@dataclass(frozen=True)
class Options:
    """What the benchmark can be asked for."""

    json: bool = False
    """Print one JSON object instead of a table."""
    examples: int = EXAMPLES
    """Training examples an epoch."""


def sgemm_gflops(n: int = 4096, repeats: int = 5) -> float:
    """The best of some products of two n x n float32 matrices, in GFLOP/s."""
    a = np.ones((n, n), np.float32)
    return 2 * n**3 / min(seconds(lambda: a @ a) for _ in range(repeats)) / 1e9


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of one call, to the end of its computation."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def cases() -> Iterator[tuple[str, Stage, Stage, int, int]]:
    """Name, stages of one and of three epochs, FLOPs an example by convention and as executed."""
    net = MLP(WIDTHS[1:-1])
    first, *others = (a * b for a, b in itertools.pairwise(WIDTHS))
    for batch in (20, 100):
        sizes: dict[str, Any] = dict(rate=0.1, batch_size=batch)
        for name, build, convention, executed in (
            ("finetune", lambda n, s=sizes: greedy.finetune(net, epochs=n, patience=n, **s), 6, 6),
            ("autoassociate", lambda n, s=sizes: greedy.autoassociate(net, 0, epochs=n, **s), 10, 10),
            ("boltzmann", lambda n, s=sizes: greedy.boltzmann(net, 0, epochs=n, mean_field=True, **s), 10, 10),
        ):
            size = first + sum(others) if name == "finetune" else first
            unused = 2 * first if name == "finetune" else 0
            yield f"{name} b{batch}", build(1), build(3), convention * size, executed * size - unused


def random_data(examples: int) -> Data:
    """Noise in the shape of MNIST with `examples` training digits."""
    rng = np.random.default_rng(0)

    def split(n: int) -> Split:
        x, y = rng.integers(0, 256, (n, WIDTHS[0]), np.uint8), rng.integers(0, 10, n, np.int32)
        return Split(jnp.asarray(x), jnp.asarray(y))

    return Data(split(examples), split(10_000), split(10_000))


def row_memory(data: Data) -> float:
    """Peak memory of this process, in GB, after one run of the auto-associator row. To be called first."""
    config = Config("autoassociator", WIDTHS[1:-1], pretrain_epochs=1, epochs=1, patience=1)
    key, hypers = jax.random.key(0)[None], Hypers(*jnp.full((3, 1), 0.1))
    jax.block_until_ready(sweep(procedure(config))(key, hypers, data))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(data: Data) -> tuple[float, list[Measure]]:
    """The peak in GFLOP/s, and every case. An epoch's time is half the difference of three epochs and one."""
    data = Data(data.train, *(Split(x[:100], y[:100]) for x, y in data[1:]))
    params = init(jax.random.key(0), MLP(WIDTHS[1:-1]), WIDTHS[0])
    peak, measures = sgemm_gflops(), []
    for name, one, three, flops, executed in cases():
        programs = []
        for stage in (one, three):
            start = time.perf_counter()
            programs.append(jax.jit(stage).lower(jax.random.key(0), params, data).compile())
            compiling = time.perf_counter() - start

        def timed(program: Callable) -> float:
            return min(seconds(lambda: program(jax.random.key(1), params, data)) for _ in range(2))

        short, long = map(timed, programs)
        epoch = (long - short) / 2
        rate = len(data.train.x) * flops / epoch / 1e9
        measures.append(Measure(name, rate, rate / peak, rate / peak * executed / flops, epoch, compiling))
    return peak, measures


def main() -> None:
    """Measure and print."""
    import tyro

    options = tyro.cli(Options, prog="python -m experiments.bench", description=__doc__)
    use_every_core()
    data = random_data(options.examples)
    memory = row_memory(data)
    peak, measures = measure(data)
    if options.json:
        rows = [m._asdict() for m in measures]
        print(to_json({"sgemm_gflops": peak, "rows": rows, "row_memory_gb": memory, **provenance()}, indent=1))
        return
    header = ["case", "GFLOP/s", "of peak", "executed, of peak", "s an epoch", "s to compile"]
    body = [
        [
            m.case,
            f"{m.gflops:.0f}",
            f"{m.fraction_of_peak:.0%}",
            f"{m.executed:.0%}",
            f"{m.epoch_seconds:.2f}",
            f"{m.compile_seconds:.1f}",
        ]
        for m in measures
    ]
    report.terminal(f"sgemm {peak:.0f} GFLOP/s, memory of a one-seed row {memory:.2f} GB", header, body)


if __name__ == "__main__":
    main()
