"""Training with regularisers: labels at random, what each kind changes, and ridge regression."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge as RidgeOfSklearn

from dlx.inspect.weights import sizes
from dlx.nets.mlp import mlp
from dlx.show.progress import silent
from experiments import regularization
from experiments.regularization import Regular, Regularised, Ridge

KEY = jax.random.key(5)
WIDTHS = (6,)


def run(program, data, hypers, given=()):
    hypers = type(hypers)(*map(jnp.float32, hypers))
    return jax.jit(lambda hypers, given, data: program(KEY, hypers, given, data, silent))(hypers, given, data)


class SeenError(Exception):
    """It carries the data that a training is handed."""


def test_random_labels_are_those_of_the_first_examples_in_another_order(data, monkeypatch):
    def handed(key, params, data):
        raise SeenError(data)

    monkeypatch.setattr(regularization, "classify", lambda *args, **how: handed)
    program = Regularised("plain", WIDTHS, 10, 1, 1, 40, shape=(8, 8))
    for shuffled in (0.0, 1.0):
        with pytest.raises(SeenError) as error:
            program(KEY, Regular(0.1, shuffled=shuffled), (), data, silent)
        seen = error.value.args[0].train
        np.testing.assert_array_equal(seen.x, data.train.x[:40])
        assert (np.sort(seen.y) == np.sort(data.train.y[:40])).all()
        assert (np.asarray(seen.y) == data.train.y[:40]).all() == (shuffled == 0)


@pytest.mark.parametrize(
    ("kind", "how"),
    [("plain", {"l2": 0.1}), ("plain", {"l1": 0.1})]
    + [(kind, {"amount": 0.3}) for kind in ("dropout", "inputs", "hidden", "weights", "virtual", "hint")],
)
def test_each_kind_trains_another_net_by_its_amount_and_none_without(data, kind, how):
    program = Regularised(kind, WIDTHS, 10, 1, 4, 40, shape=(8, 8))
    plain, none, some = (
        run(one, data, Regular(0.1, **more))[1].measures["weights"]["norm"]
        for one, more in ((Regularised("plain", WIDTHS, 10, 1, 4, 40, shape=(8, 8)), {}), (program, {}), (program, how))
    )
    assert none == pytest.approx(float(plain), rel=1e-5)
    assert some != none


def test_ridge_by_descent_is_the_closed_form_and_its_objective_is_scikit_learns(data):
    _, result = run(Ridge(60, 500), data, Regular(1.0, 0.1))
    assert result.measures["ridge"]["apart"] < 1e-3
    assert result.measures["ridge"]["slope"] < 1e-3
    x, y = data.train.x / 255, np.eye(10)[data.train.y]
    # The mean of |x w - y|^2 plus 0.1 / 2 |w|^2, times the number of examples.
    closed = RidgeOfSklearn(alpha=0.05 * len(x), fit_intercept=False).fit(x, y).coef_.T
    residual = 2 * x.T @ (x @ closed - y) / len(x) + 0.1 * closed
    assert np.abs(residual).max() < 1e-10


def test_all_weights_are_counted_and_no_biases():
    net = mlp((3, 2), 4).init(KEY, np.zeros(5, np.float32))
    assert sizes(net).size == 5 * 3 + 3 * 2 + 2 * 4


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no 'ridge'; choose one of plain, dropout"):
        Regularised("ridge", WIDTHS, 10, 1, 1, 40)
