"""Ahead-of-time compilation of the programs of pages, for accelerators that are not here. Nothing is run.

A row is a dictionary: what the compiled text of one program says, for one kind of device.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dlx.bench.compiled import Compiled
from dlx.bench.planned import planned
from dlx.show.progress import silent
from dlx.store import to_json
from dlx.study.declare.page import Study
from dlx.study.run.code import Shapes
from dlx.study.run.record import on_host, one_run
from dlx.sweep import Sweep, memory
from dlx.unit import Unit, changed

RUNS_A_DEVICE = 4
DEVICES = 8
H100 = """gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000
l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536 }
platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } device_description_str: "NVIDIA H100 80GB HBM3" """


def devices(kind: str) -> list[Any]:
    """Descriptions of eight devices. JAX raises an error if the plug-in is missing."""
    from jax.experimental import topologies

    if kind == "cuda":
        topology = topologies.get_topology_desc(platform="cuda", topology=f"1x1x{DEVICES}", target_config=H100)
    else:
        topology = topologies.get_topology_desc("v5e:2x4", platform="tpu")
    return list(topology.devices)


class Work(NamedTuple):
    """A compiled program of a page."""

    page: str
    unit: Unit
    """One of its units."""
    units: int
    """How many units it has."""
    arguments: tuple[Any, Any, Any]
    """The shapes of what it takes: key, hyper-parameters and what is given, data."""


def programs(pages: Mapping[str, Callable[[], Study]], names: Sequence[str]) -> Iterator[Work]:
    """The compiled programs of the named pages."""
    for name in names:
        about, units, counts = planned(pages[name](), "paper", None)
        shapes, works = Shapes(about), dict[Any, Work]()
        for unit, count in zip(units, counts, strict=True):
            if not on_host(unit.program):
                taken = shapes.arguments(unit)
                known = works.get((unit.program, str(taken)), Work(name, unit, 0, taken))
                works[unit.program, str(taken)] = known._replace(units=known.units + count)
        yield from works.values()


def label(unit: Unit) -> str:
    """A program in one line: its fields that are not at their defaults, and what it starts from."""

    def said(program: Any) -> str:
        fields = ", ".join(f"{name} {value}" for name, value in changed(program).items())
        return f"{type(program).__name__}({fields})".replace("'", "")

    return " on ".join(said(one.program) for one in (unit, *unit.given[-1:]))


def compiled(kind: str, pages: Mapping[str, Callable[[], Study]], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for every program, and one more of each page's first program for its data axis."""
    there, seen = devices(kind), set()
    for work in programs(pages, names):
        for per_run in (1,) if work.page in seen else (1, 2):
            yield one_row(work, there, per_run)
        seen.add(work.page)


def one_row(work: Work, there: Sequence[Any], per_run: int) -> dict[str, Any]:
    """The row of one program, compiled for these devices with `per_run` of them per run.

    `step` is one round of the loop with most kernels, and `steps` the number of its rounds per epoch. `epoch` is the
    whole of an epoch. `once` is what is done once per run: everything, for a program without epochs. `copied` are the
    shapes of the arrays of floats that a step copies, and `copied_state` of those that steps change.
    """
    program, (_, varied, data) = work.unit.program, work.arguments
    begin = time.monotonic()
    sweep = Sweep(one_run(program, silent), there, per_run)
    executable = sweep.lower(RUNS_A_DEVICE * len(there) // per_run, varied, data).compile()
    seconds, text = time.monotonic() - begin, Compiled(executable.as_text() or "")
    epochs = getattr(program, "epochs", 1)
    loop, once = text.busiest(epochs), text.cost(rounds=0)
    copies = text.copies(loop.body) if loop else []
    need: Any = executable.memory_analysis()
    return {
        "page": work.page,
        "program": label(work.unit),
        "identity": json.loads(to_json([type(program).__name__, changed(program)])),
        "units": work.units,
        "devices_a_run": per_run,
        "runs_a_device": RUNS_A_DEVICE,
        "memory": memory(executable),
        "memory_of_a_run": (need.output_size_in_bytes + need.temp_size_in_bytes) / RUNS_A_DEVICE,
        "compile_seconds": seconds,
        "collectives": text.collectives,
        "epochs": epochs,
        "step": text.cost(loop.body if loop else None)._asdict(),
        "copied": sorted({copy.shape.dims for copy in copies}),
        "copied_state": sorted({copy.shape.dims for copy in copies if copy.of_state}),
        "steps": (loop.trips or 1) if loop else 1,
        "epoch": text.cost(rounds=1).plus(once.times(-1))._asdict(),
        "once": once._asdict(),
    }
