"""The options that all studies share, and which of them belong to a table or to a unit."""

from dataclasses import dataclass, fields
from pathlib import Path

import jax
import pytest
import tyro

from dlx.study.declare.options import OF_THE_TABLE, CommonOptions, size


@dataclass(frozen=True)
class Own(CommonOptions):
    k: int = 1
    tied: bool = True


def parsed(*arguments, kind=CommonOptions):
    return tyro.cli(kind, args=arguments)


def test_options_come_from_the_command_line():
    options = parsed(
        "--preset", "paper", "--rows", "a", "exp3/*", "--try", "rate=0.1,0.5", "width=3", "--minutes", "1.5"
    )
    assert options.preset == "paper"
    assert options.rows == ("a", "exp3/*")
    assert options.values == ("rate=0.1,0.5", "width=3")
    assert options.minutes == 1.5
    assert parsed() == CommonOptions()
    own = parsed("--k", "3", "--no-tied", kind=Own)
    assert (own.k, own.tied) == (3, False)


def test_how_many_seeds_there_are():
    assert [CommonOptions(preset=preset).fresh_seeds() for preset in ("quick", "paper")] == [2, 10]
    assert CommonOptions(preset="paper", seeds=4).fresh_seeds() == 4


def test_what_changes_results_is_numerics_and_the_rest_is_not():
    assert CommonOptions().numerics() == ("unoptimized",)
    assert CommonOptions(preset="paper").numerics() == ()
    assert CommonOptions(preset="paper", precision="tf32").numerics() == ("tf32",)
    assert CommonOptions(precision="tf32").numerics() == ("tf32", "unoptimized")
    shares = CommonOptions(preset="paper", devices=2, devices_per_run=2, runs_at_once=3, memory=1.0, minutes=3.0)
    assert shares.numerics() == ()


CHANGED = {
    "preset": "paper",
    "data": "mnist",
    "rows": ("a",),
    "seeds": 3,
    "more": ("a=20",),
    "looks": 1,
    "search": "random",
    "trials": 4,
    "halving": True,
    "values": ("rate=1",),
    "out": Path("elsewhere"),
    "results": Path("there"),
    "minutes": 1.0,
    "devices": 2,
    "devices_per_run": 2,
    "runs_at_once": 2,
    "memory": 1.0,
    "precision": "tf32",
    "stale": "keep",
    "tensorboard": True,
    "coordinator": "auto",
    "num_processes": 2,
    "process_id": 0,
    "k": 2,
    "tied": False,
}


def test_the_table_is_of_what_decides_its_figures():
    assert set(CHANGED) == {one.name for one in fields(Own)}
    of_the_table = {
        name for name, value in CHANGED.items() if Own(**{name: value}).of_the_table() != Own().of_the_table()
    }
    assert of_the_table == {*OF_THE_TABLE, "k", "tied"}
    assert of_the_table == {
        "preset",
        "data",
        "rows",
        "search",
        "trials",
        "halving",
        "values",
        "precision",
        "k",
        "tied",
    }
    assert Own(k=5).of_the_table()["k"] == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"looks": -1}, "--looks must be at least 0, not -1"),
        ({"seeds": 0}, "--seeds must be at least 1, not 0"),
        ({"trials": 0}, "--trials must be at least 1, not 0"),
        ({"devices": 0}, "--devices must be at least 1, not 0"),
        ({"devices_per_run": -1}, "--devices-per-run must be at least 1, not -1"),
        ({"runs_at_once": 0}, "--runs-at-once must be at least 1, not 0"),
        ({"num_processes": 0}, "--num-processes must be at least 1, not 0"),
        ({"process_id": -1}, "--process-id must be at least 0, not -1"),
        ({"minutes": float("nan")}, "--minutes must be a number of 0 or more, not nan"),
        ({"minutes": -1.0}, "--minutes must be a number of 0 or more, not -1"),
        ({"memory": float("nan")}, "--memory must be a number of 0 or more, not nan"),
        ({"memory": 0.0}, "--memory 0 leaves no memory to train in"),
        ({"k": 0}, "--k must be at least 1, not 0"),
    ],
)
def test_values_that_no_run_can_have_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Own(**options).check()


def test_float64_is_refused_in_words():
    with jax.enable_x64(True), pytest.raises(ValueError, match="JAX_ENABLE_X64 is set, and the pages train in float32"):
        Own().check()


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("jax_enable_x64", True, "x64"),
        ("jax_threefry_partitionable", False, "threefry not partitionable"),
        ("jax_default_prng_impl", "rbg", "rbg"),
    ],
)
def test_settings_of_jax_that_change_numbers_name_a_unit_and_only_if_they_are_not_the_usual_ones(setting, value, name):
    assert Own(preset="paper").numerics() == ()
    before = getattr(jax.config, setting)
    jax.config.update(setting, value)
    try:
        assert Own(preset="paper").numerics() == (name,)
    finally:
        jax.config.update(setting, before)


def test_values_at_their_bounds_are_taken():
    Own(seeds=1, process_id=0, minutes=0.0, memory=1e-3, k=1, tied=False, halving=True).check()
    Own().check()


def test_the_memory_of_a_device_is_given_in_gigabytes():
    assert CommonOptions(memory=1.5).bytes_a_device() == 1_500_000_000
    assert CommonOptions().bytes_a_device() > 0


@pytest.mark.parametrize(
    ("count", "said"),
    [(999, "999 bytes"), (1000, "1.00 kB"), (1.5e6, "1.50 MB"), (2.345e9, "2.35 GB"), (0, "0 bytes"), (1e9, "1.00 GB")],
)
def test_bytes_in_words(count, said):
    assert size(count) == said
