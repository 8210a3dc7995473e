import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from dlx.show.console import SteadyStream, steady

BEGIN = "import sys; from dlx.show.console import steady; steady(); "
MANY = "[print('line', i) for i in range(20000)]; "


def run(code, redirect="", **environment):
    """The shell's view of a Python program: exit status, stdout, stderr."""
    command = f'exec "$0" -c "$1" {redirect}'
    if redirect.startswith("|"):
        command = f'"$0" -c "$1" {redirect}; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, code],
        capture_output=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONIOENCODING"} | environment,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("redirect", ["| head -1", "> /dev/full", "2> /dev/full", ">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("status", [0, 3])
def test_a_stream_that_fails_changes_no_status_and_stops_no_work(tmp_path, redirect, status):
    result = tmp_path / "result"
    work = f"{MANY} sys.stderr.write('said\\n'); sys.stdout.write('held'); open('{result}', 'w').write('kept'); "
    code, out, err = run(BEGIN + work + f"sys.exit({status})", redirect)
    assert code == status
    assert result.read_text() == "kept"
    assert err in (b"", b"said\n")
    if redirect == "| head -1":
        assert out == b"line 0\n"


def test_text_that_is_still_held_at_the_end_changes_no_status():
    assert run(BEGIN + "sys.stdout.write('held')", "> /dev/full") == (0, b"", b"")
    assert run(BEGIN + "sys.stdout.write('held')", "> /dev/full", PYTHONDEVMODE="1") == (0, b"", b"")
    assert run("import sys; sys.stdout.write('held')", "> /dev/full")[0] != 0, "without it the status does change"
    assert run(BEGIN + "sys.stdout.write('held')") == (0, b"held", b"")


def test_an_error_is_still_an_error():
    code, out, err = run(BEGIN + "print('before'); sys.exit('wrong')")
    assert (code, out, err) == (1, b"before\n", b"wrong\n")
    assert run(BEGIN + "1 / 0", "2>&-")[0] == 1


def test_a_closed_descriptor_is_not_given_to_a_file(tmp_path):
    path = tmp_path / "data"
    code = BEGIN + f"import os; f = open('{path}', 'w'); os.write(2, b'noise'); f.write('data'); f.close()"
    assert run(code, "2>&-")[0] == 0
    assert path.read_text() == "data"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_characters_that_the_encoding_lacks_are_replaced(stream):
    code, out, err = run(BEGIN + f"print('1.3 \\u00b1 0.1 \\u2013', file=sys.{stream})", PYTHONIOENCODING="ascii")
    assert code == 0
    assert (out + err) == b"1.3 ? 0.1 ?\n"


def test_a_table_is_drawn_in_ascii():
    table = "from dlx.show.tables import terminal; terminal('t', ['row', '%'], [['deep', '1.3 \\u00b1 0.1']])"
    code, out, err = run(BEGIN + table, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, b"")
    assert "deep" in out.decode("ascii")
    assert "1.3 ? 0.1" in out.decode("ascii")


@pytest.mark.parametrize("redirect", ["2>&-", "2> /dev/full", "2>&1 | head -1"])
def test_progress_costs_no_result(tmp_path, redirect):
    result = tmp_path / "result"
    work = (
        "from dlx.show.progress import Progress\n"
        "with Progress({str(i): 1.0 for i in range(3000)}) as progress:\n"
        "    for i in range(3000):\n"
        "        progress.unit(str(i)); progress.done()\n"
        f"open('{result}', 'w').write('kept')"
    )
    assert run(f"{BEGIN}\n{work}", redirect)[0] == 0
    assert result.read_text() == "kept"


def test_a_steady_stream_is_what_it_stands_on(tmp_path):
    with open(tmp_path / "out", "w", encoding="latin-1") as stream:
        steadied = SteadyStream(stream)
        assert steadied.fileno() == stream.fileno()
        assert steadied.encoding == "latin-1"
        assert steadied.buffer is stream.buffer
        assert steadied.writable()
        assert not steadied.isatty()
        assert steadied.write("± –\n") == 4
        steadied.flush()
        assert (tmp_path / "out").read_bytes() == b"\xb1 ?\n"


def test_a_rich_console_writes_colours_to_a_steady_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = os.openpty()
    with open(slave, "w", encoding="utf-8") as terminal:
        console = Console(file=SteadyStream(terminal))
        assert console.is_terminal
        assert console.encoding == "utf-8"
        console.print("[red]± deep[/red]")
        terminal.flush()
        shown = os.read(master, 1000)
    os.close(master)
    assert "\x1b[31m± deep\x1b[0m".encode() in shown


def test_a_stream_that_was_closed_takes_text_in_silence():
    stream = io.StringIO()
    steadied = SteadyStream(stream)
    steadied.write("a")
    assert stream.getvalue() == "a"
    stream.close()
    assert steadied.write("b") == 1
    steadied.flush()
    assert not steadied.isatty()


def test_after_a_failure_nothing_more_is_tried_and_what_was_held_is_thrown_away():
    class Gone(io.StringIO):
        attempts = 0

        def write(self, _):
            self.attempts += 1
            raise BrokenPipeError

    gone = Gone()
    steadied = SteadyStream(gone)
    assert [steadied.write("text"), steadied.write("text")] == [4, 4]
    assert gone.attempts == 1
    with open("/dev/full", "w") as full:  # closing it would fail if the text were still held
        steadied = SteadyStream(full)
        steadied.write("text")
        steadied.flush()
        steadied.write("more")


def test_a_second_call_changes_nothing(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    steady()
    first = sys.stdout, sys.stderr
    assert all(isinstance(stream, SteadyStream) for stream in first)
    steady()
    assert (sys.stdout, sys.stderr) == first
