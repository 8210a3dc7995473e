"""The page of Bengio et al. 2006: the paper's figures, equal searches, and what each option changes."""

from dataclasses import replace

import numpy as np
import pytest

from dlx.data import Dataset, Provenance
from dlx.programs import Layer, LayerHypers, Rate
from dlx.study.judge.asked import asked
from dlx.study.run.found import Found
from dlx.study.run.plan import grid, plan
from dlx.types import Data, Labelled
from dlx.unit import Unit
from experiments.bengio2006 import STUDY, Finetune, Options, unit

VISIBLE = 64
GREEDY = ("dbn", "autoassociator", "supervised")
DEEP = (*GREEDY, "deep")


def about(classes=10):
    split = Labelled(np.zeros((1, VISIBLE), np.uint8), np.zeros(1, np.int32))
    return {"main": Dataset(Data(split, split, split), Provenance("mnist", "idx", "canonical", "0"), (8, 8), classes)}


def table(preset="paper", classes=10, **options):
    return {row.name: row for row in STUDY.rows_on(Options(preset=preset, **options), about(classes))}


def as_good_as_its_rate(one):
    return {"diverged": False, "score": one.hypers.rate}


def outcomes(preset="paper", **options):
    return plan(list(table(preset, **options).values()), as_good_as_its_rate, 10)[1]


def test_the_papers_figures():
    """Train, valid and test error in percent, as in the paper's table; A: consistent across sources, B: one source."""
    expected = {
        "exp2/dbn": [(0, "B"), (1.2, "B"), (1.2, "A")],
        "exp2/autoassociator": [(0, "B"), (1.4, "B"), (1.4, "A")],
        "exp2/supervised": [(0, "B"), (1.7, "B"), (2.0, "A")],
        "exp2/deep": [(0.004, "B"), (2.1, "B"), (2.4, "A")],
        "exp2/shallow": [(0.004, "B"), (1.8, "B"), (1.9, "A")],
        "exp3/dbn": [(0, "B"), (1.5, "B"), (1.5, "A")],
        "exp3/autoassociator": [(0, "B"), (1.4, "B"), (1.6, "A")],
        "exp3/supervised": [(0, "B"), (1.8, "B"), (1.9, "A")],
        "exp3/deep": [(0.59, "B"), (2.1, "B"), (2.2, "A")],
        "exp3/shallow": [(3.6, "B"), (4.7, "B"), (5.0, "A")],
    }
    for preset in ("quick", "paper"):
        shown = {name: row.paper for name, row in table(preset).items() if row.paper}
        assert list(shown) == list(expected)
        for name, figures in shown.items():
            assert list(figures) == ["train/error", "valid/error", "test/error"]
            assert [tuple(figure) for figure in figures.values()] == expected[name]


def test_the_rows_stand_in_two_experiments_under_the_papers_come_ours():
    made = table()
    ours = ["relu", "dropout", "batchnorm"]
    glorot = [f"exp2/{name}/glorot" for name in (*DEEP, "shallow")]
    papers = [f"exp{e}/{name}" for e in (2, 3) for name in (*DEEP, "shallow")]
    assert list(made) == [*papers, *(f"exp2/{name}" for name in ours), *glorot, "exp2/denoising"]
    assert list(table("quick")) == [*papers, *(f"exp2/{name}" for name in ours)]
    for name, row in made.items():
        assert row.title.startswith("ours: ") == (name not in papers)
        assert (row.group, row.keep) == (
            ("Experiment 2, Glorot's initialisation", 0)
            if name in glorot
            else (f"Experiment {name[3]}", int(name[3] == "2"))
        )


def test_rows_of_the_paper_that_are_compared_have_equal_searches():
    by_row = outcomes()
    assert {len(by_row[f"exp2/{name}"].tried) for name in DEEP} == {16}
    assert {len(by_row[f"exp3/{name}"].tried) for name in DEEP} == {7}
    for name in DEEP:
        trials = [one.trial for one in by_row[f"exp3/{name}"].tried]
        assert {trial["top"] for trial in trials} == {20}
        first = by_row[f"exp2/{name}"].trial
        kept = {key: value for key, value in first.items() if key not in ("rate", "epochs", "patience")}
        assert all({**trial, **kept} == trial for trial in trials), "the choice of Experiment 2"
    assert all(len({repr(one.trial) for one in outcome.tried}) == len(outcome.tried) for outcome in by_row.values())
    for name in by_row:
        widths = by_row[name].wanted[0].program.widths
        depth, top = 1 if "shallow" in name else 3, 20 if name.startswith("exp3") else None
        assert len(widths) == depth
        assert top in (None, widths[-1])


def test_the_searches_of_experiment_3_for_nets_of_both_minibatches():
    large, small = [0.8, 1.6, 2.4, 3.2, 4.0], [0.3, 0.6, 1.0, 1.4, 2.0]
    for batch_size, rates in ((20, small), (100, large), (1, small), (500, large)):
        chosen = {"exp2/deep": {"batch_size": batch_size, "width": 9, "rate": 7.0}}
        trials = grid(table()["exp3/deep"].space_after(chosen))
        told = [(one["epochs"], one["patience"], one["rate"]) for one in trials]
        assert told == [(60, 10, rate) for rate in rates[1:]] + [(30, 4, rate) for rate in rates[:3]]
        assert all(one["width"] == 9 and one["top"] == 20 for one in trials)


def test_what_a_row_of_ours_takes_over():
    by_row = outcomes()
    for name in (*DEEP, "shallow"):
        row = by_row[f"exp2/{name}/glorot"]
        assert row.tried == [], "nothing is searched"
        assert row.trial == {**by_row[f"exp2/{name}"].trial, "initializer": "glorot"}
        programs = {one.program.initializer for one in row.wanted[0].lineage}
        assert programs == {"glorot"}
        plain = by_row[f"exp2/{name}"].wanted[0]
        assert [replace(one.program, initializer="fan") for one in row.wanted[0].lineage] == [
            one.program for one in plain.lineage
        ]
    one = by_row["exp2/autoassociator"].trial
    tried = [attempt.trial for attempt in by_row["exp2/denoising"].tried]
    assert tried == [{**one, "masking": masking} for masking in (0.1, 0.25, 0.4)]
    layers = by_row["exp2/denoising"].wanted[0].given
    assert {layer.program.method for layer in layers} == {"denoising"}
    assert {layer.hypers for layer in layers} == {LayerHypers(one["pretrain_rate"], 0.1)}


def test_experiment_3_stands_on_the_lower_layers_of_experiment_2():
    by_row = outcomes()
    for name in GREEDY:
        two, three = (by_row[f"exp{e}/{name}"].wanted[0] for e in (2, 3))
        assert two.given[:2] == three.given[:2]
        assert two.given[2] != three.given[2]


def test_every_row_has_its_seeds():
    for preset, few, many in (("paper", 3, 10), ("quick", 2, 10)):
        for name, outcome in outcomes(preset).items():
            seeds = [one.seed for one in outcome.wanted]
            assert seeds == list(range(1, 1 + (many if table()[name].paper else few)))
            assert all(one.seed == outcome.wanted[0].seed for one in outcome.wanted[0].lineage)


def changed(**options):
    """The rows whose searched or fresh units differ."""
    before, after = (
        {name: (one.wanted, [tried.units for tried in one.tried]) for name, one in outcomes(**more).items()}
        for more in ({}, options)
    )
    return {name for name in before if before[name] != after[name]}


def trained(base=("dbn", "autoassociator", "supervised", "denoising")):
    return {name for name in table() if name.split("/")[1] in base}


def test_each_option_changes_the_units_of_the_rows_that_it_is_about():
    assert changed() == set()
    for options, about_it in (({"tied": False}, ("autoassociator", "denoising")), ({"k": 2}, ("dbn",))):
        assert changed(**options) == trained(about_it)
    assert changed(classes=12) == set(table())
    papers = {name for name, row in table().items() if row.paper}
    assert changed(seeds_of_ours=5) == set(table()) - papers


def test_options_reach_the_programs():
    layers = table(tied=False, k=3, classes=12)
    for name, field, value in (("dbn", "k", 3), ("autoassociator", "tied", False), ("supervised", "classes", 12)):
        trial = grid(layers[f"exp2/{name}"].space_after({}))[0]
        one = layers[f"exp2/{name}"].build(1, **trial)
        assert {getattr(layer.program, field) for layer in one.given} == {value}
        assert one.program.classes == 12
    assert [layers["exp2/deep"].seeds, layers["exp2/relu"].seeds] == [None, 3]
    assert table(seeds_of_ours=7)["exp2/relu"].seeds == 7
    assert table("quick")["exp2/relu"].seeds == 2


def test_a_trial_is_a_unit():
    shape = {"width": 9, "epochs": 3, "patience": 2, "batch_size": 20}
    made = unit("deep", Options(), 4, rate=0.5, **shape)
    assert made == Unit(Finetune("sigmoid", (9, 9, 9), 3, 2, 20), Rate(0.5), (), 4)
    made = unit("relu", Options(), 4, rate=0.5, depth=2, top=5, **shape)
    assert made == Unit(Finetune("relu", (9, 5), 3, 2, 20), Rate(0.5), (), 4)
    pretraining = {"pretrain_epochs": 6, "pretrain_rate": 0.1, "masking": 0.3}
    made = unit("denoising", Options(), 4, rate=0.5, depth=2, **pretraining, **shape)
    first = Unit(Layer("denoising", (9,), 6), LayerHypers(0.1, 0.3), (), 4)
    second = Unit(Layer("denoising", (9, 9), 6), LayerHypers(0.1, 0.3), (first,), 4)
    assert made == Unit(Finetune("sigmoid", (9, 9), 3, 2, 20), Rate(0.5), (first, second), 4)


def test_the_claims_compare_these_rows_below_those():
    nothing = Found({}, about(), {})
    rows = table()
    pairs = {
        "A1": [("shallow", "deep")],
        "A2": [("supervised", "deep")],
        "A3": [(a, b) for a in ("dbn", "autoassociator") for b in ("supervised", "deep", "shallow")],
    }
    numbers = [("A1",), ("A2",), ("A3",), ()]
    assert [claim.numbers for claim in STUDY.claims] == [*numbers, *numbers[1:]], "of Experiment 3 without A1"
    for i, claim in enumerate(STUDY.claims):
        exp = f"exp{3 if i >= len(numbers) else 2}"
        assert claim.words.startswith(f"Experiment {exp[-1]}: ")
        compared = pairs[claim.numbers[0]] if claim.numbers else []
        finding = claim.decide(nothing)
        assert finding.tests == (len(compared) if compared else 5)
        assert finding.note.endswith("not finished, or without a number")
        names = {name for pair in compared for name in pair} or {*DEEP, "shallow"}
        assert set(asked(claim, rows, about())) == {f"{exp}/{name}" for name in names}
        if compared:
            assert finding.note.startswith("{exp}/{0} and {exp}/{1}: ".format(*compared[0], exp=exp)), (
                "below stands first"
            )


@pytest.mark.parametrize(
    ("net", "initializer", "words"), [("tanh", "fan", "'tanh'.*relu"), ("relu", "large", "glorot")]
)
def test_a_net_or_an_initialiser_that_there_is_not_is_refused(net, initializer, words):
    with pytest.raises(ValueError, match=words):
        Finetune(net, (5,), epochs=1, patience=1, batch_size=10, initializer=initializer)
