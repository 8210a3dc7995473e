"""Nets that read sequences: by hand."""

import jax
import numpy as np
import optax
from measures.by_hand import close, nats, start_of, told_by, wrong
from scipy.special import expit, log_softmax

from dlx import hmm
from dlx.algorithms import gradient
from dlx.losses.labelling import cross_entropy
from dlx.nets.recurrent import recurrent
from dlx.unit import Result
from experiments.forward_backward import CHAINS, Hypers, Labeller


def lstm(p, values):
    """The states [n, steps, width] of an LSTM along sequences [n, steps, features]."""
    h = c = np.zeros((len(values), p["hi"]["bias"].size))
    states = []
    for x in np.moveaxis(np.asarray(values, float), 1, 0):
        i, f, g, o = (x @ p[f"i{a}"]["kernel"] + h @ p[f"h{a}"]["kernel"] + p[f"h{a}"]["bias"] for a in "ifgo")
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        states.append(h)
    return np.stack(states, 1)


def labelled_by(params, tokens):
    """Log-probabilities [n, steps, classes] by an LSTM of one or more layers, of one direction or both."""
    values = np.asarray(params["embedding"]["embedding"])[tokens]
    for i in range(sum(name.startswith("forward_") for name in params)):
        ways = [lstm(params[f"forward_{i}"], values)]
        if f"backward_{i}" in params:
            ways.append(lstm(params[f"backward_{i}"], values[:, ::-1])[:, ::-1])
        values = np.concatenate(ways, -1)
    return log_softmax(values @ params["output"]["w"] + params["output"]["b"], -1)


def posteriors(model, symbols, both):
    """Log-probabilities of the states: by products of probabilities, which short sequences allow."""

    answers = []
    for seen in model.emission.T[symbols]:
        forward, after = [seen[0] * model.start], [np.ones(len(model.start))]
        for now in seen[1:]:
            forward.append(now * (forward[-1] @ model.transition))
        for now in seen[:0:-1]:
            after.append(model.transition @ (now * after[-1]))
        joint = np.array(forward) * (np.array(after[::-1]) if both else 1)
        answers.append(joint / joint.sum(-1, keepdims=True))
    return np.log(answers)


def flat(told, y):
    """The same of all steps of all sequences, as of examples."""
    return told.reshape(-1, told.shape[-1]), y.reshape(-1)


def sequences(chain):
    return hmm.dataset(chain, CHAINS[chain].model, 6, (40, 17, 13)).data


@told_by(Labeller("one", "ring", 2, 5, classes=4), Hypers(0.05, 20.0), data=sequences("ring"))
@told_by(Labeller("deep", "casino", 2, 5, classes=2), Hypers(0.05, 100.0), data=sequences("casino"))
def labeller(run):
    widths, both = {"one": ((32,), False), "deep": ((11, 11), True)}[run.program.net]
    model, classes = CHAINS[run.program.chain].model, run.program.classes
    net = recurrent("lstm", widths, classes, both=both, readout="steps", vocabulary=len(model.emission.T), embedding=8)
    key_init, key_order, key_train = jax.random.split(run.key, 3)
    train = jax.tree.map(lambda leaf: leaf[jax.random.permutation(key_order, 40)], run.data.train)
    rule = gradient(cross_entropy(net), optax.adam(optax.linear_schedule(0.05, 0.0, 10)))
    state, step = rule.init(key_init, start_of(net, key_init, run.data)), jax.jit(rule.step)
    after, losses = [], []
    for epoch in range(2):
        key_feed, *_ = jax.random.split(jax.random.fold_in(key_train, epoch), 3)
        for rows in np.asarray(jax.random.randint(key_feed, (5, 32), 0, min(40, int(run.hypers.sequences)))):
            state, told = step(key_feed, state, jax.tree.map(lambda leaf, rows=rows: leaf[rows], train))
            losses.append(float(told["loss"]))
        after.append(jax.device_get(state.params))
    valid, test = run.data.valid, run.data.test
    score = [nats(*flat(labelled_by(params, valid.x), valid.y)) for params in after]
    best = int(np.argmin(score))
    close(run.kept, {"said": np.exp(labelled_by(after[best], valid.x))})
    exact = posteriors(model, test.x, both)
    measures = {
        f"{kind}{name}": np.mean(of(*flat(told, test.y)))
        for kind, told in (("", labelled_by(after[best], test.x)), ("exact_", exact))
        for name, of in (("nats", nats), ("error", wrong))
    }
    measures["excess"] = measures["nats"] - measures["exact_nats"]
    weights = sum(leaf.size for leaf in jax.tree.leaves(after[best]))
    fit = {"epochs": 2, "best": best, "first_loss": losses[0]}
    curves = {"train": {"loss": np.reshape(losses, (2, 5)).mean(1)}, "valid": {"score": np.array(score)}}
    return Result(score[best], {"fit": fit, "test": measures, "model": {"parameters": weights}}, curves)
