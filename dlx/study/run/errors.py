"""Which errors a command tells in one line. All others keep their traceback."""

import sysconfig
import traceback
from pathlib import Path

import dlx
from dlx.data import DataError
from dlx.store import StoreError

OWN = str(Path(dlx.__path__[0]).resolve())
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def in_one_line(error: Exception) -> str | None:
    """An error that a user can correct in words, with the line of the page that led to it, if there is one.

    These are `DataError`, `StoreError`, and the ValueErrors that dlx raises in a statement of its own. None for what a
    page, a program or a library raised: only the traceback says where.
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    raised = last.filename.startswith(OWN) and (last.line or "").startswith("raise ")
    told = isinstance(error, DataError | StoreError) or (isinstance(error, ValueError) and raised)
    return f"{error}{where(error)}" if told else None


def where(error: Exception) -> str:
    """The last line of a page that led to the error, such as " (width.py, line 31)"; empty if there is none."""
    steps = traceback.extract_tb(error.__traceback__)
    pages = [step for step in steps if not step.filename.startswith(("<", OWN, *LIBRARIES))]
    return "".join(f" ({Path(step.filename).name}, line {step.lineno})" for step in pages[-1:])
