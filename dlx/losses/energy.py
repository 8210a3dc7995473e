"""Restricted Boltzmann machines: Gibbs sampling, contrastive divergence.

A layer `{w, b, c}` of binary units has the energy E(v, h) = -v w h - b h - c v. Sources: Hinton, Osindero & Teh 2006;
Bengio et al. 2006, section 2. Visible units in (0, 1) are read as probabilities, as in the greedy training of a DBN.
`dlx.nets.layer` has other kinds of units.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dlx.nets.layer import BINARY, LayerKind, as_float, check_distribution
from dlx.types import Key, Loss, Params


def gibbs(
    key: Key, layer: Params, v: Float[Array, "*n visible"], mean_field: bool = False, kind: LayerKind = BINARY
) -> Float[Array, "*n visible"]:
    """One step of block Gibbs sampling: h ~ P(h | v), then v ~ P(v | h).

    It returns the new v, or the mean of P(v | h) if `mean_field`.

    Raises ValueError if the units of a side have no distribution.
    """
    check_distribution(*kind)
    assert kind.hidden.sample is not None
    assert kind.visible.sample is not None
    key_hidden, key_visible = jax.random.split(key)
    h = kind.hidden.sample(key_hidden, v @ layer["w"] + layer["b"])
    u = kind.decode_inputs(layer, h)
    return kind.visible.mean(u) if mean_field else kind.visible.sample(key_visible, u)


def gibbs_chain(
    key: Key,
    layer: Params,
    v: Float[Array, "*n visible"],
    k: int,
    mean_field: bool = False,
    kind: LayerKind = BINARY,
) -> Float[Array, "*n visible"]:
    """k steps of block Gibbs sampling from v. If `mean_field`, the last one returns the mean of P(v | h).

    Raises ValueError if k is less than 1, or as `gibbs` does.
    """
    if k < 1:
        raise ValueError(f"a chain needs at least one Gibbs step, not {k}")
    keys = jax.random.split(key, k)
    v, _ = jax.lax.scan(lambda v, key: (gibbs(key, layer, v, kind=kind).astype(v.dtype), None), v, keys[:-1])
    return gibbs(keys[-1], layer, v, mean_field, kind)


def contrastive_divergence(k: int = 1, mean_field: bool = False, kind: LayerKind = BINARY) -> Loss:
    """mean(F(v) - F(v_k)), where v_k is k Gibbs steps from v and held constant. Its gradient is the CD-k update.

    The gradient for w is -(v'h - v_k'h_k) / n, with means h of the hidden units in both terms. With `mean_field`, v_k
    is the mean of P(v | h) instead of a sample, which makes the update less noisy. Source: Hinton 2010, "A practical
    guide to training restricted Boltzmann machines", section 3. The value itself is not a likelihood. The metric
    `reconstruction` is the mean squared difference of v and v_k.

    Raises ValueError if k is less than 1 or the units of a side have no distribution.
    """
    check_distribution(*kind)
    if k < 1:
        raise ValueError(f"contrastive divergence needs at least one Gibbs step, not {k}")

    def loss(layer, key, batch):
        v = as_float(batch.x)
        v_k = gibbs_chain(key, jax.lax.stop_gradient(layer), v, k, mean_field, kind)
        value = (kind.free_energy(layer, v) - kind.free_energy(layer, v_k)).mean()
        return value, {"reconstruction": jnp.square(v - v_k).mean()}

    return loss
