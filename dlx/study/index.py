"""The index: one page of all finished experiments in a folder of results."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from dlx.show import html
from dlx.show.console import steady
from dlx.show.progress import duration
from dlx.show.tables import estimate, markdown

_CONTENT = {"experiment": str, "command": str, "seconds": (int, float), "data": dict, "rows": list, "claims": list}
_CLAIM = {"claim": str, "verdict": str}
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
    """The content of a results.json. Raises ValueError, naming the file, if it is not one."""
    try:
        content = json.loads(path.read_bytes())
        _check(content, _CONTENT)
        _check(content["data"], _DATA)
        for row in content["rows"]:
            _check(row, _ROW)
        for claim in content["claims"]:
            _check(claim, _CLAIM)
    except ValueError as error:
        raise ValueError(f"{path} is not a valid results.json: {error}") from error
    return content


def _title(text: str, otherwise: str) -> str:
    heading = re.search(r"^#+\s+(.+)", text, re.MULTILINE)
    return heading[1].strip() if heading else otherwise


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows by the last metric of each, which is the one that an experiment is about."""
    last = {row["row"]: row for row in rows}
    body = [
        [
            row["row"],
            row.get("title") or "",
            "–" if row["paper"] is None else f"{row['paper']:g}",
            estimate(row["values"], row["low"], row["high"]),
            f"{row['n']}",
            row["verdict"] or "–",
        ]
        for row in last.values()
    ]
    metrics = {row["metric"] for row in last.values()}
    name = metrics.pop() if len(metrics) == 1 else "value"
    return markdown(["row", "", "paper", name, "n", "verdict"], body) if body else ""


def section(content: Mapping[str, Any], title: str, folder: str, picture: str | None) -> str:
    """An experiment's part of the index, as Markdown. `folder` is a link's way to its folder; `picture`: a file there.

    `content` is what `read_results` gives.
    """
    diverged = {row["row"]: row["diverged"] for row in content["rows"]}
    data = content["data"]
    facts = (
        f"`{content['command']}`: {duration(content['seconds'])} on {content.get('device') or 'an unknown device'}, "
    )
    facts += f"data {data['name']} ({data['variant']}), {len(diverged)} rows, {sum(diverged.values())} diverged runs."
    parts = [
        f"## {title}",
        "\n".join(f"- **{claim['verdict']}**: {claim['claim']}" for claim in content["claims"]),
        facts,
        _table(content["rows"]),
        f"![{title}]({folder}/{quote(picture)})" if picture else "",
        f"[The whole report]({folder}/report.html)",
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def _first_image(text: str) -> str | None:
    shown = re.search(r"!\[[^]]*\]\(([^)]+)\)", text)
    return unquote(shown[1]) if shown else None


def write_index(results: Path, out: Path | None = None) -> Path:
    """Write the index page of the experiments in `results`, and report.html where one has only a report.md.

    `out` is the page's file, index.html in `results` by default; gives it back. Raises ValueError if there is no
    experiment in the folder, a results.json is not valid, or a report shows an image that is not there; OSError if a
    file cannot be read or written.
    """
    out = out or results / "index.html"
    parts, images = ["# Experiments"], {}
    for path in sorted(results.glob("*/results.json")):
        content, folder = read_results(path), path.parent
        text = (folder / "report.md").read_text(encoding="utf-8")
        title = _title(text, content["experiment"])
        figures = {file.name: file.read_bytes() for file in sorted(folder.glob("*.png"))}
        if not (folder / "report.html").exists():
            try:
                page = html.page(text, figures, title)
            except ValueError as error:
                raise ValueError(f"{folder / 'report.md'}: {error}") from error
            (folder / "report.html").write_text(page, encoding="utf-8")
        link = Path(os.path.relpath(folder, out.parent)).as_posix()
        first = _first_image(text)
        if first in figures:
            images[f"{link}/{first}"] = figures[first]
        parts.append(section(content, title, quote(link), first if first in figures else None))
    if len(parts) == 1:
        raise ValueError(f"{results} has no folder with a results.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html.page("\n\n".join(parts), images, "Experiments"), encoding="utf-8")
    return out


@dataclass(frozen=True)
class Options:
    """Gather the results of all experiments into one self-contained HTML page."""

    results: Path
    """Folder that holds a folder an experiment, with its results.json, report.md and figures."""
    out: Path | None = None
    """File of the page. Default: index.html in that folder."""


def main(results: Path, arguments: Sequence[str]) -> None:
    """Write the index from the command line; exits with status 2 for what a user can mend."""
    import tyro

    steady()
    options = tyro.cli(Options, default=Options(results), prog="python -m experiments report", args=arguments)
    try:
        print(f"index: {write_index(options.results, options.out)}")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
