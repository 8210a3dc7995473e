"""The contract of an experiment: its options, its output folder, its errors and its results.json."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax

from dlx.data import DataError, read
from dlx.store import StoreError
from dlx.types import Data


@dataclass(frozen=True)
class Options:
    """What every experiment can be asked for."""

    preset: Literal["quick", "paper"] = "quick"
    """quick: small, offline, under a minute. paper: the real thing."""
    data: str | None = None
    """Data set: mnist, fashion_mnist, kmnist, digits or tfds:NAME. Default: digits for quick, mnist for paper."""
    seeds: int | None = None
    """Fresh seeds a cell. Default: 2 for quick, 10 for paper."""
    minutes: float | None = None
    """Begin no new work after so many minutes, and report what is finished."""
    out: Path = Path("runs")
    """Folder for records, results and report, in a folder of the experiment's name."""

    def fresh_seeds(self) -> int:
        """How many seeds a cell is trained from."""
        return self.seeds or {"quick": 2, "paper": 10}[self.preset]

    def deadline(self) -> float:
        """When to begin no more work, in seconds of `time.monotonic`."""
        return float("inf") if self.minutes is None else time.monotonic() + 60 * self.minutes


def main(name: str, kind: type[Options], description: str, experiment: Callable[[Any, Data, dict, Path], None]) -> None:
    """Run an experiment from the command line. Errors that a user can mend end with one message and status 2."""
    import tyro

    options = tyro.cli(kind, prog=f"python -m experiments.{name}", description=description)
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


def results(
    name: str,
    preset: str,
    origin: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """The content of results.json. Time, device, versions and revision are those of the units' records."""

    def of_records(key: str) -> str | None:
        return ", ".join(dict.fromkeys(record[key] for record in records if record[key])) or None

    return {
        "experiment": name,
        "preset": preset,
        "command": command(name),
        "revision": of_records("revision"),
        "seconds": round(sum(record["seconds"] for record in records), 1),
        "device": of_records("device"),
        "versions": records[-1]["versions"],
        "data": origin,
        "rows": rows,
        **more,
    }
