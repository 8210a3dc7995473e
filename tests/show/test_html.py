import base64
import json
import re
from html.parser import HTMLParser

import pytest

from dlx.show import html, tables
from experiments import __main__ as command
from experiments import index

VOID = {"meta", "link", "img", "br", "hr"}


class Reader(HTMLParser):
    """An independent reading of a page: balanced tags, all attributes, the whole text of each element."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[tuple[str, list[str]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, list[str]]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.texts.append((tag, []))
            self.open.append(self.texts[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        for _, pieces in self.open:
            pieces.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return ["".join(pieces) for name, pieces in self.texts if name == tag]


TEXT = f"""# A *report*

Some `code`, **strong** and <b onclick="x()">raw</b> text.<br>Next line. `<br>`

<script>alert(1)</script>

## The row's table

{tables.markdown(["row", "error %"], [["deep | net", "1.31 ± 0.04"], ["two<br>lines", "–"]])}
- [absolute](https://example.org/a), [inside](#the-rows-table), [beside](report.html), [bad](javascript:alert)

## The row's table

![Bars of <rows>](bars.png) ![again](sub%20folder/b.png)
"""
IMAGES = {"bars.png": b"\x89PNG one", "sub folder/b.png": b"\x89PNG two", "unused.png": b"never"}


@pytest.fixture(scope="module")
def page():
    return Reader(html.page(TEXT, IMAGES, "Title & <more>"))


def test_the_text_is_all_there(page):
    assert page.text("title") == ["Title & <more>"]
    assert page.text("code") == ["code", "<br>"]
    assert page.text("strong") == ["strong"]
    assert page.text("th") == ["row", "error %"]
    assert page.text("td") == ["deep | net", "1.31 ± 0.04", "two\nlines", "–"]
    assert len(page.every("br")) == 2
    assert "text-align:right" in str(page.every("td")[1])


def test_raw_html_is_shown_and_never_obeyed(page):
    assert any('<b onclick="x()">raw</b>' in text for text in page.text("p"))
    assert "<script>alert(1)</script>" in page.text("p")
    assert page.every("b") == []
    assert len(page.every("script")) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_images_are_inside_the_page(page):
    sources = [str(image["src"]).partition(";base64,") for image in page.every("img")]
    assert [kind for kind, _, _ in sources] == ["data:image/png"] * 2
    assert [base64.b64decode(data) for _, _, data in sources] == [b"\x89PNG one", b"\x89PNG two"]
    assert [image["alt"] for image in page.every("img")] == ["Bars of <rows>", "again"]


def test_links_stay_as_they_are_and_headings_can_be_linked_to(page):
    assert [link["href"] for link in page.every("a")] == ["https://example.org/a", "#the-rows-table", "report.html"]
    assert [heading["id"] for heading in page.every("h2")] == ["the-rows-table", "the-rows-table-1"]
    assert page.every("h1") == [{"id": "a-report"}]


def test_nothing_is_fetched(page):
    assert all(str(image["src"]).startswith("data:") for image in page.every("img"))
    assert [link["href"] for link in page.every("link")] == ["data:,"]
    assert page.every("script") == [{}]
    assert not re.search(r"url\(|@import|https?:", "".join(page.text("style") + page.text("script")))
    assert any(str(meta.get("content")).startswith("default-src 'none'") for meta in page.every("meta"))


@pytest.mark.parametrize("source", ["lost.png", "https://example.org/lost.png", "data:image/png;base64,lost.png"])
def test_an_image_that_is_missing_is_named(source):
    with pytest.raises(ValueError, match=r"lost\.png"):
        html.page(f"> - ![x]({source})", IMAGES, "")


def test_a_page_may_be_empty():
    assert Reader(html.page("", {}, "")).text("main") == ["\n"]


ROW = {"row": "deep", "metric": "test error %", "paper": 2.0, "mean": 2.1, "low": 2.0, "high": 2.2, "n": 3}
ROW |= {"diverged": 1, "verdict": "not told apart"}
LOST = ROW | {"row": "lost", "paper": None, "mean": None, "low": None, "high": None, "n": 0, "diverged": 3}
CONTENT = {
    "experiment": "one",
    "command": "python -m experiments.one",
    "revision": "abc123",
    "seconds": 61.4,
    "device": "cpu x 2",
    "data": {"name": "mnist", "variant": "plain"},
    "rows": [ROW, ROW | {"metric": "train error %", "mean": 0.7}, LOST],
}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    for name, content in {"one": CONTENT, "two": CONTENT | {"experiment": "two", "revision": None}}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "results.json").write_text(json.dumps(content))
        (folder / name / "report.md").write_text(f"# Title of {name}\n\n![b](bars.png)\n")
        (folder / name / "bars.png").write_bytes(f"PNG of {name}".encode())
    (folder / "two/bars.png").rename(folder / "two/other.png")
    (folder / "two/report.md").write_text("No heading.\n")
    (folder / "bench.json").write_text("{}")
    (folder / "unfinished").mkdir()
    return folder


def test_the_index_tells_of_every_experiment(results, capsys):
    command.main(["report", "--results", str(results)])
    assert str(results / "index.html") in capsys.readouterr().out
    page = Reader((results / "index.html").read_text())
    assert page.text("h2") == ["Title of one", "two"]
    facts = " ".join(page.text("li"))
    for fact in ("python -m experiments.one", "abc123", "cpu x 2", "61 seconds", "mnist, variant plain"):
        assert fact in facts
    assert "rows: 2" in page.text("li")
    assert "diverged runs: 4" in page.text("li")
    row = ["deep", "2", "2.10 ± 0.10", "3", "not told apart"]
    assert page.text("td") == [*row, "lost", "–", "–", "0", "not told apart"] * 2
    assert [base64.b64decode(str(image["src"]).split(",")[1]) for image in page.every("img")] == [b"PNG of one"]
    links = [str(link["href"]) for link in page.every("a")]
    assert links == ["one/report.html", "two/report.html"]
    assert all((results / link).is_file() for link in links)


def test_links_lead_from_where_the_index_is_to_reports_that_are_kept(results, tmp_path):
    (results / "one/report.html").write_text("kept")
    out = tmp_path / "deep/er/all.html"
    command.main(["report", "--results", str(results), "--out", str(out)])
    (first, _) = Reader(out.read_text()).every("a")
    assert (out.parent / str(first["href"])).read_text() == "kept"
    assert not (results / "index.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("results.json", "{", "Expecting"),
        ("results.json", "[]", "not an object"),
        ("results.json", json.dumps(CONTENT | {"rows": [{"row": "deep"}]}), "missing"),
        ("results.json", json.dumps(CONTENT | {"rows": [ROW | {"mean": "nan"}]}), "'mean' is 'nan'"),
        ("results.json", json.dumps(CONTENT | {"data": None}), "'data' is None"),
        ("results.json", b"\xff\xfe", "results.json"),
        ("report.md", "![x](lost.png)", "lost.png"),
    ],
)
def test_files_that_are_not_results_are_named(results, capsys, name, content, said):
    (results / "two" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SystemExit) as stopped:
        index.main(results)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert str(results / "two" / name) in error
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_report_or_folder_is_named(results, tmp_path, capsys):
    (results / "one/report.md").unlink()
    for folder, named in ((results, "report.md"), (tmp_path / "nowhere", "nowhere")):
        with pytest.raises(SystemExit) as stopped:
            index.main(folder)
        assert stopped.value.code == 2
        assert named in capsys.readouterr().err


def test_without_arguments_the_listing_is_printed_and_help_tells_of_report(capsys):
    command.main([])
    assert capsys.readouterr().out == command.listing() + "\n"
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    assert "report" in capsys.readouterr().out
