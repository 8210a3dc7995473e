"""What every study can be asked for on its command line."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

from dlx.sweep import budget

OF_THE_TABLE = ("preset", "data", "rows", "search", "trials", "halving", "values", "precision")
"""The common options that decide what stands in a table. The number of seeds, and how work is done, do not."""

SEEDS = 1000
"""The most fresh seeds of a row. Planning more would take longer than a short run."""


@dataclass(frozen=True)
class CommonOptions:
    """What every study can be asked for. A study that adds options of its own extends this class."""

    preset: Literal["quick", "paper"] = "quick"
    """quick: small, offline, about a minute. paper: the real thing."""
    data: str | None = None
    """Data set: mnist, fashion_mnist, kmnist, digits or tfds:NAME. Default: the preset's."""
    rows: tuple[str, ...] = ()
    """Names of rows to train, or patterns of them such as "*/2". Default: all."""
    seeds: int | None = None
    """Fresh seeds per row. Default: 2 for quick, 10 for paper."""
    more: tuple[str, ...] = ()
    """Rows that get more fresh seeds than planned, such as "exp2/*=20". Needs --looks."""
    looks: int | None = None
    """How often results were looked at before --more was asked for. Each look halves the level of the verdicts."""
    search: Literal["grid", "random", "committed"] = "grid"
    """Try every trial of a row's space, or trials drawn from it. committed: none, but take those that the committed
    results have chosen."""
    trials: int = 9
    """Trials per row of a random search."""
    halving: bool = False
    """Train every trial for a quarter of the epochs first, and only the better half to the end, where it has epochs."""
    values: Annotated[tuple[str, ...], tyro.conf.arg(name="try")] = ()
    """Values to search instead of a row's own, such as rate=0.1,0.5."""
    out: Path = Path("runs")
    """Folder for the records of all studies. Units that several studies stand on are trained once."""
    results: Path | None = None
    """Folder for results and report. Default: a folder of the study's name in --out."""
    minutes: float = float("inf")
    """Begin no new work after this many minutes, and report what is finished."""
    devices: int | None = None
    """Devices to use, of all hosts together. Default: all."""
    devices_per_run: int = 1
    """Devices that share the minibatches of a run."""
    runs_at_once: int | None = None
    """Runs that a device trains at once. Default: 1 on CPUs, elsewhere as many as its memory holds."""
    memory: float | None = None
    """Gigabytes of each device that may be used. Default: nine tenths of what is free."""
    precision: Literal["float32", "tf32"] = "float32"
    """Precision of matrix products, on devices that have both."""
    stale: Literal["stop", "train", "keep"] = "stop"
    """What to do with records of programs whose code has changed since: say so and stop, train them anew, or use them
    as they are."""
    tensorboard: bool = False
    """Write every finished run's curves as TensorBoard event files, too."""
    coordinator: str | None = None
    """HOST:PORT of process 0, to compute on many hosts. Under Slurm, Kubernetes, Open MPI and on TPU pods: auto."""
    num_processes: int | None = None
    """Processes on all hosts together."""
    process_id: int | None = None
    """Number of this process, from 0."""

    def fresh_seeds(self) -> int:
        """How many seeds a row is trained from, if the row does not say."""
        return self.seeds or {"quick": 2, "paper": 10}[self.preset]

    def bytes_a_device(self) -> int:
        """Bytes that a program may take on each device."""
        return budget() if self.memory is None else int(1e9 * self.memory)

    def products(self) -> str:
        """JAX's name for the precision of matrix products."""
        return {"float32": "highest", "tf32": "tensorfloat32"}[self.precision]

    def numerics(self) -> tuple[str, ...]:
        """The settings that change results in their last digits, and so belong to the identity of a unit.

        The preset quick is "unoptimized", though its programs with convolutions are optimised.
        """
        generator = setting("jax_default_prng_impl")
        there = {
            "tf32": self.precision == "tf32",
            "unoptimized": self.preset == "quick",
            "x64": setting("jax_enable_x64"),
            "threefry not partitionable": not setting("jax_threefry_partitionable"),
            generator: generator != "threefry2x32",
        }
        return tuple(name for name, is_there in there.items() if is_there)

    def of_the_table(self) -> dict[str, Any]:
        """The options that decide what stands in the table: `OF_THE_TABLE`, and the study's own except seeds."""
        common = {one.name for one in fields(CommonOptions)}
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name in OF_THE_TABLE or (one.name not in common and not one.name.startswith("seeds"))
        }

    def check(self) -> None:
        """Raise ValueError for values that are not possible, such as whole numbers below 1, or too many seeds."""
        for one in fields(self):
            value, flag = getattr(self, one.name), f"--{one.name.replace('_', '-')}"
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            least = 0 if one.name in ("process_id", "looks") else 1
            if value < least:
                raise ValueError(f"{flag} must be at least {least}, not {value}")
            if one.name.startswith("seeds") and value > SEEDS:
                raise ValueError(f"{flag} must be at most {SEEDS}, not {value}: a plan lists every run")
        for name, number in {"minutes": self.minutes, "memory": self.memory}.items():
            if number is not None and not number >= 0:
                raise ValueError(f"--{name} must be a number of 0 or more, not {number}")
        if setting("jax_enable_x64"):
            raise ValueError("JAX_ENABLE_X64 is set, and the pages train in float32: unset it")
        if self.search != "random" and self.trials != CommonOptions.trials:
            raise ValueError(f"--trials {self.trials} needs --search random: the grid has all its trials")
        if self.search == "committed" and (self.values or self.halving):
            raise ValueError("--search committed searches nothing: leave out --try and --halving")
        if (self.looks is None) != (not self.more):
            raise ValueError(
                "--more and --looks need each other: say how often results were looked at before, 0 if never"
            )
        if self.memory == 0:
            raise ValueError("--memory 0 leaves no memory to train in; give the gigabytes that each device may use")


def setting(name: str) -> Any:
    """The value of a setting of JAX, in this thread."""
    return getattr(jax.config, name)


def size(count: float | int) -> str:
    """A number of bytes in words, such as "1.25 GB"."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count:.0f} bytes"
