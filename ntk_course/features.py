"""Features, useful and robustly useful (eqs 33-34), and those of the NTK (eqs 35-36)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks, attacks, dynamics
from ntk_course._checks import Numbers


def normalize(
    feature_fn: Callable, x: Float[Numbers, "n *shape"], *, centre: bool = True
) -> Callable:
    """The feature, shifted and scaled to mean 0 and mean square 1 on the points x.

    Math: (f - E f) / sqrt(E (f - E f)^2), with E the mean over x.

    Args:
        feature_fn: x -> (n,); a `jax.tree_util.Partial` compiles once for all its arguments.
        x: points that stand for the distribution, shape (n, ...).
        centre: False scales only.
    Returns:
        The normalized feature, x -> (n,).
    Raises:
        ValueError: if the feature is constant on x, or does not return one number a point.
    References:
        Ilyas et al. (2019), section 2. Lecture notes, section 3.3, above eq. 33.
    """
    fx = _values(feature_fn, _checks.floats("x", x, ndim=range(2, 6)))
    around = fx - fx[0]  # exactly 0 for a constant
    shift = fx[0] + around.mean() if centre else jnp.zeros((), fx.dtype)
    scale = jnp.sqrt(jnp.mean((around - around.mean()) ** 2 if centre else fx**2))
    varies = isinstance(scale, jax.core.Tracer) or bool(0 < scale < jnp.inf)
    _checks.require(varies, "feature_fn", "vary over x, and stay finite", shift, "Leave it out.")
    feature_fn = _checks.partial_of("feature_fn", feature_fn)
    return jax.tree_util.Partial(_normalized, feature_fn, shift, scale)


def usefulness(
    feature_fn: Callable, x: Float[Numbers, "n *shape"], y: Float[Numbers, " n"]
) -> float:
    """How strongly a (normalized) feature goes with the label.

    Math: rho = E[y f(x)], eq. 33.

    Args:
        feature_fn: x -> (n,), normalized.
        x: points, shape (n, ...).
        y: labels +-1, shape (n,).
    Returns:
        rho, between -1 and 1 for a feature normalized on x.
    Raises:
        ValueError: if shapes do not match or a label is not +-1.
    Example:
        >>> x = jnp.array([[2.0], [-2.0], [2.0]])
        >>> usefulness(normalize(lambda x: x[:, 0], x, centre=False), x, jnp.array([1.0, -1, 1]))
        1.0

    References:
        Ilyas et al. (2019), section 2. Lecture notes, section 3.3, eq. 33.
    """
    x, y = _problem(x, y)
    return float(jnp.mean(y * _values(feature_fn, x)))


def worst_points(
    key: Array,
    feature_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, " n"],
    *,
    epsilon: float,
    num_steps: int = 20,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Float[Array, "n *shape"]:
    """The points in the ball around x at which y f is least, as far as PGD finds them.

    Math: argmin over |delta| <= epsilon of y f(x + delta); steps of 2.5 epsilon / num_steps.

    Args:
        key: of the random start.
        feature_fn: x -> (n,); see `normalize`.
        x: points within the bounds, shape (n, ...).
        y: labels +-1, shape (n,).
        epsilon: radius >= 0.
        num_steps: of PGD; x itself and FGSM's point are looked at, too.
        norm: "linf" or "l2".
        bounds: smallest and largest value of an entry, or None.
    Returns:
        Points, shape (n, ...).
    Raises:
        ValueError: if shapes do not match or an option is out of range.
    References:
        Lecture notes, section 3.3, the infimum of eq. 34.
    """
    x, y = _problem(x, y)
    _checks.returned("feature_fn", feature_fn, x, like=y.shape)
    feature_fn = _checks.partial_of("feature_fn", feature_fn)
    predict_fn = jax.tree_util.Partial(_two_outputs, feature_fn)
    labels = jnp.stack([y < 0, y > 0], 1).astype(x.dtype)  # their margin loss is -y f
    steps = _checks.integer("num_steps", num_steps)
    step_size = 2.5 * _checks.scalar("epsilon", epsilon) / steps
    options = {"epsilon": epsilon, "step_size": step_size, "num_steps": steps, "norm": norm}
    return attacks.pgd(key, predict_fn, x, labels, bounds=bounds, loss="margin", **options)


def robust_usefulness(
    key: Array,
    feature_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, " n"],
    *,
    epsilon: float,
    **options,
) -> float:
    """The usefulness that is left under attack; the feature is robustly useful if it is positive.

    Math: gamma = E[inf over |delta| <= epsilon of y f(x + delta)], eq. 34.

    Args:
        key: of the attack.
        feature_fn: x -> (n,), normalized.
        x: points within the bounds, shape (n, ...).
        y: labels +-1, shape (n,).
        epsilon: radius >= 0.
        options: of `worst_points`.
    Returns:
        gamma, an upper bound as PGD may miss the infimum.
    Raises:
        ValueError: if shapes do not match or an option is out of range.
    References:
        Ilyas et al. (2019), section 2. Lecture notes, section 3.3, eq. 34.
    """
    moved = worst_points(key, feature_fn, x, y, epsilon=epsilon, **options)
    return usefulness(feature_fn, moved, y)


class NtkFeatures(NamedTuple):
    """The parts f^(i) of a kernel predictor, the largest eigenvalue first.

    Fields: eigenvalues (n,); alphas (n, n), with f^(i)(x) = K(x, X_T) alphas[:, i]; and usefulness
    (n,), rho_i on the training points, where f^(i) has the root mean square rho_i, too.
    """

    eigenvalues: Array
    alphas: Array
    usefulness: Array


def ntk_features(
    k_train_train: Float[Numbers, "n n"], y_train: Float[Numbers, " n"]
) -> NtkFeatures:
    """Split the predictor f = K(x, X_T) K^(-1) Y_T along the eigenvectors of the Gram matrix.

    Math: f^(i)(x) = K(x, X_T) lambda_i^(-1) v_i v_i^T Y_T, sum_i f^(i) = f. On the training points
    f^(i) = v_i (v_i . Y_T), hence rho_i = |v_i . Y_T| / sqrt(n); sum_i rho_i^2 = 1 if K has an
    inverse.

    Args:
        k_train_train: Gram matrix of the training inputs, shape (n, n).
        y_train: labels +-1, shape (n,).
    Returns:
        An `NtkFeatures`; eigenvalues below rounding are 0 and have no feature (alphas and rho 0).
    Raises:
        ValueError: if shapes do not match, a label is not +-1, or the matrix is no Gram matrix.
    Example:
        >>> ntk_features(jnp.diag(jnp.array([2.0, 1.0])), jnp.ones(2)).alphas.tolist()
        [[0.5, 0.0], [0.0, 1.0]]

    References:
        Tsilivis and Kempe (2022). Lecture notes, section 3.3, eqs 35-36.
    """
    eigenvalues, v = dynamics.eigenmodes(k_train_train)
    y = _labels("y_train", y_train, len(v))
    known = eigenvalues > 0
    share = jnp.where(known, v.T @ y, 0.0)
    inverse = jnp.where(known, 1.0 / jnp.where(known, eigenvalues, 1.0), 0.0)
    return NtkFeatures(eigenvalues, v * (inverse * share)[None, :], jnp.abs(share) / len(y) ** 0.5)


def _normalized(feature_fn: Callable, shift: Array, scale: Array, x: Numbers) -> Array:
    return (feature_fn(_checks.floats("x", x, ndim=range(2, 6))) - shift) / scale


def _two_outputs(feature_fn: Callable, x: Numbers) -> Array:
    fx = feature_fn(x)
    return jnp.stack([-fx, fx], 1) / 2


def _values(feature_fn: Callable, x: Array) -> Array:
    _checks.returned("feature_fn", feature_fn, x, like=(len(x),))
    return _checks.finite("feature_fn", feature_fn(x), "give finite values")


def _labels(name: str, y: Numbers, n: int) -> Array:
    y = _checks.targets(name, y, n)
    signs = y.ndim == 1 and (isinstance(y, jax.core.Tracer) or bool(np.all(np.abs(y) == 1)))
    _checks.require(signs, name, "be a vector of +-1", y, "Two classes, one sign for each.")
    return y


def _problem(x: Numbers, y: Numbers) -> tuple[Array, Array]:
    x = _checks.floats("x", x, ndim=range(2, 6))
    return x, _labels("y", y, len(x)).astype(x.dtype)
