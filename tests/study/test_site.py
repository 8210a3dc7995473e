"""The site `experiments/results`: it opens as it lies, without a server or a network, on wide and narrow screens."""

import base64
import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from links import PNG, broken, read

from dlx.study.publish.index import write_pages
from dlx.study.publish.ledger import read_lectures
from experiments.__main__ import FOLDER

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
PAGES = sorted(path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.html"))
WIDTHS = (390, 1200)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no chromium or google-chrome to look at pages with")


def browse(script: str, frames: str, folder: Path) -> tuple[list[str], list[str]]:
    """The lines that a script tells once these frames are loaded, and what the browser complains of."""
    page = folder / "frames.html"
    told = """
      const tell = (...words) => {
        const line = document.createElement("pre");
        line.textContent = "told " + words.join(" ");
        document.body.append(line);
      };"""
    script = f"{told}\naddEventListener('load', async () => {{{script}}});"
    page.write_text(f"<!doctype html><body><script>{script}</script>{frames}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    options += ["--enable-logging=stderr", f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=10000"]
    done = subprocess.run([str(BROWSER), *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    lines = [unescape(line) for line in re.findall(r"<pre>told (.*?)</pre>", done.stdout)]
    assert lines, f"the browser did not load the pages: {done.stderr[-2000:]}"
    return lines, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def seen(pages: list[Path], folder: Path) -> tuple[dict[tuple[str, int], tuple[int, int, str]], list[str]]:
    """What a browser shows by page and width, and what it complains of.

    It is how wide the content and the window are, and the first element beyond the right edge, but for those in boxes
    that scroll.
    """
    frames = "".join(
        f'<iframe width={width} height=800 src="{escape(page.as_uri())}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    script = """
      for (const frame of document.querySelectorAll("iframe")) {
        const { scrollWidth, clientWidth } = frame.contentDocument.documentElement;
        const beyond = [...frame.contentDocument.querySelectorAll("body *")].find(element =>
          !element.closest(".scroll, pre") && element.getBoundingClientRect().right > clientWidth + 0.5);
        tell(scrollWidth, clientWidth, beyond?.tagName ?? "none", frame.width, frame.src);
      }"""
    lines, complaints = browse(script, frames, folder)
    assert len(lines) == len(pages) * len(WIDTHS)
    told = [line.split(" ", 4) for line in lines]
    widths = {(page, int(width)): (int(content), int(window), beyond) for content, window, beyond, width, page in told}
    return widths, complaints


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
def site(tmp_path_factory) -> list[Path]:
    """The pages of experiments and of lectures, made again from the committed outcomes."""
    return write_pages(RESULTS, FOLDER / "claims.toml", tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def look(site, tmp_path_factory):
    return seen([*(RESULTS / name for name in PAGES), *site], tmp_path_factory.mktemp("look"))


@in_a_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*PAGES, "the index made again", "the lectures made again"])
def test_no_page_scrolls_sideways_and_nothing_is_cut(look, site, name, width):
    page = dict(zip(("the index made again", "the lectures made again"), site, strict=True)).get(name, RESULTS / name)
    content, window, beyond = look[0][page.as_uri(), width]
    assert window > width - 30, "but for a scroll bar, the window is as wide as it should be"
    assert content <= window
    assert beyond == "none"


@in_a_browser
def test_the_console_is_empty(look):
    assert look[1] == []


@in_a_browser
def test_a_wide_page_and_an_error_are_seen(tmp_path):
    page = tmp_path / "a page.html"
    page.write_text("<!doctype html><div style='width: 500px'>wide</div><script>missing()</script>")
    widths, complaints = seen([page], tmp_path)
    assert widths[page.as_uri(), 390][0] >= 500
    assert widths[page.as_uri(), 390][2] == "DIV"
    assert widths[page.as_uri(), 1200][0] <= 1200
    assert widths[page.as_uri(), 1200][2] == "none"
    assert any("missing is not defined" in line for line in complaints)


CLAIMS = {claim.number: claim for lecture in read_lectures(FOLDER / "claims.toml") for claim in lecture.claims}
CHOICES = [
    {},
    {"words": "dropout"},
    {"words": "DROPOUT pre-training"},
    {"words": "no such word"},
    {"verdict": "untested"},
    {"lecture": "D", "verdict": "untested"},
    {"lecture": "E", "words": "layer"},
]
"""What a reader fills into the form."""


def matches(number: str, words: str, choice: dict[str, str], verdict: str) -> bool:
    """Whether a claim of this text and verdict is what a reader asked for."""
    wanted = choice.get("words", "").lower().split()
    there = {"lecture": number[0], "verdict": "untested" if verdict == "not tested yet" else "tested"}
    return all(word in words for word in wanted) and all(there[key] == choice[key] for key in choice if key in there)


@in_a_browser
def test_filters_and_search_leave_the_claims_that_match(site, tmp_path):
    lectures = site[1]
    script = f"""
      const frame = document.querySelector("iframe"), page = frame.contentDocument;
      const form = page.getElementById("filter");
      const visible = () => [...page.querySelectorAll(".claim")].filter(claim => claim.checkVisibility());
      tell(JSON.stringify(Object.fromEntries([...page.querySelectorAll(".claim")].map(claim =>
        [claim.id, [claim.textContent.toLowerCase(), claim.querySelector(".top .verdict").innerText]]))));
      for (const choice of {json.dumps(CHOICES)}) {{
        form.reset();
        for (const name in choice) form.elements[name].value = choice[name];
        form.dispatchEvent(new Event("input"));
        await new Promise(resolve => setTimeout(resolve, 10));
        tell(JSON.stringify([form.elements.found.textContent, visible().map(claim => claim.id)]));
      }}
      frame.contentWindow.location.hash = "A1";
      await new Promise(resolve => setTimeout(resolve, 200));
      tell(visible().length);"""
    frames = f'<iframe width=390 height=800 src="{escape(lectures.as_uri())}"></iframe>'
    (texts, *found, after), complaints = browse(script, frames, tmp_path)
    known = {number: (text, verdict[2:]) for number, (text, verdict) in json.loads(texts).items()}
    assert list(known) == list(CLAIMS)
    numbers = [json.loads(line) for line in found]
    for choice, (told, shown) in zip(CHOICES, numbers, strict=True):
        expected = [
            number
            for number, (text, verdict) in known.items()
            if matches(number, f"{number.lower()} {text}", choice, verdict)
        ]
        assert shown == expected, choice
        assert told == f"{len(shown)} of {len(known)} claims"
    assert [len(shown) for _, shown in numbers][:4] == [len(CLAIMS), len(numbers[1][1]), len(numbers[2][1]), 0]
    assert len(CLAIMS) > len(numbers[1][1]) > len(numbers[2][1]) > 0
    assert after == str(len(CLAIMS)), "a link to a claim that is filtered out shows it"
    assert complaints == []


@in_a_browser
def test_verdicts_can_be_hidden_until_they_are_guessed_and_guesses_are_counted_and_kept(site, tmp_path):
    script = """
      const frame = document.querySelector("iframe");
      const wait = () => new Promise(resolve => setTimeout(resolve, 200));
      const page = () => frame.contentDocument;
      const of = css => page().querySelector(`.claim.${css}`);
      const score = () => page().getElementById("guess").elements.score.textContent;
      const hidden = () => [...page().querySelectorAll(".claim:not(.untested) :is(.verdict, .evidence)")]
        .filter(part => !part.checkVisibility()).length;
      const guess = (claim, word) => [...claim.querySelectorAll(".guess button")]
        .find(button => button.textContent === word).click();
      tell(hidden(), of("holds").querySelector(".guess").checkVisibility());
      page().querySelector("#guess [name=first]").click();
      const all = page().querySelectorAll(".claim:not(.untested) :is(.verdict, .evidence)").length;
      tell(hidden() === all, page().getElementById("filter").elements.verdict.disabled, score());
      guess(of("holds"), "yes");
      tell(of("holds").querySelector(".top .verdict").checkVisibility(), of("holds").querySelector(".guess").innerText);
      tell(score());
      guess(of("fails"), "yes");
      guess(of("open"), "cannot tell");
      guess(of("partly"), "no");
      tell(score());
      page().querySelector("#guess [name=first]").click();
      tell(hidden(), page().getElementById("filter").elements.verdict.disabled);
      frame.contentWindow.location.reload();
      await wait();
      tell(score());
      page().querySelector("#guess [name=forget]").click();
      tell(score(), JSON.stringify(frame.contentWindow.localStorage.getItem("dlx guesses")));"""
    frames = f'<iframe width=390 height=800 src="{escape(site[1].as_uri())}"></iframe>'
    told, complaints = browse(script, frames, tmp_path)
    assert told == [
        "0 false",
        "true true No guess so far.",
        "true You said: yes.",
        "Right: 1 of 1.",
        "Right: 2 of 3. Not counted, as they hold partly: 1.",
        "0 false",
        "Right: 2 of 3. Not counted, as they hold partly: 1.",
        'No guess so far. "{}"',
    ]
    assert complaints == []
