"""Programs of nets that see images: by hand."""

import jax
import numpy as np
import optax
from measures.by_hand import DIGITS, close, descended, floats, judged, start_of, told_by, wrong
from scipy.signal import correlate2d
from scipy.special import log_softmax
from skimage.feature import hog

from dlx.nets.mlp import mlp
from dlx.programs import Rate
from dlx.types import Data
from dlx.unit import Result
from experiments.linear_features import Convolutional, Regression, convolutional

DRAWN = {
    name: {of: np.asarray(leaf) for of, leaf in start_of(convolutional(10), jax.random.key(1), DIGITS)[name].items()}
    for name in ("first", "second")
}


def images(x):
    """Square images in rows and columns."""
    side = int(np.sqrt(x.shape[1]))
    return floats(x).reshape(-1, side, side, 1)


def convolved(x, layer):
    """Images with a border of two pixels, convolved one by one, channel by channel; rectified."""
    w, b = (np.asarray(layer[name], float) for name in ("w", "b"))
    made = np.zeros((*x.shape[:3], len(b)))
    for n, i, u in np.ndindex(len(x), x.shape[3], len(b)):
        made[n, :, :, u] += correlate2d(np.pad(x[n, :, :, i], 2), w[:, :, i, u], "valid")
    return np.maximum(made + b, 0)


def halved(x):
    """The largest of each two by two values."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


def features(params, x):
    """The values of the convolutional net below its output."""
    for name in ("first", "second"):
        x = halved(convolved(x if x.ndim == 4 else images(x), params[name]))
    return x.reshape(len(x), -1)


def linear(x, output):
    """Log-probabilities of the classes."""
    return log_softmax(x @ np.asarray(output["w"], float) + np.asarray(output["b"]), -1)


def at_best(data, fitted, told):
    """The result of a fit, judged after the epoch with the least validation error; and that epoch's parameters."""
    score = [wrong(told(params, data.valid.x), data.valid.y).mean() for params in fitted.params]
    best = int(np.argmin(score))
    end = judged(data, lambda x: told(fitted.params[best], x))
    result = fitted.result(score, best)
    return fitted.params[best], result._replace(score=end["valid"]["error"], measures={**result.measures, **end})


@told_by(Convolutional(4, 10), Rate(0.05))
def convolutional_net(run):
    key_init, key_train = jax.random.split(run.key)
    net = convolutional(10)
    rule = optax.sgd(float(run.hypers.rate), 0.9)
    fitted = descended(jax.random.fold_in(key_train, 0), start_of(net, key_init, run.data), run.data, net, rule, 10, 4)
    params, result = at_best(run.data, fitted, lambda params, x: linear(features(params, x), params["output"]))
    close(run.kept, {name: params[name] for name in ("first", "second")})
    return result


@told_by(Convolutional(0, 10), Rate(0.0))
def not_trained(run):
    fresh = start_of(convolutional(10), jax.random.split(run.key)[0], run.data)
    close(run.kept, {name: fresh[name] for name in ("first", "second")})
    return Result(score=0.0)


def oriented(x):
    blocks = [hog(255 * one[..., 0], 9, (2, 2), (2, 2), "L2-Hys") for one in images(x)]
    return np.array(blocks)


@told_by(Regression("pixels", 6, 10, 2), Rate(0.5))
@told_by(Regression("gradients", 6, 10, 2), Rate(0.5))
@told_by(Regression("layers", 6, 10, 2), Rate(0.1), (DRAWN,))
def regression(run):
    views = {"pixels": floats, "gradients": oriented, "layers": lambda x: features(DRAWN, x)}
    view, (key_init, key_train) = views[run.program.features], jax.random.split(run.key)
    seen = Data(*(split._replace(x=view(split.x).astype(np.float32)) for split in run.data))
    net, rule = mlp(()), optax.sgd(float(run.hypers.rate))
    fitted = descended(jax.random.fold_in(key_train, 0), start_of(net, key_init, seen), seen, net, rule, 10, 6)
    params, result = at_best(seen, fitted, lambda params, x: linear(x, params["output"]))
    told, y = linear(seen.test.x, params["output"]), np.asarray(seen.test.y)
    said, digits = linear(seen.valid.x, params["output"]), np.asarray(seen.valid.y)
    above = np.where(digits == 8, said[:, [3, 5]].max(1) - said[:, 8], -np.inf)
    close(run.kept, {"eights": run.data.valid.x[np.argsort(-above, kind="stable")[:8]].reshape(2, 4, 16)})
    shares = np.array(
        [[np.mean(told[y == i].argmax(1) == j) if (y == i).any() else 0 for j in range(10)] for i in range(10)]
    )
    mistakes = {(i, j): shares[i, j] for i in range(10) for j in range(10) if i != j}
    by_digit = {i: sum(share for (true, _), share in mistakes.items() if true == i) for i in range(10)}
    eights, threes = told[y == 8], told[y == 3]
    apart = [*(eights[:, 8] <= eights[:, 3]), *(threes[:, 8] > threes[:, 3])]
    return result._replace(
        measures={
            **result.measures,
            "test": {
                **result.measures["test"],
                "eights": by_digit[8],
                "others": np.mean([share for digit, share in by_digit.items() if digit != 8]),
                "for_three": mistakes[8, 3],
                "for_five": mistakes[8, 5],
                "pairs": np.mean([*mistakes.values()]),
                "apart": np.mean(apart),
            },
        },
        curves={**result.curves, "test": {"taken": shares.ravel()}},
    )
