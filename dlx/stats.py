"""What can be said of error rates: intervals over seeds, and tests between two methods.

Errors are fractions (0.012 is 1.2 %), unless it is said that they are in percent. P-values are two-sided. scipy is
imported on first use.

Sources: Student, Biometrika 6 (1908). McNemar, Psychometrika 12 (1947). Twice the median of p-values: Rüger, Metrika 25
(1978). Merging p-values in general: Vovk & Wang, Biometrika 107 (2020). Several tests at once: Holm, Scandinavian
Journal of Statistics 6 (1979).
"""

import math
from bisect import bisect_left
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A mean over `n` values and the bounds of its interval, in the unit of the values; None where n = 1."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Estimate(NamedTuple):
    """A mean of `n` runs with its standard error, in the unit of the values."""

    mean: float
    error: float | None
    """None without variance, as for a single run."""
    freedom: float
    """The degrees of freedom of the error."""
    n: int

    def interval(self, level: float) -> Interval:
        """Student's interval of the mean; without bounds where there is no variance."""
        if self.error is None:
            return Interval(self.mean, None, None, self.n)
        half = float(_border(1 - level, self.freedom)) * self.error
        return Interval(self.mean, self.mean - half, self.mean + half, self.n)

    def p(self, value: float) -> float | None:
        """The p-value of Student's two-sided test that the true mean is `value`. None without variance."""
        from scipy import special

        return (
            None if self.error is None else 2 * float(special.stdtr(self.freedom, -abs(self.mean - value) / self.error))
        )


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval of the mean, m ± t_{n-1, (1+level)/2} s / √n with s² = Σ(x - m)² / (n - 1).

    `values` is [n], one per independent run. Raises ValueError if there is none, or if one is not finite.
    """
    from scipy import stats

    x = np.asarray(values, np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"an interval needs a vector of at least one value; the shape is {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("non-finite values: count the diverged runs apart and pass only those that converged")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, not {level}")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, None, None, 1)
    half = float(stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size))
    return Interval(mean, mean - half, mean + half, x.size)


def mcnemar(wrong_a: ArrayLike, wrong_b: ArrayLike) -> float:
    """The p-value of McNemar's exact test that classifiers a and b err equally often.

    `wrong_a` and `wrong_b` are boolean [n], on the same test examples. Let k examples be wrong only under a, and l only
    under b. Then p = min(1, 2 P(X ≤ min(k, l))) with X ~ Binomial(k + l, 1/2). For k = l = 0 it is 1.

    Raises ValueError if the shapes differ or the entries are not booleans.
    """
    from scipy import stats

    a, b = _paired(wrong_a, wrong_b, ndim=1)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return min(1.0, 2 * float(stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def paired(wrong_a: ArrayLike, wrong_b: ArrayLike) -> float:
    """The p-value that the runs of a and b err equally often, seed s of a against seed s of b.

    `wrong_a` and `wrong_b` are boolean [seeds, n], on the same test examples. All pairs share these examples. So the
    McNemar p-values are merged by min(1, 2 median), which is valid under any dependence. A single p-value is doubled,
    too; use `mcnemar` for one seed. Raises ValueError as `mcnemar` does, or if there is no seed.
    """
    a, b = _paired(wrong_a, wrong_b, ndim=2)
    if len(a) == 0:
        raise ValueError("a paired test needs at least one seed")
    return min(1.0, 2 * float(np.median([mcnemar(*pair) for pair in zip(a, b, strict=True)])))


def over_seeds(errors_a: ArrayLike, errors_b: ArrayLike) -> float | None:
    """The p-value that a and b err equally often on average over seeds, by Student's paired t-test.

    The errors are [seeds], seed s against seed s. They are on one test set, and the answer holds only for this set.
    It is None for a single seed, or if all differences are the same: without variance there is no test.
    Raises ValueError if the shapes differ or an error is not finite.
    """
    from scipy import stats

    difference, largest = _differences(errors_a, errors_b)
    mean, low, _, n = interval(difference)
    if low is None or np.ptp(difference) <= 1e-6 * largest:  # equal differences of float32 vary by what was rounded
        return None
    deviation = float(difference.std(ddof=1)) / math.sqrt(n)
    return 2 * float(stats.t.sf(abs(mean) / deviation, n - 1))


def student(values: ArrayLike, largest: float | None = None) -> Estimate:
    """The mean of independent values [n], with s / √n and n - 1 degrees of freedom.

    Values that differ by less than a millionth of the `largest` have no variance: so much is rounded in float32. This
    is the largest value, if not said otherwise. Raises ValueError as `interval` does.
    """
    mean, low, _, n = interval(values)
    x = np.asarray(values, np.float64)
    largest = np.abs(x).max() if largest is None else largest
    error = None if low is None or np.ptp(x) <= 1e-6 * largest else float(x.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, error, n - 1, n)


def paired_difference(a: ArrayLike, b: ArrayLike) -> Estimate:
    """The mean of a - b, seed s against seed s, in the unit of the values.

    Both are [seeds]. Raises ValueError if the shapes differ, a value is not finite, or as `interval`.
    """
    return student(*_differences(a, b))


def spread_difference(a: ArrayLike, b: ArrayLike) -> Estimate:
    """How much farther the values of a lie from their median than those of b do.

    It is the difference of two means of |x - median|, with one variance. So its p-value is that of Levene's test with
    medians (Brown & Forsythe, Journal of the American Statistical Association 69, 1974). Raises ValueError if a value
    is not finite, or if a side has fewer than three: two values lie equally far from their median.
    """
    sides = [np.asarray(side, np.float64) for side in (a, b)]
    if min(map(len, sides)) < 3 or not all(np.isfinite(side).all() for side in sides):
        raise ValueError("a spread needs at least three finite values on either side")
    far = [np.abs(side - np.median(side)) for side in sides]
    sizes, freedom = [len(side) for side in far], sum(map(len, far)) - 2
    variance = sum(float(np.square(side - side.mean()).sum()) for side in far) / freedom
    error = math.sqrt(variance * sum(1 / size for size in sizes)) if any(map(np.ptp, far)) else None
    return Estimate(float(far[0].mean() - far[1].mean()), error, freedom, min(sizes))


def above_single_run(values: ArrayLike, other: float, examples: int) -> Estimate:
    """How far the mean of `values` [n] is above the error of one other run, counted on so many examples.

    All are in percent. The other run's variance is binomial. The degrees of freedom are those of Welch, Biometrika 34
    (1947). Raises ValueError as `interval` does.
    """
    mean, error, freedom, n = student(values)
    own, its = (error or 0.0) ** 2, single_run_error(other, examples) ** 2
    total = own + its
    freedom = freedom * (total / own) ** 2 if own else math.inf
    return Estimate(mean - other, math.sqrt(total) or None, freedom, n)


def single_run_error(error: float, examples: int) -> float:
    """The standard error of a run's error, counted on so many examples. Both are in percent."""
    return 100 * math.sqrt(error / 100 * (1 - error / 100) / examples)


def smallest_effect(estimate: Estimate, level: float, power: float) -> float | None:
    """The smallest effect that a two-sided t-test with the estimate's error finds with this power."""
    return None if estimate.error is None else _smallest_shift(level, power, estimate.freedom) * estimate.error


@cache
def _smallest_shift(level: float, power: float, freedom: float) -> float:
    """The same in units of the standard error."""
    from scipy import optimize

    border = _border(level, freedom)
    return float(optimize.brentq(lambda shift: _found(border, freedom, shift) - power, 0, 1e5))


def runs_needed(estimate: Estimate, effect: float, level: float, power: float, most: int = 1000) -> int | None:
    """How many runs a two-sided t-test needs to find an effect with this power; None for more than `most`.

    One run more brings the error down, and adds as many degrees of freedom as each run has now.
    """
    if estimate.error is None:
        return None
    shift, each = abs(effect) / estimate.error / math.sqrt(estimate.n), estimate.freedom / (estimate.n - 1)

    def enough(runs: int) -> bool:
        freedom = each * (runs - 1)
        return bool(_found(_border(level, freedom), freedom, shift * math.sqrt(runs)) >= power)

    needed = bisect_left(range(most + 1), True, lo=2, key=enough)
    return needed if needed <= most else None


def _border(level: float, freedom: ArrayLike) -> np.ndarray:
    """The t beyond which a two-sided test at this level rejects."""
    from scipy import special

    return special.stdtrit(freedom, 1 - level / 2)


def _found(border: ArrayLike, freedom: ArrayLike, shift: ArrayLike) -> np.ndarray:
    """The probability that a noncentral t lies beyond the border."""
    from scipy import special

    found = 1 - special.nctdtr(freedom, shift, border)
    # SciPy gives NaN for some large shifts, beside which only the error's own error counts: a chi-squared.
    far = special.chdtr(freedom, freedom * (np.asarray(shift) / border) ** 2)
    return np.where(np.isnan(found), far, found)


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's step-down adjusted p-values [m], in the order of those given, at most 1.

    The i-th smallest of m p-values, i from 1, becomes the largest of (m - j + 1) p_(j) over j ≤ i. Reject the tests
    whose adjusted value is at most α. Then any wrong rejection has a probability of at most α, under any dependence.
    Raises ValueError if a p-value is not between 0 and 1, or if they are not a vector.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"give a vector of p-values between 0 and 1, not {p_values}")
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.arange(p.size, 0, -1) * p[order])
    return np.minimum(adjusted, 1).tolist()


def _paired(wrong_a: ArrayLike, wrong_b: ArrayLike, ndim: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(wrong_a), np.asarray(wrong_b)
    if a.shape != b.shape or a.ndim != ndim:
        raise ValueError(f"shapes {a.shape} and {b.shape}: give two equal ones of {ndim} dimension(s)")
    if a.dtype != bool or b.dtype != bool:
        raise ValueError(f"dtypes {a.dtype} and {b.dtype}: give booleans, prediction != label")
    return a, b


def _differences(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, float]:
    """a - b, and the largest absolute value in either."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"shapes {x.shape} and {y.shape}: give two equal ones of 1 dimension(s)")
    return x - y, max(np.abs(x).max(initial=0), np.abs(y).max(initial=0))
