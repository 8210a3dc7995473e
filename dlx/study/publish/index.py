"""The index: a page of all finished experiments, and beside it a page of the lectures' claims."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from dlx.show import html
from dlx.show.console import steady
from dlx.show.progress import duration
from dlx.study.judge.verdicts import FAILS, HOLDS, OPEN
from dlx.study.publish import ledger
from dlx.study.publish.ledger import Experiment
from dlx.study.publish.marks import CLASSES, VERDICTS

_CONTENT = {
    "experiment": str,
    "command": str,
    "seconds": (int, float),
    "data": dict,
    "rows": list,
    "claims": list,
    "more": list,
}
_CLAIM = {"claim": str, "numbers": list, "verdict": str, "words": str, "figure": str}
_DATA = {"name": str, "variant": str}
_ROW = {
    **dict.fromkeys(("row", "metric", "verdict"), str),
    **dict.fromkeys(("n", "diverged"), int),
    **dict.fromkeys(("paper", "mean", "low", "high"), (int, float, type(None))),
    "values": list,
}


def _check(value: Any, kinds: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"not an object but {value!r:.40}")
    for key, kind in kinds.items():
        if not isinstance(value.get(key, ...), kind):
            raise ValueError(f"{key!r} is {repr(value[key])[:40] if key in value else 'missing'}")


def read_results(path: Path) -> dict[str, Any]:
    """The content of a results.json. Raises ValueError, which names the file, if it cannot be read or is not valid."""
    try:
        content = json.loads(path.read_bytes())
        _check(content, _CONTENT)
        _check(content["data"], _DATA)
        for row in content["rows"]:
            _check(row, _ROW)
        for claim in content["claims"]:
            _check(claim, _CLAIM)
            if claim["verdict"] not in (HOLDS, FAILS, OPEN):
                raise ValueError(f"{claim['verdict']!r} is not one of the verdicts {HOLDS}, {FAILS}, {OPEN}")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a valid results.json: {error}") from error
    return content


def _title(text: str, otherwise: str) -> str:
    heading = re.search(r"^#+\s+(.+)", text, re.MULTILINE)
    return heading[1].strip() if heading else otherwise


def page(experiments: Sequence[Experiment], lectures: str | None = None) -> str:
    """The HTML page of all experiments. `lectures` is the link to the page of the lectures, if there is one."""
    of = Counter(claim["verdict"] for one in experiments for claim in one.content["claims"])
    return html.render(
        "index.html.j2",
        title="Experiments",
        lectures=lectures,
        cards=[card(one) for one in experiments],
        total=of.total(),
        tally=ledger.tally(of),
        verdicts=VERDICTS,
    )


def card(experiment: Experiment) -> dict[str, Any]:
    """What the page shows of an experiment: title, answer, verdicts, its first picture, command, time and data."""
    content = experiment.content
    diverged = {row["row"]: row["diverged"] for row in content["rows"]}
    return {
        "experiment": experiment,
        "content": content,
        "tally": ledger.tally(Counter(claim["verdict"] for claim in content["claims"])),
        "picture": next(iter(experiment.pictures.values()), None),
        "duration": duration(content["seconds"]),
        "rows": len(diverged),
        "diverged": sum(diverged.values()),
    }


def _images(text: str) -> list[str]:
    """The files of the images that a Markdown text shows, in its order."""
    return [unquote(shown) for shown in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)]


def read_experiments(results: Path, out: Path) -> list[Experiment]:
    """The experiments in a folder, with links from pages in the folder `out`. Writes report.html where it is missing.

    Raises ValueError if there is no experiment, a results.json is not valid, or a report lacks an image. Raises OSError
    if a file cannot be read or written.
    """
    experiments = []
    for path in sorted(results.glob("*/results.json")):
        content, folder = read_results(path), path.parent
        text = (folder / "report.md").read_text(encoding="utf-8")
        title = _title(text, content["experiment"])
        figures = {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}
        if not (folder / "report.html").exists():
            try:
                report = html.page(text, figures, title, CLASSES)
            except ValueError as error:
                raise ValueError(f"{folder / 'report.md'}: {error}") from error
            (folder / "report.html").write_text(report, encoding="utf-8")
        link = quote(Path(os.path.relpath(folder, out)).as_posix())
        pictures = {file: f"{link}/{quote(file)}" for file in _images(text) if file in figures}
        experiments.append(Experiment(title, content, f"{link}/report.html", pictures))
    if not experiments:
        raise ValueError(f"{results} has no folder with a results.json")
    return experiments


def write_pages(results: Path, claims: Path | None = None, out: Path | None = None) -> list[Path]:
    """Write the pages of experiments and lectures, index.html and lectures.html. Return their paths.

    `results` is the folder of the experiments. `claims` is the file of the lectures' claims; without it there is no
    page of lectures. `out` is the folder of the pages, by default `results`. Raises OSError if a file cannot be read or
    written. Raises ValueError as `read_experiments` and `read_lectures` do. It also raises it if an experiment names a
    number that no lecture has.
    """
    out = out or results
    lectures = ledger.read_lectures(claims) if claims else []
    experiments = read_experiments(results, out)
    pages = {"index.html": page(experiments, "lectures.html" if claims else None)}
    if claims:
        pages["lectures.html"] = ledger.page(lectures, experiments, "index.html")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in pages]


@dataclass(frozen=True)
class Options:
    """Gather the results of all experiments into two HTML pages: by experiment, and by claim."""

    results: Path
    """Folder that holds a folder for each experiment, with its results.json, report.md and figures."""
    claims: Path | None = None
    """File of the lectures' claims. Without it there is no page of the lectures."""
    out: Path | None = None
    """Folder for the pages. Default: the folder of results."""


def main(results: Path, arguments: Sequence[str], claims: Path | None = None) -> None:
    """Write the pages from the command line. It exits with status 2 for an error that a user can correct."""
    import tyro

    steady()
    options = tyro.cli(Options, default=Options(results, claims), prog="python -m experiments report", args=arguments)
    try:
        claims, out = (path and path.expanduser() for path in (options.claims, options.out))
        for path in write_pages(options.results.expanduser(), claims, out):
            print(f"page: {path}")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
