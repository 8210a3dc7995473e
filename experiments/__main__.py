"""`python -m experiments` lists the experiments; NAME runs one; `report` and `verify` are for all."""

import ast
import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

from dlx.show.console import steady

FOLDER = Path(__file__).parent


def pages() -> dict[str, str]:
    """The docstring of each experiment by name, read without importing it."""
    found = {}
    for path in sorted(FOLDER.glob("[!_]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body):
            found[path.stem] = ast.get_docstring(tree) or ""
    return found


def listing() -> str:
    """Each experiment's first line, its commands with the time they take, and its lectures."""
    usage = ("NAME", "report", "verify [NAME]")
    lines = [*(f"python -m experiments {words} [--help]" for words in usage), ""]
    for name, text in pages().items():
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

        index.main(FOLDER / "results", rest, FOLDER / "claims.toml")
        return
    if name == "verify":
        from dlx.study import verify

        verify.main({page: lambda page=page: load(page).STUDY for page in pages()}, FOLDER / "results", rest)
        return
    if name not in pages():
        known = ", ".join([*pages(), "report", "verify"])
        print(f"error: there is no experiment {name!r}; there are {known}", file=sys.stderr)
        sys.exit(2)
    module = load(name)
    if hasattr(module, "STUDY"):
        from dlx import study

        study.main(module.STUDY, module.__name__, rest)
    else:
        module.main(rest)


if __name__ == "__main__":
    main(sys.argv[1:])
