"""What a running experiment tells its user: the unit at work, its epoch and score, and the time left.

On a terminal this is a bar that redraws itself; anywhere else it is an occasional line on stderr.
"""

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TextIO

EVERY = 10.0
"""Seconds between two plain lines within a unit."""


class _Steady:
    """A text stream that falls silent when its reader is gone, so that a closed terminal never stops a run."""

    def __init__(self, stream: TextIO):
        self._stream, self._open = stream, True
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def _attempt(self, action: Callable[[], Any]) -> None:
        if self._open:
            try:
                action()
            except (OSError, ValueError):  # ValueError: the stream was closed in this process
                self._open = False

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        return self._stream.isatty()


@dataclass(frozen=True)
class _Report:
    """A report of one stage; equal ones compare equal, so that they can key a cache of compiled functions."""

    progress: "Progress"
    stage: str
    epochs: int
    percent: bool

    def __call__(self, epoch: Any, score: Any, active: Any) -> None:
        if active:
            self.progress._update(self, int(epoch), float(score))

    def describe(self, epoch: int, score: float) -> str:
        """The stage, the epoch counted from 1 and the validation score."""
        value = f"{100 * score:.2f} %" if self.percent else f"{score:.4g}"
        return f"{self.stage}  epoch {epoch + 1}/{self.epochs}  valid {value}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))


class Progress:
    """Follows an experiment through its units, given as names with relative costs; a context manager.

    `unit` begins one, `done` ends it, and the functions that `report` makes tell of the epochs of the current unit.
    Those may be called from any thread, and from compiled code that outlives the unit it was compiled in.
    """

    def __init__(
        self,
        units: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.monotonic,
        stream: TextIO | None = None,
    ):
        self._units, self._clock = dict(units), clock
        self._stream = _Steady(sys.stderr if stream is None else stream)
        self._lock, self._live = threading.Lock(), None
        self._finished: dict[str, float] = {}
        self._name: str | None = None
        self._stage, self._epoch, self._score = None, -1, math.nan
        self._start = self._unit_start = self._printed = clock()

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.live import Live

        self._start = self._unit_start = self._printed = self._clock()
        console = Console(file=self._stream)
        if self._stream.isatty() and console.is_interactive:
            # prints to a terminal go above the bar, but prints to a pipe must stay in the pipe
            self._live = Live(
                get_renderable=self._draw,
                console=console,
                refresh_per_second=4,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def unit(self, name: str) -> None:
        """Begin a unit. Raises ValueError if it is not one of those announced."""
        if name not in self._units:
            raise ValueError(f"{name!r} is not among the units announced")
        with self._lock:
            self._name, self._unit_start = name, self._clock()
            self._stage, self._epoch, self._score = None, -1, math.nan

    def report(self, stage: str, *, epochs: int, percent: bool = True) -> Callable[[Any, Any, Any], None]:
        """What `fit` is to call after each epoch; `percent`: the score is an error rate between 0 and 1."""
        return _Report(self, stage, epochs, percent)

    def done(self) -> None:
        """End the unit. Raises ValueError if none was begun."""
        with self._lock:
            if self._name is None:
                raise ValueError("no unit was begun")
            seconds = self._clock() - self._unit_start
            self._finished[self._name] = seconds
            line = f"{self._detail()}  done in {duration(seconds)}"
            self._name = None
            self._print(f"[{len(self._finished)}/{len(self._units)}] {line}  {self._times()}")

    def left(self) -> float | None:
        """Seconds until all is done, None before there is anything to judge by.

        Time is taken to be proportional to cost, at the rate of the units finished; a unit that takes longer than
        that slows the rate.
        """
        finished = sum(self._finished.values())
        spent = sum(self._units[name] for name in self._finished)
        ahead = sum(cost for name, cost in self._units.items() if name not in self._finished)
        if ahead == 0:
            return 0.0
        if spent == 0:
            return None
        rate, elapsed = finished / spent, 0.0
        if self._name is not None:
            elapsed = self._clock() - self._unit_start
            rate = max(rate, (finished + elapsed) / (spent + self._units[self._name]))
        return max(rate * ahead - elapsed, 0.0)

    def _update(self, report: _Report, epoch: int, score: float) -> None:
        with self._lock:
            if self._name is None:
                return
            if report != self._stage or epoch > self._epoch or epoch == 0 < self._epoch:
                self._stage, self._epoch, self._score = report, epoch, score
            elif epoch == self._epoch and not score >= self._score:
                self._score = self._score if math.isnan(score) else score
            if self._clock() - self._printed >= EVERY:
                self._print(
                    f"[{len(self._finished) + 1}/{len(self._units)}] {self._detail()}  {self._times()}"
                )

    def _print(self, line: str) -> None:
        if self._live is None:
            self._stream.write(line + "\n")
            self._stream.flush()
            self._printed = self._clock()

    def _detail(self) -> str:
        stage = "" if self._stage is None else "  " + self._stage.describe(self._epoch, self._score)
        return f"{self._name}{stage}"

    def _times(self) -> str:
        left = self.left()
        remaining = "?" if left is None else duration(left)
        return f"elapsed {duration(self._clock() - self._start)}  left {remaining}"

    def _draw(self) -> Any:
        """Two lines for a terminal: the bar with the times, and what is at work."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            finished, total = len(self._finished), len(self._units)
            left, elapsed = self.left(), self._clock() - self._start
            share = 0.0 if left is None else elapsed / max(elapsed + left, 1e-9)
            at = min(finished + (self._name is not None), total)
            times, detail = (
                f"unit {at} of {total}  {self._times()}",
                "" if self._name is None else self._detail(),
            )
        line = Table.grid(padding=(0, 2))
        line.add_row(ProgressBar(1.0, share, width=24), Text(times, no_wrap=True, overflow="ellipsis"))
        return Group(line, Text(detail, no_wrap=True, overflow="ellipsis"))
