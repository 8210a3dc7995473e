"""What compiled programs would take on devices that are not here: an estimate from below, and its two tables.

A row is a dictionary: what `dlx.bench.ahead` tells of one compiled program of a page, for a kind of device.
"""

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dlx.show import tables
from dlx.show.progress import duration
from dlx.store import open_store
from dlx.study.command import STORE
from dlx.study.verify import unpack


class Device(NamedTuple):
    """A kind of device: its name and its speed."""

    title: str
    flops: float
    """Per second, of JAX's default matrix products of float32: TF32 on the H100, bfloat16 on the TPU."""
    bandwidth: float
    """Bytes per second."""
    launch: float
    """The least seconds per kernel."""


KINDS = {"cuda": Device("H100", 495e12, 3.35e12, 3e-6), "tpu": Device("TPU v5e", 197e12, 0.82e12, 0.0)}

SUMMARY = [
    "page",
    "device",
    "programs",
    "GB a device at most",
    "GB a run at most",
    "weights copied in a step",
    "collectives",
    "s to compile",
    "one device at least",
]
DETAILS = [
    "program",
    "device",
    "runs side by side",
    "GB a device",
    "kernels a step",
    "floats copied in a step",
    "collectives",
    "s to compile",
    "MFLOP a step",
    "MB a step",
    "least us a step",
]

INTRODUCTION = """# What the pages would do on accelerators

`{command}`: every program of every page's preset `paper`, compiled and **not run**, for eight H100s and for a TPU v5e
slice of 2 x 4 ([numbers](accelerators/)). Four runs are side by side on a device, and eight devices share the run axis.
A step is a round of the program's busiest loop: a minibatch of training, or a temperature of annealing. Copied arrays
have the axis of the runs first. With "2 a run" two devices share the minibatches of a run, which one program of each
page shows.

Most copies are of activations and of gradients. A weight is an array that every step changes. It is copied mostly where
one kernel updates it and sums over it, for a penalty, because that kernel cannot write in place. The points of `Grid`
count as weights, because they descend.

The last two columns are an **estimate from below** of the time of all the page's runs, with the epochs that the
committed runs took. A device takes at least what its arithmetic costs, or its memory, or on a GPU 3 microseconds per
kernel, whichever is most. Arithmetic: 495 TFLOP/s in TF32, and 197 in bfloat16, which JAX takes by default. Memory:
3.35 and 0.82 TB/s, as if no cache held anything. Compiling, reading data and what a host does come on top. Nobody has
measured it yet.

"""


def markdown(pages: Mapping[str, dict[str, Any]], results: Path, devices: int, command: str) -> str:
    """The document of all pages: a summary, and a table per page.

    Each page has its `rows`, and for each kind where and when they were `compiled`. `results` holds a folder of
    committed records per page.
    """
    every = [row for page in pages.values() for row in page["rows"]]
    parts = [INTRODUCTION.format(command=command), tables.markdown(*summary(every, results, devices))]
    for name, page in pages.items():
        how = "".join(
            f"{KINDS[kind].title}: on {by['machine']}, {by['date']}, JAX {by['jax']}, {by['revision']}.\n"
            for kind, by in page["compiled"].items()
        )
        parts.append(f"\n## {name}\n\n{how}\n{tables.markdown(*details(page['rows']))}")
    return "".join(parts)


def bound(kind: str, cost: dict[str, Any], flops: float | int) -> float:
    """The least seconds that a device takes: by its arithmetic, its memory, or its kernel launches."""
    there = KINDS[kind]
    return max(flops / there.flops, cost["bytes"] / there.bandwidth, cost["kernels"] * there.launch)


def epochs_run(folder: Path) -> dict[str, float]:
    """The mean epochs of the runs whose records lie in a folder, by the program's identity. Patience ended some."""
    epochs: dict[str, list[int]] = {}
    if (archive := folder / "records.tar.xz").exists():
        with tempfile.TemporaryDirectory(prefix="dlx-estimate-") as there:
            store = open_store(unpack(archive, Path(there) / "committed"), STORE)
            for path in sorted((store.folder / "units").rglob("*.json")):
                record = store.load(path.relative_to(store.folder / "units").with_suffix("").as_posix()) or {}
                curves = [curve for part in record.get("curves", {}).values() for curve in part.values()]
                if curves:
                    identity = json.dumps([record["program"], record["fields"]])
                    epochs.setdefault(identity, []).append(max(map(len, curves)))
    return {identity: sum(lengths) / len(lengths) for identity, lengths in epochs.items()}


def flops_of(rows: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any], str], float | int]:
    """FLOPs of a part of a row. They are counted in the text for GPUs, which has matrix products as such."""
    known = {(row["page"], row["program"], row["devices_a_run"]): row for row in rows if row["kind"] == "cuda"}

    def flops(row: dict[str, Any], part: str) -> float | int:
        return known.get((row["page"], row["program"], row["devices_a_run"]), row)[part]["flops"]

    return flops


def summary(rows: Sequence[dict[str, Any]], results: Path, devices: int) -> tuple[list[str], list[list[str]]]:
    """One row per page and kind: the most that any program takes, and the least time on one device and on several.

    `results` holds a folder of committed records per page.
    """
    flops, body = flops_of(rows), []
    for page, kind in dict.fromkeys((row["page"], row["kind"]) for row in rows):
        mine = [row for row in rows if (row["page"], row["kind"], row["devices_a_run"]) == (page, kind, 1)]
        took = epochs_run(results / page)

        def seconds(row: dict[str, Any], n: int, kind=kind, took=took) -> float:
            epochs = took.get(json.dumps(row["identity"]), row["epochs"])
            parts = {"once": 1, "epoch": epochs}
            least = sum(times * bound(kind, row[part], flops(row, part)) for part, times in parts.items())
            return math.ceil(row["units"] / (row["runs_a_device"] * n)) * least

        body.append(
            [
                page,
                KINDS[kind].title,
                str(len(mine)),
                gigabytes(max(row["memory"] for row in mine)),
                gigabytes(max(row["memory_of_a_run"] for row in mine)),
                str(sum(len(weights(row)) for row in mine)),
                str(sum(len(row["collectives"]) for row in mine)),
                f"{sum(row['compile_seconds'] for row in mine) / len(mine):.0f}",
                *(duration(sum(seconds(row, n) for row in mine)) for n in (1, devices)),
            ]
        )
    return [*SUMMARY, f"{devices} at least"], body


def details(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """One row per program and kind."""
    flops = flops_of(rows)
    return DETAILS, [
        [
            row["program"],
            KINDS[row["kind"]].title + (f", {row['devices_a_run']} a run" if row["devices_a_run"] > 1 else ""),
            str(row["runs_a_device"]),
            gigabytes(row["memory"]),
            f"{row['step']['kernels']:.0f}",
            ", ".join("x".join(map(str, dims)) for dims in row["copied"]) or "none",
            ", ".join(f"{name} {n}" for name, n in Counter(row["collectives"]).items()) or "none",
            f"{row['compile_seconds']:.0f}",
            f"{flops(row, 'step') / 1e6:.1f}",
            f"{row['step']['bytes'] / 1e6:.1f}",
            f"{1e6 * bound(row['kind'], row['step'], flops(row, 'step')):.0f}",
        ]
        for row in rows
    ]


def weights(row: dict[str, Any]) -> list[list[int]]:
    """The copied arrays that may be weights. Their axes after that of the runs do not count examples.

    A row that does not tell state from other arrays may have weights among all that it copies.
    """
    examples = {row["identity"][1].get(name) for name in ("batch_size", "chains")}
    copied = row["copied_state"] if "copied_state" in row else row["copied"]
    return [dims for dims in copied if len(dims) > 2 and not {*dims[1:-1]} & examples]


def gigabytes(n: float | int) -> str:
    """Bytes in GB."""
    return f"{n / 1e9:.2f}"
