"""The content of results.json from synthetic records, against numpy and scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from synthetic import TEST, dataset, find, found, of_error, rates, record, row

from dlx.stats import mcnemar, paired
from dlx.study import claims
from dlx.study.declare.finding import Finding
from dlx.study.declare.page import ERRORS, Claim, Metric, Published
from dlx.study.judge import table

PAPER = {"train/error": Published(2.5, "B"), "test/error": Published(10.0)}


def entries(some, metrics=ERRORS):
    return {(entry["row"], entry["metric"]): entry for entry in table.rows(some, metrics)}


def test_an_entry_has_mean_and_interval_over_seeds_beside_the_papers_figure_of_that_metric():
    one = row("a", paper=PAPER, group="g")
    errors = [0.1, 0.14, 0.12]
    made = entries(find([one], {one.build(i): of_error(error) for i, error in enumerate(errors, 1)}))
    assert list(made) == [("a", "train error %"), ("a", "valid error %"), ("a", "test error %")]
    for part, metric in zip((4, 2, 1), ERRORS, strict=True):
        entry, values = made["a", metric.label], 100 * np.array(errors) / part
        half = stats.t.ppf(0.975, 2) * stats.sem(values)
        np.testing.assert_allclose(entry["values"], values)
        np.testing.assert_allclose(
            [entry[k] for k in ("mean", "low", "high")], values.mean() + half * np.array([0, -1, 1])
        )
        assert (entry["n"], entry["diverged"], entry["group"], entry["title"]) == (3, 0, "g", "A")
    figures = [(made["a", metric.label]["paper"], made["a", metric.label]["paper_status"]) for metric in ERRORS]
    assert figures == [(2.5, "B"), (None, None), (10.0, "A")]


def test_diverged_runs_are_counted_and_not_in_the_mean():
    lost = of_error(0.9, diverged=True)
    made = entries(found({"a": [0.1, lost, 0.2], "b": [lost, lost], "c": [lost, 0.3]}, paper={"b": 10.0}))
    entry = made["a", "test error %"]
    assert (entry["n"], entry["diverged"], entry["values"]) == (2, 1, [10.0, 20.0])
    assert entry["mean"] == pytest.approx(15)
    entry = made["b", "test error %"]
    assert (entry["n"], entry["diverged"], entry["values"], entry["mean"]) == (0, 2, [], None)
    assert entry["verdict"] == "every run diverged"
    entry = made["c", "test error %"]
    assert (entry["mean"], entry["low"], entry["high"]) == (pytest.approx(30), None, None)


@pytest.mark.parametrize(
    ("errors", "paper", "said"),
    [
        ([0.1, 0.12, 0.11], 11.0, "not told apart: the paper's single run on 200 examples could be off by 5.70 points"),
        ([0.30, 0.30, 0.30], 10.0, "higher than the paper's by 20.00"),
        ([0.01, 0.01, 0.02], 31.0, "lower than the paper's by 29.67"),
        ([0.1, 0.12], 10.0, "fewer than 3 runs do not tell"),
        ([0.1, 0.12], None, "no figure in the paper"),
    ],
)
def test_the_verdict_beside_the_papers_figure(errors, paper, said):
    made = entries(found({"a": errors}, paper={} if paper is None else {"a": paper}))
    assert made["a", "test error %"]["verdict"] == said


def test_the_papers_interval_is_that_of_as_many_examples_as_the_split_has():
    """Seeds at 20 %, paper at 10 %: on 200 examples its interval ends at 15.5 %, on 20 at 27.3 %."""
    assert stats.norm.ppf(0.995) * np.sqrt(0.1 * 0.9 / 20) > 0.1 > stats.norm.ppf(0.995) * np.sqrt(0.1 * 0.9 / TEST)
    for size, said in ((TEST, "higher than the paper's by 10.00"), (20, "not told apart: ")):
        made = entries(found({"a": [0.2, 0.2, 0.2]}, paper={"a": 10.0}, about={"main": dataset(test=size)}))
        assert made["a", "test error %"]["verdict"].startswith(said)


def test_a_metric_that_is_no_share_has_no_verdict_and_is_only_in_rows_that_have_it():
    parameters = Metric("model/parameters", "parameters")
    two = [row("a", paper={"model/parameters": Published(9.0)}), row("b")]
    records = {two[0].build(1): record(measures={"model": {"parameters": 12}}), two[1].build(1): of_error(0.1)}
    made = entries(find(two, records), [parameters, ERRORS[-1]])
    assert list(made) == [("a", "parameters"), ("b", "test error %")]
    assert (made["a", "parameters"]["mean"], made["a", "parameters"]["verdict"]) == (12.0, "")


def test_paired_tests_are_of_the_same_seeds_and_examples_within_a_group():
    first = {"a": [0.1, None, 0.2, 0.15], "b": [0.2, 0.3, None, 0.2]}
    rows = [row("a", group="g"), row("b", group="g"), row("c", group="h")]
    records = {rows[2].build(1): of_error(0.1)}
    for one in rows[:2]:
        for seed, error in enumerate(first[one.name], 1):
            if error is not None:
                records[one.build(seed)] = of_error(error, first=5 * (one.name == "b"))
    (test,) = table.tests(find(rows, records, 4), ERRORS)
    assert (test["a"], test["b"], test["group"], test["seeds"]) == ("a", "b", "g", 2)

    def wrong(error, first):
        return np.roll(np.arange(TEST) < round(error * TEST), first)

    mine, other = (
        np.stack([wrong(error, first) for error in pair]) for pair, first in (((0.1, 0.15), 0), ((0.2, 0.2), 5))
    )
    assert test["p_digits"] == pytest.approx(paired(mine, other))
    assert test["p_digits"] == pytest.approx(min(1, 2 * np.median(list(map(mcnemar, mine, other)))))
    assert test["p_seeds"] == pytest.approx(stats.ttest_rel([0.1, 0.15], [0.2, 0.2]).pvalue)


def test_the_test_over_seeds_is_of_the_metric_that_is_shown():
    """Rows with the same errors, but other nats: one run diverged."""
    nats = {"a": [0.1, 0.2, 0.4, float("nan")], "b": [0.3, 0.1, 0.7, 0.5]}
    rows, records = [row("a"), row("b")], {}
    for one in rows:
        for seed, value in enumerate(nats[one.name], 1):
            records[one.build(seed)] = entry = of_error(0.2)
            entry["measures"]["test"]["nats"] = value
    (test,) = table.tests(find(rows, records, 4), [*ERRORS, Metric("test/nats", "nats", per_example="test/wrong")])
    assert test["p_seeds"] == pytest.approx(stats.ttest_rel(nats["a"][:3], nats["b"][:3]).pvalue)
    assert test["p_digits"] == 1
    (test,) = table.tests(find(rows, records, 4), ERRORS)
    assert test["p_seeds"] is None


def test_what_a_run_gets_wrong_is_read_example_by_example():
    """Two rows with equal errors on other examples, and two on the same."""
    rows = [row(name) for name in "abc"]
    records = {one.build(s): of_error(0.2, first=s) for one in rows[:2] for s in (1, 2)}
    records |= {rows[2].build(s): of_error(0.3, first=s) for s in (1, 2)}
    found_tests = {(t["a"], t["b"]): t for t in table.tests(find(rows, records, 2), ERRORS)}
    assert found_tests["a", "b"]["p_digits"] == 1
    assert found_tests["a", "c"]["p_digits"] == pytest.approx(min(1, 4 * stats.binom.cdf(0, 20, 0.5)))
    assert table.tests(find(rows, records, 2), ERRORS[:2]) == [], "no metric pairs examples"
    before = ERRORS[-1]._replace(per_example="valid/wrong")
    assert table.tests(find(rows, records, 2), [before, ERRORS[-1]]) == [*found_tests.values()], "the last one counts"


def test_rows_of_different_data_sets_are_not_paired():
    about = {"main": dataset(), "other": dataset(test=50)}
    rows = [row("a"), row("b"), row("c")]
    rows[2] = replace(rows[2], build=lambda seed, build=rows[2].build, **t: replace(build(seed, **t), data="other"))
    records = {one.build(1): of_error(0.1) for one in rows}
    small = of_error(0.1)
    small["measures"]["test"]["wrong"]["size"] = 50
    records[rows[2].build(1)] = small
    assert [(t["a"], t["b"]) for t in table.tests(find(rows, records, 1, about), ERRORS)] == [("a", "b")]


def test_the_search_lists_every_trial_with_its_score_and_which_was_chosen():
    space = ({"rate": [0.5, 0.1, 0.9], "width": 7}, {"rate": 0.3, "masking": 0.25, "width": 7})
    rows = [row("a", space), row("b", rates(0.2)), row("c", rates(0.1, 0.2))]
    scores = {0.5: 0.3, 0.1: 0.1, 0.9: float("nan"), 0.3: 0.2}
    search = {
        rows[0].build(0, rate=rate, masking=m, width=7).blinded(): record(scores[rate])
        for rate, m in ((0.5, 0.0), (0.1, 0.0), (0.9, 0.0), (0.3, 0.25))
    }
    search |= {rows[2].build(0, rate=rate).blinded(): record(0.1, diverged=True) for rate in (0.1, 0.2)}
    made = table.search(find(rows, search))
    assert [list(entry) for entry in made] == [["row", "rate", "masking", "score", "brief", "chosen"]] * 6
    told = [(e["row"], e["rate"], e["masking"], e["score"], e["chosen"]) for e in made]
    assert told == [
        ("a", 0.5, None, 0.3, False),
        ("a", 0.1, None, 0.1, True),
        ("a", 0.9, None, None, False),
        ("a", 0.3, 0.25, 0.2, False),
        ("c", 0.1, None, None, False),
        ("c", 0.2, None, None, False),
    ]


def test_results_say_where_they_come_from():
    one, other = row("a", rates(0.1, 0.2)), row("b")
    around = [{"seconds": 1.5, "revision": "old", "device": "cpu x 1"}, {"seconds": 2.5}, {"revision": None}]
    records = {one.build(0, rate=rate).blinded(): record(rate, **around[i]) for i, rate in enumerate((0.1, 0.2))}
    records |= {one.build(1, rate=0.1): of_error(0.1, **around[2]), other.build(1): of_error(0.2)}
    claim = Claim("It is so.", lambda found: Finding("holds", f"{len(found.runs)} rows", 0.001), ("A1",))
    content = table.results("page", "quick", "python -m page", find([one, other], records, 1), ERRORS, [claim])
    assert list(content) == [
        "experiment",
        "preset",
        "command",
        "revision",
        "seconds",
        "device",
        "versions",
        "data",
        "more",
        "looks",
        "level",
        "answer",
        "claims",
        "rows",
        "tests",
        "search",
    ]
    assert (content["experiment"], content["preset"], content["command"]) == ("page", "quick", "python -m page")
    assert content["seconds"] == 1.5 + 2.5 + 2 + 2
    assert set(content["revision"].split(", ")) == {"old", "abc"}
    assert set(content["device"].split(", ")) == {"cpu x 1", "cpu x 2"}
    assert content["versions"] == {"jax": "1"}
    assert content["data"] == {"name": "mnist", "source": "idx", "variant": "canonical", "fingerprint": "f" * 64}
    said = {
        "claim": "It is so.",
        "numbers": ["A1"],
        "verdict": "holds",
        "words": "2 rows.",
        "p": 0.001,
        "interval": None,
        "needed": None,
        "figure": "",
    }
    assert content["claims"] == [said]
    assert (content["level"], content["answer"]) == (0.01, "Yes: It is so; 2 rows.")
    assert (len(content["rows"]), len(content["tests"]), len(content["search"])) == (6, 1, 2)


def test_the_seconds_of_a_run_that_two_rows_share_count_once():
    one = row("a")
    alike = replace(one, name="b")
    content = table.results("", "", "", find([one, alike], {one.build(1): of_error(0.1)}, 1), ERRORS, ())
    assert content["seconds"] == 2


def test_a_study_may_name_its_data_sets_as_it_likes():
    one = row("a", paper=PAPER)
    one = replace(one, build=lambda seed, build=one.build, **trial: replace(build(seed, **trial), data="digits"))
    some = find([one], {one.build(1): of_error(0.1)}, 1, {"digits": dataset("digits")})
    content = table.results("", "", "", some, ERRORS, ())
    assert content["data"]["name"] == "digits"
    assert content["rows"][-1]["verdict"] == "fewer than 3 runs do not tell"


def judged(some, *deciders):
    """The entries of claims in results.json."""
    return table.results("", "", "", some, ERRORS, [Claim("So.", decide) for decide in deciders])["claims"]


def test_the_interval_of_a_finding_is_told_and_how_many_seeds_are_needed():
    some = found({"a": [0.1, 0.12, 0.11, 0.13], "b": [0.12, 0.15, 0.1, 0.14]})
    (entry,) = judged(some, claims.lower(ERRORS[-1], "a", "b"))
    assert set(entry["interval"]) == {"mean", "low", "high", "n"}
    assert (entry["interval"]["mean"], entry["interval"]["n"]) == (pytest.approx(1.25), 4)
    assert entry["needed"] > 4
    assert f"about {entry['needed']} would tell" in entry["words"]


def test_a_claim_that_cannot_be_decided_costs_nothing_else():
    def broken(found):
        return found["absent"] if found.runs else Finding("holds")

    entries = judged(found({"a": [0.1, 0.12]}), broken, lambda _: Finding("holds", "as it is"))
    assert [entry["verdict"] for entry in entries] == ["not enough runs", "holds"]
    assert entries[0]["words"] == "It could not be decided: ValueError: there is no row 'absent'; the rows are a."


def test_an_entry_says_how_many_seeds_were_planned():
    one = replace(row("a"), more=2)
    records = {one.build(seed): of_error(0.1) for seed in range(1, 6)}
    content = table.results("", "", "", replace(find([one], records, 3), looks=1), ERRORS, ())
    entry = content["rows"][-1]
    assert (entry["planned"], entry["n"]) == (3, 5)
    assert (content["more"], content["looks"], content["level"]) == (["a=5"], 1, 0.005)


def test_only_rows_that_lack_a_seed_are_said_not_to_be_finished():
    assert table.unfinished(found({"a": [0.1, 0.2]})) == []
    (line,) = table.unfinished(found({"a": [0.1, 0.2], "b": [0.1, None]}))
    assert line.startswith("Not finished, by number of seeds: b (1 of 2).")


def test_where_no_run_is_finished_that_is_said_first():
    one = row("a", rates(0.1, 0.2))
    records = {one.build(0, rate=rate).blinded(): record(rate) for rate in (0.1, 0.2)}
    first, second = table.unfinished(find([one], records, 2))
    assert first == "no row has a finished run yet (2 runs of finished searches)"
    assert second.startswith("Not finished, by number of seeds: a (0 of 2).")
