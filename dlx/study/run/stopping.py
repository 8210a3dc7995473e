"""Ctrl-C and SIGTERM end a command within seconds, also while a compiled program runs, which Python cannot interrupt.

A process may end at any moment: its records are written whole or not at all, and its claims end with it.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS = 2.0
"""The most that the last words may take."""
TWICE = 0.2
"""Within this time a second signal is the first one again: the program `timeout` sends each twice."""


@contextlib.contextmanager
def ends_on_signal(say_last: Callable[[], None]) -> Generator[None]:
    """Within it SIGINT ends the process with status 130, SIGTERM with 143, once `say_last` has returned.

    A second signal ends it at once. A signal that the parent process ignores stays ignored. Only the main thread can
    receive signals, so in any other nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    read, write = socket.socketpair()
    write.setblocking(False)

    def watch() -> None:
        while number := read.recv(1)[0]:
            if number in caught:
                ending = threading.Thread(target=end, args=(128 + number,), daemon=True)
                ending.start()
                ending.join(TWICE)
                read.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    read.recv(64)
                read.settimeout(SECONDS - TWICE)
                with contextlib.suppress(TimeoutError):
                    read.recv(1)
                os._exit(128 + number)

    def end(status: int) -> None:
        say_last()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    # Python's own handlers run in the main thread, which may be within a compiled program. Its C code notes at once.
    before = {number: signal.signal(number, lambda *_: None) for number in caught}
    wakeup = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        write.send(b"\0")
        watcher.join()
        read.close()
        write.close()
