"""What claims ask for: found by every decider without runs; a typo is an error, a row of another preset is not."""

import pytest
from synthetic import dataset, found, row

from dlx.study import claims
from dlx.study.declare.finding import Finding
from dlx.study.declare.options import CommonOptions
from dlx.study.declare.page import ERRORS, Claim, Metric, Study
from dlx.study.judge import shares, starts
from dlx.study.judge.asked import asked, check_claims
from dlx.study.judge.table import missing, results
from dlx.study.run.code import Shapes

ABOUT = {"main": dataset()}
ERROR, MEAN = ERRORS[-1], Metric("valid/error", "mean")


def fails_without_runs(some):
    return Finding("holds", str(some["a"].values("test/error")[0] + some["b"].values("test/error")[0]))


DECIDERS = {
    "lower": (claims.lower(ERROR, "a", ["b", "c"], 1), {"a": ["test/error"], "b": ["test/error"], "c": ["test/error"]}),
    "higher": (claims.higher(ERROR, ["a"], "b"), {"a": ["test/error"], "b": ["test/error"]}),
    "gains_more": (claims.gains_more(MEAN, ("a", "b"), ("c", "d")), {name: ["valid/error"] for name in "abcd"}),
    "ranks_agree": (claims.ranks_agree(ERROR, "a", "b", 0.5), {"a": [], "b": []}),
    "at_most": (claims.at_most(ERROR, ["a", "b"], 1), {"a": ["test/error"], "b": ["test/error"]}),
    "exact": (claims.exact(ERROR, ["a", "b"], 1), {"a": ["test/error"], "b": ["test/error"]}),
    "at_least": (claims.at_least(ERROR, "a", 1), {"a": ["test/error"]}),
    "costs_at_most": (claims.costs_at_most(ERROR, "a", "b", 1), {"a": ["test/error"], "b": ["test/error"]}),
    "near_paper": (claims.near_paper(ERROR, ["a"], 0.1), {"a": ["test/error"]}),
    "all_of": (
        claims.all_of(claims.at_most(ERROR, "a", 1), claims.at_most(MEAN, "a", 1), claims.at_least(ERROR, "b", 1)),
        {"a": ["test/error", "valid/error"], "b": ["test/error"]},
    ),
    "any_of": (
        claims.any_of(claims.at_most(ERROR, "a", 1), claims.at_most(ERROR, "b", 1)),
        {"a": ["test/error"], "b": ["test/error"]},
    ),
    "called": (shares.called("flags/first", ["x"], {"a": ["x"]}, 0.9), {"a": ["flags/first"]}),
    "steadier": (starts.steadier(ERROR, "a", "b"), {"a": ["test/error"], "b": ["test/error"]}),
    "of one's own": (lambda some: claims.at_most(ERROR, [*some], 1)(some), {"a": ["test/error"], "b": ["test/error"]}),
    "one that fails": (fails_without_runs, {"a": ["test/error"]}),
    "nothing": (lambda some: Finding("holds", "always"), {}),
}


@pytest.mark.parametrize(("decide", "expected"), DECIDERS.values(), ids=DECIDERS)
def test_every_decider_tells_what_it_asks_for(decide, expected):
    assert asked(Claim("So it is.", decide), {name: row(name) for name in "ab"}, ABOUT) == expected


def study(*some):
    """A page whose preset `paper` has one row more."""

    def rows(options, about):
        return [row("a"), row("b")] + [row("large")] * (options.preset == "paper")

    return Study("A title.", lambda options: dataset(), rows, claims=[Claim("So it is.", decide) for decide in some])


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (claims.at_most(ERROR, "A", 1), "the claim 'So it is.' asks for the row 'A'; there are a, b, large"),
        (
            claims.lower(Metric("test/eror", ""), "a", "b"),
            "asks for the measure 'test/eror' of row 'a'; there are .*test/error",
        ),
    ],
)
def test_a_typo_is_an_error(decide, said):
    page, options = study(claims.at_most(ERROR, "a", 1), decide), CommonOptions()
    with pytest.raises(ValueError, match=said):
        check_claims(page, options, Shapes(ABOUT), page.rows(options, ABOUT))


def test_a_row_of_another_preset_is_no_error_and_its_claim_is_left_out():
    page, options = study(claims.lower(ERROR, "large", "a"), claims.at_most(MEAN, ["a", "b"], 1)), CommonOptions()
    check_claims(page, options, Shapes(ABOUT), page.rows(options, ABOUT))
    here, every = found({"a": [0.1], "b": [0.2]}), found({"a": [0.1], "b": [0.2], "large": [0.3]})
    said = "The claim 'So it is.' is left out: it asks for large, which this table does not have."
    for some, left_out in ((here, [said]), (every, [])):
        content = results("page", "quick", "", some, [ERROR], page.claims)
        assert (len(content["claims"]), missing(page, options, some)) == (2 - len(left_out), left_out)
