"""Ridge regression in closed form, beside scikit-learn's and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import Ridge

from dlx.inspect.ridge import closed_form, posterior_slope

RNG = np.random.default_rng(0)
X, Y, DECAY = RNG.normal(size=(40, 5)).astype(np.float32), RNG.normal(size=(40, 3)).astype(np.float32), 0.3


def test_the_closed_form_is_that_of_scikit_learn_and_nothing_curves_more_than_the_bound():
    w, steepest = closed_form(jnp.asarray(X), jnp.asarray(Y), DECAY)
    np.testing.assert_allclose(w, Ridge(alpha=len(X) * DECAY / 2, fit_intercept=False).fit(X, Y).coef_.T, atol=1e-5)
    largest = np.linalg.eigvalsh(2 * X.T @ X / len(X) + DECAY * np.eye(5)).max()
    assert largest <= steepest < 5 * largest


def test_the_posterior_has_no_slope_at_the_closed_form_alone():
    w, _ = closed_form(jnp.asarray(X), jnp.asarray(Y), DECAY)
    assert posterior_slope(w, *map(jnp.asarray, (X, Y)), DECAY) < 1e-5
    far = w + 1

    def loss(w):
        return np.square(X @ w - Y).sum() / len(X) + DECAY / 2 * np.square(w).sum()

    steps = [0.01 * np.eye(15)[i].reshape(5, 3) for i in range(15)]
    slope = np.array([(loss(far + step) - loss(far - step)) / 0.02 for step in steps])
    expected = np.linalg.norm(slope) / np.linalg.norm(DECAY * far)
    np.testing.assert_allclose(jax.jit(posterior_slope)(far, X, Y, DECAY), expected, rtol=1e-3)
