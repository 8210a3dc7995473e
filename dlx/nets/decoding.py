"""What an encoder and a decoder answer: the most probable token at each step, or the best answers that a beam finds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import log_softmax
from jaxtyping import Array, Float, Int

from dlx.nets.encoder_decoder import EncoderDecoder
from dlx.nets.layer import check_positive
from dlx.types import END, Params, Sequences


class Answers(NamedTuple):
    """The answers that a beam found, the most probable first. Behind the end of an answer stands END."""

    tokens: Int[Array, "n beams steps"]
    log_probability: Float[Array, "n beams"]
    """-inf where there are fewer answers than beams."""


def greedy(coder: EncoderDecoder, params: Params, source: Sequences, steps: int) -> Int[Array, "n steps"]:
    """The answers that take the most probable token at each step, of at most so many tokens."""
    check_positive(steps=steps)

    def write(state, _):
        carry, token = state
        carry, logits = coder.step(params, carry, token)
        return (carry, jnp.argmax(logits, -1)), jnp.argmax(logits, -1)

    first = jnp.full(len(source.lengths), END)
    _, tokens = jax.lax.scan(write, (coder.encode(params, source), first), length=steps)
    ended = jnp.cumsum(tokens == END, axis=0) > 0
    return jnp.where(ended, END, tokens).T


def beam_search(coder: EncoderDecoder, params: Params, source: Sequences, steps: int, beams: int) -> Answers:
    """The answers of the most probable `beams` beginnings at each step, of at most so many tokens.

    An answer that has ended stays as it is, and competes with those that go on. With as many beams as there are
    answers, these are all answers. With one, it is what `greedy` gives.
    """
    check_positive(steps=steps, beams=beams)
    n = len(source.lengths)

    def of_parents(leaf, parents):
        """The entries of a leaf [n x beams, ...] that belong to the beams that are continued."""
        places = (jnp.arange(n)[:, None] * beams + parents).reshape(-1)
        return leaf[places]

    def write(state, step):
        carry, tokens, scores = state
        before = jnp.where(step == 0, END, tokens[:, step - 1])
        ended = (step > 0) & (before == END)
        carry, logits = coder.step(params, carry, before)
        stay = jnp.where(jnp.arange(logits.shape[-1]) == END, 0.0, -jnp.inf)
        following = jnp.where(ended[:, None], stay, log_softmax(logits)).reshape(n, beams, -1)
        vocabulary = following.shape[-1]
        scores, best = jax.lax.top_k((scores[..., None] + following).reshape(n, -1), beams)
        parents = best // vocabulary
        carry, tokens = jax.tree.map(lambda leaf: of_parents(leaf, parents), (carry, tokens))
        return (carry, tokens.at[:, step].set((best % vocabulary).reshape(-1)), scores), None

    carry = jax.tree.map(lambda leaf: jnp.repeat(leaf, beams, axis=0), coder.encode(params, source))
    scores = jnp.broadcast_to(jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf), (n, beams))
    start = carry, jnp.full((n * beams, steps), END), scores
    (_, tokens, scores), _ = jax.lax.scan(write, start, jnp.arange(steps))
    return Answers(tokens.reshape(n, beams, steps), scores)
