"""Closed forms of the notes' problems; `tasks` checks and explains."""

import numpy as np
from scipy.special import erf, ndtr, wofz

from ntk_course import _checks
from ntk_course._checks import Numbers


def circle_eigenvalues(k: np.ndarray, bias: bool, train_readout: bool) -> np.ndarray:
    """`tasks.circle_eigenvalues`."""
    result = (_order_0(k - 1) + _order_0(k + 1)) / 2 + bias * _order_0(k)
    return result + _order_1(k) if train_readout else result


def _order_0(k: np.ndarray) -> np.ndarray:
    """Fourier coefficients of kappa_0(cos theta)."""
    odd = k % 2 == 1
    return np.where(k == 0, 0.5, np.where(odd, 2 / (np.pi * np.where(odd, k, 1)) ** 2, 0.0))


def _order_1(k: np.ndarray) -> np.ndarray:
    """Fourier coefficients of kappa_1(cos theta)."""
    even = k % 2 == 0
    found = np.where(even, 4 / (np.pi * np.where(even, k**2 - 1, 1)) ** 2, 0.0)
    return np.where(k == 1, 0.25, found)


def error(w: np.ndarray, theta: np.ndarray, sigma: float, epsilon: float) -> np.ndarray:
    """`tasks.gaussian_error`."""
    _checks.require(bool(w.any(-1).all()), "w", "have no row of zeros", w, "Leave it out.")
    gap = epsilon * np.abs(w).sum(-1) - w @ theta
    return np.asarray(ndtr(gap / (sigma * np.linalg.norm(w, axis=-1))))


def averaged_error(v: float, d: int, sigma: float, epsilon: float) -> float:
    """`tasks.averaged_error` for v = sigma^2 / n, by the characteristic function of a term."""
    # Mean and standard deviation of a term, the scale on which phi^d lives.
    tail, inside = np.sqrt(2 * v / np.pi) * np.exp(-1 / (2 * v)), erf(1 / np.sqrt(2 * v))
    mean = 1 - epsilon * (tail + inside)
    second = (1 + epsilon**2) * (1 + v) - 2 * epsilon * ((1 + v) * inside + tail)
    std = np.sqrt(second - mean**2 + sigma**2 * (1 + v))
    if np.sqrt(d) * abs(mean) > 40 * std:  # nothing in doubt, and a sum of ever more terms
        return float(mean < 0)
    # The midpoint rule errs by P(|sum| > pi / step), which this step makes negligible.
    step = np.pi / (d * abs(mean) + 16 * np.sqrt(d) * std)
    k = np.arange(np.ceil(40 / (step * np.sqrt(d) * std))) + 0.5
    t, p = k * step, 1 + v * (sigma * k * step) ** 2
    # E exp(i t term): a Gaussian integral over w > 0 with slope 1 - epsilon, one over w < 0 with
    # 1 + epsilon; wofz(i z) = exp(z^2) erfc(z) stays finite where its factors do not.
    up, down = ((1 + 1j * v * t * (1 + c * epsilon)) / np.sqrt(2 * v * p) for c in (-1, 1))
    drift = 1j * t * (1 - epsilon) - (v * (t * (1 - epsilon)) ** 2 + (sigma * t) ** 2) / 2
    phi = 2 * np.exp(drift / p) + np.exp(-1 / (2 * v)) * (wofz(1j * down) - wofz(1j * up))
    integral = np.sum(((phi / np.sqrt(4 * p)) ** d).imag / k) / np.pi
    return float(np.clip(0.5 - integral, 0, 1))


def tradeoff_accuracy(
    a: Numbers, b: Numbers, d: int, eta: float, p: float, epsilon: float
) -> np.ndarray:
    """`tasks.tradeoff_accuracy`; ndtr keeps the relative accuracy of its tails."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    r = b * d * eta - epsilon * (np.abs(a) + np.abs(b) * d)
    with np.errstate(divide="ignore", invalid="ignore"):  # b = 0 gives +-inf, a tie nan
        z = np.stack([c * a + r for c in (1, -1)]) / (np.abs(b) * np.sqrt(d))
    sure, doubt = ndtr(np.where(np.isnan(z), -np.inf, z))
    return np.asarray(p * sure + (1 - p) * doubt)


def check_tradeoff(d: int, eta: float, p: float) -> tuple[int, float, float]:
    """Check the parameters of the model of section 3.2."""
    p = _checks.scalar("p", p)
    _checks.require(0.5 <= p < 1, "p", "lie in [1/2, 1)", p, "The notes take 0.9.")
    return _checks.integer("d", d), _checks.scalar("eta", eta), p
