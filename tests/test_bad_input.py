"""What cannot be is refused in one sentence that names it and what there is, before anything compiles."""

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from dlx import optim, pretrain
from dlx.losses.energy import contrastive_divergence
from dlx.losses.reconstruction import autoassociator
from dlx.nets.deep import deep, plain
from dlx.nets.layer import INITIALIZERS, UNITS, number_of
from dlx.nets.mlp import mlp
from dlx.nets.noise import drop
from dlx.nets.normalised import normalised
from dlx.nets.rectified import rectified
from dlx.programs import Layer
from dlx.unit import Unit
from experiments.depth import Deep
from experiments.ioffe2015 import Followed, Normalised
from experiments.nonconvexity import Grid
from experiments.optimizers import Descent

NAMES = {
    "units": (lambda: number_of("gelu", UNITS), "'gelu'.*sigmoid, tanh, relu"),
    "initialiser": (lambda: number_of("large", INITIALIZERS), "'large'.*fan, glorot, he"),
    "layers": (lambda: Deep("dense", 3, 5, 1, 10), "'dense'.*plain, skip, gated"),
    "method": (lambda: Layer("rbm", (5,), 1), "'rbm'.*dbn, autoassociator"),
    "start": (lambda: Layer("dbn", (5,), 1, initializer="large"), "'large'.*fan, glorot, he"),
    "rule": (lambda: Descent("adamw", (5,), 1, 10, 0.1), "'adamw'.*adam, clipped, muon, halving"),
    "small net": (lambda: Grid("sum", 3, 3), "'sum'.*product, step"),
    "normalisation": (lambda: Normalised("layer", (5,), 10, 1, 1), "'layer'.*plain, batch"),
}
SIZES = {
    "width": (lambda: mlp((5, 0)), "width 2 must be at least 1, not 0"),
    "ghosts of a plain net": (
        lambda: Followed("plain", (5,), 8, 1, 1, ghost=4),
        "leave out `ghost` for the kind 'plain'",
    ),
    "normalised width": (lambda: normalised((-1,)), "width 1 must be at least 1, not -1"),
    "widths": (lambda: mlp(64), r"widths are one number a hidden layer, such as \(64,\), not 64"),
    "ghost batches": (lambda: normalised((5,), ghost=-2), "ghost must be at least 1, not -2"),
    "widths of normalised": (lambda: normalised(64), "widths are one number a hidden layer"),
    "widths of rectified": (lambda: rectified(64), "widths are one number a hidden layer"),
    "seed": (lambda: Unit(Layer("dbn", (5,), 1), seed=2**31), "from -2\\*\\*31 to 2\\*\\*31 - 1, not 2147483648"),
    "depth": (lambda: deep(plain, 0, 5), "depth must be at least 1, not 0"),
    "depth without epochs": (lambda: Deep("plain", 2, 5, 0, 10), "not of 2"),
    "Gibbs steps": (lambda: contrastive_divergence(0), "at least one Gibbs step, not 0"),
    "epochs": (lambda: pretrain.boltzmann(rate=0.1, epochs=0, batch_size=2), "epochs must be at least 1, not 0"),
    "masking": (lambda: autoassociator(1.5), "masking must be a probability between 0 and 1, not 1.5"),
    "dropout": (lambda: drop(jax.random.key(0), -0.1, jnp.ones(3)), "dropout rate must be at least 0"),
    "norm": (lambda: optim.clipped(0.1, 0.0), "norm must be above 0, not 0"),
    "rate of a stage": (lambda: pretrain.boltzmann(rate=-1.0, epochs=1, batch_size=2), "rate must be above 0, not -1"),
    **{
        f"rate of {name}": (lambda rule=rule: rule(0.0), "rate must be above 0, not 0")
        for name, rule in optim.RULES.items()
    },
    **{
        f"no rate of {name}": (lambda rule=rule: rule(None), "rate must be a number or a schedule, not None")
        for name, rule in optim.RULES.items()
    },
}


@pytest.mark.parametrize(("make", "words"), (NAMES | SIZES).values(), ids=NAMES | SIZES)
def test_it_is_refused(make, words, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user: types are not checked first
    with pytest.raises(ValueError, match=words):
        make()
