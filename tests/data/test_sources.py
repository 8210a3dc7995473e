"""Data sets by name: digits, IDX folders, prepared TFDS data sets, and the order of the search."""

import gzip
import hashlib
import io
import socket
import time

import numpy as np
import pytest

from dlx.data import DataError, load, read
from dlx.data.idx import FILES
from dlx.data.remote import Remote
from dlx.data.sources import fingerprint
from dlx.types import Data, Split


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    data, provenance = read("digits")
    assert [split.x.shape for split in data] == [(1197, 8, 8), (300, 8, 8), (300, 8, 8)]
    assert all(split.x.dtype == np.uint8 and split.y.dtype == np.int32 for split in data)
    assert (data.train.x.min(), data.train.x.max()) == (0, 255)
    assert all(set(split.y.tolist()) == set(range(10)) for split in data)

    x, y = load_digits(return_X_y=True)
    known = sorted(
        (*np.round(row * 255 / 16).astype(int).tolist(), int(label)) for row, label in zip(x, y, strict=True)
    )
    got = sorted((*image.ravel().tolist(), int(label)) for split in data for image, label in zip(*split, strict=True))
    assert got == known  # as multisets: complete, and no example in two splits
    assert provenance[:3] == ("digits", "embedded", "embedded")
    assert read("digits")[1] == provenance


def test_fingerprint_sees_every_array_its_shape_and_dtype():
    split = Split(np.zeros((4, 2, 3), np.uint8), np.zeros(4, np.int32))
    data = Data(split, split, split)
    others = [
        data._replace(test=split._replace(y=np.array([0, 0, 0, 1], np.int32))),
        data._replace(train=split._replace(x=np.zeros((4, 3, 2), np.uint8))),
        data._replace(valid=split._replace(y=np.zeros(4, np.uint32))),
    ]
    prints = [fingerprint(data), *map(fingerprint, others)]
    assert len(set(prints)) == len(prints)
    assert all(len(print_) == 64 for print_ in prints)


@pytest.mark.parametrize("name", ["cifar", "", "../mnist", "MNIST"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(DataError, match=r"unknown data set .*mnist, fashion_mnist, kmnist, digits, tfds:<name>"):
        load(name)


@pytest.fixture
def folder(tmp_path, nowhere, monkeypatch, packed):
    """`$DLX_DATA_DIR/mnist/` with four gzipped files."""
    folder = tmp_path / "idx" / "mnist"
    folder.mkdir(parents=True)
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("DLX_DATA_DIR", str(folder.parent))
    return folder


def test_idx_folder(folder, arrays):
    data, provenance = read("mnist")
    images, labels, test_images, test_labels = arrays.values()
    np.testing.assert_array_equal(np.concatenate([data.train.x, data.valid.x]), images)
    np.testing.assert_array_equal(np.concatenate([data.train.y, data.valid.y]), labels)
    np.testing.assert_array_equal(data.test.x, test_images)
    np.testing.assert_array_equal(data.test.y, test_labels)
    assert [len(split.y) for split in data] == [10, 2, 5]
    assert provenance == ("mnist", "idx", "unrecognised", fingerprint(data))


def test_idx_folder_plain_files_give_the_same(folder, packed):
    before = read("mnist")[1]
    for name, content in packed.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert read("mnist")[1] == before


def test_idx_folder_lacking_a_file_is_not_passed_over(folder):
    (folder / f"{FILES[3]}.gz").unlink()
    with pytest.raises(DataError, match=f"{FILES[3]}: file is missing"):
        load("mnist")


def test_idx_folder_whose_images_differ_in_size(folder, packed):
    swapped = bytearray(gzip.decompress(packed[f"{FILES[2]}.gz"]))
    swapped[11], swapped[15] = swapped[15], swapped[11]
    (folder / f"{FILES[2]}.gz").write_bytes(gzip.compress(swapped))
    with pytest.raises(DataError, match=r"t10k-images.* images are \(3, 4\), but those of .* are \(4, 3\)"):
        load("mnist")


def test_variant_goes_by_the_unpacked_bytes(folder, arrays, monkeypatch, packed):
    hashes = [hashlib.sha256(gzip.decompress(content)).hexdigest() for content in packed.values()]
    monkeypatch.setattr("dlx.data.sources._MNIST_TRAIN_IMAGES", {hashes[0]: "ones-zeroed"})
    assert read("mnist")[1].variant == "unrecognised"
    monkeypatch.setattr("dlx.data.sources._MNIST_OTHERS", tuple(hashes[1:]))
    assert read("mnist")[1].variant == "ones-zeroed"


def test_without_files_or_network_the_answer_comes_soon(tmp_path, nowhere, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    remotes = tuple(Remote(f"{url}{name}.gz", 10, "0" * 64) for name in FILES)
    monkeypatch.setattr("dlx.data.remote.registered", lambda name: remotes)
    start = time.monotonic()
    with pytest.raises(DataError) as caught:
        load("fashion_mnist")
    assert time.monotonic() - start < 5
    tried, remedy = str(caught.value).splitlines()
    assert "DLX_DATA_DIR (not set)" in tried
    assert f"TFDS in {nowhere} (not prepared)" in tried
    assert f"{url.rstrip('/')}: Connection refused" in tried
    assert remedy.startswith("Set DLX_DATA_DIR to a folder that holds fashion_mnist/ with the four IDX files")
    assert remedy.endswith("or use --data digits.")
    monkeypatch.setenv("DLX_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=f"{tmp_path} has no fashion_mnist/"):
        load("fashion_mnist")


def png(image: np.ndarray) -> io.BytesIO:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    file.seek(0)
    return file


def prepare(data_set, folder, splits, shape=(4, 3, 1), classes=10):
    """Prepare a TFDS data set of (images, labels) by split, without TensorFlow."""
    import tensorflow_datasets as tfds

    label = tfds.features.ClassLabel(num_classes=classes) if classes else tfds.features.Scalar(np.int64)
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=shape), "label": label})

    def generate(images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": png(image), "label": int(label)}

    class Small(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = data_set
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {split: generate(*examples) for split, examples in splits.items()}

        def _generate_examples(self):
            raise NotImplementedError

    tfds.disable_progress_bar()
    Small(data_dir=folder, file_format="array_record").download_and_prepare()


def examples(n: int, channels: tuple[int, ...] = (), seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 4, 3, *channels), np.uint8), rng.integers(0, 10, n)


def test_prepared_data_set_holds_out_the_last_sixth(nowhere):
    train, test = examples(12), examples(5, seed=1)
    prepare("small", nowhere, {"train": train, "test": test})
    data, provenance = read("tfds:small")
    for split, x, y in zip(
        data, (train[0][:10], train[0][10:], test[0]), (train[1][:10], train[1][10:], test[1]), strict=True
    ):
        np.testing.assert_array_equal(split.x, x, strict=True)
        np.testing.assert_array_equal(split.y, y.astype(np.int32), strict=True)
    assert provenance == ("tfds:small", "tfds", "unrecognised", fingerprint(data))


def test_prepared_data_set_with_colours_and_its_own_validation(nowhere):
    splits = {name: examples(3, (3,), seed) for seed, name in enumerate(["train", "validation", "test"])}
    prepare("colours", nowhere, splits, shape=(4, 3, 3))
    for split, (x, _) in zip(load("tfds:colours:1.0.0"), splits.values(), strict=True):
        np.testing.assert_array_equal(split.x, x, strict=True)


def test_prepared_mnist_comes_before_its_download(nowhere):
    prepare("mnist", nowhere, {"train": examples(12), "test": examples(5)})
    data, provenance = read("mnist")
    assert data.train.x.shape == (10, 4, 3)
    assert provenance[:3] == ("mnist", "tfds", "unrecognised")


def test_prepared_data_sets_that_cannot_be_used(nowhere):
    prepare("half", nowhere, {"train": examples(12), "holdout": examples(5)})
    with pytest.raises(DataError, match="half: has no split test; it has train, holdout"):
        load("tfds:half")
    ragged = [np.zeros((4, 3), np.uint8), np.zeros((5, 3), np.uint8)]
    prepare("ragged", nowhere, {"train": (ragged, [0, 1]), "test": examples(5)}, shape=(None, None, 1))
    with pytest.raises(DataError, match="ragged: images of train have 2 sizes"):
        load("tfds:ragged")
    prepare("unlabelled", nowhere, {"train": examples(6), "test": (examples(2)[0], [-1, -1])})
    with pytest.raises(DataError, match=r"unlabelled: test has labels outside 0\.\.9"):
        load("tfds:unlabelled")
    prepare("regression", nowhere, {"train": examples(12), "test": examples(5)}, classes=None)
    with pytest.raises(DataError, match="regression: not one uint8 image and one class, but image, label"):
        load("tfds:regression")
    prepare("sequential", nowhere, {"train": examples(12), "test": examples(5)})
    for info in nowhere.glob("sequential/*/dataset_info.json"):
        info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    with pytest.raises(DataError, match=r"sequential is not prepared in .* in a random-access format"):
        load("tfds:sequential")
    prepare("damaged", nowhere, {"train": examples(12), "test": examples(5)})
    for shard in nowhere.glob("damaged/*/*train*"):
        shard.write_bytes(bytes(100))
    with pytest.raises(DataError, match="TFDS data set damaged: "):
        load("tfds:damaged")


@pytest.mark.parametrize("name", ["absent", "", "../mnist", "a b"])
def test_a_data_set_that_is_not_prepared(nowhere, name):
    with pytest.raises(DataError, match="TFDS data set"):
        load(f"tfds:{name}")
