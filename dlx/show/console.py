"""Standard output and standard error that never fail, so that a failed print never costs a result."""

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

Stream = io.TextIOBase | TextIO


class SteadyStream:
    """A text stream that writes to another one, and never raises an error of that one.

    A character that the encoding lacks is written as "?". A write fails if the reader has gone, the device is full, or
    the stream is closed. After the first failed write this stream stays silent. What the other one still holds is lost.
    Python has None in place of a stream that was closed before it started. Then nothing is written.
    """

    def __init__(self, stream: Stream | None):
        self._stream, self._open = _null() if stream is None else stream, True
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text as far as the stream can take it; return the length of the text."""
        known = text.encode(self.encoding, "replace").decode(self.encoding)
        self._attempt(lambda: self._stream.write(known))
        return len(text)

    def flush(self) -> None:
        """Flush the other stream, if its reader is still there."""
        self._attempt(self._stream.flush)

    def isatty(self) -> bool:
        """Is this a terminal that still takes text?"""
        return bool(self._attempt(self._stream.isatty))

    def _attempt(self, action: Callable[[], Any]) -> Any:
        if not self._open:
            return None
        try:
            return action()
        except (OSError, ValueError):  # ValueError: this process closed the stream itself
            self._open = False
        # Python flushes its buffers when it ends. If it cannot, it reports an error.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def steady() -> None:
    """Make stdout and stderr of this process steady streams; a second call changes nothing.

    From then on a failed write neither raises an error nor changes the exit status. It may fail for a closed pipe, a
    full device, a closed descriptor, or an unknown character.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, SteadyStream):
            setattr(sys, name, SteadyStream(stream))


def _null() -> TextIO:
    # The new descriptor is the lowest free one, which is the closed one. So no data file can get it by chance.
    return open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)
