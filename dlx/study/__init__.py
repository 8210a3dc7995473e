"""What makes an experiment a page: the page declares rows, metrics, claims and figures, and the study does the rest.

A *program* is what is compiled; a *unit* is one run of it, and leaves a *record*. A *row* of the table is trained from
fresh *seeds* by the best of its *trials*, which a *search* chooses by *score*. What was *found* decides the *claims*.
"""

from dlx.study import claims, clock, figures
from dlx.study.command import find, load, main
from dlx.study.datasets import images
from dlx.study.found import Found, Runs
from dlx.study.options import CommonOptions
from dlx.study.page import ERRORS, Claim, Finding, Metric, Published, Row, Study
from dlx.unit import Kept, Program, Result, Unit

__all__ = [
    "ERRORS",
    "Claim",
    "CommonOptions",
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
    "figures",
    "find",
    "images",
    "load",
    "main",
]
