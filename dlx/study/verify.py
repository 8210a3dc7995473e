"""Checks committed outcomes: it draws units at random, trains them again, and compares their records."""

import itertools
import json
import lzma
import math
import random
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from dlx.data import DataError
from dlx.show.console import steady
from dlx.show.progress import Progress, duration
from dlx.store import Store, StoreError, open_store, processor, to_json
from dlx.study.command import STORE, prepare, rows_and_search
from dlx.study.declare.page import Study
from dlx.study.publish.index import read_results
from dlx.study.run.cost import shared_out
from dlx.study.run.errors import in_one_line
from dlx.study.run.found import Record
from dlx.study.run.plan import plan
from dlx.study.run.records import Records
from dlx.study.run.runner import Runner
from dlx.study.run.stopping import ends_on_signal
from dlx.unit import Unit

COMPARED = ("score", "diverged", "measures", "curves")
IDENTITY = ("program", "fields", "hypers", "given", "seed", "data", "blind", "numerics", "lineage")
RELATIVE, ABSOLUTE = 1e-2, 2e-3
HOW = (
    f"compared: {', '.join(COMPARED)}. If the record names these CPUs and these versions, every bit must agree. "
    f"Otherwise fractional numbers must agree to {RELATIVE:.0%} or {ABSOLUTE:g} (a fifth of a point of an error). Of a "
    "curve only the first and the last number are then compared, and whole numbers are not, such as the epoch of a stop"
)


@dataclass(frozen=True)
class Options:
    """Train units of committed outcomes again, and compare the results with their records."""

    name: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = None
    """The page. Default: every page that has a committed outcome."""
    units: int = 3
    """How many units of each page to draw."""
    minutes: float = 10.0
    """Draw among the units that took at most this many minutes, each with the units that it stands on."""
    seed: int | None = None
    """Seed of the draw. Default: from the clock."""


def main(pages: Mapping[str, Callable[[], Study]], results: Path, arguments: Sequence[str]) -> None:
    """Verify from the command line.

    It exits with status 1 if anything differs, or else with 2 for an error that a user can correct.
    """
    steady()
    options = tyro.cli(Options, prog="python -m experiments verify", args=arguments)
    committed = [name for name in pages if (results / name / "records.tar.xz").exists()]
    seed = int(time.time()) if options.seed is None else options.seed
    status = 0
    for name in [options.name] if options.name else committed or ["any page"]:
        try:
            if name not in committed:
                there = ", ".join(committed) or "none"
                raise ValueError(f"there is no committed outcome of {name} in {results}; those to choose from: {there}")
            if options.units < 1:
                raise ValueError(f"--units must be at least 1, not {options.units}")
            status = status if verify(name, pages[name](), results / name, options, seed) else 1
        except DataError as error:
            first = str(error).splitlines()[0]
            print(f"error: {name} is verified on the data that it was trained on: {first}", file=sys.stderr)
            status = status or 2
        except Exception as error:
            if (words := in_one_line(error)) is None:
                raise
            print(f"error: {words}", file=sys.stderr)
            status = status or 2
    if status:
        sys.exit(status)


def verify(name: str, study: Study, outcome: Path, options: Options, seed: int) -> bool:
    """Whether all agrees. It prints a line for each unit trained again, and for each record of another unit.

    Raises `DataError`, `StoreError` or ValueError if the outcome or the data cannot be read. It raises ValueError if
    they do not belong together, or if no unit fits into the minutes.
    """
    content = read_results(outcome / "results.json")
    more, looks = tuple(content["more"]), content["looks"] if content["more"] else None
    common = study.options(preset="paper", stale="keep", more=more, looks=looks)
    prepare(common)
    about, origin = study.datasets(common), content["data"]
    if origin["fingerprint"] not in [dataset.origin.fingerprint for dataset in about.values()]:
        raise ValueError(
            f"the data here are not those of {outcome}, {origin['name']} ({origin['variant']}): set DLX_DATA_DIR to a "
            "folder that holds them"
        )
    with (
        tempfile.TemporaryDirectory(prefix="dlx-verify-") as temporary,
        Progress({}) as progress,
        ends_on_signal(lambda: stopped(progress, temporary)),
    ):
        folder = unpack(outcome / "records.tar.xz", Path(temporary) / "committed")
        committed = Records(common, open_store(folder, STORE), about, progress)
        again = Records(common, open_store(Path(temporary) / "again", STORE), about, progress)
        runner = Runner(common, again, progress, like=committed)
        rows, search = rows_and_search(study, common, about)

        def whole(unit: Unit) -> Record | None:
            record = committed.finished(unit)
            return record if record and {*COMPARED, "seconds", "device", "versions"} <= record.keys() else None

        units, _ = plan(rows, whole, common.fresh_seeds(), search)
        records = {unit: record for unit in units if (record := whole(unit))}
        faults = [*strange(folder, {committed.naming.name(unit) for unit in records}), *altered(committed, records)]
        for fault in faults:
            print(fault, flush=True)
        costs = seconds(committed, records)
        fitting = [unit for unit, cost in costs.items() if cost <= 60 * options.minutes]
        if not fitting and not faults:
            raise ValueError(
                f"no unit of {name} fits into --minutes {options.minutes:g}; the shortest takes "
                f"{duration(min(costs.values(), default=0.0))}"
            )
        drawn = random.Random(seed).sample(fitting, min(options.units, len(fitting)))
        every = dict.fromkeys(link for unit in drawn for link in unit.lineage)
        untold = [unit for unit in every if unit not in records]
        print(
            f"{name}: {len(fitting)} of {len(records)} units could be drawn: by the records they take at most "
            f"{duration(60 * options.minutes)} each; drawn by --seed {seed}: {len(drawn)}, which take about "
            f"{duration(sum((costs[unit] for unit in drawn), 0.0))} together"
            + f", with {len(untold)} below them that no record tells of, at the mean of all" * bool(untold)
            + f"; {len({unit.kind for unit in every})} programs are compiled before; {HOW}",
            flush=True,
        )
        agreed = train_again(runner, drawn, committed, records, outcome)
    return agreed and not faults


def train_again(
    runner: Runner, drawn: Sequence[Unit], committed: Records, records: Mapping[Unit, Record], outcome: Path
) -> bool:
    """Train the units that are drawn, and say of each whether it agrees. Whether all agree.

    Records that do not say which code made them, and agree, are told it in the outcome.
    """
    agreed, silent = True, []
    while left := [unit for unit in drawn if not runner.records.finished(unit)]:
        runner.advance(left)
        for unit in left:
            if record := runner.records.finished(unit):
                agrees, words = compare(records[unit], record)
                print(f"{committed.naming.label(unit)}: {words}", flush=True)
                agreed &= agrees
                if agrees and "code" not in records[unit]:
                    silent.append(unit)
                    told_now = {key: record[key] for key in ("code", "computation")}
                    committed.store.amend(committed.naming.name(unit), told_now)
    if silent:
        print(told(committed.store, outcome, len(silent)), flush=True)
    return agreed


def told(store: Store, outcome: Path, count: int) -> str:
    """Pack the records again, of which so many now say which code makes them; the same in words."""
    names = [json.loads(path.read_bytes())["unit"] for path in sorted((store.folder / "units").rglob("*.json"))]
    try:
        Store(outcome).write("records.tar.xz", store.archive(names, shown=names))
    except StoreError as error:
        return f"{count} records do not say which code made them, and cannot be told it: {error}"
    return f"{count} records of {outcome / 'records.tar.xz'} now say which code makes them"


def stopped(progress: Progress, temporary: str) -> None:
    """Give the terminal back, and leave nothing behind."""
    progress.__exit__()
    print("stopped", file=sys.stderr)
    shutil.rmtree(temporary, ignore_errors=True)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the records into the folder, and return it. Raises ValueError if the archive is damaged."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{archive} is damaged: take it from the repository again") from error
    return folder


def strange(folder: Path, names: set[str]) -> Iterator[str]:
    """One line that names the files that are not the record of a unit of these names, if there are any."""
    files = (path.relative_to(folder / "units") for path in sorted((folder / "units").rglob("*.json")))
    if others := [name for path in files if (name := path.with_suffix("").as_posix()) not in names]:
        yield f"{', '.join(others)}: DIFFERS: damaged, or of no unit that follows from the page and the other records"


def altered(committed: Records, records: Mapping[Unit, Record]) -> Iterator[str]:
    """One line for each record that is not of the unit that its name says."""
    for unit, record in records.items():
        identity = json.loads(to_json(committed.naming.description(unit)))
        if differ := list(differences({key: record[key] for key in IDENTITY if key in record}, identity)):
            yield f"{committed.naming.label(unit)}: DIFFERS from the unit of this name: {'; '.join(differ)}"


def seconds(committed: Records, records: Mapping[Unit, Record]) -> dict[Unit, float]:
    """The seconds of each unit, with those that it stands on.

    For units without a record they are estimated, see `dlx.study.run.cost.shared_out`.
    """
    every = [link for unit in records for link in unit.lineage]
    typical = shared_out(every, committed.costs(every))

    def one(unit: Unit) -> float:
        return float(records[unit]["seconds"]) if unit in records else typical[unit]

    return {unit: sum(map(one, unit.lineage)) for unit in records}


def compare(old: Record, new: Record) -> tuple[bool, str]:
    """Whether two records of a unit agree, and the same in words.

    Every bit must agree if both have as many CPUs of the same model, and the same versions. On accelerators the bits
    depend on which runs are trained side by side. Curves that the old record leaves out are not compared.
    """
    named = new["device"].rpartition(" x ")[0] == processor() != "cpu"
    exact = named and all(old[key] == new[key] for key in ("device", "versions"))
    before, now = ({key: record[key] for key in COMPARED} for record in (old, new))
    told = {place: entries.keys() for place, entries in before["curves"].items()}
    now["curves"] = {
        place: {name: curve for name, curve in entries.items() if name in told[place]}
        for place, entries in now["curves"].items()
        if place in told
    }
    score = f"score {old['score']}, {new['score']} now"
    if not (bits := list(differences(before, now))):
        return True, f"agreed bit for bit: {score}"
    far = list(differences(before, now, exact=False))
    if far or exact:
        by = " and ".join(f"{record.get('revision')!s:.7}" for record in (old, new))
        near = ", though within the tolerance," * (not far)
        return False, f"DIFFERS{near} in {'; '.join(bits if exact else far)} (revisions {by})"
    return True, f"agreed within tolerance: {score}"


def differences(old: Any, new: Any, exact: bool = True, name: str = "") -> Iterator[str]:
    """The name of each value that differs, with the old and the new one. Of a list only the first such is named."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            entries = (tree.get(key, "nothing") for tree in (old, new))
            yield from differences(*entries, exact, f"{name}/{key}".strip("/"))
    elif isinstance(old, list) and isinstance(new, list):
        pairs = list(enumerate(itertools.zip_longest(old, new, fillvalue="nothing")))
        if not exact and old and new:  # rounding errors grow where a curve is steep, and runs stop at other epochs
            pairs = [(i, (old[i], new[i])) for i in (0, -1)]
        each = (differences(*pair, exact, f"{name}[{i}]") for i, pair in pairs)
        yield from itertools.islice(itertools.chain.from_iterable(each), 1)
    elif not agree(old, new, exact):
        yield f"{name}: {old!s:.60} committed, {new!s:.60} now"


def agree(old: Any, new: Any, exact: bool) -> bool:
    """Whether two values are the same JSON or, if not `exact`, two numbers within the tolerance."""
    if exact or to_json(old) == to_json(new):
        return to_json(old) == to_json(new)
    try:
        return type(old) is type(new) is int or math.isclose(old, new, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    except TypeError:  # words, such as "nan"
        return False
