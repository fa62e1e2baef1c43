"""The Gaussian models of sections 3.1 and 3.2: closed forms against sampling and integration."""

import jax
import numpy as np
import pytest
from oracles import float32_only
from scipy import integrate, stats

from ntk_course import attacks, tasks

SETTINGS = [  # d, n, sigma, epsilon
    (10, 1, 1.0, 0.3), (10, 4, 2.0, 0.0), (50, 2, 3.0, 0.5), (100, 1, 3.0, 0.0),
    (100, 3, 0.5, 0.9), (200, 10, 4.0, 1.1), (400, 5, 5.0, 0.4), (1000, 20, 5.0, 0.6),
    (1000, 2, 0.5, 1.005), (3000, 8, 7.0, 0.3),
]  # fmt: skip


@pytest.mark.parametrize(("d", "n", "sigma", "epsilon"), SETTINGS)
def test_averaged_error__by_monte_carlo(d, n, sigma, epsilon, rng):
    theta, draws = np.ones(d), 3_000_000 // d
    w = theta + sigma / np.sqrt(n) * rng.standard_normal((draws, d))
    errors = tasks.gaussian_error(w, theta, sigma, epsilon=epsilon)
    exact = tasks.averaged_error(n, d, sigma, epsilon=epsilon)
    assert abs(errors.mean() - exact) < 4 * errors.std(ddof=1) / np.sqrt(draws) + 1e-9


def test_averaged_error__by_numerical_integration_in_one_dimension():
    for n, sigma, epsilon in ((1, 1.0, 0.3), (3, 0.6, 0.0), (2, 2.0, 1.5)):
        s = sigma / np.sqrt(n)

        def integrand(w, s=s, sigma=sigma, epsilon=epsilon):
            return stats.norm.cdf((epsilon - np.sign(w)) / sigma) * stats.norm.pdf(w, 1, s)

        exact = sum(integrate.quad(integrand, *ends)[0] for ends in ((-20, 0), (0, 20)))
        # d = 1 has heavy tails, the hardest case of the inversion.
        assert tasks.averaged_error(n, 1, sigma, epsilon=epsilon) == pytest.approx(exact, abs=5e-3)


def test_averaged_error__limits():
    d, sigma = 400, 5.0
    best = tasks.gaussian_error(np.ones(d), np.ones(d), sigma, epsilon=0.8)
    assert tasks.averaged_error(1e9, d, sigma, epsilon=0.8) == pytest.approx(float(best), rel=1e-4)
    c = 0.7  # one example in high dimension
    d = 10**8
    one = tasks.averaged_error(1, d, c * d**0.25)
    assert one == pytest.approx(stats.norm.cdf(-1 / c**2), rel=2e-3)
    assert tasks.averaged_error(1, 50, 0.01, epsilon=5.0) == 1.0
    assert tasks.averaged_error(1, 50, 0.01) < 1e-12
    # Nothing is in doubt here, and the integral would need 10^8 numbers.
    sure = [tasks.averaged_error(1, 100, 1e-6, epsilon=radius) for radius in (0.5, 2.0)]
    assert sure == [0.0, 1.0]
    curve = [tasks.averaged_error(n, 1000, 4.0, epsilon=0.5) for n in (1, 2, 4, 8, 16, 1e3)]
    assert (np.diff(curve) < 0).all()


def test_gaussian_model__has_its_moments(key):
    theta = np.array([2.0, -1.0, 0.0])
    x, y = map(np.asarray, tasks.gaussian_model(key, 40_000, theta, 0.5))
    assert set(y.tolist()) == {-1.0, 1.0}
    assert abs(y.mean()) < 4 / 200
    np.testing.assert_allclose((y[:, None] * x).mean(0), theta, atol=4 * 0.5 / 200)
    np.testing.assert_allclose(np.cov((y[:, None] * x).T), 0.25 * np.eye(3), atol=0.01)


def test_gaussian_error__keeps_the_digits_of_float64():
    with float32_only():
        error = tasks.gaussian_error(np.array([0.1]), np.array([0.3]), 1e-9, epsilon=0.3)
    assert float(error) == 0.5  # exactly on the boundary


def test_gaussian_error__is_what_an_attack_finds(key):
    theta, w, sigma, epsilon = np.ones(20), np.linspace(-0.4, 1.0, 20), 2.0, 0.3
    x, y = tasks.gaussian_model(key, 40_000, theta, sigma)

    def predict_fn(x):
        fx = x @ w
        return jax.numpy.stack([-fx, fx], 1)

    labels = np.stack([y < 0, y > 0], 1).astype(float)
    moved = attacks.fgsm(predict_fn, x, labels, epsilon=epsilon, bounds=None)
    for points, radius in ((x, 0.0), (moved, epsilon)):
        error = float(np.mean(np.sign(points @ w) != y))
        exact = float(tasks.gaussian_error(w, theta, sigma, epsilon=radius))
        assert abs(error - exact) < 4 * np.sqrt(exact * (1 - exact) / len(x))


def test_tradeoff_model__features_are_as_reliable_as_they_say(key):
    x, y = map(np.asarray, tasks.tradeoff_model(key, 40_000, 5, eta=0.3, p=0.8))
    assert x.shape == (40_000, 6)
    assert abs((x[:, 0] == y).mean() - 0.8) < 4 * 0.4 / 200
    assert (np.abs(x[:, 0]) == 1).all()
    np.testing.assert_allclose((y[:, None] * x[:, 1:]).mean(0), 0.3, atol=4 / 200)
    np.testing.assert_allclose(np.cov(x[:, 1:].T * y), np.eye(5), atol=0.04)


@pytest.mark.parametrize(
    ("a", "b"), [(1.0, 0.05), (1.0, 0.0), (0.0, 1.0), (-0.5, 0.1), (1.0, -0.1)]
)
@pytest.mark.parametrize("epsilon", [0.0, 0.2])
def test_tradeoff_accuracy__by_sampling(a, b, epsilon, key):
    d, eta, p = 30, 0.15, 0.85
    x, y = map(np.asarray, tasks.tradeoff_model(key, 40_000, d, eta=eta, p=p))
    w = np.r_[a, np.full(d, b)]
    accuracy = (y * (x @ w) - epsilon * np.abs(w).sum() > 0).mean()
    exact = float(tasks.tradeoff_accuracy(a, b, d, eta=eta, p=p, epsilon=epsilon))
    assert abs(accuracy - exact) < 4 * np.sqrt(exact * (1 - exact) / len(x)) + 1e-12


def test_tradeoff_accuracy__tails_by_an_asymptotic_series():
    d, eta = 1000, 10 / np.sqrt(1000)
    # Phi(-z) = phi(z)/z (1 - 1/z^2 + 3/z^4 - 15/z^6 + ...), at z = 10 good to 1e-6.
    series = stats.norm.pdf(10) / 10 * (1 - 1e-2 + 3e-4 - 15e-6)
    attacked = tasks.tradeoff_accuracy(0.0, 1.0, d, eta=eta, epsilon=2 * eta)
    assert attacked == pytest.approx(series, rel=1e-4)
    assert attacked == pytest.approx(7.6199e-24, rel=1e-3)
    assert tasks.tradeoff_accuracy(1.0, 0.0, d, eta=eta, epsilon=0.5) == 0.9
    assert tasks.tradeoff_accuracy(1.0, 0.0, d, eta=eta, epsilon=1.0) == 0.0  # ties are lost


def test_tradeoff_accuracy__never_above_the_bound():
    d, eta, p = 500, 0.1, 0.9
    b = np.logspace(-4, 1, 200)
    for a in (-1.0, 0.0, 1.0):
        clean, robust = (
            tasks.tradeoff_accuracy(a, b, d, eta=eta, p=p, epsilon=e) for e in (0.0, 2 * eta)
        )
        assert (robust <= p / (1 - p) * (1 - clean) + 1e-12).all()
