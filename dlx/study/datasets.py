"""The data sets that studies of images take."""

from collections.abc import Callable

from dlx.data import Dataset, flat, read
from dlx.study.options import CommonOptions


def images(quick: str = "digits", paper: str = "mnist", rows: bool = False) -> Callable[[CommonOptions], Dataset]:
    """Loads the data set that the options ask for, or else the preset's; `rows`: each image as one row of pixels."""

    def load(options: CommonOptions) -> Dataset:
        name = {"quick": quick, "paper": paper}[options.preset] if options.data is None else options.data
        dataset = read(name)
        return dataset._replace(data=flat(dataset.data)) if rows else dataset

    return load
