"""The ledger: which claims the lectures make, what decides each, and the page that shows it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dlx.study.publish import ledger
from dlx.study.publish.index import read_results
from dlx.study.publish.ledger import Experiment, decisions, read_lectures, verdict_of
from dlx.study.publish.marks import VERDICTS
from experiments.__main__ import FOLDER

CLAIMS = """\
[lectures]
A = "The first lecture"
B = "The second lecture"

[claims.A10]
heading = "Later"
words = "The tenth claim has x < y."
experiments = ["planned", "too"]

[claims.B1]
heading = "Other"
words = "The claim of the second lecture."
experiments = ["second"]

[claims.A2]
heading = "Earlier"
words = "The second claim."
experiments = ["first"]

[claims.A2a]
heading = "Earlier"
words = "A part of the second claim."
experiments = ["first"]
"""


class Shown(HTMLParser):
    """What a page shows of each claim: its text, its links and its images, in the order of the page."""

    def __init__(self, page: str):
        super().__init__()
        self.texts: dict[str, str] = {}
        self.links: dict[str, list[str]] = {}
        self.images: dict[str, list[str]] = {}
        self.number = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "article":
            self.number = values["id"]
            self.texts[self.number], self.links[self.number], self.images[self.number] = "", [], []
        elif self.number and tag == "a":
            self.links[self.number].append(values["href"])
        elif self.number and tag == "img":
            self.images[self.number].append(values["src"])

    def handle_endtag(self, tag):
        self.number = "" if tag == "article" else self.number

    def handle_data(self, data):
        if self.number:
            self.texts[self.number] += data

    def verdicts(self) -> dict[str, str]:
        """The verdict at the top of each claim."""
        matches = {number: re.search("|".join(VERDICTS), text) for number, text in self.texts.items()}
        return {number: match[0] for number, match in matches.items() if match}


def claim(verdict, *numbers, words="0.3 [0.2, 0.4] points below", figure="first.png"):
    return {"claim": f"It is {verdict}.", "numbers": [*numbers], "verdict": verdict, "words": words, "figure": figure}


def experiment(name, *claims):
    content = {"experiment": name, "claims": claims}
    pictures = {file: f"{name}/{file}" for file in ("first.png", "race-1.png", "race-2.png")}
    return Experiment(f"The title of {name}", content, f"{name}/report.html", pictures)


FIRST = experiment("first", claim("holds", "A2", "B1"), claim("not enough runs", "A2a"), claim("does not hold"))
SECOND = experiment("second", claim("does not hold", "B1", words="1 over 2 seeds"), claim("holds", "A2a"))


def lectures(tmp_path, text=CLAIMS):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return read_lectures(path)


def shown(tmp_path, *experiments):
    return Shown(ledger.page(lectures(tmp_path), experiments, "index.html"))


def test_claims_stand_in_the_order_of_their_lectures(tmp_path):
    first, second = lectures(tmp_path)
    assert (first.letter, first.name) == ("A", "The first lecture")
    assert [one.number for one in first.claims] == ["A2", "A2a", "A10"]
    assert [one.number for one in second.claims] == ["B1"]
    assert first.claims[2] == ("A10", "Later", "The tenth claim has x < y.", ("planned", "too"))
    assert list(shown(tmp_path, FIRST).texts) == ["A2", "A2a", "A10", "B1"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[claims.A10]", "[claims.10]", "'10' is not a number"),
        ("[claims.A10]", "[claims.A2]", "claims.toml is not a valid"),
        ("[claims.A10]", "[claims.C1]", "no lecture has the letter of C1"),
        ('heading = "Later"\n', "", "A10 must have a heading"),
        ('heading = "Later"', "heading = 3", "A10 must have a heading"),
        ("[lectures]", "[others]", "must have the tables"),
        ("[lectures]", "[", "claims.toml is not a valid"),
    ],
)
def test_a_file_that_is_no_list_of_claims_is_refused_by_name(tmp_path, old, new, said):
    with pytest.raises(ValueError, match=r"claims\.toml is not a valid list of claims: ") as error:
        lectures(tmp_path, CLAIMS.replace(old, new))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([], "not tested yet"),
        (["holds", "holds"], "holds"),
        (["holds", "not enough runs"], "partly (1 of 2)"),
        (["not enough runs", "does not hold"], "does not hold"),
    ],
)
def test_a_claim_holds_if_all_of_its_findings_hold(verdicts, verdict):
    assert verdict_of([ledger.Decided(FIRST, claim(one)) for one in verdicts]) == verdict


def test_each_claim_shows_its_verdict_its_numbers_a_figure_and_a_link(tmp_path):
    page = shown(tmp_path, FIRST)
    expected = {"A2": "holds", "A2a": "not enough runs", "A10": "not tested yet", "B1": "holds"}
    assert page.verdicts() == expected
    for part in ("Earlier", "The second claim.", "It is holds.", "0.3 [0.2, 0.4] points below", "The title of first"):
        assert part in page.texts["A2"]
    assert set(page.links["A2"]) == {"#A2", "first/report.html", "first/first.png"}
    assert page.images["A2"] == ["first/first.png"]
    assert "x < y" in page.texts["A10"]
    assert "planned, too" in page.texts["A10"]
    assert page.images["A10"] == []


def test_a_claim_that_two_experiments_decide_shows_both(tmp_path):
    page = shown(tmp_path, FIRST, SECOND)
    assert page.verdicts()["B1"] == "partly"
    assert "It is holds." in page.texts["B1"]
    assert "1 over 2 seeds" in page.texts["B1"]
    assert page.images["B1"] == ["first/first.png", "second/first.png"]
    assert page.links["B1"].count("second/report.html") == 1


def test_other_results_give_another_verdict(tmp_path):
    changed = experiment("first", claim("does not hold", "A2", "B1"))
    assert shown(tmp_path, FIRST).verdicts()["A2"] == "holds"
    assert shown(tmp_path, changed).verdicts()["A2"] == "does not hold"
    assert shown(tmp_path, changed).verdicts()["A2a"] == "not tested yet"


def test_claims_are_counted_by_verdict(tmp_path):
    both = lectures(tmp_path)
    counted = [dict(ledger.counts(lecture, decisions(both, [FIRST]))) for lecture in both]
    assert counted == [{"holds": 1, "not enough runs": 1, "not tested yet": 1}, {"holds": 1}]
    text = ledger.page(both, [FIRST], "index.html")
    assert "2 lectures make 4 claims" in text
    assert "3 of them are tested (holds: 2, not enough runs: 1), and 1 are not tested yet" in text
    totals = re.findall(r"<td[^>]*>([^<]*)</td>", text.partition("<tfoot>")[2].partition("</tfoot>")[0])
    assert totals == ["all lectures", "4", "2", "0", "0", "1", "1"]
    text = ledger.page(both, [experiment("first", claim("does not hold", "B1"))], "index.html")
    assert "1 of them are tested (does not hold: 1), and 3 are not tested yet" in text
    assert 'href="index.html"' in text
    assert re.search('<form id="filter".* hidden>', text), "it does nothing without the script"


@pytest.mark.parametrize(
    ("figures", "images"),
    [
        ([""], []),
        (["race-2.png"], ["race-2.png"]),
        (["race.png", "race-1.png"], ["race-1.png", "race-2.png"]),
        (["first.png", "", "first.png"], ["first.png"]),
        (["gone.png"], []),
    ],
)
def test_a_claim_shows_the_pictures_that_its_tests_name_each_once(tmp_path, figures, images):
    one = experiment("first", *(claim("holds", "A2", figure=figure) for figure in figures))
    page = shown(tmp_path, one)
    assert page.images["A2"] == [f"first/{file}" for file in images]
    assert "first/report.html" in page.links["A2"]


def test_of_many_tests_the_numbers_are_folded(tmp_path):
    def unfolded(*tests):
        text = ledger.page(lectures(tmp_path), [experiment("first", *tests)], "index.html")
        return re.findall(r'<details class="test" (\w*)>', text)

    assert unfolded(claim("holds", "A2"), claim("holds", "A2")) == ["open", "open"]
    assert unfolded(*[claim("holds", "A2")] * 3) == ["", "", ""]


def test_a_number_that_no_lecture_has_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the results of third name the claim 'A3', which no lecture has"):
        shown(tmp_path, FIRST, experiment("third", claim("holds", "A2", "A3")))


# The files of this repository.

RESULTS = FOLDER / "results"


def committed() -> Shown:
    return Shown((RESULTS / "lectures.html").read_text(encoding="utf-8"))


def test_every_claim_is_on_the_committed_page_with_its_words():
    page, known = committed(), read_lectures(FOLDER / "claims.toml")
    assert [lecture.letter for lecture in known] == ["A", "B", "C", "D", "E"]
    claims = [claim for lecture in known for claim in lecture.claims]
    assert list(page.texts) == [claim.number for claim in claims]
    for one in claims:
        assert one.words in page.texts[one.number]
        assert one.heading in page.texts[one.number]


def test_the_committed_verdicts_are_those_of_the_committed_results():
    known, paths = read_lectures(FOLDER / "claims.toml"), sorted(RESULTS.glob("*/results.json"))
    every = decisions(known, [Experiment(path.parent.name, read_results(path), "", None) for path in paths])
    expected = {number: ledger.kind(verdict_of(decided)) for number, decided in every.items()}
    assert committed().verdicts() == expected, "python -m experiments report writes the page again"


def test_claims_are_short_sentences():
    for lecture in read_lectures(FOLDER / "claims.toml"):
        for one in lecture.claims:
            sentences = re.split(r"(?<=\.) ", one.words)
            assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in sentences), one.number
            assert max(map(len, sentences)) <= 110, one.number
            assert one.experiments


def test_the_command_writes_the_committed_claims(tmp_path, monkeypatch, capsys):
    from experiments.__main__ import main

    place = tmp_path / "small"
    place.mkdir()
    content = json.loads((RESULTS / "bengio2006" / "results.json").read_bytes())
    (place / "results.json").write_text(json.dumps(content))
    (place / "report.md").write_text("# A title\n")
    monkeypatch.setattr("sys.argv", ["experiments"])
    main(["report", "--results", str(tmp_path)])
    assert [Path(line.removeprefix("page: ")).name for line in capsys.readouterr().out.splitlines()] == [
        "index.html",
        "lectures.html",
    ]
    assert Shown((tmp_path / "lectures.html").read_text()).verdicts()["A1"] == content["claims"][0]["verdict"]
    content["claims"][0]["numbers"] = ["Z9"]
    (place / "results.json").write_text(json.dumps(content))
    with pytest.raises(SystemExit):
        main(["report", "--results", str(tmp_path)])
    assert "'Z9'" in capsys.readouterr().err
