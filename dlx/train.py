"""Fitting: the steps of an algorithm, repeated on the batches of a feed until epochs or patience end."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from dlx.types import Algorithm, Batch, Data, Feed, Key, Params, PerExample, Scalar, Score, Split, Stage, State, keep

AfterEpoch = Callable[[Any, Any, Any], None]
"""Called on the host after each epoch with scalars: epoch (from 0), score, whether the run goes on.

Without a score it gets the loss, or if there is none the first metric by name."""
Watch = Callable[[Params, Data], Mapping[str, Any]]
"""Returns arrays by name, from the parameters after an epoch and the data."""


class Curve(NamedTuple):
    """What one fit did, epoch by epoch. Entries after the last epoch are infinite."""

    metrics: Mapping[str, Float[Array, "epochs ..."]]
    """Every metric, averaged over the steps of the epoch."""
    watched: Mapping[str, Float[Array, "epochs ..."]]
    """What `watch` gave after the epoch."""
    score: Float[Array, " epochs"] | None
    """Score after the epoch; None without a score."""
    first_loss: Scalar
    """The metric `loss` of the first step, before any update; 0 if there is no such metric."""
    epochs: Int[Array, ""]
    """How many epochs were run."""
    best: Int[Array, ""]
    """The epoch, from 0, whose parameters were returned."""
    diverged: Bool[Array, ""]
    """Whether a metric, the score or a parameter became infinite or NaN, which ends the fit."""


class _Run(NamedTuple):
    state: State
    best_params: Params
    best_score: Scalar
    curve: Curve


def examples(split: Split) -> int:
    """How many examples a split has. Raises ValueError if its arrays differ in that, or if it has no arrays."""
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(split)}
    if len(counts) != 1 or () in counts:
        said = ", ".join(sorted(str(*count) if count else "no axis" for count in counts)) or "none"
        raise ValueError(f"the arrays of a split have one leading axis, over examples; their lengths are: {said}")
    return counts.pop()[0]


def take(split: Split, rows: Int[Array, " n"]) -> Batch:
    """The examples in these rows. Pixels stay uint8: a net makes floats of them."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], split)


def first(split: Split, n: int | None) -> Split:
    """The first n examples of a split; the whole split if n is None or there are no more. Pixels stay uint8.

    Raises ValueError if n is less than 1.
    """
    _check_positive(n=n)
    return split if n is None else take(split, jnp.arange(min(n, examples(split))))


def of_dtypes(like: Any, tree: Any) -> Any:
    """The arrays of a tree in the dtypes of the other. With x64 an update of float32 parameters may be float64."""
    return jax.tree.map(lambda old, new: new if new.dtype == old.dtype else new.astype(old.dtype), like, tree)


def by_batches(function: Callable[[Params, Batch], Any], params: Params, split: Split, batch_size: int = 1000) -> Any:
    """`function(params, examples)` of all examples, arrays [n, ...], computed batch by batch."""
    rows = jnp.arange(examples(split))

    def of_one(row):
        return jax.tree.map(lambda leaf: leaf[0], function(params, take(split, row[None])))

    return jax.lax.map(of_one, rows, batch_size=batch_size)


def check_not_empty(**splits: Split) -> None:
    """Raise ValueError if a split has no examples, because a mean over it would be NaN."""
    for name, split in splits.items():
        if not examples(split):
            raise ValueError(f"the split {name!r} is empty, so nothing can be measured on it; give it examples")


def valid(per_example: PerExample) -> Score:
    """The score that is the mean over the validation split. Raises ValueError, when called, if that is empty."""

    def score(params: Params, data: Data) -> Scalar:
        check_not_empty(valid=data.valid)
        return by_batches(per_example, params, data.valid).mean()

    return score


def minibatches(n: int, prepare: Callable[[Key, Batch], Batch] | None = None, steps: int | None = None) -> Feed:
    """Batches of n training examples, in a new order in every epoch. An incomplete last batch is left out.

    `prepare` does what is random and for training only, such as distortion. An epoch is one pass. With `steps` it has
    that many steps: a part of a pass, or several passes, each in its own order.

    Raises ValueError if a number is less than 1 or, when called, if there are fewer training examples.
    """
    _check_positive(batch_size=n, steps=steps)

    def feed(key, train):
        if (total := examples(train)) < n:
            raise ValueError(
                f"a batch of {n} is larger than the training split of {total} examples; choose a smaller batch"
            )
        a_pass = total // n

        def order(key):
            return jax.random.permutation(key, total)[: a_pass * n].reshape(a_pass, n)

        def batch(key, rows):
            taken = take(train, rows)
            return taken if prepare is None else prepare(key, taken)

        if steps is None:
            return order(key), batch
        return jax.vmap(order)(jax.random.split(key, -(-steps // a_pass))).reshape(-1, n)[:steps], batch

    return feed


def generated(make: Callable[[Key], Batch], steps: int) -> Feed:
    """Batches that `make` draws, `steps` of them per epoch. The training split is not used.

    Raises ValueError if `steps` is less than 1.
    """
    _check_positive(steps=steps)
    return lambda key, train: (jnp.arange(steps), lambda key, _: make(key))


def shard_batch(batch: Batch) -> Batch:
    """The batch, split over the devices of the mesh axis `data`; without such an axis as it is."""
    if jax.sharding.get_abstract_mesh().shape.get("data", 1) == 1:
        return batch
    return jax.lax.with_sharding_constraint(batch, PartitionSpec("data"))


def _check_positive(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")


_KEY_OF_INIT = np.uint32(2**32 - 1)  # the epochs take 0, 1, ...


def _epoch(algorithm: Algorithm, feed: Feed, key: Key, state: State, train: Split):
    """The state after one epoch, and the metrics [steps, ...] of its steps."""
    key_feed, key_steps, key_batches = jax.random.split(key, 3)
    xs, batch = feed(key_feed, train)
    steps = examples(xs)

    def step(state, keys_and_x):
        key, key_batch, x = keys_and_x
        after, metrics = algorithm.step(key, state, shard_batch(batch(key_batch, x)))
        return of_dtypes(state, after), metrics

    keys = (jax.random.split(key, steps) for key in (key_steps, key_batches))
    return jax.lax.scan(step, state, (*keys, xs))


def fit(
    algorithm: Algorithm,
    feed: Feed,
    *,
    epochs: int,
    score: Score | None = None,
    patience: int | None = None,
    watch: Watch | None = None,
    progress: AfterEpoch | None = None,
) -> Stage:
    """Train until `epochs` have passed or the score has not improved for `patience` epochs.

    It returns the last parameters, or with patience those of the epoch with the least score. The log is a `Curve`. A
    fit stops when a metric, the score or a parameter is not finite; its log then says `diverged`.

    Raises ValueError if a number is less than 1, or if patience or a review has no score to use.
    """
    _check_positive(epochs=epochs, patience=patience)
    if score is None and (patience is not None or algorithm.review is not keep):
        what = "patience" if patience is not None else "the algorithm's review"
        raise ValueError(f"{what} goes by a score; give fit one, such as score=valid(misclassified(net))")

    def active(run: _Run) -> Bool[Array, ""]:
        curve = run.curve
        waiting = True if patience is None else curve.epochs - 1 - curve.best < patience
        return (curve.epochs < epochs) & ~curve.diverged & waiting

    def stage(key: Key, params: Params, data: Data) -> tuple[Params, Curve]:
        def one_epoch(key, state):
            """The state, the loss of the first step, and the epoch's entries of the curve."""
            state, metrics = _epoch(algorithm, feed, key, state, data.train)
            first_loss = metrics["loss"][0] if "loss" in metrics else jnp.zeros(())
            means = jax.tree.map(lambda leaf: leaf.mean(0), dict(metrics))
            watched = {} if watch is None else dict(watch(state.params, data))
            return state, first_loss, (means, watched, None if score is None else score(state.params, data))

        def go_on(run: _Run) -> _Run:
            epoch = run.curve.epochs
            state, first_loss, told = one_epoch(jax.random.fold_in(key, epoch), run.state)
            means, _, value = told
            if progress is not None:
                shown = means.get("loss", means[min(means)]) if value is None else value
                jax.debug.callback(progress, epoch, shown, active(run))
            leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((means, value, state.params))]
            finite = jnp.stack(leaves).all()
            better = (value < run.best_score) & finite if patience is not None else jnp.asarray(True)
            past = run.curve.metrics, run.curve.watched, run.curve.score
            curve = Curve(
                *jax.tree.map(lambda all, one: all.at[epoch].set(one), past, told),
                first_loss=jnp.where(epoch == 0, first_loss, run.curve.first_loss),
                epochs=epoch + 1,
                best=jnp.where(better, epoch, run.curve.best),
                diverged=~finite,
            )
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), state.params, run.best_params)
            best_score = run.best_score if value is None else jnp.where(better, value, run.best_score)
            state = state if value is None else algorithm.review(state, value)
            return _Run(state, best, best_score, curve)

        state = algorithm.init(jax.random.fold_in(key, _KEY_OF_INIT), params)
        _, first_loss, shapes = jax.eval_shape(one_epoch, key, state)
        blank = jax.tree.map(lambda leaf: jnp.full((epochs, *leaf.shape), jnp.inf), shapes)
        zero, none = jnp.zeros((), jnp.int32), jnp.zeros((), first_loss.dtype)
        start = _Run(state, params, jnp.asarray(jnp.inf), Curve(*blank, none, zero, zero, jnp.asarray(False)))
        end = jax.lax.while_loop(active, go_on, start)
        return end.best_params, end.curve

    return stage
