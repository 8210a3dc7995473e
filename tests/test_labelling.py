"""Losses of examples with many labels against loops over those that count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from dlx.losses import labelling, supervised
from dlx.types import Labelled, Model

LOGITS = np.random.default_rng(0).normal(size=(4, 3, 2, 5)).astype(np.float32)
Y = np.random.default_rng(1).integers(-1, 5, (4, 3, 2))
Y[1], Y[2] = -1, np.argmax(LOGITS[2], -1)
Y[2, 0] = -1
NET = Model(lambda key, x: x, lambda params, x: params, lambda params, key, x: (params, {}))
SPLIT = Labelled(jnp.zeros(4), jnp.asarray(Y))


def over_labels(value):
    """The mean of value(i, *place) over the labels of each example; 0 where there is none."""
    found = []
    for i in range(len(Y)):
        values = [value(i, *place) for place in np.ndindex(Y[i].shape) if Y[i][place] >= 0]
        found.append(np.mean(values) if values else 0)
    return np.array(found)


NATS = over_labels(lambda *place: -log_softmax(LOGITS[place])[Y[place]])


def test_nats_and_wrong_labels_are_means_over_those_that_count():
    np.testing.assert_allclose(labelling.negative_log_likelihood(NET)(jnp.asarray(LOGITS), SPLIT), NATS, rtol=1e-5)
    wrong = over_labels(lambda *place: np.argmax(LOGITS[place]) != Y[place])
    np.testing.assert_allclose(labelling.mislabelled(NET)(jnp.asarray(LOGITS), SPLIT), wrong, rtol=1e-6)
    loss, metrics = labelling.cross_entropy(NET)(jnp.asarray(LOGITS), jax.random.key(0), SPLIT)
    assert float(loss) == pytest.approx(NATS.mean(), rel=1e-5)
    assert metrics == {}


def test_an_answer_is_right_as_a_whole():
    wrong = labelling.not_whole(lambda params, x: jnp.argmax(params, -1))(jnp.asarray(LOGITS), SPLIT)
    np.testing.assert_array_equal(wrong, over_labels(lambda *place: np.argmax(LOGITS[place]) != Y[place]) > 0)
    assert wrong[1] == wrong[2] == 0


def test_with_one_label_an_example_they_are_those_of_a_classifier():
    split, logits = Labelled(jnp.zeros(4), jnp.array([0, 4, 2, 1])), jnp.asarray(LOGITS[:, 0, 0])
    for mine, other in (
        (labelling.mislabelled, supervised.misclassified),
        (labelling.negative_log_likelihood, supervised.negative_log_likelihood),
    ):
        np.testing.assert_allclose(mine(NET)(logits, split), other(NET)(logits, split), rtol=1e-6)


def test_what_does_not_count_has_no_gradient():
    grads = jax.grad(labelling.cross_entropy(NET), has_aux=True)(jnp.asarray(LOGITS), None, SPLIT)[0]
    assert not np.any(grads[Y < 0])
    assert np.all(grads[Y >= 0] != 0)
