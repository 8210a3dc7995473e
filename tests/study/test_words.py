"""The sentences of findings, word by word; p-values and intervals in them are those of SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from synthetic import find, found, of_error, row

from dlx.study import claims
from dlx.study.declare.finding import Finding
from dlx.study.declare.page import ERRORS, Claim, Metric
from dlx.study.judge.shares import called
from dlx.study.judge.words import answer, beside_paper, level_and_seeds, number, p_value, sentence, told

TEST, UNITS = ERRORS[-1], Metric("test/error", "hidden units")
LOW, HIGH = np.array([1.9, 2.0, 1.95, 1.85, 2.05]), np.array([2.2, 2.35, 2.3, 2.1, 2.45])


def words(decide, scale=0.01, **errors):
    return sentence(decide(found({name: list(scale * np.array(values)) for name, values in errors.items()})))


def test_a_difference_is_told_as_a_reader_says_it():
    told = words(claims.lower(TEST, "shallow", than="deep"), shallow=LOW, deep=HIGH)
    gain = HIGH - LOW
    half = stats.t.ppf(0.995, 4) * stats.sem(gain)
    ends = f"[{gain.mean() - half:.2f}, {gain.mean() + half:.2f}]".replace("0.", ".")
    assert ends == "[.21, .45]"
    assert round(stats.ttest_rel(HIGH, LOW).pvalue, 4) == 0.0002
    assert told == f"Test error: Shallow 1.95 %, Deep 2.28 %: .33 points more {ends}; 5 seeds, p = .0002."


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (claims.lower(TEST, "b", "a"), ": .33 points less [.21, .45]; 5 seeds rule out .1 points more, p < .0001."),
        (claims.lower(TEST, "a", "b", 0.1), "; claimed: more than .1 points; 5 seeds show .1 points more, p = .0008."),
        (claims.costs_at_most(TEST, "b", "a", 1), "; claimed: at most 1 point more; 5 seeds, p < .0001."),
        (claims.at_most(TEST, "a", 3), "Test error: A 1.95 % [1.79, 2.11]; claimed: at most 3 %; 5 seeds, p < .0001."),
        (claims.at_most(TEST, "a", 2), "; 5 seeds can tell .24 points; about 41 would tell."),
        (claims.exact(TEST, "a", 3), ": A 1.9 to 2.0 % in 5 runs, exact: at most 3 % in each run."),
        (claims.lower(TEST, "a", ["b", "b"]), "p = .0002; the other test is clearer."),
        (claims.higher(TEST, ["b", "a"], "a"), "; 1 of 2 tests holds."),
        (claims.lower(TEST, "a", "c"), "C: not finished, or without a number."),
    ],
)
def test_each_kind_of_claim_has_its_words(decide, said):
    assert said.lower() in words(decide, a=LOW, b=HIGH).lower()


def test_too_few_runs_show_their_values_and_say_why_they_decide_nothing():
    decide = claims.lower(TEST, "a", "b")
    two = "Test error: A 1.9 and 2 %, B 2.2 and 2.35 %; 2 seeds, and 3 are the fewest that decide."
    assert words(decide, a=LOW[:2], b=HIGH[:2]) == two
    same = "Test error: A 2 %, B 2.5 %; all 4 seeds give the same, so that nothing tells how far others would be off."
    assert words(decide, a=[2.0] * 4, b=[2.5] * 4) == same
    exact = claims.exact(TEST, "a", 0)
    assert words(exact, a=[0, 0, 0]) == "Test error: A 0 % in 3 runs, exact."
    assert words(exact, a=[0, 0]) == "Test error: A 0 % in 2 runs, exact; 3 runs are the fewest that decide."
    assert words(decide, a=LOW, b=LOW) == "Test error: the same in each run (A; B)."


def test_numbers_have_the_digits_that_the_interval_supports():
    wide = words(claims.lower(UNITS, "a", "b"), 1, a=[4100, 4200, 4150], b=[5390, 5310, 5380])
    assert wide.startswith("Hidden units: A 4150, B 5360: 1210 more [")
    close = words(claims.lower(TEST, "a", "b"), a=LOW, b=LOW + 0.01 + np.array([0, 1, 2, -1, -2]) / 1000)
    assert ": .0100 points more [.0067, .0133]" in close


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_that_does_not_touch_0_is_not_rounded_to_it(sign):
    gain = 0.2 + 0.0962 * np.array([0, 1, 1, -1, -1])
    low, high = 0.2 + stats.t.ppf([0.005, 0.995], 4) * stats.sem(gain)
    assert 0 < low < 0.005
    told = words(claims.lower(TEST, "a", "b"), a=LOW, b=LOW + sign * gain)
    ends = f"[{low:.3f}, {high:.3f}]".replace("0.", ".")
    assert f": .200 points {'more' if sign > 0 else 'less'} {ends}" in told


def test_titles_with_commas_or_numbers_stand_behind_their_values():
    some = found({"p1": list(LOW / 100), "p2": list(HIGH / 100)})
    assert sentence(claims.lower(TEST, "p1", "p2")(some)).startswith("Test error: 1.95 % (P1), 2.28 % (P2): .33 points")


def test_rows_of_one_title_are_told_apart_by_their_groups():
    """Rows of one group have it once, behind what is compared."""
    titles = {"g/a": "plain", "g/b": "both", "h/a": "plain", "h/b": "both", "rest": "alone"}
    rows = [replace(row(name), title=title, group=f"group {name[0]}") for name, title in titles.items()]
    records = {one.build(seed): of_error(0.2 + 0.1 * i) for i, one in enumerate(rows) for seed in (1, 2, 3)}
    some = find(rows, records)
    for first, second, said in (
        ("g/a", "g/b", "Test error (group g): plain 20 %, both 30 %;"),
        ("g/a", "h/a", "Test error: 20 % (plain; group g), 40 % (plain; group h);"),
        ("g/a", "rest", "Test error: 20 % (plain; group g), 60 % (alone);"),
    ):
        assert sentence(claims.lower(TEST, first, second)(some)).startswith(said)


def test_a_share_of_runs_counts_them():
    some = found({"row": [of_error(0.1)] * 5})
    finding = called("test/error", ["x"], {"row": ["x"]}, 0.9)(some)
    assert sentence(finding).startswith(
        "Runs that are called by their name: 100 % [35, 100]; claimed: at least 90 %; 5 runs"
    )


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.331, 2, ".33"),
        (-0.05, 2, "-.05"),
        (-0.001, 2, "0"),
        (10.25, 1, "10.2"),
        (4510.0, None, "4510"),
        (687808.4, None, "687808"),
        (0.25, None, ".25"),
        (1e-6, None, "1e-6"),
        (0.0, None, "0"),
        (8.74e-6, 7, "8.7e-6"),
    ],
)
def test_a_number_has_no_zero_before_the_point(value, places, text):
    assert number(value, places) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.00026, "p = .0003"),
        (0.037, "p = .04"),
        (0.4449, "p = .44"),
        (3e-7, "p < .0001"),
        (None, ""),
        (0.00997, "p = .00997"),  # below the level, and so it does not read .01
        (0.0102, "p = .01"),
    ],
)
def test_a_p_value_has_one_digit(p, text):
    assert p_value(p) == text


@pytest.mark.parametrize(
    ("values", "paper", "words"),
    [
        ([], 1.2, "every run diverged"),
        ([], None, "every run diverged"),
        ([1.3, 1.2, 1.4], None, "no figure in the paper"),
        ([1.3, 1.4], 1.2, "fewer than 3 runs do not tell"),
        ([1.3, 1.2, 1.4], 1.2, "not told apart: the paper's single run on 10 000 examples could be off by .28 points"),
        ([1.8, 1.7, 1.9], 1.2, "higher than the paper's by .60"),
        ([1.8, 1.7, 1.9], 2.4, "lower than the paper's by .60"),
    ],
)
def test_a_mean_beside_the_papers_says_why_they_are_not_told_apart(values, paper, words):
    assert beside_paper(values, paper, 10_000) == words


def test_the_answer_is_made_of_the_claims_that_answer_or_else_of_the_first_two():
    some = [Claim("It helps.", lambda _: Finding("holds"), answers=i > 1) for i in range(6)]
    findings = [
        Finding(verdict, f"part {i}") for i, verdict in enumerate(["holds", "does not hold", "not enough runs"] * 2)
    ]
    assert answer(some, findings) == "Not decided: It helps; part 2. Yes: It helps; part 3. No: It helps; part 4."
    assert answer(some[:2], findings[:2]) == "Yes: It helps; part 0. No: It helps; part 1."
    assert answer([], []) == ""


def test_a_terminal_shows_the_verdicts_and_then_the_answer():
    content = {"claims": [{"verdict": "holds", "claim": "It helps.", "words": "By 3."}], "answer": "Yes: It helps."}
    assert told(content) == "holds: It helps. By 3.\nanswer: Yes: It helps."
    assert told({"claims": [], "answer": ""}) == ""


def test_more_seeds_than_planned_are_told_with_the_level():
    row = {"title": "deep", "n": 19, "diverged": 1, "planned": 20}
    assert level_and_seeds({"level": 0.01, "rows": [row, row]}) == "Verdicts are at level .01."
    more = level_and_seeds({"level": 0.005, "rows": [{**row, "planned": 10}]})
    assert more.startswith("Verdicts are at level .005: ")
    assert more.endswith("More seeds than planned have deep (20 for 10).")
