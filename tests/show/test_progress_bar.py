import io
import math
import re

import pytest

from dlx.show.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 seconds"),
        (0.3, "0 seconds"),
        (1.2, "1 second"),
        (45.0, "45 seconds"),
        (59.4, "59 seconds"),
        (59.6, "1 minute"),
        (89.0, "1 minute"),
        (91.0, "2 minutes"),
        (12 * 60.0, "12 minutes"),
        (59.6 * 60, "1 hour"),
        (3600.0, "1 hour"),
        (1.04 * 3600, "1 hour"),
        (3.5 * 3600, "3.5 hours"),
        (47.9 * 3600, "47.9 hours"),
        (47.96 * 3600, "2 days"),
        (1000.26 * 86400, "1000.3 days"),
        (math.inf, "an unknown time"),
        (math.nan, "an unknown time"),
    ],
)
def test_a_duration_in_words(seconds, words):
    assert duration(seconds) == words


class Terminal(io.StringIO):
    def isatty(self):
        return True


def frame(stream):
    """The last two lines that the bar has drawn, without control sequences."""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "")
    return text.rstrip("\n").split("\n")[-2:]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_terminal_shows_a_bar(clock, terminal):
    with Progress({"a": 1.0, "b": 3.0}, clock=clock, stream=terminal) as progress:
        progress.unit("a")
        clock.now += 30
        progress.done()
        progress.unit("b")
        progress("finetune", epochs=30)(4, 0.0132, True)
    first, second = frame(terminal)
    assert first.rstrip() == "━" * 6 + "╺" + "━" * 17 + "  2 of 2  30 seconds gone, 2 minutes left"
    assert second.rstrip() == "b  finetune  epoch 5/30  valid 1.32 %"
    assert "done in" not in terminal.getvalue()


@pytest.mark.parametrize(("columns", "bar"), [(80, 24), (50, 4)])
def test_a_narrow_terminal_cuts_no_number(clock, terminal, monkeypatch, columns, bar):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [f"deep, supervised pre-training, seed {i}" for i in range(340)]
    with Progress(dict.fromkeys(names, 30.0), clock=clock, stream=terminal) as progress:
        progress.unit(*names[:119])
        clock.now += 59 * 60
        progress.done()
        progress.plan({names[119]: 59 / 119 * 60 * 0.5} | dict.fromkeys(names[120:], 14.8))
        progress.unit(names[119])
        progress("layer 1 of 3", epochs=15)(11, 0.0132, True)
    first, second = frame(terminal)
    line = f"120 of 340  59 minutes gone, {duration(progress.left())} left"
    assert first.rstrip()[-len(line) :] == line
    assert set(first.rstrip()[: -len(line)].strip()) <= set("━╺╸")
    assert len(first.rstrip()) - len(line) == bar + 2
    assert second.rstrip().endswith("layer 1 of 3  epoch 12/15  valid 1.32 %")
    assert second.startswith("deep, su")
    assert len(second) <= columns


def test_a_very_narrow_terminal_has_no_bar(clock, terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "45")
    with Progress(dict.fromkeys(map(str, range(340)), 10.0), clock=clock, stream=terminal) as progress:
        progress.unit("7")
    assert [line.rstrip() for line in frame(terminal)] == ["1 of 340  0 seconds gone, 57 minutes left", "7"]


def test_a_bar_shows_the_share_of_the_time_and_what_is_said_stands_above_it(clock, terminal):
    with Progress({"a": 4.0}, clock=clock, stream=terminal) as progress:
        progress.unit("a")
        clock.now += 1
        progress.say("[deep] layers: " + "long " * 40)
    first, _ = frame(terminal)
    assert "━" * 6 + "╺" + "━" * 17 in first
    assert "[deep] layers: " + "long " * 40 in terminal.getvalue()
