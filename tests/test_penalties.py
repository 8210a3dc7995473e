"""Penalties against finite differences, NumPy, closed forms, and the decay of optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.optimize import minimize
from scipy.special import expit, softmax
from scipy.stats import norm

from dlx.algorithms import gradient
from dlx.inspect.check import check
from dlx.losses.penalties import contraction, hint, l1, l2, penalised, sparsity
from dlx.losses.supervised import cross_entropy, squared_error
from dlx.nets.layer import INITIALIZERS, TANH, LayerKind
from dlx.nets.mlp import codes, mlp
from dlx.nets.module import STATISTICS, Affine, model
from dlx.nets.normalised import normalised
from dlx.optim import sgd
from dlx.types import CARRIED, Labelled

KEY = jax.random.key(0)
VISIBLE, HIDDEN, CLASSES, N = 5, 4, 3, 6
NET, BATCH_NET = mlp((HIDDEN,), CLASSES), normalised((HIDDEN,), CLASSES)
LINEAR = model(Affine(2, INITIALIZERS["zeros"], biased=False))


def noisy(key, x):
    return x + jax.random.normal(key, x.shape, x.dtype)


def of_layer(penalty):
    """A penalty of one layer, as one of the net's parameters."""
    return lambda params, key, batch: penalty(params["hidden_0"], key, batch)


PENALTIES = {
    "L2": lambda strength: l2(strength),
    "L1": lambda strength: l1(strength),
    "sparsity": lambda strength: sparsity(strength, 0.1, codes(1)),
    "hint": lambda strength: hint(strength, NET, noisy),
    "contraction": lambda strength: of_layer(contraction(strength)),
    "contraction, tanh": lambda strength: of_layer(contraction(strength, LayerKind(TANH))),
}
every_penalty = pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)


def random_params():
    rng = np.random.default_rng(0)
    shapes = {
        "hidden_0": {"w": (VISIBLE, HIDDEN), "b": HIDDEN, "c": VISIBLE},
        "output": {"w": (HIDDEN, CLASSES), "b": CLASSES},
    }
    return jax.tree.map(lambda shape: rng.normal(size=shape), shapes, is_leaf=lambda leaf: not isinstance(leaf, dict))


def random_batch(seed=2):
    rng = np.random.default_rng(seed)
    return Labelled(rng.random((N, VISIBLE)), rng.integers(0, CLASSES, N))


def in_float64(penalty, params=None):
    """Its value, on the random batch."""
    with jax.enable_x64(True):
        params, batch = jax.tree.map(jnp.asarray, (params or random_params(), random_batch()))
        return float(penalty(params, KEY, batch))


@every_penalty
def test_gradient_agrees_with_central_differences_alone_and_beside_a_loss(make):
    for loss in (lambda *args: (make(0.7)(*args), {}), penalised(cross_entropy(NET), make(0.7))):
        gaps = check(loss, KEY, random_params(), random_batch(), worst=1000)
        assert gaps.relative < 1e-6
        assert max(abs(one.gradient) for one in gaps.worst) > 1e-3


@every_penalty
def test_a_strength_is_a_factor_may_be_traced_and_is_not_below_0(make):
    params, batch = jax.tree.map(jnp.asarray, (random_params(), random_batch()))
    value = jax.jit(lambda strength: make(strength)(params, KEY, batch))
    assert float(value(3.0)) == pytest.approx(3 * float(make(1.0)(params, KEY, batch)), rel=1e-5)
    assert value(0.0) == 0 == make(0.0)(params, KEY, batch)
    with pytest.raises(ValueError, match=r"strength of a penalty must be at least 0, not -0\.5"):
        make(-0.5)


def of_weights(function):
    return sum(function(layer["w"]).sum() for layer in random_params().values())


def said_of_hint():
    with jax.enable_x64(True):
        x = jnp.asarray(random_batch().x)
        inputs = np.asarray(x), np.asarray(noisy(KEY, x))
    layers = random_params()
    one, other = (
        softmax(
            expit(x @ layers["hidden_0"]["w"] + layers["hidden_0"]["b"]) @ layers["output"]["w"]
            + layers["output"]["b"],
            1,
        )
        for x in inputs
    )
    return np.square(one - other).sum(1).mean()


def said_of_sparsity():
    layer = random_params()["hidden_0"]
    means = expit(random_batch().x @ layer["w"] + layer["b"]).mean(0)
    targets = np.array([[0.1], [0.9]])
    return (targets * np.log(targets / np.stack([means, 1 - means]))).sum()


def said_of_contraction(mean):
    """The Jacobian of the code by central differences."""
    layer, x, step = random_params()["hidden_0"], random_batch().x, 1e-5
    moved = [mean((x[:, None] + sign * step * np.eye(VISIBLE)) @ layer["w"] + layer["b"]) for sign in (1, -1)]
    return np.square((moved[0] - moved[1]) / (2 * step)).sum((1, 2)).mean()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contraction", lambda: said_of_contraction(expit)),
        ("contraction, tanh", lambda: said_of_contraction(np.tanh)),
        ("L2", lambda: of_weights(np.square) / 2),
        ("L1", lambda: of_weights(np.abs)),
        ("sparsity", said_of_sparsity),
        ("hint", said_of_hint),
    ],
)
def test_values_are_those_of_numpy(name, expected):
    assert in_float64(PENALTIES[name](1.0)) == pytest.approx(expected(), rel=1e-9)


def test_running_statistics_and_scales_are_not_penalised_and_what_is_carried_is_passed_on():
    batch = jax.tree.map(jnp.asarray, random_batch())
    params = BATCH_NET.init(KEY, batch.x[0])
    gradients = jax.grad(lambda params: l2(1.0)(params, KEY, batch) + l1(1.0)(params, KEY, batch))(params)
    for name, leaves in gradients.items():
        assert all(leaf == "w" or not np.any(jax.tree.leaves(leaves[leaf])[0]) for leaf in leaves), name
    value, metrics = penalised(cross_entropy(BATCH_NET), l2(0.3), l1(0.2))(params, KEY, batch)
    bare, told = cross_entropy(BATCH_NET)(params, KEY, batch)
    assert set(metrics[CARRIED]) == {STATISTICS}
    jax.tree.map(np.testing.assert_array_equal, metrics, told)
    more = l2(0.3)(params, KEY, batch) + l1(0.2)(params, KEY, batch)
    assert float(value) == pytest.approx(float(bare + more), rel=1e-6)


def test_the_loss_and_each_penalty_have_keys_of_their_own():
    seen = []

    def told(params, key, batch):
        seen.append(tuple(np.asarray(jax.random.key_data(key))))
        return 0.0

    penalised(lambda *args: (told(*args), {}), told, told)(None, KEY, None)
    assert len(set(seen)) == 3


def test_for_plain_descent_l2_is_decoupled_decay():
    rate, decay = 0.3, 0.05
    batch = jax.tree.map(jnp.asarray, random_batch())
    weights = jax.tree.map_with_path(lambda path, _: path[-1].key == "w", random_params())
    decoupled = optax.chain(optax.add_decayed_weights(decay, weights), sgd(rate))
    ends = []
    for rule in (
        gradient(penalised(cross_entropy(NET), l2(decay)), sgd(rate)),
        gradient(cross_entropy(NET), decoupled),
    ):
        state = rule.init(KEY, jax.tree.map(jnp.asarray, random_params()))
        for _ in range(5):
            state, _ = rule.step(KEY, state, batch)
        ends.append(state.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *ends)


def descended(loss, batch, rate, steps):
    """The weights [VISIBLE, 2] after full-batch descent from zeros, in float64."""
    with jax.enable_x64(True):
        rule = gradient(loss, sgd(rate))
        batch = jax.tree.map(jnp.asarray, batch)
        state = rule.init(KEY, {"w": jnp.zeros((VISIBLE, 2))})
        end, _ = jax.lax.scan(lambda state, _: (rule.step(KEY, state, batch)[0], None), state, length=steps)
        return np.asarray(end.params["w"])


def test_descent_with_l2_ends_at_ridge_regression_which_is_the_mode_of_the_posterior():
    """The loss is half the mean squared error, so that strength is the lambda of (X'X + n lambda I)^-1 X'y."""
    rng = np.random.default_rng(3)
    x, y, strength, n = rng.normal(size=(20, VISIBLE)), rng.normal(size=(20, 2)), 0.4, 20

    def half(params, key, batch):
        value, metrics = squared_error(LINEAR)(params, key, batch)
        return value / 2, metrics

    w_trained = descended(penalised(half, l2(strength)), Labelled(x, y), 0.3, 500)
    closed = np.linalg.solve(x.T @ x + n * strength * np.eye(VISIBLE), x.T @ y)
    np.testing.assert_allclose(w_trained, closed, rtol=1e-9)

    def minus_log_posterior(w):
        w = w.reshape(VISIBLE, 2)
        return -norm.logpdf(y, x @ w).sum() - norm.logpdf(w, scale=(n * strength) ** -0.5).sum()

    mode = minimize(minus_log_posterior, np.zeros(2 * VISIBLE), method="BFGS", options={"gtol": 1e-3}).x
    np.testing.assert_allclose(closed, mode.reshape(VISIBLE, 2), atol=1e-4)


def test_l1_with_orthonormal_inputs_is_the_soft_threshold():
    """Descent comes to within one step of it (Hastie, Tibshirani & Friedman 2009, table 3.4)."""
    rng = np.random.default_rng(4)
    n, strength, rate = 20, 0.5, 1e-3
    x = np.linalg.qr(rng.normal(size=(n, VISIBLE)))[0] * n**0.5
    y = x @ rng.normal(size=(VISIBLE, 2)) + 0.1 * rng.normal(size=(n, 2))
    w_trained = descended(penalised(squared_error(LINEAR), l1(strength)), Labelled(x, y), rate, 8000)
    least = x.T @ y / n
    expected = np.sign(least) * np.maximum(np.abs(least) - strength / 2, 0)
    assert 0 < (expected == 0).sum() < expected.size
    np.testing.assert_allclose(w_trained, expected, atol=2 * rate * strength)


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5])
def test_a_target_that_no_mean_can_have_is_refused_in_words(target):
    with pytest.raises(ValueError, match=f"between 0 and 1, not be {target}"):
        sparsity(1.0, target, codes(1))
