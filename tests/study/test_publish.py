"""What is published of a synthetic study: the files, the figures, and what is printed."""

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from synthetic import dataset, find, of_error, rates, record, row, runner_in

from dlx.show import figures as draw
from dlx.store import open_store
from dlx.study import figures
from dlx.study.declare.finding import Finding
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import ERRORS, Claim, Figure, Published, Study
from dlx.study.judge.table import missing, results, unfinished
from dlx.study.publish.publish import drawn, event_curves, fitted, publish
from dlx.study.run.plan import Search
from dlx.unit import Naming

NAMING = Naming({"main": "f" * 64}, CommonOptions().numerics())
PAPER = {"test/error": Published(10.0)}


def study(rows=(), **more):
    return Study("A title.\n\nWhat is asked.", lambda options: dataset(), lambda options, about: list(rows), **more)


@pytest.fixture
def published(tmp_path, capsys):
    """Publishes a study of rows and records; the folder, what was printed, and what went to stderr."""

    def run(rows, records, tensorboard=False, **more):
        store, folder = open_store(tmp_path / "runs", {}), open_store(tmp_path / "out", {})
        for unit, entry in records.items():
            store.save(NAMING.name(unit), entry, {"w": np.ones(2)} if entry["kept"] else None)
        page, options, there = study(rows, **more), CommonOptions(), runner_in(store).records
        found = find(rows, records, 2, load=there.load)
        content = results("page", "quick", "python -m page", found, page.metrics, page.claims)
        publish(page, found, content, missing(page, options, found), there, folder, tensorboard)
        return tmp_path / "out", *capsys.readouterr()

    return run


def two_rows(paper=PAPER):
    rows = [row("one", rates(0.1, 0.2), paper=paper, group="G"), row("two", group="G")]
    records = {rows[0].build(0, rate=rate).blinded(): record(rate) for rate in (0.1, 0.2)}
    records |= {rows[0].build(seed, rate=0.1): of_error(0.1 * seed) for seed in (1, 2)}
    records |= {rows[1].build(1): of_error(0.4, kept=True)}
    return rows, records


def test_all_files_are_written_and_the_table_is_printed(published):
    rows, records = two_rows()
    claim = Claim("It is so.", lambda found: Finding("holds", "by far"))
    folder, out, err = published(rows, records, figures={"bars.png": Figure(figures.bars(ERRORS[2]))}, claims=[claim])
    files = {path.name for path in folder.iterdir()}
    assert files == {"identity.json", "results.json", "records.tar.xz", "report.md", "report.html", "bars.png"}
    content = json.loads((folder / "results.json").read_text())
    assert content["experiment"] == "page"
    assert [entry["row"] for entry in content["rows"]] == ["one"] * 3 + ["two"] * 3
    text = (folder / "report.md").read_text()
    assert "### ✔ It is so.\n\n**holds**: By far." in text
    assert "![Bars](bars.png)" in text
    assert "- Not finished, by number of seeds: two (1 of 2)." in text
    html = (folder / "report.html").read_text()
    assert "<title>A title.</title>" in html
    assert html.count("data:image/png;base64,") == 1
    assert "G on MNIST" in out
    assert all(word in out for word in ("One", "Two", "10.00, 20.00", "40.00", "Not finished"))
    assert out.splitlines()[-1] == f"report: {folder / 'report.html'}"
    assert err == ""


def test_the_archive_has_every_record_once_and_what_was_kept(published, tmp_path):
    rows, records = two_rows()
    folder, _, _ = published([replace(row, keep=1) for row in rows], records)
    with tarfile.open(folder / "records.tar.xz") as tar:
        names = tar.getnames()
        tar.extractall(tmp_path / "again", filter="data")
    assert len(names) == len(set(names)) == 1 + len(records) + 1
    store = open_store(tmp_path / "again", {})
    for unit, entry in records.items():
        assert store.load(NAMING.name(unit)) == entry
    assert store.load_arrays(NAMING.name(rows[1].build(1)))["w"].tolist() == [1, 1]


def test_a_figure_that_raises_costs_only_itself_and_is_named_and_no_older_one_stays(published, tmp_path):
    def broken(found):
        raise KeyError("no such row")

    rows, records = two_rows()
    pages = {"broken.png": broken, "none.png": lambda found: None, "bars.png": figures.bars(ERRORS[2])}
    pages = {name: Figure(draw) for name, draw in pages.items()}
    (folder := tmp_path / "out").mkdir()
    open_store(folder, {})
    olds = ("broken.png", "broken-2.png", "bars-1.png", "mine-1.png")
    for old in olds:
        (folder / old).write_bytes(b"an older one")
    folder, out, err = published(rows, records, figures=pages)
    said = "broken.png could not be drawn: KeyError: 'no such row'"
    assert f"- {said}" in (folder / "report.md").read_text()
    assert said in out
    line = broken.__code__.co_firstlineno + 1
    assert err == f"warning: {said} (test_publish.py, line {line})\n"
    assert {path.name for path in folder.glob("*.png")} == {"bars.png", "mine-1.png"}
    assert "none.png" not in (folder / "report.md").read_text()


def test_several_figures_of_a_name_are_numbered():
    rows, records = two_rows()
    found = find(rows, records, 2)
    one = draw.curves({"a": np.ones((1, 3))}, ylabel="y")
    files, images, faults = drawn(
        study(
            figures={
                "a.png": Figure(lambda _: [one, one]),
                "b.png": Figure(lambda _: [one]),
                "c.png": Figure(lambda _: []),
            }
        ),
        found,
    )
    assert files == {"a.png": ["a-1.png", "a-2.png"], "b.png": ["b.png"], "c.png": []}
    assert list(images) == ["a-1.png", "a-2.png", "b.png"]
    assert all(image.startswith(b"\x89PNG") and len(image) <= 45_000 for image in images.values())
    assert not faults


def test_pictures_that_are_too_large_together_lose_sharpness_the_largest_first():
    rng = np.random.default_rng(0)
    originals = {f"{n}.png": draw.curves({"a": rng.normal(size=(2, n))}, ylabel="y") for n in (3, 300, 3000)}
    images = {name: draw.png(one) for name, one in originals.items()}
    sizes = {name: len(image) for name, image in images.items()}
    assert fitted(images, originals, sum(sizes.values())) == images
    most = sum(sizes.values()) - 2000
    fewer = fitted(images, originals, most)
    assert sum(map(len, fewer.values())) <= most
    largest, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    assert len(fewer[largest]) < sizes[largest]
    assert fewer[least] == images[least]
    assert set(fitted(images, originals, 1)) == set(images), "as small as can be"
    assert fitted({}, {}, 1) == {}


def test_beside_other_data_no_figure_of_the_paper_is_shown_and_that_is_said():
    rows, records = two_rows(paper={})
    page = two_rows()[0]
    said = "The paper's figures are for mnist and are not shown."
    (short,) = unfinished(find(rows, records, 2))
    for name, expected in (("digits", [said]), ("mnist", [])):
        found = find(rows, records, 2, {"main": dataset(name)})
        assert missing(study(page), CommonOptions(), found) == [short, *expected]
    assert missing(study(rows), CommonOptions(), find(rows, records, 2, {"main": dataset("digits")})) == [short]


def test_curves_of_every_run_are_written_for_tensorboard(published):
    rows, records = two_rows()
    folder, _, _ = published(rows, records, tensorboard=True)
    runs = {str(path.parent.relative_to(folder / "tensorboard")) for path in folder.rglob("*tfevents*")}
    assert runs == {"one/1", "one/2", "two/1"}
    curves = event_curves(find(rows, records, 2))
    assert curves["one/2"] == {"valid/score": [0.2, 0.1]}


def shown(about, keep):
    """The filters figure of rows that keep these weights, each in a group of its own name."""
    rows = [row(name, group=name) for name in keep]
    records = {one.build(seed): of_error(0.1, kept=seed == 2) for one in rows for seed in (1, 2)}
    weights = {one.build(2): {"filters": keep[one.name]} for one in rows}
    return lambda groups=(): figures.filters("filters", groups)(find(rows, records, 2, about, load=weights.__getitem__))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (2, 5, 3)])
def test_filters_are_images_of_the_datas_shape(shape):
    rng = np.random.default_rng(0)
    size = int(np.prod(shape))
    keep = {name: rng.normal(size=(size, 1)).astype(np.float16) for name in ("first", "second")}
    figure = shown({"main": dataset(shape=shape)}, keep)()
    drawn = {axes.get_title().splitlines()[0]: axes.images[0].get_array() for axes in figure.axes if axes.images}
    assert list(drawn) == ["First", "Second"]
    for name, picture in drawn.items():
        assert picture.shape == shape
        weights = np.asarray(keep[name.lower()], float).ravel()
        assert np.corrcoef(np.asarray(picture).ravel(), weights)[0, 1] > 0.95, "the same pixels, in other units"
    alone = shown({"main": dataset(shape=shape)}, keep)(("second",))
    assert [axes.get_title().splitlines()[0] for axes in alone.axes if axes.images] == ["Second"]


def test_rows_that_keep_nothing_have_no_filters():
    rows, records = two_rows()
    found = find(rows[:1], records, 2)
    assert figures.filters("filters")(found) is None


def test_figures_show_diverged_runs_and_the_papers_figure(monkeypatch):
    asked = {}
    monkeypatch.setattr(draw, "bars", lambda panel, **more: asked.setdefault(more["title"], (panel, more)))
    rows = [row("a", paper=PAPER, group="g"), row("b", group="h")]
    records = {rows[0].build(1): of_error(0.1), rows[0].build(2): of_error(0.9, diverged=True)}
    records |= {rows[1].build(seed): of_error(0.1 * seed) for seed in (1, 2)}
    figures.bars(ERRORS[2])(find(rows, records, 2))
    ((bar,), more), ((other,), _) = asked["g"], asked["h"]
    assert (bar.label, bar.values[0], bar.low, bar.high, bar.paper) == ("A", 10.0, None, None, 10.0)
    assert len(bar.values) == 2
    assert np.isnan(bar.values[1])
    assert more["bounds"] == (0, 100)
    assert other.paper is None
    assert other.low < other.values[0] == 10 < other.values[1] == 20 < other.high


def test_curves_are_scaled_and_drawn_by_group(monkeypatch):
    asked = {}
    monkeypatch.setattr(draw, "curves", lambda lines, **more: asked.setdefault(more["title"], (lines, more)))
    rows = [row("a", group="g"), row("b", group="h")]
    found = find(rows, {one.build(1): of_error(0.4) for one in rows}, 1)
    figures.curves("valid/score", "error %", 100, ("h",))(found)
    (lines, more) = asked.pop("h")
    assert not asked
    np.testing.assert_allclose(lines["B"], [[40, 20]])
    assert (more["ylabel"], more["xlabel"]) == ("error %", "epoch")
    assert len(figures.curves("valid/score", "error %")(found)) == 2


def test_the_search_figure_has_every_trial_of_its_group(monkeypatch):
    asked = []
    monkeypatch.setattr(draw, "scatter", lambda points, **more: asked.append((points, more)) or [])
    rows = [row("exp/a", rates(0.1, 0.2), group="g"), row("b", rates(0.3, 0.4), group="h"), row("c", rates(0.5))]
    trials = {(0, 0.1): 0.5, (0, 0.2): float("nan"), (1, 0.3): 0.7, (1, 0.4): 0.6}
    records = {rows[i].build(0, rate=rate).blinded(): record(score) for (i, rate), score in trials.items()}
    found = find(rows, records, 1)
    figures.search("error %", 100, group="g")(found)
    (points, more) = asked.pop()
    assert more == {"ylabel": "error %"}
    assert [(p.row, dict(p.hypers), p.chosen) for p in points] == [
        ("exp/a", {"rate": 0.1}, True),
        ("exp/a", {"rate": 0.2}, False),
    ]
    assert points[0].value == 50
    assert np.isnan(points[1].value)
    figures.search("error %", hypers=lambda name, trial: {name: trial["rate"] * 2})(found)
    assert [dict(p.hypers) for p in asked.pop()[0]] == [{"exp/a": 0.2}, {"exp/a": 0.4}, {"b": 0.6}, {"b": 0.8}]
    assert figures.search("error %", group="none")(found) == []


def test_of_a_search_by_halving_only_a_trial_trained_to_the_end_is_marked_as_chosen(monkeypatch):
    asked = []
    monkeypatch.setattr(draw, "scatter", lambda points, **more: asked.extend(points) or [])
    one = row("a", ({"epochs": 1, "rate": [0.1, 0.2]},))
    records = {one.build(0, rate=rate, epochs=1).blinded(): record(rate) for rate in (0.1, 0.2)}
    figures.search("error")(find([one], records, 1, search=Search(halving=True)))
    assert [(point.hypers["rate"], point.chosen) for point in asked] == [(0.1, False), (0.2, False), (0.1, True)]


def test_published_figures_are_images(published):
    rows, records = two_rows()
    folder, _, _ = published(rows, records, figures={"curves.png": Figure(figures.curves("valid/score", "error"))})
    with Image.open(io.BytesIO((folder / "curves.png").read_bytes())) as image:
        assert image.size[0] > 300
