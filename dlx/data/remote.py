"""Fetches the files that TFDS has registered, verifies them, and keeps them in TFDS's download folder.

TFDS's own downloader waits for ever for a silent server, and for minutes on a refused connection.
"""

import hashlib
import os
import queue
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from urllib.parse import urlsplit

from dlx.data.idx import FILES, DataError

PROBE_SECONDS = 2.0
"""How long a host may take to accept the first connection, name look-up included."""
STALL_SECONDS = 6.0
"""How long a download may go without a byte before it is given up."""
BLOCK_BYTES = 2**16
PORTS = {"http": 80, "https": 443}


class Remote(NamedTuple):
    """A file on the network: where it is, how many bytes it holds, and their sha256 (hex)."""

    url: str
    size: int
    sha256: str


def registered(name: str) -> tuple[Remote, ...]:
    """The four IDX files of the data set `name` that TFDS has registered, in the order of `idx.FILES`."""
    import tensorflow_datasets as tfds

    remotes = {
        url.rpartition("/")[2]: Remote(url, int(info.size), info.checksum)
        for url, info in tfds.builder_cls(name).url_infos.items()
    }
    return tuple(remotes[f"{file}.gz"] for file in FILES)


def download(name: str, remotes: Sequence[Remote], folder: Path, stall_seconds: float = STALL_SECONDS) -> list[Path]:
    """Fetch what is missing of `remotes`; return the paths of verified copies in `folder/name/`.

    TFDS finds them there, too. A slow download goes on. It is given up if nothing arrives for `stall_seconds`.
    Raises DataError if there is no connection within `PROBE_SECONDS`, or no room to write. It also raises it for a
    stall, an HTTP error, or a wrong size or checksum.
    """
    from tensorflow_datasets.core.download.resource import get_dl_fname

    paths = [folder / name / get_dl_fname(remote.url, remote.sha256) for remote in remotes]
    missing = [(remote, path) for remote, path in zip(remotes, paths, strict=True) if not _verified(path, remote)]
    if missing:
        probe(missing[0][0].url)
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix="incomplete.", dir=folder) as staging:
                for remote, path in missing:
                    staged = Path(staging, path.name)
                    _fetch(remote, staged, stall_seconds)
                    os.replace(staged, path)
                    _tell_tfds(name, remote, path)
        except OSError as fault:
            raise DataError(f"{folder}: cannot keep downloads here ({fault})") from fault
    return paths


def probe(url: str, seconds: float = PROBE_SECONDS) -> None:
    """Return if the host of `url` accepts a connection; raise DataError if it does not within `seconds`."""
    parts = urlsplit(url)
    answer: queue.SimpleQueue[str] = queue.SimpleQueue()

    def connect() -> None:
        try:
            socket.create_connection((parts.hostname, parts.port or PORTS[parts.scheme]), seconds).close()
            answer.put("")
        except OSError as fault:
            answer.put(fault.strerror or str(fault))

    # A name look-up has no time limit, so it runs in a thread.
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


def _fetch(remote: Remote, path: Path, stall_seconds: float) -> None:
    import requests  # TFDS depends on it

    received = 0
    try:
        with requests.get(remote.url, stream=True, timeout=stall_seconds) as reply, path.open("xb") as file:
            reply.raise_for_status()
            for block in reply.iter_content(BLOCK_BYTES):
                received += file.write(block)
                if received > remote.size:
                    raise DataError(f"{remote.url}: more than the registered {remote.size} bytes arrived")
    except requests.RequestException as fault:
        raise DataError(f"{remote.url}: {fault}") from fault
    if not _verified(path, remote):
        raise DataError(f"{remote.url}: wrong checksum")


def _tell_tfds(name: str, remote: Remote, path: Path) -> None:
    """Write a note beside the file; without it TFDS would fetch the file again."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.download.resource import write_info_file

    file_name = remote.url.rpartition("/")[2]
    info = UrlInfo(tfds.core.utils.Size(remote.size), remote.sha256, file_name)
    write_info_file(remote.url, tfds.core.Path(path), name, file_name, info)
