"""Programs that stand on a page: by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measures.by_hand import (
    close,
    descended,
    errors,
    floats,
    judged,
    random_net,
    rectified,
    said,
    start_of,
    told_by,
    trained,
    wrong,
)
from scipy.special import expit, logsumexp
from sklearn.cluster import KMeans
from sklearn.linear_model import Ridge

from dlx import sampling
from dlx.algorithms import gradient, persistent
from dlx.data.generated import two_spirals
from dlx.growing import cascade, cascade_output, create_nodes, layer_output
from dlx.inspect import regions
from dlx.losses.energy import contrastive_divergence, gibbs_chain
from dlx.losses.supervised import cross_entropy
from dlx.nets.layer import INITIALIZERS, RELU
from dlx.nets.mlp import mlp
from dlx.pretrain import boltzmann
from dlx.programs import Rate
from dlx.unit import Result
from experiments import growing
from experiments.bengio2006 import Finetune
from experiments.dbn import Annealed, Judged, Machine
from experiments.expressiveness import ExactCheck, Hypers
from experiments.growing import SHARES, PruneBySize, Spirals
from experiments.optimizers import Formulas, Spread
from experiments.representations import Hypers as CodeHypers
from experiments.representations import Regions

BELOW = ({"hidden_0": random_net(mlp((6, 5)), 1)["hidden_0"]},)


@told_by(Finetune("sigmoid", (6, 5), 8, 1, 10), Rate(3.0), BELOW)
def finetune(run):
    net, (key_init, key_train) = mlp((6, 5)), jax.random.split(run.key)
    start = start_of(net, key_init, run.data) | BELOW[0]
    key = jax.random.fold_in(jax.random.fold_in(key_train, 1), 0)
    fitted = descended(key, start, run.data, net, optax.sgd(3.0), 10, 8)
    score, best = errors(run.data, fitted), 0
    for epoch, value in enumerate(score):
        best = epoch if value < score[best] else best
        if epoch > best:
            break
    assert epoch < 7
    end = judged(run.data, lambda x: said(fitted.params[best], x))
    w = fitted.params[best]["hidden_0"]["w"]
    filters = w[:, np.argsort(-np.linalg.norm(w, axis=0))]
    close(run.kept, {"filters": filters, "net": fitted.params[best]}, atol=1e-3)
    fit = {"epochs": epoch + 1, "best": best, "first_loss": fitted.first_loss}
    over = np.arange(8) > epoch
    curves = {
        "train": {"loss": np.where(over, np.inf, fitted.metrics["loss"])},
        "valid": {"score": np.where(over, np.inf, score)},
    }
    return Result(end["valid"]["error"], {"fit": fit, **end}, curves)


def log_odds(x):
    mean = 0.95 * floats(x).mean(0) + 0.025
    return np.log(mean / (1 - mean))


def drawn(key, x):
    """Pixels that are 1 with the probability of their intensity."""
    return jax.random.bernoulli(key, jnp.asarray(x, jnp.float32) / 255).astype(jnp.float32)


def binarised(key, batch):
    return batch._replace(x=drawn(key, batch.x))


@told_by(Machine(4, 2, 0, 2, 10), Rate(0.5))
def machine(run):
    return of_machine(run, gradient(contrastive_divergence(2), optax.sgd(optax.linear_schedule(0.5, 0, 8))))


@told_by(Machine(4, 1, 6, 2, 10), Rate(0.5))
def persistent_machine(run):
    return of_machine(run, persistent(1, optax.sgd(optax.linear_schedule(0.5, 0, 8)), 6))


def of_machine(run, algorithm):
    key_init, key_train = jax.random.split(run.key)
    w = 0.01 * jax.random.normal(key_init, (16, 4))
    start = {"w": w, "b": jnp.zeros(4), "c": jnp.asarray(log_odds(run.data.train.x), jnp.float32)}
    fitted = trained(key_train, start, run.data, algorithm, 10, 2, prepare=binarised)
    close(run.kept, fitted.end)
    return fitted.result()


RNG = np.random.default_rng(5)


def layer_of(hidden):
    return {
        of: RNG.normal(0, 0.5, shape).astype("f4") for of, shape in {"w": (16, hidden), "b": hidden, "c": 16}.items()
    }


def free(layer, v):
    """The mean free energy of visible states."""
    v = np.asarray(v, float)
    return np.mean(-v @ layer["c"] - np.logaddexp(0, v @ layer["w"] + layer["b"]).sum(1))


def log_z(layer):
    h = np.array(list(np.ndindex(*[2] * len(layer["b"]))), float)
    return logsumexp(h @ layer["b"] + np.logaddexp(0, h @ layer["w"].T + layer["c"]).sum(1))


@told_by(Judged(20, 5, 3), given=(layer_of(4),))
def judged_by_sum(run):
    layer = run.given[0]
    return judged_machine(run, log_z(layer), lambda forward, back: log_z(layer))


@told_by(Judged(20, 5, 3), given=(layer_of(25),))
def judged_by_annealing(run):
    return judged_machine(run, None, max)


def judged_machine(run, exact, cautious):
    layer, keys = run.given[0], jax.random.split(run.key, 8)
    bits = {name: drawn(keys[0], split.x) for name, split in run.data._asdict().items()}
    a, betas = jnp.asarray(log_odds(run.data.train.x), jnp.float32), sampling.temperatures(20)
    forward = float(sampling.ais(keys[1], layer, a, betas, 5).mean)
    back = float(sampling.reverse_ais(keys[3], layer, a, betas, gibbs_chain(keys[2], layer, bits["train"][:5], 3)).mean)
    digits = bits["test"]
    others = {
        "permuted": jax.random.permutation(keys[4], digits, 1, independent=True),
        "random": jax.random.bernoulli(keys[5], 0.5, digits.shape),
    }
    active = {
        name: expit(np.asarray(x, float) @ layer["w"] + layer["b"]).mean()
        for name, x in {"digits": digits, **others}.items()
    }
    used = forward if exact is None else exact
    nats = {name: {"nats": free(layer, x) + used} for name, x in bits.items()}
    nats["test"] |= {"back": free(layer, digits) + back, "apart": abs(back - forward)}
    for name, x in others.items():
        nats["test"][f"below_{name}"] = free(layer, digits) - free(layer, x)
        nats["test"][f"less_active_{name}"] = active[name] - active["digits"]
    if exact is not None:
        nats["test"]["gap"] = abs(forward - exact)
    chains = np.round(255 * np.asarray(sampling.frames(keys[6], layer, digits[:8], 8, 3), float))
    close(run.kept, {"chains": chains}, atol=1.01)
    return Result(free(layer, bits["valid"]) + cautious(forward, back), nats)


@told_by(Annealed(20, 5), given=(layer_of(4),))
def annealed(run):
    a = jnp.asarray(log_odds(run.data.train.x), jnp.float32)
    estimate = sampling.ais(run.key, run.given[0], a, sampling.temperatures(20), 5)
    gap = abs(float(estimate.mean) - log_z(run.given[0]))
    return Result(0.0, {"annealing": {"gap": gap, "deviation": estimate.deviation}})


@told_by(ExactCheck("rectified"), Hypers(0.0, 2.0))
def exact_check(run):
    """Rectified layers are not one layer: the best linear map leaves a share."""
    net, (key_init, key_x) = mlp((8, 8, 8), units=RELU), jax.random.split(run.key)
    x = jax.random.normal(key_x, (400, 8))
    y = np.asarray(net.apply(net.init(key_init, x[0]), x), float)
    x = np.column_stack([x, np.ones(400)])
    rest = y - x @ np.linalg.pinv(x) @ y
    return Result(0.0, {"exact": {"gap": np.linalg.norm(rest) / np.linalg.norm(y - y.mean(0))}})


@told_by(Spirals("cascade", (5, 3, 60)), growing.Hypers(0.1, 0.5))
def spirals(run):
    return of_spirals(run, 0.5, cascade, cascade_output, (5, 3, 60))


@told_by(Spirals("ash", (5, 5, 4)), growing.Hypers(0.1, 2.0))
def spirals_not_learnt(run):
    return of_spirals(run, 2.0, create_nodes, layer_output, (5, 5, 4))


def of_spirals(run, turns, train, output, sizes):
    params, growth = jax.jit(lambda key: train(key, two_spirals(turns), optax.adam(0.1), *sizes))(run.key)
    between = two_spirals(turns, 96, 0.5)
    assert bool(growth.solved) == (turns == 0.5)
    units = float(growth.units) if growth.solved else 128.0
    size = {"units": units, "log": np.log2(max(units, 1)), "weights": growth.weights, "solved": float(growth.solved)}
    error = np.mean((np.asarray(output(params, between.x)) > 0) != np.asarray(between.y))
    line = 6.5 * np.linspace(-1, 1, 48)
    points = jnp.array([(u, v) for v in line for u in line], jnp.float32)
    close(run.kept, {"picture": expit(np.asarray(output(params, points), float)).reshape(48, 48)}, atol=1e-3)
    places = [int(min(one, growth.units)) - 1 for one in growing.UNITS_TRIED]
    measures = {"grown": size, "test": {"error": error}}
    return Result(units + 1e-6 * growth.steps, measures, {"train": {"loss": np.asarray(growth.losses)[places]}})


@told_by(PruneBySize(6, 2, 10), growing.Hypers(0.3, decay=0.02))
def prune(run):
    net = mlp((6,), initializer=INITIALIZERS["he"], units=RELU)

    def weighed(tree):
        return jax.tree.map_with_path(lambda path, _: path[-1].key == "w", tree)

    def only(updates, params):
        return jax.tree.map(lambda u, w, is_w: jnp.where(is_w & (w == 0), 0, u), updates, params, weighed(params))

    rule = optax.chain(optax.add_decayed_weights(0.02, weighed), optax.sgd(0.3))
    key_init, key_train, key_again = jax.random.split(run.key, 3)
    params = descended(key_train, start_of(net, key_init, run.data), run.data, net, rule, 10, 2).end
    sizes = np.sort(np.abs(np.concatenate([params[name]["w"].ravel() for name in params])))[::-1]
    again = gradient(cross_entropy(net), optax.chain(rule, optax.stateless(only)))

    def error(params, split):
        return wrong(said(params, split.x, rectified), split.y).mean()

    errors_at = []
    for share in SHARES:
        least = sizes[max(round(share * sizes.size) - 1, 0)]
        cut = {
            name: {**layer, "w": np.where(np.abs(layer["w"]) >= least, layer["w"], 0)} for name, layer in params.items()
        }
        errors_at.append(
            (error(cut, run.data.test), error(trained(key_again, cut, run.data, again, 10, 1).end, run.data.test))
        )
    cut, after = np.array(errors_at).T
    test = {"error": cut[0], "lost": cut[3] - cut[0], "lost_again": after[3] - cut[0]}
    near = np.mean(sizes < 0.1 * np.sqrt(np.square(sizes).mean()))
    curves = {"test": {"cut": cut, "again": after}}
    return Result(error(params, run.data.valid), {"test": test, "weights": {"near": near}}, curves)


@told_by(
    Formulas(3),
    patches={"experiments.optimizers.RULES": {"adam": optax.adam, "plain": lambda rate: optax.sgd(1.5 * rate)}},
)
def formulas(run):
    """A step that is half as long again is half the way off."""
    return Result(0.0, {"formula": {"gap": 0.5}})


@told_by(Spread((5,), (2, 8), 20), Rate(1.0))
def spread(run):
    net, (key_init, key_train, key_draw) = mlp((5,)), jax.random.split(run.key, 3)
    params = descended(key_train, start_of(net, key_init, run.data), run.data, net, optax.sgd(1.0), 40, 1).end

    @jax.jit
    def slope(x, y):
        grads = jax.grad(lambda params: cross_entropy(net)(params, run.key, type(run.data.train)(x, y))[0])(params)
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])

    x, y = run.data.train
    whole, spreads = np.asarray(slope(x, y), float), {}
    for key, size in zip(jax.random.split(key_draw, 3)[1:], (2, 8), strict=True):
        some = [np.asarray(jax.random.randint(one, (size,), 0, 40)) for one in jax.random.split(key, 20)]
        far = [np.sum((np.asarray(slope(x[rows], y[rows]), float) - whole) ** 2) for rows in some]
        spreads[str(size)] = np.mean(far) / np.sum(whole**2)
    slant = np.log(spreads["8"] / spreads["2"]) / np.log(4)
    return Result(0.0, {"spread": {"slope": slant, **spreads}})


@told_by(Regions("kmeans", (3, 16), 1, 10, 2, 3), CodeHypers())
def regions_of_centres(run):
    """Centres by scikit-learn from the same start."""

    def code(key, units, x):
        start = np.asarray(x[jax.random.choice(key, len(x), (units,), replace=False)])
        found = KMeans(units, init=start, n_init=1, max_iter=20, tol=0, algorithm="lloyd").fit(np.asarray(x))
        return lambda x: np.eye(units)[found.predict(np.asarray(x, np.float32))], None

    return of_codes(run, code)


@told_by(Regions("rbm", (3, 16), 1, 10, 2, 3), CodeHypers(0.5))
def regions_of_units(run):
    """The layer by the stage of the library, which has tests of its own."""

    def code(key, units, x):
        key_init, key_train = jax.random.split(key)
        w = INITIALIZERS["fan"](key_init, (x.shape[1], units))
        stage = boltzmann(rate=0.5, epochs=1, batch_size=10, mean_field=True)
        layer, _ = stage(key_train, {"w": w, "b": jnp.zeros(units), "c": jnp.zeros(x.shape[1])}, run.data)
        w, b = layer["w"], layer["b"]
        return lambda x: expit(np.asarray(x, float) @ np.asarray(w, float) + np.asarray(b)), (w, b)

    return of_codes(run, code)


def meetings(normals, offsets):
    """How many sets of hyperplanes, of as many as there are dimensions at the most, meet within the ball."""
    many = range(1, normals.shape[1] + 1)
    sets = [list(one) for n in many for one in itertools.combinations(range(len(offsets)), n)]
    return sum(np.linalg.norm(np.linalg.lstsq(normals[one], -offsets[one], rcond=None)[0]) < 1 for one in sets)


def of_codes(run, train):
    """Regions by points, or by sets of borders; errors of ridge regression by scikit-learn."""
    key_codes, *keys_slices = jax.random.split(run.key, 4)
    x = {name: jnp.asarray(floats(split.x), jnp.float32) for name, split in run.data._asdict().items()}
    curves = {"regions": {}, **{split: {"error": [], "squared": []} for split in x}}
    picture = None
    for units in (3, 16):
        key_train, key_points = jax.random.split(jax.random.fold_in(key_codes, units))
        code, borders = train(key_train, units, x["train"])
        keys_points = jax.random.split(key_points, (3, 2))

        def marks(x, code=code, units=units):
            return np.unique((code(x) > 0.5) @ 2 ** np.arange(units), return_inverse=True)[1]

        for dims, shape in enumerate(("line", "plane", "space"), 1):
            many = []
            for i, key in enumerate(jax.random.split(keys_slices[dims - 1], 2)):
                corners = x["train"][jax.random.choice(key, len(x["train"]), (dims + 1,), replace=False)]
                place = regions.through(corners)
                if borders is None:
                    many.append(marks(regions.points(keys_points[dims - 1, i], place, 20_000)).max() + 1)
                else:
                    many.append(1 + meetings(*(np.asarray(one, float) for one in regions.within(place, *borders))))
                if (units, shape) == (3, "plane") and picture is None:
                    line = np.linspace(-1, 1, 128)
                    z = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
                    picture = marks(np.asarray(place.centre) + float(place.radius) * z @ np.asarray(place.directions))
            curves["regions"].setdefault(shape, []).append(np.mean(many))
        curves["regions"].setdefault("digits", []).append(marks(x["train"]).max() + 1)
        targets = {
            name: np.column_stack([np.eye(10)[np.asarray(split.y)], x[name]])
            for name, split in run.data._asdict().items()
        }
        seen = {name: np.column_stack([code(each), np.ones(len(each))]) for name, each in x.items()}
        n = len(seen["train"])
        fitted = Ridge(alpha=n * 1e-3 / 2, fit_intercept=False).fit(seen["train"], targets["train"])
        for name, codes in seen.items():
            said = fitted.predict(codes)
            curves[name]["error"].append((said[:, :10].argmax(1) != np.asarray(run.data._asdict()[name].y)).mean())
            curves[name]["squared"].append(np.square(said - targets[name])[:, 10:].sum(1).mean())
    assert curves["regions"]["space"][1] > 3
    same = run.kept["picture"].ravel()
    for one in range(picture.max() + 1):
        assert len(set(np.asarray(same)[picture == one].tolist())) == 1, "a region has one colour"
    last = {name: {key: values[-1] for key, values in curves[name].items()} for name in x}
    growth = {shape: np.polyfit(np.log([3, 16]), np.log(many), 1)[0] for shape, many in curves["regions"].items()}
    idle = sum(units - many for units, many in zip((3, 16), curves["regions"]["digits"], strict=True))
    return Result(
        last["valid"]["error"],
        {**last, "growth": {**growth, "idle": idle}},
        jax.tree.map(np.asarray, curves, is_leaf=lambda one: isinstance(one, list)),
    )
