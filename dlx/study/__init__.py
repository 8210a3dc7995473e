"""What makes an experiment a page: it declares rows, metrics, claims and figures. The study does the rest.

A *program* is what is compiled. A *unit* is one *run* of it. When it is finished it leaves a *record*.
A *row* of the table is a way to train. It has a *space* of *trials*, which are arguments for its units.
A *search* trains every trial of a row from *search seeds*, without the test split. A trial with its units is an
*attempt*. The trial with the least *score* is trained again from *fresh seeds*; these runs are reported.
A *metric* is a number of each run that the tables show, taken from the *measures* in its record.
What was *found* decides the *claims*: a *finding* has the *verdict*, and the numbers that decided.
The files that a study writes are its *outcome*.
"""

from dlx.study.command import find, load, main, run
from dlx.study.declare import datasets
from dlx.study.declare.datasets import images
from dlx.study.declare.finding import Finding
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import ERRORS, Claim, Figure, Metric, Published, Row, Study
from dlx.study.judge import claims, clock, cost_figures, figures, shares, starts
from dlx.study.run.found import Found, Runs
from dlx.unit import Kept, Program, Result, Unit

__all__ = [
    "ERRORS",
    "Claim",
    "CommonOptions",
    "Figure",
    "Finding",
    "Found",
    "Kept",
    "Metric",
    "Program",
    "Published",
    "Result",
    "Row",
    "Runs",
    "Study",
    "Unit",
    "claims",
    "clock",
    "cost_figures",
    "datasets",
    "figures",
    "find",
    "images",
    "load",
    "main",
    "run",
    "shares",
    "starts",
]
