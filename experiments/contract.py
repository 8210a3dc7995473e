"""The contract of an experiment: its options, its output folder, its errors and its results.json."""

import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax

from dlx.data import DataError, read
from dlx.store import StoreError
from dlx.sweep import Sweep, budget
from dlx.types import Data


@dataclass(frozen=True)
class Options:
    """What every experiment can be asked for."""

    preset: Literal["quick", "paper"] = "quick"
    """quick: small, offline, about a minute. paper: the real thing."""
    data: str | None = None
    """Data set: mnist, fashion_mnist, kmnist, digits or tfds:NAME. Default: digits for quick, mnist for paper."""
    seeds: int | None = None
    """Fresh seeds a cell. Default: 2 for quick, 10 for paper."""
    out: Path = Path("runs")
    """Folder for records, results and report, in a folder of the experiment's name."""
    minutes: float = float("inf")
    """Begin no new work after so many minutes, and report what is finished."""
    devices: int | None = None
    """Devices to use, of all hosts together. Default: all there are."""
    devices_per_run: int = 1
    """Devices that share the minibatches of a run."""
    runs_at_once: int | None = None
    """Runs that a device trains at once. Default: 1 on CPUs, elsewhere as many as its memory holds."""
    memory: float | None = None
    """Gigabytes that may be used of each device. Default: nine tenths of what is free."""
    precision: Literal["float32", "tf32"] = "float32"
    """Of matrix products, on devices that know both."""
    tensorboard: bool = False
    """Write every finished run's curves as TensorBoard event files, too."""
    coordinator: str | None = None
    """HOST:PORT of process 0, to compute on many hosts; "auto" under Slurm, Kubernetes, Open MPI and on TPU pods."""
    num_processes: int | None = None
    process_id: int | None = None

    def fresh_seeds(self) -> int:
        """How many seeds a cell is trained from."""
        return self.seeds or {"quick": 2, "paper": 10}[self.preset]

    def bytes_a_device(self) -> int:
        """Bytes that a program may take on each device."""
        return budget() if self.memory is None else int(1e9 * self.memory)

    def check(self) -> None:
        """Raise ValueError for values that no run can have."""
        counts = {
            "seeds": self.seeds,
            "devices": self.devices,
            "devices-per-run": self.devices_per_run,
            "runs-at-once": self.runs_at_once,
        }
        for name, count in counts.items():
            if count is not None and count < 1:
                raise ValueError(f"--{name} must be at least 1, not {count}")
        groups, seeds = (self.devices or 1) // max(self.devices_per_run, 1), self.fresh_seeds()
        if groups > seeds:
            raise ValueError(
                f"--devices {self.devices} are more than the {seeds} runs of a cell can use: ask for fewer, for more "
                "--seeds, or for more --devices-per-run"
            )
        for name, number in {"minutes": self.minutes, "memory": self.memory}.items():
            if number is not None and not number >= 0:
                raise ValueError(f"--{name} must be a number of 0 or more, not {number}")


def main(name: str, kind: type[Options], description: str, experiment: Callable[[Any, Data, dict, Path], None]) -> None:
    """Run an experiment from the command line. Errors that a user can mend end with one message and status 2."""
    import tyro

    options = tyro.cli(kind, prog=f"python -m experiments.{name}", description=description)
    try:
        options.check()
        use_every_core()
        jax.config.update(
            "jax_default_matmul_precision", {"float32": "highest", "tf32": "tensorfloat32"}[options.precision]
        )
        if options.preset == "quick":  # to compile takes longer than to run
            jax.config.update("jax_disable_most_optimizations", True)
        join(options.coordinator, options.num_processes, options.process_id)
        Sweep(lambda *_: None, options.devices, options.devices_per_run)  # refuses devices that there are not
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
        allowed = getattr(os, "sched_getaffinity", None)  # Linux only
        jax.config.update("jax_num_cpu_devices", len(allowed(0)) if allowed else os.cpu_count() or 1)


def join(coordinator: str | None, processes: int | None, index: int | None, seconds: float = 20) -> None:
    """Become one of the processes of a computation on many hosts, if a coordinator is named.

    Raises ValueError if the three do not belong together, or if nothing answers at the address within `seconds`.
    """
    if coordinator == "auto":
        jax.distributed.initialize()
        return
    if coordinator is None and processes is None and index is None:
        return
    if coordinator is None or processes is None or index is None or not 0 <= index < processes:
        raise ValueError("--coordinator HOST:PORT, --num-processes N and --process-id 0 ... N-1 go together")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--coordinator {coordinator!r} is not HOST:PORT")
    if index > 0:
        _reach(host, int(port), seconds)
    jax.distributed.initialize(coordinator, processes, index)


def _reach(host: str, port: int, seconds: float) -> None:
    """Wait for the coordinator: jax ends the whole process without a word of ours if there is none."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=2).close()
            return
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() > end:
                raise ValueError(
                    f"no coordinator answers at {host}:{port} ({error}); start process 0 there, or mend --coordinator"
                ) from error
            time.sleep(0.2)


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
