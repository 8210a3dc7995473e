"""Files on the network: fetched and verified by TFDS, kept in its download folder, never waited for idly."""

import hashlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

from dlx.data.idx import FILES, DataError

PROBE_SECONDS = 2.0
"""How long a host may take to accept a first connection, name look-up included."""
STALL_SECONDS = 6.0
"""How long a download may go without a byte, in TFDS's blocks of some kB, before it is given up."""
PORTS = {"http": 80, "https": 443}


class Remote(NamedTuple):
    """A file on the network: where it is, how many bytes it holds, and their sha256 (hex)."""

    url: str
    size: int
    sha256: str


def registered(name: str) -> tuple[Remote, ...]:
    """The four IDX files of the data set `name` as TFDS has them registered, in the order of `idx.FILES`."""
    import tensorflow_datasets as tfds

    remotes = {
        url.rpartition("/")[2]: Remote(url, int(info.size), info.checksum)
        for url, info in tfds.builder_cls(name).url_infos.items()
    }
    return tuple(remotes[f"{file}.gz"] for file in FILES)


def download(name: str, remotes: Sequence[Remote], folder: Path, stall_seconds: float = STALL_SECONDS) -> list[Path]:
    """Paths of verified copies of `remotes`, in `folder/name/` under TFDS's names. Fetches what is missing.

    A slow download is left to go on; one from which nothing arrives for `stall_seconds` is given up.

    Raises:
        DataError: no connection within `PROBE_SECONDS`, stall, HTTP error, wrong checksum, no room to write.
    """
    from tensorflow_datasets.core.download.resource import get_dl_fname

    paths = [folder / name / get_dl_fname(remote.url, remote.sha256) for remote in remotes]
    missing = [remote for remote, path in zip(remotes, paths, strict=True) if not _verified(path, remote)]
    if missing:
        probe(missing[0].url)
        try:
            _fetch(name, missing, folder, stall_seconds)
        except OSError as fault:
            raise DataError(f"{folder}: cannot keep downloads here ({fault})") from fault
    return paths


def probe(url: str, seconds: float = PROBE_SECONDS) -> None:
    """Return if the host of `url` accepts a connection.

    Raises:
        DataError: it does not within `seconds`.
    """
    parts = urlsplit(url)
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), seconds).close()
            answer.put("")
        except OSError as fault:
            answer.put(fault.strerror or str(fault))

    # A name look-up knows no time limit: hence the thread.
    threading.Thread(target=connect, daemon=True).start()
    try:
        fault = answer.get(timeout=seconds)
    except queue.Empty:
        fault = f"no answer within {seconds:g} s"
    if fault:
        raise DataError(f"{parts.scheme}://{parts.netloc}: {fault}")


def _verified(path: Path, remote: Remote) -> bool:
    try:
        if path.stat().st_size != remote.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256
    except OSError:
        return False


def _fetch(name: str, remotes: Sequence[Remote], folder: Path, stall_seconds: float) -> None:
    """Fetch into a staging folder; files move to `folder/name/` once all are whole and verified."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="incomplete.", dir=folder) as staging:
        request = {"name": name, "folder": staging, "stall_seconds": stall_seconds, "remotes": remotes}
        reply = subprocess.run(
            [sys.executable, "-P", str(Path(__file__).with_name("fetch.py"))],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        if reply.returncode != 0:
            lines = (reply.stdout.strip() or reply.stderr.strip()).splitlines()
            fault = lines[-1] if lines else f"the downloading process ended with status {reply.returncode}"
            raise DataError(f"{remotes[0].url.rpartition('/')[0]}: {fault}")
        for path in sorted(Path(staging, name).iterdir()):
            os.replace(path, folder / name / path.name)
