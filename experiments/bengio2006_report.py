"""What `experiments.bengio2006` shows: results.json, report.md, figures, and the table on the terminal."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from dlx import figures as plots
from dlx import report
from dlx.stats import interval, paired
from dlx.store import Store, to_json
from dlx.types import Data
from experiments import contract
from experiments.bengio2006 import EXPERIMENTS, PAPER, TITLES, Options, Outcome
from experiments.protocol import load_finals, verdict

SPLITS = ("train", "valid", "test")
UNSUPERVISED = ("dbn", "autoassociator", "denoising")


def protocol(options: Options) -> list[tuple[str, str, str]]:
    """What the paper did and what is done here."""
    weights = {"fan": "the same", "glorot": "Glorot's, U[-√6/√s, √6/√s], s = fan-in + fan-out (departure)"}
    return [
        ("data", "MNIST, 50 000 / 10 000 / 10 000", "the same; the last 10 000 training digits are for validation"),
        ("hidden layers", "three; widths 500 to 1000 by validation", "three of 500 (departure); shallow: 500 or 1000"),
        ("Experiment 3", "top hidden layer of 20 units", "the same, with the choices of Experiment 2 (departure)"),
        ("initial weights", "U[-1/√d, 1/√d], d = max(fan-in, fan-out)", weights[options.initializer]),
        ("gradient descent", "plain, one example at a time", f"plain, minibatches of {options.batch_size} (departure)"),
        ("learning rate", "chosen by validation; later code decays it", "chosen by validation, constant (departure)"),
        ("auto-associator", "sigmoid, cross-entropy, tied", "the same" if options.tied else "untied (departure)"),
        ("RBM", "CD-1 on samples", f"CD-{options.k}; P(v | h) and P(h | v) in the statistics (departure)"),
        ("supervised greedy", "output layers thrown away, a fresh one at the end", "the same"),
        ("fine-tuning", "early stopping by validation", "the same: patience 3 epochs, at most 24"),
        ("search", "on validation; extent not given", "on validation: 4 configurations a row, one run each"),
        ("reported", "one run a cell", "fresh seeds of the chosen configuration"),
    ]


class Cell(NamedTuple):
    """The figures of one cell: percent errors of its converged runs, and what its plots and tests need."""

    errors: dict[str, list[float]]
    diverged: int
    curves: np.ndarray
    wrong: np.ndarray
    filters: np.ndarray


def gather(store: Store, outcome: Outcome, n_test: int, visible: int) -> Cell:
    """Read the finished runs of a cell."""
    runs = [run for record in outcome.final for run in record["runs"]]
    kept = [run for run in runs if not run["diverged"]]
    curves = np.full((len(runs), outcome.chosen[0].epochs), np.nan)
    for line, run in zip(curves, runs, strict=True):
        valid = [float(value) for value in run["stages"][-1]["valid"]]
        line[: len(valid)] = 100 * np.array(valid)
    arrays = load_finals(store, outcome.trained, n_test, visible)
    errors = {split: [100 * run[split] for run in kept] for split in SPLITS}
    return Cell(errors, len(runs) - len(kept), curves, arrays["wrong"], arrays["filters"])


def table_rows(cells: Mapping[str, Cell], compare: bool, n_test: int) -> list[dict[str, Any]]:
    """The rows of results.json: a cell and a split each, in percent. `compare`: beside the paper's figures."""
    rows = []
    for (name, cell), (k, split) in itertools.product(cells.items(), enumerate(SPLITS)):
        experiment, row = int(name[3]), name.split("/")[1]
        paper = PAPER.get((experiment, row)) if compare else None
        values = cell.errors[split]
        mean, low, high, n = interval(values) if values else (None, None, None, 0)
        rows.append(
            {
                "row": name,
                "metric": f"{split} error %",
                "paper": paper and paper[k],
                "paper_status": paper and ("A" if split == "test" else "B"),
                "mean": mean,
                "low": low,
                "high": high,
                "n": n,
                "diverged": cell.diverged,
                "verdict": verdict(mean, low, high, paper and paper[k], n_test),
            }
        )
    return rows


def paired_tests(cells: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """McNemar tests between all rows of an experiment, seed s against seed s, merged over the seeds."""
    tests = []
    for a, b in itertools.combinations(cells, 2):
        if a[:4] == b[:4]:
            p = paired(cells[a].wrong, cells[b].wrong)
            tests.append({"a": a, "b": b, "p": p, "seeds": len(cells[a].wrong)})
    return sorted(tests, key=lambda test: test["a"][:4])


def edge(row: str, search: list[dict[str, Any]]) -> str:
    """Whether a row's choice lies where its search ended, as a clause."""
    tried = [entry for entry in search if entry["cell"] == f"exp2/{row}"]
    lengths = {entry["pretrain_epochs"] for entry in tried}
    longest = len(lengths) > 1 and any(e["chosen"] and e["pretrain_epochs"] == max(lengths) for e in tried)
    return "; the choice is the longest pre-training tried, so longer may be better" if longest else ""


def claims(rows: list[dict[str, Any]], search: list[dict[str, Any]]) -> list[str]:
    """Sentences that the test errors allow, hits and misses alike."""
    test = {row["row"]: row for row in rows if row["metric"].startswith("test") and row["mean"] is not None}
    lines = []
    for row in test.values():
        if row["paper"] is not None and row["mean"] > row["paper"] + 0.3:
            lines.append(
                f"**Miss**: {row['row']} is {row['mean'] - row['paper']:.2f} points above the paper's figure. What was "
                f"tried is listed under Search{edge(row['row'].split('/')[1], search)}."
            )
    if not lines and any(row["paper"] is not None for row in test.values()):
        lines.append("No cell's mean test error is above the paper's by more than 0.3 points.")
    for experiment in EXPERIMENTS:
        means = {name.split("/")[1]: row["mean"] for name, row in test.items() if name[3] == str(experiment)}
        others = {row: mean for row, mean in means.items() if row not in UNSUPERVISED}
        for row in UNSUPERVISED:
            if row in means and others:
                above = [TITLES[other] for other, mean in others.items() if mean <= means[row]]
                verb = f"is not below: {'; '.join(above)}" if above else "is below every row without it"
                lines.append(f"Experiment {experiment}: unsupervised pre-training ({TITLES[row]}) {verb}.")
    return lines


def row_table(rows: list[dict[str, Any]], experiment: int) -> list[list[str]]:
    """A line a row of the paper's table: paper, ours by split, number of runs, verdict on the test error."""
    table = []
    for row, title in TITLES.items():
        train, valid, test = (r for r in rows if r["row"] == f"exp{experiment}/{row}")
        known = train["paper"] is not None
        paper = " / ".join(f"{r['paper']:g}" for r in (train, valid, test)) if known else "–"
        ours = [report.percent(r["mean"], r["low"], r["high"]) for r in (train, valid, test)]
        n = f"{test['n']}" + (f" ({test['diverged']} diverged)" if test["diverged"] else "")
        table.append([title, paper, *ours, n, test["verdict"]])
    return table


HEADER = [
    "row",
    "paper: train / valid / test %",
    "ours: train %",
    "valid %",
    "test %",
    "n",
    "test error: verdict",
]


def searched(outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Every configuration tried, for results.json and the report."""
    return [
        {
            "cell": name,
            "widths": "-".join(map(str, unit.config.widths)),
            "pretrain_epochs": unit.config.pretrain_epochs,
            **hypers._asdict(),
            "valid error %": None if run["diverged"] else 100 * run["valid"],
            "chosen": (unit.config, hypers) == outcome.chosen,
        }
        for name, outcome in outcomes.items()
        for unit, record in zip(outcome.searched, outcome.search, strict=True)
        for hypers, run in zip(unit.hypers, record["runs"], strict=True)
    ]


def search_table(entries: list[dict[str, Any]]) -> str:
    """The search as Markdown; a dash where a row has no such number."""
    header = ["cell", "widths", "pre-training epochs", "pre-training rate", "masking", "rate", "valid %", ""]
    body = []
    for entry in entries:
        row = entry["cell"].split("/")[1]
        pre = row not in ("deep", "shallow")
        body.append(
            [
                entry["cell"],
                entry["widths"],
                f"{entry['pretrain_epochs']}" if pre else "–",
                f"{entry['pretrain_rate']:g}" if pre else "–",
                f"{entry['masking']:g}" if row == "denoising" else "–",
                f"{entry['rate']:g}",
                "diverged" if entry["valid error %"] is None else f"{entry['valid error %']:.2f}",
                "chosen" if entry["chosen"] else "",
            ]
        )
    return report.markdown(header, body)


def matrix(tests: list[dict[str, Any]], experiment: int) -> tuple[list[str], list[list[str]]]:
    """The p-values of one experiment as a triangle."""
    p = {frozenset((t["a"], t["b"])): t["p"] for t in tests}
    names = [f"exp{experiment}/{row}" for row in TITLES]
    short = [name.split("/")[1] for name in names]
    body = [
        [short[i], *(f"{p[frozenset((a, b))]:.2g}" if i > j else "" for j, b in enumerate(names[:-1]))]
        for i, a in enumerate(names)
    ]
    return ["p", *short[:-1]], body[1:]


def markdown(options: Options, results: Mapping[str, Any]) -> str:
    """The text of report.md, from the content of results.json."""
    data, rows = results["data"], results["rows"]
    note = "" if data["name"] == "mnist" else " The paper's figures are for MNIST and are not shown."
    parts = [
        "# Greedy layer-wise training of deep networks (Bengio et al. 2006)",
        f"`{results['command']}`, {results['seconds'] / 60:.0f} minutes of training on {results['device']}. "
        f"Data: {data['name']}, source {data['source']}, variant {data['variant']}, "
        f"fingerprint {data['fingerprint'][:16]}. Errors in percent; ± is half the 95 % interval of the mean over "
        "n seeds. The paper's test figures are consistent across sources; its train and valid figures come from one "
        f"secondary source.{note}",
        *(f"## Experiment {e}\n\n{report.markdown(HEADER, row_table(rows, e))}" for e in EXPERIMENTS),
        "\n".join(f"- {line}" for line in claims(rows, results["search"])),
        "![The table as bars](bars.png)",
        "## Paired tests\n\nExact McNemar tests on the test digits, seed s of one row against seed s of the other; "
        "the p-values of the seeds are merged by twice their median.",
        *(f"Experiment {e}:\n\n{report.markdown(*matrix(results['tests'], e))}" for e in EXPERIMENTS),
        "![Validation error of every row](curves.png)",
        "![First-layer filters of every row](filters.png)",
        "First-layer filters after fine-tuning, Experiment 2: of each row's first run the 36 units of largest norm.",
        "## Search\n\nEvery configuration of the search, one run each from seed 0, which no reported run uses; the "
        f"lowest validation error wins.\n\n{search_table(results['search'])}",
    ]
    if options.preset == "paper":
        parts.append(
            "Its ranges were set after a few unrecorded trials, judged by validation error too, mostly of the DBN and "
            "auto-associator rows: these rows had that much more of a search than the others. The same trials decided "
            "for P(v | h) instead of samples as the RBM's reconstruction."
        )
        parts.append(f"## Protocol\n\n{report.markdown(['', 'paper', 'here'], protocol(options))}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def publish(options: Options, origin: dict, store: Store, outcomes: Mapping[str, Outcome], data: Data) -> None:
    """Write results.json, report.md and the figures into the store's folder, and print the table."""
    n_test, visible = data.test.x.shape
    cells = {name: gather(store, outcome, n_test, visible) for name, outcome in outcomes.items()}
    rows = table_rows(cells, origin["name"] == "mnist", n_test)
    records = [record for outcome in outcomes.values() for record in (*outcome.search, *outcome.final)]
    more = {"tests": paired_tests(cells), "search": searched(outcomes)}
    content = contract.results("bengio2006", options.preset, origin, records, rows, **more)
    store.write("results.json", to_json(content, indent=1) + "\n")
    store.write("report.md", markdown(options, content))
    for name, figure in figures(cells, rows, visible).items():
        store.write(name, plots.png(figure))
    for experiment in EXPERIMENTS:
        report.terminal(f"Experiment {experiment} on {origin['name']}", HEADER, row_table(rows, experiment))
    print(f"report: {store.folder / 'report.md'}")


def figures(cells: Mapping[str, Cell], rows: list[dict], visible: int) -> dict[str, Any]:
    """The figures by file name."""
    test = {r["row"]: r for r in rows if r["metric"].startswith("test")}
    side = round(visible**0.5)

    def panel(experiment, value):
        return {title: value(f"exp{experiment}/{row}") for row, title in TITLES.items()}

    def bar(name):
        r = test[name]
        return plots.Bar(
            TITLES[name.split("/")[1]],
            *(r[key] if r[key] is not None else None for key in ("mean", "low", "high", "paper")),
        )

    return {
        "curves.png": plots.curves(
            {f"Experiment {e}": panel(e, lambda name: cells[name].curves) for e in EXPERIMENTS},
            ylabel="validation error %",
            xlabel="epoch of fine-tuning",
        ),
        "bars.png": plots.bars(
            {f"Experiment {e}": list(panel(e, bar).values()) for e in EXPERIMENTS}, ylabel="test error %"
        ),
        "filters.png": plots.filters(panel(2, lambda name: cells[name].filters), (side, side)),
    }
