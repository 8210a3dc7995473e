"""Lines over what differs between rows, and over the layers of nets: what is drawn is what the records say."""

import numpy as np
from synthetic import dataset, find, of_error, record, row

from dlx.show import canvas
from dlx.study import figures
from dlx.study.declare.page import Metric


def trained(errors, curve=()):
    """What is found of rows named group/depth/kind whose seeds have these test errors, and all this curve."""
    rows = []
    for name in errors:
        group, depth, kind = name.split("/")
        rows.append(row(name, group=group, at={"hidden layers": int(depth), **({"kind": kind} if kind else {})}))
    records = {
        one.build(seed): record(measures={"test": {"error": error}}, curves={"start": {"norm": list(curve)}})
        for one in rows
        for seed, error in enumerate(errors[one.name], 1)
    }
    return find(rows, records)


ERROR = Metric("test/error", "error %", 100)
PLACED = {"g/1/a": [0.1, 0.3], "g/20/a": [0.5, 0.7], "g/1/b": [0.2, 0.2], "g/1/": [0.4], "other/1/c": [0.9, 0.9]}


def test_a_metric_is_drawn_over_the_places_of_the_rows_line_by_line():
    figure = figures.lines(ERROR, x="hidden layers", line="kind", where={"kind": ["a", "b"]})(trained(PLACED))
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 20], [20, 60]])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[1, 20]])
    assert len(axes.lines) == 2
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == ("hidden layers", "error %", "log")
    assert figures.lines(ERROR, x="labels")(trained(PLACED)) is None, "no row has such an entry"


def test_without_a_line_rows_of_a_group_share_one_beside_functions_of_their_place():
    drawn = figures.lines(
        ERROR, x="hidden layers", where={"kind": "a"}, beside={"bound": lambda n: 100 / n}, log_x=False
    )
    (axes,) = drawn(trained(PLACED)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 20], [20, 60]])
    np.testing.assert_allclose(axes.lines[1].get_xydata(), [[1, 100], [20, 5]])
    assert axes.get_xscale() == "linear"


def test_there_is_a_panel_for_each_value_of_an_entry():
    drawn = figures.lines(ERROR, x="hidden layers", line="kind", panel="kind")(trained(PLACED))
    names = [figure.axes[0].get_xlabel() for figure in drawn]
    assert names == ["hidden layers, a kind", "hidden layers, b kind", "hidden layers, c kind"]
    np.testing.assert_allclose(drawn[0].axes[0].lines[0].get_xydata(), [[1, 20], [20, 60]])


def test_a_curve_over_layers_is_drawn_for_some_rows_and_groups_without_any_are_left_out():
    found = trained({"g/1/a": [0.1, 0.3], "g/20/a": [0.5, 0.7], "other/1/a": [0.9, 0.9]}, [1e-3, 1e-1])
    drawn = figures.profiles("start/norm", "norm", where={"hidden layers": 20}, scale=10)(found)
    ((axes,),) = [figure.axes for figure in drawn]
    ((line,),) = [axes.lines]
    np.testing.assert_allclose(line.get_xydata(), [[1, 1e-2], [2, 1]])
    assert (axes.get_xlabel(), axes.get_xscale(), axes.get_yscale()) == ("layer", "linear", "log")
    (figure,) = figures.profiles("start/norm", "norm", "rate", ("other",), places=(0.1, 3.0))(found)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xydata(), [[0.1, 1e-3], [3, 1e-1]])
    assert figure.axes[0].get_xscale() == "log"


def test_a_row_without_a_curve_is_left_out_of_its_figure_and_one_that_diverged_is_named():
    rows = [row(name, group=name.partition("/")[0]) for name in ("g/has", "g/lost", "g/none", "other/none")]
    told = {"has": {"score": [3.0, 2.0]}, "lost": {"score": [np.nan, np.nan]}, "none": {}}
    records = {one.build(1): record(curves={"valid": told[one.name.rpartition("/")[2]]}) for one in rows}
    (figure,) = figures.curves("valid/score", "error")(find(rows, records))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [name.partition(" ")[0] for name in names] == [
        rows[0].title.partition(" ")[0],
        rows[1].title.partition(" ")[0],
    ]
    assert [name.endswith("(diverged)") for name in names] == [False, True]


def test_runs_that_diverged_are_counted_at_their_place_in_lines_and_where_they_end_in_curves():
    rows = [row(f"g/{depth}", group="g", at={"depth": depth}) for depth in (1, 2)]
    records = {
        one.build(seed): record(
            measures={"test": {"error": np.nan if seed > end else 0.5}},
            curves={"valid": {"score": [3.0, 2.0, np.nan if seed > end else 1.0]}},
            diverged=seed > end,
        )
        for one, end in zip(rows, (3, 1), strict=True)
        for seed in (1, 2, 3)
    }
    found = find(rows, records)
    (axes,) = figures.lines(ERROR, x="depth")(found).axes
    assert [(mark.get_text(), mark.xy[0]) for mark in axes.texts] == [("✕ 2", 2)]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 50], [2, 50]])
    (figure,) = figures.curves("valid/score", "error")(found)
    assert [(mark.get_text(), mark.xy[0]) for mark in figure.axes[0].texts] == [("✕ 2", 3)]


def test_a_search_has_a_panel_a_row_or_an_entry_and_tells_patience_where_it_differs(monkeypatch):
    asked = []
    monkeypatch.setattr(figures.draw, "scatter", lambda points, **more: asked.append(points) or [])
    space = ({"rate": [0.1, 0.2], "epochs": [1, 2]},)
    rows = [row("a", space, at={"kind": "deep"}), row("b", space, group="rest")]
    trials = [{"rate": rate, "epochs": epochs} for rate in (0.1, 0.2) for epochs in (1, 2)]
    records = {one.build(0, **trial).blinded(): record(0.5) for one in rows for trial in trials}
    found = find(rows, records, 1)
    figures.search("error")(found)
    figures.search("error", panel="kind", marked="epochs")(found)
    rowwise, by_kind = asked
    assert {(point.row, point.panel, point.kind, *point.hypers) for point in rowwise} == {
        ("a", "A", "", "rate", "epochs"),
        ("b", "B", "", "rate", "epochs"),
    }
    assert {(point.row, point.panel, point.kind, *point.hypers) for point in by_kind} == {
        (name, panel, f"epochs {epochs}", "rate") for name, panel in (("a", "deep"), ("b", "rest")) for epochs in (1, 2)
    }


def test_over_many_decades_ticks_are_some_powers_of_ten():
    ticks = canvas.log_ticks(3e-18, 2.0)
    assert 3 <= len(ticks) <= 12
    np.testing.assert_allclose(np.log10(ticks), np.round(np.log10(ticks)))


def test_images_are_those_of_the_first_seed_that_kept_any(monkeypatch):
    one, about = row("a"), {"main": dataset()}
    records = {one.build(seed): of_error(0.1, kept=seed > 1) for seed in (1, 2, 3)}
    some = find([one], records, 3, about, load=lambda unit: {"images": np.full((1, 1, 4), unit.seed)})
    monkeypatch.setattr(figures.draw, "samples", lambda kept, shape: (kept, shape))
    kept, shape = figures.samples("images")(some)
    assert shape == (2, 2)
    np.testing.assert_array_equal(kept["A"], np.full((1, 1, 4), 2))
