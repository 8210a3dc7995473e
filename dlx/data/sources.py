"""Data sets by name, and where they were found."""

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import numpy as np

from dlx.data import idx, remote
from dlx.data.checks import check
from dlx.data.idx import DataError
from dlx.data.prepared import read_prepared
from dlx.types import Data, Labelled

MNIST_LIKE = ("mnist", "fashion_mnist", "kmnist")
TEN_CLASSES = 10
"""Classes of `digits` and of every data set in `MNIST_LIKE`."""

Source = Literal["idx", "tfds", "embedded", "generated", "arrays"]
Variant = Literal["canonical", "ones-zeroed", "unrecognised", "embedded", "generated", "arrays"]

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


class Dataset(NamedTuple):
    """Data and what is known of them.

    `shape` is that of one example as loaded, such as (28, 28) or (32, 32, 3). Labels are 0 to `classes` - 1; without
    labels there are 0 classes.
    """

    data: Data
    origin: Provenance
    shape: tuple[int, ...]
    classes: int


def load(name: str) -> Data:
    """Only the examples of the data set `name`; see `read`."""
    return read(name).data


def read(name: str) -> Dataset:
    """The data set `name`, with its provenance, shape and number of classes.

    The arrays are NumPy's: x uint8 [n, height, width] or [n, height, width, channels], y int32 [n]. An axis for a
    single channel is left out. Names:

    - `mnist`, `fashion_mnist`, `kmnist`: IDX files in `$DLX_DATA_DIR/<name>/`. Without that variable it is what TFDS
      has prepared in `$TFDS_DATA_DIR`, or else a download. There are 50 000 / 10 000 / 10 000 examples. `valid` is the
      last sixth of the training set. A prepared copy is in TFDS's order, so its `valid` has other examples.
    - `digits`: scikit-learn's 8 x 8 digits, 1197 / 300 / 300. It needs neither files nor network.
    - `blank`: zeros in the shapes of MNIST, for programs that are compiled and not run.
    - `tfds:<name>`: a prepared TFDS data set of labelled images. `valid` is its `validation`, if there is one.
      Otherwise it is the last sixth of `train`.

    Raises DataError for an unknown name, a corrupt file, images of several sizes, or a wrong label. It also raises it
    for a data set that is not available; without a network this takes at most 5 s.
    """
    if name == "digits":
        return _dataset(name, _digits(), TEN_CLASSES, "embedded", "embedded", place=name)
    if name == "blank":
        return blank()
    if name in MNIST_LIKE:
        return _mnist_like(name)
    if name.startswith("tfds:"):
        if prepared := _prepared(name):
            return prepared
        tfds_name = name.removeprefix("tfds:")
        raise DataError(
            f"TFDS data set {tfds_name} is not prepared in {_tfds_folder()} in a random-access format.\n"
            "Use download_and_prepare(file_format='array_record'), or set TFDS_DATA_DIR to where it is."
        )
    raise DataError(f"unknown data set {name!r}; known are {', '.join(MNIST_LIKE)}, digits, blank, tfds:<name>")


def of_arrays(name: str, data: Data, classes: int) -> Dataset:
    """A data set of one's own: images x [n, height, width] or [n, height, width, channels], and labels y [n].

    Pixels are uint8, or floats from 0 to 1. Raises DataError for a label outside 0 to `classes` - 1, or for images of
    several shapes.
    """
    return _dataset(name, data, classes, "arrays", "arrays", place=name)


def flat(data: Data) -> Data:
    """The data with each example as a vector: every array of `x`, [n, *shape], becomes [n, product of shape]."""

    def vectors(leaf):
        return leaf.reshape(len(leaf), math.prod(leaf.shape[1:]))

    return Data(*(split._replace(x=jax.tree.map(vectors, split.x)) for split in data))


def shorten(dataset: Dataset, n: int) -> Dataset:
    """The data set with its first n training examples alone, or as it is if there are no more. The fingerprint is new.

    Raises ValueError if n is less than 1.
    """
    if n < 1:
        raise ValueError(f"a data set needs at least one training example, not {n}")
    train = dataset.data.train
    if n >= len(jax.tree.leaves(train)[0]):
        return dataset
    data = dataset.data._replace(train=jax.tree.map(lambda leaf: leaf[:n], train))
    return dataset._replace(data=data, origin=dataset.origin._replace(fingerprint=fingerprint(data)))


def fingerprint(data: Data) -> str:
    """sha256 (hex) over dtype, shape and values of all arrays: those of train, x before y, of valid, of test."""
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, jax.tree.leaves(data)):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array)
    return digest.hexdigest()


def blank(shape: tuple[int, ...] = (28, 28), classes: int = TEN_CLASSES) -> Dataset:
    """Zeros, as many as MNIST has examples, for programs that are compiled and not run."""
    splits = (idx.as_split(np.zeros((n, *shape), np.uint8), np.zeros(n, np.int32)) for n in (50_000, 10_000, 10_000))
    return _dataset("blank", Data(*splits), classes, "generated", "generated", place="blank")


def known_variant(name: str, hashes: Sequence[str]) -> Variant:
    """The variant of MNIST in four IDX files, given the sha256 (hex) of each one's unpacked bytes."""
    if name != "mnist" or tuple(hashes[1:]) != _MNIST_OTHERS:
        return "unrecognised"
    return _MNIST_TRAIN_IMAGES.get(hashes[0], "unrecognised")


def _dataset(name: str, data: Data, classes: int, source: Source, variant: Variant, place: object) -> Dataset:
    """Check the data, and return them in their final form. An error names `place`, where they were found."""
    data = Data(*(Labelled(x[..., 0] if x.ndim == 4 and x.shape[-1] == 1 else x, y) for x, y in data))
    shape = data.train.x.shape[1:]
    check(data, shape, classes, place)
    for split, (x, _) in zip(Data._fields, data, strict=True):
        if x.shape[1:] != shape:
            raise DataError(f"{place}: images of {split} have the shape {x.shape[1:]}, but those of train have {shape}")
    # Only after the check: a label of more than 32 bits could become one of the classes here.
    data = Data(*(Labelled(x, y.astype(np.int32)) for x, y in data))
    return Dataset(data, Provenance(name, source, variant, fingerprint(data)), shape, classes)


def _mnist_like(name: str) -> Dataset:
    """The data set from the IDX folder that the environment names, or else what TFDS has prepared, or a download."""
    if root := os.environ.get("DLX_DATA_DIR"):
        folder = Path(root).expanduser() / name
        if not os.path.lexists(folder):  # other copies have other examples or another order
            raise DataError(
                f"DLX_DATA_DIR={root} has no {name}/; set it to a folder that holds {name}/ with the four IDX files, "
                "or unset it"
            )
        data, hashes = _from_idx([idx.find_file(folder, file) for file in idx.FILES])
        return _dataset(name, data, TEN_CLASSES, "idx", known_variant(name, hashes), place=folder)
    if prepared := _prepared(name):
        return prepared
    remotes = remote.registered(name)
    try:
        paths = remote.download(name, remotes, _tfds_folder() / "downloads")
    except DataError as fault:
        raise DataError(
            f"{name} is not at hand. Tried DLX_DATA_DIR (not set), TFDS in {_tfds_folder()} (not prepared), its "
            f"download ({fault}).\n"
            f"Set DLX_DATA_DIR to a folder that holds {name}/ with the four IDX files, or use --data digits."
        ) from fault
    return _dataset(name, _from_idx(paths)[0], TEN_CLASSES, "tfds", "canonical", place=paths[0].parent)


def _from_idx(paths: Sequence[Path]) -> tuple[Data, tuple[str, ...]]:
    """Data from the four files in the order of `idx.FILES`, and the sha256 of each one's unpacked bytes."""
    train, train_hashes = idx.read_split(*paths[:2])
    test, test_hashes = idx.read_split(*paths[2:])
    return Data(*_hold_out(train, paths[0]), test), train_hashes + test_hashes


def _hold_out(train: Labelled, origin: object) -> tuple[Labelled, Labelled]:
    """The first five sixths for training, and the last sixth for validation."""
    held_out = len(train.y) // 6
    if held_out == 0:
        raise DataError(f"{origin}: {len(train.y)} training examples are too few to hold out a sixth of them")
    return Labelled(train.x[:-held_out], train.y[:-held_out]), Labelled(train.x[-held_out:], train.y[-held_out:])


def _prepared(name: str) -> Dataset | None:
    """A data set that TFDS has prepared; None if it has not."""
    tfds_name = name.removeprefix("tfds:")
    prepared = read_prepared(tfds_name, _tfds_folder())
    if prepared is None:
        return None
    splits, classes = prepared
    place = f"TFDS data set {tfds_name}"
    valid = splits.get("validation")
    train_valid = _hold_out(splits["train"], place) if valid is None else (splits["train"], valid)
    return _dataset(name, Data(*train_valid, splits["test"]), classes, "tfds", "unrecognised", place)


def _tfds_folder() -> Path:
    import tensorflow_datasets as tfds

    return Path(os.environ.get("TFDS_DATA_DIR") or tfds.core.constants.DATA_DIR).expanduser()


def _digits() -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    # NumPy promises only for the raw random bits that they are the same in every release.
    order = np.random.PCG64(0).random_raw(len(y)).argsort(kind="stable")
    x = np.round(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)[order]
    y = y[order]
    return Data(*(idx.as_split(x[part], y[part]) for part in (slice(1197), slice(1197, 1497), slice(1497, None))))
