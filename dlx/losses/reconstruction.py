"""Auto-associators: how well a code tells the input it came from.

R = -sum_i x_i log p_i + (1 - x_i) log(1 - p_i) with p = sigm(c + h w'), h = sigm(b + x w) (Bengio et al. 2006,
section 3). The parameters are a layer `{w, b, c}`; an untied auto-associator adds a matrix `decoder` [hidden, visible].
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import decode_logits, encode
from dlx.types import Loss, Params, Rate, Score


def reconstruct_logits(layer: Params, x: Float[Array, "*n visible"]) -> Float[Array, "*n visible"]:
    """Log-odds of the reconstruction of x, by the `decoder` if the layer has one and by w' if not."""
    h = encode(layer, x)
    return h @ layer["decoder"] + layer["c"] if "decoder" in layer else decode_logits(layer, h)


def cross_entropy(logits: Float[Array, "*n visible"], target: Float[Array, "*n visible"]) -> Float[Array, "*n"]:
    """R of each example, in nats, summed over the visible units."""
    return (jax.nn.softplus(logits) - target * logits).sum(-1)


def autoassociator(masking: Rate | None = None) -> Loss:
    """Mean R of the input given its code or, denoising, given the code of a corrupted copy.

    Corruption sets each visible unit to 0 with probability `masking` (Vincent et al. 2008); None: no corruption.
    """

    def loss(layer, key, batch):
        x = batch.x
        if masking is not None:
            x = jnp.where(jax.random.bernoulli(key, masking, x.shape), 0, x)
        return cross_entropy(reconstruct_logits(layer, x), batch.x).mean(), {}

    return loss


def reconstruction() -> Score:
    """R of each example without noise."""
    return lambda layer, split: cross_entropy(reconstruct_logits(layer, split.x), split.x)
