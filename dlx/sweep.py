"""Many runs as one program: vmapped on each device, and shared out over the devices."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Key

from dlx import types
from dlx.types import Data

Run = Callable[[types.Key, Any, Data], Any]
"""One run: key, `Hypers` and data to anything made of arrays."""
Keys = Key[Array, " runs"]


def sweep(run: Run) -> Callable[[Keys, Any, Data], Any]:
    """Compile `run(key, hypers, data)` to take many keys [runs], hypers [runs, ...] of each, and one data set.

    The runs are spread over as many of the devices as divide their number. Each device goes on by itself until the
    last of its own runs has stopped.
    """

    @partial(jax.jit, static_argnums=0)
    def program(devices: int, keys: Keys, hypers: Any, data: Data):
        mesh = jax.make_mesh((devices,), ("run",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
        runs, every = PartitionSpec("run"), PartitionSpec()
        batch = jax.vmap(run, in_axes=(0, 0, None))
        return jax.shard_map(batch, mesh=mesh, in_specs=(runs, runs, every), out_specs=runs, check_vma=False)(
            keys, hypers, data
        )

    def swept(keys: Keys, hypers: Any, data: Data):
        devices = max(n for n in range(1, jax.device_count() + 1) if len(keys) % n == 0)
        return program(devices, keys, hypers, data)

    return swept
