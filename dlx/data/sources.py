"""Data sets by name, and where they were found."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dlx.data import idx, prepared, remote
from dlx.data.idx import DataError
from dlx.types import Data, Split

MNIST_LIKE = ("mnist", "fashion_mnist", "kmnist")
NAMES = (*MNIST_LIKE, "digits", "tfds:<name>")

Source = Literal["idx", "tfds", "embedded"]
Variant = Literal["canonical", "ones-zeroed", "unrecognised", "embedded"]

_MNIST_TRAIN_IMAGES: dict[str, Variant] = {
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db": "canonical",
    "b61ffb6f513fd9ff8d89824731f6b4ed7863c759c33056d701efb8412469fb04": "ones-zeroed",
}
_MNIST_OTHERS = (
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)


class Provenance(NamedTuple):
    """What was loaded. "ones-zeroed": training pixels of intensity 1 read 0. `fingerprint`: sha256, hex."""

    name: str
    source: Source
    variant: Variant
    fingerprint: str


def load(name: str) -> Data:
    """The data set `name`, without its provenance; see `read`."""
    return read(name)[0]


def read(name: str) -> tuple[Data, Provenance]:
    """The data set `name`, and its provenance.

    The arrays are NumPy's: x uint8 [n, height, width] or [n, height, width, channels], y int32 [n]. Names:

    - `mnist`, `fashion_mnist`, `kmnist`: IDX files in `$DLX_DATA_DIR/<name>/`, else prepared in TFDS's folder
      (`$TFDS_DATA_DIR`), else downloaded. 50 000 / 10 000 / 10 000 examples; `valid` is the last sixth of the
      training set. A prepared copy stands in TFDS's order, hence has other examples there.
    - `digits`: scikit-learn's 8 x 8 digits, 1197 / 300 / 300. Needs neither files nor network.
    - `tfds:<name>`: a prepared TFDS data set of labelled images; `valid` is its `validation`, or else the
      last sixth of `train`.

    Raises:
        DataError: unknown name, corrupt file, or data set not at hand; without a network, within 5 s.
    """
    if name == "digits":
        return _with_provenance(name, _digits(), "embedded", "embedded")
    if name in MNIST_LIKE:
        return _mnist_like(name)
    if name.startswith("tfds:"):
        return _with_provenance(name, _tfds(name.removeprefix("tfds:")), "tfds", "unrecognised")
    raise DataError(f"unknown data set {name!r}; known are {', '.join(NAMES)}")


def flat(data: Data) -> Data:
    """The data with each image as one row of pixels: x [n, height * width * channels]."""
    return Data(*(Split(x.reshape(len(x), -1), y) for x, y in data))


def fingerprint(data: Data) -> str:
    """sha256 (hex) over dtype, shape and values of all arrays: train x and y, then valid, then test."""
    digest = hashlib.sha256()
    for split in data:
        for array in map(np.ascontiguousarray, split):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(array)
    return digest.hexdigest()


def _with_provenance(name: str, data: Data, source: Source, variant: Variant) -> tuple[Data, Provenance]:
    return data, Provenance(name, source, variant, fingerprint(data))


def _mnist_like(name: str) -> tuple[Data, Provenance]:
    """The first source that has the data set: an IDX folder, TFDS's prepared data sets, a download."""
    root = os.environ.get("DLX_DATA_DIR")
    if root and os.path.lexists(Path(root, name)):
        data, hashes = _from_idx([idx.find_file(Path(root, name), file) for file in idx.FILES])
        return _with_provenance(name, data, "idx", _variant(name, hashes))
    tfds_folder = _tfds_folder()
    if found := prepared.find_prepared(name, tfds_folder):
        return _with_provenance(name, _from_prepared(found), "tfds", "unrecognised")
    remotes = remote.registered(name)
    try:
        paths = remote.download(name, remotes, tfds_folder / "downloads")
    except DataError as fault:
        tried = f"DLX_DATA_DIR ({root} has no {name}/)" if root else "DLX_DATA_DIR (not set)"
        raise DataError(
            f"{name} is not at hand. Tried {tried}, TFDS in {tfds_folder} (not prepared), "
            f"its download ({fault}).\n"
            f"Set DLX_DATA_DIR to a folder that holds {name}/ with the four IDX files, or use --data digits."
        ) from fault
    return _with_provenance(name, _from_idx(paths)[0], "tfds", "canonical")


def _from_idx(paths: Sequence[Path]) -> tuple[Data, tuple[str, ...]]:
    """Data from the four files in the order of `idx.FILES`, and the sha256 of each one's unpacked bytes."""
    train, train_hashes = idx.read_split(*paths[:2])
    test, test_hashes = idx.read_split(*paths[2:])
    if train.x.shape[1:] != test.x.shape[1:]:
        raise DataError(f"{paths[2]}: images are {test.x.shape[1:]}, but those of {paths[0]} are {train.x.shape[1:]}")
    return Data(*_hold_out(train, paths[0]), test), train_hashes + test_hashes


def _variant(name: str, hashes: tuple[str, ...]) -> Variant:
    if name != "mnist" or hashes[1:] != _MNIST_OTHERS:
        return "unrecognised"
    return _MNIST_TRAIN_IMAGES.get(hashes[0], "unrecognised")


def _hold_out(train: Split, origin: object) -> tuple[Split, Split]:
    """The first five sixths to train on, the last sixth to validate on."""
    held_out = len(train.y) // 6
    if held_out == 0:
        raise DataError(f"{origin}: {len(train.y)} training examples are too few to hold out a sixth of them")
    return Split(train.x[:-held_out], train.y[:-held_out]), Split(train.x[-held_out:], train.y[-held_out:])


def _tfds(name: str) -> Data:
    folder = _tfds_folder()
    found = prepared.find_prepared(name, folder)
    if found is None:
        raise DataError(
            f"TFDS data set {name} is not prepared in {folder} in a random-access format.\n"
            "Use download_and_prepare(file_format='array_record'), or set TFDS_DATA_DIR to where it is."
        )
    return _from_prepared(found)


def _from_prepared(found: prepared.Prepared) -> Data:
    for split in ("train", "test"):
        if split not in found.splits:
            raise DataError(f"TFDS data set {found.name}: has no split {split}; it has {', '.join(found.splits)}")
    train, test = prepared.read_prepared(found, "train"), prepared.read_prepared(found, "test")
    if "validation" in found.splits:
        return Data(train, prepared.read_prepared(found, "validation"), test)
    return Data(*_hold_out(train, f"TFDS data set {found.name}"), test)


def _tfds_folder() -> Path:
    import tensorflow_datasets as tfds

    return Path(os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR).expanduser()


def _digits() -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    # Of NumPy's random numbers only the raw bits are promised to be the same in every release.
    order = np.random.PCG64(0).random_raw(len(y)).argsort(kind="stable")
    x = np.round(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)[order]
    y = y[order]
    return Data(*(idx.as_split(x[part], y[part]) for part in (slice(1197), slice(1197, 1497), slice(1497, None))))
