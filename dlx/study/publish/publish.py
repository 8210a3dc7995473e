"""Writes the outcome of a study: results.json, records, report and figures. Prints the table."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dlx.show import events, html, tables
from dlx.show import figures as draw
from dlx.show.canvas import import_matplotlib
from dlx.store import Store, to_json
from dlx.study.declare.page import Study
from dlx.study.judge.asked import asked
from dlx.study.publish.marks import CLASSES
from dlx.study.publish.report import DATA, text
from dlx.study.publish.sections import tables_of
from dlx.study.run.errors import where
from dlx.study.run.found import Found
from dlx.study.run.records import Records
from dlx.unit import NET

IMAGE_BYTES = 60_000
"""The most bytes of a picture."""
READABLE_BYTES = 8_000
"""No picture is asked to take less."""
IMAGES_BYTES = 225_000
"""The most bytes of all pictures together. A report.html, which holds them as text, must stay below 400 kB."""


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
    rows = {claim.words: asked(claim, found.rows, found.about) for claim in study.claims}
    report = text(study, content, files, rows, remarks)
    folder.write("report.md", report)
    folder.write("report.html", html.page(report, images, study.doc.strip().splitlines()[0], CLASSES))
    if tensorboard:
        events.write(folder.folder / "tensorboard", event_curves(found))
    for group, (heads, lines) in tables_of(study.metrics, content).items():
        name = content["data"]["name"]
        tables.terminal(f"{group or content['experiment']} on {DATA.get(name, name)}", heads, lines)
    for line in remarks:
        print(line)
    print(f"report: {folder.folder / 'report.html'}")


def drawn(study: Study, found: Found) -> tuple[dict[str, list[str]], dict[str, bytes], list[str]]:
    """The files of each figure, the files as PNGs, and a sentence for each figure that could not be drawn."""
    files: dict[str, list[str]] = {}
    images: dict[str, bytes] = {}
    originals: dict[str, Any] = {}
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
            originals |= zip(names, several, strict=True)
            files[name] = names
        except Exception as error:
            faults.append(f"{name} could not be drawn: {type(error).__name__}: {error}")
            print(f"warning: {faults[-1]}{where(error)}", file=sys.stderr)
    return files, fitted(images, originals, IMAGES_BYTES), faults


def fitted(images: Mapping[str, bytes], originals: Mapping[str, Any], most: int) -> dict[str, bytes]:
    """The pictures in at most so many bytes together, as far as that can be: the largest lose sharpness first.

    `originals` are the matplotlib figures that they show.
    """
    there, limit = dict(images), max(map(len, images.values()), default=0)
    while sum(map(len, there.values())) > most and limit > READABLE_BYTES:
        limit = limit * 4 // 5
        for file in [file for file, image in there.items() if len(image) > limit]:
            with contextlib.suppress(ValueError):
                there[file] = draw.png(originals[file], limit=limit)
    return there


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
