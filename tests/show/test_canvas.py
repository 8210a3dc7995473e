import io
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageColor

from dlx.show import canvas, figures
from dlx.show.figures import Bar


def size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("named", ["module://matplotlib_inline.backend_inline", "svg"])
def test_matplotlib_comes_whatever_backend_the_environment_names_and_takes_it_where_it_can(named):
    code = "import os; from dlx.show.canvas import import_matplotlib; import_matplotlib(); import matplotlib.figure\n"
    code += "print(os.environ['MPLBACKEND'], matplotlib.rcParams['backend'])"
    environment = os.environ | {"MPLBACKEND": named}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    kept, taken = done.stdout.split()
    assert kept == named
    assert taken == named or named != "svg"


def test_lines_are_broken_at_spaces_alone():
    assert canvas.wrap("deep, auto-associator pre-training", 21) == "deep, auto-associator\npre-training"
    assert canvas.wrap("deep, auto-associator pre-training", 20) == "deep,\nauto-associator\npre-training"


@pytest.mark.parametrize(("low", "top"), list(itertools.product([0.003, 0.1, 0.93, 1.2], [2.0, 4.7, 30.0])))
def test_ticks_are_a_few_round_numbers_within_the_axis(low, top):
    ticks = canvas.log_ticks(low, top)
    assert 3 <= len(ticks) <= 12
    assert low <= ticks[0]
    assert ticks[-1] <= top
    assert np.all(np.diff(ticks) > 0)
    assert all(len(f"{tick:.2e}".split("e")[0].rstrip("0.")) <= 3 for tick in ticks)
    assert len(canvas.log_ticks(low, top, 5)) <= 5


@pytest.mark.parametrize("limit", [200_000, 60_000, 35_000])
def test_a_small_png_still_tells_the_lines_apart(limit):
    rng = np.random.default_rng(0)
    runs = {f"row {i}": 5 + i + rng.normal(0, 0.5, (10, 30)) for i in range(5)}
    data = figures.png(figures.curves(runs, ylabel="y"), limit)
    assert len(data) <= limit
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image.convert("RGB"), int).reshape(-1, 3)
    for name in canvas.COLOURS[:5]:
        colour = np.array(ImageColor.getrgb(name))
        assert np.abs(pixels - colour).max(1).min() < 32, f"nothing is {name}"


def test_what_is_half_transparent_keeps_its_hue_in_a_file():
    rng = np.random.default_rng(0)
    figure = figures.curves({f"row {i}": 5 + 3 * i + rng.normal(0, 1, (10, 30)) for i in range(5)}, ylabel="y")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    with Image.open(drawn) as whole, Image.open(io.BytesIO(figures.png(figure))) as few:
        before, after = (np.asarray(image.convert("RGB"), int) for image in (whole, few))
    assert len(np.unique(after.reshape(-1, 3), axis=0)) <= 128
    assert np.quantile(np.abs(before - after).max(-1), 0.999) <= 16


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (20, "20"),
        (0.001, "0.001"),
        (2.5, "2.5"),
        (1e-5, "10⁻⁵"),
        (3e-10, "3·10⁻¹⁰"),
        (2e7, "2·10⁷"),
        (0, "0"),
        (-80, "-80"),
    ],
)
def test_a_number_is_plain_where_that_is_short(value, name):
    assert canvas.number(value) == name


def test_png_gives_up_sharpness_for_size_and_then_gives_up():
    figure = figures.bars([Bar("dbn", [1.2, 1.3, 1.4], 1.2, 1.4, 1.2)], xlabel="%")
    large = figures.png(figure)
    assert size(large)[0] == 6 * 100
    assert figures.png(figure) == large
    assert figures.png(figure, len(large)) == large
    small = figures.png(figure, len(large) - 1)
    assert len(small) < len(large)
    assert size(small) < size(large)
    with pytest.raises(ValueError, match="at most 100 are allowed"):
        figures.png(figure, 100)
