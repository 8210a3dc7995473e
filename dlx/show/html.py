"""HTML pages that need no network: style and script are inside them.

The page of a report is made from its Markdown text, and has its images inside as well.
"""

import base64
import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from itertools import pairwise, takewhile
from string import Template
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

_FEW_COLUMNS = 8
"""Tables with more columns have smaller cells."""
_FEW_LETTERS = 14
"""In these tables, longer cells may be broken into lines."""

# With this policy browsers refuse to fetch anything from elsewhere.
_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data: 'self' file:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body</main>
<script>
$script</script>
</body>
</html>
""")

_STYLE = """\
:root { color-scheme: light dark; --text: #1f2328; --page: #fff; --line: #d1d9e0; --shade: #f6f8fa; --link: #0a58ca; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --page: #14181d; --line: #3d444d; --shade: #21262d; --link: #79b8ff; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; color: var(--text); background: var(--page); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 2.5rem) 4rem; overflow-wrap: break-word; }
p, ul, ol, blockquote { max-width: 52rem; }
ul, ol { padding-left: 1.4rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2em 0 0.6em; }
h1 { font-size: 1.75rem; margin-top: 0.6em; }
h2 { font-size: 1.35rem; padding-bottom: 0.25em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.1rem; }
a { color: var(--link); }
blockquote { margin: 1em 0; padding-left: 1em; border-left: 3px solid var(--line); }
hr { border: 0; border-top: 1px solid var(--line); }
code { font: 0.9em ui-monospace, monospace; background: var(--shade); padding: 0.1em 0.3em; border-radius: 4px; }
pre { overflow-x: auto; padding: 0.8em 1em; background: var(--shade); border-radius: 6px; }
pre code { padding: 0; background: none; }
p.images { max-width: none; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
p.images { gap: 1rem; align-items: start; }
p.images br { display: none; }
img { max-width: min(100%, 40rem); height: auto; padding: 0.5rem; background: #fff; border-radius: 6px; }
.scroll { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.75rem; border: 1px solid var(--line); text-align: left; min-width: 4rem; }
td[style] { white-space: nowrap; }
th { background: var(--shade); vertical-align: bottom; }
:is(th, td):first-child { position: sticky; left: -1px; z-index: 1; box-shadow: inset -1px 0 var(--line); }
td:first-child { background: var(--page); }
th button { all: unset; box-sizing: border-box; width: 100%; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th button::after { content: "\\00a0↕" / ""; opacity: 0.45; }
th[aria-sort] button::after { content: "\\00a0↑" / ""; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\00a0↓" / ""; }
.many :is(th, td) { padding: 0.3rem 0.4rem; min-width: 0; font-size: 0.8rem; line-height: 1.4; }
@media (min-width: 40.01rem) { .many td.long { white-space: normal; } }
@media (max-width: 40rem) {
  table { font-size: 0.875rem; line-height: 1.4; }
  th, td { padding: 0.3rem 0.5rem; }
  td:not([style]) { min-width: 7rem; }
}
@media print { .scroll { overflow: visible; } th button::after { content: none !important; } }
"""

CARDS = """\
:root { --muted: #59636e; --holds: #1a7f37; --fails: #c4211c; --open: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --muted: #9aa4af; --holds: #56d364; --fails: #ff8d85; --open: #e3b341; }
}
.holds { --mark: var(--holds); } .fails { --mark: var(--fails); } .open { --mark: var(--open); }
.untested { --mark: var(--muted); }
.verdict { color: var(--mark); font-weight: 600; white-space: nowrap; }
.card, .claim { border: 1px solid var(--line); border-radius: 8px; margin: 1rem 0; padding: 1rem 1.2rem; }
.card, .evidence { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 0.5rem 1.5rem; }
.evidence { grid-template-columns: minmax(0, 13rem) minmax(0, 1fr); margin-top: 0.8rem; }
:is(.card, .evidence) > :only-child { grid-column: 1 / -1; }
.card img, .evidence img { display: block; width: 100%; border: 1px solid var(--line); object-fit: contain; }
.evidence img { max-height: 14rem; }
.card h2 { margin: 0 0 0.4em; padding: 0; border: 0; font-size: 1.2rem; }
.evidence ul, .card ul { margin: 0 0 0.6em; }
.evidence li, .card li { margin-bottom: 0.35em; }
:is(.card, .evidence) p:last-child { margin-bottom: 0; }
.claim { border-left: 4px solid var(--mark); }
.claim p { margin: 0.3em 0 0; }
.claim .words { font-size: 1.05rem; }
.claim.untested { padding-block: 0.6rem; }
.top { display: flex; flex-wrap: wrap; gap: 0 0.8rem; align-items: baseline; }
.top .verdict { margin-left: auto; }
.number { font-weight: 700; text-decoration: none; }
.heading, .decided, .facts, .planned, .legend { color: var(--muted); font-size: 0.9rem; }
.decided { display: block; }
tfoot td { font-weight: 600; }
body:has(#tested:checked) .claim.untested { display: none; }
@media (max-width: 40rem) { .card, .evidence { grid-template-columns: minmax(0, 1fr); } }
"""
"""CSS for pages of cards and claims, beside the style of every page."""

# In both directions numbers come first, then words, then dashes and empty cells. The third press restores the order of
# the report.
_SCRIPT = """\
for (const table of document.querySelectorAll("table")) {
  if (!table.tBodies.length) continue;
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const keyed = (row, column) => {
    const text = row.cells[column].textContent.trim(), number = parseFloat(text.replace("\\u2212", "-"));
    return { text, number, rank: Number.isFinite(number) ? 0 : /[\\p{L}\\p{N}]/u.test(text) ? 1 : 2 };
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.setAttribute("aria-label", `column ${column + 1}`);
    head.append(button);
    button.addEventListener("click", () => {
      const order = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      heads.forEach(other => other.removeAttribute("aria-sort"));
      const sign = order === null ? 0 : order ? -1 : 1;
      if (sign) head.setAttribute("aria-sort", order || "ascending");
      const keys = new Map(rows.map(row => [row, keyed(row, column)]));
      body.append(...[...rows].sort((first, second) => {
        const a = keys.get(first), b = keys.get(second);
        return sign && (a.rank - b.rank || sign * (a.rank ? a.text.localeCompare(b.text) : a.number - b.number));
      }));
    });
  });
}
"""


def _line_break(state: StateInline, silent: bool) -> bool:
    match = re.compile(r"<br\s*/?>", re.IGNORECASE).match(state.src, state.pos)
    if match and not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end() if match else state.pos
    return bool(match)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable(["table", "strikethrough"])
    parser.inline.ruler.before("autolink", "line_break", _line_break)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return parser


def _table_open(renderer: RendererHTML, tokens: list[Token], index: int, options: OptionsDict, _: object) -> str:
    head = takewhile(lambda token: token.type != "tr_close", tokens[index:])
    if sum(token.type == "th_open" for token in head) > _FEW_COLUMNS:
        tokens[index].attrSet("class", "many")
    return f'<div class="scroll">\n{renderer.renderToken(tokens, index, options, {})}'


def _only_images(inline: Token) -> bool:
    kinds = {child.type for child in inline.children or () if child.type != "text" or child.content.strip()}
    return "image" in kinds and kinds <= {"image", "softbreak", "hardbreak"}


def _embed(image: Token, images: Mapping[str, bytes]) -> None:
    name = unquote(str(image.attrs["src"]))
    if name not in images:
        raise ValueError(f"the text shows the image {name!r}, which is not among: {', '.join(images) or 'none'}")
    image.attrSet("src", f"data:image/png;base64,{base64.b64encode(images[name]).decode()}")


def page(markdown_text: str, images: Mapping[str, bytes], title: str) -> str:
    """A whole HTML page that needs no other file and no network, from CommonMark with GitHub's tables.

    `images` holds PNG bytes by the name that the text gives them. Images in a paragraph without other text stand
    side by side where the page is wide enough. Headings have GitHub's anchors. A click on a column's name sorts a
    table, and a wide table scrolls in a box of its own. Links stay as they are. HTML in the text is shown as text,
    except `<br>`. Raises ValueError if the text shows an image that `images` lacks.
    """
    parser = _parser()
    tokens = parser.parse(markdown_text)
    seen: Counter[str] = Counter()
    for opening, inline in pairwise(tokens):
        for image in (child for child in inline.children or () if child.type == "image"):
            _embed(image, images)
        if opening.type == "paragraph_open" and _only_images(inline):
            opening.attrSet("class", "images")
        if opening.type == "td_open" and len(inline.content) > _FEW_LETTERS:
            opening.attrSet("class", "long")
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ())
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            opening.attrSet("id", f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
    return document(parser.renderer.render(tokens, parser.options, {}), title)


def inline(markdown_text: str) -> str:
    """A line of Markdown as HTML without a paragraph around it. HTML in the text is shown as text."""
    return _parser().renderInline(markdown_text)


def document(body: str, title: str, style: str = "") -> str:
    """A whole HTML page from the HTML of its body, which may show images that lie beside the page.

    `style` is CSS that this page has beside that of every page.
    """
    return _PAGE.substitute(title=escape(title), style=_STYLE + style, body=body, script=_SCRIPT)
