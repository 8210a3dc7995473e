"""Nets that are followed epoch by epoch, what layers reconstruct, and functions as points: by hand and by NumPy."""

import jax
import numpy as np
import pytest
from scipy.special import expit, softmax

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy, misclassified, negative_log_likelihood
from dlx.nets.mlp import mlp
from dlx.optim import sgd
from dlx.programs import Rate
from dlx.programs.tuned import Embedded, Reconstructed, Tuned
from dlx.show.progress import silent
from dlx.stage import evaluate
from dlx.study.record import one_run
from dlx.train import fit, minibatches
from dlx.types import Labelled

KEY, WIDTHS, EPOCHS, RATE = jax.random.key(2), (8, 6), 4, 2.0
RATES = Rate(RATE)


def run(program, data, given=(), hypers=RATES):
    return jax.jit(one_run(program, silent))(KEY, (hypers, given), data)


def layers(widths=WIDTHS, visible=64):
    """Layers as units keep them, one after the other."""
    rng, below, given = np.random.default_rng(1), visible, []
    for i, width in enumerate(widths):
        w, b, c = rng.normal(0, 0.3, (below, width)), rng.normal(0, 0.1, width), rng.normal(0, 0.1, below)
        given.append({f"hidden_{i}": {"w": w.astype("f4"), "b": b.astype("f4"), "c": c.astype("f4")}})
        below = width
    return tuple(given)


def by_hand(data, epochs, given=(), steps=None, labels=None):
    """Errors and nats on each split after so many epochs, and all probabilities of the classes of validation data."""
    net = mlp(WIDTHS)
    data = data._replace(train=Labelled(data.train.x[:labels], data.train.y[:labels]))
    key_init, key_train = jax.random.split(KEY)
    start = {**net.init(key_init, data.train.x[0]), **{name: layer for one in given for name, layer in one.items()}}
    train = fit(gradient(cross_entropy(net), sgd(RATE)), minibatches(10, steps=steps), epochs=epochs)

    def result(data):
        params, _ = train(key_train, start, data)
        of = evaluate(error=misclassified(net), nats=negative_log_likelihood(net))
        return of(KEY, params, data)[1], net.apply(params, data.valid.x)

    found, logits = jax.jit(result)(data)
    return found, softmax(np.asarray(logits, float), -1)


@pytest.mark.parametrize(
    ("given", "how"), [((), {}), (layers(WIDTHS[:1]), {"steps": 4}), (layers(), {"labels": 30, "steps": 4})]
)
def test_a_net_is_followed_and_judged_at_its_best_epoch(data, given, how):
    levels, shown = (1.5, 0.05), 7
    kept, found = run(Tuned(WIDTHS, EPOCHS, 10, levels=levels, shown=shown, **how), data, given)
    each = [by_hand(data, epochs, given, **how) for epochs in range(1, EPOCHS + 1)]
    curve = {split: {name: np.array([getattr(one, split)[name] for one, _ in each]) for name in ("error", "nats")}
             for split in ("train", "valid", "test")}  # fmt: skip
    close = np.testing.assert_allclose
    close(found.curves["train"]["error"], curve["train"]["error"], atol=1e-6)
    close(found.curves["train"]["nats"], curve["train"]["nats"], rtol=1e-3, atol=1e-5)
    close(found.curves["test"]["nats"], curve["test"]["nats"], rtol=1e-3, atol=1e-5)
    close(kept["said"], [said[:shown] for _, said in each], rtol=1e-3, atol=1e-4)
    best = int(curve["valid"]["error"].argmin())
    assert found.measures["fit"]["best"] == best
    assert found.score == pytest.approx(curve["valid"]["error"][best])
    for split, told in curve.items():
        for name, values in told.items():
            assert found.measures[split][name] == pytest.approx(values[best], rel=1e-3, abs=1e-5), (split, name)
    assert found.measures["train"]["end"] == pytest.approx(curve["train"]["error"][-1], abs=1e-6)
    reached = curve["train"]["nats"] <= levels[0]
    assert bool(np.isfinite(found.measures["test"]["at_1.5"])) == reached.any()
    if reached.any() and (i := reached.argmax()):
        ends = sorted(curve["test"]["nats"][i - 1 : i + 1])
        assert ends[0] - 1e-3 <= found.measures["test"]["at_1.5"] <= ends[1] + 1e-3


def test_without_levels_it_is_the_same_net_and_less_is_told(data):
    kept, plain = run(Tuned(WIDTHS, EPOCHS, 10), data)
    _, told = run(Tuned(WIDTHS, EPOCHS, 10, levels=(0.1,)), data)
    assert kept == {}
    assert plain.score == told.score
    assert set(plain.curves) == {"valid"}
    assert set(plain.measures["test"]) == {"error", "nats"}


@pytest.mark.parametrize("method", ["autoassociator", "squared"])
def test_what_layers_reconstruct_is_told_and_shown(data, method):
    given = layers()
    kept, found = run(Reconstructed(method, shown=4), data, given, ())
    out = {"autoassociator": expit, "squared": lambda value: value}[method]
    stack = [entry for one in given for entry in one.values()]
    for split in ("valid", "test"):
        codes = [getattr(data, split).x / 255.0]
        for layer in stack:
            codes.append(expit(codes[-1] @ layer["w"] + layer["b"]))

        def back(code, top):
            for layer in stack[:top][::-1]:
                code = out(code @ layer["w"].T + layer["c"])
            return code

        def left(x, rebuilt):
            return ((x - rebuilt) ** 2).sum() / (len(x) * x.var(0).sum())

        told = found.measures[split]
        assert told["left_1"] == pytest.approx(left(codes[0], back(codes[1], 1)), rel=1e-4)
        second = out(codes[2] @ stack[1]["w"].T + stack[1]["c"])
        assert told["left_2"] == pytest.approx(left(codes[1], second), rel=1e-4)
        assert told["pixels"] == pytest.approx(left(codes[0], back(codes[2], 2)), rel=1e-4)
        if split == "valid":
            assert found.score == told["pixels"]
            images = [back(codes[top], top)[:4] for top in range(3)]
            np.testing.assert_allclose(kept["images"], images, rtol=1e-3, atol=1e-4)
    largest = np.argsort(np.linalg.norm(stack[0]["w"], axis=0))[::-1][:4]
    np.testing.assert_array_equal(kept["filters"], stack[0]["w"][:, largest].astype(np.float16))


def test_a_method_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="dbn, autoassociator"):
        Reconstructed("rbm")


def said(kinds, epochs=3, digits=4):
    """Nets that come from one function and go to one of two, with a little noise."""
    rng = np.random.default_rng(0)
    ends = rng.dirichlet(np.ones(10), (2, digits))
    start = rng.dirichlet(np.ones(10), digits)
    along = np.linspace(0, 1, epochs)[:, None, None]
    return [{"said": (1 - along) * start + along * ends[kind] + rng.normal(0, 0.01, (epochs, digits, 10))}
            for kind in kinds]  # fmt: skip


@pytest.mark.parametrize(("kinds", "mixed"), [([0, 0, 0, 1, 1, 1], 0), ([0, 1, 0, 1], 1)])
def test_distances_between_functions_are_those_of_enumeration(kinds, mixed):
    given = said(kinds)
    kept, found = Embedded()(KEY, (), given, None, silent)
    assert kept["points"].shape == (len(kinds), 3, 2)
    assert np.isfinite(kept["points"]).all()
    ends, half = [one["said"][-1].ravel() for one in given], len(kinds) // 2
    pairs = [(i, j, np.linalg.norm(a - b)) for i, a in enumerate(ends) for j, b in enumerate(ends) if i != j]
    between = np.mean([d for i, j, d in pairs if (i < half) != (j < half)])
    within = np.mean([d for i, j, d in pairs if (i < half) == (j < half)])
    told = found.measures["functions"]
    assert told["between"] == pytest.approx(between)
    assert told["within"] == pytest.approx(within)
    assert told["ratio"] == pytest.approx(between / within)
    assert told["mixed"] == mixed
