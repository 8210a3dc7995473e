"""The parts of report.md that follow from results.json alone: tables, tests, search and how it was run, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dlx.show.progress import duration
from dlx.show.tables import estimate, markdown
from dlx.study.declare.page import Metric
from dlx.study.judge.words import level_and_seeds

SEARCHED = (
    "Every trial, from seeds that no reported run has and without the test split; the least score wins. The score is "
    "what the page's programs call so, for classifiers the validation error."
)


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
        return estimate(entry["values"], entry["low"], entry["high"], bounds=metric.bounds) if entry else "–"

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


def signs(content: Mapping[str, Any]) -> str:
    """What the signs in the tables mean."""
    paper = (
        " Figures of the paper marked A in results.json are consistent across sources, those marked B come from one "
        "secondary source."
    ) * any(row["paper"] is not None for row in content["rows"])
    return (
        "± is half the 95 % interval of the mean over n seeds: runs that differ only in their random numbers. Where "
        "the interval says little, the seeds' values are shown. Brackets hold the "
        f"{100 * (1 - content['level']):g} % interval of a mean.{paper}"
    )


def provenance(content: Mapping[str, Any]) -> str:
    """Command, time, device and data."""
    data = content["data"]
    return (
        f"`{content['command']}`, {duration(content['seconds'])} on {content['device']}; the units that the "
        f"rows start from are not counted. Data: {data['name']}, source {data['source']}, variant {data['variant']}, "
        f"fingerprint {data['fingerprint'][:16]}. {level_and_seeds(content)}"
    )


def paired_tests(content: Mapping[str, Any]) -> str:
    """The p-values of each group as a square."""
    if not content["tests"]:
        return ""
    parts = [
        "Seed s of one row against seed s of the other. Below the diagonal, exact McNemar tests on "
        "the test examples, their p-values merged over seeds by twice the median; above it, t-tests over seeds. The "
        "former speak of these runs and other examples, the latter of other runs and these examples."
    ]
    for group in dict.fromkeys(one["group"] for one in content["tests"]):
        parts.append(f"{group or 'Results'}:\n\n{matrix([one for one in content['tests'] if one['group'] == group])}")
    return "\n\n".join(parts)


def matrix(tests: Sequence[Mapping[str, Any]]) -> str:
    """P-values as a square, in Markdown: over examples below the diagonal, over seeds above."""
    p = {frozenset((one["a"], one["b"])): one for one in tests}
    names = list(dict.fromkeys(name for one in tests for name in (one["a"], one["b"])))

    def entry(i: int, j: int) -> str:
        test = None if i == j else p.get(frozenset((names[i], names[j])))
        value = None if test is None else test["p_digits" if i > j else "p_seeds"]
        return "" if value is None else f"{value:.2g}"

    short, places = shortened(names), range(len(names))
    return markdown(["p", *short], [[short[i], *(entry(i, j) for j in places)] for i in places])


def shortened(names: Sequence[str]) -> list[str]:
    """The names without the parts, separated by "/", with which all of them begin or end."""
    parts = [name.split("/") for name in names]
    while min(map(len, parts)) > 1 and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    while min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    return ["/".join(part) for part in parts]


OF_A_TRIAL = ("row", "score", "brief", "chosen")
"""What results.json says of a trial beside its arguments."""


class Edge(NamedTuple):
    """A chosen number at an edge of those that were tried."""

    row: str
    argument: str
    chosen: float
    tried: tuple[float, ...]
    """In order: those of the row's trials that are alike in all other arguments."""


def at_edges(search: Sequence[Mapping[str, Any]]) -> list[Edge]:
    """The chosen numbers that are the least or the greatest of those tried, from the search in results.json."""
    edges = []
    for chosen in (one for one in search if one["chosen"]):
        arguments = {name: value for name, value in chosen.items() if name not in OF_A_TRIAL}
        for name, value in arguments.items():
            alike = {**arguments, "row": chosen["row"]}
            del alike[name]
            tried = {one[name] for one in search if alike.items() <= one.items()}
            numbers = tuple(sorted(each for each in tried if type(each) in (int, float)))
            if len(numbers) > 1 and value in (numbers[0], numbers[-1]):
                edges.append(Edge(chosen["row"], name, value, numbers))
    return edges


def edges_of(content: Mapping[str, Any]) -> str:
    """The chosen numbers at an edge, as a table under a sentence. Nothing if there are none."""
    lines = [
        [edge.row, edge.argument.replace("_", " "), f"{edge.chosen:g}", ", ".join(f"{one:g}" for one in edge.tried)]
        for edge in at_edges(content["search"])
    ]
    words = "Chosen at an edge of what was tried, so that a number beyond it may be better:"
    return f"{words}\n\n{markdown(['row', '', 'chosen', 'tried'], lines).strip()}" if lines else ""


def trials(content: Mapping[str, Any]) -> str:
    """Every trial of the search."""
    names = [name for name in content["search"][0] if name not in OF_A_TRIAL]
    lines = []
    for one in content["search"]:
        score = "diverged" if one["score"] is None else f"{one['score']:.4g}"
        values = [
            "–" if one[name] is None else f"{one[name]:g}" if isinstance(one[name], float) else str(one[name])
            for name in names
        ]
        lines.append([one["row"], score, "chosen" if one["chosen"] else "brief" if one["brief"] else "", *values])
    return markdown(["row", "score", "", *(name.replace("_", " ") for name in names)], lines)
