"""Writes what a study has found: results.json, records, report and figures. Prints the table."""

import json
import re
import sys
from collections.abc import Sequence

from dlx.show import events, tables
from dlx.show import figures as draw
from dlx.show.canvas import import_matplotlib
from dlx.show.html import page
from dlx.store import Store, to_json
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import Study
from dlx.study.judge import table
from dlx.study.judge.asked import decidable
from dlx.study.publish import report
from dlx.study.run.errors import where
from dlx.study.run.found import Found
from dlx.unit import NET, Naming

IMAGE_BYTES = 35_000
"""The most bytes of a figure. A report.html, which holds all figures as text, must stay below 400 kB."""


def publish(
    study: Study,
    name: str,
    command: str,
    options: CommonOptions,
    found: Found,
    records: Store,
    naming: Naming,
    folder: Store,
    remarks: Sequence[str] = (),
) -> None:
    """Write the outcome into `folder`, and print the table.

    `remarks` are sentences that the report adds. Results and records are written before figures and report. If a figure
    cannot be drawn, only that figure is missing, and the report says why. An old file of it is removed.
    """
    remarks = [*table.unfinished(found), *hidden(study, options, found), *remarks]
    if not found.runs:
        tried = sum(len(attempt.records) for outcome in found.outcomes.values() for attempt in outcome.tried)
        print("\n".join([f"no row has a finished run yet ({tried} runs of finished searches)", *remarks]))
        return
    claims, left_out = decidable(study.claims, found.rows, found.about)
    remarks += left_out
    content = table.results(name, options.preset, command, found, study.metrics, claims)
    folder.write("results.json", to_json(content, indent=1) + "\n")
    shown = {naming.name(unit) for runs in found.runs.values() for unit in runs.units[: runs.row.keep]}
    names = dict.fromkeys(map(naming.name, table.all_records(found)))
    folder.write("records.tar.xz", records.archive(names, shown, without=NET))
    files, images, faults = drawn(study, found)
    for old in folder.folder.glob("*.png"):
        if old.name not in images and is_of(study, old.name):
            old.unlink(missing_ok=True)
    for file, image in images.items():
        folder.write(file, image)
    content = json.loads(to_json(content))
    text = report.text(study, content, files, [*remarks, *faults])
    folder.write("report.md", text)
    folder.write("report.html", page(text, images, study.doc.strip().splitlines()[0]))
    if options.tensorboard:
        events.write(folder.folder / "tensorboard", event_curves(found))
    for group in report.groups(content):
        metrics = report.measured(study.metrics, content, group)
        papered, lines = report.row_lines(metrics, content, group)
        title = f"{group or name} on {content['data']['name']}"
        tables.terminal(title, report.header(metrics, papered), lines)
    for line in (*remarks, *faults):
        print(line)
    print(f"report: {folder.folder / 'report.html'}")


def hidden(study: Study, options: CommonOptions, found: Found) -> list[str]:
    """A sentence that the paper's values are not shown, if the data are not those of the paper."""
    same = found.main.origin.name == study.paper_data
    if same or not any(row.paper for row in study.rows(options, found.about)):
        return []
    return [f"The paper's figures are for {study.paper_data} and are not shown."]


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


def is_of(study: Study, file: str) -> bool:
    """Whether a file has the name of one of the study's figures, or of one of the several that stand side by side."""
    return file in study.figures or re.sub(r"-\d+(\.\w+)$", r"\1", file) in study.figures


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
