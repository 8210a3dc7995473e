"""The command line of a study: from options, by training, to a report.

An error that a user can correct ends the command with one message, any other with its traceback.
"""

import contextlib
import io
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax

from dlx.show.console import steady
from dlx.show.progress import Progress, duration
from dlx.store import Store, StoreError, open_store
from dlx.study.declare.options import CommonOptions, size
from dlx.study.declare.page import About, Row, Study
from dlx.study.judge.asked import check_claims
from dlx.study.publish.publish import publish
from dlx.study.run.errors import in_one_line
from dlx.study.run.found import Found
from dlx.study.run.hosts import find_devices, join, use_every_core
from dlx.study.run.plan import Search, arguments, foresee, plan, searched_whole, select
from dlx.study.run.runner import Runner
from dlx.study.run.stopping import ends_on_signal
from dlx.sweep import Sweep
from dlx.unit import Kept, Unit, changed

STORE = {"store": "units of dlx studies, by program"}
"""The identity of a folder of records."""
SETTINGS = ("jax_default_matmul_precision", "jax_disable_most_optimizations")
"""The settings of JAX that `prepare` changes."""
GOES_ON = "the same command goes on from the last finished unit"


def main(study: Study, module: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Run a page from the command line.

    It exits with status 2 for an error that a user can correct, and with 130 when it is interrupted, within seconds.
    `module` is the page's module, if it is not the one that was started. Raises ValueError where there is no command
    line, as in a notebook; see `run`.
    """
    import tyro

    started = sys.modules["__main__"]
    if module is None and started.__spec__ is None and not os.path.isfile(getattr(started, "__file__", "")):
        raise ValueError(
            'a notebook, or python -c, has no command line for a page: call study.run(STUDY, options, name="width")'
        )
    steady()
    module = module or (started.__spec__.name if started.__spec__ else None)
    program = ["python", "-m", module] if module else ["python", sys.argv[0]]
    name = module.rpartition(".")[2] if module else Path(sys.argv[0]).stem
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        check_given_once(arguments)
        words = f"{(study.doc or '').strip()}\n\n{named_rows(study)}" if {"-h", "--help"} & {*arguments} else ""
        options = tyro.cli(study.options, prog=" ".join(program), description=words, args=arguments)
        train_and_publish(study, name, options, shlex.join([*program, *arguments]), ends_on_signal)
    except Exception as error:
        if (words := in_one_line(error)) is None:
            raise
        print(f"error: {words}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"stopped; {GOES_ON}", file=sys.stderr)
        sys.exit(130)


def run(study: Study, options: CommonOptions | None = None, name: str | None = None) -> Found:
    """Do what a page's command does, and return what was found: for notebooks, and for scripts of one's own.

    `name` is that of the folder of results. Default: that of the page's file. Raises ValueError if a page has neither,
    and what the command tells as an error. Afterwards JAX has the settings that it had before.
    """
    options = options or study.options()
    if not name:
        if study.file is None:
            raise ValueError('a page in a notebook needs a name: study.run(STUDY, options, name="width")')
        name = study.file.stem
    if name in ("", ".", "..", "units") or "/" in name:
        raise ValueError(f"a page cannot be called {name!r}: its name is that of a folder of results beside units/")
    given = ", ".join(f"{key}={value!r}" for key, value in changed(options).items())
    command = f"study.run(STUDY, {type(options).__name__}({given}), name={name!r})"
    before = {setting: jax.config.values[setting] for setting in SETTINGS}
    try:
        return train_and_publish(study, name, options, command)
    finally:
        for setting, value in before.items():
            jax.config.update(setting, value)


def check_given_once(arguments: Sequence[str]) -> None:
    """Raise ValueError if an option that takes several values is given twice: the first ones would be forgotten."""
    for flag in ("--rows", "--try"):
        if sum(argument.partition("=")[0] == flag for argument in arguments) > 1:
            raise ValueError(f"{flag} is given twice; give it once, with all its values after it")


def named_rows(study: Study) -> str:
    """The names of a page's rows by preset, as far as they can be told; nothing is downloaded."""
    named: dict[str, list[str]] = {}
    for preset, data in itertools.product(("quick", "paper"), ("blank", None)):
        if preset not in named:
            with contextlib.suppress(Exception):
                options = study.options(preset=preset, data=data)
                named[preset] = [row.name for row in study.rows(options, study.datasets(options))]
    return "\n\n".join(f"Rows of the preset {preset}: {', '.join(names)}" for preset, names in named.items())


def prepare(options: CommonOptions) -> None:
    """Set up jax as the options ask for. Raises ValueError for options that are not possible here."""
    options.check()
    use_every_core()
    jax.config.update("jax_default_matmul_precision", options.products())
    # At the quick sizes to compile takes longer than to run; but see `Sweep` on convolutions.
    jax.config.update("jax_disable_most_optimizations", options.preset == "quick")
    join(options.coordinator, options.num_processes, options.process_id)  # before any device is touched
    find_devices()
    Sweep(lambda *_: None, options.devices, options.devices_per_run)  # raises if there are fewer devices


def rows_and_search(study: Study, options: CommonOptions, about: About) -> tuple[list[Row], Search]:
    """The rows that are asked for, and how they are searched. Raises ValueError for unknown rows or arguments."""
    if not (study.doc or "").strip():
        raise ValueError("the page has no docstring: its first line is the title of the report, and says what is asked")
    rows = study.rows_on(options, about)
    for row in rows:
        if not row.name or any(letter.isspace() for letter in row.name):
            raise ValueError(f"the row name {row.name!r} is empty or has a space; choose one such as 'exp2/dbn'")
    if about["main" if "main" in about else next(iter(about))].origin.name != study.paper_data:
        rows = [replace(row, paper={}) for row in rows]
    values, known = tried_values(options.values), arguments(rows)
    for name in values:
        if name not in known:
            raise ValueError(f"--try {name}: no row has an argument {name!r}; there are {', '.join(known)}")
    return select(rows, options.rows), Search(options.search, options.trials, options.halving, values)


def tried_values(texts: Sequence[str]) -> dict[str, list[float]]:
    """The values of --try, by argument. Raises ValueError for a text that is not NAME=NUMBER,NUMBER."""
    found = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        try:
            found[name.strip()] = [float(number) for number in numbers.split(",")]
        except ValueError as error:
            raise ValueError(f"--try {text!r} is not NAME=NUMBER,NUMBER, such as rate=0.1,0.5") from error
    return found


def train_and_publish(
    study: Study,
    name: str,
    options: CommonOptions,
    command: str,
    stops: Callable[[Callable[[], None]], AbstractContextManager[None]] = nullcontext,
) -> Found:
    """Do what is missing, and publish what there is. While it trains it is within `stops(last_words)`."""
    prepare(options)
    about = study.datasets(options)
    first = jax.process_index() == 0
    rows, search = rows_and_search(study, options, about)
    seeds = options.fresh_seeds()
    results = options.results or Path(options.out) / name
    origins = {key: dataset.origin._asdict() for key, dataset in about.items()}
    store = open_store(options.out, STORE) if first else Store(options.out)
    table = {"study": name, **options.of_the_table(), "data": origins}
    folder = open_store(results, table, "--results") if first else store
    if first:
        folder.check_writable()
    with Progress({}) if first else Progress({}, stream=io.StringIO()) as progress, stops(partial(stopped, progress)):
        runner = Runner(options, store, about, progress)
        ahead = foresee(rows, runner.finished, seeds, search)
        for remark in runner.check_code():
            progress.say(remark)
        progress.say(said(runner, ahead, stated_time(study.doc, options.preset)))
        if search.halving and (whole := searched_whole(rows)):
            progress.say(f"--halving: searched whole, as their trials have no epochs: {', '.join(whole)}")
        if runner.missing(ahead):
            check_claims(study, options, runner.code.shapes, rows)
            if first:
                store.check_writable()
        while True:
            units, outcomes = plan(rows, runner.finished, seeds, search)
            kept = [unit for row in rows if row.name in outcomes for unit in outcomes[row.name].wanted[: row.keep]]
            ahead = units if len(outcomes) == len(rows) else foresee(rows, runner.finished, seeds, search)
            if not runner.advance(units, kept, ahead):
                break
    found = Found.of(rows, outcomes, about, runner.load)
    if first:
        publish(study, name, command, options, found, store, runner.naming, folder, runner.check_code())
    return found


def stopped(progress: Progress) -> None:
    """Say on stderr what is lost by stopping now, and give the terminal back."""
    progress.__exit__()
    print("; ".join(filter(None, ("stopped", progress.lost(), GOES_ON))), file=sys.stderr)


def stated_time(doc: str, preset: str) -> str:
    """The time that a page's docstring states for the command with this preset; empty if it states none."""
    lines = [line.partition("#") for line in doc.splitlines() if "python" in line and "#" in line]
    return next((time.strip() for line, _, time in lines if ("--preset paper" in line) == (preset == "paper")), "")


def said(runner: Runner, units: Sequence[Unit], stated: str) -> str:
    """How many units are to do, and how long and how much memory they take by the records, in words.

    `stated` is the time that the page states. It is shown where there are no records.
    """
    expected, missing = runner.estimate(units), runner.missing(units)
    ended = sum(unit not in missing for unit in units)
    parts = [f"{ended} of {ended + expected.units} units are finished, {expected.units} are to do"]
    if not expected.units:
        return parts[0]
    known = expected.units - expected.unknown
    if known:
        parts.append(f"about {duration(expected.seconds)} for {known} of them by the records there are")
    if expected.unknown:
        which = f"the other {expected.unknown}" if known else "they"
        parts.append(f"no record tells yet how long {which} take" + f" (the page states: {stated})" * bool(stated))
    data = sum(leaf.nbytes for (_, blind), one in runner.data.items() if not blind for leaf in jax.tree.leaves(one))
    memory = f"the data take {size(data)} on each device, and each program says before it starts what it takes"
    if expected.memory:
        memory = f"up to {size(expected.memory)} on each device by the records"
    return "; ".join([*parts, memory])


def find(study: Study, options: CommonOptions | None = None) -> Found:
    """What the records in the options' folder say of a study. It trains nothing.

    Raises `dlx.data.DataError` if a data set is not available. Raises `StoreError` if it is not a folder of records.
    """
    options = options or study.options()
    about = study.datasets(options)
    rows, search = rows_and_search(study, options, about)
    runner = Runner(options, open_store(options.out, STORE), about, Progress({}, stream=io.StringIO()))
    _, outcomes = plan(rows, runner.finished, options.fresh_seeds(), search)
    runner.check_code()
    return Found.of(rows, outcomes, about, runner.load)


def load(
    study: Study, unit: Unit, options: CommonOptions | None = None, train: bool = False, entry: str | None = None
) -> Kept:
    """What a finished unit has kept, such as its parameters, from the records in the options' folder.

    With an `entry`, such as "net", only what it has kept under this name. With `train`, a unit without saved arrays or
    without this entry is trained, and what it stands on. Otherwise raises `StoreError` if the unit is not finished, or
    if its arrays were not saved (see `Row.keep`).
    """
    options = options or study.options()
    if train:
        prepare(options)
    about = study.datasets(options)
    with Progress({}, stream=None if train else io.StringIO()) as progress:
        runner = Runner(options, open_store(options.out, STORE), about, progress)
        while train and runner.advance([unit], [unit]):
            pass
        try:
            if train and entry not in (None, *runner.load(unit)):
                runner.renew(unit)
            kept = runner.load(unit)
            if entry not in (None, *kept):
                raise StoreError(f"{runner.naming.name(unit)} has kept {', '.join(kept)}, and no {entry!r}")
            return kept if entry is None else kept[entry]
        except StoreError as error:
            raise StoreError(f"{error}: study.load(..., train=True) trains it, and what it stands on") from error
