"""Auto-associators: how well a code tells the input it came from.

R = -sum_i x_i log p_i + (1 - x_i) log(1 - p_i) with p = sigm(c + h w'), h = sigm(b + x w) (Bengio et al. 2006,
section 3). The parameters are a layer `{w, b, c}`; an untied auto-associator adds a matrix `decoder` [hidden, visible].
Where the visible units are not sigmoid, R is their -log p(x): half the squared error of Gaussian ones.
"""

import jax
import jax.numpy as jnp

from dlx.nets.layer import BINARY, LayerKind, as_float, check_distribution
from dlx.types import Loss, PerExample, Rate


def autoassociator(masking: Rate | None = None, kind: LayerKind = BINARY) -> Loss:
    """Mean R of the input given its code or, denoising, given the code of a corrupted copy, in nats.

    Corruption sets each visible unit to 0 with probability `masking` (Vincent et al. 2008); None: no corruption.

    Raises ValueError if the visible units have no distribution.
    """
    check_distribution(kind.visible)

    def loss(layer, key, batch):
        clean = x = as_float(batch.x)
        if masking is not None:
            x = jnp.where(jax.random.bernoulli(key, masking, x.shape), 0, x)
        return kind.nats(kind.decode_inputs(layer, kind.encode(layer, x)), clean).mean(), {}

    return loss


def reconstruction(kind: LayerKind = BINARY) -> PerExample:
    """R of each example without noise."""

    def per_example(layer, split):
        x = as_float(split.x)
        return kind.nats(kind.decode_inputs(layer, kind.encode(layer, x)), x)

    return per_example
