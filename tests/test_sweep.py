"""Many runs as one program: each gives what it gives alone, on however many devices and processes."""

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

from dlx import sweep
from dlx.classify import classify
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.sweep import Sweep, budget, free_memory
from dlx.types import Labelled

NET = mlp((4,))
TRACES = []
TOLD = []


class Rate(NamedTuple):
    rate: jax.Array


def run(key, hypers, data):
    TRACES.append(hypers)
    key_init, key_train = jax.random.split(key)
    stage = classify(NET, sgd(hypers.rate), epochs=6, batch_size=7, patience=1)
    return stage(key_train, NET.init(key_init, data.train.x[0]), data)


SWEPT, PAIRS, ALONE = Sweep(run), Sweep(run, at_once=2), jax.jit(run)


def batch(seeds):
    return jax.vmap(jax.random.key)(seeds), Rate(0.1 + 0.6 * seeds)


@pytest.mark.parametrize(
    ("swept", "runs"),
    [(SWEPT, 1), (SWEPT, 3), (PAIRS, 1), (PAIRS, 5)],
    ids=["fewer than devices", "a last round made up", "fewer than at once", "in pairs and a last one"],
)
def test_every_run_gives_what_it_gives_alone(data, swept, runs):
    keys, hypers = batch(jnp.arange(runs))
    results, close = swept(keys, hypers, data), partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    for i in range(runs):
        alone = ALONE(keys[i], Rate(hypers.rate[i]), data)
        jax.tree.map(close, jax.tree.map(lambda leaf, i=i: leaf[i], results), alone)
    assert {len(leaf) for leaf in jax.tree.leaves(results)} == {runs}


def test_a_second_call_does_not_trace_again(data):
    keys, hypers = batch(jnp.arange(4))
    first = SWEPT(keys, hypers, data)
    before = len(TRACES)
    second = SWEPT(*batch(jnp.arange(10, 14)), data)
    assert SWEPT.memory(*batch(jnp.arange(4)), data) > sum(leaf.nbytes for leaf in jax.tree.leaves(data))
    assert len(TRACES) == before
    assert not np.array_equal(first[1].metrics["loss"], second[1].metrics["loss"])


def countdown(key, given, data):
    """As many rounds as the run asks for: what it was given, its key, how many rounds it made, a sum over the data."""
    jax.debug.callback(lambda steps: TOLD.append(int(steps)), given["steps"])

    def body(state):
        left, rounds, key = state
        return left - 1, rounds + 1, jax.random.fold_in(key, left)

    _, rounds, end = jax.lax.while_loop(lambda state: state[0] > 0, body, (given["steps"], 0, key))
    return given["name"], jax.random.key_data(end), rounds, data.test.y.sum()


COUNTING = {at_once: Sweep(countdown, at_once=at_once) for at_once in (None, 1, 2)}


@pytest.mark.parametrize("at_once", COUNTING)
@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5])
def test_runs_of_different_lengths_come_back_in_their_order(data, runs, at_once):
    """On both devices, in turn or side by side; a round that the runs do not fill is made up by copies of runs."""
    steps, names = np.array([5, 0, 9, 2, 7])[:runs], np.arange(2 * runs, dtype=np.float32).reshape(runs, 2)
    keys = jax.vmap(jax.random.key)(jnp.arange(runs))
    jax.effects_barrier()
    TOLD.clear()
    found_names, found_keys, rounds, total = COUNTING[at_once](keys, {"steps": steps, "name": names}, data)
    jax.effects_barrier()

    ends = []
    for key, left in zip(keys, steps, strict=True):
        for step in range(left, 0, -1):
            key = jax.random.fold_in(key, step)
        ends.append(jax.random.key_data(key))
    np.testing.assert_array_equal(found_names, names)
    np.testing.assert_array_equal(found_keys, ends)
    np.testing.assert_array_equal(rounds, steps)
    np.testing.assert_array_equal(total, np.full(runs, data.test.y.sum()))

    assert jax.device_count() == 2
    assert len(TOLD) == {1: 1, 2: 2, 3: 4, 4: 4, 5: 6}[runs]
    assert set(TOLD) == set(steps.tolist())


def test_memory_grows_with_the_runs_of_a_device(data):
    two, four = (PAIRS.memory(*batch(jnp.arange(runs)), data) for runs in (2, 4))
    parameters = 4 * (64 * 4 + 4 + 64 + 4 * 10 + 10)
    assert four - two > 2 * parameters * (4 - 2) / jax.device_count()
    assert SWEPT.memory(*batch(jnp.arange(4)), data) < four


def test_memory_counts_the_whole_data(data):
    """A run that needs nothing else takes, with more pixels, as many bytes more."""

    def memory(pixels):
        train = Labelled(np.zeros((8, pixels), np.uint8), np.zeros(8, np.int32))
        swept = Sweep(lambda key, given, data: given + data.train.x[0, 0])
        return swept.memory(batch(jnp.arange(4))[0], np.arange(4.0, dtype=np.float32), data._replace(train=train))

    assert memory(100_001) - memory(1) == pytest.approx(8 * 100_000, rel=0.01)


def test_memory_is_that_of_arguments_results_and_what_lies_between(data, monkeypatch):
    counted = SimpleNamespace(argument_size_in_bytes=1, output_size_in_bytes=20, temp_size_in_bytes=300)
    program = SimpleNamespace(memory_analysis=lambda: counted)
    monkeypatch.setattr(Sweep, "_program", lambda *_: program)
    assert Sweep(run).memory(*batch(jnp.arange(4)), data) == 321


@pytest.mark.parametrize("per_run", [1, 2])
def test_lowered_by_shapes_it_is_the_program_that_is_called(data, per_run):
    (keys, hypers), there = batch(jnp.arange(2 * jax.device_count())), jax.devices()
    given, shapes = jax.eval_shape(lambda: (Rate(hypers.rate[0]), data))
    lowered = Sweep(run, there, per_run).lower(len(keys), given, shapes)
    assert lowered.out_info[1].epochs.shape == (len(keys),)
    assert sweep.memory(lowered.compile()) == Sweep(run, per_run=per_run).memory(keys, hypers, data)


def test_runs_that_devices_do_not_share_evenly_are_not_lowered(data):
    with pytest.raises(ValueError, match="3 runs are not shared out evenly by 2 groups"):
        Sweep(run, jax.devices()[:2]).lower(3, Rate(jnp.ones(())), data)


@pytest.mark.parametrize(
    ("fast", "convolves", "settings"),
    [(True, True, "own"), (True, False, None), (False, True, None), (False, False, None)],
)
def test_only_convolutions_are_optimised_where_jax_is_not_to(data, monkeypatch, fast, convolves, settings):
    def run(key, given, data):
        image = data.train.x[:1].reshape(1, 1, 8, 8).astype(jnp.float32)
        return jax.lax.conv(image, image, (1, 1), "SAME").sum() if convolves else (image @ image).sum()

    seen, real = [], jax.stages.Lowered.compile
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self, options=None: seen.append(options) or real(self, options)
    )
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", fast)
    try:
        program = Sweep(run, 1)
        results = program(jax.vmap(jax.random.key)(jnp.arange(1)), (), data)
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
    assert seen == [sweep.OPTIMISED if settings else None]
    assert program.optimised == (convolves or not fast)
    image = np.asarray(data.train.x[0], np.float32).reshape(8, 8)
    padded = np.pad(image, (3, 4))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (8, 8))
    expected = np.einsum("abij,ij->", windows, image) if convolves else (image @ image).sum()
    np.testing.assert_allclose(results, [expected], rtol=1e-5)


def test_cpu_devices_share_nine_tenths_of_the_free_memory(monkeypatch):
    monkeypatch.setattr(sweep, "free_memory", lambda: 10**12)
    assert budget() == 9 * 10**11 // jax.local_device_count()
    assert jax.local_device_count() > 1


def test_an_accelerator_has_nine_tenths_of_its_own_free_memory(monkeypatch):
    class Accelerator:
        def memory_stats(self):
            return {"bytes_limit": 50_000, "bytes_in_use": 10_000}

    monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator(), Accelerator()])
    assert budget() == 36_000


@pytest.fixture
def available(monkeypatch):
    """The machine has 2500 bytes left."""
    memory = type(psutil.virtual_memory())(**psutil.virtual_memory()._asdict() | {"available": 2500})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [("3000", "1000", 2000), ("3000", "100", 2500), ("3000", "4000", 0), ("max", "1", 2500), (None, None, 2500)],
)
def test_a_container_has_no_more_memory_than_its_group_and_its_machine(available, tmp_path, limit, used, free):
    for name, value in {"max": limit, "current": used}.items():
        if value is not None:
            (tmp_path / f"memory.{name}").write_text(f"{value}\n")
    assert free_memory(tmp_path) == free


@pytest.mark.parametrize(
    ("devices", "per_run", "runs", "groups"),
    [(None, 1, 1, 1), (None, 1, 5, 2), (None, 2, 5, 1), (1, 1, 5, 1), (2, 1, 2, 2), (2, 2, 1, 1)],
)
def test_devices_form_groups_of_those_that_share_a_run(devices, per_run, runs, groups):
    assert jax.device_count() == 2
    assert Sweep(run, devices, per_run).groups(runs) == groups


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sweep(run, devices=99), "99 devices asked for; there are"),
        (lambda: Sweep(run, devices=0), "0 devices asked for"),
        (lambda: Sweep(run, per_run=99), "99 devices per run do not divide 2 devices"),
        (lambda: Sweep(run, per_run=0), "0 devices per run do not divide"),
        (lambda: Sweep(run, devices=1, per_run=2), "2 devices per run do not divide 1 devices"),
        (lambda: Sweep(run, devices=2).groups(1), "2 devices are more than 1 runs can use"),
    ],
)
def test_impossible_shares_are_refused_in_words(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_devices_of_other_hosts_are_not_left_out(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="1 devices asked for; on many hosts it must be all"):
        Sweep(run, devices=1)


def start(out, devices, *arguments):
    """Ten runs in a process of their own: see swept.py."""
    environment = os.environ | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    command = [sys.executable, str(Path(__file__).with_name("swept.py")), str(out), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def finish(*processes):
    try:
        for process in processes:
            _, stderr = process.communicate(timeout=300)
            assert process.returncode == 0, stderr.decode()[-2000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stderr.close()


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    out = tmp_path_factory.mktemp("swept") / "one"
    finish(start(out, 1, 1))
    return json.loads(out.read_text())


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("devices", "per_run", "processes"),
    [(8, 1, 1), (8, 4, 1), (1, 1, 2)],
    ids=["8 devices", "8 devices, 4 for each run", "2 processes"],
)
def test_devices_and_processes_agree_with_one_device(one_device, tmp_path, devices, per_run, processes):
    address = f"localhost:{free_port()}"
    joined = [(address, i) for i in range(processes)] if processes > 1 else [()]
    finish(*(start(tmp_path / "out", devices, per_run, *place) for place in joined))
    written = json.loads((tmp_path / "out").read_text())
    assert (one_device["devices"], written["devices"]) == (1, devices * processes)
    assert len(written["leaves"]) == len(one_device["leaves"]) > 0
    for ours, theirs in zip(written["leaves"], one_device["leaves"], strict=True):
        np.testing.assert_allclose(np.array(ours, float), np.array(theirs, float), rtol=1e-3, atol=1e-5)
