"""Nets in which something is wrong, and what is seen of it; and the gradients of all losses."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dlx.algorithms import gradient
from dlx.inspect import faults, units
from dlx.inspect.check import check, slope_gaps
from dlx.inspect.counts import count
from dlx.inspect.diagnose import SOUND, Look, diagnose, measure, name
from dlx.losses import adversarial, energy, reconstruction
from dlx.losses.supervised import cross_entropy, mean_of, misclassified, squared_error
from dlx.nets.layer import BINARY, GAUSSIAN, RELU, TANH, LayerKind, as_float, switch_units
from dlx.nets.mlp import codes, hidden, mlp
from dlx.optim import sgd
from dlx.stage import chain, evaluate
from dlx.train import examples, fit, minibatches, take, valid
from dlx.types import Data, Labelled
from dlx.unit import Result


@dataclass(frozen=True)
class Museum:
    """The training of a net of two hidden layers, spoiled or sound, and what `diagnose` says of it.

    There are too many runs for their records to say which test examples are wrong.
    """

    width: int
    train: int
    valid: int
    epochs: int = 30
    batch_size: int = 10
    classes: int = 10

    def __call__(self, key, hypers, given, data, progress):
        """Keeps the values of the upper hidden layer, sample by unit."""
        key_data, key_init, key_check, key_train = jax.random.split(key, 4)
        splits = zip(data, (self.train, self.valid, None), strict=True)
        parts = (Labelled(as_float(jnp.asarray(x[:n])), jnp.asarray(y[:n])) for (x, y), n in splits)
        data = faults.spoil_data(key_data, Data(*parts), hypers)
        kind, layer = switch_units(hypers.units), hidden(0)
        net = mlp((self.width, self.width), self.classes, units=kind)
        loss = faults.wrong_gradient(mean_of(faults.log_loss(hypers.unfit), net), layer, hypers.factor, hypers.share)
        start = faults.spoil_start(net.init(key_init, data.train.x[0]), hypers)
        rule = optax.chain(sgd(hypers.rate), faults.frozen(layer, hypers.frozen))
        score, tell = valid(misclassified(net)), progress("museum", epochs=self.epochs)
        train = fit(gradient(loss, rule), minibatches(self.batch_size), epochs=self.epochs, score=score, progress=tell)
        end, (curve, errors) = chain(train, evaluate(error=misclassified(net)))(key_train, start, data)
        views = [view for depth in (1, 2) if (view := codes(depth, kind))]
        seen = take(data.train, jnp.arange(min(500, examples(data.train))))
        looks = [Look(p, [view(p, seen.x) for view in views]) for p in (start, end)]
        low, high = kind.mean(jnp.array([-jnp.inf, jnp.inf]))
        gap = slope_gaps(loss, key_check, start, take(seen, jnp.arange(50))).max()
        ends = errors.train["error"], errors.valid["error"]
        signs = measure(curve, *looks, data, ends, gradient=gap, low=low, high=high)
        flags, top, result = diagnose(signs), looks[1].hidden[-1], Result.of(curve, errors)
        called = {**flags, "sound": name(flags) == SOUND, "first": name(flags)}
        measures = {
            **result.measures,
            "test": errors.test,
            "signs": signs._asdict(),
            "flags": {flag: 1.0 * value for flag, value in called.items()},
            "units": {one.__name__: one(top) for one in (units.redundant, units.correlation, units.activity)},
            "model": {"flops": jnp.asarray(float(count(net.apply, start, data.train.x[0]).training))},
        }
        picture = units.picture(top, seen.y)[:: max(1, len(top) // self.width)]
        return {"units": picture.astype(jnp.float16)}, result._replace(measures=measures)


def slipped(loss):
    """The loss on (factor, batch); the gradient of the first of its entries is multiplied by the factor."""
    return lambda params, key, batch: faults.wrong_gradient(loss, min(params), batch[0])(params, key, batch[1])


CRITIC, GENERATOR, NET, DEEP = mlp((4,), 1), mlp((3,), 5), mlp((8,), 3, units=RELU), mlp((4, 3), 3)
SPINS, associate = LayerKind(TANH, TANH), reconstruction.autoassociator
LAYERS = [associate(None, kind) for kind in (BINARY, SPINS, LayerKind(RELU, GAUSSIAN))]
LAYERS += [energy.contrastive_divergence(k, kind=kind) for k, kind in ((1, BINARY), (3, SPINS))]
LOSSES = {
    "layer": LAYERS,
    "untied": [associate(0.4)],
    "net": [cross_entropy(NET)],
    "deep": [cross_entropy(DEEP)],
    "squares": [squared_error(NET)],
    "players": adversarial.non_saturating(GENERATOR, CRITIC, 5),
}
SLIPPED = [(kind, slipped(loss)) for kind, losses in LOSSES.items() for loss in losses]


@dataclass(frozen=True)
class Gradients:
    """Every loss of this project under finite differences: as it is, and with one array's gradient off by 1 %."""

    host = True

    def __call__(self, key, hypers, given, data, progress):
        """The largest gap of a right gradient, and how many wrong ones have a gap below a millionth."""
        key_x, key_y, key_init, key_far, key_loss = jax.random.split(key, 5)
        x, y = jax.random.uniform(key_x, (6, 5)), jax.random.randint(key_y, (6,), 0, 3)
        critic, generator, net, deep = (one.init(key_init, x[0]) for one in (CRITIC, GENERATOR, NET, DEEP))
        layer, labelled = deep[hidden(0)], Labelled(x, y)
        cases = {
            "layer": (layer, labelled),
            "untied": ({**layer, "decoder": layer["w"].T}, labelled),
            "net": (net, labelled),
            "deep": (deep, labelled),
            "squares": (net, Labelled(x, jnp.eye(3)[y])),
            "players": ({"critic": critic, "generator": generator}, x),
        }
        gaps = []
        for kind, loss in SLIPPED:
            start, batch = cases[kind]
            params = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(key_far, leaf.shape), start)
            gaps.append([check(loss, key_loss, params, (jnp.array(by), batch)).relative for by in (1.0, 1.01)])
        right, wrong = np.array(gaps).T
        return {}, Result(0.0, {"checked": {"gap": right.max(), "missed": np.float64((wrong < 1e-6).sum())}})
