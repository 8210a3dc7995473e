"""Update rules: plain gradients, persistent chains, two players."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dlx.losses.energy import gibbs_chain
from dlx.nets.layer import BINARY, LayerKind, as_float, check_distribution
from dlx.types import CARRIED, Algorithm, Key, Loss, Params, Review, keep


class GradientState(NamedTuple):
    """Parameters and the optimizer's own state."""

    params: Params
    optimizer: Any


def gradient(loss: Loss, optimizer: optax.GradientTransformation, review: Review = keep) -> Algorithm:
    """Descent along the gradient of a loss. The optimizer also gets the value of the loss.

    Entries of the parameters that are carried get the values that the loss passes on. The optimizer sees zeros as their
    gradients, and its updates of them are not used.
    """
    informed = optax.with_extra_args_support(optimizer)

    def init(key, params):
        del key
        return GradientState(params, informed.init(params))

    def step(key, state, batch):
        (value, metrics), grads = jax.value_and_grad(loss, has_aux=True)(state.params, key, batch)
        carried = metrics.get(CARRIED, {})
        grads = _replace(grads, jax.tree.map(jnp.zeros_like, carried))
        updates, inner = informed.update(grads, state.optimizer, state.params, value=value)
        params = _replace(optax.apply_updates(state.params, updates), carried)
        told = {name: metric for name, metric in metrics.items() if name != CARRIED}
        return GradientState(params, inner), {"loss": value, **told}

    return Algorithm(init, step, review)


def _replace(params: Params, entries: Mapping[str, Params]) -> Params:
    return {**params, **entries} if entries else params


class PersistentState(NamedTuple):
    """A layer, the optimizer's own state, and the Gibbs chains, which go on from step to step."""

    params: Params
    optimizer: Any
    chains: Float[Array, "chains visible"]


def persistent(
    k: int, optimizer: optax.GradientTransformation, chains: int, kind: LayerKind = BINARY, review: Review = keep
) -> Algorithm:
    """Persistent contrastive divergence for a layer `{w, b, c}` (Tieleman 2008).

    Each step moves the chains by k Gibbs steps. Then it descends on mean F(v) - mean F(chains), the metric `loss`. The
    chains start as samples of visible units with input 0.

    Raises ValueError if k or `chains` is less than 1, or if the units of a side have no distribution.
    """
    check_distribution(*kind)
    if min(k, chains) < 1:
        raise ValueError(f"k and the number of chains must be at least 1, not k = {k} and {chains} chains")
    sample = kind.visible.sample
    assert sample is not None

    def init(key, layer):
        return PersistentState(layer, optimizer.init(layer), sample(key, jnp.zeros((chains, layer["c"].size))))

    def step(key, state, batch):
        moved = gibbs_chain(key, state.params, state.chains, k, kind=kind)

        def gap(layer, key, batch):
            del key
            return kind.free_energy(layer, as_float(batch.x)).mean() - kind.free_energy(layer, moved).mean(), {}

        descended, metrics = gradient(gap, optimizer).step(key, GradientState(state.params, state.optimizer), batch)
        return PersistentState(*descended, moved), metrics

    return Algorithm(init, step, review)


class AdversarialState(NamedTuple):
    """Parameters with entries `critic` and `generator`, and the optimizers' states under the same names."""

    params: Params
    optimizers: Any


def adversarial(
    losses: tuple[Loss, Loss], critic: optax.GradientTransformation, generator: optax.GradientTransformation
) -> Algorithm:
    """In each step the critic descends on the first loss, and then the generator on the second.

    Each has its own optimizer. A loss is a function of all parameters, and is differentiated in the player's own entry.
    The metrics `critic` and `generator` are the losses. Source: Goodfellow et al. 2014, algorithm 1 with one step of
    the critic.
    """
    players = {"critic": (losses[0], critic), "generator": (losses[1], generator)}

    def init(key, params):
        del key
        return AdversarialState(params, {name: rule.init(params[name]) for name, (_, rule) in players.items()})

    def step(key: Key, state, batch):
        params, optimizers, told = state.params, state.optimizers, {}
        for (name, (loss, rule)), key_player in zip(players.items(), jax.random.split(key), strict=True):

            def own(entry, key, batch, name=name, loss=loss, others=params):
                return loss({**others, name: entry}, key, batch)

            before = GradientState(params[name], optimizers[name])
            (entry, inner), metrics = gradient(own, rule).step(key_player, before, batch)
            params, optimizers, told = (
                {**params, name: entry},
                {**optimizers, name: inner},
                {**told, name: metrics["loss"]},
            )
        return AdversarialState(params, optimizers), told

    return Algorithm(init, step)
