"""The average over all masks of a hidden layer, in NumPy, and how far a net is from an average over masks."""

from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Array, Float

Numbers = Array | np.ndarray
Logs = Float[np.ndarray, "n classes"]


def over_all_masks(h: Float[np.ndarray, "n units"], output: dict[str, np.ndarray]) -> Logs:
    """Log-probabilities of the normalised geometric mean over all 2^units masks of h, each as probable as any other.

    Units that are kept count twice, as in training (lecture on feed-forward nets, "Dropout at Test Time").
    """
    total = np.zeros((len(h), output["b"].size))
    for mask in product((0, 2), repeat=h.shape[-1]):
        total += log_probabilities(mask * h @ output["w"] + output["b"])
    return log_probabilities(total / 2 ** h.shape[-1])


def log_probabilities(logits: Logs) -> Logs:
    """The logarithm of their softmax, in their precision."""
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def beside(xp: Any, average: Numbers, used: Numbers, y: Numbers) -> dict[str, Any]:
    """How far the net in use is from an average, given the log-probabilities of both; `xp` is NumPy or that of JAX."""
    error_used, error_average = ((one.argmax(-1) != y).astype(xp.float32).mean() for one in (used, average))
    apart = xp.abs(xp.exp(average) - xp.exp(used))
    return {
        "error": error_used,
        "average": error_average,
        "excess": error_used - error_average,
        "apart": apart.max(),
        "mean": apart.mean(),
    }
