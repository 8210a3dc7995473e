"""What the finished runs of `experiments.bengio2006` say: the rows of results.json, paired tests, and claims."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dlx.stats import interval, over_seeds, paired, verdict
from dlx.store import Store
from experiments.bengio2006 import FILTERS, TITLES, Options
from experiments.bengio2006_plan import EXPERIMENTS, PAPER, Outcome, cells, wanted
from experiments.bengio2006_space import Cell
from experiments.protocol import Unit

SPLITS = ("train", "valid", "test")
UNSUPERVISED = ("dbn", "autoassociator")
TOLERANCE = 0.1
"""Points by which a mean may be above the paper's figure before it is called a miss."""


def title(cell: Cell) -> str:
    """The row of a cell in words; the rows that are not the paper's say so."""
    words = TITLES[cell.row] + (", Glorot's initialisation" if cell.initializer == "glorot" else "")
    return words if cell in cells("paper") else f"ours: {words}"


class Runs(NamedTuple):
    """The finished runs of a cell: percent errors of those that converged, and what plots and tests need."""

    errors: dict[str, list[float]]
    diverged: int
    curves: np.ndarray
    wrong: np.ndarray
    filters: np.ndarray | None


def gather(store: Store, outcome: Outcome, n_test: int, visible: int) -> Runs:
    """Read the finished runs of a cell."""
    records = [record for _, record in outcome.trained]
    kept = [record for record in records if not record["diverged"]]
    curves = np.full((len(records), outcome.search.chosen[0].epochs), np.nan)
    wrong = np.zeros((len(records), n_test), bool)
    for line, errs, record in zip(curves, wrong, records, strict=True):
        valid = [float(value) for value in record["valid_curve"]]
        line[: len(valid)] = 100 * np.array(valid)
        errs[record["wrong"]] = True
    errors = {split: [100 * record[split] for record in kept] for split in SPLITS}
    filters = strongest_filters(store, [unit for unit, _ in outcome.trained], visible)
    return Runs(errors, len(records) - len(kept), curves, wrong, filters)


def strongest_filters(store: Store, units: Iterable[Unit], visible: int) -> np.ndarray | None:
    """The first-layer filters [visible, units] of the run that kept them, if there is one."""
    kept = [
        store.load_arrays(
            unit.name,
            {"filters": jax.ShapeDtypeStruct((visible, min(FILTERS, unit.config.widths[0])), np.float16)},
        )["filters"]
        for unit in units
        if unit.keeps
    ]
    return kept[0].astype(np.float32) if kept else None


def table_rows(found: Mapping[Cell, Runs], compare: bool, n_test: int) -> list[dict[str, Any]]:
    """The rows of results.json: a cell and a split each, in percent. `compare`: beside the paper's figures."""
    rows = []
    for (cell, runs), (k, split) in itertools.product(found.items(), enumerate(SPLITS)):
        paper = PAPER[cell.experiment, cell.row][k] if compare and cell in cells("paper") else None
        values = runs.errors[split]
        mean, low, high, n = interval(values) if values else (None, None, None, 0)
        rows.append(
            {
                "row": cell.name,
                "title": title(cell),
                "experiment": cell.experiment,
                "metric": f"{split} error %",
                "paper": paper,
                "paper_status": None if paper is None else "A" if split == "test" else "B",
                "mean": mean,
                "low": low,
                "high": high,
                "n": n,
                "diverged": runs.diverged,
                "values": values,
                "verdict": verdict(mean, low, high, paper, n_test),
            }
        )
    return rows


def paired_tests(found: Mapping[Cell, Runs]) -> list[dict[str, Any]]:
    """Tests between all rows of an experiment that start alike, seed s against seed s.

    `p_digits` are McNemar tests on the test digits, merged over seeds; `p_seeds` is a t-test of the test errors.
    """
    tests = []
    for a, b in itertools.combinations(found, 2):
        if (a.experiment, a.initializer) == (b.experiment, b.initializer):
            n = min(len(found[a].wrong), len(found[b].wrong))
            ours, theirs = found[a].wrong[:n], found[b].wrong[:n]
            p = {"p_digits": paired(ours, theirs), "p_seeds": over_seeds(ours.mean(1), theirs.mean(1))}
            tests.append({"a": a.name, "b": b.name, **p, "seeds": n})
    return sorted(tests, key=lambda test: test["a"][:4])


def claims(rows: list[dict[str, Any]], tests: list[dict[str, Any]]) -> list[str]:
    """Sentences that the test errors allow, hits and misses alike."""
    test = {row["row"]: row for row in rows if row["metric"].startswith("test") and row["mean"] is not None}
    compared = {name: row for name, row in test.items() if row["paper"] is not None}
    misses = {name: row for name, row in compared.items() if row["mean"] > row["paper"] + TOLERANCE}
    lines = [
        f"**Miss**: {name} is {row['mean'] - row['paper']:.3f} points above the paper's figure; what was tried is "
        "listed under Search."
        for name, row in misses.items()
    ]
    if compared and not misses:
        lines.append(f"No cell's mean test error is above the paper's by more than {TOLERANCE} points.")
    p = {frozenset((t["a"], t["b"])): t for t in tests}
    for experiment, row in itertools.product(EXPERIMENTS, UNSUPERVISED):
        mine = f"exp{experiment}/{row}"
        others = [f"exp{experiment}/{other}" for other in ("supervised", "deep", "shallow")]
        if mine not in test or not any(other in test for other in others):
            continue
        said = []
        for other in (other for other in others if other in test):
            side = "below" if test[mine]["mean"] < test[other]["mean"] else "**not below**"
            pair = p[frozenset((mine, other))]
            seeds = "" if pair["p_seeds"] is None else f", over seeds {pair['p_seeds']:.2g}"
            said.append(f"{side} {test[other]['title']} (p over digits {pair['p_digits']:.2g}{seeds})")
        lines.append(f"Experiment {experiment}: {TITLES[row]} is {'; '.join(said)}.")
    return lines


def searched(outcomes: Mapping[Cell, Outcome]) -> list[dict[str, Any]]:
    """Every configuration tried, for results.json and the report; None for what a row does not have."""
    entries = []
    for cell, outcome in outcomes.items():
        for (config, hypers), (_, record) in zip(outcome.search.trials, outcome.search.tried, strict=True):
            entries.append(
                {
                    "cell": cell.name,
                    "widths": "-".join(map(str, config.widths)),
                    "batch_size": config.batch_size,
                    "epochs": config.epochs,
                    "patience": config.patience,
                    "pretrain_epochs": config.pretrain_epochs or None,
                    "pretrain_rate": hypers.pretrain_rate if config.pretrain_epochs else None,
                    "masking": hypers.masking if config.row == "denoising" else None,
                    "rate": hypers.rate,
                    "valid error %": None if record["diverged"] else 100 * record["valid"],
                    "chosen": (config, hypers) == outcome.search.chosen,
                }
            )
    return entries


def unfinished(options: Options, rows: list[dict[str, Any]]) -> list[str]:
    """What is still missing of the table, and how it is made."""
    n = {row["row"]: row["n"] + row["diverged"] for row in rows}
    seeds = wanted(options).items()
    short = [f"{c.name} ({n.get(c.name, 0)} of {most})" for c, most in seeds if n.get(c.name, 0) < most]
    if not short:
        return []
    return [f"Not finished, by number of seeds: {', '.join(short)}. The same command goes on with them."]
