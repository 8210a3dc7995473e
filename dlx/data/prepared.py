"""Prepared TFDS data sets of labelled images, read without TensorFlow through `builder.as_data_source()`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from dlx.data.idx import DataError, as_split
from dlx.types import Split

NAME = re.compile(r"[a-z]\w*(/\w[\w+.-]*)?(:(\d+|\*)(\.(\d+|\*)){2})?", re.ASCII | re.IGNORECASE)
"""A name that TFDS has, or may have: `name`, `name/config`, `name:version`, `name/config:version`."""


class Prepared(NamedTuple):
    """A prepared data set: its splits by name, which features are image and class, and the number of classes."""

    name: str
    splits: Mapping[str, Any]
    image: str
    label: str
    classes: int


def find_prepared(name: str, folder: Path) -> Prepared | None:
    """The data set `name` (or `name/config:version`) in `folder`, None if no random-access copy is there.

    Raises DataError if the name is missing or malformed, the data set cannot be opened, its features include not
    exactly one uint8 image and one class, or they do not tell how many classes there are.
    """
    if not name:
        raise DataError("'tfds:' lacks the name of a data set; write it after the colon, as in 'tfds:cifar10'")
    if not NAME.fullmatch(name):
        raise DataError(
            f"{f'tfds:{name}'!r} is malformed; write 'tfds:name', 'tfds:name/config' or 'tfds:name/config:version', "
            "as in 'tfds:emnist/letters:3.1.0'"
        )
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    try:
        builder = builder_from_files(name, data_dir=folder)
        splits = cast(Any, builder).as_data_source()
    except (tfds.core.DatasetNotFoundError, NotImplementedError):
        return None
    except Exception as fault:
        raise _unreadable(name, fault) from fault
    features = builder.info.features
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1 or features[images[0]].np_dtype != np.uint8:
        raise DataError(f"TFDS data set {name}: not one uint8 image and one class, but {', '.join(sorted(features))}")
    classes = features[labels[0]].num_classes
    if not classes:
        raise DataError(f"TFDS data set {name}: its feature {labels[0]} does not tell how many classes there are")
    return Prepared(name, splits, images[0], labels[0], classes)


def read_prepared(prepared: Prepared, split: str) -> Split:
    """Images uint8 [n, height, width, channels] and integer labels [n] of the split with the name `split`.

    Raises DataError if the files are corrupt or absent, or the images differ in size.
    """
    try:
        examples = [(example[prepared.image], example[prepared.label]) for example in prepared.splits[split]]
    except Exception as fault:
        raise _unreadable(prepared.name, fault) from fault
    shapes = {image.shape for image, _ in examples}
    if len(shapes) != 1:
        raise DataError(f"TFDS data set {prepared.name}: images of {split} have {len(shapes)} sizes instead of one")
    return as_split(np.stack([image for image, _ in examples]), np.array([label for _, label in examples]))


def _unreadable(name: str, fault: Exception) -> DataError:
    """TFDS and the readers below it raise errors of any type."""
    return DataError(f"TFDS data set {name}: {type(fault).__name__}: {str(fault).partition(chr(10))[0]}")
