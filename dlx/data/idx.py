"""Reader of IDX files, the format of MNIST: two zero bytes, type code, number of dimensions, sizes, values.

A file is not trusted. Its unpacked bytes come in bounded chunks, and reading stops at the first one too many:
neither a gzip bomb nor a header that claims billions of images costs memory or time.
"""

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
from jaxtyping import Array, Integer, Shaped, UInt8

from dlx.types import Split

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""Names of the four files, without `.gz`: images and labels, of the training set and of the test set."""

MAX_BYTES = 2**26
"""Most bytes that an unpacked file may legally hold; MNIST's largest holds 47 040 016."""

CHUNK_BYTES = 2**18
UNSIGNED_BYTE = 0x08
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class DataError(Exception):
    """A data set that cannot be had, or a file that is not what it should be. Names both thing and fault."""


class IdxFile(NamedTuple):
    """The values of an IDX file, and the sha256 (hex) of its unpacked bytes."""

    values: UInt8[np.ndarray, "*shape"]
    sha256: str


def as_split(x: Shaped[np.ndarray, "n *shape"], y: Integer[np.ndarray, " n"]) -> Split:
    """Inputs and labels as a Split whose arrays stay in NumPy's memory."""
    return Split(cast(Array, x), cast(Array, y))


def find_file(folder: Path, name: str) -> Path:
    """Path of the IDX file `name` in `folder`, gzipped (`.gz`) or plain. Raises DataError if there is neither."""
    for path in (folder / f"{name}.gz", folder / name):
        if os.path.lexists(path):
            return path
    raise DataError(f"{folder / name}: file is missing, both with and without .gz")


def read_split(images: Path, labels: Path) -> tuple[Split, tuple[str, str]]:
    """Images uint8 [n, height, width] or [n, height, width, channels], labels uint8 [n], the sha256 of both files.

    The hashes are hex, of the unpacked bytes. Raises DataError as `read_idx`, or if the numbers of images and labels
    differ.
    """
    x, images_sha256 = read_idx(images, ndims=(3, 4))
    y, labels_sha256 = read_idx(labels, ndims=(1,))
    if len(x) != len(y):
        raise DataError(f"{labels}: holds {len(y)} labels, but {images} holds {len(x)} images")
    return as_split(x, y), (images_sha256, labels_sha256)


def read_idx(path: Path, ndims: Collection[int]) -> IdxFile:
    """Values of an IDX file of unsigned bytes, whose number of dimensions is in `ndims`; `.gz` files are unpacked.

    Raises DataError if the file is missing, unreadable, corrupt, or larger than `MAX_BYTES` when unpacked.
    """
    content, shape = bytearray(), None
    try:
        for chunk in _chunks(path):
            content += chunk
            shape = shape or _shape(content, ndims)
            if shape and len(content) > _header_bytes(len(shape)) + math.prod(shape):
                raise ValueError(f"holds more bytes than its header's shape {shape} has")
        if shape is None:
            raise ValueError(f"ends after {len(content)} bytes, within its header")
        header_bytes = _header_bytes(len(shape))
        if len(content) < header_bytes + math.prod(shape):
            raise ValueError(f"ends after {len(content) - header_bytes} values; its header's shape is {shape}")
    except (OSError, ValueError, zlib.error) as fault:
        reason = (isinstance(fault, OSError) and fault.strerror) or fault
        raise DataError(f"{path}: {reason}") from fault
    values = np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)
    return IdxFile(values, hashlib.sha256(content).hexdigest())


def _header_bytes(ndim: int) -> int:
    return 4 + 4 * ndim


def _shape(content: bytearray, ndims: Collection[int]) -> tuple[int, ...] | None:
    """Sizes that the header claims, None if `content` ends within it. ValueError: it is not a legal header."""
    if len(content) < _header_bytes(0):
        return None
    zeros, code, ndim = struct.unpack_from(">HBB", content)
    if zeros != 0:
        raise ValueError(f"is not an IDX file: its magic number is 0x{content[:4].hex()}")
    if code != UNSIGNED_BYTE:
        raise ValueError(f"has the type code 0x{code:02x}; unsigned bytes have 0x{UNSIGNED_BYTE:02x}")
    if ndim not in ndims:
        raise ValueError(f"has {ndim} dimensions instead of {' or '.join(map(str, ndims))}")
    if len(content) < _header_bytes(ndim):
        return None
    shape = struct.unpack_from(f">{ndim}I", content, _header_bytes(0))
    if not 0 < math.prod(shape) <= MAX_BYTES - _header_bytes(ndim):
        raise ValueError(f"claims the shape {shape}; legal are 1 to {MAX_BYTES} bytes in all")
    return shape


def _chunks(path: Path) -> Iterator[bytes]:
    """Unpacked content, at most `CHUNK_BYTES` at a time. OSError, ValueError, zlib.error: not to be had."""
    # A pipe or a device would block, or never end.
    if path.exists() and not path.is_file():
        raise ValueError("is not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"holds more than {MAX_BYTES} bytes")
    with path.open("rb") as file:
        if path.suffix == ".gz":
            yield from _unpacked(file)
        else:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    stream = zlib.decompressobj(GZIP_WINDOW)
    while not stream.eof:
        packed = stream.unconsumed_tail or file.read(CHUNK_BYTES)
        if not packed:
            raise ValueError("is truncated: its gzip stream does not end")
        yield stream.decompress(packed, CHUNK_BYTES)
    if stream.unused_data or file.read(1):
        raise ValueError("goes on after the end of its gzip stream")
