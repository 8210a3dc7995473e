"""The contract of an experiment: its options, its output folder, its errors and its results.json."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from dlx.data import DataError, read
from dlx.store import StoreError, provenance, to_json
from dlx.types import Data, Split


@dataclass(frozen=True)
class Options:
    """What every experiment can be asked for."""

    preset: Literal["quick", "paper"] = "quick"
    """quick: small, offline, under a minute. paper: the real thing."""
    data: str | None = None
    """Data set: mnist, fashion_mnist, kmnist, digits or tfds:NAME. Default: digits for quick, mnist for paper."""
    seeds: int | None = None
    """Fresh seeds a cell. Default: 2 for quick, 3 for paper."""
    out: Path = Path("runs")
    """Folder for records, results and report, in a folder of the experiment's name."""


def main(name: str, description: str, experiment: Callable[[Options, Data, dict, Path], None]) -> None:
    """Run an experiment from the command line. Errors that a user can mend end with one message and status 2."""
    import tyro

    options = tyro.cli(Options, prog=f"python -m experiments.{name}", description=description)
    try:
        if options.seeds is not None and options.seeds < 1:
            raise ValueError(f"--seeds must be at least 1, not {options.seeds}")
        use_every_core()
        data, origin = read(options.data or {"quick": "digits", "paper": "mnist"}[options.preset])
        experiment(options, data, origin._asdict(), options.out / name)
    except (DataError, StoreError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last finished unit", file=sys.stderr)
        sys.exit(130)


def use_every_core() -> None:
    """Make each CPU core a device of its own, unless the environment already says how many there are."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


def command(name: str) -> str:
    """The command line that this process was started with."""
    return shlex.join(["python", "-m", f"experiments.{name}", *sys.argv[1:]])


def flat(data: Data) -> Data:
    """The data with each image as one row of pixels [n, height * width * channels]."""
    return Data(*(Split(np.reshape(x, (len(x), -1)), y) for x, y in data))


def results(
    name: str,
    preset: str,
    origin: Mapping[str, Any],
    seconds: float,
    revisions: Sequence[str | None],
    rows: Sequence[Mapping[str, Any]],
    **more: Any,
) -> str:
    """The text of results.json. `seconds` is the work's, `revisions` those of the code that did the units."""
    here = provenance()
    content = {
        "experiment": name,
        "preset": preset,
        "command": command(name),
        "revision": ", ".join(dict.fromkeys(filter(None, revisions))) or None,
        "seconds": round(seconds, 1),
        "device": here["device"],
        "versions": here["versions"],
        "data": origin,
        "rows": rows,
        **more,
    }
    return to_json(content, indent=1) + "\n"
