"""Many runs as one program. Devices and hosts share the runs; each device trains its own by vmap or in turn.

The devices form a mesh of two axes. Along `run` each device trains runs of its own. Along `data` several devices train
the same runs, each on its part of every minibatch: see `dlx.train.fit`. The code is the same for one CPU core, several
cores, GPUs, and devices of many hosts. `jax.distributed` joins the hosts.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Key

from dlx import types
from dlx.types import Data

Run = Callable[[types.Key, Any, Data], Any]
"""One run. It takes a key, what varies between runs, and the data. It returns a pytree of arrays."""
Keys = Key[Array, " runs"]


OPTIMISED: dict[str, str | bool] = {"xla_backend_optimization_level": "3", "xla_llvm_disable_expensive_passes": False}
"""XLA's own settings, which `jax_disable_most_optimizations` changes."""


class Sweep:
    """`run(key, given, data)`, compiled for many runs: keys [runs], `given` [runs, ...], and one data set.

    Uses this many `devices` (None: all) or the ones that it is given, `per_run` of them for each run. Devices that are
    only described (see `jax.experimental.topologies`) can be lowered for. If the runs do not fill the last round of
    devices, copies fill it and are thrown away. On one host a run alone is not copied.

    Each device trains its own runs, `at_once` of them side by side by vmap, and then the next. None stands for one run
    on a CPU, where that is faster, and for all runs elsewhere. On many hosts every process makes the same call, and
    gets every result.

    With `jax_disable_most_optimizations` programs with convolutions are optimised all the same: unoptimised they lose
    more time in training than they save in compiling.

    Raises ValueError when it is made, if there are not that many devices, or if `per_run` does not divide them. On many
    hosts it also does if some devices would be left out. When it is called, it raises ValueError if the runs cannot use
    all the devices that were asked for.
    """

    def __init__(
        self,
        run: Run,
        devices: int | Sequence[jax.Device] | None = None,
        per_run: int = 1,
        at_once: int | None = None,
    ):
        self._there = jax.devices() if devices is None or isinstance(devices, int) else list(devices)
        present = len(self._there)
        devices = devices if devices is None or isinstance(devices, int) else present
        self.run, self.devices, self.per_run, self.at_once = run, devices, per_run, at_once
        self._compiled: dict[Any, Any] = {}
        self.optimised = True
        """Whether XLA optimised the program that was compiled last."""
        if devices is not None and not 1 <= devices <= present:
            raise ValueError(f"{devices} devices asked for; there are {present}")
        if devices not in (None, present) and jax.process_count() > 1:
            raise ValueError(f"{devices} devices asked for; on many hosts it must be all {present} or no number")
        if per_run < 1 or (devices or present) % per_run:
            raise ValueError(f"{per_run} devices per run do not divide {devices or present} devices; choose a divisor")

    def __call__(self, keys: Keys, given: Any, data: Data) -> Any:
        """The results of all runs [runs, ...], as NumPy arrays."""
        mesh, args = self._place(keys, given, data)
        results = _gather(self._program(mesh, args)(*args))
        return jax.tree.map(lambda leaf: leaf[: len(keys)], results)

    def memory(self, keys: Keys, given: Any, data: Data) -> int:
        """Bytes that these runs and the data take on each device, as the compiler counts them."""
        mesh, args = self._place(keys, given, data)
        return memory(self._program(mesh, args))

    def lower(self, runs: int, given: Any, data: Any) -> jax.stages.Lowered:
        """The program of this many runs, from the shapes of one run's `given` and of the data. Nothing is run.

        Raises ValueError if the groups of devices do not divide the runs.
        """
        groups = self.groups(runs)
        if runs % groups:
            raise ValueError(f"{runs} runs are not shared out evenly by {groups} groups of devices; ask for a multiple")
        mesh = self._mesh(groups)

        def shapes(tree: Any, spec: PartitionSpec, *lead: int) -> Any:
            place = NamedSharding(mesh, spec)
            return jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct((*lead, *leaf.shape), leaf.dtype, sharding=place), tree
            )

        words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
        varied = shapes((words, given), PartitionSpec("run"), runs)
        return jax.jit(self._batch(mesh)).lower(*varied, shapes(data, PartitionSpec()))

    def groups(self, runs: int) -> int:
        """The number of groups of devices that these runs take. On one host a run alone takes one group."""
        groups = (self.devices or len(self._there)) // self.per_run
        if self.devices is not None and groups > runs:
            raise ValueError(
                f"{self.devices} devices are more than {runs} runs can use at {self.per_run} per run; ask for fewer "
                "devices, for more runs, or for more devices per run"
            )
        return 1 if runs == 1 and jax.process_count() == 1 else groups

    def runs_side_by_side(self, runs: int) -> int:
        """How many of these runs one device trains side by side."""
        return self.at_once or (1 if self._there[0].platform == "cpu" else runs)

    def _place(self, keys: Keys, given: Any, data: Data) -> tuple[Mesh, tuple]:
        groups = self.groups(len(keys))
        mesh = self._mesh(groups)
        rounds = -(-len(keys) // groups)
        rows = np.minimum(np.arange(rounds * groups), len(keys) - 1)
        words = np.asarray(jax.random.key_data(keys))
        varied = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], (words, given))
        return mesh, (*_put(varied, mesh, PartitionSpec("run")), _put(data, mesh, PartitionSpec()))

    def _mesh(self, groups: int) -> Mesh:
        devices = np.array(self._there[: groups * self.per_run]).reshape(groups, self.per_run)
        return Mesh(devices, ("run", "data"), axis_types=(AxisType.Auto,) * 2)

    def _program(self, mesh: Mesh, args: tuple) -> Any:
        shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), args)
        key = mesh, str(shapes)
        if key not in self._compiled:
            lowered = jax.jit(self._batch(mesh)).lower(*args)
            fast = jax.config.values["jax_disable_most_optimizations"]
            convolves = fast and "stablehlo.convolution" in lowered.as_text()
            self.optimised = convolves or not fast
            self._compiled[key] = lowered.compile(OPTIMISED if convolves else None)
        return self._compiled[key]

    def _batch(self, mesh: Mesh) -> Callable:
        runs, every = PartitionSpec("run"), PartitionSpec()

        def batch(words, given, data):
            def one(each):
                return self.run(jax.random.wrap_key_data(each[0]), each[1], data)

            count = self.runs_side_by_side(len(words))  # on a CPU even vmap of one run is slower than the run
            return jax.lax.map(one, (words, given), batch_size=count if count > 1 else None)

        # The axis `data` stays automatic: the compiler puts the sums over it where they are needed.
        return jax.shard_map(
            batch, mesh=mesh, in_specs=(runs, runs, every), out_specs=runs, axis_names={"run"}, check_vma=False
        )


def memory(program: Any) -> int:
    """Bytes that a compiled program takes on each device: arguments, results, and what it needs between."""
    need = program.memory_analysis()
    return need.argument_size_in_bytes + need.output_size_in_bytes + need.temp_size_in_bytes


def _put(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Every process holds the whole tree; each of its devices gets its part."""
    sharding = NamedSharding(mesh, spec)

    def put(leaf):
        if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
            return leaf
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(put, tree)


def _gather(tree: Any) -> Any:
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return jax.tree.map(lambda leaf: multihost_utils.process_allgather(leaf, tiled=True), tree)


def budget() -> int:
    """Bytes that a program may take on each device: nine tenths of a device's memory that is free now.

    CPU devices share the memory that is left to the machine, or to the container of this process.
    """
    here = jax.local_devices()
    stats = here[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(0.9 * (stats["bytes_limit"] - stats["bytes_in_use"]))
    return int(0.9 * free_memory() / len(here))


def free_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of main memory that are free in the machine, or in the control group of a container."""
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no such group, or "max"
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(min(free, limit - used), 0)
    return free
