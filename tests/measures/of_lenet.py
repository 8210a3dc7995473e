"""LeNet-5 and the nets beside it: fits put together here. Its layers are computed by hand in tests of nets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measures.by_hand import DIGITS, close, descended, judged, start_of, told_by
from scipy.special import log_softmax

from dlx.data.distort import Distortion, distorted
from dlx.nets.lenet import lenet5
from dlx.programs import Rate
from dlx.types import Data
from experiments.lecun1998 import NETS, LeNet

LARGE = Data(*(split._replace(x=np.kron(split.x.reshape(-1, 4, 4), np.ones((1, 2, 2), "u1"))) for split in DIGITS))
"""The digits in 8 x 8 pixels, in rows and columns."""
BY = Distortion(rotation=15.0, scale=0.15, shear=0.15, elastic=36 * (2 / 7) ** 2, width=5 * 2 / 7)
WEIGHTS = {
    "shared": 6 * 10 + 16 * 55 + 16 * 120 + 120 + 120 * 84 + 84 + 850,
    "local": 64 * 6 * 10 + 4 * 16 * 55 + 16 * 120 + 120 + 120 * 84 + 84 + 850,
    "dense": 64 * 96 + 96 + 96 * 16 + 16 + 16 * 120 + 120 + 120 * 84 + 84 + 850,
}
"""With kernels of 3 x 3: six maps of 8 x 8, pooled to 4 x 4, and sixteen of 2 x 2, pooled to one."""


@told_by(LeNet("shared", 3, 10, kernel=3, distorts=True), Rate(0.02), data=LARGE)
@told_by(LeNet("local", 3, 10, kernel=3), Rate(0.02), data=LARGE)
@told_by(LeNet("dense", 3, 10, kernel=3), Rate(0.02), data=LARGE)
def lenet(run):
    name, distorts = run.program.net, run.program.distorts
    net = lenet5(size=3) if name == "shared" else NETS[name].model(10, 3, (8, 8))
    key_init, key_train, key_show = jax.random.split(run.key, 3)
    rule = optax.sgd(lambda step: 0.02 * (1 + jnp.cos(np.pi * step / 12)) / 2, 0.9)
    how = {"prepare": distorted(BY)} if distorts else {}
    start = start_of(net, key_init, run.data)
    fitted = descended(jax.random.fold_in(key_train, 0), start, run.data, net, rule, 10, 3, **how)

    def told(params):
        return lambda x: log_softmax(np.asarray(jax.jit(net.apply)(params, x)), -1)

    score = [np.mean(told(params)(run.data.valid.x).argmax(-1) != run.data.valid.y) for params in fitted.params]
    end, result = judged(run.data, told(fitted.end)), fitted.result(score)
    model = {"weights": WEIGHTS[name], "left": WEIGHTS[name] / WEIGHTS["local"]}
    if distorts:
        copies = run.data.train._replace(x=jnp.asarray(run.data.train.x[[0] * 10]))
        close(run.kept, {"distorted": np.asarray(distorted(BY)(key_show, copies).x).reshape(2, 5, 64)})
    return result._replace(score=end["valid"]["error"], measures={**result.measures, **end, "model": model})
