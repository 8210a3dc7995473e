import contextlib
import errno
import io
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlx import store as module
from dlx.store import StoreError, _revision, open_store, provenance, to_json

IDENTITY = {"experiment": "bengio2006", "preset": "quick", "options": {"epochs": 5, "widths": (500, 500)}}
ROOT = Path(__file__).resolve().parents[1]


class Rates(NamedTuple):
    learning: float
    penalty: float


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "runs" / "bengio2006", IDENTITY)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Records


@pytest.mark.parametrize(
    "name", ["a", "search/exp2/dbn/0", "lr=0.1,k=1", "a b?*:%2F", "été/数字/🙂", ".hidden", "x.json"]
)
def test_a_record_comes_back_under_its_name_and_no_other(store, name):
    assert store.load(name) is None
    store.save(name, {"error": 0.1 + 0.2, "seeds": [0, 1], "note": None, "done": True})
    assert store.load(name) == {"error": 0.1 + 0.2, "seeds": [0, 1], "note": None, "done": True}
    assert store.load(name + "0") is None
    assert all(
        path.is_relative_to(store.folder / "units")
        for path in store.folder.rglob("*.json")
        if path.parent != store.folder
    )


def test_names_that_look_alike_are_alike(store):
    store.save("e\N{COMBINING ACUTE ACCENT}tude/1", {"n": 1})
    assert store.load("\N{LATIN SMALL LETTER E WITH ACUTE}tude/1") == {"n": 1}


@pytest.mark.parametrize("name", ["", "..", "../a", "a/../b", "/a", "a/", "a//b", ".", "a/./b", "..\\a", "a\0b"])
def test_names_that_leave_the_folder_are_refused(store, name):
    before = files(store.folder.parent.parent)
    for act in (
        store.load,
        lambda n: store.save(n, {}),
        store.load_arrays,
        lambda n: store.write(n, ""),
    ):
        with pytest.raises(ValueError, match="relative"):
            act(name)
    assert files(store.folder.parent.parent) == before


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_json_is_bit_exact_for_finite_values(value):
    assert repr(json.loads(to_json(value))) == repr(value)


@pytest.mark.parametrize("box", [float, np.float32, np.float64, jnp.float32, jnp.bfloat16])
def test_non_finite_floats_survive_as_valid_json(store, box):
    store.save("diverged", {"loss": [box(math.nan), box(math.inf), box(-math.inf)]})
    text = next(store.folder.glob("units/*.json")).read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert str([float(x) for x in store.load("diverged")["loss"]]) == "[nan, inf, -inf]"


def test_arrays_scalars_and_tuples_become_plain(store):
    log = {
        "curve": jnp.arange(4.0).reshape(2, 2),
        "best": np.int64(3),
        "ok": np.bool_(True),
        "half": jnp.bfloat16(0.5),
    }
    store.save("log", {**log, "rates": Rates(np.float32(0.1), 0.0), "pair": (1, "a"), "four": jnp.ones(2, jnp.int4)})
    record = store.load("log")
    assert record["curve"] == [[0.0, 1.0], [2.0, 3.0]]
    assert (record["best"], record["ok"], record["half"], record["pair"]) == (3, True, 0.5, [1, "a"])
    assert record["four"] == [1, 1]
    assert np.float32(record["rates"]["learning"]) == np.float32(0.1)


@pytest.mark.parametrize("value", [{1: 2}, {1, 2}, object(), b"x", 1j, np.complex64(1), jax.random.key(0)])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(store, value):
    before = files(store.folder)
    with pytest.raises(TypeError):
        store.save("unit", {"value": value}, {"w": np.ones(2)})
    assert files(store.folder) == before


# Arrays


DTYPES = [
    "float32",
    "bfloat16",
    "float16",
    "int32",
    "uint8",
    "bool",
    "int4",
    "float8_e4m3fn",
    "complex64",
    "float64",
]
arrays = st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 2**32 - 1))


def tree_of(drawn):
    """Arrays of random bits, so NaN payloads, infinities and subnormal numbers are among them."""

    def array(dtype, shape, seed):
        dtype, source = jnp.dtype(dtype), np.random.default_rng(seed)
        if dtype in (jnp.bool_, jnp.int4):
            return source.integers(0, 2, shape).astype(dtype)
        return np.frombuffer(source.bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)

    leaves = {str(i): array(*one) for i, one in enumerate(drawn)}
    return {"layers": leaves, "deeper": {"again": dict(leaves)}, "empty": {}}


@given(st.lists(arrays, max_size=5))
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_bit_for_bit(tmp_path_factory, drawn):
    store, tree = open_store(tmp_path_factory.mktemp("store"), IDENTITY), tree_of(drawn)
    store.save("a/b", {}, tree)
    loaded = store.load_arrays("a/b")
    assert jax.tree.structure(loaded) == jax.tree.structure(tree)
    for one, other in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_arrays_of_jax_come_back_as_arrays_of_numpy(store):
    store.save("unit", {}, {"w": jnp.arange(6.0).reshape(2, 3)})
    loaded = store.load_arrays("unit")["w"]
    assert type(loaded) is np.ndarray
    np.testing.assert_array_equal(loaded, np.arange(6, dtype=np.float32).reshape(2, 3))


def test_arrays_that_were_not_saved_are_an_error(store):
    store.save("bare", {})
    for name in ("bare", "missing"):
        with pytest.raises(StoreError, match="no whole arrays"):
            store.load_arrays(name)


def test_saving_again_replaces_record_and_arrays(store):
    for value in (1.0, 2.0):
        store.save("unit", {"value": value}, {"w": np.full(3, value)})
    assert store.load("unit") == {"value": 2.0}
    assert store.load_arrays("unit")["w"].tolist() == [2.0] * 3


# Damage, kills and company


@pytest.mark.parametrize("suffix", [".json", ".msgpack"])
def test_a_damaged_record_counts_as_missing_and_can_be_done_again(store, suffix):
    for length in (None, 0, 1, 20, -1):
        store.save("unit", {"value": 1}, {"w": np.ones(3)})
        assert store.load("unit") == {"value": 1}
        (path,) = (store.folder / "units").glob(f"*{suffix}")
        content = path.read_bytes()
        path.unlink() if length is None else path.write_bytes(content[:length])
        assert store.load("unit") is None
        with pytest.raises(StoreError, match="no whole arrays"):
            store.load_arrays("unit")


@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[]",
        "3",
        "{}",
        '{"record": {}}',
        '{"unit": "other", "arrays": null, "record": {}}',
        "\x00\xff",
        '{"unit": "unit", "arrays": null, "record": 1}',
        '{"unit": "unit", "arrays": 7, "record": {}}',
        '{"unit": "unit", "arrays": "../../../x", "record": {}}',
        '{"unit": "unit", "arrays": {}, "record": {}}',
    ],
)
def test_a_file_that_is_no_record_counts_as_missing(store, content):
    (store.folder / "units").mkdir()
    (store.folder / "units" / "unit.json").write_text(content, encoding="latin-1")
    assert store.load("unit") is None


class Stop(BaseException):
    pass


class Countdown:
    """Wraps system calls so that all of them raise Stop once `left` have been made."""

    def __init__(self, left):
        self.left = left

    def wrap(self, call):
        def counted(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                raise Stop
            return call(*arguments, **options)

        return counted


@pytest.mark.parametrize("cleans_up", [True, False])
def test_a_stop_at_any_system_call_leaves_the_old_unit_or_the_new(store, monkeypatch, cleans_up):
    values = []
    for made in range(20):
        store.save("unit", {"value": 0.0}, {"w": np.zeros(3)})
        countdown = Countdown(made)
        with monkeypatch.context() as patch, contextlib.suppress(Stop):
            for name in ("fsync", "open", "close"):
                patch.setattr(os, name, countdown.wrap(getattr(os, name)))
            patch.setattr(module._write, "__defaults__", (countdown.wrap(os.replace),))
            patch.setattr(Path, "open", countdown.wrap(Path.open))
            if not cleans_up:
                patch.setattr(Path, "unlink", lambda path: None)
            store.save("unit", {"value": 1.0}, {"w": np.ones(3)})
        values.append(store.load("unit")["value"])
        assert store.load_arrays("unit")["w"].tolist() == [values[-1]] * 3
        assert open_store(store.folder, IDENTITY) == store
    assert values == sorted(values)
    assert values.count(0.0) > 6
    assert cleans_up != bool(list(store.folder.rglob(".*.tmp")))


WORKER = """
import sys, numpy as np
from dlx.store import open_store
folder, worker, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = open_store(folder, {"experiment": "kill"})
store.save("warm", {"value": worker, "pad": "x" * 1000}, {"w": np.full(2000, worker)})
print("ready", flush=True)
for i in range(rounds):
    value = worker + 10 * i
    store.save(f"unit/{i % 3}", {"value": value, "pad": "x" * (value % 5000)}, {"w": np.full(2000, value)})
    store.write("report.md", f"{value:08d}" * 5000)
"""


def start(folder, worker, rounds):
    command = [sys.executable, "-c", WORKER, str(folder), str(worker), str(rounds)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"JAX_PLATFORMS": "cpu"})


def check_whole(folder, quiet):
    """Every record loads with its arrays; while others write, the two readings may be of different saves."""
    store, seen = open_store(folder, {"experiment": "kill"}), set()
    for path in (folder / "units").rglob("*.json"):
        name = path.relative_to(folder / "units").as_posix().removesuffix(".json")
        record = store.load(name)
        assert record is not None, "a record on disk that does not load"
        weights = store.load_arrays(name)["w"]
        assert (weights == (record["value"] if quiet else weights[0])).all()
        seen.add(name)
    text = (folder / "report.md").read_text() if (folder / "report.md").exists() else ""
    assert text == text[:8] * (len(text) // 8)
    assert len(text) in (0, 40000)
    return seen


def test_kills_and_company_leave_every_record_whole(tmp_path):
    """Four processes write the same units of one folder at once; three are killed at random, one ends."""
    moments, folder = random.Random(0), tmp_path / "shared"
    workers = [start(folder, worker, 10**6) for worker in range(3)] + [start(folder, 3, 60)]
    try:
        assert [worker.stdout.readline() for worker in workers] == [b"ready\n"] * 4
        for left in (2, 1, 0):
            time.sleep(moments.uniform(0.01, 0.2))
            if left == 0:
                assert workers[3].wait(60) == 0
            workers[left].kill()
            assert workers[left].wait(10) == -signal.SIGKILL
            assert "warm" in check_whole(folder, quiet=left == 0)
        assert check_whole(folder, quiet=True) == {"warm", "unit/0", "unit/1", "unit/2"}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            worker.stdout.close()


CLAIMANT = """
import sys
from dlx.store import open_store
store = open_store(sys.argv[1], {"experiment": "claims"})
print(store.claim("search/a"), store.claim("search/b"), flush=True)
store.release("search/b")
print("released", flush=True)
sys.stdin.read()
"""


def test_a_claim_holds_against_other_processes_until_it_is_released_or_its_process_is_killed(tmp_path):
    store = open_store(tmp_path, {"experiment": "claims"})
    command = [sys.executable, "-c", CLAIMANT, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"True True\n"
        assert other.stdout.readline() == b"released\n"
        assert not store.claim("search/a")
        assert store.claim("search/b")
        assert store.claim("search/c")
        other.kill()
        other.wait(10)
        assert store.claim("search/a")
    assert not list((tmp_path / "units").rglob("*")), "a claim leaves no file beside the records"
    open_store(tmp_path, {"experiment": "claims"})


# Opening


def test_the_same_identity_takes_up_the_work(store):
    store.save("unit", {"n": 1})
    again = open_store(str(store.folder), json.loads(json.dumps(IDENTITY)))
    assert again.load("unit") == {"n": 1}


def test_another_identity_is_refused_by_key_and_value(store):
    before = files(store.folder)
    other = {"experiment": "bengio2006", "options": {"epochs": 6, "widths": [500, 500]}, "seeds": 3}
    with pytest.raises(StoreError) as caught:
        open_store(store.folder, other)
    said = str(caught.value)
    for part in (
        str(store.folder),
        "options.epochs: 5 there, 6 now",
        "preset: quick there, absent now",
        "seeds",
        "--out",
    ):
        assert part in said
    assert "widths" not in said
    assert files(store.folder) == before


@pytest.mark.parametrize("content", ["", "{", '{"experiment"', "\xff"])
def test_a_damaged_identity_is_an_error(store, content):
    (store.folder / "identity.json").write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match=r"identity.json is damaged .*--out"):
        open_store(store.folder, IDENTITY)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"no identity.json.*--out"):
        open_store(tmp_path, IDENTITY)
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_folder_whose_opening_was_killed_opens(tmp_path):
    (tmp_path / ".0123.tmp").write_text('{"experi')
    assert open_store(tmp_path, IDENTITY).load("unit") is None


def test_the_first_of_two_identities_wins(tmp_path, monkeypatch):
    """Both processes find the folder empty; the other one's identity lands between the look and the write."""

    def late(temporary, path):
        open_store(path.parent, {"experiment": "first"})
        claim(temporary, path)

    claim = module._claim
    monkeypatch.setattr(module, "_claim", lambda *paths: (monkeypatch.undo(), late(*paths)))
    with pytest.raises(StoreError, match="first there, second now"):
        open_store(tmp_path, {"experiment": "second"})
    assert open_store(tmp_path, {"experiment": "first"})


def test_a_file_system_without_hard_links_serves(tmp_path, monkeypatch):
    def link(*paths):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    assert open_store(tmp_path, IDENTITY) == open_store(tmp_path, IDENTITY)


@pytest.mark.parametrize("below", ["file", "file/runs", "file/runs/deeper"])
def test_a_file_in_the_way_is_named_with_the_reason(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"(File exists|Not a directory).*--out"):
        open_store(tmp_path / below, IDENTITY)
    assert files(tmp_path) == {"file": b"mine"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write")
@pytest.mark.parametrize("folder", ["/proc", "/proc/runs"])
def test_an_unwritable_folder_is_named_with_the_reason(folder):
    with pytest.raises(StoreError, match=rf"{folder} cannot be used: [A-Z]"):
        open_store(folder, IDENTITY)


@pytest.fixture
def read_only(monkeypatch):
    """From when it is called, no file can be made; not even root could."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def close():
        for place, name in ((tempfile, "TemporaryFile"), (Path, "mkdir"), (os, "replace"), (os, "link"), (os, "open")):
            monkeypatch.setattr(place, name, refuse)

    return close


def test_a_folder_that_cannot_be_written_can_be_read(store, read_only):
    store.save("unit", {"value": 1}, {"w": np.ones(2)})
    read_only()
    again = open_store(store.folder, IDENTITY)
    assert again.load("unit") == {"value": 1}
    assert again.load_arrays("unit")["w"].tolist() == [1, 1]
    with pytest.raises(StoreError, match="Read-only file system"):
        again.check_writable()


def test_a_folder_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store("~/runs", IDENTITY).folder == tmp_path / "runs"


def test_a_full_disk_keeps_what_is_there(store):
    """A limit on the size of files stands for the full disk: the kernel fails the write midway."""
    store.save("unit", {"value": 1})
    store.write("report.md", "old")
    before, limits = files(store.folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        for act in (
            lambda: store.save("unit", {"value": "x" * 10000}),
            lambda: store.save("unit", {"value": 2}, {"w": np.ones(10000)}),
            lambda: store.write("report.md", "x" * 10000),
        ):
            with pytest.raises(StoreError, match="File too large"):
                act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(store.folder) == before


def test_a_full_disk_is_told_with_its_remedy(store, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device; free some space"):
        store.save("unit", {"value": 1})


def test_a_record_of_endless_depth_is_damaged(store):
    store.save("unit", {"value": 1})
    path = store.folder / "units" / "unit.json"
    path.write_text(path.read_text().replace('"value": 1', '"value": ' + 100_000 * "[" + 100_000 * "]"))
    assert store.load("unit") is None


def test_an_error_of_the_system_while_reading_is_not_taken_for_missing_work(store):
    (store.folder / "units" / "unit.json").mkdir(parents=True)
    with pytest.raises(StoreError, match="Is a directory"):
        store.load("unit")


# Other files, and provenance


def test_an_archive_holds_the_units_asked_for_and_opens_as_a_folder(store, tmp_path):
    store.save("a/1", {"value": 1.5}, {"w": np.arange(3)})
    store.save("a/2", {"value": 2.5}, {"w": np.arange(4)})
    store.save("b/1", {"value": 3.5})
    packed = store.archive(["a/1", "a/2"], {"a/1"})
    assert packed == store.archive(["a/1", "a/2"], {"a/1"}), "neither times nor owners"
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(tmp_path / "copy", filter="data")
    copy = open_store(tmp_path / "copy", json.loads((store.folder / "identity.json").read_text()))
    assert [copy.load(name) for name in ("a/1", "a/2", "b/1")] == [{"value": 1.5}, {"value": 2.5}, None]
    np.testing.assert_array_equal(copy.load_arrays("a/1")["w"], np.arange(3))
    with pytest.raises(StoreError, match="no whole arrays"):
        copy.load_arrays("a/2")


def test_write_puts_files_and_keeps_the_stores_own(store):
    store.write("report.md", "# é")
    store.write("figures/filters.png", b"\x89PNG")
    assert (store.folder / "report.md").read_text(encoding="utf-8") == "# é"
    assert (store.folder / "figures" / "filters.png").read_bytes() == b"\x89PNG"
    for name in ("identity.json", "units/a.json", "units"):
        with pytest.raises(ValueError, match="own"):
            store.write(name, "")


def test_files_have_the_permissions_of_files(store):
    store.write("report.md", "")
    (store.folder / "plain").write_text("")
    assert (store.folder / "report.md").stat().st_mode == (store.folder / "plain").stat().st_mode


def test_provenance_names_versions_and_devices():
    there = provenance()
    assert json.loads(to_json(there)) == there
    assert there["versions"]["jax"] == jax.__version__
    assert there["versions"]["flax"] == version("flax")
    assert set(there["versions"]) == {"python", "jax", "jaxlib", "flax", "optax", "numpy"}
    kind, _, count = there["device"].rpartition(" x ")
    assert int(count) == jax.device_count()
    assert kind
    if shutil.which("lscpu"):
        model = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
        assert re.search(rf"^Model name: +{re.escape(kind)}$", model, re.MULTILINE)
    assert set(there) == {"versions", "device", "revision"}


def test_revision_is_the_commit_and_whether_the_code_differs(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    code = tmp_path / "dlx" / "code.py"
    code.parent.mkdir()
    code.write_text("1")
    assert _revision(tmp_path) is None
    git("init", "-q")
    assert _revision(tmp_path) is None
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD").strip()
    assert _revision(tmp_path) == commit
    assert _revision(tmp_path / "dlx") is None
    (tmp_path / "notes.txt").write_text("elsewhere")
    assert _revision(tmp_path) == commit
    code.write_text("2")
    assert _revision(tmp_path) == commit + "+changes"
    code.write_text("1")
    (tmp_path / "dlx" / "new.py").write_text("")
    assert _revision(tmp_path) == commit + "+changes"
    monkeypatch.setenv("PATH", "")
    assert _revision(tmp_path) is None
