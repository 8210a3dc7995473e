"""The command line of a study: from options, by training, to a report.

An error that a user can correct ends the command with one message, any other with its traceback.
"""

import contextlib
import itertools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import jax

from dlx.show.console import steady
from dlx.show.progress import Progress
from dlx.store import Store, StoreError, open_store
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import About, Row, Study, main_of
from dlx.study.judge.asked import check_claims
from dlx.study.judge.table import missing, results
from dlx.study.judge.words import told
from dlx.study.publish.publish import publish
from dlx.study.run.committed import with_choices
from dlx.study.run.errors import in_one_line
from dlx.study.run.found import Found
from dlx.study.run.hosts import find_devices, join, use_every_core
from dlx.study.run.more import with_more
from dlx.study.run.plan import Search, arguments, foresee, plan, searched_whole, select
from dlx.study.run.records import Records
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


def check_given_once(arguments: Sequence[str]) -> None:
    """Raise ValueError if an option that takes several values is given twice: the first ones would be forgotten."""
    for flag in ("--rows", "--try", "--more"):
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


def train_and_publish(
    study: Study,
    name: str,
    options: CommonOptions,
    command: str,
    stops: Callable[[Callable[[], None]], AbstractContextManager[None]] = nullcontext,
) -> Found:
    """Do what is missing, and publish what there is: the course of every command.

    The page is read and checked. What is to do is told, and then done, within `stops(last_words)`. What was found is
    judged, and the first process publishes it.
    """
    prepare(options)
    about = study.datasets(options)
    rows, search = rows_and_search(study, options, about)
    stated = stated_time(study.doc, options.preset)
    store, folder = open_folders(name, options, about)
    first = jax.process_index() == 0
    with Progress({}) if first else Progress.silent() as progress, stops(partial(stopped, progress)):
        records = Records(options, store, about, progress)
        runner = Runner(options, records, progress)
        units = foresee(rows, records.finished, options.fresh_seeds(), search)
        whole = searched_whole(rows) if search.halving else []
        for remark in [*records.check_code(), runner.outlook(units, stated)]:
            progress.say(remark)
        if whole:
            progress.say(f"--halving: searched whole, as their trials have no epochs: {', '.join(whole)}")
        if runner.missing(units):
            check_claims(study, options, records.code.shapes, rows)
            if first:
                store.check_writable()
        outcomes = runner.train(rows, options.fresh_seeds(), search)
    found = Found.of(rows, outcomes, about, records.load, options.looks or 0)
    if first:
        remarks = [*missing(study, options, found), *records.check_code()]
        if found.runs:
            content = results(name, options.preset, command, found, study.metrics, study.claims)
            publish(study, found, content, remarks, records, folder, options.tensorboard)
            print(told(content))
        else:
            print(*remarks, sep="\n")
    return found


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
    rows = study.rows_on(options, about)
    values, known = tried_values(options.values), arguments(rows)
    for name in values:
        if name not in known:
            raise ValueError(f"--try {name}: no row has an argument {name!r}; there are {', '.join(known)}")
    if options.search == "committed":
        rows = with_choices(rows, committed_results(study), options.preset, main_of(about).origin.name)
        search = Search()
    else:
        search = Search(options.search, options.trials, options.halving, values)
    return with_more(select(rows, options.rows), options.more, options.fresh_seeds()), search


def committed_results(study: Study) -> Path:
    """The file of a page's committed results. Raises ValueError for a page in a notebook."""
    if study.file is None:
        raise ValueError("--search committed: a page in a notebook has no committed results")
    return study.file.parent / "results" / study.file.stem / "results.json"


def tried_values(texts: Sequence[str]) -> dict[str, list[float]]:
    """The values of --try, by argument. Raises ValueError for a text that is not NAME=NUMBER,NUMBER."""
    tried = {}
    for text in texts:
        name, _, numbers = text.partition("=")
        try:
            tried[name.strip()] = [float(number) for number in numbers.split(",")]
        except ValueError as error:
            raise ValueError(f"--try {text!r} is not NAME=NUMBER,NUMBER, such as rate=0.1,0.5") from error
    return tried


def stated_time(doc: str, preset: str) -> str:
    """The time that a page's docstring states for the command with this preset; empty if it states none."""
    lines = [line.partition("#") for line in doc.splitlines() if "python" in line and "#" in line]
    return next((time.strip() for line, _, time in lines if ("--preset paper" in line) == (preset == "paper")), "")


def open_folders(name: str, options: CommonOptions, about: About) -> tuple[Store, Store]:
    """The folder of records and that of results, which can be written to. Only the first process opens them."""
    if jax.process_index() > 0:
        return Store(options.out), Store(options.out)
    store = open_store(options.out, STORE)
    origins = {key: dataset.origin._asdict() for key, dataset in about.items()}
    identity = {"study": name, **options.of_the_table(), "data": origins}
    folder = open_store(options.results or Path(options.out) / name, identity, "--results")
    folder.check_writable()
    return store, folder


def stopped(progress: Progress) -> None:
    """Say on stderr what is lost by stopping now, and give the terminal back."""
    progress.__exit__()
    print("; ".join(filter(None, ("stopped", progress.lost(), GOES_ON))), file=sys.stderr)


def find(study: Study, options: CommonOptions | None = None) -> Found:
    """What the records in the options' folder say of a study. It trains nothing.

    Raises `dlx.data.DataError` if a data set is not available. Raises `StoreError` if it is not a folder of records.
    """
    options = options or study.options()
    about = study.datasets(options)
    rows, search = rows_and_search(study, options, about)
    records = Records(options, open_store(options.out, STORE), about, Progress.silent())
    _, outcomes = plan(rows, records.finished, options.fresh_seeds(), search)
    records.check_code()
    return Found.of(rows, outcomes, about, records.load, options.looks or 0)


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
    with Progress({}) if train else Progress.silent() as progress:
        records = Records(options, open_store(options.out, STORE), about, progress)
        if train:
            Runner(options, records, progress).keep(unit, entry)
        try:
            kept = records.load(unit)
            if entry not in (None, *kept):
                raise StoreError(f"{records.naming.name(unit)} has kept {', '.join(kept)}, and no {entry!r}")
            return kept if entry is None else kept[entry]
        except StoreError as error:
            raise StoreError(f"{error}: study.load(..., train=True) trains it, and what it stands on") from error
