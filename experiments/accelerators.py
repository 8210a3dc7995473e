"""What every page would do on accelerators that are not here: compiled for eight H100s and for a TPU slice of eight.

    python -m experiments accelerators                # every page's programs: about five hours on one core
    python -m experiments accelerators --pages dbn    # those of one page; the others stay in the table

`Sweep` itself compiles each program of a page's preset `paper`, as it would on the devices. Eight devices share the
run axis, with four runs on each. One program of each page has the data axis as well. Nothing is run. Kernels, bytes and
copies are counted in the compiled text. The command makes an environment of several GB for each kind.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from dlx.bench.estimate import KINDS, markdown
from dlx.show.console import steady
from dlx.store import provenance, to_json
from dlx.unit import Unit, changed
from experiments.__main__ import load, pages

ROOT = Path(__file__).parents[1]
ENVIRONMENTS, RESULTS = ROOT / ".accelerators", Path(__file__).parent / "results"
COMMAND = "python -m experiments accelerators"
RUNS_A_DEVICE = 4
DEVICES = 8
H100 = """gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000
l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84978434048 shared_memory_per_block_optin: 232448
cuda_compute_capability { major: 9 } registers_per_core_limit: 65536 registers_per_block_limit: 65536 }
platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } device_description_str: "NVIDIA H100 80GB HBM3" """


class Environment(NamedTuple):
    """What compiles for a kind of device: the extra of JAX to install, and the variables of the environment."""

    extra: str
    variables: dict[str, str]


TO_COMPILE = {
    # Triton's kernels for matrix products are chosen by running them; without a device some cannot be compiled at all.
    "cuda": Environment(
        "cuda13",
        {
            "JAX_PLATFORMS": "cpu,cuda",
            "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
            "XLA_FLAGS": "--xla_gpu_enable_triton_gemm=false",
        },
    ),
    "tpu": Environment(
        "tpu",
        {
            "JAX_PLATFORMS": "cpu",
            "TPU_SKIP_MDS_QUERY": "1",
            "TPU_ACCELERATOR_TYPE": "v5litepod-8",
            "TPU_WORKER_HOSTNAMES": "localhost",
            "TPU_WORKER_ID": "0",
            "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        },
    ),
}


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    pages: tuple[str, ...] = ()
    """The pages whose programs are compiled. The table keeps its rows of the others. Default: all pages."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """Kinds of devices: cuda, tpu."""
    here: bool = False
    """Compile in this environment for one kind, and print one line of JSON per program. The command uses it itself."""

    def check(self) -> None:
        """Raise ValueError for pages and kinds that do not exist."""
        for name, given, known in (("pages", self.pages, list(studies())), ("kinds", self.kinds, list(KINDS))):
            if wrong := sorted({*given} - {*known}):
                raise ValueError(f"--{name} {' '.join(wrong)}: there are {', '.join(known)}")


@cache
def studies() -> dict[str, Any]:
    """The pages by name."""
    return {name: study for name in pages() if (study := getattr(load(name), "STUDY", None))}


def devices(kind: str) -> list[Any]:
    """Descriptions of eight devices. JAX raises an error if the plug-in is missing."""
    from jax.experimental import topologies

    if kind == "cuda":
        found = topologies.get_topology_desc(platform="cuda", topology=f"1x1x{DEVICES}", target_config=H100)
    else:
        found = topologies.get_topology_desc("v5e:2x4", platform="tpu")
    return list(found.devices)


def programs(names: Sequence[str]) -> Iterator[tuple[str, Unit, int, Any]]:
    """For each compiled program: page, one unit, the number of its units, and the shapes of what it takes."""
    from dlx.bench.planned import planned
    from dlx.study.run.record import on_host
    from dlx.study.run.shapes import Shapes

    for name in names:
        about, units, runs = planned(studies()[name], "paper", None)
        shapes, found = Shapes(about), {}
        for unit, count in zip(units, runs, strict=True):
            if not on_host(unit.program):
                taken = shapes.arguments(unit)
                first, _, before = found.get((unit.program, str(taken)), (unit, taken, 0))
                found[unit.program, str(taken)] = first, taken, before + count
        yield from ((name, unit, count, taken) for unit, taken, count in found.values())


def label(unit: Unit) -> str:
    """A program in one line: its fields that are not at their defaults, and what it starts from."""

    def said(program: Any) -> str:
        fields = ", ".join(f"{name} {value}" for name, value in changed(program).items())
        return f"{type(program).__name__}({fields})".replace("'", "")

    return " on ".join(said(one.program) for one in (unit, *unit.given[-1:]))


def compiled(kind: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for every program, and one more of each page's first program for its data axis."""
    there, seen = devices(kind), set()
    for name, unit, count, shapes in programs(names):
        for per_run in (1,) if name in seen else (1, 2):
            yield one_row(name, unit, count, shapes, there, per_run)
        seen.add(name)


def one_row(name: str, unit: Unit, count: int, shapes: Any, there: list[Any], per_run: int) -> dict[str, Any]:
    """The row of one program, compiled for these devices with `per_run` of them per run.

    `step` is one round of the loop with most kernels, and `steps` the number of its rounds per epoch. `epoch` is the
    whole of an epoch. `once` is what is done once per run: everything, for a program without epochs. `copied` are the
    shapes of the arrays of floats that a step copies, and `copied_state` of those that steps change.
    """
    from dlx.bench.compiled import Compiled
    from dlx.study.run.record import one_run
    from dlx.study.run.shapes import unwatched
    from dlx.sweep import Sweep, memory

    _, varied, data = shapes
    begin = time.monotonic()
    sweep = Sweep(one_run(unit.program, unwatched), there, per_run)
    program = sweep.lower(RUNS_A_DEVICE * len(there) // per_run, varied, data).compile()
    seconds, text = time.monotonic() - begin, Compiled(program.as_text() or "")
    loop, once = text.busiest(getattr(unit.program, "epochs", 1)), text.cost(rounds=0)
    copies = text.copies(loop.body) if loop else []
    need: Any = program.memory_analysis()
    return {
        "page": name,
        "program": label(unit),
        "identity": json.loads(to_json([type(unit.program).__name__, changed(unit.program)])),
        "units": count,
        "devices_a_run": per_run,
        "runs_a_device": RUNS_A_DEVICE,
        "memory": memory(program),
        "memory_of_a_run": (need.output_size_in_bytes + need.temp_size_in_bytes) / RUNS_A_DEVICE,
        "compile_seconds": seconds,
        "collectives": text.collectives,
        "epochs": getattr(unit.program, "epochs", 1),
        "step": text.cost(loop.body if loop else None)._asdict(),
        "copied": sorted({copy.shape.dims for copy in copies}),
        "copied_state": sorted({copy.shape.dims for copy in copies if copy.of_state}),
        "steps": (loop.trips or 1) if loop else 1,
        "epoch": text.cost(rounds=1).plus(once.times(-1))._asdict(),
        "once": once._asdict(),
    }


def environment(kind: str) -> Path:
    """The Python of an environment that compiles for this kind of device. It is made on its first use."""
    folder = ENVIRONMENTS / kind
    ready, python = folder / "ready", folder / "bin" / "python"
    wanted = [f"jax[{TO_COMPILE[kind].extra}]=={version('jax')}", "-r", str(ROOT / "requirements.lock")]
    if not ready.exists():
        say(f"making an environment for {KINDS[kind].title} in {folder}: several GB are fetched")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        ready.touch()
    return python


def elsewhere(kind: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a kind, compiled in its environment."""
    command = [environment(kind), "-m", "experiments.accelerators", "--here", "--kinds", kind, "--pages", *names]
    variables = {**os.environ, **TO_COMPILE[kind].variables}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            row = json.loads(line)
            say(f"{KINDS[kind].title}: {row['page']} {row['program']}, {row['compile_seconds']:.0f} seconds")
            yield row
    if process.returncode:
        raise ValueError(f"compiling for {KINDS[kind].title} ended with status {process.returncode}; see above")


def found(page: str) -> dict[str, Any]:
    """What was compiled of a page: where and when by kind, and the rows."""
    path = RESULTS / "accelerators" / f"{page}.json"
    return json.loads(path.read_text()) if path.exists() else {"compiled": {}, "rows": []}


def save(page: str, kind: str, new: Sequence[dict[str, Any]]) -> None:
    """Write the rows of a page that were compiled for a kind. Those of other kinds stay."""
    before, here = found(page), provenance()
    rows = [row for row in before["rows"] if row["kind"] != kind] + [{"kind": kind, **row} for row in new]
    now = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": here["device"],
        "jax": here["versions"]["jax"],
        "revision": str(here["revision"])[:7],
    }
    rows.sort(key=lambda row: (row["program"], row["kind"]))
    path = RESULTS / "accelerators" / f"{page}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"command": COMMAND, "compiled": {**before["compiled"], kind: now}, "rows": rows}
    path.write_text(to_json(said, indent=0) + "\n")


def write_table() -> None:
    """Write the table of all pages that were compiled."""
    there = {page: told for page in sorted(studies()) if (told := found(page))["rows"]}
    (RESULTS / "accelerators.md").write_text(markdown(there, RESULTS, DEVICES, COMMAND))


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compile and write the table. It exits with status 2 for what a user can correct, and 130 when interrupted."""
    steady()
    try:
        import tyro

        options = tyro.cli(Options, prog="python -m experiments accelerators", description=__doc__, args=arguments)
        options.check()
        names = options.pages or tuple(studies())
        if options.here:
            for row in compiled(*options.kinds, names):
                print(json.dumps(row), flush=True)
            return
        for kind in options.kinds:
            for page, rows in groupby(elsewhere(kind, names), key=lambda row: row["page"]):
                save(page, kind, list(rows))
                write_table()
    except (ValueError, subprocess.CalledProcessError) as error:
        say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()
