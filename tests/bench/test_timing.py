"""The seconds of an epoch of a case: on a clock of the test's own, and on this machine's."""

import jax
import numpy as np
import pytest

from dlx.bench import timing
from dlx.inspect.counts import count
from dlx.nets.recurrent import CELLS, in_rows, recurrent


def test_seconds_of_an_epoch_are_half_of_what_two_more_epochs_take(monkeypatch):
    """Each pair is one epoch's time and three epochs' time; the fastest of each counts."""
    times = iter([7.0, 2.0, 9.0, 1.0, 5.0, 3.0, 8.0, 2.0, 7.0])
    monkeypatch.setattr(timing, "wall_time", lambda call: next(times))
    data = timing.random_data(400)
    time = timing.timing(timing.finetuning((4,), batch=20), 1, data)
    np.testing.assert_allclose(time.epoch, (5 - 1) / 2 * 50_000 / 400)
    assert time.compile == 7
    assert not list(times)


def test_a_tiny_case_is_timed():
    time = timing.timing(timing.finetuning((4,), batch=20), 2, timing.random_data(200))
    pixels = (200 + 100 + 100) * 784
    assert np.isfinite(time.epoch)
    assert time.compile > 0
    assert pixels < time.memory < 20 * pixels


@pytest.mark.parametrize("cell", CELLS)
def test_the_flops_of_a_recurrent_net_are_those_of_its_products(cell):
    net, case, data = in_rows(recurrent(cell, (128,)), 28), timing.reading(cell), timing.random_data(200)
    params, log = jax.eval_shape(case.run(2), jax.random.key(0), (), data)
    counts = count(net.apply, params, data.train.x[:1])
    assert counts.training == case.flops
    inputs = sum(entry["kernel"].size for entry in params["forward_0"].values() if entry["kernel"].shape[0] == 28)
    assert case.flops - case.executed == 2 * 28 * inputs
    assert log.metrics["loss"].shape == (2,)
