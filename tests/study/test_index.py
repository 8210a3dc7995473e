"""The index page of finished experiments, and which files are no results."""

import json
import re

import numpy as np
import pytest
from synthetic import dataset, find, of_error, row

from dlx.show import figures as draw
from dlx.store import to_json
from dlx.study.declare.finding import Finding
from dlx.study.declare.page import ERRORS, Claim, Published
from dlx.study.judge import table
from dlx.study.publish import index
from dlx.study.publish.index import page, read_results, write_pages
from dlx.study.publish.ledger import Experiment


def content(**changes):
    rows = [row("a", paper={"test/error": Published(10.0)}), row("b")]
    records = {rows[0].build(1): of_error(0.1), rows[0].build(2): of_error(0.9, diverged=True)}
    records |= {rows[1].build(seed): of_error(0.1 * seed) for seed in (1, 2)}
    claim = Claim("It is so.", lambda found: Finding("not enough runs", "too few"), ("A8b",))
    found = find(rows, records, 2, {"main": dataset()})
    made = table.results("page", "quick", "python -m page --seeds 2", found, ERRORS, [claim])
    return json.loads(to_json({**made, "seconds": 300.0, **changes}))


def folder(tmp_path, name="page one", text=None, **changes):
    """A folder of results with two images, of which the report shows the second first."""
    place = tmp_path / name
    place.mkdir()
    (place / "results.json").write_text(json.dumps(content(**changes)))
    for file, level in (("a.png", 1.0), ("b c.png", 2.0)):
        (place / file).write_bytes(draw.png(draw.curves({file: np.full((1, 3), level)}, ylabel="y")))
    text = "# A title\n\n![bars](b%20c.png)\n\n![curves](a.png)\n" if text is None else text
    (place / "report.md").write_text(text)
    return place


def test_what_was_published_is_read(tmp_path):
    assert read_results(folder(tmp_path) / "results.json") == content()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda made: made.pop("claims"), "'claims' is missing"),
        (lambda made: made.pop("experiment"), "'experiment' is missing"),
        (lambda made: made.update(seconds="long"), "'seconds' is 'long'"),
        (lambda made: made["data"].pop("variant"), "'variant' is missing"),
        (lambda made: made["rows"][1].pop("n"), "'n' is missing"),
        (lambda made: made["rows"][1].update(mean="nan"), "'mean' is 'nan'"),
        (lambda made: made["rows"].append([1]), r"not an object but \[1\]"),
        (lambda made: made["claims"][0].update(verdict=None), "'verdict' is None"),
        (lambda made: made["claims"][0].update(verdict="perhaps"), "'perhaps' is not one of the verdicts holds,"),
        (lambda made: made["claims"][0].pop("numbers"), "'numbers' is missing"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage, said):
    path, made = tmp_path / "results.json", content()
    damage(made)
    path.write_text(json.dumps(made))
    with pytest.raises(ValueError, match=f"results.json is not a valid results.json: {said}"):
        read_results(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"experiment": "x"}', "\xff"])
def test_what_is_no_object_is_refused_by_name(tmp_path, text):
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"results\.json is not a valid results\.json"):
        read_results(path)


def test_a_card_has_title_answer_verdicts_command_time_image_and_links():
    pictures = {"b c.png": "some/folder/b%20c.png", "a.png": "some/folder/a.png"}
    experiment = Experiment("A *title*", content(), "some/folder/report.html", pictures)
    html = page([experiment], "lectures.html")
    text = re.sub(r"\s+", " ", html)
    parts = [
        '<h2><a href="some/folder/report.html">A <em>title</em></a></h2>',
        '<p class="answer">Not decided: It is so; too few.</p>',
        "Its 1 claims",
        '<span aria-hidden="true">?</span> not enough runs</span>: It is so. <a href="lectures.html#A8b">A8b</a>',
        "<code>python -m page --seeds 2</code><br> 5 minutes on cpu x 2; data mnist (canonical); 2 rows, 1 diverged",
        '<a href="some/folder/report.html">The whole report</a>',
        '<a href="some/folder/b%20c.png"><img src="some/folder/b%20c.png" alt="The first figure of page"',
    ]
    for part in parts:
        assert part in text, part
        text = text[text.index(part) :]
    assert "some/folder/a.png" not in html
    alone = page([experiment._replace(pictures={})])
    assert "<img" not in alone
    assert "A8b" not in alone, "there is no page of lectures"


def test_a_card_shows_html_of_results_as_text():
    made = content(command="python & <b>", experiment='"x"')
    text = page([Experiment("<i>", made, "r.html", {})])
    assert "<code>python &amp; &lt;b&gt;</code>" in text
    assert "&lt;i&gt;" in text
    assert 'id="&#34;x&#34;"' in text


def test_the_page_shows_each_experiments_claims_and_first_image_and_links_to_it(tmp_path):
    folder(tmp_path, "one")
    folder(tmp_path, "two", "No heading.\n", experiment="second")
    (page,) = write_pages(tmp_path)
    assert page == tmp_path / "index.html"
    html = page.read_text()
    assert html.index(">A title<") < html.index(">second<")
    assert html.count("It is so.") == 2
    assert "2 experiments put 2 claims to the\ntest: not enough runs: 2." in html
    assert 'href="one/report.html"' in html
    assert 'href="two/report.html"' in html
    assert re.findall('<img src="([^"]*)"', html) == ["one/b%20c.png"], "the second report shows none"
    assert "<title>A title</title>" in (tmp_path / "one" / "report.html").read_text()


def test_the_pages_may_stand_elsewhere_and_a_report_that_is_there_is_kept(tmp_path):
    place = folder(tmp_path, "a b")
    (place / "report.html").write_text("mine")
    (page,) = write_pages(tmp_path, out=tmp_path / "site" / "pages")
    assert page == tmp_path / "site" / "pages" / "index.html"
    assert 'href="../../a%20b/report.html"' in page.read_text()
    assert 'src="../../a%20b/b%20c.png"' in page.read_text()
    assert (place / "report.html").read_text() == "mine"
    assert not (tmp_path / "index.html").exists()


CLAIMS = """
[lectures]
A = "The lecture"
[claims.A8b]
heading = "Outline"
words = "The claim."
experiments = ["page"]
"""


def test_with_a_list_of_claims_there_is_a_page_of_lectures(tmp_path):
    folder(tmp_path)
    claims = tmp_path / "claims.toml"
    claims.write_text(CLAIMS)
    index_page, lectures = write_pages(tmp_path, claims)
    assert lectures == tmp_path / "lectures.html"
    assert 'href="lectures.html#A8b"' in index_page.read_text()
    assert 'href="index.html"' in lectures.read_text()
    assert 'id="A8b"' in lectures.read_text()
    claims.write_text(CLAIMS.replace("A8b", "A8"))
    with pytest.raises(ValueError, match="the results of page name the claim 'A8b'"):
        write_pages(tmp_path, claims)


def test_folders_without_results_are_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match=r"has no folder with a results\.json"):
        write_pages(tmp_path)
    place = folder(tmp_path, text="![gone](gone.png)\n")
    with pytest.raises(ValueError, match=r"report.md: .*gone\.png"):
        write_pages(tmp_path)
    (place / "results.json").write_text("{")
    with pytest.raises(ValueError, match=r"page one/results\.json is not a valid"):
        write_pages(tmp_path)


def test_the_command_says_where_the_page_is_or_what_is_wrong(tmp_path, capsys):
    folder(tmp_path)
    index.main(tmp_path, [])
    assert capsys.readouterr().out == f"page: {tmp_path / 'index.html'}\n"
    with pytest.raises(SystemExit) as stop:
        index.main(tmp_path, ["--results", str(tmp_path / "nothing")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
