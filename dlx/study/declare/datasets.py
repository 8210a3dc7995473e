"""The data sets that studies of images take."""

from collections.abc import Callable
from typing import Any

from dlx.data import Dataset, blank, read, shorten
from dlx.data import flat as flattened
from dlx.study.declare.options import CommonOptions


def images(
    quick: str = "digits",
    paper: str = "mnist",
    flat: bool = False,
    examples: Callable[[Any], int] | None = None,
    shape: tuple[int, ...] = (28, 28),
    classes: int = 10,
) -> Callable[[CommonOptions], Dataset]:
    """A loader of the data set that the options ask for, or else of the preset's.

    With `flat` each image is a vector of pixels. `examples(options)` is how many training examples are taken. The data
    set `blank` has the `shape` and the `classes` of the paper's.
    """

    def load(options: CommonOptions) -> Dataset:
        name = {"quick": quick, "paper": paper}[options.preset] if options.data is None else options.data
        dataset = blank(shape, classes) if name == "blank" else read(name)
        dataset = dataset if examples is None else shorten(dataset, examples(options))
        return dataset._replace(data=flattened(dataset.data)) if flat else dataset

    return load


def generated(quick: Callable[[], Dataset], paper: Callable[[], Dataset]) -> Callable[[CommonOptions], Dataset]:
    """A loader of data that are made from a formula, one for each preset.

    It raises ValueError if the options ask for a data set by name.
    """

    def load(options: CommonOptions) -> Dataset:
        if options.data is not None:
            raise ValueError(f"this page makes its own data; leave out --data {options.data}")
        return {"quick": quick, "paper": paper}[options.preset]()

    return load
