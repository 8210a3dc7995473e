"""An encoder and a decoder against loops of their cells, and a beam against the enumeration of all answers."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from dlx.inspect.check import check
from dlx.losses.labelling import cross_entropy
from dlx.nets.decoding import beam_search, greedy
from dlx.nets.encoder_decoder import encoder_decoder
from dlx.types import END, UNLABELLED, Labelled, Pairs, Sequences

VOCABULARY, STEPS, SOURCE_STEPS, N = 3, 4, 3, 2
CODER = encoder_decoder("gru", 4, VOCABULARY, embedding=3)
SOURCE = Sequences(jnp.array([[1, 2, 0], [2, 1, 2]]), jnp.array([2, 3]))
BEFORE = jnp.array([[END, 1, 2, 1], [END, 2, 0, 0]])
PARAMS = jax.tree.map(
    lambda leaf: jnp.asarray(np.random.default_rng(leaf.size).normal(size=leaf.shape), jnp.float32),
    jax.eval_shape(CODER.net.init, jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], Pairs(SOURCE, BEFORE))),
)
LOGITS = jax.jit(CODER.net.apply)


def gru(p, h, x):
    """One step of flax's GRU in NumPy."""
    r, z = (1 / (1 + np.exp(-(x @ p[f"i{g}"]["kernel"] + p[f"i{g}"]["bias"] + h @ p[f"h{g}"]["kernel"]))) for g in "rz")
    n = np.tanh(x @ p["in"]["kernel"] + p["in"]["bias"] + r * (h @ p["hn"]["kernel"] + p["hn"]["bias"]))
    return (1 - z) * n + z * h


def by_loop(i, before):
    """The logits at each step for source i and the tokens before, one after the other."""
    p, vectors = jax.tree.map(np.asarray, (PARAMS, PARAMS["embedding"]["embedding"]))
    h, logits = np.zeros(4), []
    for token in np.asarray(SOURCE.values[i])[: SOURCE.lengths[i]]:
        h = gru(p["encoder"]["cell"], h, vectors[token])
    for token in np.asarray(before):
        h = gru(p["decoder"]["cell"], h, vectors[token])
        logits.append(h @ p["output"]["w"] + p["output"]["b"])
    return np.array(logits)


def test_logits_are_those_of_two_loops():
    logits = LOGITS(PARAMS, Pairs(SOURCE, BEFORE))
    for i in range(N):
        np.testing.assert_allclose(logits[i], by_loop(i, BEFORE[i]), rtol=1e-4, atol=1e-5)


def all_answers(i):
    """Every answer of at most STEPS tokens, END behind its end, with its log-probability; the most probable first."""
    found = {}
    for tokens in product(range(VOCABULARY), repeat=STEPS):
        end = tokens.index(END) + 1 if END in tokens else STEPS
        answer = tokens[:end] + (END,) * (STEPS - end)
        if answer not in found:
            steps = log_softmax(by_loop(i, (END, *answer[: end - 1])), axis=-1)
            found[answer] = sum(steps[t, answer[t]] for t in range(end))
    return sorted(found.items(), key=lambda item: -item[1])


def test_a_beam_of_full_width_finds_all_answers():
    beams = len(all_answers(0)) + 3
    tokens, scores = jax.jit(lambda params: beam_search(CODER, params, SOURCE, STEPS, beams))(PARAMS)
    for i in range(N):
        answers, expected = zip(*all_answers(i), strict=True)
        np.testing.assert_allclose(scores[i, :-3], expected, rtol=1e-4, atol=1e-5)
        assert [tuple(answer) for answer in tokens[i, :-3].tolist()] == list(answers)
        np.testing.assert_array_equal(scores[i, -3:], -np.inf)
        np.testing.assert_allclose(np.exp(scores[i]).sum(), 1, rtol=1e-5)


def by_hand(i, width):
    """A beam of so many answers in plain Python, from the loop's logits."""
    beams = [((), 0.0)]
    for _ in range(STEPS):
        longer = []
        for answer, score in beams:
            if END in answer:
                longer.append(((*answer, END), score))
                continue
            steps = log_softmax(by_loop(i, (END, *answer))[-1])
            longer += [((*answer, token), score + steps[token]) for token in range(VOCABULARY)]
        beams = sorted(longer, key=lambda item: -item[1])[:width]
    return beams


@pytest.mark.parametrize("width", [1, 2])
def test_a_narrow_beam_keeps_the_best_beginnings_and_one_of_width_1_is_greedy(width):
    tokens, scores = jax.jit(lambda params: beam_search(CODER, params, SOURCE, STEPS, width))(PARAMS)
    for i in range(N):
        answers, expected = zip(*by_hand(i, width), strict=True)
        assert [tuple(answer) for answer in tokens[i].tolist()] == list(answers)
        np.testing.assert_allclose(scores[i], expected, rtol=1e-4, atol=1e-5)
    if width == 1:
        answers = jax.jit(lambda params: greedy(CODER, params, SOURCE, STEPS))(PARAMS)
        np.testing.assert_array_equal(answers, tokens[:, 0])


def test_gradients_are_finite_differences():
    batch = Labelled(Pairs(SOURCE, BEFORE), np.array([[1, 2, 1, END], [2, END, UNLABELLED, UNLABELLED]]))
    assert check(cross_entropy(CODER.net), jax.random.key(0), PARAMS, batch).relative < 1e-5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: encoder_decoder("rnn", 2, 3), "no 'rnn'; choose one of simple, gru, lstm"),
        (lambda: encoder_decoder("gru", 0, 3), "width must be at least 1, not 0"),
        (lambda: greedy(CODER, PARAMS, SOURCE, 0), "steps must be at least 1, not 0"),
        (lambda: beam_search(CODER, PARAMS, SOURCE, 2, 0), "beams must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
