"""Layers that are trained greedily, and nets of many layers: by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    floats,
    judged,
    start_of,
    told_by,
    trained,
    wrong,
)
from scipy.special import expit, log_softmax

from dlx.algorithms import gradient
from dlx.losses.energy import contrastive_divergence
from dlx.losses.reconstruction import autoassociator
from dlx.losses.supervised import cross_entropy
from dlx.nets.deep import deep, plain, skip
from dlx.nets.layer import INITIALIZERS, RELU, TANH, UNITS, number_of
from dlx.nets.mlp import mlp
from dlx.programs import Layer, LayerHypers, Rate, Stack
from dlx.types import Data
from dlx.unit import Result
from experiments.depth import Deep, Exact, Ladder, NetHypers

RNG = np.random.default_rng(2)
BELOW = {
    "hidden_0": {of: RNG.normal(0, 0.5, shape).astype("f4") for of, shape in {"w": (16, 6), "b": 6, "c": 16}.items()}
}


def sigmoid_codes(layer, x):
    return expit(floats(x) @ layer["w"] + layer["b"])


def coded(layer, data):
    """The data as a layer sees them through the one below."""
    return Data(*(split._replace(x=sigmoid_codes(layer, split.x).astype("f4")) for split in data))


def left(layer, x):
    """Nats of the inputs by their codes."""
    x, h = floats(x), sigmoid_codes(layer, x)
    u = h @ layer["w"].T + layer["c"]
    return -(x * np.log(expit(u)) + (1 - x) * np.log(expit(-u))).sum(-1).mean()


def of_layer(run, i, data, loss, widths):
    key_init, key_train = jax.random.split(run.key)
    start = start_of(mlp(widths), key_init, run.data)[f"hidden_{i}"]
    fitted = trained(jax.random.fold_in(key_train, i), start, data, gradient(loss, optax.sgd(0.3)), 20, 2)
    close(run.kept, {f"hidden_{i}": fitted.end})
    return fitted.result([left(layer, data.valid.x) for layer in fitted.params])


@told_by(Layer("denoising", (6, 5), 2), LayerHypers(0.3, 0.4), (BELOW,))
def denoising(run):
    return of_layer(run, 1, coded(BELOW["hidden_0"], run.data), autoassociator(0.4), (6, 5))


@told_by(Layer("dbn", (6,), 2), LayerHypers(0.3))
def boltzmann(run):
    return of_layer(run, 0, run.data, contrastive_divergence(1, True), (6,))


@told_by(Stack(3, 6, 2, 20), Rate(0.3))
def stack(run):
    seen, nats, kept = run.data, [], []
    for key in jax.random.split(run.key, 3):
        key_init, key_train = jax.random.split(key)
        visible = seen.train.x.shape[1]
        w = INITIALIZERS["glorot"](key_init, (visible, 6), jnp.float32)
        start = {"w": w, "b": jnp.zeros(6), "c": jnp.zeros(visible)}
        rule = gradient(contrastive_divergence(1, True), optax.sgd(0.3))
        layer = trained(key_train, start, seen, rule, 20, 2).end
        nats.append(left(layer, seen.valid.x))
        kept.append({"w": layer["w"], "b": layer["b"]})
        seen = coded(layer, seen)
    close(run.kept, {"input": kept[0], "layers": jax.tree.map(lambda *leaves: np.stack(leaves), *kept[1:])})
    return Result(np.mean(nats[1:]))


def through(params, x, f, block):
    """The units of all layers of a `deep` net [depth, n, width]."""
    z = [f(x @ params["input"]["w"] + params["input"]["b"])]
    for w, b in zip(params["layers"]["w"], params["layers"]["b"], strict=True):
        z.append(f(z[-1] @ w + b) + (z[-1] if block is skip else 0))
    return z


def logits(params, x, f, block):
    return through(params, x, f, block)[-1] @ params["output"]["w"] + params["output"]["b"]


def looked_into(params, x, y, f, block):
    """What `by_layer` tells of a net."""
    x = jnp.asarray(floats(x), jnp.float32)

    def loss(params):
        return -jax.nn.log_softmax(logits(params, x, f, block))[jnp.arange(len(y)), y].mean()

    slopes, z = jax.grad(loss)(params), np.array(through(params, x, f, block), float)
    w = [slopes["input"]["w"], *slopes["layers"]["w"]]
    return {
        "gradient": np.array([np.linalg.norm(one) for one in w]),
        "variance": z.var((1, 2)),
        "active": (z != 0).mean((1, 2)),
        "inactive": (z <= 0).all(1).mean(1),
    }


def hypers_of(units, start, *more):
    return NetHypers(number_of(units, UNITS), number_of(start, INITIALIZERS), *more)


@told_by(Deep("skip", 4, 5, 0, 10, looked_at=15), hypers_of("tanh", "glorot", 0.0, 1e30, 0.3, 0.2))
def at_the_start(run):
    net = deep(skip, 4, 5, units=TANH, initializer=lambda *how: 0.3 * INITIALIZERS["glorot"](*how))
    start = start_of(net, jax.random.split(run.key, 3)[0], run.data)
    start["input"]["b"] = start["input"]["b"] + 0.2
    x, y = run.data.train
    seen = looked_into(start, x[:15], y[:15], jnp.tanh, skip)
    slopes, variance = np.log10(seen["gradient"][1:]), np.log10(seen["variance"])
    told = {"decades": np.polyfit(range(3), slopes, 1)[0], "step": 10 ** np.max(slopes[:-1] - slopes[1:])}
    return Result(0.0, {"start": {**told, "apart": variance.max() - variance.min()}}, {"start": seen})


@told_by(Deep("plain", 3, 5, 2, 10), hypers_of("relu", "he", 0.5, 0.4, 1.0, -0.3))
def trained_deep(run):
    net = deep(plain, 3, 5, units=RELU, initializer=INITIALIZERS["he"])
    key_init, key_train, _ = jax.random.split(run.key, 3)
    start = start_of(net, key_init, run.data)
    start["input"]["b"] = start["input"]["b"] - 0.3
    rule = optax.chain(optax.clip_by_global_norm(0.4), optax.sgd(0.5))
    fitted = descended(jax.random.fold_in(key_train, 0), start, run.data, net, rule, 10, 2)

    def told(params):
        return lambda x: log_softmax(logits(params, floats(x), lambda u: np.maximum(u, 0), plain), -1)

    valid = run.data.valid
    fit = fitted.result([wrong(told(params)(valid.x), valid.y).mean() for params in fitted.params])
    before, after = (looked_into(one, *run.data.train, jax.nn.relu, plain) for one in (start, fitted.end))
    moved = np.abs(fitted.end["input"]["w"] - start["input"]["w"]).max()
    ends = {
        "start": {"base": np.log10(before["gradient"][0]), "inactive": before["inactive"].mean()},
        "end": {"active": after["active"].mean(), "inactive": after["inactive"].mean(), "moved": moved},
    }
    measures = {**fit.measures, **judged(run.data, told(fitted.end)), **ends}
    curves = {**fit.curves, "start": before, "end": after}
    return fit._replace(score=measures["valid"]["error"], measures=measures, curves=curves)


@told_by(Ladder(2, 5, 10, (0.1, 1.0, 1e30)), hypers_of("relu", "he", 0.0, 1e30, 2.0))
def ladder(run):
    net = deep(plain, 2, 5, units=RELU, initializer=lambda *how: 2 * INITIALIZERS["he"](*how))
    key_init, key_train = jax.random.split(run.key)
    start, valid = start_of(net, key_init, run.data), run.data.valid
    shares = []
    for rate in (0.1, 1.0):
        end = descended(key_train, start, run.data, net, optax.sgd(rate), 10, 1).end
        shares.append(wrong(logits(end, floats(valid.x), lambda u: np.maximum(u, 0), plain), valid.y).mean())
    shares.append(1.0)  # it diverges
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:10]), run.data.train)
    norm = optax.tree.norm(jax.grad(lambda params: cross_entropy(net)(params, run.key, batch)[0])(start))
    told = {"lost": np.mean(np.array(shares) > 0.8), "error": np.mean(shares), "under": np.log10(15 / norm)}
    return Result(min(shares), {"ladder": told}, {"ladder": {"error": np.array(shares)}})


STARTS = {**INITIALIZERS, "zeros": INITIALIZERS["he"], "equal": INITIALIZERS["fan"]}


@told_by(Exact(5, 10), patches={"experiments.depth.INITIALIZERS": STARTS})
def exact(run):
    """What is 0 for weights that are all 0, or all equal, is not at these."""
    key_init, key_train = jax.random.split(run.key)
    he, fan = (deep(plain, 3, 5, units=TANH, initializer=INITIALIZERS[name]) for name in ("he", "fan"))
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:10]), run.data.train)
    start = start_of(he, key_init, run.data)
    slopes = jax.grad(lambda params: cross_entropy(he)(params, run.key, batch)[0])(start)
    start = start_of(fan, key_init, run.data)
    end = descended(key_train, start, run.data, fan, optax.sgd(0.1), 10, 1).end
    h = np.array(through(end, floats(batch.x), np.tanh, plain))
    zero = max(float(jnp.abs(layer["w"]).max()) for layer in slopes.values())
    return Result(0.0, {"exact": {"zero": zero, "equal": np.abs(h - h[..., :1]).max(), "input": 0.0}})
