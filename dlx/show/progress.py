"""What a running experiment tells its user: the unit at work, its epoch and score, and the time left.

On a terminal this is a bar that redraws itself; anywhere else it is an occasional line on stderr.
"""

import io
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, TextIO, cast

import numpy as np

Stream = io.TextIOBase | TextIO

EVERY = 10.0
"""Seconds between two plain lines within a unit."""


class _Steady:
    """A text stream that falls silent when its reader is gone: a closed terminal never stops a run."""

    def __init__(self, stream: Stream):
        self._stream, self._open = stream, True
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def _attempt(self, action: Callable[[], Any]) -> Any:
        if self._open:
            try:
                return action()
            except (OSError, ValueError):  # ValueError: this process closed the stream itself
                self._open = False
        return None

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        return bool(self._attempt(self._stream.isatty))


@dataclass(frozen=True)
class _Report:
    """The report of one stage. Equal ones compare equal, so they can key a cache of compiled functions."""

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
        shown = value if math.isfinite(score) else "diverged"
        return f"  {self.stage}  epoch {epoch + 1}/{self.epochs}  valid {shown}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class Progress:
    """Follows an experiment through its units, given as names with relative costs; a context manager.

    `unit` begins one, `done` ends it, and the functions that `report` makes tell of the epochs of the current
    unit. Those may be called from any thread, and from compiled code that is used again in later units.
    `clock` gives seconds; `stream` is stderr unless given.
    """

    def __init__(
        self,
        units: Mapping[str, float],
        *,
        clock: Callable[[], float] = time.monotonic,
        stream: Stream | None = None,
    ):
        self._units, self._clock = dict(units), clock
        self._stream = _Steady(sys.stderr if stream is None else stream)
        self._lock, self._live = threading.Lock(), None
        self._finished: dict[str, float] = {}
        self._others = 0.0
        self._names: tuple[str, ...] = ()
        self._latest: tuple[_Report, int, float] | None = None
        self._start = self._unit_start = self._printed = clock()

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.live import Live

        console = Console(file=cast(IO[str], self._stream))
        if self._stream.isatty() and console.is_interactive:
            # prints to the same terminal go above the bar, but prints to a pipe must stay in the pipe
            redirect = sys.stdout.isatty()
            self._live = Live(
                get_renderable=self._draw, console=console, refresh_per_second=4, redirect_stdout=redirect
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def plan(self, units: Mapping[str, float]) -> None:
        """Announce the units ahead and their costs, instead of those announced before.

        What is no longer announced after a unit was begun has been done by others, who are taken to go on so.
        """
        with self._lock:
            if self._names or self._finished:
                known = {*units, *self._finished, *self._names}
                self._others += sum(cost for name, cost in self._units.items() if name not in known)
            self._units = {name: self._units[name] for name in (*self._finished, *self._names)} | dict(units)

    def say(self, text: str) -> None:
        """Tell what is worth a line of its own."""
        with self._lock:
            if self._live is None:
                self._stream.write(f"{text}\n")
            else:
                self._live.console.print(text)

    def unit(self, *names: str) -> None:
        """Begin units that are done at once; one not announced is taken to cost what the others do on average."""
        with self._lock:
            for name in names:
                self._units.setdefault(name, sum(self._units.values()) / max(len(self._units), 1) or 1.0)
                self._finished.pop(name, None)
            self._names, self._unit_start, self._latest = names, self._clock(), None

    def report(self, stage: str, *, epochs: int, percent: bool = True) -> Callable[[Any, Any, Any], None]:
        """What `fit` is to call after each epoch; `percent`: the score is an error rate between 0 and 1."""
        return _Report(self, stage, epochs, percent)

    def done(self) -> None:
        """End the units that were begun. Raises ValueError if none was."""
        with self._lock:
            if not self._names:
                raise ValueError("no unit was begun")
            seconds, said = self._clock() - self._unit_start, self._detail()
            self._finished |= dict.fromkeys(self._names, seconds / len(self._names))
            self._names = ()
            self._print(len(self._finished), f"{said}  done in {_duration(seconds)}")

    def left(self) -> float | None:
        """Seconds until all is done; None before a unit is.

        Time is taken to be proportional to cost, at the rate of the units finished, or at the rate up to now
        if the current unit takes longer than that. Others take as much of what is ahead as they took up to now.
        """
        finished = sum(self._finished.values())
        spent = sum(self._units[name] for name in self._finished)
        ahead = sum(cost for name, cost in self._units.items() if name not in self._finished)
        if not self._finished or spent <= 0:
            return None
        share = spent / (spent + self._others)
        if not self._names:
            return share * finished / spent * ahead
        cost, elapsed = sum(self._units[name] for name in self._names), self._clock() - self._unit_start
        rate = max(finished / spent, (finished + elapsed) / (spent + cost))
        return share * rate * (ahead - cost) + max(rate * cost - elapsed, 0.0)

    def _update(self, report: _Report, epoch: int, score: float) -> None:
        with self._lock:
            if not self._names:
                return
            last, last_epoch, least = self._latest or (None, -1, math.nan)
            if report != last or epoch > last_epoch or epoch == 0 < last_epoch:
                self._latest = report, epoch, score
            elif epoch == last_epoch:
                self._latest = report, epoch, float(np.fmin(score, least))
            if self._clock() - self._printed >= EVERY:
                self._print(len(self._finished) + 1, self._detail())

    def _print(self, number: int, text: str) -> None:
        if self._live is None:
            self._stream.write(f"[{number}/{len(self._units)}] {text}  {self._times()}\n")
            self._stream.flush()
            self._printed = self._clock()

    def _detail(self) -> str:
        more = f" and {len(self._names) - 1} more" if len(self._names) > 1 else ""
        units = f"{self._names[0]}{more}" if self._names else ""
        if self._latest is None:
            return units
        report, epoch, score = self._latest
        return f"{units}{report.describe(epoch, score)}"

    def _times(self) -> str:
        left = self.left()
        remaining = "?" if left is None else _duration(left)
        return f"elapsed {_duration(self._clock() - self._start)}  left {remaining}"

    def _draw(self) -> Any:
        """Two lines for a terminal: the bar with the times, and what is at work."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            left, elapsed = self.left(), self._clock() - self._start
            share = 0.0 if left is None else elapsed / max(elapsed + left, 1e-9)
            at = len(self._finished) + bool(self._names)
            times = f"unit {at} of {len(self._units)}  {self._times()}"
            detail = self._detail() if self._names else ""
        line = Table.grid(padding=(0, 2))
        line.add_row(ProgressBar(1.0, share, width=24), Text(times, no_wrap=True, overflow="ellipsis"))
        return Group(line, Text(detail, no_wrap=True, overflow="ellipsis"))
