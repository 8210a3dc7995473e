import base64
import re
from html.parser import HTMLParser

import pytest
from jinja2 import UndefinedError

from dlx.show import html, tables

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
    assert [cell.get("class") for cell in page.every("td")] == [None, "n", None, "n"]


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
    assert [text.strip() for text in Reader(html.page("", {}, "")).text("main")] == [""]


def classes(text, tag):
    page = Reader(html.page(text, IMAGES, ""))
    return [attributes.get("class") for attributes in page.every(tag)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("![a](bars.png)\n![b](bars.png)", "images"),
        ("![a](bars.png) ![b](bars.png)", "images"),
        ("![a](bars.png)<br>![b](bars.png)", "images"),
        ("![a](bars.png)", "images"),
        ("See ![a](bars.png)", None),
        ("![a](bars.png) `code`", None),
        ("words", None),
        ("<br><br>", None),
        ("", None),
    ],
)
def test_images_without_other_text_stand_side_by_side(text, kind):
    assert classes(text, "p") == ([kind] if text else [])


def test_images_side_by_side_are_wide_enough_to_read_and_none_is_wider_than_the_page(page):
    (style,) = page.text("style")
    assert "grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr))" in style
    assert "img { max-width: min(100%, 40rem);" in style
    assert [attributes.get("class") for attributes in page.every("p")].count("images") == 1


@pytest.mark.parametrize(("columns", "kind"), [(1, None), (8, None), (9, "many"), (12, "many")])
def test_a_table_of_many_columns_has_smaller_cells_in_a_box_that_scrolls(columns, kind):
    text = tables.markdown(["row"] * columns, [["1.31 ± 0.04"] * columns, ["74.10, 75.21, 76.33"] * columns])
    assert classes(text, "table") == [kind]
    assert classes(text, "td") == ["n"] * columns + ["n long"] * columns
    assert classes(text, "div") == ["scroll"]
    assert classes(f"{text}\n{tables.markdown(['n'], [['1']])}", "table") == [kind, None]


def test_a_line_of_markdown_has_no_paragraph_and_no_html():
    assert html.inline("A *b* <i>`c`") == "A <em>b</em> &lt;i&gt;<code>c</code>"


FOLDED = """<details>
<summary>The *trials* <b></summary>

| row | n |
| --- | - |
| a   | 1 |

</details>

Behind it, **holds** and **so**.
"""


def test_a_part_can_be_folded():
    page = Reader(html.page(FOLDED, {}, "", {"holds": "green"}))
    assert page.text("summary") == ["The trials <b>"]
    assert page.text("em") == ["trials"]
    (inside,) = page.text("details")
    assert "row" in inside
    assert "Behind" not in inside
    assert [strong.get("class") for strong in page.every("strong")] == ["green", None]
    inline = "Inside of <details> a line, and </details>."
    assert Reader(html.page(inline, {}, "")).text("p") == [inline]


@pytest.mark.parametrize("text", ["<details>", "</details>", "</details>\n\n<details>", "> <details>\n\n</details> x"])
def test_what_is_folded_must_end(text):
    with pytest.raises(ValueError, match="<details>"):
        html.page(text, {}, "")


def test_templates_escape_what_they_are_given(monkeypatch, tmp_path):
    (tmp_path / "a.html.j2").write_text(
        '<p title="{{ text }}">{{ text }} {{ text | inline }} {{ "a.css" | file }}</p>\n'
    )
    (tmp_path / "a.css").write_text("p > b { }\n")
    monkeypatch.setattr(html, "_WEB", tmp_path)
    shown = html.render("a.html.j2", text='<i>*"x"*')
    escaped = "&lt;i&gt;*&#34;x&#34;*"
    assert shown == f'<p title="{escaped}">{escaped} &lt;i&gt;<em>&quot;x&quot;</em> p > b {{ }}</p>\n'
    (tmp_path / "a.html.j2").write_text("{{ missing }}")
    with pytest.raises(UndefinedError, match="missing"):
        html.render("a.html.j2")
