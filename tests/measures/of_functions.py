"""Functions that are known, and the shape of losses: by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    errors,
    judged,
    labelled_by,
    layers,
    nats,
    random_net,
    rectified,
    said,
    start_of,
    told_by,
    units,
    wrong,
)
from scipy.optimize import linear_sum_assignment
from scipy.special import expit

from dlx.algorithms import gradient
from dlx.data.generated import bit_patterns, first_bits, franke_points
from dlx.losses.supervised import cross_entropy, squared_error
from dlx.nets import logical
from dlx.nets.layer import RELU
from dlx.nets.masked import masked
from dlx.nets.mlp import mlp
from dlx.train import fit, minibatches
from dlx.types import Data, Labelled
from dlx.unit import Result
from experiments.expressiveness import (
    FINE_WIDTHS,
    PARITY_WIDTHS,
    Approximate,
    Hypers,
    LeastSquares,
    MinMax,
    Parity,
    Random,
    Smallest,
)
from experiments.nonconvexity import LINE, Between, Grid, Identities, Matched, Solution, Way

FRANKE, BITS = franke_points(64, 20).data, bit_patterns(6).data


def falling(rate, updates):
    return optax.adam(optax.linear_schedule(rate, 0.0, updates))


def first_units(params, x, width, f):
    """The outputs of a `masked` net, from the first units of its layers."""
    h, last = np.asarray(x, float), params["output"]
    for layer in layers(params):
        h = f(h @ layer["w"][: h.shape[1], :width] + layer["b"][:width])
    return h @ last["w"][: h.shape[1]] + last["b"]


@told_by(Approximate(2, 5, picture=6), Hypers(0.05, 4.0), data=FRANKE)
def approximate(run):
    net, (key_init, key_train) = masked(4, 256), jax.random.split(run.key)
    how = {"loss": squared_error(net), "steps": 5}
    fitted = descended(key_train, start_of(net, key_init, run.data), run.data, net, falling(0.05, 10), 32, 2, **how)
    rms = {
        split: np.sqrt(np.mean((first_units(fitted.end, x, 4, np.tanh) - y) ** 2))
        for split, (x, y) in run.data._asdict().items()
    }
    line = np.linspace(-1, 1, 6)
    points = np.array([(u, v) for v in line for u in line])
    close(run.kept, {"picture": first_units(fitted.end, points, 4, np.tanh).reshape(6, 6)})
    return Result(rms["valid"], {split: {"rms": one, "log": np.log2(one)} for split, one in rms.items()})


@told_by(Parity(2, 3, 20), Hypers(0.1, 2.0), data=BITS)
def parity(run):
    x = np.where(np.arange(6) < 2, BITS.train.x, 0).astype("f4")
    data = Data(*[Labelled(x, (x > 0).sum(1) % 2)] * 3)

    @jax.jit
    def followed(key, width):
        net, (key_init, key_train) = masked(width, PARITY_WIDTHS[-1], 2, 2, RELU), jax.random.split(key)
        rule = gradient(cross_entropy(net), falling(0.1, 60))
        train = fit(rule, minibatches(32, steps=20), epochs=3, watch=lambda params, data: {"params": params})
        return train(key_train, net.init(key_init, x[0]), data)[1].watched["params"]

    errors = []
    for key, width in zip(jax.random.split(run.key, len(PARITY_WIDTHS)), PARITY_WIDTHS, strict=True):
        params = jax.device_get(followed(key, float(width)))
        each = [jax.tree.map(lambda leaf, i=i: leaf[i], params) for i in range(3)]
        errors.append(min(wrong(first_units(one, x, width, rectified), data.valid.y).mean() for one in each))
    units = 2 * min(
        [width for width, error in zip(PARITY_WIDTHS, errors, strict=True) if not error], default=2 * PARITY_WIDTHS[-1]
    )
    told = {"units": units, "log": np.log2(units), "errors": np.array(errors)}
    return Result(np.mean(errors), {"parity": told})


@told_by(Smallest(2, 3, 20), Hypers(0.1, 2.0), data=BITS)
@told_by(Smallest(2, 3, 2), Hypers(1e-6, 6.0), data=BITS)
def smallest(run):
    """The first width without an error, of those that `Parity` would tell of if it had the same widths."""
    keys, program = jax.random.split(run.key, len(FINE_WIDTHS)), run.program
    bits, rate = float(run.hypers.number), run.hypers.rate
    data = Data(*(first_bits(split, bits) for split in run.data))
    least = jax.jit(lambda key, width: Parity.least_error(program, key, width, rate, data))
    tried = [float(least(key, float(width))) for key, width in zip(keys, FINE_WIDTHS, strict=True)]
    learnt = [width for width, error in zip(FINE_WIDTHS, tried, strict=True) if not error]
    assert bool(learnt) == (bits == 2)
    units = 2 * min(learnt, default=2 * FINE_WIDTHS[-1])
    return Result(0.0 if learnt else tried[-1], {"parity": {"units": units, "log": np.log2(units)}})


@told_by(LeastSquares(), Random(6.0, 2.0), data=FRANKE)
def least_squares(run):
    """By the pseudo-inverse, as six units need no ridge."""
    key_w, key_b = jax.random.split(run.key)
    w = np.asarray(jax.random.uniform(key_w, (2, 6), minval=-2, maxval=2), float)
    b = np.asarray(jax.random.uniform(key_b, (6,), minval=-2, maxval=2), float)
    h = {name: np.column_stack([np.tanh(x @ w + b), np.ones(len(x))]) for name, (x, _) in run.data._asdict().items()}
    output = np.linalg.pinv(h["train"]) @ run.data.train.y
    rms = {name: np.sqrt(np.mean((h[name] @ output - y) ** 2)) for name, (_, y) in run.data._asdict().items()}
    return Result(rms["valid"], {split: {"rms": one, "log": np.log2(one)} for split, one in rms.items()})


@told_by(MinMax(3, 2, 2, 10), Hypers(0.05, 2.0), data=BITS)
def min_max(run):
    net, (key_init, key_train) = logical.min_max(3, 2), jax.random.split(run.key)
    x = BITS.train.x
    y = np.array([all(one[i] > 0 or one[i + 1] > 0 for i in (0, 2, 4)) for one in x]).astype(np.int32)
    data = Data(*[Labelled(x, y)] * 3)
    end = descended(key_train, start_of(net, key_init, data), data, net, falling(0.05, 20), 32, 2, steps=10).end
    true = np.min(
        [np.max([x @ w + b for w, b in zip(*group, strict=True)], 0) for group in zip(end["w"], end["b"], strict=True)],
        0,
    )
    error = np.mean((true > 0) != y)
    return Result(error, {"formula": {"error": error}})


@told_by(Grid("step", 5, 20), Way(1.0))
def grid(run):
    def output(w, x):
        return np.tanh(w[0] * x + 2 * w[1])

    def target(x):
        return np.where((x > -2) & (x < 2.3), 1.0, -1.0)

    def slope(w, x):
        bent = 2 * (output(w, x) - target(x)) * (1 - output(w, x) ** 2)
        return np.array([np.mean(bent * x), np.mean(2 * bent)])

    wide = np.linspace(-3, 3, 501)

    def whole(w):
        return np.mean((output(w, wide) - target(wide)) ** 2)

    side = np.linspace(-4, 4, 5)
    starts, minima, ends = [np.array([u, v]) for v in side for u in side], [], []
    for w in (np.array([2.0, 2.0]), np.array([-2.0, 2.0])):
        for _ in range(2000):
            w = w - 0.1 * slope(w, wide)
        minima.append(w)
    for key, w in zip(jax.random.split(run.key, 25), starts, strict=True):
        key_batches = jax.random.split(jax.random.fold_in(key, 0), 3)[2]
        for one in jax.random.split(key_batches, 20):
            w = w - slope(w, np.asarray(jax.random.uniform(one, (4,), minval=-3, maxval=3), float))
        ends.append(w)
    near, there = ([int(np.argmin([np.linalg.norm(w - to) for to in minima])) for w in some] for some in (starts, ends))
    depths = [whole(w) for w in minima]
    told = {
        "worse": np.mean([depths[i] > min(depths) + 0.01 for i in there]),
        "nearest": np.mean([a == b for a, b in zip(near, there, strict=True)]),
        "above": np.mean([whole(w) - depths[i] for w, i in zip(ends, there, strict=True)]),
    }
    kept = {"loss": np.reshape([whole(w) for w in starts], (5, 5)), "end": np.reshape(there, (5, 5))}
    close(run.kept, kept)
    assert 0 < told["nearest"] < 1
    return Result(0.0, {"starts": told})


@told_by(Solution((6, 5), 2, 10), Way(0.5, 3.0))
def solution(run):
    net, (key_init, key_train) = mlp((6, 5)), jax.random.split(run.key)
    key = jax.random.fold_in(jax.random.fold_in(key_train, 3), 0)
    fitted = descended(key, start_of(net, key_init, run.data), run.data, net, optax.sgd(0.5), 10, 2)
    close(run.kept, fitted.end)
    fit, end = fitted.result(errors(run.data, fitted)), judged(run.data, lambda x: said(fitted.end, x))
    return fit._replace(score=end["valid"]["error"], measures={**fit.measures, **end})


ENDS = random_net(mlp((5, 4)), 1), random_net(mlp((5, 4)), 2)


def towards(one, other, t):
    return jax.tree.map(lambda a, b: (1 - t) * np.asarray(a, float) + t * np.asarray(b, float), one, other)


def in_order(params, to, x):
    """The second net, its units in the order of the first one's by scipy's assignment."""
    layers = {name: dict(layer) for name, layer in params.items()}
    for i, (ours, theirs) in enumerate(zip(units(to, x), units(params, x), strict=True)):
        apart = -np.corrcoef(ours.T, theirs.T)[: ours.shape[1], ours.shape[1] :]
        order = linear_sum_assignment(apart)[1]
        above = "output" if i == 1 else "hidden_1"
        own = layers[f"hidden_{i}"]
        own["w"], own["b"] = own["w"][:, order], own["b"][order]
        layers[above]["w"] = layers[above]["w"][order]
        if "c" in layers[above]:
            layers[above]["c"] = layers[above]["c"][order]
    return layers


@told_by(Between(30, 3), Matched(1.0), ENDS, labelled_by(ENDS[0], expit))
@told_by(Between(30, 3), Matched(0.0), ENDS, labelled_by(ENDS[1], expit))
def between(run):
    (one, second), (x, y) = ENDS, (leaf[:30] for leaf in run.data.train)
    ordered = in_order(second, one, x)
    other = ordered if run.hypers.matched else second
    told = [said(towards(one, other, t), x) for t in LINE]
    lines = {"loss": np.array([nats(each, y) for each in told]), "error": [wrong(each, y).mean() for each in told]}
    lines["error"] = np.array(lines["error"])
    means = {
        name: {"error": np.mean([wrong(said(end, split.x), split.y).mean() for end in (one, other)])}
        for name, split in run.data._asdict().items()
    }
    places = np.array(LINE)
    above = {name: (line - ((1 - places) * line[0] + places * line[-1])).max() for name, line in lines.items()}

    def at(s, t):
        return jax.tree.map(lambda o, a, b: o + s * (a - o) + t * (b - o), one, second, ordered)

    plane = [[nats(said(at(s, t), x), y) for s in (-0.5, 0.5, 1.5)] for t in (-0.5, 0.5, 1.5)]
    close(run.kept["through"], np.array(plane))
    assert run.kept["random"][1, 1] != run.kept["random"][0, 0]
    return Result(means["valid"]["error"], {**means, "barrier": above}, {"line": lines})


def halved(params, orders):
    """The net with the weights of its output halved."""
    return {**params, "output": jax.tree.map(lambda leaf: leaf / 2, params["output"])}


@told_by(Identities((6, 5)), patches={"experiments.nonconvexity.reorder": halved})
def identities(run):
    """A net that is not the same in another order; the Hessian's eigenvalues are as they are to be."""
    net = mlp((6, 5))
    params = start_of(net, jax.random.split(run.key, 4)[1], run.data)
    x = jnp.asarray(run.data.train.x[:100])
    order = np.abs(np.asarray(net.apply(params, x)) / 2).max()
    return Result(0.0, {"exact": {"hessian": 0.0, "order": order}})
