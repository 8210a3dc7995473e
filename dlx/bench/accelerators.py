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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from dlx.bench.ahead import DEVICES, compiled
from dlx.bench.estimate import KINDS, markdown
from dlx.show.console import steady
from dlx.store import provenance, to_json
from dlx.study.declare.page import Study

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".accelerators"
COMMAND = "python -m experiments accelerators"


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

    def check(self, pages: Iterable[str]) -> None:
        """Raise ValueError for unknown kinds, and for pages that are not among those."""
        for name, given, known in (("pages", self.pages, list(pages)), ("kinds", self.kinds, list(KINDS))):
            if wrong := sorted({*given} - {*known}):
                raise ValueError(f"--{name} {' '.join(wrong)}: there are {', '.join(known)}")


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
    command = [environment(kind), "-m", "experiments", "accelerators", "--here", "--kinds", kind, "--pages", *names]
    variables = {**os.environ, **TO_COMPILE[kind].variables}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            row = json.loads(line)
            say(f"{KINDS[kind].title}: {row['page']} {row['program']}, {row['compile_seconds']:.0f} seconds")
            yield row
    if process.returncode:
        raise ValueError(f"compiling for {KINDS[kind].title} ended with status {process.returncode}; see above")


def saved(results: Path, page: str) -> dict[str, Any]:
    """What was compiled of a page: where and when by kind, and the rows."""
    path = results / "accelerators" / f"{page}.json"
    return json.loads(path.read_text()) if path.exists() else {"compiled": {}, "rows": []}


def save(results: Path, page: str, kind: str, new: Sequence[dict[str, Any]]) -> None:
    """Write the rows of a page that were compiled for a kind. Those of other kinds stay."""
    before, here = saved(results, page), provenance()
    rows = [row for row in before["rows"] if row["kind"] != kind] + [{"kind": kind, **row} for row in new]
    now = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": here["device"],
        "jax": here["versions"]["jax"],
        "revision": str(here["revision"])[:7],
    }
    rows.sort(key=lambda row: (row["program"], row["kind"]))
    path = results / "accelerators" / f"{page}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"command": COMMAND, "compiled": {**before["compiled"], kind: now}, "rows": rows}
    path.write_text(to_json(content, indent=0) + "\n")


def write_table(results: Path, pages: Iterable[str]) -> None:
    """Write the table of those pages that were compiled."""
    compiled_pages = {page: content for page in sorted(pages) if (content := saved(results, page))["rows"]}
    (results / "accelerators.md").write_text(markdown(compiled_pages, results, DEVICES, COMMAND))


def say(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)


def main(pages: Mapping[str, Callable[[], Study]], results: Path, arguments: Sequence[str]) -> None:
    """Compile and write the table. It exits with status 2 for what a user can correct, and 130 when interrupted.

    `pages` loads a page's study by the name of the page. The table goes to the folder `results`.
    """
    steady()
    try:
        import tyro

        options = tyro.cli(Options, prog=COMMAND, description=__doc__, args=arguments)
        options.check(pages)
        names = options.pages or tuple(pages)
        if options.here:
            for row in compiled(*options.kinds, pages, names):
                print(json.dumps(row), flush=True)
            return
        for kind in options.kinds:
            for page, rows in groupby(elsewhere(kind, names), key=lambda row: row["page"]):
                save(results, page, kind, list(rows))
                write_table(results, pages)
    except (ValueError, subprocess.CalledProcessError) as error:
        say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
