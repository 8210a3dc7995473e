"""Ten runs, and one alone, that test_sweep.py compares: `swept.py OUT PER_RUN [COORDINATOR PROCESS]`."""

import json
import sys

import jax

from dlx.study.run.hosts import from_first_process, join

OUT, PER_RUN, *PROCESS = sys.argv[1:]
if PROCESS:
    join(PROCESS[0], 2, int(PROCESS[1]))

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from dlx import pretrain  # noqa: E402
from dlx.classify import classify  # noqa: E402
from dlx.nets.mlp import codes, hidden, mlp  # noqa: E402
from dlx.optim import sgd  # noqa: E402
from dlx.stage import chain, focus  # noqa: E402
from dlx.sweep import Sweep  # noqa: E402
from dlx.types import Data, Labelled  # noqa: E402

NET = mlp((6, 4))


def run(key, rate, data):
    """Every way to pre-train, and fine-tuning that stops after a number of epochs of its own."""
    key_init, key_train = jax.random.split(key)
    phase = {"epochs": 1, "batch_size": 8}
    stages = (
        focus(hidden(0), codes(0), pretrain.boltzmann(rate=0.1, **phase)),
        focus(hidden(1), codes(1), pretrain.autoassociate(rate=0.1, masking=0.25, **phase)),
        classify(NET, sgd(rate), epochs=6, batch_size=8, patience=1),
    )
    return chain(*stages)(key_train, NET.init(key_init, data.train.x[0]), data)


def data():
    """Three classes of noisy patterns of 16 pixels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90).astype(np.int32)
    x = (rng.integers(0, 256, (3, 16))[y] * rng.uniform(0.4, 1, (90, 16))).astype(np.uint8)
    return Data(*(Labelled(x[part], y[part]) for part in (slice(60), slice(60, 75), slice(75, 90))))


keys = jax.vmap(jax.random.key)(jnp.arange(10))
swept = Sweep(run, per_run=int(PER_RUN))
rates = np.linspace(0.1, 4, 10, dtype=np.float32)
params, logs = swept(keys, rates, data())
alone = swept(keys[:1], rates[:1], data())
assert from_first_process(lambda: jax.process_index()) == 0
if jax.process_index() == 0:
    leaves = [np.nan_to_num(leaf, nan=-1).tolist() for leaf in jax.tree.leaves((params, logs, alone))]
    with open(OUT, "w") as file:
        json.dump({"devices": jax.device_count(), "leaves": leaves, "epochs": logs[-1].epochs.tolist()}, file)
