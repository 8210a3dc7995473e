"""Prepared TFDS data sets of labelled images, read without TensorFlow through `builder.as_data_source()`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from dlx.data.idx import DataError, as_split
from dlx.types import Split


class Prepared(NamedTuple):
    """A prepared data set: its splits by name, and which features of an example are image and class."""

    name: str
    splits: Mapping[str, Any]
    image: str
    label: str
    classes: int


def find_prepared(name: str, folder: Path) -> Prepared | None:
    """The data set `name` (or `name/config:version`) in `folder`, None if no random-access copy is there.

    Raises:
        DataError: it cannot be opened, or its features include not exactly one uint8 image and one class.
    """
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
    return Prepared(name, splits, images[0], labels[0], features[labels[0]].num_classes)


def read_prepared(prepared: Prepared, split: str) -> Split:
    """Images uint8 [n, height, width], with several channels [n, height, width, channels]; labels int32 [n].

    Raises:
        DataError: the files are corrupt, images differ in size, or an example has no class.
    """
    try:
        examples = [(example[prepared.image], example[prepared.label]) for example in prepared.splits[split]]
    except Exception as fault:
        raise _unreadable(prepared.name, fault) from fault
    shapes = {image.shape for image, _ in examples}
    if len(shapes) != 1:
        raise DataError(f"TFDS data set {prepared.name}: images of {split} have {len(shapes)} sizes instead of one")
    x = np.stack([image for image, _ in examples])
    y = np.array([label for _, label in examples])
    if y.min() < 0 or y.max() >= prepared.classes:
        raise DataError(f"TFDS data set {prepared.name}: {split} has labels outside 0..{prepared.classes - 1}")
    return as_split(x[..., 0] if x.shape[-1] == 1 else x, y)


def _unreadable(name: str, fault: Exception) -> DataError:
    """TFDS and the readers below it raise errors of any type."""
    return DataError(f"TFDS data set {name}: {type(fault).__name__}: {str(fault).partition(chr(10))[0]}")
