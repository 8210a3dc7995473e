"""The text of a report, from a synthetic study: what stands where, and that it says what was found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats
from synthetic import find, of_error, rates, record, row

from dlx.show import html
from dlx.store import to_json
from dlx.study.declare.finding import Finding
from dlx.study.declare.page import ERRORS, Claim, Figure, Metric, Published, Study
from dlx.study.judge import table
from dlx.study.publish import report, sections
from dlx.study.publish.sections import tables_of

RESULTS = Path(__file__).parents[2] / "experiments" / "results"

DOC = """Does it help?

What is asked stands here,
in two lines.

    python -m experiments page    # a command

Lecture: one that is not repeated.

And why.
"""
PAPER = {"train/error": Published(0.004, "B"), "valid/error": Published(1.4, "B"), "test/error": Published(1.5)}
FIGURES = {
    "first.png": Figure(lambda found: None, "What came out."),
    "second.png": Figure(lambda found: None),
    "third.png": Figure(lambda found: None, "What no claim names."),
    "search.png": Figure(lambda found: None),
}
FILES = {
    "first.png": ["first-1.png", "first-2.png"],
    "second.png": ["second.png"],
    "third.png": ["third.png"],
    "search.png": ["search.png"],
}
ASKED = {"It helps.": {"one": ["test/error"], "two": ["test/error"]}, "It is known why.": {"other": ["some/thing"]}}


def study(**more):
    return Study(DOC, lambda options: None, lambda options, about: [], **{"figures": FIGURES, **more})


def report_text(page, made, files=FILES, asked=ASKED, remarks=()):
    return report.text(page, made, files, asked, remarks)


def content(rows, records, seeds=3, metrics=ERRORS, claims=(), preset="quick"):
    made = table.results("page", preset, "python -m page", find(rows, records, seeds), metrics, claims)
    return json.loads(to_json(made))


def three_rows():
    rows = [
        row("one", rates(0.25, 0.5), paper=PAPER, group="G1"),
        row("two", paper={"test/error": Published(2.0)}, group="G1"),
        row("other", group="G2"),
        row("third", group="G1"),
    ]
    records = {
        rows[0].build(0, rate=0.25).blinded(): record(0.2),
        rows[0].build(0, rate=0.5).blinded(): record(0.1, diverged=True),
        **{rows[0].build(seed, rate=0.25): of_error(0.01 * seed) for seed in (1, 2, 3)},
        **{one.build(seed): of_error(0.05 * seed) for one in rows[1:] for seed in (1, 2)},
        rows[1].build(3): of_error(0.9, diverged=True),
    }
    return content(
        rows,
        records,
        claims=[
            Claim("It is known why.", lambda found: Finding("not enough runs", "nobody asked")),
            Claim("It costs nothing.", lambda found: Finding("does not hold", "it costs 4"), figure="second.png"),
            Claim("It helps.", lambda found: Finding("holds", "by 3; p = 0.001"), ("A1", "B2"), "first-2.png"),
            Claim("So it does.", lambda found: Finding("holds", "as well"), figure="second.png"),
        ],
    )


def test_the_parts_stand_in_order():
    text = report_text(study(), three_rows(), remarks=["Something is missing."])
    parts = [
        "# Does it help?\n\n*4 ways to train on MNIST, 2 to 3 seeds each. This is the quick preset",
        "What is asked stands here,\nin two lines.\n\nAnd why.\n",
        "**Answer.** Not decided: It is known why; nobody asked. No: It costs nothing; it costs 4.\n",
        "![What came out.](first-2.png)\n\n*What came out.*\n",
        "## What was found\n",
        "### ✔ It helps.\n\n**holds** (A1, B2): By 3; p = 0.001.\n\n| row |     test error % |",
        "\n---\n\n![Second](second.png)\n\n*Second*\n",
        "### ✘ It costs nothing.\n\n**does not hold**: It costs 4.\n\n### ✔ So it does.\n",
        "\n---\n\n### ? It is known why.\n\n**not enough runs**: Nobody asked.\n",
        "## G1\n",
        "## G2\n",
        "± is half the 95 % interval",
        "Brackets hold the 99 % interval",
        "- Something is missing.\n",
        "![What came out.](first-1.png)\n\n*What came out.*\n",
        "![What no claim names.](third.png)\n\n*What no claim names.*\n",
        "<details>\n<summary>Search</summary>\n",
        "![Search](search.png)\n\n*Search*\n",
        "| row ",
        "</details>\n\n<details>\n<summary>Paired tests</summary>\n",
        "</details>\n\n<details>\n<summary>How it was run</summary>\n\n`python -m page`, 24 seconds on cpu x 2;",
    ]
    start = 0
    for part in parts:
        assert part in text[start:], part
        start = text.index(part, start) + len(part)
    assert "python -m experiments page" not in text
    assert "Lecture" not in text
    assert text.endswith("\n</details>\n")
    assert "\n\n\n" not in text
    assert all(text.count(f"({file})") == 1 for files in FILES.values() for file in files), "each picture once"


@pytest.mark.parametrize(
    ("figure", "files"),
    [
        ("a.png", ["a.png"]),
        ("b.png", ["b-1.png", "b-2.png"]),
        ("b-2.png", ["b-2.png"]),
        ("a-2.png", ["a.png"]),
        ("search-1.png", ["search-1.png"]),
        ("none.png", []),
        ("", []),
    ],
)
def test_a_claims_figure_is_one_picture_or_all_pictures_of_a_figure(figure, files):
    assert report.pictures_of(figure, ["ab.png", "a.png", "b-1.png", "b-2.png", "search-1.png"]) == files


def test_the_rows_of_a_claim_show_what_it_asks_for_and_many_are_folded():
    made = three_rows()
    rows = {"one": ["test/error"], "two": ["test/error", "valid/error"]}
    head, *lines = cells(report.table_of(ERRORS, made, rows), "")
    assert head == ["row", "valid error %", "test error %", "n"]
    assert [line[0] for line in lines] == ["One", "Two"]
    assert lines[1][1:] == ["2.50, 5.00", "5.00, 10.00", "2 (1 diverged)"]
    assert report.table_of(ERRORS, made, {"other": ["some/thing"]}) == ""
    alike = [row(name, group=f"G{name}") for name in "abcdefg"]
    alike = [replace(one, title="The same") for one in alike]
    made = content(alike, {one.build(1): of_error(0.1) for one in alike}, 1)
    table = report.table_of(ERRORS, made, {one.name: ["test/error"] for one in alike})
    assert table.startswith("<details>\n<summary>Its 7 rows</summary>\n\n| row ")
    assert [line[0] for line in cells(table, "")[1:]] == [f"G{name}: The same" for name in "abcdefg"]


def cells(text, title):
    """The lines of the first table after a title, as lists of cells."""
    lines = text[text.index(title) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return [table[0], *table[2:]]


def test_a_group_has_its_rows_in_order_beside_the_papers_figures_under_their_metrics():
    text = report_text(study(), three_rows(), {})
    head, *lines = cells(text, "## G1")
    paper = "paper: train / valid / test error %"
    assert head == ["row", paper, *(metric.label for metric in ERRORS), "n", "test error %: verdict"]
    half = stats.t.ppf(0.975, 2) * stats.sem([1, 2, 3])
    assert lines[0][:3] == ["One", "0.004 / 1.4 / 1.5", "0.25, 0.50, 0.75"], "an interval that leaves 0 to 100"
    off = 100 * stats.norm.ppf(0.995) * stats.binom.std(200, 0.015) / 200
    said = f"not told apart: the paper's single run on 200 examples could be off by {off:.2f} points"
    assert lines[0][4:] == ["1.00, 2.00, 3.00", "3", said]
    assert half > 2
    assert lines[1][:2] == ["Two", "– / – / 2"]
    assert lines[1][4:] == ["5.00, 10.00", "2 (1 diverged)", "fewer than 3 runs do not tell"]
    assert lines[2][:2] == ["Third", "–"]
    assert lines[2][-1] == "no figure in the paper"
    head, *lines = cells(text, "## G2")
    assert head == ["row", *(metric.label for metric in ERRORS), "n"], "no row of the group has a figure"
    assert lines == [["Other", "1.25, 2.50", "2.50, 5.00", "5.00, 10.00", "2"]]


def test_a_figure_of_the_paper_stands_under_its_metric_even_where_the_row_lacks_one():
    metrics = (Metric("test/loss", "test loss"), *ERRORS[1:])
    rows = [row("a", paper=PAPER), row("b", paper={"test/loss": Published(0.3)})]
    records = {rows[0].build(1): of_error(0.1), rows[1].build(1): record(measures={"test": {"loss": 0.25}})}
    heads, lines = tables_of(metrics, content(rows, records, 1, metrics))[""]
    assert heads[1] == "paper: test loss / valid error % / test error %"
    assert lines == [
        ["A", "– / 1.4 / 1.5", "–", "5.00", "10.00", "1", lines[0][6]],
        ["B", "0.3 / – / –", "0.25", "–", "–", "1", "–"],
    ]
    assert lines[0][6] == "fewer than 3 runs do not tell"


def test_the_head_of_a_single_metric():
    one = row("a", paper=PAPER)
    made = content([one], {one.build(1): of_error(0.1)}, 1, ERRORS[2:])
    assert tables_of(ERRORS[2:], made)[""][0] == [
        "row",
        "paper: test error %",
        "test error %",
        "n",
        "test error %: verdict",
    ]


def test_only_metrics_with_a_figure_of_the_paper_are_compared_and_only_shares_have_a_verdict():
    metrics = [Metric("test/error", "error"), Metric("test/loss", "loss")]
    rows = [row("a", paper={"test/loss": Published(0.3)}), row("b")]
    records = {one.build(1): record(measures={"test": {"loss": 0.25, "error": 0.5}}) for one in rows}
    heads, lines = tables_of(metrics, content(rows, records, 1, metrics))[""]
    assert heads == ["row", "paper: loss", "error", "loss", "n"]
    assert lines == [["A", "0.3", "0.50", "0.25", "1"], ["B", "–", "0.50", "0.25", "1"]]


def test_p_values_over_examples_stand_below_the_diagonal_and_over_seeds_above():
    def entry(a, b, digits, seeds):
        return {"a": a, "b": b, "group": "g", "p_digits": digits, "p_seeds": seeds, "seeds": 2}

    made = [entry("x", "y", 0.011, 0.12), entry("x", "z", 0.021, None), entry("y", "z", 1e-7, 0.32)]
    head, *lines = cells(sections.matrix(made), "")
    assert head == ["p", "x", "y", "z"]
    assert lines == [["x", "", "0.12", ""], ["y", "0.011", "", "0.32"], ["z", "0.021", "1e-07", ""]]
    text = sections.paired_tests({"tests": [*made, {**entry("u", "v", 0.5, 0.6), "group": ""}]})
    assert text.index("\n\ng:\n\n| p ") < text.index("\n\nResults:\n\n| p ")
    assert sections.paired_tests({"tests": []}) == ""


def test_the_search_shows_every_trial_with_chosen_and_diverged():
    head, *lines = cells(sections.trials(three_rows()), "")
    assert head == ["row", "score", "", "rate"]
    assert lines == [["one", "0.2", "chosen", "0.25"], ["one", "diverged", "", "0.5"]]
    entries = [
        {
            "row": "a",
            "rate": 0.1,
            "pretrain_rate": None,
            "epochs": 3,
            "score": 0.123456,
            "brief": True,
            "chosen": False,
        },
        {"row": "b", "rate": 1e-4, "pretrain_rate": 0.5, "epochs": 9, "score": 0.2, "brief": False, "chosen": True},
    ]
    head, *lines = cells(sections.trials({"search": entries}), "")
    assert head == ["row", "score", "", "rate", "pretrain rate", "epochs"]
    assert lines == [["a", "0.1235", "brief", "0.1", "–", "3"], ["b", "0.2", "chosen", "0.0001", "0.5", "9"]]


def tried(row, chosen=False, **arguments):
    return {"row": row, **arguments, "score": 0.1, "brief": False, "chosen": chosen}


def test_a_choice_at_an_edge_is_told_with_what_was_tried():
    search = [
        tried("a", rate=0.1, size=20, chosen=True),
        tried("a", rate=0.4, size=20),
        tried("a", rate=0.2, size=20),
        tried("a", rate=0.05, size=100),  # beyond the edge, but with another size
        tried("a", rate=None, size=20),
        tried("b", rate=0.1, size=20),
        tried("b", rate=0.2, size=20, chosen=True),
        tried("b", rate=0.4, size=20),
        tried("c", rate=0.05, size=20, chosen=True),
    ]
    assert sections.at_edges(search) == [("a", "rate", 0.1, (0.1, 0.2, 0.4))]
    head, *lines = cells(sections.edges_of({"search": search}), "Chosen at an edge")
    assert (head, lines) == (["row", "", "chosen", "tried"], [["a", "rate", "0.1", "0.1, 0.2, 0.4"]])
    assert sections.edges_of({"search": search[-4:]}) == ""
    folded = report_text(study(), three_rows(), {}).partition("<summary>Search")[2]
    assert folded.index("Chosen at an edge") < folded.index("diverged")


@pytest.mark.parametrize("several", [4, 5])
def test_of_many_claims_of_one_figure_the_verdicts_are_shown_and_the_rest_is_folded(several):
    decide = [lambda found, i=i: Finding("holds", f"by {i}") for i in range(several)]
    one = row("a")
    made = content(
        [one],
        {one.build(1): of_error(0.1)},
        claims=[Claim(f"It is {i}.", decider, ("A1",), "second.png") for i, decider in enumerate(decide)],
    )
    text = report_text(study(), made)
    if several == 4:
        assert "### ✔ It is 3.\n\n**holds** (A1): By 3.\n" in text
    else:
        assert "<summary>✔ **holds**: It is 4.</summary>\n\nBy 4. (A1)\n\n</details>\n" in text
        assert "###" not in text.partition("## What was found")[2].partition("\n## ")[0]
    html.page(text, dict.fromkeys(("first-1.png", "first-2.png", *FILES), b""), "Title")


AT_EDGES = {
    "bengio2006": {"exp2/denoising", "exp2/shallow", "exp3/supervised"},
    "dbn": {"smaller/cd1", "smaller/cd10", "smaller/pcd", "larger/cd1", "larger/cd10", "larger/pcd"},
    "depth": {
        *("depth/1/sigmoid", "depth/5/relu", "depth/5/leaky", "depth/10/leaky", "below/relu", "below/leaky"),
        *("greedy/10/none", "greedy/10/rbm"),
    },
    "erhan2009": {"labels/100/none"},
    "expressiveness": {"least/4"},
    "forward_backward": {"casino/100/deep", "ring/100/both", "ring/100/deep"},
    "growing": {
        *("ash/2", "cascade/2", "cascade/3", "fixed/1", "fixed/3", "largest/1", "largest/2", "largest/3"),
        *("decay/0", "decay/0.0001", "decay/0.0003", "decay/0.001"),
    },
    "larochelle2009": {"200/3/none", "top/200/none"},
    "nonconvexity": {"none/apart"},
    "optimizers": {"adaptive/muon"},
    "regularization": {
        *("100/none", "1000/none", "10000/none", "1000/linear", "10000/linear", "deep/batch"),
        *("100/pretrained", "1000/pretrained", "10000/pretrained", "best/inputs", "best/hidden", "best/weights"),
    },
    "representations": {"rbm", "autoassociator"},
    "srivastava2014": {
        *("rates/none", "rates/dbn", "p/0", "p/0.1", "p/0.25", "p/0.75", "p/0.9", "digits/dropout"),
        *("tricks/momentum", "tricks/norm", "with/neither", "with/dropout", "with/dbn", "with/both"),
    },
}
"""Rows of committed outcomes that chose the least or the greatest of three or more numbers. Their reports say so."""


def test_no_other_committed_choice_is_at_an_edge():
    there = {}
    for path in sorted(RESULTS.glob("*/results.json")):
        edges = sections.at_edges(json.loads(path.read_text())["search"])
        if rows := {edge.row for edge in edges if len(edge.tried) > 2}:
            there[path.parent.name] = rows
        assert sections.edges_of({"search": json.loads(path.read_text())["search"]}) in (
            path.with_name("report.md").read_text()
        )
    assert there == AT_EDGES


def test_the_data_and_what_the_marks_mean_are_told():
    assert sections.provenance(three_rows()).endswith(
        "Data: mnist, source idx, variant canonical, fingerprint ffffffffffffffff. Verdicts are at level .01."
    )
    assert "marked A" in sections.signs(three_rows())
    one = row("a")
    assert "marked A" not in sections.signs(content([one], {one.build(1): of_error(0.1)}))


@pytest.mark.parametrize(("preset", "shown"), [("paper", True), ("quick", False)])
def test_words_by_hand_stand_at_the_end_of_the_paper_preset(tmp_path, monkeypatch, preset, shown):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "page.md").write_text(
        "Mine.\n\n## Protocol\n\nBy hand: ±.\n\n## Tried\n\n### It.\n", encoding="utf-8"
    )
    one = row("a")
    made = content([one], {one.build(1): of_error(0.1)}, preset=preset)
    monkeypatch.setattr(Study, "file", tmp_path / "page.py")
    text = report_text(study(), made, {})
    folded = "<details>\n<summary>Protocol</summary>\n\nBy hand: ±.\n\n</details>\n\n"
    tried = "<details>\n<summary>Tried</summary>\n\n### It.\n\n</details>\n"
    assert text.endswith(f"\n\nMine.\n\n{folded}{tried}") == shown


def test_a_page_without_figures_claims_and_groups_has_a_report():
    one = row("a")
    text = report_text(study(figures={}), content([one], {one.build(1): of_error(0.1)}), {})
    assert "## Results\n\n| row | train error %" in text
    assert "![" not in text
    assert "Search" not in text
    assert "What was found" not in text
    assert "One way to train on MNIST, 1 seed each." in text


def test_the_table_of_a_group_shows_only_the_metrics_that_a_row_of_the_group_has():
    metrics = (*ERRORS, Metric("formula/gap", "gap"), Metric("model/none", "what no row has"))
    rows = [row("a", group="G1"), row("b", group="G2"), row("c", group="G2")]
    measures = [
        {"test": {"error": 0.5}},
        {"formula": {"gap": 0.25}},
        {"formula": {"gap": 0.5}, "valid": {"error": 0.125}},
    ]
    records = {one.build(1): record(measures=these) for one, these in zip(rows, measures, strict=True)}
    made = content(rows, records, 1, metrics)
    text = report_text(study(metrics=metrics), made, {})
    assert cells(text, "## G1") == [["row", "test error %", "n"], ["A", "50.00", "1"]]
    head, *lines = cells(text, "## G2")
    assert head == ["row", "valid error %", "gap", "n"]
    assert lines == [["B", "–", "0.25", "1"], ["C", "12.50", "0.50", "1"]]
    assert "what no row has" not in text
