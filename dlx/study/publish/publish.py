"""Writes the outcome of a study: results.json, records, report and figures. Prints the table."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dlx.show import events, html, tables
from dlx.show import figures as draw
from dlx.show.canvas import import_matplotlib
from dlx.store import Store, to_json
from dlx.study.declare.page import Metric, Study
from dlx.study.publish.report import SEARCHED, findings, paired_tests, provenance, trials
from dlx.study.run.errors import where
from dlx.study.run.found import Found
from dlx.study.run.records import Records
from dlx.unit import NET

IMAGE_BYTES = 35_000
"""The most bytes of a figure. A report.html, which holds all figures as text, must stay below 400 kB."""


def publish(
    study: Study,
    found: Found,
    content: Mapping[str, Any],
    remarks: Sequence[str],
    records: Records,
    folder: Store,
    tensorboard: bool = False,
) -> None:
    """Write the outcome into `folder`, and print the table.

    `content` is that of results.json. `remarks` are sentences that the report adds. Results and records are written
    before figures and report. If a figure cannot be drawn, only that figure is missing, and the report says why. An old
    file of it is removed.
    """
    folder.write("results.json", to_json(content, indent=1) + "\n")
    shown = {records.naming.name(unit) for runs in found.runs.values() for unit in runs.units[: runs.row.keep]}
    names = dict.fromkeys(map(records.naming.name, found.records()))
    folder.write("records.tar.xz", records.store.archive(names, shown, without=NET))
    files, images, faults = drawn(study, found)
    for old in folder.folder.glob("*.png"):
        if old.name not in images and study.names_figure(old.name):
            old.unlink(missing_ok=True)
    for file, image in images.items():
        folder.write(file, image)
    remarks = [*remarks, *faults]
    report = text(study, content, files, remarks)
    folder.write("report.md", report)
    folder.write("report.html", html.page(report, images, study.doc.strip().splitlines()[0]))
    if tensorboard:
        events.write(folder.folder / "tensorboard", event_curves(found))
    for group, (heads, lines) in tables_of(study.metrics, content).items():
        tables.terminal(f"{group or content['experiment']} on {content['data']['name']}", heads, lines)
    for line in remarks:
        print(line)
    print(f"report: {folder.folder / 'report.html'}")


def drawn(study: Study, found: Found) -> tuple[dict[str, list[str]], dict[str, bytes], list[str]]:
    """The files of each figure, the files as PNGs, and a sentence for each figure that could not be drawn."""
    files: dict[str, list[str]] = {}
    images: dict[str, bytes] = {}
    faults = []
    if study.figures:
        import_matplotlib()
    for name, figure in study.figures.items():
        try:
            made = figure.draw(found)
            several = made if isinstance(made, list) else [made] if made is not None else []
            stem, _, kind = name.rpartition(".")
            names = [name] if len(several) == 1 else [f"{stem}-{i + 1}.{kind}" for i in range(len(several))]
            images |= {file: draw.png(one, limit=IMAGE_BYTES) for file, one in zip(names, several, strict=True)}
            files[name] = names
        except Exception as error:
            faults.append(f"{name} could not be drawn: {type(error).__name__}: {error}")
            print(f"warning: {faults[-1]}{where(error)}", file=sys.stderr)
    return files, images, faults


def text(study: Study, content: Mapping[str, Any], images: Mapping[str, Sequence[str]], remarks: Sequence[str]) -> str:
    """Markdown, from the content of results.json and the files of each figure.

    `remarks` are sentences on what is missing.
    """
    title, _, rest = study.doc.strip().partition("\n")
    asked = "\n\n".join(part for part in rest.strip().split("\n\n") if not re.match(r"( {4}|Lecture)", part))
    first, *others = study.figures or ("",)
    parts = [
        f"# {title.rstrip('.')}",
        asked,
        findings(content),
        figure(study, first, images),
        *(
            f"## {group or 'Results'}\n\n{tables.markdown(heads, lines)}"
            for group, (heads, lines) in tables_of(study.metrics, content).items()
        ),
        "\n".join(f"- {line}" for line in remarks),
        provenance(content),
        paired_tests(content),
        *(figure(study, name, images) for name in others if not name.startswith("search")),
    ]
    if content["search"]:
        drawn = [figure(study, name, images) for name in others if name.startswith("search")]
        parts += [SEARCHED, *drawn, trials(content)]
    if content["preset"] == "paper":
        parts.append(study.notes(content["experiment"]))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def figure(study: Study, name: str, images: Mapping[str, Sequence[str]]) -> str:
    """A figure's images in one paragraph, and its caption in the next."""
    files = images.get(name, ())
    caption = study.figures[name].caption if name in study.figures else ""
    caption = caption or name.partition(".")[0].capitalize()
    return "\n".join(f"![{caption}]({file})" for file in files) + f"\n\n*{caption}*" * bool(files)


def tables_of(metrics: Sequence[Metric], content: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """The heads and the cells of the table of each group: title, paper, ours by metric, number of runs, verdict.

    A table has the metrics that a row of its group has, and the paper's values of those that have one. It says how the
    last metric compares with the paper's value; for percentages only.
    """
    grouped: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in content["rows"]:
        grouped.setdefault(entry["group"], {}).setdefault(entry["row"], {})[entry["metric"]] = entry
    there = {}
    for group, rows in grouped.items():
        told = {entry["metric"] for row in rows.values() for entry in row.values() if entry["paper"] is not None}
        here = [metric for metric in metrics if any(metric.label in row for row in rows.values())]
        papered = [metric.label for metric in here if metric.label in told]
        judged = bool(papered) and here[-1].bounds == (0, 100)
        paper = [f"paper: {joined(papered)}"] if papered else []
        labels = [metric.label for metric in here]
        heads = ["row", *paper, *labels, "n", *[f"{labels[-1]}: verdict"] * judged]
        there[group] = heads, [cells(row, here, papered, judged) for row in rows.values()]
    return there


def joined(labels: Sequence[str]) -> str:
    """The labels in one head of a column: "train / valid / test error %"."""
    parts = [label.partition(" ") for label in labels]
    alike = len({rest for _, _, rest in parts}) == 1
    return f"{' / '.join(word for word, _, _ in parts)} {parts[0][2]}".strip() if alike else " / ".join(labels)


def cells(row: Mapping[str, Any], metrics: Sequence[Metric], papered: Sequence[str], judged: bool) -> list[str]:
    """The cells of a row, from its entries of results.json by metric; see `tables_of`."""

    def ours(entry: Mapping[str, Any] | None, metric: Metric) -> str:
        return tables.estimate(entry["values"], entry["low"], entry["high"], bounds=metric.bounds) if entry else "–"

    some, last = next(iter(row.values())), row.get(metrics[-1].label)
    known = [row[label]["paper"] if label in row else None for label in papered]
    paper = "–" if set(known) <= {None} else " / ".join("–" if value is None else f"{value:g}" for value in known)
    return [
        some["title"],
        *([paper] if papered else []),
        *(ours(row.get(metric.label), metric) for metric in metrics),
        f"{some['n']}" + (f" ({some['diverged']} diverged)" if some["diverged"] else ""),
        *([last["verdict"] if last else "–"] if judged else []),
    ]


def event_curves(found: Found) -> dict[str, dict[str, list[float]]]:
    """The curves of every finished run, by run and tag."""
    return {
        f"{name}/{unit.seed}": {
            f"{place}/{tag}": [float(value) for value in values]
            for place, curves in record["curves"].items()
            for tag, values in curves.items()
        }
        for name, runs in found.runs.items()
        for unit, record in zip(runs.units, runs.records, strict=True)
    }
