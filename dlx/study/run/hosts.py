"""One computation on many hosts: how a process joins it, and how all processes get the same values."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from dlx.store import to_json

PORTS = range(1, 65536)


def use_every_core() -> None:
    """Make each CPU core a device of its own, unless the environment sets the number of CPU devices.

    After the first JAX operation of a process the devices are what they are. Then it says so, if cores are left over.
    """
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    try:
        jax.config.update("jax_num_cpu_devices", cores)
    except RuntimeError:
        there = len(jax.local_devices())
        if jax.default_backend() == "cpu" and there < cores:
            print(
                f"devices: {there}, CPU cores: {cores}, as JAX was used before this command; where there are more runs "
                "than devices they go in turn; run no JAX operation before to use every core",
                file=sys.stderr,
            )


def find_devices() -> None:
    """Raise ValueError if the platform that the environment asks for is not usable."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS")
        where = f"JAX_PLATFORMS={asked} asks for a platform that is" if asked else "the devices are"
        reason = f" ({str(error).splitlines()[0]})" if str(error) else ""
        raise ValueError(f"{where} not usable here{reason}; unset it, or install jax for it") from error


def join(coordinator: str | None, processes: int | None, index: int | None, seconds: float = 20) -> None:
    """Become one of the processes of a computation on many hosts, if a coordinator is named.

    Raises ValueError if the three do not belong together, or if "auto" finds no cluster. It also raises it if nothing
    answers at the address within `seconds`.
    """
    if coordinator == "auto":
        try:
            jax.distributed.initialize()
        except (ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"--coordinator auto finds no cluster ({reason}); it works under Slurm, Kubernetes, Open MPI and on "
                "TPU pods; elsewhere give HOST:PORT"
            ) from error
        return
    if coordinator is None and processes is None and index is None:
        return
    if coordinator is None or processes is None or index is None or not 0 <= index < processes:
        raise ValueError("--coordinator HOST:PORT, --num-processes N and --process-id 0 ... N-1 go together")
    host, _, port = coordinator.rpartition(":")
    if not host or not (port.isdecimal() and int(port) in PORTS):
        raise ValueError(f"--coordinator {coordinator!r} is not HOST:PORT with a port of 1 to {PORTS[-1]}")
    if index > 0:
        _reach(host, int(port), seconds)
    try:
        jax.distributed.initialize(coordinator, processes, index)
    except RuntimeError as error:
        raise ValueError(f"--coordinator cannot be used in this process: {str(error).splitlines()[0]}") from error


def _reach(host: str, port: int, seconds: float) -> None:
    """Wait for the coordinator. Without one, jax would end the whole process before we could say why."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=2).close()
            return
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() > end:
                raise ValueError(
                    f"no coordinator answers at {host}:{port} ({error}); start process 0 there, or change --coordinator"
                ) from error
            time.sleep(0.2)


def from_first_process(value: Callable[[], Any]) -> Any:
    """What `value` returns on the first process, on every process. It must have a form for JSON."""
    if jax.process_count() == 1:
        return value()
    return json.loads(_sent(lambda: to_json(value()).encode()))


def arrays_from_first_process(read: Callable[[], Any]) -> Any:
    """The nested dicts of arrays that `read` returns on the first process, on every process."""
    if jax.process_count() == 1:
        return read()
    from flax.serialization import msgpack_restore, msgpack_serialize

    return msgpack_restore(_sent(lambda: msgpack_serialize(read())))


def _sent(packed: Callable[[], bytes]) -> bytes:
    own = packed() if jax.process_index() == 0 else b""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(own))))
    return bytes(np.asarray(multihost_utils.broadcast_one_to_all(np.frombuffer(own.ljust(size), np.uint8))))
