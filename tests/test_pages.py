"""The laws of every page: a new page is under all of them by existing."""

import io
import re
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pages
import pytest

from dlx.show.progress import silent
from dlx.study.run.code import Shapes
from dlx.study.run.record import on_host, one_run
from dlx.types import Data
from dlx.unit import Unit
from experiments.__main__ import FOLDER, listing
from experiments.__main__ import pages as documented

BOTH = [(name, preset) for name in pages.studies() for preset in ("quick", "paper")]
SIZES = (60, 25, 23)
"""Examples of each split, at which programs are run."""
RUNS = 2

Place = tuple[str, str]
"""A page and a preset."""


def traits(unit: Unit, of_tuple: Callable[[tuple[Any, ...]], Any]) -> set[Any]:
    """The values of the fields of a program. Of sizes it counts only whether they are 0, of tuples what is asked."""
    kinds = {int: lambda value: value > 0, tuple: of_tuple}
    values = {name: kinds.get(type(value), lambda value: value)(value) for name, value in vars(unit.program).items()}
    return {(type(unit.program), *item) for item in [*values.items(), ("given", len(unit.given))]}


def parts(unit: Unit) -> tuple[int, int]:
    """How many layers and other parts a program has: with fewer it is compiled sooner."""
    values = vars(unit.program).values()
    return sum(len(value) for value in values if isinstance(value, tuple)), getattr(unit.program, "depth", 0)


def covering(places: Sequence[Place], of_tuple: Callable[[tuple[Any, ...]], Any]) -> dict[Place, list[int]]:
    """The numbers of a few units of each page and preset. Together they have every value of every field."""
    numbers: dict[Place, list[int]] = {place: [] for place in places}
    units = [(place, i, unit) for place in places for i, unit in enumerate(pages.planned(*place).units)]
    units = sorted((one for one in units if not on_host(one[2].program)), key=lambda one: parts(one[2]))
    left = [(place, i, traits(unit, of_tuple)) for place, i, unit in units]
    while left:
        place, i, seen = max(left, key=lambda one: len(one[2]))
        numbers[place].append(i)
        left = [(place, i, unseen) for place, i, mine in left if (unseen := mine - seen)]
    return numbers


LOWERED = covering(BOTH, len)


BATCHED = ("Grid",)
"""Programs that batch a training themselves. jax takes the transposed keys of its scan for keys that are used."""


@pytest.mark.parametrize(("name", "preset"), BOTH)
def test_every_program_lowers_for_any_platform_uses_no_key_twice_and_gives_one_score(name, preset):
    """So few programs that each value of a field, and each number of layers, is in one of them."""
    about, units, _ = pages.planned(name, preset)
    shapes = Shapes(about)
    for unit in map(units.__getitem__, LOWERED[name, preset]):
        with jax.debug_key_reuse(type(unit.program).__name__ not in BATCHED):
            _, result = shapes.outcome(unit)
        assert result.score.shape == ()
        assert result.diverged.shape == ()
        if about[unit.data].classes == pages.CLASSES:
            assert named(shapes.traced(unit).jaxpr.jaxpr) <= {pages.CLASSES}, "give the program a field `classes`"
        shapes.traced(unit).lower(lowering_platforms=("cuda", "tpu"))


def named(jaxpr: Any) -> set[int]:
    """The numbers of outputs among which a program looks for the largest, example by example: those of its nets.

    Among one, as in the channels of gray images, there is nothing to look for.
    """
    sizes = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "argmax" and equation.invars[0].aval.ndim > 1:
            sizes |= {equation.invars[0].aval.shape[axis] for axis in equation.params["axes"]} - {1}
        inner = (getattr(value, "jaxpr", value) for value in jax.tree.leaves(list(equation.params.values())))
        sizes = sizes.union(*(named(one) for one in inner if hasattr(one, "eqns")))
    return sizes


def test_no_two_programs_of_all_pages_have_one_name():
    kinds: dict[str, set[type]] = {}
    for name, preset in BOTH:
        for unit in pages.planned(name, preset).units:
            kinds.setdefault(type(unit.program).__name__, set()).add(type(unit.program))
    assert {name: len(some) for name, some in kinds.items() if len(some) > 1} == {}


@pytest.mark.parametrize("name", pages.studies())
def test_a_page_says_what_it_asks_what_it_takes_and_where_the_lecture_is(name):
    text = documented()[name]
    assert re.search(rf"python -m experiments {name} +# .*(minute|second)", text)
    assert re.search(rf"python -m experiments {name} --preset paper +# .*(minute|hour)", text)
    assert "\nLecture" in text
    assert text.splitlines()[0] in listing()
    assert lines_of_code((FOLDER / f"{name}.py").read_text()) <= 440


def lines_of_code(text: str) -> int:
    """How many lines have code: those with blanks, comments and docstrings alone do not count."""
    lines, before = set(), tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NL, tokenize.COMMENT):
            continue
        alone = token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.string.strip() and not alone:
            lines |= {*range(token.start[0], token.end[0] + 1)}
        before = token.type
    return len(lines)


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings():
    assert (
        lines_of_code(
            '"""A page.\n\nTwo lines."""\n\nx = 1  # so\n# why\n\n\ndef f():\n    """It."""\n    return (\n1)\n'
        )
        == 4
    )


@pytest.mark.parametrize("name", pages.studies())
def test_figures_have_captions_and_claims_have_words(name):
    study = pages.studies()[name]
    assert all(figure.caption for figure in study.figures.values())
    assert all(claim.words.endswith(".") for claim in study.claims)
    assert all(not claim.figure or study.names_figure(claim.figure) for claim in study.claims)
    assert study.notes(name), "write experiments/notes/NAME.md: the protocol, and what was tried"


class Compiled(NamedTuple):
    """A program at its quick size, on few examples, as a function of (key, (hypers, given), data)."""

    unit: Unit
    alone: Any
    batched: Any
    given: tuple[Any, ...]
    traces: list[str]


QUICK = [
    pytest.param(name, i, id=f"{name}, {pages.planned(name, preset).units[i].program}")
    for (name, preset), numbers in covering([(name, "quick") for name in pages.studies()], bool).items()
    for i in numbers
]
every_program = pytest.mark.parametrize(("name", "i"), QUICK)


@cache
def few(name: str, unit: Unit) -> Data:
    """The first examples of each split of the real quick data."""
    splits = pages.planned(name, "quick").about[unit.data].data
    return Data(*(jax.tree.map(lambda leaf, n=n: leaf[:n], split) for split, n in zip(splits, SIZES, strict=True)))


@cache
def compiled(name: str, i: int) -> Compiled:
    about, units, _ = pages.planned(name, "quick")
    unit, traces = units[i], []
    counts = {name: getattr(unit.program, name, None) for name in ("steps", "parts")}
    brief = {
        name: min(count, 5) for name, count in counts.items() if count
    }  # many steps enlarge differences of rounding
    run = one_run(replace(unit.program, **brief), silent)

    @jax.jit
    def alone(key, varied, data):
        traces.append(name)
        return run(key, varied, data)

    shapes = Shapes(about)
    rng = np.random.default_rng(0)

    def random(leaf):
        return (0.1 * rng.standard_normal((RUNS, *leaf.shape))).astype(leaf.dtype)

    given = tuple(jax.tree.map(random, shapes.outcome(other)[0]) for other in unit.given)
    return Compiled(unit, alone, jax.jit(jax.vmap(alone, in_axes=(0, 0, None))), given, traces)  # traced once for both


def varied(one: Compiled, scale: float = 1.0) -> Any:
    """Hypers [runs] that differ, and given arrays [runs, ...]."""
    values = jnp.linspace(1.0, 0.5, RUNS)
    return jax.tree.map(lambda value: scale * value * values, one.unit.hypers), one.given


def lane(i, tree):
    return jax.tree.map(lambda leaf: leaf[i], tree)


KEYS = jax.vmap(jax.random.key)(jnp.arange(RUNS))


@every_program
def test_a_run_in_a_batch_gives_what_it_gives_alone_and_the_same_seed_the_same_bits(name, i):
    one = compiled(name, i)
    data = few(name, one.unit)
    batch, close = one.batched(KEYS, varied(one), data), partial(np.testing.assert_allclose, rtol=1e-2, atol=1e-3)
    for j in range(RUNS):
        alone = one.alone(KEYS[j], lane(j, varied(one)), data)
        jax.tree.map(close, lane(j, batch), alone)
    again = one.alone(KEYS[RUNS - 1], lane(RUNS - 1, varied(one)), data)
    jax.tree.map(np.testing.assert_array_equal, again, alone)


@every_program
def test_other_seeds_and_hypers_do_not_trace_again_and_test_data_change_only_what_is_said_of_them(name, i):
    one = compiled(name, i)
    data = few(name, one.unit)
    kept, result = one.alone(KEYS[0], lane(0, varied(one)), data)
    before = len(one.traces), one.alone._cache_size()
    one.alone(KEYS[1], lane(1, varied(one, 0.9)), data)
    assert (len(one.traces), one.alone._cache_size()) == before == (1, 1)
    zeroed = data._replace(test=jax.tree.map(np.zeros_like, data.test))
    blind_kept, blind = one.alone(KEYS[0], lane(0, varied(one)), zeroed)
    jax.tree.map(np.testing.assert_array_equal, blind_kept, kept)
    for mine, other in ((result.measures, blind.measures), (result.curves, blind.curves)):
        seen = [{place: tree for place, tree in measures.items() if place != "test"} for measures in (mine, other)]
        jax.tree.map(np.testing.assert_array_equal, *seen)
    np.testing.assert_array_equal(result.score, blind.score)


@every_program
def test_data_are_arguments_and_effects_there_are_none(name, i):
    one = compiled(name, i)
    traced = one.alone.trace(KEYS[0], lane(0, varied(one)), few(name, one.unit))
    assert not traced.jaxpr.effects
    longest = max(map(len, re.findall(r"dense<[^>]*>", traced.lower().as_text())), default=0)
    images = 2 * few(name, one.unit).train.x.size  # as hexadecimal digits, two a byte
    assert longest < images / 2, "an array of the data set is baked into the program"
