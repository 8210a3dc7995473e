"""Data sets by name: digits, IDX folders, the order of the search, and what is checked of all."""

import gzip
import hashlib
import socket
import time
import types

import numpy as np
import pytest

from dlx.data import DataError, flat, load, read, shorten
from dlx.data.idx import FILES
from dlx.data.remote import Remote
from dlx.data.sources import fingerprint, known_variant
from dlx.types import Data, Labelled


def pcg64(seed: int, n: int) -> list[int]:
    """The first `n` raw numbers of NumPy's PCG64, by O'Neill's recurrence (PCG XSL RR 128/64) in Python's integers."""
    high, low, stream_high, stream_low = map(int, np.random.SeedSequence(seed).generate_state(4, np.uint64))
    increment = ((stream_high << 64 | stream_low) << 1 | 1) % 2**128
    state = (increment + (high << 64 | low)) % 2**128
    numbers = []
    for _ in range(n + 1):
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + increment) % 2**128
        folded, turn = (state >> 64 ^ state) % 2**64, state >> 122
        numbers.append((folded >> turn | folded << (64 - turn)) % 2**64)
    return numbers[1:]


def test_blank_data_have_the_shapes_of_mnist():
    data, origin, shape, classes = read("blank")
    assert [(x.shape, x.dtype, y.shape, y.dtype) for x, y in data] == [
        ((n, 28, 28), np.uint8, (n,), np.int32) for n in (50_000, 10_000, 10_000)
    ]
    assert not any(array.any() for split in data for array in split)
    assert (origin.source, shape, classes) == ("generated", (28, 28), 10)


def test_digits_are_scikit_learns_in_a_fixed_order():
    from sklearn.datasets import load_digits

    data, origin, shape, classes = read("digits")
    assert (shape, classes) == ((8, 8), 10)
    assert origin == ("digits", "embedded", "embedded", fingerprint(data))
    assert all(split.x.dtype == np.uint8 and split.y.dtype == np.int32 for split in data)

    numbers = pcg64(0, 1797)
    order = sorted(range(1797), key=numbers.__getitem__)
    checksum = hashlib.sha256(" ".join(map(str, order)).encode()).hexdigest()
    assert checksum == "11a8eeda500d3a3f49b9f43f88ad7dfd9219c6034cd3a032807714aed462c6fc"
    x, y = load_digits(return_X_y=True)
    grey = (x.astype(int) * 2 * 255 + 16) // 32  # 0..16 to 0..255, to the nearest
    for split, part in zip(data, (order[:1197], order[1197:1497], order[1497:]), strict=True):
        np.testing.assert_array_equal(split.x.reshape(-1, 64), grey[part])
        np.testing.assert_array_equal(split.y, y[part])
        share = np.bincount(split.y, minlength=10) / len(part)
        assert share.min() > 0.07
        assert share.max() < 0.13


def test_the_first_examples_are_a_data_set_of_their_own():
    whole = read("digits")
    part = shorten(whole, 7)
    np.testing.assert_array_equal(part.data.train.x, whole.data.train.x[:7])
    np.testing.assert_array_equal(part.data.train.y, whole.data.train.y[:7])
    assert part.data[1:] == whole.data[1:]
    assert part.origin == whole.origin._replace(fingerprint=fingerprint(part.data))
    assert part.origin != whole.origin
    assert shorten(whole, 1197) is whole
    assert shorten(whole, 10**6) is whole
    with pytest.raises(ValueError, match="at least one training example, not 0"):
        shorten(whole, 0)


def test_fingerprint_sees_every_array_its_shape_and_dtype():
    split = Labelled(np.zeros((4, 2, 3), np.uint8), np.zeros(4, np.int32))
    data = Data(split, split, split)
    others = [
        data._replace(test=split._replace(y=np.array([0, 0, 0, 1], np.int32))),
        data._replace(train=split._replace(x=np.zeros((4, 3, 2), np.uint8))),
        data._replace(valid=split._replace(y=np.zeros(4, np.uint32))),
    ]
    prints = [fingerprint(data), *map(fingerprint, others)]
    assert len(set(prints)) == len(prints)
    assert all(len(print_) == 64 for print_ in prints)


@pytest.mark.parametrize("name", ["cifar", "", "../mnist", "MNIST", "tfds", "mnist ", "Digits"])
def test_an_unknown_name_lists_the_known(name):
    with pytest.raises(DataError) as caught:
        load(name)
    assert str(caught.value) == (
        f"unknown data set {name!r}; known are mnist, fashion_mnist, kmnist, digits, blank, tfds:<name>"
    )


@pytest.mark.parametrize("shape", [(3,), (2, 3), (12, 17), (8, 18, 3), (2, 3, 4, 5), (1,), ()])
def test_flat_keeps_every_value_in_order(shape):
    rng = np.random.default_rng(0)
    splits = [Labelled(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n)) for n in (5, 1, 0)]
    for split, (x, y) in zip(flat(Data(*splits)), splits, strict=True):
        expected = [list(image.flat) for image in x]
        np.testing.assert_array_equal(split.x, np.reshape(expected, (len(x), int(np.prod(shape)))))
        np.testing.assert_array_equal(split.y, y)
        assert split.x.dtype == np.uint8


@pytest.fixture
def folder(write_idx, arrays):
    """`$DLX_DATA_DIR/mnist/` with four gzipped files."""
    return write_idx(*arrays.values())


def test_idx_folder(folder, arrays):
    data, origin, shape, classes = read("mnist")
    images, labels, test_images, test_labels = arrays.values()
    parts = [(images[:10], labels[:10]), (images[10:], labels[10:]), (test_images, test_labels)]
    for split, (x, y) in zip(data, parts, strict=True):
        np.testing.assert_array_equal(split.x, x, strict=True)
        np.testing.assert_array_equal(split.y, y.astype(np.int32), strict=True)
    assert origin == ("mnist", "idx", "unrecognised", fingerprint(data))
    assert (shape, classes) == ((4, 3), 10)
    np.testing.assert_array_equal(load("mnist").valid.x, images[10:])


@pytest.mark.parametrize("n", [6, 11, 12, 17, 18, 60])
def test_the_last_sixth_is_held_out(write_idx, examples, n):
    images, labels = examples(n)
    images[:, 0, 0] = range(n)
    write_idx(images, labels, *examples(5))
    train, valid, test = load("mnist")
    held_out = n // 6
    assert train.x[:, 0, 0].tolist() == list(range(n - held_out))
    assert valid.x[:, 0, 0].tolist() == list(range(n - held_out, n))
    assert train.y.tolist() == labels.tolist()[: n - held_out]
    assert valid.y.tolist() == labels.tolist()[n - held_out :]
    assert len(test.y) == 5


def test_too_few_to_hold_out_a_sixth(write_idx, examples):
    write_idx(*examples(5), *examples(5))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: 5 training examples are too few to hold out"):
        load("mnist")


@pytest.mark.parametrize("shape", [(32, 32, 3), (12, 17), (8, 18), (5, 1, 3), (1, 1)])
def test_idx_images_of_any_shape(write_idx, examples, shape):
    (images, labels), (test_images, test_labels) = examples(7, shape), examples(2, shape, seed=1)
    write_idx(images, labels, test_images, test_labels)
    data, _, got, _ = read("mnist")
    assert got == shape
    for split, x in zip(data, (images[:6], images[6:], test_images), strict=True):
        np.testing.assert_array_equal(split.x, x, strict=True)


def test_an_axis_for_a_single_channel_is_left_out(write_idx, examples):
    images, labels = examples(7, (4, 3, 1))
    write_idx(images, labels, images, labels)
    data, _, shape, _ = read("mnist")
    assert shape == (4, 3)
    np.testing.assert_array_equal(data.test.x, images.reshape(7, 4, 3), strict=True)


@pytest.mark.parametrize(("where", "split"), [(0, "train"), (11, "valid"), (13, "test")])
def test_idx_labels_outside_the_classes(write_idx, examples, where, split):
    labels = np.arange(17) % 10
    labels[where] = 10
    folder = write_idx(examples(12)[0], labels[:12], examples(5)[0], labels[12:])
    with pytest.raises(DataError) as caught:
        load("mnist")
    assert str(caught.value) == f"{folder}: {split} has the label 10; there are 10 classes, 0 to 9"


def test_idx_folder_plain_files_give_the_same(folder, packed):
    before = read("mnist").origin
    for name, content in packed.items():
        (folder / name).unlink()
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    assert read("mnist").origin == before


def test_the_idx_folder_may_begin_with_the_home_folder(folder, monkeypatch):
    before = read("mnist").origin
    monkeypatch.setenv("HOME", str(folder.parents[1]))
    monkeypatch.setenv("DLX_DATA_DIR", f"~/{folder.parent.name}")
    assert read("mnist").origin == before


@pytest.mark.parametrize("there", [True, False])
def test_an_idx_folder_that_is_named_and_not_there_is_not_passed_over(prepare, examples, tmp_path, monkeypatch, there):
    prepare("mnist", {"train": examples(12), "test": examples(5)})
    root = tmp_path if there else tmp_path / "nowhere"
    monkeypatch.setenv("DLX_DATA_DIR", str(root))
    with pytest.raises(DataError, match=f"DLX_DATA_DIR={root} has no mnist/; set it to .*, or unset it"):
        load("mnist")


def test_idx_folder_lacking_a_file_is_not_passed_over(folder):
    (folder / f"{FILES[3]}.gz").unlink()
    with pytest.raises(DataError, match=f"{FILES[3]}: file is missing"):
        load("mnist")


def test_idx_folder_that_is_a_broken_link_is_not_passed_over(tmp_path, nowhere, monkeypatch):
    (tmp_path / "mnist").symlink_to("absent")
    monkeypatch.setenv("DLX_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=f"{FILES[0]}: file is missing"):
        load("mnist")


def test_idx_folder_whose_images_differ_in_size(write_idx, examples):
    folder = write_idx(*examples(12, (4, 3)), *examples(5, (3, 4)))
    with pytest.raises(DataError) as caught:
        load("mnist")
    assert str(caught.value) == f"{folder}: images of test have the shape (3, 4), but those of train have (4, 3)"
    write_idx(*examples(12, (4, 3)), *examples(5, (4, 3, 3)))
    with pytest.raises(DataError, match=r"images of test have the shape \(4, 3, 3\)"):
        load("mnist")


CANONICAL = "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
ONES_ZEROED = "b61ffb6f513fd9ff8d89824731f6b4ed7863c759c33056d701efb8412469fb04"
OTHERS = (
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
"""sha256 of the unpacked files of MNIST: training images, then the other three."""


def test_known_variants():
    assert known_variant("mnist", (CANONICAL, *OTHERS)) == "canonical"
    assert known_variant("mnist", (ONES_ZEROED, *OTHERS)) == "ones-zeroed"
    assert known_variant("fashion_mnist", (CANONICAL, *OTHERS)) == "unrecognised"
    assert known_variant("mnist", ("0" * 64, *OTHERS)) == "unrecognised"
    for i in range(3):
        others = list(OTHERS)
        others[i] = "0" * 64
        assert known_variant("mnist", (CANONICAL, *others)) == "unrecognised"


@pytest.mark.parametrize(("first", "variant"), [(CANONICAL, "canonical"), (ONES_ZEROED, "ones-zeroed")])
def test_variant_goes_by_the_unpacked_bytes(folder, packed, monkeypatch, first, variant):
    """The reader's sha256 is replaced by one that takes the tiny files for those of MNIST."""
    known = {gzip.decompress(content): known for content, known in zip(packed.values(), (first, *OTHERS), strict=True)}
    original = hashlib.sha256

    def sha256(content=b""):
        return types.SimpleNamespace(hexdigest=lambda: known.get(bytes(content)) or original(content).hexdigest())

    assert read("mnist").origin.variant == "unrecognised"
    monkeypatch.setattr("dlx.data.idx.hashlib", types.SimpleNamespace(sha256=sha256))
    assert read("mnist").origin.variant == variant


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
