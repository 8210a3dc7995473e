"""Nets with local connections and shared weights: by hand."""

import jax
import numpy as np
import optax
from measures.by_hand import descended, judged, start_of, told_by
from measures.of_vision import images, linear
from PIL import Image

from dlx.programs import Rate
from dlx.types import Data
from experiments.lecun1989 import Constrained, net_of


def of_sides(x):
    """Images of 16 x 16 pixels, by Pillow's triangles."""
    return np.array([np.asarray(Image.fromarray(one[..., 0].astype("f4")).resize((16, 16), 2)) for one in images(x)])


def seen_from(x, size, stride, padding):
    """What each place of a layer sees [n, down, across, rows, columns, channels], place by place."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    places = (x.shape[1] - size) // stride + 1
    seen = [[x[:, stride * i :, stride * j :][:, :size, :size] for j in range(places)] for i in range(places)]
    return np.array(seen).transpose(2, 0, 1, 3, 4, 5)


def of_parts(params, x, name, size, padding):
    """The values of a layer of local units, or of those that share a kernel."""
    seen, w = seen_from(x, size, 2, padding), np.asarray(params[name]["w"], float)
    down = seen.shape[1]
    if f"{name}_biases" in params:
        z = np.einsum("nyxijc,ijcu->nyxu", seen, w) + np.asarray(params[f"{name}_biases"]["b"])
    else:
        units = w.reshape(*seen.shape[3:], down, down, -1)
        z = np.einsum("nyxijc,ijcyxu->nyxu", seen, units)
        z += np.asarray(params[name]["b"]).reshape(down, down, -1)
    return 1.7159 * np.tanh(2 / 3 * z)


@told_by(Constrained("both", 30, 4, 10), Rate(0.2))
@told_by(Constrained("one", 30, 4, 10), Rate(0.2))
@told_by(Constrained("dense", 30, 4, 10), Rate(0.2))
@told_by(Constrained("linear", 100, 4, 10), Rate(0.2))
def constrained(run):
    net, (key_draw, key_init, key_train) = net_of(run.program.net, 10), jax.random.split(run.key, 3)
    order = np.asarray(jax.random.permutation(key_draw, 40))[: run.program.examples]
    data = run.data._replace(train=jax.tree.map(lambda leaf: leaf[order], run.data.train))
    data = Data(*(split._replace(x=of_sides(split.x)) for split in data))
    rule, start = optax.sgd(float(run.hypers.rate)), start_of(net, key_init, data)
    fitted = descended(jax.random.fold_in(key_train, 0), start, data, net, rule, 10, 4)

    def told(params, x):
        x = x[..., None].astype(float)
        if "hidden" in params:
            x = 1.7159 * np.tanh(2 / 3 * (x.reshape(len(x), -1) @ params["hidden"]["w"] + params["hidden"]["b"]))
        if "first" in params:
            x = of_parts(params, of_parts(params, x, "first", 3, 1), "second", 5, 2)
        return linear(x.reshape(len(x), -1), params["output"])

    end = judged(data, lambda x: told(fitted.end, x))
    result = fitted.result()
    weights = {"linear": 2570, "dense": 3214, "one": 1132, "both": 1060}[run.program.net]
    apart = 2 * 64 * (9 + 1) + 4 * 16 * (2 * 25 + 1) + 10 * (64 + 1)
    model = {"weights": weights, "left": weights / apart}
    return result._replace(score=end["valid"]["error"], measures={**result.measures, **end, "model": model})
