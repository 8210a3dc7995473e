"""Recurrent and time-delay nets against loops in NumPy, without padding, and against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dlx.inspect.check import check
from dlx.losses.supervised import cross_entropy
from dlx.nets.recurrent import CELLS, in_rows, recurrent
from dlx.nets.time_delay import reach, time_delay
from dlx.types import Labelled, Sequences

FEATURES, STEPS, WIDTH, OUTPUTS = 3, 5, 4, 2
LENGTHS = [5, 1, 3]
X = np.random.default_rng(0).normal(size=(3, STEPS, FEATURES))


def simple(p, h, x):
    return (np.tanh(x @ p["i"]["kernel"] + p["i"]["bias"] + h[0] @ p["h"]["kernel"]),)


def gru(p, h, x):
    r, z = (expit(x @ p[f"i{g}"]["kernel"] + p[f"i{g}"]["bias"] + h[0] @ p[f"h{g}"]["kernel"]) for g in ("r", "z"))
    n = np.tanh(x @ p["in"]["kernel"] + p["in"]["bias"] + r * (h[0] @ p["hn"]["kernel"] + p["hn"]["bias"]))
    return ((1 - z) * n + z * h[0],)


def lstm(p, state, x):
    h, c = state
    i, f, g, o = (x @ p[f"i{a}"]["kernel"] + h @ p[f"h{a}"]["kernel"] + p[f"h{a}"]["bias"] for a in "ifgo")
    c = expit(f) * c + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(c), c


LOOPS = {"simple": simple, "gru": gru, "lstm": lstm}
ONE, DEEP = {"widths": (WIDTH,)}, {"widths": (WIDTH, 3), "both": True}


def padded_inputs():
    """The inputs, of which only so many steps count, in the precision of now."""
    return Sequences(jnp.asarray(X), jnp.asarray(LENGTHS))


def start(net, x=X, seed=1):
    """Random parameters in float64, biases too."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(net.init, jax.random.key(0), x[0])
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)


def read(cell, params, sequence):
    """The states of one cell along one sequence [steps, features]."""
    width = jax.tree.leaves(params)[0].shape[-1]
    state, states = (np.zeros(width), np.zeros(width)), []
    for x in sequence:
        state = LOOPS[cell](params, state, x)
        states.append(state[0])
    return np.array(states)


def by_loops(cell, params, sequence, widths, both=False):
    """The outputs at each step and at the end, in NumPy, of one sequence without padding."""
    values = sequence
    for i in range(len(widths)):
        ways = [read(cell, params[f"forward_{i}"], values)]
        if both:
            ways.append(read(cell, params[f"backward_{i}"], values[::-1])[::-1])
        values = np.concatenate(ways, -1)
    end = np.concatenate([ways[0][-1], *(way[0] for way in ways[1:])])
    return [h @ params["output"]["w"] + params["output"]["b"] for h in (values, end)]


@pytest.mark.parametrize(("cell", "layers"), [*((cell, ONE) for cell in CELLS), ("gru", DEEP)])
def test_cells_are_loops_and_padding_counts_for_nothing(cell, layers):
    nets = [recurrent(cell, outputs=OUTPUTS, readout=readout, **layers) for readout in ("steps", "end")]
    params = start(nets[0])

    @jax.jit
    def outputs_of(params, x):
        return [net.apply(params, x) for net in nets]

    with jax.enable_x64(True):
        whole, padded = outputs_of(params, jnp.asarray(X)), outputs_of(params, padded_inputs())
    for i, length in enumerate(LENGTHS):
        for outputs, end, stop in (*whole, STEPS), (*padded, length):
            expected = by_loops(cell, params, X[i, :stop], **layers)
            np.testing.assert_allclose(outputs[i, :stop], expected[0], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(end[i], expected[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_a_net_of_both_directions_is_two_of_one(cell):
    """Its outputs are those of a net that reads forwards and of one that reads the reversed sequence, added."""
    net, one = (recurrent(cell, (WIDTH,), OUTPUTS, both=both, readout="steps") for both in (True, False))
    params = start(net)
    w, b = params["output"]["w"], params["output"]["b"]
    ways = [
        {"forward_0": params[name], "output": {"w": part, "b": b / 2}}
        for name, part in (("forward_0", w[:WIDTH]), ("backward_0", w[WIDTH:]))
    ]
    apply = jax.jit(one.apply)
    with jax.enable_x64(True):
        x = jnp.asarray(X)
        expected = apply(ways[0], x) + apply(ways[1], x[:, ::-1])[:, ::-1]
        np.testing.assert_allclose(jax.jit(net.apply)(params, x), expected, rtol=1e-10)


NETS = {
    **{cell: recurrent(cell, (2,), 3, both=cell == "gru") for cell in CELLS},
    "time delay": time_delay(2, (3, 3), 3),
}


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_differences(name):
    net, y = NETS[name], np.array([0, 2, 1])
    batch = Labelled(Sequences(X, np.array(LENGTHS)), y)
    assert check(cross_entropy(net), jax.random.key(0), start(net), batch).relative < 1e-5


@pytest.mark.parametrize("window", [1, 3, 7])
def test_a_time_delay_net_is_a_net_of_the_window_and_sees_no_more(window):
    net = time_delay(window, (WIDTH, 3), OUTPUTS, readout="steps")
    params = start(net)
    values = X
    for name in ("hidden_0", "hidden_1"):
        before = np.concatenate([np.zeros((3, window - 1, values.shape[-1])), values], 1)
        windows = np.stack([before[:, t : t + window].reshape(3, -1) for t in range(STEPS)], 1)
        values = np.tanh(windows @ params[name]["w"] + params[name]["b"])
    expected = values @ params["output"]["w"] + params["output"]["b"]
    with jax.enable_x64(True):
        outputs = jax.jit(net.apply)(params, jnp.asarray(X))
        np.testing.assert_allclose(outputs, expected, rtol=1e-10)
        moved = jax.jit(net.apply)(params, jnp.asarray(X).at[:, 0].add(1.0)) != outputs
        end = jax.jit(time_delay(window, (WIDTH, 3), OUTPUTS).apply)(params, padded_inputs())
    np.testing.assert_array_equal(moved.any((0, 2)), np.arange(STEPS) < reach(window, 2))
    ends = np.stack([outputs[i, length - 1] for i, length in enumerate(LENGTHS)])
    np.testing.assert_allclose(end, ends, rtol=1e-12)


@pytest.mark.parametrize("make", [recurrent, time_delay], ids=["recurrent", "time delay"])
def test_tokens_are_given_vectors(make):
    first = {"recurrent": "simple", "time_delay": 2}[make.__name__]
    net, of_vectors = make(first, (WIDTH,), OUTPUTS, vocabulary=6, embedding=FEATURES), make(first, (WIDTH,), OUTPUTS)
    tokens = np.random.default_rng(2).integers(0, 6, (3, STEPS))
    params = jax.jit(net.init)(jax.random.key(0), tokens[0])
    vectors = params["embedding"]["embedding"][tokens]
    rest = {name: entry for name, entry in params.items() if name != "embedding"}
    apply = jax.jit(net.apply)
    np.testing.assert_allclose(apply(params, tokens), jax.jit(of_vectors.apply)(rest, vectors), rtol=1e-6)
    assert jnp.isnan(apply(params, tokens + 6)).all(), "a token outside the vocabulary is not one of it"


@pytest.mark.parametrize(("cell", "bias"), [("lstm", "hf"), ("gru", "iz")])
def test_the_gate_that_keeps_the_state_starts_open_as_far_as_said(cell, bias):
    @jax.jit
    def fresh(keep):
        return recurrent(cell, (WIDTH,), keep=keep, both=True).init(jax.random.key(0), X[0])

    plain, keeping = fresh(0.0), fresh(2.5)
    for way in ("forward_0", "backward_0"):
        np.testing.assert_array_equal(keeping[way][bias]["bias"], 2.5)
        np.testing.assert_array_equal(plain[way][bias]["bias"], 0)
        keeping[way][bias]["bias"] = plain[way][bias]["bias"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, keeping)


def test_an_image_is_read_row_by_row():
    rows = recurrent("gru", (WIDTH,))
    flat, pixels = in_rows(rows, 8), np.random.default_rng(0).integers(0, 256, (5, 64), np.uint8)
    params = jax.jit(flat.init)(jax.random.key(0), pixels[0])
    expected = jax.jit(rows.apply)(params, pixels.reshape(5, 8, 8) / np.float32(255))
    np.testing.assert_allclose(jax.jit(flat.apply)(params, pixels), expected, rtol=1e-5, atol=1e-6)
    trained, _ = jax.jit(flat.train)(params, jax.random.key(0), pixels)
    np.testing.assert_allclose(trained, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((0, 3)), np.float32(1), Sequences(np.zeros(5), np.int32(5))])
def test_what_is_no_sequence_is_refused(x):
    for net in recurrent("simple", (2,)), time_delay(2, (2,)):
        with pytest.raises(ValueError, match=r"takes sequences \[steps, features\], and an input has the shape"):
            net.init(jax.random.key(0), x)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros(4), "tokens are integers from 0 to 5, not of the dtype float64"),
        (np.zeros((4, 1), int), r"tokens \[steps\]"),
    ],
)
def test_what_are_no_tokens_is_refused(x, said):
    with pytest.raises(ValueError, match=said):
        recurrent("simple", (2,), vocabulary=6).init(jax.random.key(0), x)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: recurrent("rnn", (2,)), "no 'rnn'; choose one of simple, gru, lstm"),
        (lambda: recurrent("gru", (2,), readout="last"), "no 'last'; choose one of end, steps"),
        (lambda: recurrent("gru", ()), "layers must be at least 1, not 0"),
        (lambda: recurrent("gru", (2, 0)), "width 2 must be at least 1, not 0"),
        (lambda: time_delay(0, (2,)), "window must be at least 1, not 0"),
    ],
)
def test_a_net_that_cannot_be_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
