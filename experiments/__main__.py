"""`python -m experiments`: every experiment with a line, its lecture pages, and how to run it."""

import ast
from pathlib import Path


def listing() -> str:
    """Name, first line and lectures of each experiment, read from the docstrings without importing them."""
    folder = Path(__file__).parent
    lines = ["python -m experiments.NAME [--preset quick|paper] [--help]", ""]
    for path in sorted(folder.glob("[!_]*.py")):
        source = path.read_text()
        if "__main__" not in source:
            continue
        text = ast.get_docstring(ast.parse(source)) or ""
        lines.append(f"{path.stem:12} {text.splitlines()[0]}")
        lines += [f"{'':12} {line}" for line in text.splitlines() if line.startswith("Lecture")]
    return "\n".join(lines)


if __name__ == "__main__":
    print(listing())
