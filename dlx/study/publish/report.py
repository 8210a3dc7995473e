"""The text of a report, in Markdown: question, answer and a figure; then claim by claim; then tables and protocol."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlx.show.tables import markdown
from dlx.study.declare.page import Metric, Study
from dlx.study.publish.marks import VERDICTS
from dlx.study.publish.sections import SEARCHED, cells, edges_of, paired_tests, provenance, signs, tables_of, trials

Asked = Mapping[str, Mapping[str, Sequence[str]]]
"""The rows that each claim asks for, by the claim's words, and the measures that it asks of each."""
DATA = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "kmnist": "KMNIST", "digits": "8 x 8 digits"}
"""The names of data sets, as a reader knows them."""
FEW_ROWS = 6
"""The rows of a claim are folded if there are more."""
FEW_CLAIMS = 4
"""If a figure has more claims, a reader sees their verdicts alone, and what decided each one when asking for it."""


def text(
    study: Study,
    content: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    asked: Asked,
    remarks: Sequence[str],
) -> str:
    """Markdown, from the content of results.json, the files of each figure, and the rows that each claim asks for.

    `remarks` are sentences on what is missing. Each picture is shown once: at the top, with the claims that name it, or
    after the tables.
    """
    title, _, rest = study.doc.strip().partition("\n")
    question = "\n\n".join(part for part in rest.strip().split("\n\n") if not re.match(r"( {4}|Lecture)", part))
    pictures = [file for names in files.values() for file in names]
    named = {claim["claim"]: tuple(pictures_of(claim["figure"], pictures)) for claim in content["claims"]}
    first = opening(next(iter(study.figures), ""), files, list(named.values()))
    told = {*first, *(file for group in named.values() for file in group)}
    left = [file for file in pictures if file not in told]
    searches = [file for file in left if file.startswith("search")]
    parts = [
        f"# {title.rstrip('.')}",
        f"*{scope(content)}*",
        question,
        f"**Answer.** {content['answer']}" if content["answer"] else "",
        shown(study, files, first),
        claims(study, content, files, asked, named, first),
        *(
            f"## {group or 'Results'}\n\n{markdown(heads, lines)}"
            for group, (heads, lines) in tables_of(study.metrics, content).items()
        ),
        signs(content),
        "\n".join(f"- {line}" for line in remarks),
        shown(study, files, [file for file in left if file not in searches]),
        *folds(study, content, shown(study, files, searches)),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def folds(study: Study, content: Mapping[str, Any], searches: str) -> list[str]:
    """The search with its figures, the paired tests, how it was run, and the page's notes, each part folded."""
    notes = study.notes(content["experiment"]) if content["preset"] == "paper" else ""
    before, *sections = re.split(r"^## (.+)$", notes, flags=re.MULTILINE)
    search = [SEARCHED, searches, edges_of(content), trials(content)] if content["search"] else []
    return [
        *([folded("Search", "\n\n".join(filter(None, search)))] if search else []),
        *([folded("Paired tests", paired_tests(content))] if content["tests"] else []),
        folded("How it was run", provenance(content)),
        before,
        *(folded(*section) for section in zip(sections[::2], sections[1::2], strict=True)),
    ]


def scope(content: Mapping[str, Any]) -> str:
    """The data, how many ways to train are compared, and over how many seeds."""
    runs = {row["row"]: row["n"] + row["diverged"] for row in content["rows"]}
    least, most = min(runs.values()), max(runs.values())
    name, seeds = content["data"]["name"], f"{least} to {most}" if least < most else f"{most}"
    ways = f"{len(runs)} ways to train" if len(runs) > 1 else "One way to train"
    quick = " This is the quick preset: small nets, few seeds." * (content["preset"] == "quick")
    return f"{ways} on {DATA.get(name, name)}, {seeds} {'seed' if seeds == '1' else 'seeds'} each.{quick}"


def pictures_of(figure: str, files: Sequence[str]) -> list[str]:
    """The files that a claim's `figure` names: that file, or else all pictures of the figure.

    A quick preset may have one picture where the whole has several: "race-2.png" is then "race.png".
    """
    if figure in files:
        return [figure]
    stem, _, kind = re.sub(r"-\d+(\.\w+)$", r"\1", figure).rpartition(".")
    return [file for file in files if stem and re.fullmatch(rf"{re.escape(stem)}(-\d+)?\.{kind}", file)]


def opening(figure: str, files: Mapping[str, Sequence[str]], named: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The pictures at the top: those of the first figure that a claim names, or else all of it."""
    own = tuple(files.get(figure, ()))
    return next((group for group in named if group and set(group) <= set(own)), own)


def shown(study: Study, files: Mapping[str, Sequence[str]], pictures: Sequence[str]) -> str:
    """Pictures of each figure in one paragraph, and its caption in the next."""
    parts = []
    for name, several in files.items():
        if some := [file for file in several if file in pictures]:
            caption = study.figures[name].caption or name.partition(".")[0].capitalize()
            parts.append("\n".join(f"![{caption}]({file})" for file in some) + f"\n\n*{caption}*")
    return "\n\n".join(parts)


def claims(
    study: Study,
    content: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    asked: Asked,
    named: Mapping[str, tuple[str, ...]],
    first: Sequence[str],
) -> str:
    """Each claim with its verdict, what decided it, and its rows; under the pictures that it names.

    The claims of the opening pictures come first. Those without a picture come last.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {tuple(first): []}
    for one in content["claims"]:
        groups.setdefault(named[one["claim"]], []).append(one)
    last = groups.pop((), [])
    seen, parts = set(first), []
    for pictures, several in [*groups.items(), ((), last)]:
        new = [file for file in pictures if file not in seen]
        seen |= {*new}
        tell = claim if len(several) <= FEW_CLAIMS else folded_claim
        told = [tell(one, table_of(study.metrics, content, asked.get(one["claim"], {}))) for one in several]
        if told:
            parts.append("\n\n".join(part for part in (shown(study, files, new), *told) if part))
    return "## What was found\n\n" + "\n\n---\n\n".join(parts) if parts else ""


def claim(one: Mapping[str, Any], rows: str) -> str:
    """A claim under its mark, with its verdict and what decided it."""
    said = f"**{one['verdict']}**{numbers_of(one)}: {one['words']}"
    return f"### {VERDICTS[one['verdict']].mark} {one['claim']}\n\n{said}\n\n{rows}".strip()


def folded_claim(one: Mapping[str, Any], rows: str) -> str:
    """A claim beside its verdict, and, when a reader asks for it, what decided it."""
    said = f"{VERDICTS[one['verdict']].mark} **{one['verdict']}**: {one['claim']}"
    return folded(said, f"{one['words']}{numbers_of(one)}\n\n{rows}")


def numbers_of(one: Mapping[str, Any]) -> str:
    """The numbers of the lectures' claims that a claim is part of, in brackets after a blank."""
    return f" ({', '.join(one['numbers'])})" if one["numbers"] else ""


def table_of(metrics: Sequence[Metric], content: Mapping[str, Any], rows: Mapping[str, Sequence[str]]) -> str:
    """The table of the rows that a claim asks for, with the measures that it asks of them, as far as they are shown."""
    wanted = {measure for measures in rows.values() for measure in measures}
    here = [metric for metric in metrics if metric.name in wanted]
    by_row: dict[str, dict[str, Any]] = {}
    for entry in content["rows"]:
        if entry["row"] in rows and entry["metric"] in {metric.label for metric in here}:
            by_row.setdefault(entry["row"], {})[entry["metric"]] = entry
    if not by_row:
        return ""
    of = {name: next(iter(entries.values())) for name, entries in by_row.items()}
    alike = len({one["title"] for one in of.values()}) < len(of)
    lines = []
    for name, entries in by_row.items():
        group = f"{of[name]['group']}: " if alike and of[name]["group"] else ""
        title, *rest = cells(entries, here, (), False)
        lines.append([group + title, *rest])
    table = markdown(["row", *(metric.label for metric in here), "n"], lines)
    return table if len(lines) <= FEW_ROWS else folded(f"Its {len(lines)} rows", table)


def folded(summary: str, body: str) -> str:
    """A part that is shown when a reader asks for it."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>"
