"""`python -m experiments` lists the experiments; NAME runs one; `report`, `verify` and the tools are for all."""

import ast
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

from dlx.show.console import steady

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
TOOLS = {"accelerators": "dlx.bench.accelerators", "bench": "dlx.bench.command", "verify": "dlx.study.verify"}
"""Commands for all pages, by name: each is `main(pages, results, arguments)` of its module."""


def docstring(path: Path) -> str:
    """The docstring of a module, read without importing it."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def pages() -> dict[str, str]:
    """The docstring of each experiment by name."""
    return {path.stem: docstring(path) for path in sorted(FOLDER.glob("[!_]*.py"))}


def documented() -> dict[str, str]:
    """The docstring of each experiment and of each tool that measures, by name."""
    tools = {
        name: docstring(FOLDER.parent / f"{TOOLS[name].replace('.', '/')}.py") for name in ("accelerators", "bench")
    }
    return dict(sorted({**tools, **pages()}.items()))


def listing() -> str:
    """The first line of each experiment and tool, its commands with the time they take, and its lectures."""
    usage = ("NAME", "report", "verify [NAME]")
    lines = [*(f"python -m experiments {words} [--help]" for words in usage), ""]
    for name, text in documented().items():
        title, *rest = text.splitlines()
        lines.append(f"{name:12} {title}")
        lines += [f"{'':12} {line.strip()}" for line in rest if re.match(r" {4}python -m |Lecture", line)]
    return "\n".join(lines)


def load(name: str) -> ModuleType:
    """The module of an experiment."""
    return importlib.import_module(f"experiments.{name}")


def main(arguments: list[str]) -> None:
    """Print the listing; or run an experiment, gather the reports, or verify committed outcomes."""
    steady()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(listing())
        return
    name, *rest = arguments
    if name == "report":
        from dlx.study.publish import index

        index.main(RESULTS, rest, FOLDER / "claims.toml")
        return
    if name in TOOLS:
        tool = importlib.import_module(TOOLS[name])
        tool.main({page: lambda page=page: load(page).STUDY for page in pages()}, RESULTS, rest)
        return
    if name not in pages():
        known = ", ".join([*documented(), "report", "verify"])
        print(f"error: there is no experiment {name!r}; there are {known}", file=sys.stderr)
        sys.exit(2)
    from dlx import study

    module = load(name)
    study.main(module.STUDY, module.__name__, rest)


if __name__ == "__main__":
    main(sys.argv[1:])
