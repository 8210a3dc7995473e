"""`python -m experiments`: every experiment with a line, its lecture pages, and how to run it; `report`: an index."""

import ast
import sys
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


def main(arguments: list[str]) -> None:
    """Print the listing; with arguments, do what they say: `report` writes the index page of all results."""
    if not arguments:
        print(listing())
        return
    import tyro

    from experiments import index

    description = "Without a command: list the experiments, each of which is run by python -m experiments.NAME."
    tyro.extras.subcommand_cli_from_dict(
        {"report": index.main}, prog="python -m experiments", description=description, args=arguments
    )


if __name__ == "__main__":
    main(sys.argv[1:])
