import io

import jax
import jax.numpy as jnp
import pytest

from dlx.show.progress import Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(io.StringIO):
    """A stream whose reader has left."""

    attempts = 0

    def write(self, _):
        self.attempts += 1
        raise BrokenPipeError


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


def test_units_done_at_once_share_their_time_and_plans_can_change(clock, stream):
    with Progress({}, clock=clock, stream=stream) as progress:
        progress.plan({"a": 1.0, "b": 1.0, "x": 9.0})
        progress.plan({"a": 1.0, "b": 1.0, "c": 2.0, "d": 3.0})
        progress.say("two at once")
        progress.unit("a", "b")
        clock.now += 8
        progress.done()
        assert progress.left() == pytest.approx(8 / 2 * 5)
        progress.plan({"c": 2.0, "d": 3.0})
        assert progress.left() == pytest.approx(8 / 2 * 5)
        progress.unit("c", "d")
        clock.now += 5
        assert progress.left() == pytest.approx(15)
        progress.done()
    assert "two at once\n" in stream.getvalue()
    assert "[2/4] a and 1 more" in stream.getvalue()
    assert "[4/4] c and 1 more" in stream.getvalue()


def test_time_left_follows_the_costs(clock, stream):
    with Progress({"a": 1.0, "b": 2.0, "c": 3.0}, clock=clock, stream=stream) as progress:
        assert progress.left() is None
        progress.unit("a")
        clock.now += 10
        assert progress.left() is None
        progress.done()
        assert progress.left() == pytest.approx(50)
        progress.unit("b")
        clock.now += 5
        assert progress.left() == pytest.approx(45)
        clock.now += 35
        # b is overdue: 50 seconds for 3 units of cost, and c costs 3 more
        assert progress.left() == pytest.approx(50)
        progress.done()
        assert progress.left() == pytest.approx(50)
        progress.unit("c")
        clock.now += 1
        progress.done()
        assert progress.left() == 0


def test_what_others_do_is_not_waited_for(clock, stream):
    names = "abcdefgh"
    with Progress(dict.fromkeys(names, 1.0), clock=clock, stream=stream) as progress:
        progress.unit("a")
        clock.now += 10
        progress.done()
        assert progress.left() == pytest.approx(70)
        progress.plan(dict.fromkeys("cdefgh", 1.0))  # b was done elsewhere meanwhile
        assert progress.left() == pytest.approx(30)
        progress.unit("c")
        assert progress.left() == pytest.approx(10 + 25)
        clock.now += 10
        progress.done()
        progress.plan(dict.fromkeys("efgh", 1.0))
        assert progress.left() == pytest.approx(20)


def test_lines_are_rare_and_one_ends_each_unit(clock, stream):
    with Progress({"a": 1.0, "b": 1.0}, clock=clock, stream=stream) as progress:
        report = progress.report("finetune", epochs=30)
        progress.unit("a")
        for epoch in range(30):
            clock.now += 1
            report(jnp.asarray(epoch), jnp.asarray(0.5 - 0.01 * epoch), jnp.asarray(True))
        progress.done()
        progress.unit("b")
        clock.now += 1
        progress.done()
    assert stream.getvalue().splitlines() == [
        "[1/2] a  finetune  epoch 10/30  valid 41.00 %  elapsed 0:00:10  left ?",
        "[1/2] a  finetune  epoch 20/30  valid 31.00 %  elapsed 0:00:20  left ?",
        "[1/2] a  finetune  epoch 30/30  valid 21.00 %  elapsed 0:00:30  left ?",
        "[1/2] a  finetune  epoch 30/30  valid 21.00 %  done in 0:00:30  elapsed 0:00:30  left 0:00:30",
        "[2/2] b  done in 0:00:01  elapsed 0:00:31  left 0:00:00",
    ]


def test_the_lowest_score_of_the_active_runs_is_shown(clock, stream):
    with Progress({"a": 1.0}, clock=clock, stream=stream) as progress:
        progress.unit("a")
        reconstruct, finetune = (
            progress.report("codes", epochs=2, percent=False),
            progress.report("fine", epochs=3),
        )
        said = []
        for report, *call in [
            (reconstruct, 0, 90.25, True),
            (reconstruct, 0, 80.5, True),
            (reconstruct, 0, 85.0, True),
            (reconstruct, 0, 1.0, False),
            (reconstruct, 0, float("nan"), True),
            (reconstruct, 1, float("nan"), True),
            (finetune, 0, 0.5, True),
            (finetune, 2, 0.25, True),
            (finetune, 1, 0.125, True),
            (finetune, 0, 0.75, True),
        ]:
            clock.now += 10
            report(*call)
            said.append(stream.getvalue().splitlines()[-1].split("  ")[1:4])
    assert said == [
        ["codes", "epoch 1/2", "valid 90.25"],
        ["codes", "epoch 1/2", "valid 80.5"],
        ["codes", "epoch 1/2", "valid 80.5"],
        ["codes", "epoch 1/2", "valid 80.5"],
        ["codes", "epoch 1/2", "valid 80.5"],
        ["codes", "epoch 2/2", "valid diverged"],
        ["fine", "epoch 1/3", "valid 50.00 %"],
        ["fine", "epoch 3/3", "valid 25.00 %"],
        ["fine", "epoch 3/3", "valid 25.00 %"],
        ["fine", "epoch 1/3", "valid 75.00 %"],
    ]


def test_compiled_loops_report_to_the_current_unit(clock, stream):
    traces = 0

    with Progress({"a": 1.0, "b": 1.0}, clock=clock, stream=stream) as progress:
        report = progress.report("finetune", epochs=4)

        @jax.jit
        @jax.vmap
        def run(epochs, score):
            nonlocal traces
            traces += 1

            def body(epoch):
                jax.debug.callback(report, epoch, score, epoch < epochs)
                return epoch + 1

            return jax.lax.while_loop(lambda epoch: epoch < epochs, body, 0)

        for name in ("a", "b"):
            progress.unit(name)
            # the run with the lower score stops first, and is not heard of after
            run(jnp.array([2, 4]), jnp.array([0.25, 0.5])).block_until_ready()
            jax.effects_barrier()
            clock.now += 1
            progress.done()
        run(jnp.array([2, 4]), jnp.array([0.25, 0.5])).block_until_ready()
        jax.effects_barrier()
    assert traces == 1
    assert [line.split("  ")[:4] for line in stream.getvalue().splitlines()] == [
        ["[1/2] a", "finetune", "epoch 4/4", "valid 50.00 %"],
        ["[2/2] b", "finetune", "epoch 4/4", "valid 50.00 %"],
    ]


def test_equal_reports_can_share_a_compiled_function(clock, stream):
    progress = Progress({}, clock=clock, stream=stream)
    one, same = progress.report("finetune", epochs=3), progress.report("finetune", epochs=3)
    assert (one, hash(one)) == (same, hash(same))
    assert one != progress.report("finetune", epochs=4)
    assert one != Progress({}, clock=clock, stream=stream).report("finetune", epochs=3)


def test_a_terminal_shows_a_bar(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with Progress({"a": 1.0, "b": 1.0}, clock=clock, stream=stream) as progress:
        progress.unit("a")
        clock.now += 61
        progress.done()
        progress.unit("b")
        progress.report("finetune", epochs=30)(4, 0.0132, True)
    shown = stream.getvalue()
    assert "unit 2 of 2  elapsed 0:01:01  left 0:01:01" in shown
    assert "b  finetune  epoch 5/30  valid 1.32 %" in shown
    assert "done in" not in shown


@pytest.mark.parametrize("tty", [True, False])
def test_a_run_outlives_its_terminal(clock, tty, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Gone()
    stream.isatty = lambda: tty
    with Progress({"a": 1.0, "b": 1.0}, clock=clock, stream=stream) as progress:
        for name in ("a", "b"):
            progress.unit(name)
            clock.now += 20
            progress.report("finetune", epochs=3)(0, 0.5, True)
            progress.done()
    assert stream.attempts == 1


def test_a_closed_stream_is_no_failure(clock, stream):
    with Progress({"a": 1.0}, clock=clock, stream=stream) as progress:
        progress.unit("a")
        stream.close()
        progress.done()


def test_only_a_unit_that_was_begun_ends(clock, stream):
    with pytest.raises(ValueError, match="no unit was begun"):
        Progress({"a": 1.0}, clock=clock, stream=stream).done()


def test_units_that_come_unannounced_or_again_are_counted(clock, stream):
    with Progress({"a": 1.0, "b": 3.0}, clock=clock, stream=stream) as progress:
        for name in ("a", "new", "a"):
            progress.unit(name)
            clock.now += 10
            progress.done()
    counts = [line.split("  ")[0] for line in stream.getvalue().splitlines()]
    assert counts == ["[1/2] a", "[2/3] new", "[2/3] a"]
    assert progress.left() == pytest.approx(20)
