"""The site `experiments/results`: it opens as it lies, without a server or a network, on wide and narrow screens."""

import base64
import re
import shutil
import subprocess
from functools import cache
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
PAGES = sorted(path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.html"))
WIDTHS = (390, 1200)
PNG = b"\x89PNG\r\n\x1a\n"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no chromium or google-chrome to look at pages with")


class Reader(HTMLParser):
    """The links, the images and the anchors of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.images: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if "id" in values:
            self.anchors.add(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append((values["src"], values.get("alt") or ""))


@cache
def read(path: Path) -> Reader:
    return Reader(path)


def broken(page: Path, root: Path) -> list[str]:
    """The links and images of a page that lead nowhere, or out of the folder `root`.

    A link to another site is taken as it is; an image must be here.
    """
    lost = []
    for link in read(page).links:
        parts = urlsplit(link)
        if parts.scheme not in ("http", "https"):
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            here = not parts.scheme and target.is_file() and target.is_relative_to(root)
            if not here or (parts.fragment and unquote(parts.fragment) not in read(target).anchors):
                lost.append(link)
    for source, words in read(page).images:
        kind, _, data = source.partition(";base64,")
        path = (page.parent / unquote(source)).resolve()
        if kind == "data:image/png":
            shown = base64.b64decode(data)
        else:
            shown = path.read_bytes() if len(source) < 200 and path.is_file() and path.is_relative_to(root) else b""
        if not shown.startswith(PNG) or not words:
            lost.append(source[:80])
    return lost


def seen(pages: list[Path], folder: Path) -> tuple[dict[tuple[str, int], tuple[int, int]], list[str]]:
    """What a browser shows: by page and width, how wide the content and the window are; and what it complains of."""
    frames = "".join(
        f'<iframe width={width} height=800 src="{escape(page.as_uri())}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    script = """
      addEventListener("load", () => {
        for (const frame of document.querySelectorAll("iframe")) {
          const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
          const line = document.createElement("pre");
          line.textContent = ["measured", scrollWidth, clientWidth, frame.width, frame.src].join(" ");
          document.body.append(line);
        }
      });"""
    (folder / "frames.html").write_text(f"<!doctype html><body><script>{script}</script>{frames}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    options += ["--enable-logging=stderr", f"--user-data-dir={folder / 'browser'}"]
    done = subprocess.run(
        [str(BROWSER), *options, (folder / "frames.html").as_uri()], capture_output=True, text=True, timeout=120
    )
    lines = re.findall(r"<pre>measured (\d+) (\d+) (\d+) (.*?)</pre>", done.stdout)
    assert len(lines) == len(pages) * len(WIDTHS), f"the browser did not load every page: {done.stderr[-2000:]}"
    widths = {(unescape(page), int(width)): (int(content), int(window)) for content, window, width, page in lines}
    return widths, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def test_the_site_has_its_pages():
    assert {"index.html", "lectures.html", "bengio2006/report.html"} <= set(PAGES)
    assert "lectures.html" in read(RESULTS / "index.html").links
    assert "index.html" in read(RESULTS / "lectures.html").links
    assert all((RESULTS / name).stat().st_size < 400_000 for name in ("index.html", "lectures.html"))


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_every_image_is_there(name):
    assert broken(RESULTS / name, RESULTS) == []


def test_a_link_or_an_image_that_leads_nowhere_is_found(tmp_path):
    (tmp_path / "other.html").write_text('<p id="here">')
    (tmp_path / "text.png").write_text("no image")
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="other.html#here"></a><a href="https://example.org"></a><a href="other.html#gone"></a>'
        '<a href="gone.html"></a><a href="../"></a><a href="#gone"></a><a href="file:///etc/passwd"></a>'
        '<img src="gone.png" alt="x"><img src="https://example.org/a.png" alt="x"><img src="text.png" alt="x">'
        f'<img src="data:image/png;base64,{base64.b64encode(PNG).decode()}" alt="x">'
    )
    links = ["other.html#gone", "gone.html", "../", "#gone", "file:///etc/passwd"]
    assert broken(page, tmp_path) == [*links, "gone.png", "https://example.org/a.png", "text.png"]


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    return seen([RESULTS / name for name in PAGES], tmp_path_factory.mktemp("look"))


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways(look, name, width):
    content, window = look[0][(RESULTS / name).as_uri(), width]
    assert window > width - 30, "but for a scroll bar, the window is as wide as it should be"
    assert content <= window


@in_a_browser
def test_the_console_is_empty(look):
    assert look[1] == []


@in_a_browser
def test_a_wide_page_and_an_error_are_seen(tmp_path):
    page = tmp_path / "a page.html"
    page.write_text("<!doctype html><div style='width: 500px'>wide</div><script>missing()</script>")
    widths, complaints = seen([page], tmp_path)
    assert widths[page.as_uri(), 390][0] >= 500
    assert widths[page.as_uri(), 1200][0] <= 1200
    assert any("missing is not defined" in line for line in complaints)
