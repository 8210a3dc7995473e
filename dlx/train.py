"""Fitting: an update rule, repeated over shuffled minibatches until the validation score stops improving."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from dlx.nets.layer import as_float
from dlx.types import Algorithm, Data, Key, Loss, Params, Scalar, Score, Split, Stage

Report = Callable[[Any, Any, Any], None]
"""Called on the host after each epoch with scalars: epoch (from 0), validation score, is the run still training?"""


class GradientState(NamedTuple):
    """Parameters and the optimizer's own state."""

    params: Params
    optimizer: Any


def gradient(loss: Loss, optimizer: optax.GradientTransformation) -> Algorithm:
    """Descent along the gradient of a loss."""

    def init(params):
        return GradientState(params, optimizer.init(params))

    def step(key, state, batch):
        (value, metrics), grads = jax.value_and_grad(loss, has_aux=True)(state.params, key, batch)
        updates, inner = optimizer.update(grads, state.optimizer, state.params)
        return GradientState(optax.apply_updates(state.params, updates), inner), {"loss": value, **metrics}

    return Algorithm(init, step)


def renewing(entry: str, loss: Loss, optimizer: optax.GradientTransformation) -> Algorithm:
    """Descent on all entries of the parameters but one, which is given the value of the loss's metric of that name.

    Running statistics are such an entry: neither the gradient nor the optimizer sees it.
    """

    def others(mapping):
        return {name: value for name, value in mapping.items() if name != entry}

    def init(params):
        return GradientState(params, optimizer.init(others(params)))

    def step(key, state, batch):
        def of_others(params, key, batch):
            return loss({**params, entry: state.params[entry]}, key, batch)

        descended = GradientState(others(state.params), state.optimizer)
        (params, inner), metrics = gradient(of_others, optimizer).step(key, descended, batch)
        return GradientState({**params, entry: metrics[entry]}, inner), others(metrics)

    return Algorithm(init, step)


class Curve(NamedTuple):
    """What one fit did, epoch by epoch; entries past the last epoch are NaN."""

    loss: Float[Array, " epochs"]
    """Training loss, averaged over the epoch's minibatches."""
    valid: Float[Array, " epochs"]
    """Validation score after the epoch."""
    first_loss: Scalar
    """Loss on the first minibatch, before any update."""
    epochs: Int[Array, ""]
    """How many epochs were run."""
    best: Int[Array, ""]
    """The epoch, from 0, whose parameters were returned."""
    diverged: Bool[Array, ""]
    """Whether the loss, the score or a parameter became infinite or NaN, which ends the fit."""


class _Progress(NamedTuple):
    state: Any
    best_params: Params
    best_score: Scalar
    curve: Curve


def take(split: Split, rows: Int[Array, " n"]) -> Split:
    """The given rows, with intensities as floats: pixels stay uint8 until a batch needs them."""
    x, y = map(jnp.asarray, split)
    return Split(as_float(x[rows]), y[rows])


def each(score: Score, params: Params, split: Split, batch_size: int = 1000) -> Float[Array, " n"]:
    """The score of every example [n], computed a batch at a time."""
    rows = jnp.arange(split.x.shape[0])
    return jax.lax.map(lambda row: score(params, take(split, row[None]))[0], rows, batch_size=batch_size)


def share(batch: Split) -> Split:
    """Split a minibatch over the devices of the mesh axis `data`, in a program on a mesh that has one."""
    if jax.sharding.get_abstract_mesh().shape.get("data", 1) == 1:
        return batch
    return jax.lax.with_sharding_constraint(batch, PartitionSpec("data"))


def _epoch(algorithm: Algorithm, batch_size: int, key: Key, state: Any, train: Split):
    """One pass over the training split in a new order; an incomplete last batch is left out."""
    n = train.x.shape[0]
    key_order, key_steps = jax.random.split(key)
    steps = n // batch_size
    order = jax.random.permutation(key_order, n)[: steps * batch_size].reshape(steps, batch_size)

    def step(state, xs):
        key, rows = xs
        return algorithm.step(key, state, share(take(train, rows)))

    state, metrics = jax.lax.scan(step, state, (jax.random.split(key_steps, steps), order))
    return state, metrics["loss"]


def fit(
    algorithm: Algorithm,
    score: Score,
    *,
    epochs: int,
    batch_size: int,
    patience: int | None = None,
    report: Report | None = None,
) -> Stage:
    """Train until `epochs` have passed or the validation score has not improved for `patience` epochs.

    With patience the parameters of the best epoch by validation score are returned, without it (None) the last ones.
    The log is a `Curve`. A fit whose loss, score or parameters are not finite stops there and says so.

    Raises ValueError, when called, if a number is not positive or the training split is smaller than a batch.
    """
    for name, value in {"epochs": epochs, "batch_size": batch_size, "patience": patience}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")

    def active(progress: _Progress) -> Bool[Array, ""]:
        curve = progress.curve
        waiting = True if patience is None else curve.epochs - 1 - curve.best < patience
        return (curve.epochs < epochs) & ~curve.diverged & waiting

    def stage(key: Key, params: Params, data: Data) -> tuple[Params, Curve]:
        if data.train.x.shape[0] < batch_size:
            raise ValueError(
                f"a batch of {batch_size} is larger than the training split of {data.train.x.shape[0]} "
                "examples; choose a smaller batch_size"
            )

        def one_epoch(progress: _Progress) -> _Progress:
            curve, epoch = progress.curve, progress.curve.epochs
            state, losses = _epoch(algorithm, batch_size, jax.random.fold_in(key, epoch), progress.state, data.train)
            loss, valid = losses.mean(), each(score, state.params, data.valid).mean()
            if report is not None:
                jax.debug.callback(report, epoch, valid, active(progress))
            leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params)]
            finite = jnp.isfinite(loss) & jnp.isfinite(valid) & jnp.stack(leaves).all()
            better = (valid < progress.best_score) & finite if patience is not None else jnp.asarray(True)
            curve = Curve(
                loss=curve.loss.at[epoch].set(loss),
                valid=curve.valid.at[epoch].set(valid),
                first_loss=jnp.where(epoch == 0, losses[0], curve.first_loss),
                epochs=epoch + 1,
                best=jnp.where(better, epoch, curve.best),
                diverged=~finite,
            )
            keep = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, progress.best_params)
            return _Progress(state, keep, jnp.where(better, valid, progress.best_score), curve)

        blank, zero = jnp.full(epochs, jnp.nan), jnp.zeros((), jnp.int32)
        start = _Progress(
            algorithm.init(params),
            params,
            jnp.asarray(jnp.inf),
            Curve(blank, blank, jnp.asarray(jnp.nan), zero, zero, jnp.asarray(False)),
        )
        end = jax.lax.while_loop(active, one_epoch, start)
        return end.best_params, end.curve

    return stage
