"""Reads data sets of labelled images that TFDS has prepared.

It needs no TensorFlow, as it uses `builder.as_data_source()`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from dlx.data.idx import DataError, as_split
from dlx.types import Labelled

NAME = re.compile(r"[a-z]\w*(/\w[\w+.-]*)?(:(\d+|\*)(\.(\d+|\*)){2})?", re.ASCII | re.IGNORECASE)
"""A name that TFDS has, or may have: `name`, `name/config`, `name:version`, `name/config:version`."""


def read_prepared(name: str, folder: Path) -> tuple[dict[str, Labelled], int] | None:
    """The splits of a data set in `folder`, and the number of classes; None if it is not there.

    `name` may be `name/config:version`, too. The splits are train, test and, if there is one, validation. Images are
    uint8 [n, height, width, channels], labels integers [n]. A copy without random access counts as not there.

    Raises DataError in these cases: the name is missing or malformed; train or test is missing; files cannot be read;
    the features do not have exactly one uint8 image and one class; the number of classes is not known; the images of
    a split differ in size.
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

    place = f"TFDS data set {name}"
    try:
        builder = builder_from_files(name, data_dir=folder)
        sources = cast(Any, builder).as_data_source()
    except (tfds.core.DatasetNotFoundError, NotImplementedError):
        return None
    except Exception as fault:  # TFDS and the readers below it raise errors of any type
        raise DataError(f"{place}: {_first_line(fault)}") from fault
    image, label, classes = _features(builder.info.features, place)
    for split in ("train", "test"):
        if split not in sources:
            raise DataError(f"{place}: has no split {split}; it has {', '.join(sources)}")
    wanted = [split for split in ("train", "validation", "test") if split in sources]
    return {split: _read_split(sources, split, image, label, place) for split in wanted}, classes


def _features(features: Any, place: str) -> tuple[str, str, int]:
    """Which feature is the image and which the class, and the number of classes."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if len(images) != 1 or len(labels) != 1 or features[images[0]].np_dtype != np.uint8:
        raise DataError(f"{place}: not one uint8 image and one class, but {', '.join(sorted(features))}")
    classes = features[labels[0]].num_classes
    if not classes:
        raise DataError(f"{place}: its feature {labels[0]} does not tell how many classes there are")
    return images[0], labels[0], classes


def _read_split(sources: Mapping[str, Any], split: str, image: str, label: str, place: str) -> Labelled:
    try:
        examples = [(example[image], example[label]) for example in sources[split]]
    except Exception as fault:
        raise DataError(f"{place}: {_first_line(fault)}") from fault
    shapes = {image.shape for image, _ in examples}
    if len(shapes) != 1:
        raise DataError(f"{place}: images of {split} have {len(shapes)} sizes instead of one")
    return as_split(np.stack([image for image, _ in examples]), np.array([label for _, label in examples]))


def _first_line(fault: Exception) -> str:
    return f"{type(fault).__name__}: {str(fault).partition(chr(10))[0]}"
