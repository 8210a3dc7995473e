"""What all figures share: a panel, 6 inches wide so that a phone can show it, its legend, and its PNG.

matplotlib is used through its objects, never through global state. It is imported only when a figure is drawn.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 6.0
"""Inches."""
SMALL, MEDIUM, LARGE = 11, 12, 13
"""Sizes of fonts in points: ticks and legends, names of axes, titles."""
LINE = 0.21
"""Inches from a line of text to the next."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")  # Okabe and Ito
MARKERS = "os^Dv*P"
PALETTE = 128
"""So many colours has a file. With fewer, what is drawn half transparent gets hues of others."""
ACROSS = 8
"""So many numbers have room below an axis."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def import_matplotlib() -> None:
    """Import matplotlib, even if the environment names a backend for showing figures that is not installed here.

    A notebook hands its own on to the commands that it starts. Figures are never shown, so they need none.
    """
    named = os.environ.pop("MPLBACKEND", None) if "matplotlib" not in sys.modules else None
    import matplotlib

    if named is not None:
        os.environ["MPLBACKEND"] = named
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = named


def wrap(text: str, width: int) -> str:
    """The text in lines of at most `width` characters."""
    return textwrap.fill(text, width, break_on_hyphens=False)


def panel(height: float, xlabel: str, ylabel: str = "", title: str = "") -> tuple[Figure, Axes]:
    """A figure with one panel, `height` inches high without its title. An axis gets a grid if it has a name."""
    from matplotlib.figure import Figure

    title = wrap(title, 54)
    figure = Figure(figsize=(WIDTH, height + LINE * len(title.splitlines())), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=LARGE)
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, fontsize=MEDIUM)
    axes.set_ylabel(ylabel, fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both" if ylabel else "x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def legend(figure: Figure, keys: Sequence[Any], names: Sequence[str]) -> None:
    """Put a legend below the panel, in as few lines as fit; the figure grows by its height."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer, names = FigureCanvasAgg(figure).get_renderer(), [wrap(name, 58) for name in names]
    for lines in range(1, len(keys) + 1):
        columns = math.ceil(len(keys) / lines)
        drawn = figure.legend(keys, names, loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
        box = drawn.get_window_extent(renderer)
        if columns == 1 or box.width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
            break
        drawn.remove()


def log_ticks(low: float, top: float, most: int = 12) -> Float[np.ndarray, " _ticks"]:
    """At most so many round numbers between two positive ones, and at least two; beside each other few have room."""
    tens = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(top)) + 1)
    for steps in ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3)):
        ticks = np.outer(tens, steps).ravel()
        ticks = ticks[(low <= ticks) & (ticks <= top)]
        if len(ticks) <= most:
            return ticks if len(ticks) > 2 else _even_ticks(low, top, most)
    tens = tens[(low <= tens) & (tens <= top)]
    return tens[:: math.ceil(len(tens) / most)]


def _even_ticks(low: float, top: float, most: int) -> Float[np.ndarray, " _ticks"]:
    """Multiples of a round number from one end to the other, for ends so close that few powers lie between them."""
    size = 10.0 ** math.floor(math.log10((top - low) / min(most, 5)))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * min(most, 5) >= top - low)
    return step * np.arange(math.ceil(low / step), math.floor(top / step) + 1)


def number(value: float | int) -> str:
    """A number as an axis names it: plain if it is short, else with a power of ten."""
    if value == 0 or 0.001 <= abs(value) < 1e6:
        return f"{value:.6g}"
    digits, _, power = f"{value:.2e}".partition("e")
    digits = digits.rstrip("0").rstrip(".")
    return ("" if digits == "1" else f"{digits}·") + "10" + str(int(power)).translate(_RAISED)


def name_ticks(axis: Axis, low: float, top: float, most: int = 12) -> None:
    """Give a logarithmic axis `log_ticks` between these ends."""
    axis.set_ticks(log_ticks(low, top, most))
    axis.set_major_formatter(lambda value, position: number(value))
    axis.minorticks_off()


def png(figure: Figure, limit: int = 200_000) -> bytes:
    """The figure as a PNG of at most `limit` bytes, as sharp as that allows.

    Raises ValueError if even a coarse one is larger.
    """
    from PIL import Image

    packed = b""
    for dpi in (100, 90, 80, 70, 60):
        drawn, reduced = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
        with Image.open(drawn) as image:
            # Maximum coverage keeps the colours of thin lines, which the median cut merges.
            few = image.convert("RGB").quantize(PALETTE, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(reduced, "PNG", optimize=True)
        packed = reduced.getvalue()
        if len(packed) <= limit:
            return packed
    raise ValueError(f"the figure takes {len(packed)} bytes as a PNG at {dpi} dpi; at most {limit} are allowed")
