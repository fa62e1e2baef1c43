"""The figure of section 2.3.1: a target on the circle, learned one eigenmode at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import PALETTE, Figure, compact
from ntk_course.interactive._linearized_dynamics import ascending_times


class Variant(NamedTuple):
    """Points on the circle and a kernel on them: name, angles (N,), and its eigenmodes.

    Fields: eigenvalues (N,), largest first, and eigenvectors (N, N), in columns, as
    `dynamics.eigenmodes` returns them.
    """

    name: str
    angles: Numbers
    eigenvalues: Numbers
    eigenvectors: Numbers


def spectral_bias(
    variants: Sequence[Variant],
    frequencies: Sequence[int] = (1, 2, 3, 8),
    amplitudes: Sequence[float] = (1.0, 0.7, 0.5, 0.5),
    *,
    learning_rate: float = 1.0,
    times: tuple[float, float] | None = None,
    caption: str = "",
    label: str = "Spectral bias",
) -> Figure:
    """A figure in which the reader mixes a target and watches each mode decay at its own rate.

    Math: y(theta) = sum_k a_k cos(k theta); V_i . (y - f_t) = exp(-eta lambda_i t) V_i . y.

    Args:
        variants: densities and kernels to choose from, with at most 256 points each.
        frequencies: k of the target's waves, one to six different integers >= 0.
        amplitudes: a_k at the start, in [0, 2], one for each frequency.
        learning_rate: eta > 0.
        times: first and last time; None fits them to the modes of the target.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, numbers are not finite, or eigenvalues do not descend.
    References:
        Basri et al. (2020). Lecture notes, section 2.3.1, eqs 20-21.
    """
    most = len(PALETTE) - 2
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    ks = [_checks.integer("frequencies", k, least=0) for k in frequencies]
    a = [_checks.scalar("amplitudes", value) for value in amplitudes]
    fix = "Choose different ones."
    distinct = 1 <= len(ks) == len(set(ks)) <= most
    _checks.require(distinct, "frequencies", f"be 1 to {most} different integers", ks, fix)
    fits = len(a) == len(ks) and max(a) <= 2
    rule = "be one number in [0, 2] for each frequency"
    _checks.require(fits, "amplitudes", rule, a, "They are where the sliders start.")
    _checks.require(len(variants) > 0, "variants", "not be empty", "none", "Pass one `Variant`.")
    prepared = [_prepare(f"variants[{i}]", v, rate) for i, v in enumerate(variants)]
    if times is None:
        times = _fit_times(prepared, ks)
    first, last = ascending_times(times)
    spec = {
        "caption": caption,
        "labels": {
            "outputs": f"{label}: target and learned function on the circle at time t",
            "modes": f"{label}: error left in each eigenmode, placed by its half-life",
            "loss": f"{label}: training loss against time",
        },
        "times": [first, last],
        "start": (first * last) ** 0.5,
        "frequencies": ks,
        "amplitudes": a,
        "amplitude_max": 2 if max(a) > 1 else 1,
        "variants": prepared,
    }
    return Figure("spectral-bias", "spectral bias", compact(spec))


def _prepare(name: str, variant: Variant, learning_rate: float) -> dict:
    """Check a variant and turn its eigenvalues into rates, 0 where they are rounding."""
    angles = _checks.floats(f"{name}.angles", variant.angles, ndim=1)
    n = len(angles)
    values = _checks.floats(f"{name}.eigenvalues", variant.eigenvalues, ndim=1)
    vectors = _checks.floats(f"{name}.eigenvectors", variant.eigenvectors, ndim=2)
    _checks.require(n <= 256, f"{name}.angles", "hold at most 256 points", n, "Take fewer points.")
    _checks.shape(f"{name}.eigenvalues", values, (n,), "One for each point.")
    _checks.shape(f"{name}.eigenvectors", vectors, (n, n), "One column for each eigenvalue.")
    eps = np.finfo(values.dtype).eps
    values = np.asarray(values, np.float64)
    falling = bool(values[0] > 0 and (np.diff(values) <= 0).all())
    _checks.require(falling, f"{name}.eigenvalues", "descend from > 0", values, "Sort the modes.")
    rates = learning_rate * np.where(values > values[0] * n * eps, values, 0.0)
    return {"name": str(variant.name), "angles": angles, "rates": rates, "vectors": vectors}


def _fit_times(prepared: list[dict], frequencies: list[int]) -> tuple[float, float]:
    """From before the fastest mode moves until the slowest mode of the target is learned."""
    slowest = fastest = None
    for variant in prepared:
        angles, rates = np.asarray(variant["angles"], np.float64), variant["rates"]
        waves = np.cos(np.outer(frequencies, angles))
        energy = (waves @ np.asarray(variant["vectors"], np.float64)) ** 2
        used = (energy > 0.1 * energy.sum(1, keepdims=True)).any(0) & (rates > 0)
        used = rates[used] if used.any() else rates[:1]
        slowest = min(used[-1], slowest or used[-1])
        fastest = max(rates[0], fastest or rates[0])
    low, high = np.log10(0.1 / fastest), np.log10(3.0 / slowest)
    return float(10.0 ** np.floor(low)), float(10.0 ** np.ceil(high))
