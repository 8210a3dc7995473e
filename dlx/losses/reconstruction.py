"""Auto-associators: how well the input can be computed from its code.

R = -sum_i (x_i log p_i + (1 - x_i) log(1 - p_i)), with p = sigm(c + h w') and h = sigm(b + x w). This is section 3 of
Bengio et al. 2006. The parameters are a layer `{w, b, c}`. An untied auto-associator has a matrix `decoder` [hidden,
visible] as well. For other visible units R is -log p(x), up to a constant: half the squared error for Gaussian ones.
"""

import jax
import jax.numpy as jnp

from dlx.nets.layer import BINARY, LayerKind, as_float, check_distribution, check_probability
from dlx.types import Loss, PerExample, Rate


def autoassociator(masking: Rate | None = None, kind: LayerKind = BINARY) -> Loss:
    """The mean over a batch of R in nats, of the input given its code.

    With `masking` it is a denoising auto-associator: it gets the code of a corrupted copy. Corruption sets each visible
    unit to 0 with probability `masking` (Vincent et al. 2008).

    Raises ValueError if the visible units have no distribution, or `masking` is a number outside [0, 1].
    """
    check_distribution(kind.visible)
    check_probability(masking=masking)

    def loss(layer, key, batch):
        clean = x = as_float(batch.x)
        if masking is not None:
            x = jnp.where(jax.random.bernoulli(key, masking, x.shape), 0, x)
        return kind.nats(kind.decode_inputs(layer, kind.encode(layer, x)), clean).mean(), {}

    return loss


def reconstruction(kind: LayerKind = BINARY) -> PerExample:
    """R of each example in nats, without corruption."""

    def per_example(layer, split):
        x = as_float(split.x)
        return kind.nats(kind.decode_inputs(layer, kind.encode(layer, x)), x)

    return per_example
