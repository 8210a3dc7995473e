"""The text of report.md: question, findings, first figure; then tables, tests, protocol and search."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlx.show.progress import duration
from dlx.show.tables import estimate, markdown
from dlx.study.declare.page import Metric, Study
from dlx.study.judge import table

MARKS = {"holds": "✔", "does not hold": "✘", "not resolved": "?"}


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
        *(f"## {group or 'Results'}\n\n{row_table(study.metrics, content, group)}" for group in groups(content)),
        "\n".join(f"- {line}" for line in remarks),
        provenance(content),
        paired_tests(content),
        *(figure(study, name, images) for name in others if not name.startswith("search")),
        search(content, [figure(study, name, images) for name in others if name.startswith("search")]),
    ]
    if content["preset"] == "paper":
        parts.append(study.notes(content["experiment"]))
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def findings(content: Mapping[str, Any]) -> str:
    """The claims with their verdicts, as a list."""
    lines = []
    for one in content["claims"]:
        numbers = f" ({', '.join(one['numbers'])})" if one["numbers"] else ""
        lines.append(
            f"- {MARKS[one['verdict']]} **{one['verdict']}**: {one['claim'].rstrip('.')}{numbers}: {one['words']}."
        )
    return "\n".join(lines)


def figure(study: Study, name: str, images: Mapping[str, Sequence[str]]) -> str:
    """A figure's images in one paragraph, and its caption in the next."""
    files = images.get(name, ())
    caption = study.figures[name].caption if name in study.figures else ""
    caption = caption or name.partition(".")[0].capitalize()
    return "\n".join(f"![{caption}]({file})" for file in files) + f"\n\n*{caption}*" * bool(files)


def groups(content: Mapping[str, Any]) -> list[str]:
    """The groups of rows, in order."""
    return list(dict.fromkeys(row["group"] for row in content["rows"]))


def measured(metrics: Sequence[Metric], content: Mapping[str, Any], group: str) -> list[Metric]:
    """The metrics that any row of a group has."""
    labels = {row["metric"] for row in content["rows"] if row["group"] == group}
    return [metric for metric in metrics if metric.label in labels]


def header(metrics: Sequence[Metric], papered: Sequence[Metric]) -> list[str]:
    """The heads of the columns of `row_lines`. `papered` are the metrics that have a value of the paper."""
    names, known = [metric.label for metric in metrics], [metric.label for metric in papered]
    first = [name.partition(" ") for name in known]
    alike = len({rest for _, _, rest in first}) == 1  # "paper: train / valid / test error %"
    told = f"{' / '.join(word for word, _, _ in first)} {first[0][2]}".strip() if alike else " / ".join(known)
    paper = [f"paper: {told}"] if papered else []
    return ["row", *paper, *names, "n", *([f"{names[-1]}: verdict"] if has_verdict(metrics, papered) else [])]


def has_verdict(metrics: Sequence[Metric], papered: Sequence[Metric]) -> bool:
    """Whether a table says how its last metric compares with the paper's value. It does for percentages only."""
    return bool(papered) and metrics[-1].bounds == (0, 100)


def row_lines(
    metrics: Sequence[Metric], content: Mapping[str, Any], group: str
) -> tuple[list[Metric], list[list[str]]]:
    """The metrics that have a value of the paper, and the cells of each row.

    These are: title, paper, ours by metric, number of runs, verdict.
    """
    here = table.by_row([row for row in content["rows"] if row["group"] == group])
    figures = {label for entries in here.values() for label, entry in entries.items() if entry["paper"] is not None}
    papered = [metric for metric in metrics if metric.label in figures]
    lines = []
    for entries in here.values():
        ours = [shown(entries.get(metric.label), metric) for metric in metrics]
        some = next(iter(entries.values()))
        n = f"{some['n']}" + (f" ({some['diverged']} diverged)" if some["diverged"] else "")
        known = [entries[metric.label]["paper"] if metric.label in entries else None for metric in papered]
        paper = "–" if set(known) <= {None} else " / ".join("–" if value is None else f"{value:g}" for value in known)
        verdict = entries[metrics[-1].label]["verdict"] if metrics[-1].label in entries else "–"
        judged = [verdict] if has_verdict(metrics, papered) else []
        lines.append([some["title"], *([paper] if papered else []), *ours, n, *judged])
    return papered, lines


def shown(entry: Mapping[str, Any] | None, metric: Metric) -> str:
    """A cell: the mean and half the width of its interval, or the values if these say more."""
    if entry is None:
        return "–"
    return estimate(entry["values"], entry["low"], entry["high"], bounds=metric.bounds)


def row_table(metrics: Sequence[Metric], content: Mapping[str, Any], group: str) -> str:
    """The table of a group, in Markdown."""
    metrics = measured(metrics, content, group)
    papered, lines = row_lines(metrics, content, group)
    return markdown(header(metrics, papered), lines)


def provenance(content: Mapping[str, Any]) -> str:
    """Command, time, device and data."""
    data = content["data"]
    marks = (
        " Figures of the paper marked A in results.json are consistent across sources, those marked B come from one "
        "secondary source."
    ) * any(row["paper"] is not None for row in content["rows"])
    return (
        f"`{content['command']}`, {duration(content['seconds'])} on {content['device']}; the units that the "
        f"rows start from are not counted. Data: {data['name']}, source {data['source']}, variant {data['variant']}, "
        f"fingerprint {data['fingerprint'][:16]}. ± is half the 95 % interval of the mean over n seeds; where that "
        f"says little, the seeds' values are shown.{marks}"
    )


def paired_tests(content: Mapping[str, Any]) -> str:
    """The p-values of each group as a square."""
    if not content["tests"]:
        return ""
    parts = [
        "## Paired tests\n\nSeed s of one row against seed s of the other. Below the diagonal, exact McNemar tests on "
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


def search(content: Mapping[str, Any], figures: Sequence[str]) -> str:
    """Every trial of the search, and its figures."""
    if not content["search"]:
        return ""
    names = [name for name in content["search"][0] if name not in ("row", "score", "brief", "chosen")]
    lines = []
    for one in content["search"]:
        score = "diverged" if one["score"] is None else f"{one['score']:.4g}"
        values = [
            "–" if one[name] is None else f"{one[name]:g}" if isinstance(one[name], float) else str(one[name])
            for name in names
        ]
        lines.append([one["row"], score, "chosen" if one["chosen"] else "brief" if one["brief"] else "", *values])
    heads = ["row", "score", "", *(name.replace("_", " ") for name in names)]
    return "\n\n".join(
        [
            "## Search\n\nEvery trial, from seeds that no reported run has and without the test split; the least score "
            "wins. The score is what the page's programs call so, for classifiers the validation error.",
            *figures,
            markdown(heads, lines),
        ]
    )
