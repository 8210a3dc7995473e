"""What `experiments.bengio2006` shows: results.json, report.md, figures, and the table on the terminal."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from dlx.show import events, tables
from dlx.show import figures as plots
from dlx.show.html import page
from dlx.store import Store, to_json
from dlx.types import Data
from experiments import contract
from experiments.bengio2006 import TITLES, Modern, Options
from experiments.bengio2006_plan import EXPERIMENTS, Outcome
from experiments.bengio2006_space import Cell
from experiments.bengio2006_table import Runs, claims, gather, paired_tests, searched, table_rows, title, unfinished

SHOWN = 6
"""Filters of each row in the figure."""


def protocol() -> list[tuple[str, str, str]]:
    """What the paper did and what is done here."""
    return [
        ("data", "MNIST, 50 000 / 10 000 / 10 000", "the same; the last 10 000 training digits are for validation"),
        (
            "hidden layers",
            "three; widths 500 to 1000 by validation",
            "three; 500 or 750 by validation, shallow up to 1000",
        ),
        (
            "Experiment 3",
            "top hidden layer of 20 units",
            "the same; pre-training as chosen in Experiment 2 (departure)",
        ),
        ("initial weights", "U[-1/√d, 1/√d], d = max(fan-in, fan-out)", "the same, but for the rows marked as ours"),
        (
            "gradient descent",
            "plain, one example at a time",
            "plain, minibatches of 20; in fine-tuning 20 or 100 by validation (departure)",
        ),
        ("learning rate", "chosen by validation; later code decays it", "chosen by validation, constant (departure)"),
        ("auto-associator", "sigmoid, cross-entropy, tied", "the same"),
        ("RBM", "CD-1 on samples", "CD-1; P(v | h) and P(h | v) in the statistics (departure)"),
        ("supervised greedy", "output layers thrown away, a fresh one at the end", "the same"),
        (
            "fine-tuning",
            "early stopping by validation",
            "the same: patience 4 of at most 30 epochs (shallow: 40), or 10 of 60, by validation",
        ),
        (
            "search",
            "on validation; extent not given",
            "on validation: 16 configurations a row (shallow 18), then 7 in Experiment 3 (shallow 11). The denoising "
            "row takes over the auto-associator's and searches the masking; from Glorot's initialisation all is taken "
            "over",
        ),
        ("reported", "one run a cell", "fresh seeds of the chosen configuration"),
    ]


def row_table(rows: list[dict[str, Any]], experiment: int) -> list[list[str]]:
    """A line a row of the table: paper, ours by split, number of runs, verdict on the test error."""
    table = []
    here = [row for row in rows if row["experiment"] == experiment]
    for train, valid, test in zip(here[::3], here[1::3], here[2::3], strict=True):
        known = train["paper"] is not None
        paper = " / ".join(f"{r['paper']:g}" for r in (train, valid, test)) if known else "–"
        ours = [tables.percent(r["mean"], r["low"], r["high"]) for r in (train, valid, test)]
        n = f"{test['n']}" + (f" ({test['diverged']} diverged)" if test["diverged"] else "")
        table.append([test["title"], paper, *ours, n, test["verdict"]])
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


def search_table(entries: list[dict[str, Any]]) -> str:
    """The search as Markdown; a dash where a row has no such number."""
    names = ("pretrain_epochs", "pretrain_rate", "masking", "batch_size", "rate", "epochs", "patience")
    header = ["cell", "widths", "pre-training epochs", "its rate", "masking"]
    header += ["minibatch", "rate", "most epochs", "patience", "valid %", ""]
    body = []
    for entry in entries:
        valid = "diverged" if entry["valid error %"] is None else f"{entry['valid error %']:.2f}"
        numbers = ["–" if entry[name] is None else f"{entry[name]:g}" for name in names]
        body.append([entry["cell"], entry["widths"], *numbers, valid, "chosen" if entry["chosen"] else ""])
    return tables.markdown(header, body)


def matrices(tests: list[dict[str, Any]]) -> list[str]:
    """The p-values of each group of rows under its heading, in Markdown."""
    heads: dict[str, list[dict[str, Any]]] = {}
    for test in tests:
        experiment, _, *glorot = test["a"].split("/")
        head = f"Experiment {experiment[3]}" + (", Glorot's initialisation:" if glorot else ":")
        heads.setdefault(head, []).append(test)
    return [f"{head}\n\n{matrix(those)}" for head, those in heads.items()]


def matrix(tests: list[dict[str, Any]]) -> str:
    """P-values as a square, in Markdown: over digits below the diagonal, over seeds above."""
    p = {frozenset((t["a"], t["b"])): t for t in tests}
    names = sorted(set().union(*p), key=lambda name: list(TITLES).index(name.split("/")[1]))

    def entry(i: int, j: int) -> str:
        value = None if i == j else p[frozenset((names[i], names[j]))]["p_digits" if i > j else "p_seeds"]
        return "" if value is None else f"{value:.2g}"

    short, places = [name.split("/")[1] for name in names], range(len(names))
    return tables.markdown(["p", *short], [[short[i], *(entry(i, j) for j in places)] for i in places])


def markdown(options: Options, results: Mapping[str, Any], images: Iterable[str]) -> str:
    """The text of report.md, from the content of results.json and the names of the figures there are."""
    data, rows, tests, search = (results[name] for name in ("data", "rows", "tests", "search"))
    note = "" if data["name"] == "mnist" else " The paper's figures are for MNIST and are not shown."
    shown = {name: f"![{words}]({name})" if name in images else "" for name, words in IMAGES.items()}
    there = [e for e in EXPERIMENTS if any(row["experiment"] == e for row in rows)]
    parts = [
        "# Greedy layer-wise training of deep networks (Bengio et al. 2006)",
        f"`{results['command']}`, {results['seconds'] / 60:.0f} minutes of fine-tuning on {results['device']}, "
        "the greedy training of layers not counted. "
        f"Data: {data['name']}, source {data['source']}, variant {data['variant']}, "
        f"fingerprint {data['fingerprint'][:16]}. Errors in percent; ± is half the 95 % interval of the mean over "
        "n seeds. The paper's test figures are consistent across sources; its train and valid figures come from one "
        f"secondary source. Rows marked as ours are not in the paper.{note}",
        *(f"## Experiment {e}\n\n{tables.markdown(HEADER, row_table(rows, e))}" for e in there),
        "\n".join(f"- {line}" for line in (*claims(rows, tests), *unfinished(options, rows))),
        shown["bars.png"],
        "## Paired tests\n\nSeed s of one row against seed s of the other. Below the diagonal, exact McNemar tests on "
        "the test digits, their p-values merged over seeds by twice the median; above it, t-tests of the test errors "
        "over seeds. The former speak of these runs and other digits, the latter of other runs and these digits.",
        *matrices(tests),
        shown["curves.png"],
        shown["filters.png"],
        f"First-layer filters after fine-tuning, Experiment 2: of each row's first run the {SHOWN} units of largest "
        "norm."
        if "filters.png" in images
        else "",
        "## Search\n\nEvery configuration of the search, one run each from seed 0, which no reported run uses; the "
        f"lowest validation error wins.\n\n{shown['search2.png']}\n\n{shown['search3.png']}\n\n{search_table(search)}",
    ]
    if options.preset == "paper":
        parts.append(TRIALS)
        parts.append(f"## Protocol\n\n{tables.markdown(['', 'paper', 'here'], protocol())}")
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


IMAGES = {
    "bars.png": "The table as bars",
    "curves.png": "Validation error of every row",
    "filters.png": "First-layer filters of every row",
    "search2.png": "Experiment 2: validation error of every configuration against each hyper-parameter",
    "search3.png": "Experiment 3: validation error of every configuration against each hyper-parameter",
}
TRIALS = (
    "Its ranges were set after trials judged by validation error too, which kept no records: an earlier search of "
    "four configurations a row, and some twenty runs, mostly of the DBN and auto-associator rows, which had that "
    "much more of a search than the others. They decided for P(v | h) instead of samples as the RBM's "
    "reconstruction and for small minibatches in pre-training. The search then grew five times, by as much for every "
    "deep row, and never blindly: the test errors of finished tables, since replaced, had been seen. In this order it "
    "got 750 units a layer, after four trials without records (500 units in minibatches of 20, the rate constant or, "
    "no better, decaying); more patience in Experiment 3, where fresh seeds had stopped early at high validation "
    "errors; as much patience in Experiment 2, where one of the row with supervised pre-training had; two larger "
    "rates in Experiment 3, where the largest was every deep row's choice; and in Experiment 2 rates beyond the "
    "largest, if that was the choice, or the smallest, and twice the epochs of greedy training. With seed 0 more "
    "patience may tie with less that had found the best epoch, too, and a tie goes to patience. In Experiment 3 "
    "patience 20 of 100 epochs was tried once for every deep row, at its last rate but one and outside these records: "
    "with pre-training no validation error was lower than the choice's; without, it was when that run was ended at "
    "its 70th epoch, and fresh seeds were not run."
)


def publish(options: Options, origin: dict, store: Store, outcomes: Mapping[Cell, Outcome], data: Data) -> None:
    """Write results.json, the report, its figures and the records into the store's folder, and print the table."""
    n_test, visible = data.test.x.shape
    found = {cell: gather(store, outcome, n_test, visible) for cell, outcome in outcomes.items() if outcome.trained}
    if not found:
        print("nothing is finished yet; the same command goes on from here")
        return
    rows = table_rows(found, origin["name"] == "mnist", n_test)
    units = [one for outcome in outcomes.values() for one in (*outcome.search.tried, *outcome.trained)]
    records = [record for _, record in units]
    entries = searched(outcomes)
    more = {"tests": paired_tests(found), "search": entries}
    content = contract.results("bengio2006", options.preset, origin, records, rows, **more)
    images = {
        name: plots.png(
            figure, limit=60_000 if name in ("curves.png", "filters.png") else 45_000
        )  # report.html is to stay below 400 kB
        for name, figure in figures(found, rows, entries, visible).items()
    }
    text = markdown(options, content, images)
    store.write("results.json", to_json(content, indent=1) + "\n")
    store.write("records.tar.xz", store.archive(unit.name for unit, _ in units))
    store.write("report.md", text)
    store.write("report.html", page(text, images, "Bengio et al. 2006"))
    for name, image in images.items():
        store.write(name, image)
    if options.tensorboard:
        events.write(store.folder / "tensorboard", event_curves(outcomes))
    for experiment in sorted({cell.experiment for cell in found}):
        tables.terminal(f"Experiment {experiment} on {origin['name']}", HEADER, row_table(rows, experiment))
    print(f"report: {store.folder / 'report.html'}")


def event_curves(outcomes: Mapping[Cell, Outcome]) -> dict[str, dict[str, list[float]]]:
    """The curves of every run of the table, by run and tag."""
    return {
        f"{cell.name}/{unit.seed}": {
            "training loss": [float(value) for value in record["loss"]],
            "validation error": [float(value) for value in record["valid_curve"]],
        }
        for cell, outcome in outcomes.items()
        for unit, record in outcome.trained
    }


def search_point(entry: Mapping[str, Any]) -> plots.Point:
    """A configuration of the search as it is drawn."""
    row = entry["cell"].split("/", 1)[1]
    hypers = {
        "width of the first layer": float(entry["widths"].split("-")[0]),
        "pre-training rate": entry["pretrain_rate"],
        "Adam's rate" if row in get_args(Modern) else f"rate, minibatches of {entry['batch_size']}": entry["rate"],
    }
    return plots.Point(row, hypers, entry["valid error %"], entry["chosen"])


def figures(found: Mapping[Cell, Runs], rows: list[dict], entries: list[dict], visible: int) -> dict[str, Any]:
    """The figures by file name."""
    test = {r["row"]: r for r in rows if r["metric"].startswith("test")}
    side = round(visible**0.5)

    def panels(value, only="fan"):
        return {
            f"Experiment {e}": {
                title(cell): value(cell) for cell in found if cell.experiment == e and cell.initializer in only
            }
            for e in sorted({cell.experiment for cell in found})
        }

    def bar(cell):
        r = test[cell.name]
        return plots.Bar(title(cell), r["mean"], r["low"], r["high"], r["paper"])

    drawn = {
        "curves.png": plots.curves(
            panels(lambda cell: found[cell].curves), ylabel="validation error %", xlabel="epoch of fine-tuning"
        ),
        "bars.png": plots.bars(
            {name: list(panel.values()) for name, panel in panels(bar, ("fan", "glorot")).items()},
            ylabel="test error %",
        ),
    }
    filters = {
        title(c): r.filters
        for c, r in found.items()
        if c.experiment == 2 and c.initializer == "fan" and r.filters is not None
    }
    for e in EXPERIMENTS:
        points = [search_point(entry) for entry in entries if entry["cell"].startswith(f"exp{e}/")]
        if points:
            drawn[f"search{e}.png"] = plots.scatter(points, ylabel="validation error %", title=f"Experiment {e}")
    if filters:
        drawn["filters.png"] = plots.filters(filters, (side, side), count=SHOWN)
    return drawn
