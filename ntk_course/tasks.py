"""The notes' synthetic problems, with their closed-form answers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks, _closed_forms, kernels
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
    return _circle_ntk(angles1, angles2, float(bool(bias)))


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
    k = np.atleast_1d(_checks.doubles("frequencies", frequencies, ndim=range(6)))
    whole = k.ndim == 1 and (k == np.floor(k)).all() and (k >= 0).all()
    _checks.require(bool(whole), "frequencies", "be integers >= 0", frequencies, "Use 0, 1, 2, ...")
    return _closed_forms.circle_eigenvalues(k, bool(bias), bool(train_readout))


def signed_basis(key: Array, n: int, d: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """The warm-up task: x = y e_i with a random coordinate i and a random sign y.

    Args:
        key: of the draw.
        n: number of points.
        d: dimension.
    Returns:
        Inputs, shape (n, d), and labels +-1, shape (n,).
    Raises:
        ValueError: if n or d is no positive integer.
    References:
        Li et al. (2021), section 3. Lecture notes, section 1.2.
    """
    n, d = _checks.integer("n", n), _checks.integer("d", d)
    key_index, key_sign = jax.random.split(_checks.key(key))
    y = jax.random.rademacher(key_sign, (n,), jnp.result_type(float))
    return jax.nn.one_hot(jax.random.randint(key_index, (n,), 0, d), d) * y[:, None], y


def signed_basis_error(n: int, d: int) -> float:
    """Expected error of the best orthogonally equivariant learner on `signed_basis`.

    Math: (1/2) (1 - 1/d)^n: the new coordinate was never seen, and then the sign is guessed.

    Args:
        n: number of training points, >= 0.
        d: dimension.
    Returns:
        The expected error, in [0, 1/2].
    Raises:
        ValueError: if n or d is out of range.
    Example:
        >>> round(signed_basis_error(100, 200), 4)
        0.3029

    References:
        Lecture notes, section 1.2.
    """
    n, d = _checks.integer("n", n, least=0), _checks.integer("d", d)
    return 0.5 * (1 - 1 / d) ** n


def energy_comparison(
    key: Array, n: int, d: int
) -> tuple[Float[Array, "n d 2"], Float[Array, " n"]]:
    """The task of eq. 4: which of two Gaussian channels carries more energy?

    Math: x ~ N(0, I_2d), y = sign(sum of the first d squares - sum of the last d squares).

    Args:
        key: of the draw.
        n: number of points.
        d: numbers in each channel.
    Returns:
        Inputs as d positions of 2 channels, shape (n, d, 2), and labels +-1, shape (n,).
    Raises:
        ValueError: if n or d is no positive integer.
    References:
        Li et al. (2021), section 5. Lecture notes, section 1.2, eq. 4.
    """
    n, d = _checks.integer("n", n), _checks.integer("d", d)
    x = jax.random.normal(_checks.key(key), (n, d, 2))
    return x, jnp.sign(jnp.sum(x**2 * np.array([[[1, -1]]]), (1, 2)))


def hypercube(k: int) -> Float[np.ndarray, "m k"]:
    """All 2^k sign vectors, in the order of binary counting (-1 is the digit 0).

    Args:
        k: length, 1 to 20.
    Returns:
        Signs, shape (2^k, k).
    Raises:
        ValueError: if k is out of range.
    Example:
        >>> hypercube(2).tolist()
        [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    k = _checks.integer("k", k, most=20, fix="2^20 rows are enough. Take a shorter pattern.")
    return 2.0 * (np.arange(2**k)[:, None] >> np.arange(k)[::-1] & 1) - 1


def hidden_pattern(
    key: Array, n: int, d: int, k: int, *, start: int, values: Float[Numbers, " m"] | None = None
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """A k-junta on consecutive bits: random signs x, and y = g(x_start, ..., x_(start+k-1)).

    Args:
        key: of the draw.
        n: number of points.
        d: length of the sequences.
        k: length of the pattern.
        start: where it begins, 0 <= start <= d - k.
        values: g on the rows of `hypercube(k)`, shape (2^k,); None is the parity, their product.
    Returns:
        Inputs, shape (n, d), and y, shape (n,).
    Raises:
        ValueError: if a number is out of range or `values` has another length.
    References:
        Malach and Shalev-Shwartz (2020). Lecture notes, section 1.2, eq. 6.
    """
    n, d, corners = _checks.integer("n", n), _checks.integer("d", d), hypercube(k)
    fix = "Leave room for the pattern: begin earlier or shorten it."
    start = _checks.integer("start", start, least=0, most=d - k, fix=fix)
    g = jnp.asarray(corners.prod(1)) if values is None else _checks.floats("values", values, ndim=1)
    _checks.shape("values", g, (2**k,), "One value for each row of `hypercube(k)`.")
    x = jax.random.rademacher(_checks.key(key), (n, d), jnp.result_type(float))
    digits = x[:, start : start + k] > 0
    return x, g[digits @ 2 ** jnp.arange(k)[::-1]]


def coupon_mean(n: int) -> float:
    """How many draws with replacement it takes on average to see all of n coupons.

    Math: n H_n = n (1 + 1/2 + ... + 1/n).

    Args:
        n: number of coupons.
    Returns:
        The mean.
    Raises:
        ValueError: if n is no positive integer.
    Example:
        >>> round(coupon_mean(16), 1)
        54.1

    References:
        Lecture notes, section 1.2 (to leading order, n log n).
    """
    return float(_checks.integer("n", n) * np.sum(1 / np.arange(1, n + 1)))


def coupon_coverage(n: int, draws: int) -> Float[np.ndarray, " m"]:
    """The probability of having seen all of n coupons after 0, 1, ..., `draws` draws.

    Math: the chain "c seen" -> c + 1 with probability 1 - c/n; union bound 1 - n exp(-q/n).

    Args:
        n: number of coupons.
        draws: last number of draws q.
    Returns:
        Probabilities, shape (draws + 1,).
    Raises:
        ValueError: if a number is no positive integer.
    References:
        Lecture notes, section 1.2: the number of filters below eq. 5.
    """
    n, draws = _checks.integer("n", n), _checks.integer("draws", draws)
    seen, result = np.eye(1, n + 1)[0], [0.0]
    stay = np.arange(n + 1) / n
    for _ in range(draws):
        seen = seen * stay + np.roll(seen * (1 - stay), 1)
        result.append(seen[-1])
    return np.array(result)


def gaussian_model(
    key: Array, n: int, theta: Float[Numbers, " d"], sigma: float
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """The Gaussian model of section 3.1: y is a fair sign, x ~ N(y theta, sigma^2 I).

    Args:
        key: of the draw.
        n: number of points.
        theta: theta*, the mean of class 1, shape (d,).
        sigma: standard deviation > 0 of each coordinate.
    Returns:
        Inputs, shape (n, d), and labels +-1, shape (n,).
    Raises:
        ValueError: if a number is out of range or `theta` is no finite vector.
    References:
        Schmidt et al. (2018), definition 1. Lecture notes, section 3.1.
    """
    n, sigma = _checks.integer("n", n), _checks.scalar("sigma", sigma, positive=True)
    theta = _checks.floats("theta", theta, ndim=1)
    key_sign, key_noise = jax.random.split(_checks.key(key))
    y = jax.random.rademacher(key_sign, (n,), theta.dtype)
    noise = sigma * jax.random.normal(key_noise, (n, len(theta)), theta.dtype)
    return _checks.finite("sigma", y[:, None] * theta[None, :] + noise, "keep x finite"), y


def gaussian_error(
    w: Float[Numbers, "*m d"], theta: Float[Numbers, " d"], sigma: float, *, epsilon: float = 0.0
) -> Float[np.ndarray, "*m"]:
    """The error of sign(w . x) in the Gaussian model under the best l_inf attack.

    Math: Phi((epsilon |w|_1 - w . theta) / (sigma |w|_2)); the attack is -epsilon y sign(w).

    Args:
        w: classifiers, one a row, not 0, shape (..., d).
        theta: mean of class 1, shape (d,).
        sigma: standard deviation > 0.
        epsilon: radius >= 0.
    Returns:
        Errors, float64, shape (...).
    Raises:
        ValueError: if shapes do not match, a number is out of range or a row of `w` is 0.
    References:
        Schmidt et al. (2018), appendix. Lecture notes, section 3.1.
    """
    theta, w = _checks.doubles("theta", theta, ndim=1), _checks.doubles("w", w, ndim=range(1, 4))
    _checks.shape("w", w, (*w.shape[:-1], len(theta)), "One weight for each coordinate.")
    sigma = _checks.scalar("sigma", sigma, positive=True)
    epsilon = _checks.scalar("epsilon", epsilon)
    return _closed_forms.error(w, theta, sigma, epsilon)


def averaged_error(n: int | float, d: int, sigma: float, *, epsilon: float = 0.0) -> float:
    """The expected error of the averaged classifier, theta* = (1, ..., 1), exact at any d.

    Math: w = 1 + (sigma / sqrt n) g. The margin, a sum of d i.i.d. w_i (1 + sigma z_i) - epsilon
    |w_i|, has a known phi^d, and P(margin < 0) = 1/2 - (1/pi) int_0^inf Im phi(t)^d dt / t.

    Args:
        n: number of training points > 0; a fraction will do, only sigma^2 / n enters.
        d: dimension.
        sigma: standard deviation, 1e-6 to 1e6.
        epsilon: l_inf radius, 0 or 1e-6 to 1e6.
    Returns:
        The error, accurate to about 1e-9 (absolute) from d = 10 on.
    Raises:
        ValueError: if a number is out of range.
    References:
        Gil-Pelaez (1951). Lecture notes, section 3.1, below eq. 32.
    """
    d, sigma = _checks.integer("d", d), _checks.scalar("sigma", sigma, positive=True)
    n, epsilon = _checks.scalar("n", n, positive=True), _checks.scalar("epsilon", epsilon)
    ok = 1e-6 <= min(sigma, epsilon or sigma) <= max(sigma, epsilon) <= 1e6
    rule, got = "lie in 1e-6 .. 1e6, as must `epsilon`", f"{sigma:g} and epsilon={epsilon:g}"
    _checks.require(ok, "sigma", rule, got, "In units of theta*.")
    return _closed_forms.averaged_error(sigma**2 / n, d, sigma, epsilon)


def tradeoff_model(
    key: Array, n: int, d: int, *, eta: float, p: float = 0.9
) -> tuple[Float[Array, "n d_plus_1"], Float[Array, " n"]]:
    """The model of section 3.2: a feature x_0 = +-y, right with probability p, and d weak ones.

    Args:
        key: of the draw.
        n: number of points.
        d: number of weak features, N(y eta, 1).
        eta: their mean >= 0; 10 / sqrt(d) in the notes.
        p: between 1/2 and 1.
    Returns:
        Inputs (x_0, ..., x_d), shape (n, d + 1), and labels +-1, shape (n,).
    Raises:
        ValueError: if a number is out of range.
    References:
        Tsipras et al. (2019), section 2.1. Lecture notes, section 3.2.
    """
    n, d, eta, p = _checks.integer("n", n), *_closed_forms.check_tradeoff(d, eta, p)
    key_sign, key_strong, key_weak = jax.random.split(_checks.key(key), 3)
    y = jax.random.rademacher(key_sign, (n,), jnp.result_type(float))
    x_0 = jnp.where(jax.random.bernoulli(key_strong, p, (n,)), y, -y)
    weak = eta * y[:, None] + jax.random.normal(key_weak, (n, d))
    return jnp.concatenate([x_0[:, None], weak], 1), y


def tradeoff_accuracy(
    a: float | Numbers, b: float | Numbers, d: int, *,
    eta: float, p: float = 0.9, epsilon: float = 0.0,
) -> Float[np.ndarray, "*m"]:  # fmt: skip
    """The accuracy of sign(a x_0 + b (x_1 + ... + x_d)) under the best l_inf attack.

    Math: p Phi((a+r)/s) + (1-p) Phi((r-a)/s), s = |b| sqrt d, r = b d eta - epsilon (|a| + |b| d).

    Args:
        a: weight of the strong feature, a number or an array.
        b: weight of each weak one, a number or of the shape of `a`; not both 0.
        d: number of weak features.
        eta: their mean >= 0.
        p: between 1/2 and 1.
        epsilon: radius >= 0.
    Returns:
        Accuracies, float64, exact in the tails, too; a margin of exactly 0 counts as an error.
    Raises:
        ValueError: if shapes do not match, a number is out of range or both weights are 0.
    References:
        Tsipras et al. (2019), section 2.1. Lecture notes, section 3.2.
    """
    d, eta, p = _closed_forms.check_tradeoff(d, eta, p)
    a, b = _checks.doubles("a", a, ndim=range(4)), _checks.doubles("b", b, ndim=range(4))
    _checks.shape("b", b, a.shape if a.ndim and b.ndim else b.shape, "Or one of them a number.")
    _checks.require(bool(((a != 0) | (b != 0)).all()), "b", "not be 0 where `a` is", b, "Drop it.")
    epsilon = _checks.scalar("epsilon", epsilon)
    return _closed_forms.tradeoff_accuracy(a, b, d, eta, p, epsilon)
