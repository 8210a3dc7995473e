"""Figures of curves, filters, error bars and searches.

matplotlib is used through its objects, never through global state, and is imported only when a figure is asked for.
"""

from __future__ import annotations

import io
import math
import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from dlx.show.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Float[np.ndarray | jax.Array, "_seeds _epochs"]
Weights = Float[np.ndarray | jax.Array, "_visible _hidden"]

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")  # Okabe and Ito
_OURS, _PAPER = "#0072B2", "#C9C9C9"


class Bar(NamedTuple):
    """Our mean (None or NaN: diverged), its interval (None: no bounds), the paper's figure (None: none)."""

    label: str
    mean: float | None
    low: float | None
    high: float | None
    paper: float | None


class Point(NamedTuple):
    """A configuration of a row's search: its hyper-parameters (None: the row has no such one) and what it reached."""

    row: str
    hypers: Mapping[str, float | None]
    value: float | None
    """None or NaN: diverged."""
    chosen: bool = False


def _panels(
    names: Iterable[str], down: int, across: int, size: tuple[float, float], title: str, share: str = ""
) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.09, hspace=0.05))
    if title:
        figure.suptitle(title, fontsize=14)
    grid = figure.subplots(down, across, squeeze=False, sharex="x" in share, sharey="y" in share).ravel()
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(name, fontsize=13)
        axes.tick_params(labelsize=11)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    return figure, list(grid)


def _legend(figure: Figure, keys: Sequence[Any], names: Sequence[str]) -> None:
    """A legend below the panels, in as few lines as the figure is wide enough for."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    for lines in range(1, len(keys) + 1):
        columns = math.ceil(len(keys) / lines)
        legend = figure.legend(keys, names, loc="outside lower center", ncols=columns, fontsize=12, frameon=False)
        if columns == 1 or legend.get_window_extent(renderer).width <= figure.bbox.width:
            break
        legend.remove()


def _summary(runs: Runs) -> Float[np.ndarray, "3 _epochs"]:
    """Mean, smallest and largest over the runs still going; NaN where fewer than half of them are."""
    values = np.asarray(runs, np.float64)
    going = np.isfinite(values)
    count = going.sum(0)
    mean = values.sum(0, where=going) / np.maximum(count, 1)
    least, most = values.min(0, initial=np.inf, where=going), values.max(0, initial=-np.inf, where=going)
    return np.where((count > 0) & (2 * count >= len(values)), np.stack([mean, least, most]), np.nan)


def _log_ticks(low: float, top: float) -> Float[np.ndarray, " _ticks"]:
    """At most about a dozen round numbers between two positive ones."""
    tens = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(top)) + 1)
    ticks = np.empty(0)
    for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 3)):
        ticks = np.outer(tens, steps).ravel()
        ticks = ticks[(low <= ticks) & (ticks <= top)]
        if len(ticks) <= 12:
            break
    return ticks


def _log_axis(axes: Axes, summaries: Sequence[Float[np.ndarray, "3 _epochs"]]) -> None:
    """A logarithmic axis with plain numbers that shows where the lines end rather than where they start."""
    drawn = [summary[:, np.isfinite(summary[0])] for summary in summaries]
    values = np.concatenate([np.ravel(lines) for lines in drawn])
    end = max((lines[2, -1] for lines in drawn if lines.size), default=0.0)
    top = min(1.5 * end, 1.05 * values.max()) if end > 0 else 10.0
    low = max(0.93 * values[values > 0].min(initial=top / 2), top / 300)
    axes.set_ylim(low, top)  # before the scale, which would look for limits of its own
    axes.set_yscale("log", nonpositive="clip")
    axes.set_yticks(_log_ticks(low, top))
    axes.yaxis.set_major_formatter(lambda value, position: f"{value:.6g}")
    axes.minorticks_off()


def _named(row: str, panels: Mapping[str, Mapping[str, Runs]]) -> str:
    """The row's name, and the experiments in which none of its runs gave a finite value."""
    shown = [name for name, rows in panels.items() if row in rows]
    lost = [name for name in shown if not np.isfinite(np.asarray(panels[name][row])).any()]
    return f"{row} (diverged{'' if lost == shown else ': ' + ', '.join(lost)})" if lost else row


def curves(panels: Mapping[str, Mapping[str, Runs]], *, ylabel: str, xlabel: str = "epoch", title: str = "") -> Figure:
    """A panel per experiment; in it a line per row, the mean over seeds, in a band from best to worst seed.

    `panels` maps experiment and row to values [seeds, epochs] in the unit that `ylabel` names, NaN once a run
    has stopped. The mean is over the runs still going; a line ends where fewer than half of them are.
    """
    from matplotlib.ticker import MaxNLocator

    figure, grid = _panels(panels, 1, len(panels), (1.5 + 4.6 * len(panels), 5.2), title, share="y")
    names = list(dict.fromkeys(row for rows in panels.values() for row in rows))
    summaries, handles = [], {}
    for axes, rows in zip(grid, panels.values(), strict=True):
        for row, runs in rows.items():
            turn, index = divmod(names.index(row), len(_COLOURS))
            mean, least, most = summary = _summary(runs)
            epochs, colour = np.arange(1, len(mean) + 1), _COLOURS[index]
            (line,) = axes.plot(epochs, mean, ("-", "--", ":")[turn % 3], color=colour, linewidth=2)
            line.set(marker="os^Dv*P"[index], markevery=(index % 4, 4), markersize=6)
            handles[row] = line
            axes.fill_between(epochs, least, most, color=colour, alpha=0.2, linewidth=0)
            summaries.append(summary)
        axes.set_xlabel(xlabel, fontsize=12)
        axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10], integer=True))
        axes.grid(alpha=0.3)
    _log_axis(grid[0], summaries)
    grid[0].set_ylabel(ylabel, fontsize=12)
    _legend(figure, [handles[row] for row in names], [_named(row, panels) for row in names])
    return figure


def _tiles(weights: np.ndarray, image_shape: tuple[int, int], count: int) -> tuple[np.ndarray, float]:
    """The `count` units of largest norm in one picture, NaN in the gaps, and the scale that covers 99.5 %."""
    height, width = image_shape
    shown = weights[:, np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:count]]
    across = math.ceil(math.sqrt(shown.shape[1]))
    picture = np.full((math.ceil(shown.shape[1] / across) * (height + 2) - 2, across * (width + 2) - 2), np.nan)
    for unit, column in enumerate(shown.T):
        y, x = unit // across * (height + 2), unit % across * (width + 2)
        picture[y : y + height, x : x + width] = column.reshape(height, width)
    return picture, float(np.quantile(np.abs(shown), 0.995)) or 1.0


def filters(groups: Mapping[str, Weights], image_shape: tuple[int, int], *, count: int = 36, title: str = "") -> Figure:
    """A block per row: the incoming weights of its `count` units of largest norm, each as an image.

    Every block has its own gray scale, symmetric about zero and stated under its name. Raises ValueError if
    the weights [visible, hidden] do not fill an image of shape (height, width).
    """
    import matplotlib

    across = 2 if len(groups) == 4 else min(len(groups), 3)
    down = math.ceil(len(groups) / max(across, 1))
    side = math.ceil(math.sqrt(count))
    tall = 3.2 * math.ceil(count / side) / side + 0.8
    figure, grid = _panels(groups, down, across, (3.6 * across, tall * down + 0.4), title)
    gray = matplotlib.colormaps["gray"].with_extremes(bad="white")
    for axes in grid:
        axes.set_axis_off()
    for axes, (name, group) in zip(grid, groups.items(), strict=False):
        weights = np.asarray(group, np.float64)
        if len(weights) != math.prod(image_shape):
            raise ValueError(f"{name}: {len(weights)} weights a unit do not fill {image_shape}")
        if not np.isfinite(weights).all():
            axes.set_title(f"{name}\n(diverged)", fontsize=13)
            continue
        picture, scale = _tiles(weights, image_shape, count)
        axes.imshow(picture, gray, vmin=-scale, vmax=scale, interpolation="nearest")
        axes.set_title(f"{textwrap.fill(name, 36, break_on_hyphens=False)}\nblack to white: ±{scale:.2g}", fontsize=12)
    return figure


def bars(panels: Mapping[str, Sequence[Bar]], *, ylabel: str, title: str = "") -> Figure:
    """A panel per experiment: each row's bar and interval above the paper's; `ylabel` names the values."""
    from matplotlib.patches import Patch

    labels = {tuple(bar.label for bar in panel) for panel in panels.values()}
    size = 1.5 + 4.6 * len(panels), 1.8 + 0.72 * max(map(len, panels.values()), default=1)
    figure, grid = _panels(panels, 1, len(panels), size, title, share="xy" if len(labels) == 1 else "x")
    compared = any(bar.paper is not None for panel in panels.values() for bar in panel)
    for axes, panel in zip(grid, panels.values(), strict=True):
        for y, bar in enumerate(panel):
            _bar(axes, y, bar)
        axes.set_yticks(
            range(len(panel)), [textwrap.fill(bar.label, 28, break_on_hyphens=False) for bar in panel], fontsize=12
        )
        axes.set_ylim(len(panel) - 0.4, -0.6)
        axes.set_xlabel(ylabel, fontsize=12)
        axes.grid(axis="x", alpha=0.3)
    values = [v for panel in panels.values() for bar in panel for v in (bar.mean, bar.high, bar.paper) if v]
    grid[0].set_xlim(0, 1.6 * max(filter(math.isfinite, values), default=1))
    keys = [Patch(color=_OURS, label="ours, with 95 % interval of the mean")]
    keys += [Patch(color=_PAPER, label="paper")] * compared
    _legend(figure, keys, [str(key.get_label()) for key in keys])
    return figure


def _bar(axes: Axes, y: int, bar: Bar) -> None:
    ours = y if bar.paper is None else y - 0.19
    text: dict[str, Any] = {"va": "center", "fontsize": 11, "xytext": (4, 0), "textcoords": "offset points"}
    if bar.mean is None or not math.isfinite(bar.mean):
        axes.annotate("diverged", (0, ours), style="italic", **text)
    else:
        axes.barh(ours, bar.mean, 0.36, color=_OURS)
        if bar.low is not None and bar.high is not None:
            sides = [[bar.mean - bar.low], [bar.high - bar.mean]]
            axes.errorbar(bar.mean, ours, xerr=sides, color="black", capsize=4, linewidth=1.5)
        axes.annotate(percent(bar.mean, bar.low, bar.high), (max(bar.mean, bar.high or 0), ours), **text)
    if bar.paper is not None:
        axes.barh(y + 0.19, bar.paper, 0.36, color=_PAPER)
        plain = f"{bar.paper:.1f}"
        axes.annotate(plain if float(plain) == bar.paper else f"{bar.paper:g}", (bar.paper, y + 0.19), **text)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


class _Heights(NamedTuple):
    """Where values are drawn: on a logarithmic axis from `low` to `top`, and on two levels above it."""

    low: float
    top: float
    above: float
    diverged: float
    end: float

    def __call__(self, value: float | None) -> float:
        if value is None or not math.isfinite(value):
            return self.diverged
        return self.above if value > self.top else max(value, self.low)


def _heights(points: Sequence[Point]) -> _Heights:
    """An axis on which the rows' best values are well apart: values beyond four times a typical best share a level."""
    best: dict[str, float] = {}
    for row, _, value, _ in points:
        if value is not None and math.isfinite(value):
            best[row] = min(value, best.get(row, math.inf))
    values = np.array([point.value for point in points if _finite(point.value)])
    typical = statistics.median_low(best.values()) if best else 0.0
    top = 1.05 * (values[values <= 4 * typical] if typical > 0 else values).max(initial=0) or 10.0
    low = max(0.93 * values[values > 0].min(initial=top / 1.5), top / 300)
    some = [(values > top).any(), len(values) < len(points)]
    levels = 0.07 * np.cumsum([*some, 0.5 * any(some)])
    return _Heights(low, top, *(top * (top / low) ** levels).tolist())


def _beside(lanes: Sequence[tuple[Any, float]]) -> list[float]:
    """The positions of (lane, position), moved sideways so that the lanes which share one stand side by side."""
    sharing: dict[float, list[Any]] = {}
    for place in sorted({position for _, position in lanes}):
        sharing[place] = sorted({lane for lane, position in lanes if position == place})
    places = list(sharing)
    span = (places[-1] - places[0]) or 1.0
    gaps = [span, *np.diff(places).tolist(), span]
    steps = {
        place: min(0.03 * span, min(0.24 * span, 0.7 * left, 0.7 * right) / len(sharing[place]))
        for place, left, right in zip(places, gaps, gaps[1:], strict=False)
    }
    return [x + steps[x] * (sharing[x].index(lane) - (len(sharing[x]) - 1) / 2) for lane, x in lanes]


def _hyper_axis(axes: Axes, values: Sequence[float]) -> bool:
    """Prepare a panel's horizontal axis; whether it is logarithmic."""
    places = sorted(set(values))
    log = places[0] > 0 and places[-1] > 4 * places[0]
    scale = math.log10 if log else float
    ends = scale(places[0]), scale(places[-1])
    span = (ends[1] - ends[0]) or 1.0
    margin = 0.16 * span if len(places) > 1 else 0.5
    low, high = ends[0] - margin, ends[1] + margin
    axes.set_xlim(*((10**low, 10**high) if log else (low, high)))
    if log:
        axes.set_xscale("log")
    ticks: list[float] = []
    for tick in places if len(places) <= 10 else _log_ticks(places[0], places[-1]).tolist() if log else []:
        if not ticks or scale(tick) - scale(ticks[-1]) >= 0.1 * span:
            ticks.append(tick)
    if ticks:
        axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(lambda value, position: f"{value:.6g}")
    axes.minorticks_off()
    return log


def scatter(points: Sequence[Point], *, ylabel: str, title: str = "") -> Figure:
    """A panel per hyper-parameter of a search: what each configuration reached, in the unit that `ylabel` names.

    Colour and marker tell the row, a ring the chosen configuration, and points that would hide each other at a value
    of the hyper-parameter stand side by side. Diverged runs are crosses along the top edge; values far above the
    rows' best share a level below them, so that these stay apart. Where the values of a hyper-parameter are positive
    and more than a factor of 4 apart, its axis is logarithmic. Raises ValueError without any hyper-parameter.
    """
    from matplotlib.lines import Line2D

    known = {name: None for point in points for name, value in point.hypers.items() if value is not None}
    if not known:
        raise ValueError("no point has a hyper-parameter to be drawn against")
    rows = list(dict.fromkeys(point.row for point in points))
    styles = {row: (_COLOURS[i % 7], "os^Dv*P"[(i + i // 7) % 7]) for i, row in enumerate(rows)}
    across = 2 if len(known) == 4 else min(len(known), 3)
    down = math.ceil(len(known) / across)
    figure, grid = _panels([""] * len(known), down, across, (1.5 + 4.3 * across, 1.2 + 4 * down), title, share="y")
    heights = _heights(points)
    for axes, name in zip(grid, known, strict=False):
        shown = [(point, float(x)) for point in points if (x := point.hypers.get(name)) is not None]
        log = _hyper_axis(axes, [x for _, x in shown])
        seen: Counter[tuple] = Counter()
        lanes = []
        for point, x in shown:
            same = point.row, x, heights(point.value)
            lanes.append(((rows.index(point.row), seen[same]), math.log10(x) if log else x))
            seen[same] += 1
        for (point, _), x in zip(shown, _beside(lanes), strict=True):
            colour, marker = styles[point.row]
            place = [10**x if log else x], [heights(point.value)]
            axes.plot(*place, marker if _finite(point.value) else "x", color=colour, markersize=7, alpha=0.85)
            if point.chosen:
                axes.plot(*place, "o", color="black", fillstyle="none", markersize=14, gid="chosen")
        axes.axhspan(heights.top, heights.end, color="black", alpha=0.06, linewidth=0)
        axes.set_xlabel(name, fontsize=12)
        axes.grid(alpha=0.3)
    for axes in grid[len(known) :]:
        axes.set_axis_off()
    levels = {heights.above: f"above {heights.top:.2g}"} if heights.above > heights.top else {}
    levels |= {heights.diverged: "diverged"} if heights.diverged > heights.above else {}
    ticks = _log_ticks(heights.low, heights.top)
    for axes in grid[::across]:
        axes.set_ylabel(ylabel, fontsize=12)
    grid[0].set_ylim(heights.low, heights.end)
    grid[0].set_yscale("log")
    grid[0].set_yticks([*ticks, *levels], [*(f"{tick:.6g}" for tick in ticks), *levels.values()])
    for axes in grid:
        axes.yaxis.minorticks_off()
    keys = [Line2D([], [], color=c, marker=m, linestyle="", markersize=8) for c, m in styles.values()]
    keys.append(Line2D([], [], color="black", marker="o", linestyle="", fillstyle="none", markersize=13))
    _legend(figure, keys, [*rows, "chosen"])
    return figure


def png(figure: Figure, limit: int = 200_000) -> bytes:
    """The figure as a PNG of at most `limit` bytes, as sharp as that allows.

    Raises ValueError if even a coarse one is larger.
    """
    settings, image = ((200, 256), (160, 256), (130, 256), (110, 256), (90, 256), (90, 64), (72, 64), (72, 16)), None
    low, high = 0, len(settings)
    while low < high:  # the first setting that fits, by bisection
        middle = (low + high) // 2
        drawn = _drawn(figure, *settings[middle])
        if len(drawn) <= limit:
            image, high = drawn, middle
        else:
            smallest, low = len(drawn), middle + 1
    if image is None:
        raise ValueError(f"the figure takes {smallest} bytes as a PNG at 72 dpi; at most {limit} are allowed")
    return image


def _drawn(figure: Figure, dpi: int, colours: int) -> bytes:
    """The figure as a PNG of so many colours."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    with Image.open(drawn) as image:
        # Maximum coverage keeps the colours of thin lines, which the median cut merges.
        few = image.convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(packed, "PNG", optimize=True)
    return packed.getvalue()
