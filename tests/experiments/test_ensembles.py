"""Ensembles against NumPy, scikit-learn and enumeration; and what differs between members."""

from functools import cache
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlx.data import Dataset, Provenance
from dlx.nets.mlp import hidden
from dlx.show.progress import silent
from dlx.study.run.record import one_run
from experiments import ensembles
from experiments.ensembles import STUDY, Member, Which, member_net

KEY = jax.random.key(3)
WIDTHS = (7, 5)


@cache
def compiled(program):
    return jax.jit(one_run(program, silent))


def member(data, start, order, rate=0.1):
    return compiled(Member(WIDTHS, 2, 10, 40))(KEY, (Which(rate, start, order), ()), data)[0]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True))


def test_a_start_and_an_order_decide_a_member_and_each_makes_a_difference(data):
    starts = [member(data, start, order, rate=0.0) for start, order in ((0, 0), (0, 1), (1, 0))]
    assert same(starts[0], starts[1])
    assert not same(starts[0], starts[2])
    ends = [member(data, start, order) for start, order in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert same(ends[0], ends[3])
    assert not any(same(one, other) for one, other in combinations(ends[:3], 2))


@pytest.mark.parametrize(("example", "seen"), [(39, True), (40, False)])
def test_a_member_is_trained_on_the_first_examples_alone(data, example, seen):
    x = data.train.x.copy()
    x[example] = 255 - x[example]
    other = data._replace(train=data.train._replace(x=x))
    assert same(member(data, 0, 0), member(other, 0, 0)) == (not seen)


def test_members_of_the_page_differ_in_what_their_row_says(data):
    members = {}
    rows = STUDY.rows(STUDY.options(), {"main": Dataset(data, Provenance("none", "none", "none", ""), (8, 8), 10)})
    for row in rows:
        unit = row.build(3, rate=0.1)
        assert {one.seed for one in (unit, *unit.given)} == {3}
        members[row.name] = [(one.hypers.start, one.hypers.order) for one in unit.given]
    eight = range(8)
    assert members["single"] == members["large"] == [(0, 0)]
    assert members["order"] == [(0, i) for i in eight]
    assert members["start"] == [(i, 0) for i in eight]
    assert members["both"] == [(i, i) for i in eight]


def test_members_that_are_not_groups_are_refused(data):
    with pytest.raises(ValueError, match="3 members are not groups of 2"):
        ensembles.together(jnp.zeros((3, 5, 10)), 2)


@pytest.mark.parametrize("members", [1, 4])
def test_parameters_are_those_of_the_net_and_a_larger_net_has_just_enough(members):
    wide = ensembles.as_large(WIDTHS, members, 64)
    params = jax.eval_shape(member_net(wide).init, KEY, jnp.zeros(64, jnp.uint8))
    used = [leaf for name in params for part, leaf in params[name].items() if part in "wb"]
    assert sum(leaf.size for leaf in used) == ensembles.parameters(wide, 64)
    narrower = tuple(width - 1 for width in wide)
    needed = members * ensembles.parameters(WIDTHS, 64)
    assert ensembles.parameters(narrower, 64) < needed <= ensembles.parameters(wide, 64)
    assert len(params[hidden(0)]["b"]) == wide[0]


def test_a_net_of_equal_layers_is_as_large_as_itself():
    assert ensembles.as_large((6, 6), 1, 64) == (6, 6)
