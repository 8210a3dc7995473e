"""What pages of images take, and the number of classes that their programs get."""

from dataclasses import dataclass

import numpy as np
import pytest
from synthetic import toy

from dlx import study
from dlx.bench.planned import planned
from dlx.data import Dataset, Provenance
from dlx.study.declare.page import Row, Study, with_classes
from dlx.types import Data, Labelled
from dlx.unit import Unit


@dataclass(frozen=True)
class Classifier:
    """Has classes."""

    width: int = 1
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        return {}, study.Result(0.0)


def of(classes, shape=(2, 2)):
    splits = [Labelled(np.zeros((n, *shape), np.uint8), np.zeros(n, np.int32)) for n in (6, 4, 2)]
    return Dataset(Data(*splits), Provenance("own", "generated", "generated", str(classes)), shape, classes)


@pytest.mark.parametrize(("flat", "shape"), [(False, (32, 32, 3)), (True, (3072,))])
def test_blank_data_have_the_shape_and_classes_of_the_papers(flat, shape):
    load = study.images(paper="tfds:cifar100", flat=flat, shape=(32, 32, 3), classes=100)
    page = Study("A title.", load, lambda options, about: [Row("a", "A", lambda seed: Unit(Classifier(), seed=seed))])
    about, units, _ = planned(page, "paper")
    assert about["main"].data.train.x.shape == (50_000, *shape)
    assert (about["main"].shape, about["main"].classes) == ((32, 32, 3), 100)
    assert [unit.program for unit in units] == [Classifier(classes=100)]


def test_programs_get_the_number_of_classes_of_the_data_set_of_their_unit():
    about = {"main": of(20), "other": of(3), "values": of(0)}
    below = Unit(Classifier(7), given=(toy(1), Unit(Classifier(8), data="other")))
    unit = Unit(Classifier(9), given=(below, Unit(Classifier(6), data="values")), seed=4)
    told = with_classes(unit, about)
    programs = [(one.program.width, getattr(one.program, "classes", None)) for one in told.lineage]
    assert programs == [(1, None), (8, 3), (7, 20), (6, 10), (9, 20)]
    assert [one.seed for one in told.lineage] == [one.seed for one in unit.lineage]
    assert with_classes(unit, dict.fromkeys(about, of(10))) == unit
