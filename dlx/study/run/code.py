"""Which code made a record. A command so finds the records whose programs have changed since.

A record names two hashes. `code` is of the source: of dlx, without the rooms that train nothing, and of the page.
`computation` is of what the program and those that it stands on compute, with the version of JAX. After a change of the
source the second one says whether the record outlived it.
"""

import ast
import hashlib
import inspect
import re
import sys
import textwrap
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import jax
import numpy as np

import dlx
from dlx.inspect.jaxpr import digest
from dlx.show.progress import silent
from dlx.study.declare.page import About
from dlx.study.run.found import Record
from dlx.study.run.record import on_host, one_run
from dlx.unit import Kept, Result, Unit

DLX = Path(dlx.__path__[0])
TRAINS_NOTHING = {"study", "show", "bench"}
"""The rooms that change no result."""


class Shapes:
    """The shapes of what the units of a page take and return. A program is traced once for arguments of one shape.

    Nothing is trained. A blind unit differs only in its data.
    """

    def __init__(self, about: About):
        self.about = about
        self._traced: dict[Any, jax.stages.Traced] = {}

    def arguments(self, unit: Unit) -> tuple[Any, tuple[Any, Any], Any]:
        """The key, (hypers, given) and data of one run."""
        data = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.about[unit.data].data)
        hypers = jax.tree.map(lambda value: jax.ShapeDtypeStruct((), np.float32), unit.hypers)
        given = tuple(self.outcome(other)[0] for other in unit.given)
        return jax.eval_shape(lambda: jax.random.key(0)), (hypers, given), data

    def traced(self, unit: Unit) -> jax.stages.Traced:
        """One run of a program, traced from the shapes of its arguments."""
        key = unit.blinded().kind
        if key not in self._traced:
            taken = self.arguments(unit)
            leaves, structure = jax.tree.flatten(taken)
            alike = unit.program, tuple(leaves), structure
            if alike not in self._traced:
                self._traced[alike] = jax.jit(one_run(unit.program, silent)).trace(*taken)
            self._traced[key] = self._traced[alike]
        return self._traced[key]

    def outcome(self, unit: Unit) -> tuple[Kept, Result]:
        """What one run keeps, and its result."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), self.traced(unit).out_info)


class Code:
    """The hashes of the code that is loaded, for the units of a study. `precision` is that of matrix products.

    A page's files are read once, when the first of its units is asked for: a run that goes on keeps the code it has.
    """

    def __init__(self, about: About, precision: str):
        self.shapes, self._precision = Shapes(about), precision
        self._pages: dict[str, str] = {}
        self._computations: dict[Any, str] = {}

    def source(self, unit: Unit) -> str:
        """The hash of the source. It is empty if a page has no file, as in a notebook."""
        modules = {type(other.program).__module__ for other in unit.lineage}
        pages = [self._page(module) for module in sorted(modules) if not module.startswith("dlx.")]
        return digest_of(of_dlx(), *pages) if all(pages) else ""

    def _page(self, module: str) -> str:
        if module not in self._pages:
            files = files_of(module)
            self._pages[module] = digest_of(*map(of_file, sorted(files))) if files else ""
        return self._pages[module]

    def computation(self, unit: Unit) -> str:
        """The hash of what the unit's program computes, and of the programs that it stands on.

        It is empty if it cannot be known: for a program that is not compiled, and whose source is in no file.
        """
        if (key := unit.kind) not in self._computations:
            below = [self.computation(other) for other in unit.given]
            if on_host(unit.program):
                own = of_functions(type(unit.program))
            else:
                with jax.default_matmul_precision(self._precision):
                    own = digest(self.shapes.traced(unit).jaxpr)
            self._computations[key] = digest_of(jax.__version__, own, *below) if own and all(below) else ""
        return self._computations[key]

    def judge(self, unit: Unit, record: Record) -> Literal["valid", "stale", "unknown"]:
        """Whether the code that is loaded would make this record. It is unknown of records that do not say."""
        if "code" not in record:
            return "unknown"
        if record["code"] and record["code"] == self.source(unit):
            return "valid"
        if not (now := self.computation(unit)):
            return "unknown"
        return "valid" if record["computation"] == now else "stale"


def digest_of(*texts: str) -> str:
    """A hash of some texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def plain(source: str) -> str:
    """The syntax tree of a source, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def of_file(path: Path) -> str:
    """The hash of a file's syntax tree."""
    return digest_of(plain(path.read_text(encoding="utf-8")))


@cache
def of_dlx() -> str:
    """The hash of all files of dlx that can change a result."""
    files = (path for path in sorted(DLX.rglob("*.py")) if path.relative_to(DLX).parts[0] not in TRAINS_NOTHING)
    return digest_of(*map(of_file, files))


def files_of(module: str) -> set[Path]:
    """The file of a module, and those of the modules of its folder that it imports; none if it has no file."""
    files: set[Path] = set()

    def add(name: str, folder: Path | None) -> None:
        path = Path(getattr(sys.modules.get(name), "__file__", None) or "")
        if not path.is_file() or (path := path.resolve()) in files or (folder and folder not in path.parents):
            return
        files.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                names = []
            for other in names:
                add(other, path.parent)

    add(module, None)
    return files


def of_functions(start: type) -> str:
    """The hash of a class and of the functions and constants that it uses, in its module and in dlx.

    It is empty if the source of one of them is not to be had.
    """
    home, seen, texts = start.__module__, set(), []

    def add(thing: Any) -> None:
        if not (inspect.isclass(thing) or inspect.isfunction(thing)) or thing in seen:
            return
        if thing.__module__ == home or thing.__module__.startswith("dlx."):
            seen.add(thing)
            texts.append(plain(source := textwrap.dedent(inspect.getsource(thing))))
            used = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name | ast.Attribute)]
            scope = vars(sys.modules[thing.__module__])
            for name in sorted({node.id if isinstance(node, ast.Name) else node.attr for node in used} & scope.keys()):
                look_at(scope[name], used)

    def look_at(value: Any, used: list[Any]) -> None:
        if isinstance(value, ModuleType) and value.__name__.startswith("dlx."):
            for name in sorted({node.attr for node in used if isinstance(node, ast.Attribute)} & vars(value).keys()):
                add(vars(value)[name])
        elif isinstance(value, bool | int | float | str | tuple):
            texts.append(re.sub(r" at 0x[0-9a-f]+", "", repr(value)))
        add(value)

    try:
        add(start)
    except (OSError, KeyError):
        return ""
    return digest_of(*texts)
