"""Which links and images of HTML pages lead nowhere."""

import base64
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

PNG = b"\x89PNG\r\n\x1a\n"


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
