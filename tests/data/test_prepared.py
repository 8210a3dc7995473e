"""TFDS data sets that stand prepared on disk: what they load as, and which are refused."""

import numpy as np
import pytest

from dlx.data import DataError, load, read
from dlx.data.sources import fingerprint


def test_the_last_sixth_is_held_out(prepare, examples):
    train, test = examples(12), examples(5, seed=1)
    prepare("small", {"train": train, "test": test})
    data, origin, shape, classes = read("tfds:small")
    parts = [(train[0][:10], train[1][:10]), (train[0][10:], train[1][10:]), test]
    for split, (x, y) in zip(data, parts, strict=True):
        np.testing.assert_array_equal(split.x, x, strict=True)
        np.testing.assert_array_equal(split.y, y.astype(np.int32), strict=True)
    assert origin == ("tfds:small", "tfds", "unrecognised", fingerprint(data))
    assert (shape, classes) == ((4, 3), 10)


@pytest.mark.parametrize("shape", [(32, 32, 3), (12, 17), (8, 18), (5, 1, 3), (1, 1)])
def test_images_of_any_shape_with_a_validation_set(prepare, examples, shape):
    splits = {name: examples(3, shape, seed) for seed, name in enumerate(["train", "validation", "test"])}
    prepare("images", splits, shape=shape if len(shape) == 3 else (*shape, 1), classes=17)
    data, _, got, classes = read("tfds:images:1.0.0")
    assert (got, classes) == (shape, 17)
    for split, (x, y) in zip(data, splits.values(), strict=True):
        np.testing.assert_array_equal(split.x, x, strict=True)
        np.testing.assert_array_equal(split.y, y.astype(np.int32), strict=True)


def test_mnist_comes_before_its_download(prepare, examples):
    prepare("mnist", {"train": examples(12), "test": examples(5)})
    data, origin, shape, classes = read("mnist")
    assert data.train.x.shape == (10, 4, 3)
    assert origin[:3] == ("mnist", "tfds", "unrecognised")
    assert (shape, classes) == ((4, 3), 10)


def refused(name, match):
    with pytest.raises(DataError, match=match):
        load(f"tfds:{name}")


def edit(folder, file, old, new):
    """Replace text in a file that TFDS keeps beside the records."""
    (path,) = folder.glob(f"*/{file}")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_split_is_missing_or_empty(prepare, examples, nowhere):
    prepare("half", {"train": examples(12), "holdout": examples(5)})
    refused("half", "half: has no split test; it has train, holdout")
    prepare("other_half", {"test": examples(5)})
    refused("other_half", "other_half: has no split train; it has test")
    prepare("few", {"train": examples(5), "test": examples(5)})
    refused("few", "few: 5 training examples are too few to hold out a sixth of them")
    prepare("empty", {"train": examples(12), "test": examples(5)})
    edit(nowhere / "empty", "dataset_info.json", '"5"', '"0"')
    refused("empty", "TFDS data set empty: ")


def test_images_of_several_sizes(prepare, examples):
    several = [np.zeros((4, 3), np.uint8), np.zeros((5, 3), np.uint8)]
    prepare("ragged", {"train": (several, [0, 1]), "test": examples(5)}, shape=(None, None, 1))
    refused("ragged", "ragged: images of train have 2 sizes")
    splits = {"train": examples(12, (5, 3)), "validation": examples(2, (5, 3)), "test": examples(5, (3, 5))}
    prepare("turned", splits, shape=(None, None, 1))
    refused("turned", r"turned: images of test have the shape \(3, 5\), but those of train have \(5, 3\)")
    splits["validation"], splits["test"] = splits["test"], splits["validation"]
    prepare("turned_valid", splits, shape=(None, None, 1))
    refused("turned_valid", r"turned_valid: images of valid have the shape \(3, 5\)")


def test_labels_outside_the_classes(prepare, examples, nowhere):
    prepare("unlabelled", {"train": examples(6), "test": (examples(2)[0], [0, -1])})
    refused("unlabelled", "unlabelled: test has the label -1; there are 10 classes, 0 to 9")
    prepare("many", {"train": (examples(12)[0], range(12)), "test": examples(5)}, classes=12)
    assert read("tfds:many").classes == 12
    edit(nowhere / "many", "features.json", '"12"', '"11"')
    refused("many", "many: valid has the label 11; there are 11 classes, 0 to 10")
    prepare("wide", {"train": examples(6), "test": (examples(2)[0], [0, 2**32])}, classes=2**33)
    edit(nowhere / "wide", "features.json", str(2**33), "10")
    refused("wide", f"wide: test has the label {2**32}; there are 10 classes")  # 2**32 is 0 in 32 bits


def test_features_that_are_not_an_image_and_a_class(prepare, examples, nowhere):
    prepare("regression", {"train": examples(12), "test": examples(5)}, classes=None)
    refused("regression", "regression: not one uint8 image and one class, but image, label")
    for name, keys in [
        ("one_image", ("image",)),
        ("one_class", ("label",)),
        ("two_images", ("image", "mask", "label")),
        ("two_classes", ("image", "label", "coarse")),
    ]:
        prepare(name, {"train": examples(12), "test": examples(5)}, keys=keys)
        refused(name, f"{name}: not one uint8 image and one class, but {', '.join(sorted(keys))}$")
    prepare("deep", {"train": examples(12), "test": examples(5)}, dtype=np.uint16)
    refused("deep", "deep: not one uint8 image and one class")
    prepare("uncounted", {"train": examples(12), "test": examples(5)})
    edit(nowhere / "uncounted", "features.json", '"numClasses": "10"', "")
    refused("uncounted", "uncounted: its feature label does not tell how many classes there are")


def test_files_that_cannot_be_read(prepare, examples, nowhere):
    prepare("sequential", {"train": examples(12), "test": examples(5)})
    edit(nowhere / "sequential", "dataset_info.json", '"array_record"', '"tfrecord"')
    refused("sequential", r"sequential is not prepared in .* in a random-access format")
    prepare("damaged", {"train": examples(12), "test": examples(5)})
    for shard in nowhere.glob("damaged/*/*train*"):
        shard.write_bytes(bytes(100))
    refused("damaged", "TFDS data set damaged: ")


@pytest.mark.parametrize("name", ["absent", "absent/config", "absent:1.0.0", "absent/20.1-a+b:1.*.*", "A_1"])
def test_a_data_set_that_is_not_there(nowhere, name):
    with pytest.raises(DataError) as caught:
        load(f"tfds:{name}")
    fault, remedy = str(caught.value).splitlines()
    assert fault == f"TFDS data set {name} is not prepared in {nowhere} in a random-access format."
    assert "set TFDS_DATA_DIR" in remedy


def test_the_folder_may_begin_with_the_home_folder(tmp_path, nowhere, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", "~/elsewhere")
    refused("absent", f"absent is not prepared in {tmp_path}/elsewhere in")


def test_a_missing_name(nowhere):
    refused("", "^'tfds:' lacks the name of a data set; .* as in 'tfds:cifar10'$")


@pytest.mark.parametrize(
    "name",
    [
        "../mnist",
        "/mnist",
        "mnist/",
        "mnist/..",
        "mnist/a/b",
        "mnist:",
        "mnist:3",
        "mnist:3.0.1/a",
        "a b",
        "1a",
        "ä",
        "aä",
        "a\n",
    ],
)
def test_a_malformed_name(nowhere, name):
    with pytest.raises(DataError) as caught:
        load(f"tfds:{name}")
    assert str(caught.value).startswith(f"{f'tfds:{name}'!r} is malformed; write 'tfds:name', ")
    assert str(caught.value).endswith("as in 'tfds:emnist/letters:3.1.0'")
