"""The notes' synthetic problems, with their closed-form answers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks, kernels
from ntk_course._checks import Numbers


def circle_angles(n: int, *, density_ratio: float = 1.0) -> Float[Numbers, " n"]:
    """n angles on the circle, evenly spaced or denser on the upper half.

    Math: the i-th angle is the (i + 1/2)/n quantile of a density p that is `density_ratio` times as
    large on (0, pi) as on (pi, 2 pi); relative to uniform, mean p = 1.

    Args:
        n: number of points.
        density_ratio: p on the upper half over p on the lower, > 0; 1 is uniform.
    Returns:
        Angles in (0, 2 pi), ascending, shape (n,).
    Raises:
        ValueError: if n < 1 or the ratio is not positive.
    Example:
        >>> circle_angles(4, density_ratio=3.0).round(2).tolist()
        [0.52, 1.57, 2.62, 4.71]

    References:
        Basri et al. (2020), section 5. Lecture notes, section 2.3.1.
    """
    n = _checks.integer("n", n)
    ratio = _checks.scalar("density_ratio", density_ratio, positive=True)
    upper = ratio / (1 + ratio)
    quantile = (np.arange(n) + 0.5) / n
    below = quantile / upper
    above = 1 + (quantile - upper) / (1 - upper)
    return jnp.asarray(np.pi * np.where(quantile <= upper, below, above))


def circle_ntk(
    angles1: Float[Numbers, " n1"],
    angles2: Float[Numbers, " n2"] | None = None,
    *,
    bias: bool = False,
) -> Float[Numbers, "n1 n2"]:
    """The NTK of one wide hidden ReLU layer on the unit circle.

    Math: K = kappa_1(u) + u kappa_0(u) + [bias] kappa_0(u), with u = cos(angle difference); eq. 17
    on inputs of norm sqrt(d_0). The biases of the hidden layer, if any, start at 0 and are trained;
    one of the output neuron would add the constant 1.

    Args:
        angles1: shape (n1,).
        angles2: shape (n2,); None stands for `angles1`.
        bias: whether the hidden layer has biases.
    Returns:
        The kernel, shape (n1, n2).
    Raises:
        ValueError: if the angles are not vectors of finite numbers.
    References:
        Basri et al. (2020), section 3. Lecture notes, section 2.2, eq. 17.
    """
    angles1 = _checks.floats("angles1", angles1, ndim=1)
    angles2 = angles1 if angles2 is None else _checks.floats("angles2", angles2, ndim=1)
    return _circle_ntk(angles1, angles2, float(bias))


@jax.jit
def _circle_ntk(angles1: Array, angles2: Array, bias: float | Array) -> Array:
    u = jnp.cos(angles1[:, None] - angles2[None, :])
    return kernels.kappa_1(u) + (u + bias) * kernels.kappa_0(u)


def circle_eigenvalues(
    frequencies: Sequence[int] | Numbers, *, bias: bool = False, train_readout: bool = True
) -> Float[np.ndarray, " m"]:
    """The eigenvalues of `circle_ntk` under the uniform density, one a frequency.

    Math: a_k = (1/2 pi) int K(theta) exp(i k theta) dtheta. Of kappa_0: 1/2 at k = 0, 2/(pi k)^2 at
    odd k, else 0. Of kappa_1: 4/pi^2 at 0, 1/4 at 1, 4/(pi (k^2 - 1))^2 at even k, else 0. A factor
    u = cos(theta) averages the neighbours k - 1 and k + 1. A Gram matrix of n even points has the
    eigenvalues n a_k, each twice for k >= 1 (cosine and sine).

    Args:
        frequencies: integers k >= 0, shape (m,).
        bias: whether the hidden layer has biases. Without them odd k >= 3 cannot be learned.
        train_readout: False leaves the term kappa_1 out: only the hidden layer is trained.
    Returns:
        a_k, float64, shape (m,).
    Raises:
        ValueError: if a frequency is no integer >= 0.
    Example:
        >>> circle_eigenvalues([1, 2, 3]).round(4).tolist()
        [0.5, 0.1576, 0.0]

    References:
        Basri et al. (2019), section 3; Basri et al. (2020). Lecture notes, section 2.3.1.
    """
    k = np.atleast_1d(np.asarray(frequencies))
    whole = k.ndim == 1 and k.size > 0 and (k == np.floor(k)).all() and (k >= 0).all()
    _checks.require(bool(whole), "frequencies", "be integers >= 0", frequencies, "Use 0, 1, 2, ...")
    k = k.astype(float)
    result = (_order_0(k - 1) + _order_0(k + 1)) / 2 + bias * _order_0(k)
    return result + _order_1(k) if train_readout else result


def _order_0(k: np.ndarray) -> np.ndarray:
    """Fourier coefficients of kappa_0(cos theta)."""
    odd = k % 2 == 1
    return np.where(k == 0, 0.5, np.where(odd, 2 / (np.pi * np.where(odd, k, 1)) ** 2, 0.0))


def _order_1(k: np.ndarray) -> np.ndarray:
    """Fourier coefficients of kappa_1(cos theta)."""
    even = k % 2 == 0
    return np.where(
        k == 1, 0.25, np.where(even, 4 / (np.pi * np.where(even, k**2 - 1, 1)) ** 2, 0.0)
    )
