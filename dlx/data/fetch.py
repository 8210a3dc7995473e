"""Download files with TFDS's DownloadManager, in a process of its own: `dlx.data.remote` runs this file.

TFDS waits on a silent server for ever, retries a refused connection for minutes, and its threads keep the
interpreter from ending. A process can be ended at any moment. This one watches the bytes that reach the disk,
and gives up when they stop.

The request is JSON on standard input: `name`, `folder`, `stall_seconds`, `remotes` as [url, bytes, sha256]s.
The exit status is 0 if all files came and their checksums are right, else 1; the fault is then printed.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

WATCH_SECONDS = 0.05


def prepare(name: str, folder: str, remotes: list[tuple[str, int, str]]) -> Callable[[], object]:
    """The download of `remotes` into `folder/name/`, verified, ready to be started."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo

    tfds.disable_progress_bar()
    known = {url: UrlInfo(tfds.core.utils.Size(size), sha256, None) for url, size, sha256 in remotes}
    manager = tfds.download.DownloadManager(
        download_dir=folder, dataset_name=name, url_infos=known, force_checksums_validation=True
    )
    return lambda: manager.download(list(known))


def received_bytes(folder: str) -> int:
    """Bytes of all files under `folder`, leaving out the notes (`.INFO`) that TFDS adds to them."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(Path(parent, name)) if ".INFO" not in name else 0
            except FileNotFoundError:  # renamed since it was listed
                continue
    return total


def watch(worker: threading.Thread, folder: str, size: int, stall_seconds: float) -> str:
    """Wait for `worker`. The fault that made waiting senseless, else nothing."""
    received, since = 0, time.monotonic()
    while worker.is_alive():
        worker.join(WATCH_SECONDS)
        before, received = received, received_bytes(folder)
        if received > size:
            return f"more than the registered {size} bytes arrived"
        if received != before:
            since = time.monotonic()
        elif time.monotonic() - since > stall_seconds:
            return f"the connection stalled: nothing arrived for {stall_seconds:g} s"
    return ""


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    folder, remotes = request["folder"], request["remotes"]
    download = prepare(request["name"], folder, remotes)
    faults: list[str] = []

    def work() -> None:
        try:
            download()
        except Exception as fault:
            faults.append(f"{type(fault).__name__}: {str(fault).partition(chr(10))[0].rstrip(':')}")

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    faults.append(watch(worker, folder, sum(size for _, size, _ in remotes), request["stall_seconds"]))
    print(faults[0], flush=True)
    os._exit(1 if faults[0] else 0)  # an ordinary exit would wait for TFDS's threads


if __name__ == "__main__":
    main()
