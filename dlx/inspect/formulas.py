"""Update rules in NumPy, as the lectures and papers write them. Optimizers are checked against them."""

import jax
import numpy as np
import optax

from dlx.types import Key


def by_formula(rate: float, w: np.ndarray, grads: np.ndarray) -> dict[str, np.ndarray]:
    """The matrix w [rows, columns] after steps along gradients [steps, rows, columns], by the name of the rule.

    Lectures CS/CNS/EE 155 16, "Learning Rate & Momentum"; on feed-forward nets, "Adapting Learning Rates"; Alpaydin 12,
    "Improving Training Convergence" to "ADAM". Nesterov's momentum: Sutskever et al. 2013, section 2.
    Muon: Liu et al. 2025, equations 1 and 4.
    """
    velocity, velocity_of_muon, mean, total, mean_square, slow_mean_square = (np.zeros_like(w) for _ in range(6))
    after = {}
    for t, g in enumerate(grads, 1):
        velocity = 0.9 * velocity + g
        velocity_of_muon = 0.95 * velocity_of_muon + g
        mean = 0.9 * mean + 0.1 * g
        total = total + g**2
        mean_square = 0.9 * mean_square + 0.1 * g**2
        slow_mean_square = 0.999 * slow_mean_square + 0.001 * g**2
        step = {
            "plain": g,
            "momentum": velocity,
            "average": mean,
            "nesterov": g + 0.9 * velocity,
            "adagrad": g / np.sqrt(total + 1e-8),
            "rmsprop": g / np.sqrt(mean_square + 1e-8),
            "adam": (mean / (1 - 0.9**t)) / (np.sqrt(slow_mean_square / (1 - 0.999**t)) + 1e-8),
            "clipped": g * min(1, 0.1 / np.linalg.norm(g)),
            "muon": 0.2 * np.sqrt(max(w.shape)) * orthogonalised(velocity_of_muon),
        }
        after = {rule: after.get(rule, w) - rate * change for rule, change in step.items()}
    return after


def orthogonalised(m: np.ndarray) -> np.ndarray:
    """m [rows, columns] with its singular values brought to about 1, by five steps of Newton and Schulz's iteration.

    Jordan et al. 2024, with their coefficients.
    """
    x = m / np.linalg.norm(m)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


def gap(key: Key, rule: str, optimizer: optax.GradientTransformation, rate: float, steps: int) -> float:
    """The largest difference between an optimizer's and the formula's parameters after some steps.

    It is a share of the largest change of any parameter. The parameters are a 10 x 10 matrix. Gradients are random.
    """
    start, *grads = np.asarray(jax.random.normal(key, (1 + steps, 10, 10)), np.float32)
    expected = by_formula(rate, start.astype(float), np.array(grads, float))[rule]
    w, state = start, optimizer.init(start)
    for g in grads:
        updates, state = optimizer.update(g, state, w)
        w = optax.apply_updates(w, updates)
    return float(np.abs(np.asarray(w) - expected).max() / np.abs(expected - start).max())
