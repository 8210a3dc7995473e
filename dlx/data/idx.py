"""Reads IDX files, the format of MNIST.

A file has two zero bytes, type code, number of dimensions, sizes, values. It is not trusted. Its bytes are unpacked in
bounded chunks, and reading stops at the first chunk too many. So neither a gzip bomb nor a header that claims billions
of images costs memory or time.
"""

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Array, Integer, Shaped, UInt8

from dlx.types import Labelled

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""Names of the four files, without `.gz`: images and labels, of the training set and of the test set."""

MAX_BYTES = 2**26
"""The most bytes that an unpacked file may have; MNIST's largest has 47 040 016."""

CHUNK_BYTES = 2**18
UNSIGNED_BYTE = 0x08


class DataError(Exception):
    """A data set is not available, or a file is not valid. The message names the data set or file, and the fault."""


class IdxFile(NamedTuple):
    """The values of an IDX file, and the sha256 (hex) of its unpacked bytes."""

    values: UInt8[np.ndarray, "*shape"]
    sha256: str


def as_split(x: Shaped[np.ndarray, "n *shape"], y: Integer[np.ndarray, " n"]) -> Labelled:
    """Inputs and labels as a split; the arrays stay NumPy's."""
    return Labelled(cast(Array, x), cast(Array, y))


def find_file(folder: Path, name: str) -> Path:
    """Path of the IDX file `name` in `folder`, gzipped (`.gz`) or plain. Raises DataError if there is neither.

    A name such as `train-images.idx3-ubyte` is known, too: some programs unpack to it.
    """
    dotted = name.replace("-idx", ".idx")
    for path in (folder / f"{name}.gz", folder / name, folder / f"{dotted}.gz", folder / dotted):
        if os.path.lexists(path):
            return path
    raise DataError(f"{folder / name}: file is missing, both with and without .gz")


def read_split(images: Path, labels: Path) -> tuple[Labelled, tuple[str, str]]:
    """The images and labels in two files, and the sha256 of both files.

    Images are uint8 [n, height, width] or [n, height, width, channels], labels uint8 [n]. The hashes are hex, of the
    unpacked bytes. Raises DataError as `read_idx` does, or if the numbers of images and labels differ.
    """
    x, images_sha256 = read_idx(images, ndims=(3, 4))
    y, labels_sha256 = read_idx(labels, ndims=(1,))
    if len(x) != len(y):
        raise DataError(f"{labels}: holds {len(y)} labels, but {images} holds {len(x)} images")
    return as_split(x, y), (images_sha256, labels_sha256)


def read_idx(path: Path, ndims: Collection[int]) -> IdxFile:
    """The values of an IDX file of unsigned bytes; a `.gz` file is unpacked.

    `ndims` are the allowed numbers of dimensions. Raises DataError if the file is missing, unreadable or corrupt. It
    also raises it for other dimensions, or for more than `MAX_BYTES` when unpacked.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would block, or never end
            raise ValueError("is not a regular file")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content, shape = _read(file.read, ndims)
    except (OSError, EOFError, ValueError, zlib.error) as fault:
        reason = (isinstance(fault, OSError) and fault.strerror) or fault
        raise DataError(f"{path}: {reason}") from fault
    values = np.frombuffer(content, np.uint8, offset=len(content) - math.prod(shape)).reshape(shape)
    return IdxFile(values, hashlib.sha256(content).hexdigest())


def _read(read: Callable[[int], bytes], ndims: Collection[int]) -> tuple[bytearray, tuple[int, ...]]:
    """All bytes that `read` gives, and the shape in their header. Raises ValueError if the two do not agree."""
    content = bytearray(read(4))
    if len(content) == 4:
        content += read(4 * _ndim(content, ndims))
    if len(content) < 4 or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"ends after {len(content)} bytes, within its header")
    header_bytes = len(content)
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    if not 0 < math.prod(shape) <= MAX_BYTES - header_bytes:
        raise ValueError(f"claims the shape {shape}; legal are 1 to {MAX_BYTES} bytes in all")
    while chunk := read(CHUNK_BYTES):
        content += chunk
        if len(content) > header_bytes + math.prod(shape):
            raise ValueError(f"holds more bytes than its header's shape {shape} has")
    if len(content) < header_bytes + math.prod(shape):
        raise ValueError(f"ends after {len(content) - header_bytes} values; its header's shape is {shape}")
    return content, shape


def _ndim(header: bytearray, ndims: Collection[int]) -> int:
    """The number of dimensions, from the first four bytes. Raises ValueError if these are not valid."""
    zeros, code, ndim = struct.unpack(">HBB", header)
    if zeros != 0:
        raise ValueError(f"is not an IDX file: its magic number is 0x{header.hex()}")
    if code != UNSIGNED_BYTE:
        raise ValueError(f"has the type code 0x{code:02x}; unsigned bytes have 0x{UNSIGNED_BYTE:02x}")
    if ndim not in ndims:
        raise ValueError(f"has {ndim} dimensions instead of {' or '.join(map(str, ndims))}")
    return ndim
