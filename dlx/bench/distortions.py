"""How many images a second are distorted on one device, by what is done to them."""

from functools import partial

import jax
import jax.numpy as jnp

from dlx.bench.timing import REPEATS, random_data, wall_time
from dlx.data.distort import Distortion, distorted
from dlx.types import Key, Labelled, Scalar

BATCH = 100
AFFINE = Distortion(shift=1.0, rotation=15.0, scale=0.15, shear=0.15)
ELASTIC = Distortion(elastic=36.0, width=5.0)
DISTORTIONS = {"affine": AFFINE, "elastic": ELASTIC, "both": AFFINE._replace(elastic=36.0, width=5.0)}


def images_a_second(examples: int) -> dict[str, float]:
    """The fastest of several passes over so many images of 28 x 28, in minibatches of 100."""
    train = random_data(examples).train
    count = examples // BATCH * BATCH
    batches = jax.tree.map(lambda leaf: leaf[:count].reshape(-1, BATCH, *leaf.shape[1:]), train)
    made = {}
    for name, by in DISTORTIONS.items():
        run = partial(jax.jit(partial(_total, by)), jax.random.key(0), batches)
        run()
        made[name] = count / min(wall_time(run) for _ in range(REPEATS))
    return made


def _total(by: Distortion, key: Key, batches: Labelled) -> Scalar:
    """The sum of all pixels, so that every image is made and none is kept."""

    def add(total, key_and_batch):
        return total + distorted(by)(*key_and_batch).x.sum(), None

    return jax.lax.scan(add, jnp.zeros(()), (jax.random.split(key, len(batches.y)), batches))[0]
