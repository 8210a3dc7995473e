"""The IDX reader against an independent writer, and against files damaged on purpose or by chance."""

import gzip
import hashlib
import io
import os
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlx.data.idx import CHUNK_BYTES, MAX_BYTES, DataError, find_file, read_idx, read_split

IMAGES = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
LABELS = np.array([0, 9, 3, 3, 1, 7], np.uint8)


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def write(folder: Path, images: bytes, labels: bytes, suffix: str = "") -> tuple[Path, Path]:
    paths = folder / f"images{suffix}", folder / f"labels{suffix}"
    for path, content in zip(paths, (images, labels), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (6, 4, 3), (2000, 28, 28), (5, 12, 17), (5, 8, 18, 3), (2, 1, 1, 1)])
def test_round_trip(tmp_path, suffix, shape):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, shape, np.uint8), rng.integers(0, 10, shape[0], np.uint8)
    pack = gzip.compress if suffix else bytes
    split, hashes = read_split(*write(tmp_path, pack(idx_bytes(x)), pack(idx_bytes(y)), suffix))
    np.testing.assert_array_equal(split.x, x, strict=True)
    np.testing.assert_array_equal(split.y, y, strict=True)
    assert hashes == tuple(hashlib.sha256(idx_bytes(values)).hexdigest() for values in (x, y))


@pytest.mark.parametrize("name", ["train-images.idx3-ubyte.gz", "train-images.idx3-ubyte"])
def test_a_name_with_a_dot_before_idx_is_known(tmp_path, name):
    (tmp_path / name).touch()
    assert find_file(tmp_path, "train-images-idx3-ubyte") == tmp_path / name


def test_find_file_prefers_gzip_and_names_what_is_missing(tmp_path):
    with pytest.raises(DataError, match=r"train: file is missing, both with and without \.gz"):
        find_file(tmp_path, "train")
    (tmp_path / "train").touch()
    assert find_file(tmp_path, "train") == tmp_path / "train"
    (tmp_path / "train.gz").touch()
    assert find_file(tmp_path, "train") == tmp_path / "train.gz"
    (tmp_path / "train.gz").unlink()
    (tmp_path / "train.gz").symlink_to("absent")
    assert find_file(tmp_path, "train") == tmp_path / "train.gz"  # a broken link is a fault to report


HEADER = idx_bytes(IMAGES)[:16]
PIXELS = IMAGES.tobytes()
PACKED = gzip.compress(HEADER + PIXELS)
FAULTS = {
    "empty": (b"", "ends after 0 bytes, within its header"),
    "header cut": (HEADER[:10], "ends after 10 bytes, within its header"),
    "magic": (b"\x01" + HEADER[1:] + PIXELS, "is not an IDX file: its magic number is 0x01000803"),
    "low type": (HEADER[:2] + b"\x07" + HEADER[3:] + PIXELS, "type code 0x07"),
    "type": (HEADER[:2] + b"\x0d" + HEADER[3:] + PIXELS, "type code 0x0d"),
    "four bytes": (HEADER[:4], "ends after 4 bytes, within its header"),
    "dimensions": (idx_bytes(LABELS) + PIXELS, "has 1 dimensions instead of 3 or 4"),
    "too many": (idx_bytes(IMAGES.reshape(6, 4, 3, 1, 1)), "has 5 dimensions instead of 3 or 4"),
    "none": (struct.pack(">HBB3I", 0, 8, 3, 0, 4, 3), r"claims the shape \(0, 4, 3\)"),
    "short": (HEADER + PIXELS[:-1], "ends after 71 values"),
    "long": (HEADER + PIXELS + b"\0", "holds more bytes"),
    "gzip cut.gz": (PACKED[:-1], "ended before the end-of-stream marker"),
    "gzip empty.gz": (b"", "ends after 0 bytes, within its header"),
    "gzip tail.gz": (PACKED + b"x", "Not a gzipped file"),
    "gzip twice.gz": (PACKED + PACKED, "holds more bytes"),
    "gzip checksum.gz": (PACKED[:-8] + bytes(4) + PACKED[-4:], "CRC check failed"),
    "not gzip.gz": (HEADER + PIXELS, "Not a gzipped file"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_named_with_its_fault(tmp_path, name):
    content, fault = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{fault}"):
        read_idx(tmp_path / name, ndims=(3, 4))


def test_images_and_labels_belong_together(tmp_path):
    with pytest.raises(DataError, match=r"labels: holds 5 labels, but .*images holds 6 images"):
        read_split(*write(tmp_path, idx_bytes(IMAGES), idx_bytes(LABELS[:5])))
    with pytest.raises(DataError, match=r"labels: holds 6 labels, but .*images holds 5 images"):
        read_split(*write(tmp_path, idx_bytes(IMAGES[:5]), idx_bytes(LABELS)))
    with pytest.raises(DataError, match="images: has 1 dimensions"):
        read_split(*write(tmp_path, idx_bytes(LABELS), idx_bytes(LABELS)))
    with pytest.raises(DataError, match="labels: has 3 dimensions instead of 1"):
        read_split(*write(tmp_path, idx_bytes(IMAGES), idx_bytes(IMAGES)))
    with pytest.raises(DataError, match="labels: has 2 dimensions instead of 1"):
        read_split(*write(tmp_path, idx_bytes(IMAGES), idx_bytes(LABELS.reshape(6, 1))))


def test_what_is_no_readable_file(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, fault in [
        ("absent", "No such file"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
    ]:
        with pytest.raises(DataError, match=f"{name}: .*{fault}"):
            read_idx(tmp_path / name, ndims=(3, 4))
    with (tmp_path / "huge").open("wb") as file:
        file.write(HEADER)
        file.truncate(2**40)
    with pytest.raises(DataError, match="huge: holds more bytes than"):
        read_idx(tmp_path / "huge", ndims=(3, 4))
    with pytest.raises(DataError, match="loop: "):
        read_idx(tmp_path / "loop", ndims=(3, 4))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_file_whose_reading_fails(tmp_path):
    (tmp_path / "broken").symlink_to("/proc/self/mem")
    with pytest.raises(DataError, match="broken: Input/output error"):
        read_idx(tmp_path / "broken", ndims=(3, 4))


@pytest.fixture(scope="session")
def bomb(tmp_path_factory) -> Path:
    """A quarter of a gigabyte of zeros behind the header of a single image: a megabyte on disk."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.gz"
    with path.open("wb") as raw, gzip.open(raw, "wb", compresslevel=1) as file:
        file.write(struct.pack(">HBB3I", 0, 8, 3, 1, 28, 28))
        for _ in range(256):
            file.write(bytes(2**20))
    return path


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(path, ndims=(3, 4))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_costs_little(bomb):
    start = time.monotonic()
    assert peak_bytes(bomb) < 8 * CHUNK_BYTES
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("shape", [(2**32 - 1, 28, 28), (2**32 - 1,) * 3, (MAX_BYTES, 1, 1), (80_000, 28, 28)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_header_that_claims_much_allocates_little(tmp_path, shape, suffix):
    content = struct.pack(">HBB3I", 0, 8, 3, *shape) + bytes(100)
    path = tmp_path / f"liar{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    assert peak_bytes(path) < 8 * CHUNK_BYTES


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_size_limit_holds_for_files_that_tell_the_truth(tmp_path, suffix, monkeypatch):
    images = np.zeros((6, 40, 30), np.uint8)
    content = idx_bytes(images)
    path = tmp_path / f"honest{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    monkeypatch.setattr("dlx.data.idx.MAX_BYTES", len(content))
    np.testing.assert_array_equal(read_idx(path, ndims=(3,)).values, images)
    monkeypatch.setattr("dlx.data.idx.MAX_BYTES", len(content) - 1)
    with pytest.raises(DataError, match=f"honest{suffix}: "):
        read_idx(path, ndims=(3,))


def test_the_size_limit_leaves_room_for_mnist():
    assert 16 + 60_000 * 28 * 28 <= MAX_BYTES < 2 * 60_000 * 28 * 28


def mutations(content: bytes) -> st.SearchStrategy[bytes]:
    """Bytes flipped, cut off, inserted, or a header put in front."""
    place = st.integers(0, len(content))
    size = st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1))
    flips = st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), min_size=1, max_size=4)

    def flip(pairs):
        damaged = bytearray(content)
        for where, bits in pairs:
            damaged[where] ^= bits
        return bytes(damaged)

    headers = st.builds(
        lambda code, ndim, sizes: struct.pack(">HBB3I", 0, code, ndim, *sizes),
        st.sampled_from([8, 8, 9, 13]),
        st.sampled_from([3, 3, 4, 1, 255]),
        st.tuples(size, size, size),
    )
    return st.one_of(
        flips.map(flip),
        place.map(lambda cut: content[:cut]),
        st.builds(lambda at, new: content[:at] + new + content[at:], place, st.binary(min_size=1, max_size=9)),
        headers.map(lambda header: header + content[16:]),
        st.binary(max_size=64),
    )


def oracle(content: bytes, ndims: tuple[int, ...]) -> np.ndarray | None:
    """What a legal IDX file holds, by the definition of the format; None for any other content."""
    if content[:4] not in [bytes([0, 0, 8, ndim]) for ndim in ndims] or len(content) < 4 + 4 * content[3]:
        return None
    ndim = content[3]
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(ndim)]
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)
    return values.reshape(shape) if len(values) and int(np.prod(shape, dtype=object)) == len(values) else None


def unpacked(content: bytes) -> bytes | None:
    """Content by the standard library's gzip."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read()
    except Exception:
        return None


FUZZ = settings(
    max_examples=300,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(content=mutations(idx_bytes(IMAGES)))
def test_fuzz_plain(tmp_path, content):
    path = tmp_path / "fuzz"
    path.write_bytes(content)
    expected = oracle(content, ndims=(3, 4))
    if expected is None:
        with pytest.raises(DataError):
            read_idx(path, ndims=(3, 4))
    else:
        np.testing.assert_array_equal(read_idx(path, ndims=(3, 4)).values, expected, strict=True)


@FUZZ
@given(content=mutations(gzip.compress(idx_bytes(IMAGES), mtime=0)))
def test_fuzz_gzip(tmp_path, content):
    path = tmp_path / "fuzz.gz"
    path.write_bytes(content)
    try:
        values = read_idx(path, ndims=(3, 4)).values
    except DataError:
        return
    np.testing.assert_array_equal(values, oracle(unpacked(content), ndims=(3, 4)), strict=True)


@FUZZ
@given(content=mutations(idx_bytes(LABELS)))
def test_fuzz_labels(tmp_path, content):
    paths = write(tmp_path, idx_bytes(IMAGES), content)
    expected = oracle(content, ndims=(1,))
    if expected is None or len(expected) != len(IMAGES):
        with pytest.raises(DataError):
            read_split(*paths)
    else:
        np.testing.assert_array_equal(read_split(*paths)[0].y, expected, strict=True)
