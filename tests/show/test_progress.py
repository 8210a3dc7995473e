import io

import jax
import jax.numpy as jnp
import pytest

from dlx.show.progress import Progress, silent


class Gone(io.StringIO):
    """A stream whose reader has left."""

    attempts = 0

    def write(self, _):
        self.attempts += 1
        raise BrokenPipeError


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


def test_units_to_come_count_until_others_take_their_place(clock, stream):
    with Progress({}, clock=clock, stream=stream) as progress:
        progress.plan({"trial 1": 4.0, "trial 2": 4.0}, {"seed 1 of trial 2": 10.0, "seed 2 of trial 2": 10.0})
        assert progress.left() == pytest.approx(28)
        progress.unit("trial 1", "trial 2")
        clock.now += 8
        progress.done()
        assert progress.left() == pytest.approx(20)
        progress.plan({"seed 1 of trial 1": 10.0, "seed 2 of trial 1": 10.0})
        assert progress.left() == pytest.approx(20), "no other process did those of trial 2"
        progress.unit("seed 1 of trial 1", "seed 2 of trial 1")
        clock.now += 20
        progress.done()
    assert "[2/4] trial 1 and 1 more" in stream.getvalue()
    assert "[4/4] seed 1 of trial 1 and 1 more" in stream.getvalue()


def test_units_that_are_named_while_they_are_compiled_take_the_time_of_that_too(clock, stream):
    with Progress(dict.fromkeys("abcd", 5.0), clock=clock, stream=stream) as progress:
        progress.unit("a")
        clock.now += 8
        progress.unit("a", "b")
        clock.now += 2
        progress.done()
        assert progress.left() == pytest.approx(10)
    assert "a and 1 more  done in 10 seconds" in stream.getvalue()


def test_time_left_follows_the_estimates(clock, stream):
    with Progress({"a": 1.0, "b": 2.0, "c": 3.0}, clock=clock, stream=stream) as progress:
        assert progress.left() == pytest.approx(6)
        progress.unit("a")
        clock.now += 0.25
        assert progress.left() == pytest.approx(5.75)
        clock.now += 9.75
        # a is late: 10 seconds instead of 1, so that the other 5 may become 50
        assert progress.left() == pytest.approx(50)
        progress.done()
        assert progress.left() == pytest.approx(50)
        progress.unit("b")
        clock.now += 5
        assert progress.left() == pytest.approx(45)
        clock.now += 35
        # b is late: 50 seconds for an estimate of 3, and c is estimated at 3 more
        assert progress.left() == pytest.approx(50)
        progress.done()
        assert progress.left() == pytest.approx(50)
        progress.unit("c")
        clock.now += 1
        progress.done()
        assert progress.left() == 0


def test_what_others_do_counts_before_a_unit_has_finished(clock, stream):
    with Progress(dict.fromkeys("abcd", 10.0), clock=clock, stream=stream) as progress:
        progress.unit("a")
        clock.now += 4
        progress.plan(dict.fromkeys("cd", 10.0))  # b was done elsewhere meanwhile
        assert progress.left() == pytest.approx(6 + 10)


def test_units_that_are_faster_than_their_estimate_shorten_what_is_left(clock, stream):
    with Progress({"a": 100.0, "b": 300.0}, clock=clock, stream=stream) as progress:
        progress.unit("a")
        clock.now += 10
        progress.done()
        assert progress.left() == pytest.approx(30)


def test_without_an_estimate_no_time_left_is_told(clock, stream):
    with Progress({}, clock=clock, stream=stream) as progress:
        assert progress.left() is None
        progress.unit("a")
        clock.now += 60
        progress.done()
        assert progress.left() is None
        progress.plan({"b": float("nan")})
        assert progress.left() is None
        progress.plan({"b": 5.0})
        assert progress.left() == pytest.approx(5)
    assert stream.getvalue() == "[1/1] a  done in 1 minute  1 minute gone, ? left\n"


def test_where_nobody_watches_nothing_is_called():
    assert silent("layer 1 of 3", epochs=15) is None
    assert silent("layer 1 of 3", epochs=15, percent=False) is None


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
        after_epoch = progress("finetune", epochs=30)
        progress.unit("a")
        for epoch in range(30):
            clock.now += 1
            after_epoch(jnp.asarray(epoch), jnp.asarray(0.5 - 0.01 * epoch), jnp.asarray(True))
        progress.done()
        progress.unit("b")
        clock.now += 1
        progress.done()
    assert stream.getvalue().splitlines() == [
        "[1/2] a  finetune  epoch 10/30  valid 41.00 %  10 seconds gone, 10 seconds left",
        "[1/2] a  finetune  epoch 20/30  valid 31.00 %  20 seconds gone, 20 seconds left",
        "[1/2] a  finetune  epoch 30/30  valid 21.00 %  30 seconds gone, 30 seconds left",
        "[1/2] a  finetune  epoch 30/30  valid 21.00 %  done in 30 seconds  30 seconds gone, 30 seconds left",
        "[2/2] b  done in 1 second  31 seconds gone, 0 seconds left",
    ]


def test_the_lowest_score_of_the_active_runs_is_shown(clock, stream):
    with Progress({"a": 1.0}, clock=clock, stream=stream) as progress:
        progress.unit("a")
        reconstruct, finetune = (
            progress("codes", epochs=2, percent=False),
            progress("fine", epochs=3),
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
        report = progress("finetune", epochs=4)

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
    one, same = progress("finetune", epochs=3), progress("finetune", epochs=3)
    assert (one, hash(one)) == (same, hash(same))
    assert one != progress("finetune", epochs=4)
    assert one != Progress({}, clock=clock, stream=stream)("finetune", epochs=3)


@pytest.mark.parametrize("tty", [True, False])
def test_a_run_outlives_its_terminal(clock, tty, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Gone()
    stream.isatty = lambda: tty
    with Progress({"a": 1.0, "b": 1.0}, clock=clock, stream=stream) as progress:
        for name in ("a", "b"):
            progress.unit(name)
            clock.now += 20
            progress("finetune", epochs=3)(0, 0.5, True)
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


def test_a_process_without_stderr_has_no_progress_and_no_error(clock, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with Progress({"a": 1.0}, clock=clock) as progress:
        progress.unit("a")
        progress.done()
