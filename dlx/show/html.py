"""HTML pages that need no network: style and script are inside them.

Templates, style and script are the files in `web`. The page of a report is made from its Markdown text, and has its
images inside as well.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

_WEB = Path(__file__).parent / "web"
_FEW_COLUMNS = 8
"""Tables with more columns have smaller cells."""
_FEW_LETTERS = 14
"""In these tables, longer cells may be broken into lines."""


def page(markdown_text: str, images: Mapping[str, bytes], title: str, classes: Mapping[str, str] | None = None) -> str:
    """A whole HTML page that needs no other file and no network, from CommonMark with GitHub's tables.

    `images` holds PNG bytes by the name that the text gives them. Images in a paragraph without other text stand side
    by side where the page is wide enough. Headings have GitHub's anchors. A click on a column's name sorts a table, and
    a wide table scrolls in a box of its own. Links stay as they are. HTML in the text is shown as text, except `<br>`,
    and `<details>` and `<summary>` on lines of their own. Strong words have the class that `classes` gives them. Raises
    ValueError if the text shows an image that `images` lacks, or does not close its `<details>`.
    """
    parser = _parser()
    tokens = [part for token in parser.parse(markdown_text) for part in _in_a_box(token)]
    depth = 0
    for token in tokens:
        depth += token.nesting * (token.tag == "details")
        if depth < 0:
            break
    if depth:
        raise ValueError("the text has a <details> that is not closed, or a </details> that closes none")
    _shape_tables(tokens)
    seen: Counter[str] = Counter()
    for opening, inline in pairwise(tokens):
        for image in (child for child in inline.children or () if child.type == "image"):
            _embed(image, images)
        for strong, word in pairwise(inline.children or ()):
            if strong.type == "strong_open" and word.content in (classes or {}):
                strong.attrSet("class", (classes or {})[word.content])
        if opening.type == "paragraph_open" and _only_images(inline):
            opening.attrSet("class", "images")
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ())
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            opening.attrSet("id", f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
    return render("page.html.j2", title=title, body=Markup(parser.renderer.render(tokens, parser.options, {})))


def inline(markdown_text: str) -> Markup:
    """A line of Markdown as HTML without a paragraph around it. HTML in the text is shown as text."""
    return Markup(_parser().renderInline(markdown_text))


def render(template: str, **values: Any) -> str:
    """A whole HTML page from a template in `web`. It may show images that lie beside the page."""
    return _environment().get_template(template).render(**values)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(inline=inline, file=_file)
    return environment


def _file(name: str) -> Markup:
    """A style or a script, as it stands in a page."""
    return Markup((_WEB / name).read_text(encoding="utf-8").strip())


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("autolink", "line_break", _line_break)
    parser.block.ruler.before("paragraph", "fold", _fold, {"alt": ["paragraph"]})
    return parser


def _line_break(state: StateInline, silent: bool) -> bool:
    match = re.compile(r"<br\s*/?>", re.IGNORECASE).match(state.src, state.pos)
    if match and not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end() if match else state.pos
    return bool(match)


def _fold(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    match = re.fullmatch(r"<(?P<close>/?)details>|<summary>(?P<words>.*)</summary>", line)
    if match and not silent:
        state.line = start + 1
        if match["words"] is None:
            state.push("details", "details", -1 if match["close"] else 1)
        else:
            state.push("summary_open", "summary", 1)
            words = state.push("inline", "", 0)
            words.content, words.map, words.children = match["words"], [start, state.line], []
            state.push("summary_close", "summary", -1)
    return bool(match)


def _in_a_box(token: Token) -> Iterator[Token]:
    """A table between the tokens of a box that scrolls; any other token alone."""
    if token.type == "table_open":
        yield Token("box_open", "div", 1, attrs={"class": "scroll"}, block=True)
    yield token
    if token.type == "table_close":
        yield Token("box_close", "div", -1, block=True)


def _shape_tables(tokens: Sequence[Token]) -> None:
    """Give classes to tables of many columns, to cells of numbers, and to the long ones among these."""
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            head = takewhile(lambda token: token.type != "tr_close", tokens[place:])
            if sum(token.type == "th_open" for token in head) > _FEW_COLUMNS:
                token.attrSet("class", "many")
        if token.attrs.pop("style", None) == "text-align:right":
            long = token.type == "td_open" and len(tokens[place + 1].content) > _FEW_LETTERS
            token.attrSet("class", "n long" if long else "n")


def _only_images(inline: Token) -> bool:
    kinds = {child.type for child in inline.children or () if child.type != "text" or child.content.strip()}
    return "image" in kinds and kinds <= {"image", "softbreak", "hardbreak"}


def _embed(image: Token, images: Mapping[str, bytes]) -> None:
    name = unquote(str(image.attrs["src"]))
    if name not in images:
        raise ValueError(f"the text shows the image {name!r}, which is not among: {', '.join(images) or 'none'}")
    image.attrSet("src", f"data:image/png;base64,{base64.b64encode(images[name]).decode()}")
