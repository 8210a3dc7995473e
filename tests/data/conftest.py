"""Tiny data sets on disk, written independently of the readers: IDX files, and TFDS's array records."""

import gzip
import io

import numpy as np
import pytest

from dlx.data.idx import FILES


def pack(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return gzip.compress(header + values.tobytes(), mtime=0)


@pytest.fixture(scope="session")
def examples():
    """A function that draws `n` images of the shape `shape`, and labels 0 to 9, from `seed`."""

    def draw(n: int, shape: tuple[int, ...] = (4, 3), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        return rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n)

    return draw


@pytest.fixture(scope="session")
def arrays(examples) -> dict[str, np.ndarray]:
    """A data set of 12 training and 5 test images of 4 x 3 pixels, by file name."""
    values = (*examples(12), *examples(5, seed=1))
    return {name: array.astype(np.uint8) for name, array in zip(FILES, values, strict=True)}


@pytest.fixture(scope="session")
def packed(arrays) -> dict[str, bytes]:
    """The gzipped IDX files of `arrays`, by file name with `.gz`."""
    return {f"{name}.gz": pack(values) for name, values in arrays.items()}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty TFDS folder, no IDX folder, and no proxy."""
    folder = tmp_path / "tfds"
    monkeypatch.delenv("DLX_DATA_DIR", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def write_idx(tmp_path, nowhere, monkeypatch):
    """A function that writes four gzipped arrays to `$DLX_DATA_DIR/mnist/`, and returns that folder."""

    def write(*values: np.ndarray):
        folder = tmp_path / "idx" / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(FILES, values, strict=True):
            (folder / f"{name}.gz").write_bytes(pack(array.astype(np.uint8)))
        monkeypatch.setenv("DLX_DATA_DIR", str(folder.parent))
        return folder

    return write


def png(image: np.ndarray) -> io.BytesIO:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    file.seek(0)
    return file


@pytest.fixture
def prepare(nowhere):
    """A function that prepares a TFDS data set of (images, labels) by split, without TensorFlow.

    Its features are `keys`, out of image, mask, label and coarse.
    """
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()

    def generate(keys, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            known = {"image": png(image), "mask": png(image), "label": int(label), "coarse": int(label)}
            yield i, {key: known[key] for key in keys}

    def prepare(data_set, splits, shape=(4, 3, 1), dtype=np.uint8, classes=10, keys=("image", "label")):
        image = tfds.features.Image(shape=shape, dtype=dtype)
        label = tfds.features.ClassLabel(num_classes=classes) if classes else tfds.features.Scalar(np.int64)
        kinds = {"image": image, "mask": image, "label": label, "coarse": label}
        features = tfds.features.FeaturesDict({key: kinds[key] for key in keys})

        class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            name = data_set
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

            def _split_generators(self, dl_manager):
                return {split: generate(keys, *examples) for split, examples in splits.items()}

            def _generate_examples(self):
                raise NotImplementedError

        Small(data_dir=nowhere, file_format="array_record").download_and_prepare()

    return prepare
