"""Restricted Boltzmann machines: energies, Gibbs sampling, contrastive divergence.

E(v, h) = -v w h - b h - c v over binary units, with a layer `{w, b, c}` (Hinton, Osindero & Teh 2006; Bengio et al.
2006, section 2). Visible units in (0, 1) are read as probabilities, as in the greedy training of a deep belief network.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import decode_logits, encode
from dlx.types import Key, Loss, Params


def free_energy(layer: Params, v: Float[Array, "*n visible"]) -> Float[Array, "*n"]:
    """F(v) = -c v - sum_j softplus(b_j + (v w)_j), in nats: p(v) = exp(-F(v)) / Z."""
    return -(v @ layer["c"]) - jax.nn.softplus(v @ layer["w"] + layer["b"]).sum(-1)


def gibbs(
    key: Key, layer: Params, v: Float[Array, "*n visible"], mean_field: bool = False
) -> Float[Array, "*n visible"]:
    """One step of block Gibbs sampling: h ~ P(h | v), then a sample of P(v | h), or P(v | h) itself if `mean_field`."""
    key_hidden, key_visible = jax.random.split(key)
    h = jax.random.bernoulli(key_hidden, encode(layer, v)).astype(v.dtype)
    p = jax.nn.sigmoid(decode_logits(layer, h))
    return p if mean_field else jax.random.bernoulli(key_visible, p).astype(v.dtype)


def contrastive_divergence(k: int = 1, mean_field: bool = False) -> Loss:
    """mean(F(v) - F(v_k)), v_k being k Gibbs steps from v and held constant; its gradient is the CD-k update.

    That gradient is -(v'h - v_k'h_k) / n for w, with probabilities h = P(h = 1 | v) in both terms. With
    `mean_field`, v_k is P(v | h) instead of a sample of it, which makes the update less noisy (Hinton 2010, "A
    practical guide to training restricted Boltzmann machines", section 3). The value itself is no likelihood. The
    metric `reconstruction` is the mean squared difference of v and v_k.
    """

    if k < 1:
        raise ValueError(f"contrastive divergence needs at least one Gibbs step, not {k}")

    def loss(layer, key, batch):
        fixed = jax.lax.stop_gradient(layer)
        v_k = batch.x
        for i, key_step in enumerate(jax.random.split(key, k)):
            v_k = gibbs(key_step, fixed, v_k, mean_field and i == k - 1)
        value = (free_energy(layer, batch.x) - free_energy(layer, v_k)).mean()
        return value, {"reconstruction": jnp.square(batch.x - v_k).mean()}

    return loss
