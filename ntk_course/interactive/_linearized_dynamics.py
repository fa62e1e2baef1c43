"""The figure of section 2.2: the kernel's gradient flow beside networks of finite width."""

from collections.abc import Callable, Sequence
from math import pi
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks, empirical, networks, training
from ntk_course._checks import Numbers
from ntk_course.dynamics import GradientFlow
from ntk_course.interactive._base import Figure, compact


class Run(NamedTuple):
    """One trained network: width, and at T ascending times what the figure shows of it.

    Fields: width; times (T,); fx_grid (T, n_grid), its outputs; loss (T,), the sum of (f - y)^2 of
    eq. 21; kernel_drift (T,), |K_t - K_0| / |K_0| on the training points; weight_drift (T,),
    |theta_t - theta_0| / |theta_0|.
    """

    width: int
    times: Numbers
    fx_grid: Numbers
    loss: Numbers
    kernel_drift: Numbers
    weight_drift: Numbers


def record_run(
    key: Array,
    width: int,
    x_train: Float[Numbers, "n d"],
    y_train: Float[Numbers, " n"],
    x_grid: Float[Numbers, "g d"],
    *,
    learning_rate: float,
    num_steps: int,
    num_saves: int = 25,
    depth: int = 1,
    activation: str = "relu",
    b_std: float = 0.0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Run:
    """Train the twin network of one width by gradient descent and keep what the figure shows.

    Math: eq. 12 with d_1 = ... = d_L = m, f = 0 at the start; step t of eq. 9 is time t.

    Args:
        key: random key of the initialization.
        width: m, the same in every hidden layer.
        x_train: inputs, shape (n, d).
        y_train: targets, shape (n,).
        x_grid: where to record the outputs, shape (n_grid, d).
        learning_rate: eta, for the sum over the points.
        num_steps: number of steps, >= 2.
        num_saves: about how many times to keep, spread evenly in log t.
        depth: number of hidden layers L.
        activation: "relu" or "erf".
        b_std: scale of the biases.
        on_progress: called now and then with the share of the steps done.
    Returns:
        A `Run` whose first time is 0.
    Raises:
        ValueError: if shapes do not match, an option is unknown, or training diverged.
    """
    _checks.integer("num_steps", num_steps, least=2)
    _checks.integer("num_saves", num_saves, least=2)
    layers = [_checks.integer("width", width)] * _checks.integer("depth", depth)
    x = _checks.floats("x_train", x_train, ndim=2)
    x_grid = _checks.floats("x_grid", x_grid, ndim=2)
    y = _checks.floats("y_train", y_train, ndim=1)
    network = networks.twin(networks.fully_connected(x.shape[1], layers, activation, b_std=b_std))
    apply_fn, params = jax.jit(network.apply_fn), network.init_fn(key)
    times = np.unique(np.r_[0, np.geomspace(1, num_steps, num_saves).round().astype(int)])

    def measure(now):
        return (
            apply_fn(now, x_grid),
            2 * training.square_loss(apply_fn(now, x), y),
            empirical.ntk(apply_fn, now, x),
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(now)]),
        )

    kept = [measure(params)]
    for steps in np.diff(times):
        params = training.gradient_descent(
            apply_fn, params, x, y, learning_rate=learning_rate, num_steps=int(steps)
        ).at(-1)
        kept.append(measure(params))
        on_progress(float(times[len(kept) - 1] / num_steps))
    fx_grid, loss, kernels, weights = map(np.stack, zip(*kept, strict=True))
    kernels = kernels.reshape(len(times), -1)
    drift = [np.linalg.norm(a - a[0], axis=1) / np.linalg.norm(a[0]) for a in (kernels, weights)]
    return Run(width, times.astype(float), fx_grid, loss, *drift)


def linearized_dynamics(
    x_train: Float[Numbers, " n"],
    y_train: Float[Numbers, " n"],
    x_grid: Float[Numbers, " g"],
    flow: GradientFlow,
    k_grid_train: Float[Numbers, "g n"],
    runs: Sequence[Run] = (),
    *,
    caption: str = "",
    label: str = "Linearized dynamics",
    x_title: str = "input *x*",
    angles: bool = False,
    times: tuple[float, float] | None = None,
) -> Figure:
    """A figure in which time moves the kernel's predictions, stored networks and their drift.

    Math: f_t(x) = K(x, X_T) K^(-1) (I - exp(-eta K t)) Y_T, computed in the page for any t.

    Args:
        x_train: where to draw the training points: one number each, shape (n,).
        y_train: targets, shape (n,); those of `flow`.
        x_grid: where to draw the outputs, ascending, shape (n_grid,).
        flow: from `dynamics.gradient_flow`, with outputs 0 at the start.
        k_grid_train: kernel between grid (rows) and training points, shape (n_grid, n).
        runs: networks to compare with, from `record_run`; the last one is shown first.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
        x_title: name of the horizontal axis; a letter between stars is set as a symbol.
        angles: mark the horizontal axis in units of pi.
        times: first and last time; None takes those of the runs, or of the eigenvalues.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, numbers are not finite, times do not ascend, or the
            flow does not start at 0.
    References:
        Lecture notes, section 2.2, eqs 12-15, 18, 21.
    """
    values, vectors, y, start = (
        np.asarray(a, np.float64)
        for a in (flow.eigenvalues, flow.eigenvectors, flow.y_train, flow.fx_train_0)
    )
    n = len(values)
    x = _checks.floats("x_train", x_train, ndim=1)
    grid = _checks.floats("x_grid", x_grid, ndim=1)
    k = _checks.floats("k_grid_train", k_grid_train, ndim=2)
    _checks.shape("x_train", x, (n,), "One number for each training point of `flow`.")
    _checks.shape("k_grid_train", k, (len(grid), n), "Rows are grid points.")
    _checks.shape("flow.y_train", flow.y_train, (n,), "The figure draws one output.")
    targets = np.asarray(_checks.floats("y_train", y_train, ndim=1), np.float64)
    same = targets.shape == y.shape and bool(np.allclose(targets, y, rtol=1e-5, atol=1e-6))
    _checks.require(same, "y_train", "equal flow.y_train", "other targets", "Pass those of `flow`.")
    fix = "Use `networks.twin`, or subtract the outputs at the start."
    _checks.require(not bool(start.any()), "flow.fx_train_0", "be 0", "other outputs", fix)
    for i, run in enumerate(runs):
        _check_run(f"runs[{i}]", run, len(grid))

    coefficients = vectors.T @ y
    moving = values > 0  # `dynamics.eigenmodes` has set what is below rounding to 0
    scale = np.where(moving, coefficients / np.where(moving, values, 1.0), 0.0)
    rates = flow.learning_rate * values
    if times is None and runs:
        positive = [np.asarray(run.times)[np.asarray(run.times) > 0] for run in runs]
        times = min(t[0] for t in positive), max(t[-1] for t in positive)
    elif times is None:
        times = 0.05 / rates[0], 5.0 / rates[moving][-1]
    first, last = ascending_times(times)
    spec = {
        "caption": caption,
        "labels": {
            "outputs": f"{label}: training data, the kernel's outputs and a network's, at time t",
            "drift": f"{label}: drift of kernel and weights against time, for each width",
            "loss": f"{label}: training loss of the kernel and of the networks against time",
        },
        "x_title": x_title,
        "x_ticks": pi_ticks(float(grid.min()), float(grid.max())) if angles else None,
        "times": [first, last],
        "start": (first * last) ** 0.5,
        "x_train": x,
        "y_train": y,
        "x_grid": grid,
        "rates": rates,
        "coefficients": coefficients,
        "grid_modes": (np.asarray(k, np.float64) @ vectors * scale).T,
        "train_modes": (vectors * coefficients).T,
        "runs": [{**run._asdict(), "width": int(run.width)} for run in runs],
        "run": max(len(runs) - 1, 0),
    }
    return Figure("linearized-dynamics", "linearized dynamics", compact(spec))


def ascending_times(times: tuple[float, float]) -> tuple[float, float]:
    """Check a pair of first and last time: finite, 0 < first < last."""
    first, last = (_checks.scalar("times", t, positive=True) for t in times)
    _checks.require(first < last, "times", "ascend", (first, last), "Put the earlier one first.")
    return first, last


def pi_ticks(lo: float, hi: float) -> list[list[float | str]]:
    """Axis marks at the multiples of pi/2 between two angles."""
    names = {0: "0", 1: "π/2", 2: "π", 3: "3π/2", 4: "2π"}
    halves = [h for h in range(-4, 5) if lo - 1e-3 <= h * pi / 2 <= hi + 1e-3]
    return [[h * pi / 2, ("−" if h < 0 else "") + names[abs(h)]] for h in halves]


def _check_run(name: str, run: Run, n_grid: int) -> None:
    times = _checks.floats(f"{name}.times", run.times, ndim=1)
    ascending = len(times) > 1 and bool((np.diff(times) > 0).all()) and float(times[0]) >= 0
    _checks.require(ascending, f"{name}.times", "ascend from >= 0", times, "Sort them.")
    _checks.integer(f"{name}.width", run.width)
    fx = _checks.floats(f"{name}.fx_grid", run.fx_grid, ndim=2)
    _checks.shape(f"{name}.fx_grid", fx, (len(times), n_grid), "Rows are times.")
    for field in ("loss", "kernel_drift", "weight_drift"):
        values = _checks.floats(f"{name}.{field}", getattr(run, field), ndim=1)
        _checks.shape(f"{name}.{field}", values, (len(times),), "One number for each time.")
