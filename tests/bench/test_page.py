"""The seconds of an epoch of a page's rows, measured on a clock of the test's own."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from dlx.bench import page, timing
from dlx.data import of_arrays
from dlx.programs import Rate
from dlx.study.declare.page import Row, Study
from dlx.sweep import Sweep
from dlx.types import Data, Labelled
from dlx.unit import Result, Unit

NOW = SimpleNamespace(seconds=0.0, calls=0)
SPLIT = Labelled(np.zeros((4, 1, 2), np.uint8), np.zeros(4, np.int32))
DATASET = of_arrays("kmnist", Data(SPLIT, SPLIT, SPLIT), classes=10)


@dataclass(frozen=True)
class Ticking:
    """Each epoch takes so many seconds on the clock, and 5 are spent before the first."""

    cost: float
    epochs: int = 40

    def __call__(self, key, hypers, given, data, progress):
        return {}, Result(hypers.rate * (5 + self.cost * self.epochs))


class Watched(Sweep):
    """A sweep that tells the clock what its runs at the rate .5 have found."""

    def __call__(self, key, varied, data):
        out = super().__call__(key, varied, data)
        NOW.seconds += 2 * float(out[1].score[0])
        NOW.calls += 1
        return out


@dataclass(frozen=True)
class Timeless:
    """A program without epochs."""

    cost: float

    def __call__(self, key, hypers, given, data, progress):
        return {}, Result(0.0)


@dataclass(frozen=True)
class OnHost(Timeless):
    """A program that is not compiled."""

    epochs: int = 3
    host = True


def timed(name, program, given=(), space=({"rate": [0.5, 0.25]},)):
    return Row(name, name.title(), lambda seed, rate=0.5: Unit(program, Rate(rate), given, seed), space)


@pytest.fixture
def study(monkeypatch):
    """A study of which two rows share a program, and others have nothing to be timed; what it is asked for."""
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: NOW.seconds))
    monkeypatch.setattr(page, "Sweep", Watched)
    asked = []

    def rows(options, about):
        asked.append((options.preset, options.data))
        return [
            timed("slow", Ticking(2.0)),
            timed("quick", Ticking(0.125)),
            timed("alike", Ticking(2.0), space=({},)),
            timed("timeless", Timeless(1.0)),
            timed("host", OnHost(1.0)),
            timed("above", Ticking(3.0), given=(Unit(Timeless(1.0), Rate(0.5)),)),
        ]

    return Study("Title.", lambda options: DATASET, rows), asked


def test_seconds_of_an_epoch_are_measured_of_every_program_that_has_epochs_and_starts_anew(study):
    declared, asked = study
    said = []
    seconds = page.measure_page(declared, "kmnist", 3, said.append)
    assert asked == [("paper", "kmnist")]
    assert seconds["data"] == "kmnist"
    assert list(seconds["rows"]) == ["slow", "quick", "alike"]
    np.testing.assert_allclose(
        [seconds["rows"][name] for name in ("slow", "quick", "alike")], [[2] * 3, [0.125] * 3, [2] * 3]
    )
    assert said == ["compiling slow", "compiling quick", *(f"measuring, {turn} of 3" for turn in (1, 2, 3))]


def test_a_row_that_shares_a_program_is_not_run_again(study):
    declared, _ = study
    NOW.calls = 0
    page.measure_page(declared, None, 2, lambda text: None)
    assert NOW.calls == 2 * 2 * (1 + 2), "two programs of one and of three epochs, to compile and twice to measure"
