"""Kernel ridge regression, the predictor that a wide network converges to (eq. 19)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_course import _checks
from ntk_course._checks import Numbers


def fit(
    k_train_train: Float[Numbers, "n n"],
    y_train: Float[Numbers, "n *out"],
    *,
    ridge: float = 0.0,
    diag_reg: float = 0.0,
) -> Float[Numbers, "n *out"]:
    """Dual coefficients of kernel ridge regression.

    Math: alpha = (K + lambda I)^(-1) y, with lambda = ridge + diag_reg tr(K) / n.

    Args:
        k_train_train: Gram matrix of the training inputs, shape (n, n).
        y_train: targets, shape (n,) or (n, n_out).
        ridge: lambda >= 0, absolute, in units of the kernel.
        diag_reg: lambda >= 0 relative to the mean of the diagonal (neural-tangents' default).
    Returns:
        alpha, of the shape of `y_train`. Under `jax.jit` a singular matrix gives NaN.
    Raises:
        ValueError: if both regularizers are given, or K + lambda I is not positive definite.
    Example:
        >>> fit(2.0 * jnp.eye(2), jnp.array([1.0, 3.0]), ridge=2.0).tolist()
        [0.25, 0.75]

    References:
        Lecture notes, section 2.3, eq. 19 (ridge = 0).
    """
    step = 1 + getattr(k_train_train, "size", 0) // 2**17  # a large one is looked at in places
    k = _checks.symmetric("k_train_train", k_train_train, step=step)
    y = _checks.targets("y_train", y_train, k.shape[0])
    ridge, diag_reg = _checks.scalar("ridge", ridge), _checks.scalar("diag_reg", diag_reg)
    both = not isinstance(ridge + diag_reg, jax.core.Tracer) and ridge and diag_reg
    fix = "They differ by the mean of the diagonal of the kernel."
    _checks.require(not both, "ridge", "not be given together with `diag_reg`", ridge, fix)
    alpha, shift, solved = _solve(k, y, ridge, diag_reg)
    if not isinstance(solved, jax.core.Tracer) and not solved:
        smallest = float(jnp.linalg.eigvalsh(k)[0])
        _checks.fail(
            "k_train_train", "be positive definite after adding the ridge",
            f"a matrix with smallest eigenvalue {smallest:g} and lambda={float(shift):g}",
            "Raise `ridge`, remove duplicate inputs, or compute the kernel in float64.",
        )  # fmt: skip
    return alpha


@jax.jit
def _solve(k: Array, y: Array, ridge: float | Array, diag_reg: float | Array) -> tuple:
    """The coefficients, lambda, and whether all is finite."""
    shift = ridge + diag_reg * jnp.trace(k) / len(k)
    factor = jax.scipy.linalg.cho_factor(k + shift * jnp.eye(len(k), dtype=k.dtype), lower=True)
    alpha = jax.scipy.linalg.cho_solve(factor, y.astype(k.dtype))
    return alpha, shift, jnp.isfinite(alpha).all()


def predict(
    k_test_train: Float[Numbers, "n_test n"], alpha: Float[Numbers, "n *out"]
) -> Float[Numbers, "n_test *out"]:
    """Predictions of kernel ridge regression.

    Math: f(x) = K(x, X_T) alpha.

    Args:
        k_test_train: kernel between test (rows) and training points, shape (n_test, n).
        alpha: dual coefficients from `fit`, shape (n,) or (n, n_out).
    Returns:
        Predictions, shape (n_test,) or (n_test, n_out).
    Raises:
        ValueError: if the shapes do not match.
    References:
        Lecture notes, section 2.3, eq. 19.
    """
    k = _checks.floats("k_test_train", k_test_train, ndim=2)
    alpha = _checks.targets("alpha", alpha, k.shape[1])
    return k @ alpha
