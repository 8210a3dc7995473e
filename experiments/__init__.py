"""One module per published result; `python -m experiments` lists them."""

import contextlib
import os
import signal
import sys
from types import FrameType, TracebackType

STOPPED = 130
"""The exit status of a command that was interrupted."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but end at once while a module is being imported.

    Libraries with compiled parts can crash on an exception during their import, or lose it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):  # stderr is closed
                os.write(2, b"stopped\n")
            os._exit(STOPPED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _show_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """End with one line for an interrupt; show any other error as Python does."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    print("stopped", file=sys.stderr)
    sys.exit(STOPPED)


if sys.argv[:1] == ["-m"]:  # `python -m` imports this package first, and then the module that it is to run
    sys.excepthook = _show_error
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the parent process ignores interrupts
        signal.signal(signal.SIGINT, _interrupt)
