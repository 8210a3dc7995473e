import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dlx.show import figures

NAMES = ["DBN, RBM pre-training (CD-1)", "deep, auto-associator pre-training", "deep, supervised pre-training"]
NAMES += ["deep, no pre-training", "ours: deep, rectified units, He's initialisation, Adam"]


def picture(axes):
    (image,) = axes.images
    assert image.get_clim() == (0, 1)
    assert image.cmap(0.0)[:3] == (0, 0, 0), "the smallest weight is black"
    assert image.cmap(1.0)[:3] == (1, 1, 1)
    return np.asarray(image.get_array(), float)


def test_filters_are_the_units_of_largest_norm_in_order_on_a_symmetric_scale():
    # unit u has the norm 4, 3, 2, 1 or 0.5 times that of the pattern
    pattern = np.array([[1.0, -1.0, 0.5], [0.0, 1.0, -0.5]])
    factors = [1.0, -4.0, 2.0, 3.0, 0.5]
    weights = np.stack([factor * pattern.ravel() for factor in factors], 1)
    figure = figures.filters({"dbn": jnp.asarray(weights), "few": weights[:, :2]}, (2, 3), count=4)
    shown = picture(figure.axes[0])
    assert shown.shape == (2 * 2 + 1, 2 * 3 + 1)
    np.testing.assert_allclose(shown[:2, :3], 0.5 - 4 / 8 * pattern)
    np.testing.assert_allclose(shown[:2, 4:], 0.5 + 3 / 8 * pattern)
    np.testing.assert_allclose(shown[3:, :3], 0.5 + 2 / 8 * pattern)
    np.testing.assert_allclose(shown[3:, 4:], 0.5 + 1 / 8 * pattern)
    np.testing.assert_allclose([*shown[2], *shown[:, 3]], 1)
    assert [axes.get_title() for axes in figure.axes] == ["dbn\ngray 0, white 4", "few\ngray 0, white 4"]
    assert picture(figure.axes[1]).shape == (2, 2 * 3 + 1)


def test_filters_of_colour_images_have_gray_at_zero_and_a_channel_a_colour():
    red, dark, small = np.zeros((4, 2, 3)), np.full((4, 2, 3), -1.0), np.zeros((4, 2, 3))
    red[..., 0], small[0, 0, 2] = 2.0, 0.5
    weights = np.stack([image.ravel() for image in (dark, red, small)], 1)
    (axes,) = figures.filters({"c": weights}, (4, 2, 3), count=3).axes
    shown = picture(axes)
    assert shown.shape == (4, 3 * 2 + 2, 3)
    np.testing.assert_allclose(shown[:, :2], np.broadcast_to([1, 0.5, 0.5], (4, 2, 3)))
    np.testing.assert_allclose(shown[:, 3:5], 0.25)
    np.testing.assert_allclose(shown[0, 6], [0.5, 0.5, 0.625])
    np.testing.assert_allclose(shown[1:, 6:], 0.5)
    np.testing.assert_allclose(shown[:, [2, 5]], 1)
    assert axes.get_title() == "c\ngray 0, white 2"


def test_six_units_are_shown_unless_told_otherwise():
    shown = picture(figures.filters({"dbn": np.full((9, 50), -1.0)}, (3, 3)).axes[0])
    assert (shown == 0).sum() == 6 * 9


@pytest.mark.parametrize("shape", [(28, 28), (1, 400), (400, 1), (28, 56), (32, 32, 3), (10, 40, 3)])
@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5])
def test_filters_of_any_proportion_have_titles_that_do_not_overlap(shape, blocks, readable):
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(size=(int(np.prod(shape)), 40)) for name in NAMES[:blocks]}
    figure = figures.filters(groups, shape)
    readable(figure)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title().replace("\n", " ").split(" gray")[0] for axes in panels] == NAMES[:blocks]
    boxes = [axes.title.get_window_extent() for axes in panels]
    boxes += [axes.get_window_extent().shrunk(0.99, 0.99) for axes in panels]
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[:i])
    assert len({round(axes.get_window_extent().x0) for axes in panels}) <= 3
    assert figure.get_figheight() < 24


def test_filters_of_the_real_size_fit_into_a_file():
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(size=(784, 100)) for name in "abc"}
    data = figures.png(figures.filters(groups, (28, 28), count=36))  # noise compresses worst
    assert len(data) <= 200_000
    with Image.open(io.BytesIO(data)) as image:
        assert image.width == 600


def test_filters_that_diverged_or_are_zero_are_drawn():
    weights = np.ones((4, 3))
    weights[0, 2] = np.nan
    figure = figures.filters({"lost": weights, "zero": np.zeros((4, 3))}, (2, 2))
    assert figure.axes[0].get_title() == "lost\n(diverged)"
    assert (picture(figure.axes[0]) == 1).all()
    shown = picture(figure.axes[1])
    assert sorted(set(shown.ravel())) == [0.5, 1]
    assert (shown == 0.5).sum() == 3 * 4
    assert figures.png(figure)
    assert figures.png(figures.filters({"lost": weights}, (2, 2)))


@pytest.mark.parametrize(
    ("groups", "shape", "count", "said"),
    [
        ({"dbn": np.ones((6, 2))}, (2, 2), 6, r"dbn: 6 weights a unit do not fill an image of shape \(2, 2\)"),
        ({"dbn": np.ones((6, 2))}, (6,), 6, r"inputs of shape \(6,\) are no images"),
        ({"dbn": np.ones((6, 2))}, (), 6, "are no images"),
        ({"dbn": np.ones((8, 2))}, (2, 2, 2), 6, r"\(height, width\) or \(height, width, 3\)"),
        ({"dbn": np.ones((6, 2))}, (2, 3, 1), 6, "are no images"),
        ({"dbn": np.ones((6, 2))}, (0, 3), 6, "are no images"),
        ({"dbn": np.ones((6, 2))}, (2, 3), 0, "a count of at least 1"),
        ({}, (2, 3), 6, "at least one group"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(groups, shape, count, said):
    with pytest.raises(ValueError, match=said):
        figures.filters(groups, shape, count=count)


def test_samples_stand_in_rows_and_columns_as_they_are():
    images = np.linspace(0, 1, 2 * 3 * 4).reshape(2, 3, 4)
    figure = figures.samples({"PCD": images, "CD-1": jnp.asarray(images[:, :1])}, (2, 2))
    shown = picture(figure.axes[0])
    assert shown.shape == (2 * 2 + 1, 3 * 2 + 2)
    for down in range(2):
        for across in range(3):
            block = shown[3 * down : 3 * down + 2, 3 * across : 3 * across + 2]
            np.testing.assert_allclose(block.ravel(), images[down, across])
    np.testing.assert_allclose([*shown[2], *shown[:, 2]], 1)
    same = figures.samples({"PCD": np.round(255 * images).astype(np.uint8)}, (2, 2))
    np.testing.assert_allclose(picture(same.axes[0]), shown, atol=1 / 255)
    assert [axes.get_title() for axes in figure.axes] == ["PCD", "CD-1"]
    assert picture(figure.axes[1]).shape == (5, 2)


def test_samples_that_are_none_are_refused_in_words():
    with pytest.raises(ValueError, match="are no images"):
        figures.samples({"PCD": np.zeros((2, 2, 5))}, (5,))
    with pytest.raises(ValueError, match="no images to draw"):
        figures.samples({}, (2, 2))
