"""What the oracles of measures share: nets in NumPy, fits put together from stages, and the programs' cases."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, log_softmax

from dlx.algorithms import gradient
from dlx.losses.supervised import cross_entropy
from dlx.types import Data, Labelled
from dlx.unit import Result

KEY = jax.random.key(4)


def _digits() -> Data:
    """Noisy copies of ten patterns of 4 x 4 pixels. No two splits are of one size."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (10, 16))

    def split(n):
        y = rng.integers(0, 10, n).astype(np.int32)
        return Labelled(np.where(rng.random((n, 16)) < 0.8, patterns[y], rng.integers(0, 256, (n, 16))).astype("u1"), y)

    return Data(*map(split, (40, 17, 13)))


DIGITS = _digits()


class Case(NamedTuple):
    """A program, what it is called with, and the function of `Run` that computes its `Result` by hand."""

    program: Any
    hypers: Any
    given: tuple[Any, ...]
    data: Data
    patches: dict[str, Any]
    """What takes the place of a name while it runs, such as a formula that is wrong on purpose."""
    oracle: Callable[..., Result]


class Run(NamedTuple):
    """What an oracle knows."""

    program: Any
    key: jax.Array
    hypers: Any
    given: tuple[Any, ...]
    data: Data
    kept: Any
    """What the program has kept. An oracle takes it for the net that was trained, or compares it with its own."""


CASES: dict[type, list[Case]] = {}


def told_by(
    program: Any,
    hypers: Any = (),
    given: tuple[Any, ...] = (),
    data: Data = DIGITS,
    patches: dict[str, Any] | None = None,
) -> Callable:
    """Enter an oracle for a program. It returns the whole `Result`; it may be entered for several."""

    def enter(oracle: Callable[..., Result]) -> Callable[..., Result]:
        CASES.setdefault(type(program), []).append(Case(program, hypers, given, data, patches or {}, oracle))
        return oracle

    return enter


def close(actual: Any, expected: Any, rtol: float = 1e-3, atol: float = 1e-5) -> None:
    """Two trees are of one structure, and their numbers are close."""
    actual, expected = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (actual, expected))
    assert {*map(jax.tree_util.keystr, actual)} == {*map(jax.tree_util.keystr, expected)}
    for path, value in expected.items():
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(
            np.asarray(actual[path], float), np.asarray(value, float), rtol, atol, err_msg=f"at {where}"
        )


def random_net(net: Any, seed: int = 0) -> Any:
    """Random parameters, none of which is 0."""
    start, keys = start_of(net, jax.random.key(seed), DIGITS), iter(jax.random.split(jax.random.key(seed + 100), 20))
    return jax.tree.map(lambda leaf: np.asarray(leaf + 0.5 * jax.random.normal(next(keys), leaf.shape)), start)


def labelled_by(params: Any, f: Callable) -> Data:
    """The digits, of which the odd ones have the label that a net gives them."""

    def labelled(split):
        told, odd = said(params, split.x, f).argmax(-1), np.arange(len(split.y)) % 2
        return split._replace(y=np.where(odd, told, split.y).astype(np.int32))

    return Data(*map(labelled, DIGITS))


def floats(x: Any) -> np.ndarray:
    """Pixels from 0 to 1, in float64."""
    return np.asarray(x, float) / (255 if np.asarray(x).dtype == np.uint8 else 1)


def rectified(u: np.ndarray) -> np.ndarray:
    return np.maximum(u, 0)


def first(data: Data, n: int) -> Data:
    """The data with the first n training examples alone."""
    return data._replace(train=jax.tree.map(lambda leaf: leaf[:n], data.train))


def layers(params: Any) -> list[Any]:
    """The hidden layers of a net, from below, in float64."""
    count = sum(name.startswith("hidden_") for name in params)
    return [{of: np.asarray(leaf, float) for of, leaf in params[f"hidden_{i}"].items()} for i in range(count)]


def units(params: Any, x: Any, f: Callable = expit) -> list[np.ndarray]:
    """The values of each hidden layer of an `mlp`."""
    h, codes = floats(x), []
    for layer in layers(params):
        h = f(h @ layer["w"] + layer["b"])
        codes.append(h)
    return codes


def said(params: Any, x: Any, f: Callable = expit) -> np.ndarray:
    """Log-probabilities of the classes by an `mlp`."""
    h = units(params, x, f)[-1]
    return log_softmax(h @ np.asarray(params["output"]["w"], float) + np.asarray(params["output"]["b"]), -1)


def inputs_of_units(params, x, statistics=None):
    """What the units of each hidden layer get, and the logits. With statistics there is batch normalisation."""
    h, inputs = floats(x), []
    for i, layer in enumerate(layers(params)):
        z = h @ layer["w"]
        if statistics is not None:
            of = statistics[f"hidden_{i}"]
            z = layer["scale"] * (z - of["mean"]) / np.sqrt(np.asarray(of["var"], float) + 1e-5)
        inputs.append(z + layer["b"])
        h = expit(inputs[-1])
    return [*inputs, h @ params["output"]["w"] + params["output"]["b"]]


def wrong(told: np.ndarray, y: Any) -> np.ndarray:
    return told.argmax(-1) != y


def nats(told: np.ndarray, y: Any) -> float:
    return -told[np.arange(len(y)), y].mean()


def judged(data: Data, told: Callable[[Any], np.ndarray], with_nats: bool = False) -> dict[str, dict[str, Any]]:
    """Errors of each split by log-probabilities `told(x)`, nats if asked for, and the test examples that are wrong."""
    measures = {}
    for name, (x, y) in data._asdict().items():
        measures[name] = {"error": wrong(told(x), y).mean()} | ({"nats": nats(told(x), y)} if with_nats else {})
    measures["test"]["wrong"] = wrong(told(data.test.x), data.test.y)
    return measures


class Trained(NamedTuple):
    """A fit, epoch by epoch."""

    params: list[Any]
    """The parameters after each epoch."""
    metrics: dict[str, np.ndarray]
    first_loss: Any

    @property
    def end(self) -> Any:
        return self.params[-1]

    def result(self, score: Any = None, best: int | None = None) -> Result:
        """The result of such a fit, from its scores by epoch and the epoch that was returned."""
        epochs = len(self.params)
        fitted = {"epochs": epochs, "best": epochs - 1 if best is None else best, "first_loss": self.first_loss}
        curves = {"train": self.metrics} | ({} if score is None else {"valid": {"score": np.array(score)}})
        return Result(np.nan if score is None else score[fitted["best"]], {"fit": fitted}, curves)


def start_of(net: Any, key: Any, data: Data) -> Any:
    """Fresh parameters for the shape of the training inputs."""
    return jax.device_get(jax.jit(net.init)(key, data.train.x[0]))


@cache
def _step(algorithm: Any, prepare: Callable | None) -> Callable:
    @jax.jit
    def step(keys, i, state, batch):
        key, key_batch = (one[i] for one in keys)
        return algorithm.step(key, state, prepare(key_batch, batch) if prepare else batch)

    return step


@partial(jax.jit, static_argnums=(1, 2, 3))
def _orders(key: Any, total: int, size: int, steps: int | None) -> tuple[Any, list[Any]]:
    """The rows of the minibatches of an epoch [steps, size], and keys for the steps and for preparing batches."""
    a_pass = total // size
    key_feed, *keys = jax.random.split(key, 3)
    some = [key_feed] if steps is None else jax.random.split(key_feed, -(-steps // a_pass))
    orders = jnp.concatenate([jax.random.permutation(one, total)[: a_pass * size] for one in some])
    rows = orders.reshape(-1, size)[:steps]
    return rows, [jax.random.split(one, len(rows)) for one in keys]


def trained(key: Any, start: Any, data: Data, algorithm: Any, size: int, epochs: int, **how: Any) -> Trained:
    """A fit as a loop of all epochs in minibatches of one size, with the keys of `dlx.train.fit`.

    `how` may have `steps` an epoch and `prepare`.
    """
    step = _step(algorithm, how.get("prepare"))
    state = algorithm.init(jax.random.fold_in(key, np.uint32(2**32 - 1)), start)
    after, metrics = [], []
    for epoch in range(epochs):
        rows, keys = _orders(jax.random.fold_in(key, epoch), len(data.train.x), size, how.get("steps"))
        for i, some in enumerate(np.asarray(rows)):
            state, told = step(keys, i, state, jax.tree.map(lambda leaf, some=some: leaf[some], data.train))
            metrics.append(told)
        after.append(jax.device_get(state.params))
    values = {name: np.array([float(one[name]) for one in metrics]) for name in metrics[0]}
    means = {name: of.reshape(epochs, -1).mean(1) for name, of in values.items()}
    return Trained(after, means, values["loss"][0] if "loss" in values else 0.0)


def descended(key: Any, start: Any, data: Data, net: Any, rule: Any, size: int, epochs: int, **how: Any) -> Trained:
    """The same by gradients of the cross-entropy, or of another `loss`."""
    loss = how.pop("loss", None) or cross_entropy(net)
    return trained(key, start, data, gradient(loss, rule), size, epochs, **how)


def errors(data: Data, fitted: Trained, f: Callable = expit) -> list[float]:
    """The validation error after each epoch."""
    return [wrong(said(params, data.valid.x, f), data.valid.y).mean() for params in fitted.params]
