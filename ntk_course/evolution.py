"""How the kernel of a network moves while the network is trained: distance, velocity, alignment."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks
from ntk_course._checks import Numbers


def center(k: Float[Numbers, "n n"]) -> Float[Array, "n n"]:
    """The kernel of the features without their mean.

    Math: K_c = H K H, H = I - 1 1^T / n; rows and columns sum to zero.

    Args:
        k: Gram matrix, shape (n, n).
    Returns:
        The centred matrix, shape (n, n).
    Raises:
        ValueError: if the matrix is not square.
    References:
        Cortes et al. (2012), section 2. Lecture notes, section 4.
    """
    return _centred(_checks.square("k", k))


@jax.jit
def _centred(k: Array) -> Array:
    k = k - k[:1, :1]  # a constant matrix becomes 0 to the last bit
    return k - k.mean(0, keepdims=True) - k.mean(1, keepdims=True) + k.mean()


def distance(k1: Float[Numbers, "n n"], k2: Float[Numbers, "n n"]) -> Float[Array, ""]:
    """One minus the cosine of two matrices: 0 if they differ in scale only.

    Math: S(K, K') = 1 - Tr(K K'^T) / (|K| |K'|), Frobenius norms; 1 - cos = |u - u'|^2 / 2 for the
    unit matrices u, u', which is exact for small distances, too.

    Args:
        k1: shape (n, n); centre it first, or the mean hides the change.
        k2: shape (n, n).
    Returns:
        A number in [0, 2], in [0, 1] for Gram matrices.
    Raises:
        ValueError: if the shapes differ or a matrix is zero.
    Example:
        >>> round(float(distance(jnp.eye(2), jnp.array([[3.0, 0.0], [0.0, 0.0]]))), 4)
        0.2929

    References:
        Fort et al. (2020), section 3. Lecture notes, section 4.
    """
    k1, k2 = _checks.square("k1", k1), _checks.square("k2", k2)
    _checks.shape("k2", k2, k1.shape, "Compare kernels on the same points.")
    u1, u2 = (_unit(name, k) for name, k in (("k1", k1), ("k2", k2)))
    return jnp.sum((u1 - u2) ** 2) / 2


def _unit(name: str, k: Array) -> Array:
    """The matrix over its Frobenius norm."""
    norm = _checks.finite(name, jnp.linalg.norm(k), "have a finite norm")
    zero = not isinstance(norm, jax.core.Tracer) and not norm > 0
    _checks.require(not zero, name, "not be 0, or constant", "a matrix of 0", "Let it vary.")
    return k / norm


def velocity(
    kernels: Float[Numbers, "s n n"], times: Sequence[int | float] | Numbers
) -> Float[np.ndarray, " s-1"]:
    """How fast a kernel turns: its distance from one saved time to the next, per unit of time.

    Math: v_i = S(K(t_i), K(t_(i+1))) / (t_(i+1) - t_i).

    Args:
        kernels: Gram matrices at the saved times, shape (S, n, n).
        times: ascending, for example epochs, shape (S,).
    Returns:
        Velocities, shape (S - 1,).
    Raises:
        ValueError: if times do not ascend or shapes do not match.
    References:
        Fort et al. (2020), section 3. Lecture notes, section 4.
    """
    kernels = _checks.floats("kernels", kernels, ndim=3)
    times = _checks.doubles("times", times, ndim=range(6))
    ascending = times.shape == kernels.shape[:1] and len(times) > 1 and (np.diff(times) > 0).all()
    rule = f"be {len(kernels)} ascending numbers, at least 2"
    _checks.require(bool(ascending), "times", rule, times.tolist(), "One time a kernel.")
    moved = [distance(a, b) for a, b in pairwise(kernels)]
    return np.array(moved, float) / np.diff(times)


def alignment(k: Float[Numbers, "n n"], y: Float[Numbers, "n *out"]) -> Float[Array, ""]:
    """Centred kernel alignment: the cosine of a kernel and the kernel of the labels.

    Math: y^T K_c y / (|K_c| |y|^2), y centred; for several outputs Tr(Y^T K_c Y) / (|K_c| |Y Y^T|).

    Args:
        k: Gram matrix, shape (n, n); it is centred here.
        y: labels, shape (n,) or (n, n_out); they are centred here.
    Returns:
        A number in [-1, 1], >= 0 for Gram matrices.
    Raises:
        ValueError: if shapes do not match, or kernel or labels are constant.
    References:
        Cortes et al. (2012), definition 4; Baratin et al. (2021). Lecture notes, section 4.
    """
    k = center(k)
    y = _without_mean(_checks.targets("y", y, len(k)))
    return jnp.vdot(_unit("k", k), _unit("y", y @ y.T))


def concentration(k: Float[Numbers, "n n"], top: int = 1) -> Float[Array, ""]:
    """The share of a kernel's trace that its largest eigenvalues hold.

    Math: sum_(i <= top) lambda_i / tr K.

    Args:
        k: Gram matrix, shape (n, n).
        top: number of eigenvalues, between 1 and n.
    Returns:
        A number in (0, 1].
    Raises:
        ValueError: if the matrix is not symmetric or `top` is out of range.
    References:
        Baratin et al. (2021), section 3. Lecture notes, section 4.
    """
    values = jnp.linalg.eigvalsh(_checks.symmetric("k", k))
    share = values[-_checks.integer("top", top, most=len(values)) :].sum() / values.sum()
    return _checks.finite("k", share, "have a trace that is not zero")


def label_share(
    k: Float[Numbers, "n n"], y: Float[Numbers, "n *out"], top: int
) -> Float[Array, ""]:
    """The share of the labels that lies in a kernel's leading eigenvectors.

    Math: sum_(i <= top) |v_i^T y|^2 / |y|^2, for K_c and centred y.

    Args:
        k: Gram matrix, shape (n, n); it is centred here.
        y: labels, shape (n,) or (n, n_out); they are centred here.
        top: number of eigenvectors, between 1 and n.
    Returns:
        A number in [0, 1]; top / n on average for random eigenvectors.
    Raises:
        ValueError: if shapes do not match or `top` is out of range.
    References:
        Ortiz-Jimenez et al. (2021), section 4. Lecture notes, section 4.
    """
    k = center(_checks.symmetric("k", k))
    y = _without_mean(_checks.targets("y", y, len(k)))
    return _leading(k, _unit("y", y), _checks.integer("top", top, most=len(k)))


@jax.jit
def _leading(k: Array, y: Array, top: int | Array) -> Array:
    parts = jnp.sum((jnp.linalg.eigh(k)[1].T @ y) ** 2, 1)  # by ascending eigenvalues
    return jnp.sum(parts, where=jnp.arange(len(k)) >= len(k) - top)


@jax.jit
def _without_mean(y: Array) -> Array:
    """Centred labels, (n, n_out); constant ones become 0 to the last bit."""
    y = (y - y[:1]).reshape(len(y), -1)
    return y - y.mean(0, keepdims=True)
