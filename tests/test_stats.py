import itertools
import math
from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dlx.stats import (
    above_single_run,
    holm,
    interval,
    mcnemar,
    over_seeds,
    paired,
    paired_difference,
    runs_needed,
    smallest_effect,
    spread_difference,
    student,
)


@pytest.mark.parametrize("n", [2, 5, 30])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_interval_agrees_with_scipy(n, level):
    values = np.random.default_rng(n).normal(1.3, 0.1, n)
    ours = interval(values, level)
    assert (ours.low, ours.high) == pytest.approx(stats.t.interval(level, n - 1, values.mean(), stats.sem(values)))
    assert ours.mean == pytest.approx(values.mean())
    assert ours.n == n


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_covers_the_mean_as_often_as_it_says(level):
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 4))
    covered = np.mean([i.low <= 3.0 <= i.high for i in (interval(draw, level) for draw in draws)])
    assert abs(covered - level) < 4 * math.sqrt(level * (1 - level) / len(draws))


def test_interval_of_one_value_has_no_bounds():
    assert interval([0.012]) == (0.012, None, None, 1)


def test_interval_of_equal_values_is_a_point():
    assert interval(jnp.ones(3)) == (1.0, 1.0, 1.0, 3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "at least one"),
        (np.ones((2, 2)), r"\(2, 2\)"),
        ([1.0, math.nan], "diverged"),
        ([math.inf], "diverged"),
    ],
)
def test_interval_refuses_what_has_no_mean(values, said):
    with pytest.raises(ValueError, match=said):
        interval(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_interval_refuses_a_level_that_is_no_probability(level):
    with pytest.raises(ValueError, match="level"):
        interval([1.0, 2.0], level)


def discordant(only_a, only_b, both=3, neither=4):
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    return np.array(a), np.array(b)


@pytest.mark.parametrize(("only_a", "only_b"), [(a, b) for a in range(6) for b in range(6)])
def test_mcnemar_agrees_with_the_enumeration_of_all_sign_flips(only_a, only_b):
    observed = abs(only_a - only_b)
    as_extreme = [abs(sum(signs)) >= observed for signs in product((-1, 1), repeat=only_a + only_b)]
    assert mcnemar(*discordant(only_a, only_b)) == pytest.approx(np.mean(as_extreme))


def test_mcnemar_agrees_with_scipy_on_a_test_set_of_mnist_size():
    assert mcnemar(*discordant(70, 110, 50, 9770)) == pytest.approx(stats.binomtest(70, 180).pvalue)


def test_mcnemar_without_a_discordant_pair_is_one():
    wrong = np.array([True, False, True])
    assert mcnemar(wrong, wrong) == 1.0
    assert mcnemar(np.zeros(0, bool), np.zeros(0, bool)) == 1.0


def test_paired_is_symmetric_and_twice_the_median():
    pairs = [discordant(1, 9, 0, 0), discordant(2, 8, 0, 0), discordant(0, 10, 0, 0)]
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    assert paired(a, b) == paired(b, a) == 2 * sorted(mcnemar(*pair) for pair in pairs)[1]
    assert paired(jnp.asarray(a), jnp.asarray(b)) == paired(a, b)
    assert paired(a, a) == 1.0


@pytest.mark.parametrize("shared", [0.0, 0.6, 1.0])
def test_paired_rejects_a_true_null_no_more_often_than_it_says(shared):
    """Whatever share of the examples all seeds find equally hard, that is, however the pairs depend."""
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        common, own = random.random((2, 1, 200)), random.random((2, 4, 200))
        a, b = np.where(random.random(200) < shared, common, own) < 0.2
        p_values.append(paired(a, b))
    for level in (0.05, 0.2):
        assert np.mean(np.array(p_values) <= level) < level + 3 * math.sqrt(level * (1 - level) / 300)


def test_paired_finds_a_difference():
    random = np.random.default_rng(2)
    assert paired(random.random((5, 2000)) < 0.10, random.random((5, 2000)) < 0.15) < 0.01


@pytest.mark.parametrize(
    ("test", "a", "b", "said"),
    [
        (mcnemar, np.ones(3, bool), np.ones(2, bool), "shapes"),
        (mcnemar, np.ones((2, 3), bool), np.ones((2, 3), bool), "shapes"),
        (mcnemar, [0, 1, 2], [0, 1, 1], "booleans"),
        (paired, np.ones((2, 3), bool), np.ones((3, 3), bool), "shapes"),
        (paired, np.ones(3, bool), np.ones(3, bool), "shapes"),
        (paired, np.ones((0, 3), bool), np.ones((0, 3), bool), "seed"),
    ],
)
def test_paired_tests_refuse_what_is_not_paired(test, a, b, said):
    with pytest.raises(ValueError, match=said):
        test(a, b)


@pytest.mark.parametrize("n", [2, 10])
def test_over_seeds_agrees_with_scipy(n):
    a, b = np.random.default_rng(n).normal([0.012, 0.014], 0.001, (n, 2)).T
    assert over_seeds(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.01], [0.02]),
        ([0.01, 0.02], [0.01, 0.02]),
        ([0.25, 0.5], [0.5, 0.75]),
        ([0.01, 0.02], [0.02, 0.03]),  # the differences are equal but for rounding
        (np.float32([0.0136, 0.0125, 0.2]), np.float32([0.0146, 0.0135, 0.201])),  # but for float32
        ([0.1] * 3, [0.0] * 3),  # the mean of three times 0.1 is not 0.1
        ([0.0] * 3, [0.0] * 3),
    ],
)
def test_over_seeds_has_no_p_value_where_the_differences_have_no_variance(a, b):
    assert over_seeds(a, b) is None
    assert over_seeds(b, a) is None


def test_over_seeds_tells_one_wrong_digit_of_ten_thousand_from_rounding():
    a, b = [0.0136, 0.0136, 0.0137], [0.0, 0.0, 0.0]
    assert over_seeds(a, b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_paired_difference_agrees_with_scipy(level):
    a, b = np.random.default_rng(3).normal([0.012, 0.014], [0.001, 0.003], (6, 2)).T
    ours, test = paired_difference(a, b), stats.ttest_rel(a, b)
    mean, low, high, n = ours.interval(level)
    assert (low, high) == pytest.approx(tuple(test.confidence_interval(level)))
    assert (mean, n) == (pytest.approx(a.mean() - b.mean()), 6)
    assert ours.p(0) == pytest.approx(test.pvalue)
    assert ours.p(-0.01) == pytest.approx(stats.ttest_1samp(a - b, -0.01).pvalue)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.5], [0.75]),
        ([0.25, 0.5], [0.5, 0.75]),
        (np.float32([0.0136, 0.0125, 0.2]), np.float32([0.0146, 0.0135, 0.201])),  # but for float32
    ],
)
def test_without_variance_there_are_no_bounds_and_no_p_value(a, b):
    ours = paired_difference(a, b)
    assert ours.interval(0.99)[1:] == (None, None, len(a))
    assert ours.p(0) is None
    assert (smallest_effect(ours, 0.01, 0.9), runs_needed(ours, 1, 0.01, 0.9)) == (None, None)


@pytest.mark.parametrize(("n", "level", "power"), [(3, 0.01, 0.9), (10, 0.05, 0.8), (30, 0.01, 0.9)])
def test_effects_and_runs_are_those_of_the_noncentral_t(n, level, power):
    ours = student(np.random.default_rng(n).normal(0, 2, n))

    def found(effect, runs):
        deviation = ours.error * math.sqrt(n / runs)
        border = stats.t.isf(level / 2, runs - 1)
        return stats.nct.sf(border, runs - 1, effect / deviation)

    effect = smallest_effect(ours, level, power)
    assert found(effect, n) == pytest.approx(power, abs=1e-6)
    for share in (0.4, 0.9):
        needed = runs_needed(ours, share * effect, level, power)
        assert found(share * effect, needed) >= power > found(share * effect, needed - 1)
        assert needed > n
    assert runs_needed(ours, -0.4 * effect, level, power) == runs_needed(ours, 0.4 * effect, level, power)
    assert runs_needed(ours, effect / 100, level, power) is None, "more than 1000"


def test_the_smallest_effect_is_told_for_any_number_of_runs():
    rng = np.random.default_rng(0)
    for n, level in itertools.product(range(3, 60), (0.05, 0.01, 0.0025)):
        ours = student(rng.normal(0, 2, n))
        shift = smallest_effect(ours, level, 0.9) / ours.error
        drawn = (shift + rng.normal(size=20_000)) / np.sqrt(rng.chisquare(n - 1, 20_000) / (n - 1))
        assert (drawn > stats.t.isf(level / 2, n - 1)).mean() == pytest.approx(0.9, abs=0.01)
        assert runs_needed(ours, shift * ours.error, level, 0.9) in (n, n + 1)  # to rounding


def test_of_two_samples_each_run_adds_two_degrees_of_freedom():
    a, b = np.random.default_rng(0).normal(0, [3, 1], (20, 2)).T
    ours = spread_difference(a, b)
    effect = smallest_effect(ours, 0.01, 0.9) / 2
    needed = runs_needed(ours, effect, 0.01, 0.9)
    shift = effect / ours.error * np.sqrt(np.array([needed, needed - 1]) / 20)
    freedom = 2 * np.array([needed, needed - 1]) - 2
    enough, few = stats.nct.sf(stats.t.isf(0.005, freedom), freedom, shift)
    assert enough >= 0.9 > few


def test_a_difference_from_a_single_run_has_welchs_error():
    """SciPy's Welch test knows two samples: a large one of zeros and ones is the single run's examples."""
    values, wrong = [1.3, 1.5, 1.45, 1.2], np.arange(10_000) < 140
    ours = above_single_run(values, 1.4, 10_000)
    test = stats.ttest_ind(values, 100 * wrong, equal_var=False)
    assert ours.p(0) == pytest.approx(test.pvalue, rel=1e-3)
    assert ours.interval(0.99)[1:3] == pytest.approx(tuple(test.confidence_interval(0.99)), rel=1e-3)
    assert above_single_run([1.4], 1.4, 10_000).error == pytest.approx(stats.binom.std(10_000, 0.014) / 100)
    assert above_single_run([1.0, 1.0], 0.0, 100).error is None


@pytest.mark.parametrize(
    ("a", "b", "said"), [([0.1], [0.1, 0.2], "shapes"), ([math.nan, 0], [0, 0], "non-finite"), ([], [], "at least one")]
)
@pytest.mark.parametrize("compare", [over_seeds, paired_difference])
def test_comparisons_over_seeds_refuse_what_is_not_paired(compare, a, b, said):
    with pytest.raises(ValueError, match=said):
        compare(a, b)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        # Sorted 0.01, 0.015, 0.02, 0.3 times 4, 3, 2, 1: 0.04, 0.045, 0.04, 0.3; no value is below the one before it.
        ([0.02, 0.3, 0.01, 0.015], [0.045, 0.3, 0.04, 0.045]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # the example of Wikipedia, "Holm-Bonferroni method"
        ([0.6, 0.01, 0.7], [1.0, 0.03, 1.0]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_holm_agrees_with_the_procedure_done_by_hand(p_values, adjusted):
    ours = holm(p_values)
    assert ours == pytest.approx(adjusted)
    assert all(type(p) is float for p in ours)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_holm_rejects_what_the_step_down_rule_rejects(level):
    """Holm 1979: go from the smallest p-value up; stop at the first that is above level / (how many are left)."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        p_values = (rng.random(7) ** 4).tolist()
        rejected = set()
        for step, i in enumerate(sorted(range(7), key=p_values.__getitem__)):
            if p_values[i] > level / (7 - step):
                break
            rejected.add(i)
        assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


@pytest.mark.parametrize("p_values", [[0.1, math.nan], [-0.1], [0.2, 1.1], [[0.1, 0.2]]])
def test_holm_refuses_what_is_no_vector_of_p_values(p_values):
    with pytest.raises(ValueError, match="p-values"):
        holm(p_values)


@pytest.mark.parametrize("sizes", [(5, 5), (30, 10)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_p_value_of_a_spread_is_that_of_levenes_test_with_medians(sizes, level):
    rng = np.random.default_rng(sizes[0])
    a, b = rng.normal(1, 3, sizes[0]), rng.normal(5, 1, sizes[1])
    ours = spread_difference(a, b)
    assert ours.p(0) == pytest.approx(stats.levene(a, b, center="median").pvalue)
    far = [np.abs(side - np.median(side)) for side in (a, b)]
    assert ours.mean == pytest.approx(far[0].mean() - far[1].mean())
    assert ours.n == min(sizes)
    assert ours.interval(level)[1:3] == pytest.approx(tuple(stats.ttest_ind(*far).confidence_interval(level)))


def test_the_interval_of_a_spread_without_a_difference_ends_at_0_where_p_is_one_half_of_the_level():
    a, b = np.random.default_rng(3).normal(0, 2, 12), np.random.default_rng(4).normal(0, 1, 12)
    ours = spread_difference(a, b)
    assert ours.interval(1 - ours.p(0)).low == pytest.approx(0, abs=1e-12)


def test_a_spread_of_equal_values_has_no_p_value():
    assert spread_difference([1.0] * 3, [2.0] * 4) == (0, None, 5, 3)


@pytest.mark.parametrize(
    ("a", "b"), [([1.0, 2.0], [1.0, 2.0, 4.0]), ([1.0, 2.0, 4.0], []), ([1.0, 2.0, math.inf], [1.0, 2.0, 3.0])]
)
def test_a_spread_needs_three_finite_values_on_either_side(a, b):
    with pytest.raises(ValueError, match="at least three finite values"):
        spread_difference(a, b)
