"""Downloads from well and badly behaved servers on this machine: all end soon, in files or in a DataError."""

import contextlib
import gzip
import hashlib
import http.server
import socket
import threading
import time

import numpy as np
import pytest

from dlx.data import DataError, read
from dlx.data.remote import Remote, download, probe


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; `server.pause` seconds of silence come before every `server.block` bytes."""

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.server.requests.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(content), self.server.block):
                if self.server.stopped.wait(self.server.pause):
                    return
                self.wfile.write(content[start : start + self.server.block])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(packed, nowhere):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests = dict(packed), []
    server.status, server.block, server.pause, server.stopped = 200, 2**16, 0.0, threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


def remotes(server, **replaced) -> tuple[Remote, ...]:
    return tuple(
        Remote(
            f"http://127.0.0.1:{server.server_port}/{name}", len(content), hashlib.sha256(content).hexdigest()
        )._replace(**replaced)
        for name, content in server.files.items()
    )


def fails(server, folder, match, limit_seconds=20.0, **replaced):
    """The download fails as it should, in time, and leaves nothing that a later one would take for a file."""
    start = time.monotonic()
    with pytest.raises(DataError, match=match) as caught:
        download("tiny", remotes(server, **replaced), folder, stall_seconds=1.0)
    assert time.monotonic() - start < limit_seconds
    assert len(str(caught.value).splitlines()) == 1
    assert [path for path in folder.rglob("*") if not path.is_dir() or path.name != "tiny"] == []


def test_good_files_are_served_from_the_cache_afterwards(server, monkeypatch, nowhere, arrays):
    known = remotes(server)
    monkeypatch.setattr("dlx.data.remote.registered", lambda name: known)
    data, origin, shape, classes = read("kmnist")
    assert origin[:3] == ("kmnist", "tfds", "canonical")
    assert (shape, classes) == ((4, 3), 10)
    np.testing.assert_array_equal(np.concatenate([data.train.x, data.valid.x]), next(iter(arrays.values())))
    assert sorted(server.requests) == sorted(server.files)

    server.shutdown()
    server.server_close()
    assert read("kmnist").origin == origin
    assert len(server.requests) == len(server.files)


def test_downloaded_labels_are_checked_too(server, monkeypatch, nowhere):
    name = "t10k-labels-idx1-ubyte.gz"
    server.files[name] = gzip.compress(gzip.decompress(server.files[name])[:-1] + bytes([10]))
    known = remotes(server)
    monkeypatch.setattr("dlx.data.remote.registered", lambda name: known)
    with pytest.raises(DataError, match=f"{nowhere}/downloads/kmnist: test has the label 10; there are 10 classes"):
        read("kmnist")


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:-1] + bytes([whole[-1] ^ 1])])
def test_a_damaged_copy_is_fetched_again(server, tmp_path, damage):
    paths = download("tiny", remotes(server), tmp_path)
    whole = paths[0].read_bytes()
    paths[0].write_bytes(damage(whole))
    server.requests.clear()
    assert download("tiny", remotes(server), tmp_path) == paths
    assert paths[0].read_bytes() == whole
    assert len(server.requests) == 1


def test_what_is_whole_is_kept_where_a_later_file_fails(server, tmp_path):
    known = remotes(server)
    with pytest.raises(DataError, match="wrong checksum"):
        download("tiny", [*known[:2], known[2]._replace(sha256="0" * 64)], tmp_path)
    server.requests.clear()
    download("tiny", known, tmp_path)
    assert server.requests == list(server.files)[2:]


def test_a_reader_never_sees_half_a_file(server, tmp_path, monkeypatch):
    from tensorflow_datasets.core.download.resource import get_dl_fname

    old, new = b"old" * 2**20, b"new" * 2**23
    server.files = {"a.gz": new}
    (remote,) = remotes(server)
    path = tmp_path / "tiny" / get_dl_fname(remote.url, remote.sha256)
    path.parent.mkdir()
    path.write_bytes(old)
    sizes, done = set(), threading.Event()
    # Another folder might lie on another file system, and a move from there would be a copy.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))

    def watch():
        while not done.is_set():
            with contextlib.suppress(FileNotFoundError):
                sizes.add(path.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with path.open("rb") as reader:
            begun = reader.read(1000)
            download("tiny", [remote], tmp_path)
            assert begun + reader.read() == old
    finally:
        done.set()
        watcher.join()
    assert path.read_bytes() == new
    assert sizes <= {len(old), len(new)}


def test_cached_where_tfds_looks_for_it(server, tmp_path):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo

    paths = download("tiny", remotes(server), tmp_path)
    server.requests.clear()
    known = {url: UrlInfo(tfds.core.utils.Size(size), sha256, None) for url, size, sha256 in remotes(server)}
    tfds.disable_progress_bar()
    manager = tfds.download.DownloadManager(download_dir=tmp_path, dataset_name="tiny", url_infos=known)
    assert [str(path) for path in manager.download(list(known))] == [str(path) for path in paths]
    assert server.requests == []


def test_wrong_checksum(server, tmp_path):
    fails(server, tmp_path, "wrong checksum", sha256="0" * 64)


def test_http_error(server, tmp_path):
    fails(server, tmp_path, "404 Client Error", url=f"http://127.0.0.1:{server.server_port}/absent.gz")


def test_a_server_that_is_overloaded(server, tmp_path):
    server.status = 503
    fails(server, tmp_path, "503 Server Error")


def test_a_server_that_never_answers(server, tmp_path):
    server.pause = 60.0
    fails(server, tmp_path, "Read timed out")


def test_a_server_that_stops_within_a_file(server, tmp_path):
    server.files = {"a.gz": bytes(2**17)}
    server.block, server.pause = 2**16, 0.7
    original = server.stopped.wait
    waits = iter([0.0, 60.0])
    server.stopped.wait = lambda _: original(next(waits))
    fails(server, tmp_path, "Read timed out")


def test_a_slow_server_is_waited_for(server, tmp_path):
    server.files = {"a.gz": bytes(2**17)}
    server.block, server.pause = 2**14, 0.25
    (path,) = download("tiny", remotes(server), tmp_path, stall_seconds=1.0)
    assert path.read_bytes() == server.files["a.gz"]


def test_a_server_that_sends_too_much(server, tmp_path):
    server.files = {"a.gz": bytes(2**17)}
    server.block, server.pause = 2**14, 0.1
    fails(server, tmp_path, "more than the registered 32768 bytes arrived", size=2**15)


def test_connection_refused(server, tmp_path):
    server.shutdown()
    server.server_close()
    fails(server, tmp_path, f"127.0.0.1:{server.server_port}: Connection refused", limit_seconds=5)


def test_a_host_that_answers_nothing():
    start = time.monotonic()
    with pytest.raises(DataError, match=r"example\.invalid"):
        probe("http://example.invalid/", seconds=0.5)
    assert time.monotonic() - start < 5


def test_a_name_look_up_that_never_ends(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr("socket.create_connection", lambda *_: ended.wait(10) and socket.socket())
    start = time.monotonic()
    with pytest.raises(DataError, match=r"http://example\.invalid: no answer within 0\.2 s"):
        probe("http://example.invalid/a.gz", seconds=0.2)
    assert time.monotonic() - start < 5
    ended.set()


@pytest.mark.parametrize(
    ("url", "address"),
    [("http://a.b/c", ("a.b", 80)), ("https://a.b/c", ("a.b", 443)), ("https://a.b:8443/c", ("a.b", 8443))],
)
def test_the_port_that_is_probed(monkeypatch, url, address):
    addresses = []
    monkeypatch.setattr("socket.create_connection", lambda address, _: addresses.append(address) or socket.socket())
    probe(url)
    assert addresses == [address]


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file: cannot keep downloads here"):
        download("tiny", remotes(server), tmp_path / "file")


def test_registered_files_are_the_four_of_each_data_set():
    from dlx.data.idx import FILES
    from dlx.data.remote import registered
    from dlx.data.sources import MNIST_LIKE

    for name in MNIST_LIKE:
        assert [remote.url.rpartition("/")[2] for remote in registered(name)] == [f"{file}.gz" for file in FILES]
    assert [remote.size for remote in registered("mnist")] == [9912422, 28881, 1648877, 4542]
