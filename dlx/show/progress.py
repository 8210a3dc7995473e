"""What a running experiment tells its user: the unit at work, its epoch and score, and the time left.

On a terminal this is a bar that is drawn again and again. Elsewhere it is a line from time to time on stderr.
"""

import io
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from dlx.show.console import SteadyStream, Stream

EVERY = 10.0
"""Seconds between two plain lines within a unit."""

AfterEpoch = Callable[[Any, Any, Any], None]
"""`dlx.train.fit` calls it after each epoch with epoch (from 0), score, and whether the run goes on."""


def duration(seconds: float) -> str:
    """A time in words: "45 seconds", "1 minute", "12 minutes", "3.5 hours", "2 days".

    Less than 0 counts as 0, and what is not finite is "an unknown time".
    """
    if not math.isfinite(seconds):
        return "an unknown time"
    for unit, length, digits in (("second", 1, 0), ("minute", 60, 0), ("hour", 3600, 1)):
        value, limit = round(max(seconds, 0.0) / length, digits), 48 if unit == "hour" else 60
        if value < limit:
            return f"{value:g} {unit}{'' if value == 1 else 's'}"
    return f"{round(seconds / 86400, 1):.12g} days"


def silent(stage: str, *, epochs: int, percent: bool = True) -> None:
    """What a program gets in place of a `Progress` if nobody watches: `fit` gets None, and calls nothing."""


@dataclass(frozen=True)
class _AfterEpoch:
    """Tells a `Progress` of the epochs of one stage. Equal ones can share a compiled function that calls them."""

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
        return f"{self.stage}  epoch {epoch + 1}/{self.epochs}  valid {shown}"


class Progress:
    """Follows an experiment through its units of work; a context manager.

    `units` maps the name of each unit to its estimated seconds. The estimates may all be wrong by the same factor. Call
    `unit` when a unit begins and `done` when it ends. Call the object itself to get what `fit` calls after each epoch;
    any thread may call that. `clock` returns seconds, and `stream` is stderr unless given.
    """

    def __init__(
        self, units: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic, stream: Stream | None = None
    ):
        self._units, self._clock = dict(units), clock
        self._stream = SteadyStream(sys.stderr if stream is None else stream)
        self._lock, self._live = threading.Lock(), None
        self._finished: dict[str, float] = {}
        self._later: dict[str, float] = {}
        self._others = 0.0
        self._names: tuple[str, ...] = ()
        self._latest: tuple[_AfterEpoch, int, float] | None = None
        self._start = self._unit_start = self._printed = clock()

    @classmethod
    def silent(cls) -> "Progress":
        """One that nobody sees."""
        return cls({}, stream=io.StringIO())

    def __enter__(self) -> "Progress":
        from rich.console import Console
        from rich.live import Live

        console = Console(file=cast(IO[str], self._stream))
        if self._stream.isatty() and console.is_interactive:
            # prints to the same terminal go above the bar; prints to a pipe must stay in the pipe
            same = sys.stdout is not None and sys.stdout.isatty()
            self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=4, redirect_stdout=same)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __call__(self, stage: str, *, epochs: int, percent: bool = True) -> AfterEpoch:
        """Return what `fit` calls after each epoch of a stage, such as "layer 1 of 3".

        `percent`: the score is an error between 0 and 1, and is shown in percent. A function that calls the result can
        be compiled once and used again in later units. The result always shows the unit that is at work.
        """
        return _AfterEpoch(self, stage, epochs, percent)

    def plan(self, units: Mapping[str, float], later: Mapping[str, float] | None = None) -> None:
        """Replace the units that are still ahead, and their estimates in seconds.

        Units that are finished or at work may be among them, if there are better estimates of these by now. `later` are
        more units to come, which others like them may replace.
        Once a unit has begun, units that leave the plan were finished by other processes. These are expected to go
        on doing the same share of the work.
        """
        with self._lock:
            if self._names or self._finished:
                known = {*units, *self._finished, *self._names}
                self._others += sum(cost for name, cost in self._units.items() if name not in known)
            self._units = {name: self._units[name] for name in (*self._finished, *self._names)} | dict(units)
            self._later = dict(later or {})

    def say(self, text: str) -> None:
        """Print a line above the bar, or among the plain lines."""
        with self._lock:
            if self._live is None:
                self._stream.write(f"{text}\n")
                self._stream.flush()
            else:
                self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def unit(self, *names: str) -> None:
        """Begin one unit, or several that run at the same time. A call before `done` names those at work anew.

        A unit that is not in the plan is expected to take as long as the average of those that are.
        """
        with self._lock:
            for name in names:
                self._units.setdefault(name, sum(self._units.values()) / max(len(self._units), 1))
                self._finished.pop(name, None)
            self._unit_start = self._unit_start if self._names else self._clock()
            self._names, self._latest = names, None

    def done(self) -> None:
        """End the units that were begun. Raises ValueError if none was."""
        with self._lock:
            if not self._names:
                raise ValueError("no unit was begun")
            seconds, said = self._clock() - self._unit_start, self._at_work()
            self._finished |= dict.fromkeys(self._names, seconds / len(self._names))
            self._names = ()
            self._print(len(self._finished), *said, f"done in {duration(seconds)}")

    def lost(self) -> str:
        """What is lost if the command ends now, in words; empty between units."""
        names, _ = self._at_work()
        return f"{names} had taken {duration(self._clock() - self._unit_start)}, which are lost" if names else ""

    def left(self) -> float | None:
        """Seconds until all units are done; None if nothing is known.

        The estimates are multiplied by a factor: the time of the finished units divided by their estimates. Before a
        unit has finished, it is 1. It grows if the unit at work is late already. Other processes are expected to do the
        same share of the work that is ahead as they did up to now.
        """
        spent = sum(self._units[name] for name in self._finished)
        finished = sum(self._finished.values()) if spent > 0 else 0.0
        ahead = sum(cost for name, cost in self._units.items() if name not in self._finished)
        ahead += sum(self._later.values())
        if spent <= 0 and ahead <= 0:
            return None
        factor = finished / spent if spent > 0 else 1.0
        cost = sum(self._units[name] for name in self._names)
        elapsed = self._clock() - self._unit_start if self._names else 0.0
        if cost > 0:
            factor = max(factor, (finished + elapsed) / (spent + cost))
        own = spent or cost
        share = own / (own + self._others) if own > 0 else 1.0
        seconds = share * factor * (ahead - cost) + max(factor * cost - elapsed, 0.0)
        return seconds if math.isfinite(seconds) else None

    def _update(self, after_epoch: _AfterEpoch, epoch: int, score: float) -> None:
        with self._lock:
            if not self._names:
                return
            last, last_epoch, least = self._latest or (None, -1, math.nan)
            if after_epoch != last or epoch > last_epoch or epoch == 0 < last_epoch:
                self._latest = after_epoch, epoch, score
            elif epoch == last_epoch:
                self._latest = after_epoch, epoch, float(np.fmin(score, least))
            if self._clock() - self._printed >= EVERY:
                self._print(len(self._finished) + 1, *self._at_work())

    def _print(self, number: int, *said: str) -> None:
        if self._live is None:
            text = "  ".join(filter(None, (*said, self._times())))
            self._stream.write(f"[{number}/{self._total()}] {text}\n")
            self._stream.flush()
            self._printed = self._clock()

    def _total(self) -> int:
        return len(self._units) + len(self._later)

    def _at_work(self) -> tuple[str, str]:
        """The names of the units at work, and how far they are."""
        if not self._names:
            return "", ""
        more = f" and {len(self._names) - 1} more" if len(self._names) > 1 else ""
        return f"{self._names[0]}{more}", self._latest[0].describe(*self._latest[1:]) if self._latest else ""

    def _times(self) -> str:
        left = self.left()
        remaining = "?" if left is None else duration(left)
        return f"{duration(self._clock() - self._start)} gone, {remaining} left"

    def _draw(self) -> Any:
        """Two lines for a terminal: the bar with the times, and what is at work. Only the second is shortened."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            left, elapsed = self.left(), self._clock() - self._start
            share = 0.0 if left is None else elapsed / max(elapsed + left, 1e-9)
            at = len(self._finished) + bool(self._names)
            times = Text(f"{at} of {self._total()}  {self._times()}", no_wrap=True)
            name, state = (Text(text, no_wrap=True, overflow="ellipsis") for text in self._at_work())
            width = 80 if self._live is None else self._live.console.width
        room = min(24, width - times.cell_len - 2)
        first, second = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
        first.add_row(*([ProgressBar(1.0, share, width=room)] if room >= 4 else []), times)
        second.add_column()
        second.add_column(no_wrap=True)
        second.add_row(name, state)
        return Group(first, second)
