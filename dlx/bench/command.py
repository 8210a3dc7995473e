"""How close training comes to the machine's own speed: GFLOP/s beside a matrix product's, memory, scaling.

    python -m experiments bench            # tables
    python -m experiments bench --json     # the same as one JSON object
    python -m experiments bench --page optimizers    # seconds per epoch of a page's rows, as a JSON object
    python -m experiments bench --distortions    # images a second that are distorted on one core
    python -m experiments bench --device   # for a GPU or a TPU: up to 128 runs, both precisions, the table of 2006

A step on n examples counts as 6 n FLOPs per connection: 2 forward, 4 backward. This is the field's convention.
`executed` leaves out the gradient for the net's input, which is never computed. A step of an auto-associator or of CD-1
counts as 10 n. A convolution counts without the zeros that its products on CPUs multiply with. Recurrent cells read
digits row by row; a connection counts at each step. The peak is NumPy's fastest float32 product of two 4096 x 4096
matrices in the same process. Seconds are per epoch of 50 000 digits. They are half the difference of three epochs and
one, each the fastest of several. Where PyTorch is installed, two convolutional nets are trained there as well, on one
core. Run it on a machine that does nothing else.
"""

import re
import sys
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlx.bench.distortions import images_a_second
from dlx.bench.machine import TABLES, measure, measure_device, table_seconds
from dlx.bench.page import measure_page
from dlx.bench.timing import LARGEST_BATCH
from dlx.data import DataError
from dlx.show import tables
from dlx.show.console import steady
from dlx.store import provenance, to_json
from dlx.study.declare.page import Study
from dlx.study.run.hosts import find_devices, use_every_core

COLUMNS = {
    "case": ("case", "{}"),
    "runs": ("runs", "{}"),
    "gflops": ("GFLOP/s", "{:.0f}"),
    "fraction_of_peak": ("of peak", "{:.0%}"),
    "executed": ("executed", "{:.0%}"),
    "seconds_a_run": ("s a run", "{:.2f}"),
    "compile_seconds": ("s to compile", "{:.1f}"),
    "memory_gb": ("GB a device", "{:.2f}"),
    "seconds": ("s here", "{:.2f}"),
    "pytorch_seconds": ("s in PyTorch", "{:.2f}"),
}
"""The columns of the tables: the heading and the format of each."""


@dataclass(frozen=True, kw_only=True)
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
    out: Path
    """With --device: the folder of the file. The file is named after the device."""
    distortions: bool = False
    """Measure how many images a second are distorted instead, on one device."""
    page: str | None = None
    """Measure the rows of this page instead, with its preset "paper", one run on one device."""
    data: str | None = None
    """Data set of the page. Default: its own."""
    measurements: int = 10
    """How often each row of a page is measured."""

    def check(self, pages: Container[str]) -> None:
        """Raise ValueError for what cannot be measured, such as a page that is not among those."""
        if self.measurements < 1:
            raise ValueError(f"--measurements must be at least 1, not {self.measurements}")
        if self.examples < LARGEST_BATCH:
            raise ValueError(
                f"--examples {self.examples} is less than the largest minibatch; choose {LARGEST_BATCH} or more"
            )
        if self.seeds is not None and min(self.seeds, default=0) < 1:
            given = " ".join(map(str, self.seeds)) or "none"
            raise ValueError(f"--seeds takes numbers of runs, each 1 or more, such as 1 2 4 8; given: {given}")
        if self.page is not None and self.page not in pages:
            raise ValueError(f"--page {self.page!r} is no page of experiments")


def say(text: str) -> None:
    """Print a line to stderr: stdout is for the results."""
    print(text, file=sys.stderr, flush=True)


def show(measured: dict[str, Any]) -> None:
    """Print the tables."""
    titles = {**TABLES, **({"pytorch": "Beside PyTorch, one run on one core"} if "pytorch" in measured else {})}
    for name, title in titles.items():
        columns = {key: COLUMNS.get(key, (key, "{}")) for key in measured[name][0]}
        body = [[form.format(row[key]) for key, (_, form) in columns.items()] for row in measured[name]]
        tables.terminal(title, [heading for heading, _ in columns.values()], body)
    print(f"sgemm peak {measured['sgemm_gflops']:.0f} GFLOP/s; one run peaks at {measured['row_memory_gb']:.2f} GB")


def write(measured: dict[str, Any], folder: Path) -> None:
    """Write what was measured of a device, and print the path of the file."""
    known = provenance()
    path = folder / f"{re.sub('[^a-z0-9]+', '-', known['device'].lower()).strip('-')}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json({"command": "python -m experiments bench --device", **measured, **known}, indent=1) + "\n")
    print(path)


def main(pages: Mapping[str, Callable[[], Study]], results: Path, arguments: Sequence[str]) -> None:
    """Measure and print. It exits with status 2 for an error that a user can correct, and 130 when interrupted.

    `pages` loads a page's study by the name of the page. `results` is the folder of committed results.
    """
    steady()
    try:
        import tyro

        default = Options(out=results / "bench")
        prog = "python -m experiments bench"
        options = tyro.cli(Options, default=default, prog=prog, description=__doc__, args=arguments)
        options.check(pages)
        use_every_core()
        find_devices()
        if options.device:
            measured = measure_device(options.seeds or (1, 8, 32, 128), say)
            write(
                {**measured, "table_seconds": table_seconds(say) if options.table else None}, options.out.expanduser()
            )
        elif options.distortions:
            measured = images_a_second(options.examples)
            if options.json:
                print(to_json({"images_a_second": measured, **provenance()}, indent=1))
            else:
                body = [[name, f"{speed:.0f}"] for name, speed in measured.items()]
                tables.terminal("Images a second, one device", ["distortion", "images"], body)
        elif options.page is not None:
            measured = measure_page(pages[options.page](), options.data, options.measurements, say)
            print(to_json({**measured, **provenance()}, indent=1))
        else:
            measured = measure(options.examples, options.seeds or (1, 2, 4, 8), say)
            if options.json:
                print(to_json({**measured, **provenance()}, indent=1))
            else:
                show(measured)
    except (DataError, ValueError) as error:
        say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
