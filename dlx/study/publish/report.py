"""The parts of report.md that follow from results.json alone: findings, protocol, tests and search, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from dlx.show.progress import duration
from dlx.show.tables import markdown

MARKS = {"holds": "✔", "does not hold": "✘", "not resolved": "?"}
SEARCHED = (
    "## Search\n\nEvery trial, from seeds that no reported run has and without the test split; the least score wins. "
    "The score is what the page's programs call so, for classifiers the validation error."
)


def findings(content: Mapping[str, Any]) -> str:
    """The claims with their verdicts, as a list."""
    lines = []
    for one in content["claims"]:
        numbers = f" ({', '.join(one['numbers'])})" if one["numbers"] else ""
        lines.append(
            f"- {MARKS[one['verdict']]} **{one['verdict']}**: {one['claim'].rstrip('.')}{numbers}: {one['words']}."
        )
    return "\n".join(lines)


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


def trials(content: Mapping[str, Any]) -> str:
    """Every trial of the search."""
    names = [name for name in content["search"][0] if name not in ("row", "score", "brief", "chosen")]
    lines = []
    for one in content["search"]:
        score = "diverged" if one["score"] is None else f"{one['score']:.4g}"
        values = [
            "–" if one[name] is None else f"{one[name]:g}" if isinstance(one[name], float) else str(one[name])
            for name in names
        ]
        lines.append([one["row"], score, "chosen" if one["chosen"] else "brief" if one["brief"] else "", *values])
    return markdown(["row", "score", "", *(name.replace("_", " ") for name in names)], lines)
