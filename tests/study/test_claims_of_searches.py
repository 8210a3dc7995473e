"""Verdicts on searches that rank their trials alike, against scipy, and what is shown of searches and by whom."""

import math

import numpy as np
import pytest
from scipy import stats
from synthetic import find, found, of_error, rates, record, row, toy

from dlx.show import figures as draw
from dlx.study import claims, figures
from dlx.study.declare.page import ERRORS, Metric
from dlx.study.run.found import Attempt
from dlx.study.run.plan import arguments, first_trials

ERROR = ERRORS[1]
RATES = (0.1, 0.2, 0.4, 0.8, 1.6)
ALIKE = np.array([[0.10, 0.20, 0.30, 0.40, 0.50]] * 5)
SWAPS = [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]


def with_error(value):
    """A record of this validation error, or without one."""
    return record(0.5, {} if value is None else {"valid": {"error": value}})


def searched(rows):
    """What is found of searches [trials, seeds] by name, whose records or validation errors are given."""
    made = [row(name, rates(*RATES[: len(trials)]), search_seeds=len(trials[0])) for name, trials in rows.items()]
    records = {
        one.build(-seed, rate=rate).blinded(): value if isinstance(value, dict) else with_error(value)
        for one in made
        for rate, values in zip(RATES, rows[one.name], strict=False)
        for seed, value in enumerate(values)
    }
    return find(made, records, 1)


def swapped(swaps=SWAPS):
    """Errors [trials, seeds] of which in each seed two trials have changed places."""
    errors = np.array(ALIKE)
    for seed, (i, j) in enumerate(swaps):
        errors[seed, [i, j]] = errors[seed, [j, i]]
    return errors.T


def decided(least, ours, theirs, metric=ERROR):
    return claims.ranks_agree(metric, "part", "all", least)(searched({"part": ours, "all": theirs}))


@pytest.mark.parametrize(
    ("least", "verdict"),
    [
        ("below low", "holds"),
        ("above low", "not enough runs"),
        ("below high", "not enough runs"),
        ("above high", "does not hold"),
    ],
)
def test_ranks_agree_by_the_interval_of_spearmans_correlation_over_the_search_seeds(least, verdict):
    ours, theirs = swapped(), ALIKE.T
    rho = [stats.spearmanr(a, b).statistic for a, b in zip(ours.T, theirs.T, strict=True)]
    mean, half = np.mean(rho), stats.t.ppf(0.995, 4) * stats.sem(rho)
    sides = {"below low": -1.001, "above low": -0.999, "below high": 0.999, "above high": 1.001}
    finding = decided(mean + sides[least] * half, ours.tolist(), theirs.tolist())
    assert finding.verdict == verdict
    assert (finding.label, finding.runs) == ("rank correlation by valid error", "search seeds")
    np.testing.assert_allclose(finding.interval[:3], [mean, mean - half, min(mean + half, 1)], rtol=1e-6)


def test_ranks_that_are_reversed_do_not_agree():
    assert decided(0.0, swapped().tolist(), ALIKE[:, ::-1].T.tolist()).verdict == "does not hold"


@pytest.mark.filterwarnings("default")
def test_ranks_are_of_the_metric_and_not_of_its_size():
    finding = decided(0.5, (swapped() ** 3).tolist(), (1 + ALIKE.T).tolist())
    np.testing.assert_allclose(finding.interval, decided(0.5, swapped().tolist(), ALIKE.T.tolist()).interval)
    other = Metric("valid/loss", "loss")
    assert decided(0.5, swapped().tolist(), ALIKE.T.tolist(), other).verdict != "holds"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("lost", [None, float("nan"), float("inf")])
def test_a_run_without_a_finite_value_ranks_last(lost):
    """The best trial of two seeds has none: as if it were the worst."""
    ours = swapped().tolist()
    worst, without = ([[*row] for row in ours] for _ in range(2))
    for seed in (2, 3):
        worst[0][seed], without[0][seed] = 0.99, lost
    expected = decided(0.5, worst, ALIKE.T.tolist())
    assert expected.sides != decided(0.5, ours, ALIKE.T.tolist()).sides
    assert decided(0.5, without, ALIKE.T.tolist()) == expected


def test_only_trials_that_both_searches_have_are_ranked():
    more = [*swapped().tolist()[:4], [0.0] * 5]
    finding = decided(0.0, more, ALIKE.T.tolist()[:4])
    assert finding == decided(0.0, more[:4], ALIKE.T.tolist()[:4])


def test_a_run_that_diverged_ranks_last_whatever_it_says():
    lost, worst = swapped().tolist(), swapped().tolist()
    lost[0][0], worst[0][0] = {**with_error(lost[0][0]), "diverged": True}, 0.99
    assert decided(0.0, lost, ALIKE.T.tolist()) == decided(0.0, worst, ALIKE.T.tolist())


def test_agreement_without_variance_and_a_single_seed_decide_nothing():
    finding = decided(0.5, ALIKE.T.tolist(), ALIKE.T.tolist())
    assert (finding.verdict, finding.interval.mean) == ("not enough runs", pytest.approx(1))
    assert decided(0.5, ALIKE[:1].T.tolist(), ALIKE[:1].T.tolist()).verdict == "not enough runs"


def test_the_search_seeds_that_both_have_count():
    assert decided(0.5, swapped()[:, :2].tolist(), ALIKE.T.tolist()) == decided(
        0.5, swapped()[:, :2].tolist(), ALIKE[:2].T.tolist()
    )


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.2]]),
        ([[0.1, 0.2]], [[0.1, 0.2]]),
        ([[0.1, 0.1], [0.1, 0.1]], [[0.1, 0.2], [0.3, 0.4]]),
    ],
)
def test_searches_that_share_less_than_two_trials_or_rank_nothing_resolve_nothing(ours, theirs):
    finding = decided(0.5, ours, theirs)
    assert (finding.verdict, finding.p) == ("not enough runs", None)
    assert finding.note == "the two searches have no trials in common that they could rank"


@pytest.mark.parametrize("there", ["part", "all"])
def test_a_search_that_is_not_there_or_not_over_resolves_nothing(there):
    rows = [row(name, rates(0.1, 0.2)) for name in ("part", "all")]
    records = {one.build(0, rate=rate).blinded(): of_error(rate) for one in rows for rate in (0.1, 0.2)}
    half = {unit: entry for unit, entry in records.items() if unit.program == toy(0, width=width(there)).program}
    decide = claims.ranks_agree(ERROR, "part", "all", 0.5)
    for some in (find(rows, half, 1), find([one for one in rows if one.name == there], records, 1)):
        finding = decide(some)
        assert finding.verdict == "not enough runs"
        assert finding.note == "the two searches have no trials in common that they could rank"


def width(name):
    return row(name).build(1).program.width


def attempt(*records):
    return Attempt({}, tuple(toy(-seed) for seed in range(len(records))), records)


def test_a_measure_of_an_attempt_is_its_mean_over_the_search_seeds():
    one = attempt(of_error(0.2), of_error(0.4), of_error(0.9))
    np.testing.assert_allclose(one.mean("valid/error"), 0.25)
    np.testing.assert_allclose(one.mean("train/error"), 0.125)


@pytest.mark.parametrize(
    "lost",
    [with_error(None), with_error(float("nan")), with_error(float("inf")), of_error(0.1, diverged=True)],
    ids=["lacks it", "nan", "inf", "diverged"],
)
def test_an_attempt_of_which_one_run_has_no_measure_has_none(lost):
    assert math.isnan(attempt(of_error(0.2), lost).mean("valid/error"))
    assert math.isnan(attempt().mean("valid/error"))


def test_the_first_trial_of_each_row_stands_where_those_that_it_comes_after_have_chosen_theirs():
    rows = [
        row("last", lambda chosen: [{"rate": [2 * chosen["first"]["rate"], 9.0], "width": 3}], after=("first",)),
        row("first", ({"rate": [0.3, 0.1], "epochs": [7, 5]}, {"masking": 0.5})),
        row("single"),
    ]
    assert first_trials(rows) == {
        "first": {"rate": 0.3, "epochs": 7},
        "single": {},
        "last": {"rate": 0.6, "width": 3},
    }
    assert arguments(rows) == ["rate", "epochs", "masking", "width"]


@pytest.fixture
def drawn(monkeypatch):
    """What is asked of the functions that draw."""
    asked = []
    for name in ("bars", "scatter", "samples"):
        drawn = [] if name == "scatter" else "figure"
        monkeypatch.setattr(
            draw, name, lambda what, *where, drawn=drawn, **how: asked.append((what, where, how)) or drawn
        )
    return asked


def test_the_search_figure_draws_a_measure_in_place_of_the_score(drawn):
    one = row("a", rates(0.1, 0.2, 0.4), search_seeds=2)
    errors = {0.1: (0.2, 0.4), 0.2: (0.1, 0.1), 0.4: (0.3, None)}
    records = {
        one.build(-seed, rate=rate).blinded(): {**with_error(error), "score": -rate}
        for rate, pair in errors.items()
        for seed, error in enumerate(pair)
    }
    some = find([one], records, 1)
    figures.search("score")(some)
    figures.search("error %", 100, measure="valid/error")(some)
    (scores, _, _), (measured, _, how) = drawn
    assert how == {"ylabel": "error %"}
    assert [point.hypers for point in measured] == [{"rate": rate} for rate in errors]
    np.testing.assert_allclose([point.value for point in scores], [-0.1, -0.2, -0.4])
    np.testing.assert_allclose([point.value for point in measured], [30, 10, np.nan])
    assert [point.chosen for point in measured] == [False, False, True], "by the score"


def test_bars_are_drawn_of_the_groups_that_are_named(drawn):
    rows = [row(name, group=group) for name, group in [("a", "g"), ("b", "h"), ("c", "g"), ("d", "i")]]
    some = find(rows, {one.build(1): of_error(0.1) for one in rows}, 1)
    assert figures.bars(ERROR, ("g", "i", "none"))(some) == ["figure", "figure"]
    assert [(how["title"], [bar.label for bar in panel]) for panel, _, how in drawn] == [
        ("g", ["A", "C"]),
        ("i", ["D"]),
    ]
    drawn.clear()
    figures.bars(ERROR)(some)
    assert [how["title"] for _, _, how in drawn] == ["g", "h", "i"]


def test_samples_are_what_the_first_seed_of_each_row_keeps_in_the_groups_that_are_named(drawn):
    rows = [row(name, group=group) for name, group in [("a", "g"), ("b", "h"), ("c", "g")]]
    records = {one.build(seed): of_error(0.1, kept=seed > 1) for one in rows[:2] for seed in (1, 2, 3)}
    records |= {rows[2].build(seed): of_error(0.1) for seed in (1, 2)}
    kept = {unit: {"chains": np.full((1, 2, 4), unit.seed), "w": np.zeros(3)} for unit in records}
    some = find(rows, records, 3, load=kept.__getitem__)
    assert figures.samples("chains")(some) == "figure"
    assert figures.samples("chains", ("h",))(some) == "figure"
    assert figures.samples("chains", ("none",))(some) is None
    (every, where, _), (one, _, _) = drawn
    assert (list(every), list(one), where) == (["A", "B"], ["B"], ((2, 2),))
    for images in every.values():
        np.testing.assert_array_equal(images, np.full((1, 2, 4), 2), "the first that keeps any")


def test_nothing_is_drawn_of_samples_that_no_run_keeps(drawn):
    assert figures.samples("chains")(found({"a": [0.1]})) is None
    assert drawn == []
