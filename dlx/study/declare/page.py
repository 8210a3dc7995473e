"""What a page declares: rows, metrics, claims, figures, and the `Study` that holds them.

A `Row` of the table is a way to train, with a space of trials to choose from. Each trial builds the `Unit` that ends
the row: it is the last one that the row trains. Everything here is data and small functions; nothing runs.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, cast

from dlx.data import Dataset
from dlx.data.checks import check
from dlx.study.declare.finding import Finding
from dlx.study.declare.options import CommonOptions
from dlx.unit import Unit

Trial = Mapping[str, Any]
"""Arguments of a row's `build`. In a space, an argument that is a list is searched, and any other is fixed."""
Space = Sequence[Trial]
About = Mapping[str, Dataset]
"""The data sets of a study, by the names that it gives them."""


class Published(NamedTuple):
    """A value of the paper, and how sure it is."""

    value: float
    status: str = "A"
    """A: consistent across sources. B: from one secondary source."""


@dataclass(frozen=True)
class Row:
    """A row of the table: the trial with the least score is trained again from fresh seeds."""

    name: str
    """Without spaces, such as "exp2/dbn"; results, claims and options call it by this."""
    title: str
    build: Callable[..., Unit]
    """`build(seed, **trial)` returns the unit that ends the row. The units it starts from may have other seeds."""
    space: Space | Callable[[Mapping[str, Trial]], Space] = ({},)
    """What is searched, or a function of the choices of the rows that this one comes after."""
    after: tuple[str, ...] = ()
    """The names of the rows that this one comes after."""
    group: str = ""
    """Rows of one group stand in one table, and are compared by paired tests."""
    paper: Mapping[str, Published] = field(default_factory=dict)
    """The paper's values by metric, in the metric's unit."""
    seeds: int | None = None
    """How many fresh seeds, if not as many as the options say."""
    more: int = 0
    """Fresh seeds beyond those that were planned."""
    search_seeds: int = 1
    """Seeds over which a trial's score is averaged."""
    by: str = ""
    """The measure that takes the place of the program's score in the search, such as "race/epochs"."""
    keep: int = 0
    """For how many of the fresh seeds the last unit's arrays are saved, for figures."""
    at: Mapping[str, Any] = field(default_factory=dict)
    """Where it stands in figures, by what rows differ in: {"hidden layers": 3, "units": "rectified linear"}."""

    def space_after(self, chosen: Mapping[str, Trial]) -> Space:
        """The space, given the choices of the rows that this one comes after."""
        return cast(Space, self.space(chosen) if callable(self.space) else self.space)


class Metric(NamedTuple):
    """A number of each run that the tables show."""

    name: str
    """Where it stands among the measures, such as "test/error"."""
    label: str
    scale: float = 1.0
    unit: str = ""
    """As it stands after a number, such as " points"."""
    per_example: str = ""
    """Where the booleans stand whose mean it is, one per example of a split. For tests that pair examples."""
    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    """The least and the largest value that it can have, after scaling."""
    matters: float = 0
    """The smallest difference of interest, after scaling. It is fixed before the runs."""

    @property
    def percent(self) -> bool:
        """Whether its values are percentages, as its label and its unit say."""
        return "%" in self.label and self.unit in (" %", " points")

    @property
    def words(self) -> str:
        """The label, of percentages without their sign."""
        return re.sub(r",? %", "", self.label) if self.percent else self.label

    @property
    def units(self) -> tuple[str, str]:
        """The unit of a value, and that of a difference."""
        return (" %", " points") if self.percent else (self.unit, self.unit)


ERRORS = tuple(
    Metric(f"{split}/error", f"{split} error %", 100, " points", "test/wrong" if split == "test" else "", (0, 100), 0.1)
    for split in ("train", "valid", "test")
)
"""The percentages of wrongly classified examples."""


class Claim(NamedTuple):
    """A sentence that can be true or false, and how it is decided. `decide` takes a `dlx.study.run.found.Found`."""

    words: str
    decide: Callable[[Any], Finding]
    numbers: tuple[str, ...] = ()
    """The numbers of the lectures' claims that it decides."""
    figure: str = ""
    """The name of the figure that shows it, or of one of several pictures of it."""
    answers: bool = False
    """Whether its finding answers the page's question."""


class Figure(NamedTuple):
    """What is drawn of what was found."""

    draw: Callable[[Any], Any]
    """Takes a `dlx.study.run.found.Found`. Returns a matplotlib figure, several to stand side by side, or None."""
    caption: str = ""
    """A sentence under it. Without one it is the figure's name."""


@dataclass(frozen=True)
class Study:
    """A page: what is asked, on which data, by which rows, and what is shown of it."""

    doc: str
    """The module's docstring. Its first line is the title. Its first paragraphs open the report."""
    data: Callable[[Any], Dataset] | Mapping[str, Callable[[Any], Dataset]]
    """Loads the data set "main" for the options given, or several by name."""
    rows: Callable[[Any, About], Sequence[Row]]
    """The rows, for the options and the data sets given."""
    metrics: Sequence[Metric] = ERRORS
    claims: Sequence[Claim] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By file name."""
    options: type[CommonOptions] = CommonOptions
    paper_data: str = "mnist"
    """The data set that the paper's values are for. With other data they are not shown."""

    @property
    def file(self) -> Path | None:
        """The file that the page stands in; None in a notebook."""
        module = sys.modules.get(self.rows.__module__) if isinstance(self.rows, FunctionType) else None
        path = Path(getattr(module, "__file__", None) or "")
        return path if path.is_file() else None

    def names_figure(self, name: str) -> bool:
        """Whether this is the name of a figure, or of one of several pictures of it: "race.png" and "race-2.png"."""
        return name in self.figures or re.sub(r"-\d+(\.\w+)$", r"\1", name) in self.figures

    def notes(self, name: str) -> str:
        """Markdown for the end of the report of the preset "paper": the text of notes/NAME.md beside the page's file.

        It is empty if there is no such file.
        """
        path = self.file and self.file.parent / "notes" / f"{name}.md"
        return path.read_text(encoding="utf-8") if path and path.is_file() else ""

    def datasets(self, options: CommonOptions) -> About:
        """The data sets, loaded. Raises `dlx.data.DataError` for one that is not available, or not valid.

        Raises ValueError if the options ask for a data set by name, and no loader takes it.
        """
        loaders = self.data if isinstance(self.data, Mapping) else {"main": self.data}
        about = {name: load(options) for name, load in loaders.items()}
        if options.data is not None and all(dataset.origin.name != options.data for dataset in about.values()):
            there = ", ".join(dataset.origin.name for dataset in about.values())
            raise ValueError(f"this page has its own data ({there}); leave out --data {options.data}")
        for name, dataset in about.items():
            check(dataset.data, dataset.shape, dataset.classes, f"the page's data set {name} ({dataset.origin.name})")
        return about

    def rows_on(self, options: CommonOptions, about: About) -> list[Row]:
        """The rows, without the paper's values if these are for other data.

        A program's field `classes`, if it has one, is the number of classes of the unit's data set. Raises ValueError
        for a page without a docstring, and for a row without a name, or with a space in it.
        """

        def built(build: Callable[..., Unit], seed: int, **trial: Any) -> Unit:
            return with_classes(build(seed, **trial), about)

        if not (self.doc or "").strip():
            raise ValueError(
                "the page has no docstring: its first line is the title of the report, and says what is asked"
            )
        rows = [replace(row, build=partial(built, row.build)) for row in self.rows(options, about)]
        for row in rows:
            if not row.name or any(letter.isspace() for letter in row.name):
                raise ValueError(f"the row name {row.name!r} is empty or has a space; choose one such as 'exp2/dbn'")
        same = main_of(about).origin.name == self.paper_data
        return rows if same else [replace(row, paper={}) for row in rows]


def main_of(about: About) -> Dataset:
    """The data set "main", or else the first one."""
    return about["main" if "main" in about else next(iter(about))]


def with_classes(unit: Unit, about: About) -> Unit:
    """The unit, and all that it stands on, with the number of classes of its data set in its program's field `classes`.

    Programs without such a field, and those on data without classes, stay as they are.
    """
    program, classes = unit.program, about[unit.data].classes
    if classes and getattr(program, "classes", classes) != classes:
        program = replace(cast(Any, program), classes=classes)
    return replace(unit, program=program, given=tuple(with_classes(other, about) for other in unit.given))
