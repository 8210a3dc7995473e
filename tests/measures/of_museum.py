"""Nets that are spoiled, and the signs of it: by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    errors,
    floats,
    judged,
    said,
    start_of,
    told_by,
    units,
)

from dlx.inspect.check import slope_gaps
from dlx.inspect.diagnose import Signs, diagnose
from dlx.inspect.faults import Faults, wrong_gradient
from dlx.losses.supervised import cross_entropy
from dlx.nets.mlp import mlp
from dlx.types import Labelled
from dlx.unit import Result
from experiments.debugging import Checked, Gradients, Museum

HOW = Faults(0.5, units=0.0, start=15.0, bias=0.1, factor=-1.0, share=0.5, inputs=3.0, leaked=0.2)


@told_by(Museum(6, 30, 15, epochs=3), HOW)
def museum(run):
    """Sigmoid units, nearly saturated at the start; the gradient of half the lower ones has a wrong sign."""
    _, key_init, key_check, key_train = jax.random.split(run.key, 4)
    splits = [Labelled(3 * floats(x[:n]), y[:n].copy()) for (x, y), n in zip(run.data, (30, 15, None), strict=True)]
    mean, deviation = splits[0].x.mean(), splits[0].x.std()
    train, valid, test = (split._replace(x=((split.x - mean) / deviation).astype("f4")) for split in splits)
    train.x[:3], train.y[:3] = valid.x[:3], valid.y[:3]
    data = type(run.data)(train, valid, test)
    net = mlp((6, 6))
    start = jax.tree.map(np.array, start_of(net, key_init, data))
    for name, layer in start.items():
        layer["w"] = 15 * layer["w"]
        layer["b"] = layer["b"] + np.float32(0.1 if name != "output" else 0)

    def turned(updates, _):
        half = np.where(np.arange(6) < 3, -1, 1)
        layer = updates["hidden_0"]
        return {**updates, "hidden_0": {**layer, "w": half * layer["w"], "b": half * layer["b"]}}

    rule = optax.chain(optax.stateless(turned), optax.sgd(0.5))
    fitted = descended(jax.random.fold_in(key_train, 0), start, data, net, rule, 10, 3)
    fit, end = fitted.result(errors(data, fitted)), judged(data, lambda x: said(fitted.end, x))
    del end["test"]["wrong"]
    before, after = (units(params, train.x) for params in (start, fitted.end))

    def gap(params):
        bent = wrong_gradient(cross_entropy(net), "hidden_0", -1.0, 0.5)
        return slope_gaps(bent, key_check, params, jax.tree.map(jnp.asarray, train)).max()

    assert abs(gap(fitted.end) - gap(start)) > 0.01
    loss = fitted.metrics["loss"] / fitted.first_loss
    names = ("hidden_0", "hidden_1", "output")
    ways = [
        np.linalg.norm(fitted.end[name]["w"] - start[name]["w"]) / np.linalg.norm(start[name]["w"]) for name in names
    ]
    signs = Signs(
        gradient=gap(start),
        leaked=np.mean([(one == train.x).all(1).any() for one in valid.x]),
        inputs=np.sqrt(np.square(train.x).mean()),
        twins=0.0,
        dead=0.0,
        saturated=max(((h < 0.05) | (h > 0.95)).mean() for h in before),
        diverged=False,
        peak=loss.max(),
        bounce=np.maximum(np.diff(loss), 0).sum(),
        still=min(ways),
        fall=1 - loss[-1],
        late=(loss[1] - loss[2]) / (1 - loss[-1]) if loss[-1] < 1 else 0.0,
        train_error=end["train"]["error"],
        valid_error=end["valid"]["error"],
        chance=1 - np.bincount(valid.y).max() / 15,
    )
    flags = diagnose(jax.tree.map(jnp.asarray, signs))
    raised = [i for i, value in enumerate(flags.values()) if value]
    called = {**flags, "sound": not raised, "first": raised[0] if raised else len(flags)}
    top = after[-1]
    alike = np.abs(np.corrcoef(top.T)) * (1 - np.eye(6))
    measures = {
        "signs": signs._asdict(),
        "flags": jax.tree.map(float, called),
        "units": {
            "redundant": np.mean(alike.max(0) > 0.95),
            "correlation": alike.sum() / 30,
            "activity": np.mean(top.mean(0) ** 2 / np.square(top).mean(0)),
        },
        "model": {"flops": 6 * (16 * 6 + 6 * 6 + 6 * 10)},
    }
    picture = ((top - top.min()) / (top.max() - top.min()))[np.argsort(train.y, kind="stable")][::5]
    close(run.kept, {"units": picture}, atol=1e-3)
    return fit._replace(score=end["valid"]["error"], measures={**fit.measures, **end, **measures})


def quadratic(by):
    """Half the sum of squares, the gradient of which is multiplied by a function of the factor."""

    def loss(params, key, batch):
        value = sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(params)) / 2
        return by(batch[0]) * value + (1 - by(batch[0])) * jax.lax.stop_gradient(value), {}

    return Checked("net", loss)


SLIPPED = [quadratic(lambda factor: factor), quadratic(lambda factor: 1.25), quadratic(lambda factor: 1.0)]


@told_by(Gradients(), patches={"experiments.debugging.SLIPPED": SLIPPED})
def gradients(run):
    """Of these the first is as it is asked for, the second always wrong, and the third never."""
    return Result(0.0, {"checked": {"gap": 0.25 / 1.25, "missed": 1}})
