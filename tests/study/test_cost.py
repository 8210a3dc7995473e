"""The time beforehand: what records tell of units that are still to do."""

import time
from dataclasses import replace
from functools import partial

import jax
import pytest
from synthetic import dataset, find, found, of_error, row, runner_in, toy

from dlx import sweep
from dlx.store import open_store
from dlx.study.run.cost import Cost, Estimate, Spent, core_seconds, seconds_used, shared_out, spent


def test_to_compile_is_counted_once_a_program_and_never_times_its_units():
    """Two programs: 6 and 1 seconds to compile, then 2 and 5 a unit. They ran in pairs, the first in two processes."""
    small = [
        Spent(2 + 6 / 2, 6),
        Spent(2 + 6 / 2, 0),
        Spent(2, 0),
        Spent(2, 0),
        Spent(2 + 6 / 2, 6),
        Spent(2 + 6 / 2, 0),
    ]
    large = [Spent(5.5, 1), Spent(5.5, 0)]
    known = {toy(0, width=width).program: Cost.of(each) for width, each in ((1, small), (2, large))}
    assert [*known.values()] == [pytest.approx(Cost(2, 6)), pytest.approx(Cost(5, 1))]
    units = [toy(seed, width=width) for seed in range(3) for width in (1, 2, 3)]
    each = shared_out(units, known)
    assert [each[toy(seed, width=1)] for seed in range(3)] == pytest.approx([8, 2, 2])
    assert [each[toy(seed, width=2)] for seed in range(3)] == pytest.approx([6, 5, 5])
    assert [each[toy(seed, width=3)] for seed in range(3)] == pytest.approx([3.5 + 3.5, 3.5, 3.5]), "the mean of both"
    told = Estimate.of(units, known, 7)
    assert (told.units, told.unknown, told.memory) == (9, 3, 7)
    assert told.seconds == pytest.approx(6 + 3 * 2 + 1 + 3 * 5)
    assert set(shared_out(units, {}).values()) == {0.0}, "nothing is known"
    assert spent({"seconds": 3.0}) == (3, 0), "a record of before"


@pytest.fixture
def runner(tmp_path):
    return partial(runner_in, open_store(tmp_path, {}))


def done(runner, units):
    while runner.advance(units):
        pass
    return [runner.records.finished(unit) for unit in units]


def test_a_record_tells_what_went_by_before_the_first_step_once_for_units_side_by_side(runner):
    first = runner()
    count = first._program([toy(1), toy(2)]).groups(2)
    records = done(first, [toy(seed, width=30) for seed in range(1, 2 * count + 1)])
    compiling = [record["compile"] for record in records]
    assert compiling[0] > 0
    assert compiling[1:count] == [0.0] * (count - 1)
    assert compiling[0] < sum(record["seconds"] for record in records[:count])
    assert compiling[count] < compiling[0] / 5, "compiled already"
    assert all(record["core_seconds"] > 0 for record in records)
    assert {record["core_seconds"] for record in records[:count]} == {records[0]["core_seconds"]}


def test_on_cpus_the_work_of_cores_is_counted_and_on_accelerators_the_time_on_each(monkeypatch):
    begun, first = seconds_used(4), time.process_time()
    while time.process_time() < first + 0.05:
        pass
    time.sleep(0.2)
    assert 0.05 <= seconds_used(4) - begun < 0.2, "without the time asleep"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    begun = seconds_used(4)
    time.sleep(0.05)
    assert seconds_used(4) - begun >= 4 * 0.05


def test_a_run_costs_its_core_seconds_or_its_seconds_on_all_that_was_there():
    assert core_seconds({"seconds": 3.0, "core_seconds": 5.0, "device": "cpu x 4"}) == 5
    assert core_seconds({"seconds": 3.0, "device": "cpu x 4, other x 2"}) == 18, "it does not tell: all there were"
    assert core_seconds({"seconds": 3.0}) == 3


def test_a_record_tells_what_the_units_below_it_cost_each_once(runner):
    bottom = toy(1)
    middle = toy(1, given=(bottom,), width=2)
    *below, top = done(runner(devices=1), [bottom, middle, toy(1, given=(bottom, middle), width=3)])
    assert top["below"] == pytest.approx(sum(record["core_seconds"] for record in below))
    assert below[0]["below"] == 0


def test_the_cost_of_a_run_is_that_of_all_it_stands_on():
    """Of seeds 1 to 4: a run, one that diverged, one that does not tell of its layers, one that is not finished."""
    given = replace(row("a"), build=lambda seed, **trial: toy(seed, given=(toy(seed, width=7),)))
    told = [{"core_seconds": 4.0, "below": 10}, {"diverged": True, "below": 10}, {}]
    records = {given.build(seed): of_error(0.1, **more) for seed, more in enumerate(told, 1)}
    assert find([given], records, 4)["a"].costs() == {1: 4 + 10}
    assert found({"b": [0.1, 0.2]}, core_seconds=3)["b"].costs() == {1: 3, 2: 3}, "they stand on nothing"


def test_records_of_other_rates_tell_the_time_and_those_of_other_data_and_programs_do_not(runner, tmp_path):
    done(runner(), [toy(1, rate=0.1, width=3), toy(2, rate=0.1, width=3)])
    again, new = runner(), [toy(1, rate=0.7, width=3), toy(1, rate=0.7, width=4)]
    told = again.estimate(new)
    assert (told.units, told.unknown) == (2, 1)
    seconds = [
        spent(again.records.store.load(again.records.naming.name(toy(seed, rate=0.1, width=3)))) for seed in (1, 2)
    ]
    assert told.seconds == pytest.approx(sum(Cost.of(seconds)))
    assert runner(about={"main": dataset(fingerprint="0" * 64)}).estimate(new).unknown == 2
    assert runner(preset="paper").estimate(new).unknown == 2, "they are of the quick preset"
    assert runner(preset="paper", like=again.records).estimate(new).unknown == 1
    (tmp_path / "units" / "Toy" / "0.json").write_text('{"record": {"fields": {"width": 4}, "seconds": []}}')
    assert runner().estimate(new).unknown == 1


@pytest.mark.parametrize(("cost", "compiled"), [(Cost(run=1.0, compile=2.0), 1), (Cost(run=2.0, compile=1.0), 2)])
def test_an_odd_last_unit_runs_in_the_program_that_is_there_unless_it_takes_longer(runner, monkeypatch, cost, compiled):
    """And it comes to the same bits."""
    units = [toy(seed, width=17) for seed in (1, 2, 3)]
    alone = runner(devices=1)
    expected = [done(alone, [unit])[0] for unit in units]
    for unit in units:
        (alone.records.store.folder / "units" / f"{alone.records.naming.name(unit)}.json").unlink()
    pairs, programs = runner(), []
    monkeypatch.setattr(pairs, "_known", lambda units: {unit.program: cost for unit in units})
    monkeypatch.setattr(sweep, "memory", lambda program: programs.append(program) or 0)
    records = done(pairs, units)
    assert len({*map(id, programs)}) == compiled
    for record, before in zip(records, expected, strict=True):
        assert [record[name] for name in ("score", "measures", "curves")] == [
            before[name] for name in ("score", "measures", "curves")
        ]
