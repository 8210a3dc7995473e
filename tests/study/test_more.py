"""Fresh seeds beyond those that were planned, and what they cost the level."""

import pytest
from synthetic import find, of_error, row

from dlx.study.declare.options import CommonOptions
from dlx.study.run.more import with_more
from dlx.study.run.plan import plan

ROWS = [row("exp2/a"), row("exp2/b", seeds=3), row("exp3/a")]


def test_rows_get_as_many_fresh_seeds_as_is_said():
    rows = with_more(ROWS, ["exp2/*=7", "exp3/a=6"], 5)
    assert [(one.seeds, one.more) for one in rows] == [(None, 2), (3, 4), (None, 1)]
    _, runs = plan(rows, lambda unit: None, 5)
    assert [[unit.seed for unit in one.wanted] for one in runs.values()] == [
        [*range(1, 8)],
        [*range(1, 8)],
        [*range(1, 7)],
    ]
    assert with_more(ROWS, (), 5) == ROWS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exp2/a", "'exp2/a' is not ROW=SEEDS, such as exp2/dbn=20"),
        ("exp2/a=many", "is not ROW=SEEDS"),
        ("exp4/*=9", "names no row; the rows are exp2/a, exp2/b, exp3/a"),
        ("exp2/*=4", "exp2/a has 5 seeds without; at most are possible 1000"),
        ("exp2/a=2000", "at most are possible 1000"),
    ],
)
def test_what_is_no_more_is_refused(text, said):
    with pytest.raises(ValueError, match="--more") as error:
        with_more(ROWS, [text], 5)
    assert said in str(error.value)


@pytest.mark.parametrize("options", [{"more": ("a=20",)}, {"looks": 1}])
def test_more_seeds_say_how_often_results_were_looked_at(options):
    with pytest.raises(ValueError, match="--more and --looks need each other"):
        CommonOptions(**options).check()
    CommonOptions(more=("a=20",), looks=0).check()


def test_found_knows_how_often_results_were_looked_at():
    one = row("a")
    assert find([one], {one.build(1): of_error(0.1)}).looks == 0
