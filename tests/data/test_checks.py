"""Labels that are no class, and pixels that are none, are refused by name wherever data enter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.classify import classify
from dlx.data import DataError, Dataset, Provenance, blank, flat
from dlx.nets.layer import as_float
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import Study
from dlx.types import Data, Labelled

ORIGIN = Provenance("own", "generated", "generated", "0")


def splits(x, y):
    """A sound split twice, and one of its own for validation."""
    sound = Labelled(np.zeros((4, 3, 3), np.uint8), np.arange(4, dtype=np.int32))
    return Data(sound, Labelled(x, y), sound)


def taken(data, shape=(3, 3), classes=4):
    """What a page takes of a data set of its own."""
    page = Study("A title.", lambda options: Dataset(data, ORIGIN, shape, classes), lambda options, about: [])
    return page.datasets(CommonOptions())["main"].data


X, Y = np.zeros((2, 3, 3), np.uint8), np.array([0, 3], np.int32)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, np.array([0, 4]), "valid has the label 4; there are 4 classes, 0 to 3"),
        (X, np.array([-1, 0], np.int8), "valid has the label -1; there are 4 classes"),
        (X, np.array([2**40, 0]), "valid has the label 1099511627776"),
        (X, np.array([1.0, 0.0]), "valid has labels of the dtype float64; they are integers"),
        (X + np.float32(255), Y, "valid has pixels from 255 to 255 as float32; give uint8"),
        (X - np.float32(0.5), Y, "valid has pixels from -0.5 to -0.5 as float32"),
        (X + np.float64("nan"), Y, "valid has pixels from nan to nan as float64"),
        (X.astype(np.int32), Y, "valid has pixels of the dtype int32; give uint8"),
        (X.astype(bool), Y, "valid has pixels of the dtype bool"),
        (flat(splits(X - np.float32(1), Y)).valid.x, Y, "valid has pixels from -1 to -1"),
    ],
)
def test_a_page_refuses_what_is_no_class_or_no_pixel_by_name(x, y, said):
    with pytest.raises(DataError, match=rf"the page's data set main \(own\): {said}"):
        taken(splits(x, y))


@pytest.mark.parametrize(
    ("x", "y", "shape", "classes"),
    [
        (X, Y, (3, 3), 4),
        (X.astype(np.float32), Y, (3, 3), 4),
        (jnp.ones((2, 3, 3)), jnp.array([0, 3]), (3, 3), 4),
        (X - np.float32(5), Y, (9,), 4),  # no image
        (X.astype(np.int32), Y, (9,), 4),
        (X, np.array([-1.5, 9.0]), (3, 3), 0),  # no classes
        ((X.astype(np.int32), Y), np.array([[-1, 0]] * 2), (3, 3), 4),  # tokens and lengths
    ],
)
def test_other_data_are_taken_as_they_are(x, y, shape, classes):
    data = splits(x, y)
    assert taken(data, shape, classes) is data


@pytest.mark.parametrize("dtype", ["int32", "int8", "bool"])
def test_inputs_of_other_dtypes_are_refused_by_name(dtype):
    with pytest.raises(ValueError, match=f"the dtype {dtype}; give .* uint8, or floats"):
        mlp((2,)).apply(mlp((2,)).init(jax.random.key(0), jnp.zeros(3)), jnp.zeros((1, 3), dtype))
    assert as_float(jnp.ones(2, jnp.float16)).dtype == jnp.float16


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("split", Data._fields)
def test_a_fit_refuses_labels_that_are_no_class_of_its_net(data, split, label):
    net = mlp((4,), 3)
    three = Data(*(one._replace(y=one.y % 3) for one in data))
    start, tune = net.init(jax.random.key(0), data.train.x[0]), classify(net, sgd(0.1), epochs=1, batch_size=5)
    tune(jax.random.key(0), start, three)
    wrong = getattr(three, split).y.copy()
    wrong[7] = label
    with pytest.raises(ValueError, match=f"{split} has the label {label}; there are 3 classes, 0 to 2"):
        tune(jax.random.key(0), start, three._replace(**{split: getattr(three, split)._replace(y=wrong)}))


def test_blank_data_have_any_shape_and_number_of_classes():
    dataset = blank((2, 2, 3), 20)
    assert [split.x.shape for split in dataset.data] == [(n, 2, 2, 3) for n in (50_000, 10_000, 10_000)]
    assert (dataset.shape, dataset.classes) == ((2, 2, 3), 20)
