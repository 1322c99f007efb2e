"""Lower, median and upper success probability, and the bound that holds on new problems."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, logit
from scipy.stats import beta, betabinom, binom
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import QuantileRegressor
from sklearn.metrics import mean_pinball_loss
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from calibkit import CalibrationWarning, PlattCalibrator, ReversedScoresWarning, SeparationWarning
from calibkit._numerics.betabinomial import _loss, fit_beta_binomial
from calibkit._numerics.quantiles import quantile, quantile_line, quantile_with_infinity
from calibkit.decisions import QuantileCalibrator


def rollouts(size=2000, n=8, phi=6.0, seed=0):
    """Log-odds scores, success probabilities that spread around a line, and rates of n trials."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=size) * 1.5
    mean = expit(0.8 * z - 0.5)
    p = rng.beta(mean * phi, (1 - mean) * phi)
    return z, p, rng.binomial(n, p) / n


# -- quantile regression -------------------------------------------------------------------------


def test_pinball_loss_of_the_reference():
    target = np.array([0, 0.125, 0.5, 1])
    rows = np.array([(0.01, 0.1, 0.4), (0.05, 0.2, 0.3), (0.2, 0.4, 0.7), (0.6, 0.9, 0.95)])
    losses = [mean_pinball_loss(target, rows[:, i], alpha=b) for i, b in enumerate((0.1, 0.5, 0.9))]
    assert_allclose(np.mean(losses), 0.0330416667, atol=5e-11)


@pytest.mark.parametrize("b", [0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["smooth", "rates", "outliers", "few"])
def test_line_is_that_of_linear_programming(b, weighted, kind):
    rng = np.random.default_rng(1)
    z, _, rate = rollouts(300)
    t = logit(np.clip(rate, 1 / 16, 15 / 16)) if kind == "rates" else 0.7 * z + rng.normal(size=300)
    if kind == "outliers":
        z[:3], t[3:5] = 1e5, -1e4
    if kind == "few":
        z, t = z[:4], t[:4]
    w = rng.integers(1, 5, len(z)).astype(float) if weighted else None
    slope, intercept = quantile_line(z, t, b, w)
    best = QuantileRegressor(quantile=b, alpha=0, solver="highs").fit(z[:, None], t, w)
    ours = mean_pinball_loss(t, slope * z + intercept, alpha=b, sample_weight=w)
    theirs = mean_pinball_loss(t, best.predict(z[:, None]), alpha=b, sample_weight=w)
    assert ours <= theirs + 1e-9 * max(1.0, theirs)


def test_line_of_scores_or_targets_that_are_all_equal():
    t = np.array([1.0, 2.0, 3.0, 4.0])
    assert quantile_line(np.ones(4), t, 0.5) == (0.0, 2.0)
    assert quantile_line(t, np.ones(4), 0.1) == (0.0, 1.0)


def test_quantiles_count_mass():
    values = np.array([3.0, 1.0, 2.0])
    assert [quantile(values, b) for b in (0.01, 1 / 3, 0.34, 0.99)] == [1, 1, 2, 3]
    w = np.array([1.0, 2.0, 3.0])
    rows = np.repeat(values, w.astype(int))
    for b in np.linspace(0.01, 0.99, 23):
        assert quantile(values, b, w) == quantile(rows, b)
    assert quantile_with_infinity(values, np.full(3, 0.25), 0.75) == 3.0
    assert quantile_with_infinity(values, np.full(3, 0.25), 0.76) == np.inf


def test_pinball_never_crosses_and_ends_at_0_and_1():
    rng = np.random.default_rng(2)
    z = rng.normal(size=400)
    rate = np.clip(np.round(8 * expit(z * rng.normal(1, 1, 400))) / 8, 0, 1)
    cal = QuantileCalibrator(tuple(np.linspace(0.05, 0.95, 19)), method="pinball", scale="logit")
    q = cal.fit(z, rate).predict_quantiles(np.linspace(-20, 20, 201))
    assert (np.diff(q, axis=1) >= 0).all()
    # Two of three rates are 0: so are the lower and the median rate.
    zeros = np.where(np.arange(400) % 3 == 0, np.maximum(rate, 0.125), 0.0)
    q = QuantileCalibrator(method="pinball", scale="logit").fit(z, zeros).predict_quantiles(z)
    assert_array_equal(q[:, :2], 0.0)
    assert (q[:, 2] > 0).all()


# -- the beta-binomial ---------------------------------------------------------------------------


def test_gradient():
    z, _, rate = rollouts(50)
    n, w = np.full(50, 8.0), np.random.default_rng(0).random(50)
    for theta in ([0.5, -0.3, 0.2, 1.0], [0.0, 0.0, 0.0, -2.0], [2.0, 1.0, -0.5, 4.0]):
        theta = np.array(theta)
        numeric = approx_fprime(theta, lambda t: _loss(t, z, 8 * rate, n, w)[0], 1e-7)
        assert_allclose(_loss(theta, z, 8 * rate, n, w)[1], numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["constant", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_maximum_likelihood(precision, seed):
    """SciPy's own likelihood, maximised without gradients from several starts."""
    z, _, rate = rollouts(300, seed=seed)
    n = np.random.default_rng(seed).integers(1, 12, 300)
    k = np.round(rate * n)
    w = np.random.default_rng(seed + 9).integers(1, 4, 300)
    cal = QuantileCalibrator(scale="logit", precision=precision).fit(z, k / n, n, w)

    def loss(theta):
        mean = expit(theta[0] * z + theta[1])
        phi = np.exp(theta[2] + (theta[3] * z if precision == "linear" else 0))
        return -(w * betabinom.logpmf(k, n, mean * phi, (1 - mean) * phi)).sum()

    d = 4 if precision == "linear" else 3
    starts = ([1.0, 0.0, 1.0, 0.0], [0.3, -1.0, 3.0, 0.1])
    options = {"maxiter": 4000, "xatol": 1e-8, "fatol": 1e-10}
    best = min(minimize(loss, s[:d], method="Nelder-Mead", options=options).fun for s in starts)
    ours = [cal.slope_, cal.intercept_, cal.log_precision_[1], cal.log_precision_[0]]
    assert loss(ours) <= best + 1e-6
    assert cal.converged_


def test_quantiles_are_those_of_the_truth():
    z, p, rate = rollouts(20_000, phi=6.0)
    cal = QuantileCalibrator(scale="logit").fit(z, rate, 8)
    mean = expit(0.8 * z - 0.5)
    truth = beta.ppf([[0.1], [0.5], [0.9]], mean * 6, (1 - mean) * 6).T
    assert np.abs(cal.predict_quantiles(z) - truth).max() < 0.03
    below = (p[:, None] <= cal.predict_quantiles(z)).mean(axis=0)
    assert_allclose(below, [0.1, 0.5, 0.9], atol=4 * np.sqrt(0.25 / 20_000))
    assert_allclose(cal.predict(z), mean, atol=0.02)


def test_noise_of_eight_trials_is_not_uncertainty():
    """Section 5.3 of the reference: p is known exactly, its rate of 8 is not."""
    grid = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
    p = np.repeat(grid, 1500)
    rate = np.random.default_rng(0).binomial(8, p) / 8
    table = binom.ppf(0.1, 8, grid) / 8
    assert_array_equal(table, [0, 0, 0, 0.125, 0.25, 0.5, 0.625, 0.75, 0.875])
    low = QuantileCalibrator().fit(p, rate, 8).predict_quantiles(grid)[:, 0]
    assert_allclose(low, grid, atol=0.03)
    noisy = QuantileCalibrator(method="pinball").fit(p, rate).predict_quantiles(grid)[:, 0]
    assert_allclose(noisy, table, atol=0.13)  # a line in log-odds, within one eighth
    assert (noisy[1:8] < grid[1:8] - 0.08).all()


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
def test_mean_is_not_the_median(method):
    rng = np.random.default_rng(3)
    z = rng.normal(size=4000)
    p = np.where(rng.random(4000) < 0.67, 0.0, rng.random(4000))  # two thirds can't succeed
    rate = rng.binomial(8, p) / 8
    cal = QuantileCalibrator(method=method, scale="logit").fit(z, rate, 8)
    # Standard error of the mean rate: sqrt(var / n) < 0.005.
    assert abs(cal.predict(z).mean() - p.mean()) < 0.02
    assert np.median(cal.predict_quantiles(z)[:, 1]) < 0.05


def test_pinball_mean_is_platts():
    z, _, rate = rollouts()
    cal = QuantileCalibrator(method="pinball", scale="logit").fit(z, rate)
    platt = PlattCalibrator(scale="logit").fit(z, rate)
    assert_allclose(cal.predict(z), platt.predict_proba(z)[:, 1], atol=1e-9)


def test_no_overdispersion():
    rng = np.random.default_rng(4)
    z = rng.normal(size=2000)
    k = np.round(8 * expit(z))  # less spread than a binomial has
    cal = QuantileCalibrator(scale="logit").fit(z, k / 8, 8)
    assert_allclose(cal.log_precision_, [0.0, np.log(1e6)])
    q = cal.predict_quantiles(z)
    assert_allclose(q, np.repeat(cal.predict(z)[:, None], 3, axis=1), atol=1e-3)
    linear = QuantileCalibrator(scale="logit", precision="linear").fit(z, k / 8, 8)
    assert np.isfinite(linear.predict_quantiles(z * 100)).all()


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_or_nothing(method, value):
    cal = QuantileCalibrator(method=method)
    with pytest.warns(CalibrationWarning, match=f"y is {value:g} in every row"):
        cal.fit([0.1, 0.5, 0.7], [value] * 3, 8)
    mean = 1 / 26 if value == 0 else 25 / 26
    assert_allclose(cal.predict([0.0, 1.0]), mean)
    want = beta.ppf([0.1, 0.5, 0.9], 24 * value + 1, 24 * (1 - value) + 1)
    assert_allclose(cal.predict_quantiles([0.3]), [want], rtol=1e-8)


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
def test_separated_and_odd_data(method):
    cal = QuantileCalibrator(method=method, scale="logit")
    z = np.array([-2.0, -1.0, 1.0, 2.0])
    with pytest.warns(SeparationWarning):
        cal.fit(z, [0, 0, 1, 1], 8)
    assert np.isfinite(cal.predict_quantiles([-1e9, -1.0, 1e9])).all()
    for X, y, n in [
        (np.zeros(4), [0, 0.5, 1, 0.25], 4),
        ([-1e9, 0.0, 1.0, 1e9], [0, 0.5, 1, 0.25], 4),
        ([-1e9, 0.0, 1.0, 2.0], [0, 1.0, 0, 1.0], [1, 1, 2, 1]),
        (z, [0.5] * 4, 2),
        (z[:1], [0.5], 2),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CalibrationWarning)
            q = clone(cal).fit(X, y, n).predict_quantiles(np.linspace(-50, 50, 11))
        assert np.isfinite(q).all()
        assert (np.diff(q, axis=1) >= 0).all()


def test_reversed_scores_are_told():
    z, _, rate = rollouts()
    with pytest.warns(ReversedScoresWarning):
        QuantileCalibrator(scale="logit").fit(-z, rate, 8)


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
def test_weights_repeat_rows(method):
    z, _, rate = rollouts(200)
    w = np.random.default_rng(0).integers(0, 3, 200)
    cal = QuantileCalibrator(method=method, scale="logit")
    a = clone(cal).fit(z, rate, 8, w).predict_quantiles(z)
    b = clone(cal).fit(np.repeat(z, w), np.repeat(rate, w), 8).predict_quantiles(z)
    assert_allclose(a, b, atol=1e-5)


def test_probabilities_and_logits_agree():
    z, _, rate = rollouts(300)
    a = QuantileCalibrator(scale="logit").fit(z, rate, 8).predict_quantiles(z)
    p = expit(z)
    b = QuantileCalibrator().fit(p, rate, 8).predict_quantiles(np.column_stack((1 - p, p)))
    assert_allclose(a, b, atol=1e-5)


def test_the_fit_itself_survives_a_fixed_line():
    z, _, rate = rollouts(200)
    fit = fit_beta_binomial(z, 8 * rate, np.full(200, 8.0), None, np.array([1.0, 0.0]),
                            fit_line=False)  # fmt: skip
    assert_array_equal(fit.line.round(12), [1.0, 0.0])


# -- the bound -----------------------------------------------------------------------------------


def one_sided(scores, b):
    """The ceil((n + 1)(1 - b))-th smallest, counted by hand."""
    rank = int(np.ceil(round((len(scores) + 1) * (1 - b), 9)))
    return np.inf if rank > len(scores) else np.sort(scores)[rank - 1]


@pytest.mark.parametrize("size", [8, 9, 10, 19, 57])
def test_offset_is_the_right_order_statistic(size):
    z, _, rate = rollouts(400)
    cal = QuantileCalibrator(scale="logit").fit(z[:300], rate[:300], 8)
    new, y = z[300 : 300 + size], rate[300 : 300 + size]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal.conformalise(new, y)
    want = one_sided(cal.predict_quantiles(new)[:, 0] - y, 0.1)
    assert cal.offset_ == want
    singly = clone(cal).fit(z[:300], rate[:300], 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        singly.conformalise(new, y, groups=np.arange(size))
    assert singly.offset_ == cal.offset_


def test_too_few_rows_or_groups():
    z, _, rate = rollouts(400)
    cal = QuantileCalibrator(scale="logit").fit(z[:300], rate[:300], 8)
    with pytest.warns(CalibrationWarning, match="8 rows are too few .* 0.1, which requires 9"):
        cal.conformalise(z[300:308], rate[300:308])
    assert_array_equal(cal.lower_bound(z), 0.0)
    with pytest.warns(CalibrationWarning, match="5 groups are too few"):
        cal.conformalise(z[300:], rate[300:], groups=[f"p{i % 5}" for i in range(100)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cal.conformalise(z[300:309], rate[300:309])
    assert (cal.lower_bound(z) <= 1).all()
    assert not hasattr(cal.fit(z, rate, 8), "offset_")
    with pytest.raises(NotFittedError, match="call conformalise"):
        cal.lower_bound(z)
    with pytest.raises(NotFittedError):
        QuantileCalibrator().lower_bound(z)


def coverage(rng, cal, draw, repetitions, calibration):
    """Share of new rows at or above their bound, one new row for each calibration set."""
    held = 0
    for _ in range(repetitions):
        z, y, groups = draw(rng, calibration)
        cal.conformalise(z, y, groups)
        z, y, _ = draw(rng, 1)
        i = rng.integers(len(z))
        held += y[i] >= cal.lower_bound(z[i : i + 1])[0]
    return held / repetitions


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
@pytest.mark.parametrize("size", [9, 40])
def test_bound_holds_on_new_rows(method, size):
    """A fit on quite different data: the bound holds all the same, and is not idle."""
    z, _, rate = rollouts(500, seed=8)
    cal = QuantileCalibrator(method=method, scale="logit").fit(z + 1.5, rate, 8)

    def draw(rng, many):
        z = rng.normal(size=many) * 2
        return z, rng.binomial(8, expit(z + rng.normal(size=many))) / 8, None

    repetitions = 1500
    held = coverage(np.random.default_rng(5), cal, draw, repetitions, size)
    noise = np.sqrt(0.09 / repetitions)
    assert held >= 0.9 - 3.5 * noise
    if method == "beta_binomial" and size == 40:
        # Ties of rates and the bound of 0 only add: otherwise at most 1 / (n + 1) too many.
        assert held < 0.99


def grouped(rng, many):
    """Problems of 1 to 60 rows that share an effect, the large ones easier."""
    sizes = np.where(rng.random(many) < 0.3, 60, rng.integers(1, 4, many))
    code = np.repeat(np.arange(many), sizes)
    effect = np.where(sizes == 60, 1.0, -1.5) + rng.normal(size=many)
    z = rng.normal(size=len(code))
    return z, rng.binomial(8, expit(z + effect[code])) / 8, code


@pytest.mark.long
def test_bound_holds_on_new_groups_of_uneven_size():
    z, rate, _ = grouped(np.random.default_rng(1), 60)
    cal = QuantileCalibrator(scale="logit").fit(z, rate, 8)
    repetitions = 1500
    noise = np.sqrt(0.09 / repetitions)
    held = coverage(np.random.default_rng(6), cal, grouped, repetitions, 25)
    assert held >= 0.9 - 3.5 * noise

    def forgotten(rng, many):
        return *grouped(rng, many)[:2], None

    # The gate can fail: taken as single rows, the large and easy problems outvote the others.
    assert coverage(np.random.default_rng(6), cal, forgotten, 400, 25) < 0.85


# -- a good citizen ------------------------------------------------------------------------------


class OnColumns(RegressorMixin, BaseEstimator):
    """A calibrator on data of any width and targets of any range, made scores and rates of 8."""

    def __init__(self, method):
        self.method = method

    def _project(self, X):
        return np.round(X @ np.cos(np.arange(1, X.shape[1] + 1)), 9)

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.inner_ = QuantileCalibrator(method=self.method, scale="logit")
        self.inner_.fit(self._project(X), np.round(8 * expit(y)) / 8, 8, sample_weight)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(self._project(validate_data(self, X, reset=False, dtype=float)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
def test_scikit_learn_checks(method):
    results = check_estimator(OnColumns(method), on_fail=None, on_skip=None)
    assert len(results) > 40
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}


@pytest.mark.parametrize("method", ["beta_binomial", "pinball"])
def test_clone_pickle_and_inputs_untouched(method):
    z, _, rate = rollouts(300)
    z_before, rate_before = z.copy(), rate.copy()
    cal = QuantileCalibrator(method=method, scale="logit").fit(z, rate, 8).conformalise(z, rate)
    again = pickle.loads(pickle.dumps(cal))
    assert_array_equal(again.lower_bound(z), cal.lower_bound(z))
    assert_array_equal(again.predict(z), cal.predict(z))
    fresh = clone(cal)
    assert not hasattr(fresh, "slope_")
    assert_array_equal(fresh.fit(z, rate, 8).predict_quantiles(z), cal.predict_quantiles(z))
    assert_array_equal(z, z_before)
    assert_array_equal(rate, rate_before)
    assert cal.predict_quantiles(z[:0]).shape == (0, 3)
    assert cal.predict(z[:0]).shape == (0,)
    assert_array_equal(
        cal.fit(z.tolist(), rate.astype(np.float32)[:, None], 8).predict(z).shape, 300
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"n_trials": None}, ValueError, "n_trials is None; .* method='pinball'"),
        ({"n_trials": 1, "y": [0, 1, 1, 0]}, ValueError, "n_trials is 1 in every row"),
        ({"n_trials": 7}, ValueError, "y is 0.5 at row 0, which is not a share of n_trials=7"),
        ({"n_trials": [8, 8]}, ValueError, r"n_trials has shape \(2,\)"),
        ({"n_trials": [8, 8, 0, 8]}, ValueError, "n_trials is 0 at row 2"),
        ({"n_trials": 2.5}, ValueError, "n_trials is 2.5"),
        ({"n_trials": "8x"}, ValueError, "n_trials can't be read"),
        ({"y": [0.5, 0.25, 4, 1]}, ValueError, "y is 4 at row 2; .* Divide counts"),
        ({"y": [0.5, 0.25, np.nan, 1]}, ValueError, "y is nan at row 2"),
        ({"y": ["a", "b", "c", "d"]}, ValueError, "y can't be read as numbers"),
        ({"y": None}, ValueError, "requires y"),
        ({"y": [0.5, 0.5]}, ValueError, "X has 4 rows and y has 2"),
        ({"X": [0.1, 0.2, 0.3, 7.0]}, ValueError, "values outside"),
        ({"X": np.full((4, 3), 1 / 3)}, ValueError, r"3 column\(s\)"),
        ({"sample_weight": [1, 1, -1, 1]}, ValueError, "negative"),
    ],
)
def test_bad_data_are_named(change, error, words):
    given = {"X": [0.1, 0.2, 0.3, 0.4], "y": [0.5, 0.25, 0.75, 1.0], "n_trials": 8}
    with pytest.raises(error, match=words):
        QuantileCalibrator().fit(**{**given, **change})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"quantiles": (0.5, 0.1)}, "ascending"),
        ({"quantiles": ()}, "expected levels"),
        ({"quantiles": 0.1}, "expected levels"),
        ({"quantiles": (0.0, 0.5)}, r"quantiles\[0\]"),
        ({"method": "betabinomial"}, "did you mean 'beta_binomial'"),
        ({"scale": "percent"}, "scale"),
        ({"precision": "free"}, "precision"),
    ],
)
def test_bad_parameters_are_named(params, words):
    with pytest.raises(ValueError, match=words):
        QuantileCalibrator(**params).fit([0.1, 0.2], [0.5, 0.25], 8)


def test_masked_rates_and_calibrators_not_fitted_are_refused():
    rate = np.ma.masked_equal([0.5, 0.25, 0.75], 0.25)
    with pytest.raises(ValueError, match="y is a masked array"):
        QuantileCalibrator().fit([0.1, 0.5, 0.9], rate, n_trials=4)
    with pytest.raises(NotFittedError):
        QuantileCalibrator().predict([0.5])
