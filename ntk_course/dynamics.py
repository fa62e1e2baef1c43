"""Gradient flow in function space, solved with one eigendecomposition (eqs 11, 14, 15, 20, 21)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks
from ntk_course._checks import Numbers


def square_loss_gradient(fx: Array, y: Array) -> Array:
    """The derivative of (f - y)^2 / 2 in f, the error f - y.

    Args:
        fx: outputs, shape (n, *out).
        y: targets of the same shape.
    Returns:
        The error, of the same shape.
    Raises:
        ValueError: if shapes do not match.
    """
    fx, y = _checks.outputs(fx, y, ndim=range(6))
    return fx - y


def velocity(
    k_x_train: Float[Numbers, "m n"],
    fx_train: Float[Numbers, "n *out"],
    y_train: Float[Numbers, "n *out"],
    *,
    learning_rate: float = 1.0,
    loss_gradient: Callable[[Array, Array], Array] = square_loss_gradient,
) -> Float[Numbers, "m *out"]:
    """The time derivative of the outputs under gradient flow.

    Math: df(x)/dt = -eta K(x, X_T) dl/df (f(X_T), Y_T).

    Args:
        k_x_train: kernel between any points (rows) and the training points, shape (m, n).
        fx_train: the outputs on the training points now, shape (n,) or (n, n_out).
        y_train: targets, shape of `fx_train`.
        learning_rate: eta > 0.
        loss_gradient: (fx, y) -> the derivative of the loss by the outputs, same shape.
    Returns:
        df/dt at the m points, shape (m,) or (m, n_out).
    Raises:
        ValueError: if the shapes do not match.
    References:
        Lecture notes, section 2.1, eqs 10-11; with a frozen kernel, eq. 14.
    """
    k = _checks.floats("k_x_train", k_x_train, ndim=2)
    fx = _checks.targets("fx_train", fx_train, k.shape[1])
    y = _checks.targets("y_train", y_train, k.shape[1])
    _checks.shape("y_train", y, fx.shape, "One target for every output.")
    _checks.returned("loss_gradient", loss_gradient, fx, y, like=fx.shape)
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    return _checks.finite("loss_gradient", -rate * k @ loss_gradient(fx, y), "keep df/dt finite")


def eigenmodes(
    k_train_train: Float[Numbers, "n n"],
) -> tuple[Float[Numbers, " n"], Float[Numbers, "n n"]]:
    """Eigenvalues, largest first, and eigenvectors (columns) of a Gram matrix.

    Math: K(X_T, X_T) = sum_i lambda_i V_i V_i^T.

    Args:
        k_train_train: symmetric matrix, shape (n, n).
    Returns:
        lambda, shape (n,), with what is below rounding, n eps lambda_max, set to 0; and V, shape
        (n, n), with V_i in column i.
    Raises:
        ValueError: if the matrix is not square, symmetric and finite, or has an eigenvalue that
            is negative beyond rounding.
    Example:
        >>> eigenmodes(jnp.diag(jnp.array([1.0, 3.0])))[0].tolist()
        [3.0, 1.0]

    References:
        Lecture notes, section 2.3.1, eq. 20.
    """
    k = _checks.symmetric("k_train_train", k_train_train)
    eigenvalues, eigenvectors = _eigh(k)
    if not isinstance(eigenvalues, jax.core.Tracer):
        smallest, largest = float(eigenvalues[-1]), float(eigenvalues[0])
        _checks.require(
            smallest >= -1e3 * float(np.finfo(k.dtype).eps) * largest,
            "k_train_train", "be positive semi-definite",
            f"a matrix with smallest eigenvalue {smallest:g}",
            "A kernel's Gram matrix cannot have one; check how it was made.",
        )  # fmt: skip
    return _without_rounding(eigenvalues), eigenvectors


@jax.jit
def _eigh(k: Array) -> tuple[Array, Array]:
    eigenvalues, eigenvectors = jnp.linalg.eigh((k + k.T) / 2)
    return eigenvalues[::-1], eigenvectors[:, ::-1]


@jax.jit
def _without_rounding(eigenvalues: Array) -> Array:
    rounding = eigenvalues.shape[0] * jnp.finfo(eigenvalues.dtype).eps * eigenvalues[0]
    return jnp.where(eigenvalues > rounding, eigenvalues, 0.0)


class GradientFlow(NamedTuple):
    """Training by gradient flow with a fixed kernel, solved for all times.

    Fields: eigenvalues (n,), eigenvectors (n, n), learning_rate, y_train (n, *out) and
    fx_train_0 (n, *out), the outputs at time 0.
    """

    eigenvalues: Array
    eigenvectors: Array
    learning_rate: float
    y_train: Array
    fx_train_0: Array

    @property
    def coefficients(self) -> Array:
        """V_i . (Y_T - f_0), the initial error in each eigenmode, shape (n, *out)."""
        return self.eigenvectors.T @ (self.y_train - self.fx_train_0)

    def decay(self, t: float | Numbers) -> Array:
        """exp(-eta lambda_i t), the part of each mode's error left at t; shape (*t, n)."""
        return _decay(self, _times(t))

    def train(self, t: float | Numbers) -> Array:
        """Outputs on the training points at time t (inf allowed), shape (*t, n, *out).

        Math: f_t(X_T) = f_0 + (I - exp(-eta K t)) (Y_T - f_0), eq. 15.
        """
        return _outputs(self, _times(t), self.fx_train_0)

    def test(
        self, t: float | Numbers, k_test_train: Numbers, fx_test_0: Numbers | None = None
    ) -> Array:
        """Outputs on other points at time t (inf allowed), shape (*t, n_test, *out).

        Math: f_t(x) = f_0(x) + K(x, X_T) K^(-1) (I - exp(-eta K t)) (Y_T - f_0), from eq. 14.
        Modes with eigenvalue 0 do not move the outputs.

        Args:
            t: times, a number or shape (T,), >= 0.
            k_test_train: kernel between test (rows) and training points, shape (n_test, n).
            fx_test_0: outputs on the test points at time 0; None stands for 0.
        """
        k = _checks.floats("k_test_train", k_test_train, ndim=2)
        n = self.eigenvalues.shape[0]
        _checks.shape("k_test_train", k, (None, n), "Rows are test, columns training points.")
        start = jnp.zeros((k.shape[0], *self.y_train.shape[1:]), k.dtype)
        if fx_test_0 is not None:
            start = _checks.targets("fx_test_0", fx_test_0, k.shape[0])
            expected = (k.shape[0], *self.y_train.shape[1:])
            _checks.shape("fx_test_0", start, expected, "One row a test point.")
        return _outputs(self, _times(t), start, k)

    def loss(self, t: float | Numbers) -> Array:
        """Sum over the training points of (f_t - y)^2, shape (*t,), eq. 21."""
        return _loss(self, _times(t))


def _exponent(flow: GradientFlow, t: Array) -> Array:
    """eta lambda_i t, 0 where lambda_i = 0 even at t = inf."""
    rate = flow.learning_rate * flow.eigenvalues
    exponent = jnp.multiply.outer(t, jnp.where(rate > 0, rate, 1.0))
    return jnp.where(jnp.broadcast_to(rate > 0, exponent.shape), exponent, 0.0)


@jax.jit
def _decay(flow: GradientFlow, t: Array) -> Array:
    return jnp.exp(-_exponent(flow, t))


@jax.jit
def _outputs(flow: GradientFlow, t: Array, start: Array, k_test_train=None) -> Array:
    """start + what each mode has learned, on the training points or on others, for each time."""
    modes, moving = flow.eigenvectors, flow.eigenvalues > 0
    if k_test_train is not None:
        scale = jnp.where(moving, 1.0 / jnp.where(moving, flow.eigenvalues, 1.0), 0.0)
        modes = k_test_train @ modes * scale[None, :]
    subscripts = "mi,...i,i->...m" if flow.y_train.ndim == 1 else "mi,...i,io->...mo"
    learned = -jnp.expm1(-_exponent(flow, t))
    moved = jnp.einsum(subscripts, modes, learned, flow.coefficients)
    return jnp.broadcast_to(start, moved.shape) + moved


@jax.jit
def _loss(flow: GradientFlow, t: Array) -> Array:
    squares = flow.coefficients**2
    squares = squares if squares.ndim == 1 else squares.sum(1)
    return _decay(flow, t) ** 2 @ squares


def gradient_flow(
    k_train_train: Float[Numbers, "n n"],
    y_train: Float[Numbers, "n *out"],
    *,
    learning_rate: float = 1.0,
    fx_train_0: Float[Numbers, "n *out"] | None = None,
) -> GradientFlow:
    """Solve linearized training under the square loss for all times.

    Args:
        k_train_train: Gram matrix of the training inputs, shape (n, n).
        y_train: targets, shape (n,) or (n, n_out).
        learning_rate: eta > 0 of eq. 9; time t counts steps of gradient descent.
        fx_train_0: the network's outputs at initialization; None stands for 0, as in the notes.
    Returns:
        A `GradientFlow`, with methods `train`, `test`, `loss` and `decay` of time.
    Raises:
        ValueError: if shapes do not match or the matrix is not symmetric and PSD.
    Example:
        >>> flow = gradient_flow(jnp.eye(2), jnp.array([1.0, -1.0]))
        >>> round(float(flow.loss(1.0)), 4)  # 2 exp(-2)
        0.2707

    References:
        Lee et al. (2019), eqs 9-11. Lecture notes, eqs 14, 15, 20, 21.
    """
    eigenvalues, eigenvectors = eigenmodes(k_train_train)
    y = _checks.targets("y_train", y_train, eigenvalues.shape[0])
    start = jnp.zeros_like(y)
    if fx_train_0 is not None:
        start = _checks.targets("fx_train_0", fx_train_0, eigenvalues.shape[0])
        _checks.shape("fx_train_0", start, y.shape, "One output for every target.")
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    return GradientFlow(eigenvalues, eigenvectors, rate, y, start)


def _times(t: float | Array) -> Array:
    """Check times: a number or a vector, all >= 0, inf allowed."""
    t = _checks.floats("t", t, ndim=range(6), inf=True).astype(jnp.result_type(float))
    _checks.require(t.ndim <= 1, "t", "be a number or a vector", f"shape {t.shape}", "Flatten it.")
    if not isinstance(t, jax.core.Tracer):
        _checks.require(bool((t >= 0).all()), "t", "be >= 0", t, "Training starts at t = 0.")
    return t
