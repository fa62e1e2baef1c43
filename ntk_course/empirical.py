"""The NTK of a finite network at given parameters, and the network's linearization."""

from collections.abc import Callable
from functools import partial
from math import sqrt

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ntk_course import _checks, networks
from ntk_course._checks import Numbers

Params = networks.Params


def ntk(
    apply_fn: Callable,
    params: Params,
    x1: Float[Numbers, "n1 *shape"],
    x2: Float[Numbers, "n2 *shape"] | None = None,
) -> Float[Numbers, "n1 n2"]:
    """The empirical NTK of any network, by its Jacobians.

    Math: K(x, x') = sum_p df(x)/dtheta_p df(x')/dtheta_p; with several outputs, the mean over them.

    Takes n1 and n2 times the number of parameters in memory; block large sets with
    `kernels.gram(functools.partial(ntk, apply_fn, params), x)`. For the course's own fully
    connected networks `layerwise_ntk` gives the same numbers far faster.

    Args:
        apply_fn: (params, x) -> outputs of shape (n,) or (n, n_out).
        params: parameters, any pytree of arrays.
        x1: inputs, shape (n1, ...).
        x2: inputs, shape (n2, ...); None stands for `x1`.
    Returns:
        The kernel, shape (n1, n2).
    Raises:
        ValueError: if the inputs do not match or the outputs have more than two axes.
    Example:
        >>> ntk(lambda w, x: x @ w, jnp.ones(2), jnp.array([[1.0, 2.0]])).tolist()
        [[5.0]]

    References:
        Jacot et al. (2018). Lecture notes, section 2, eq. 7.
    """
    x1 = _checks.floats("x1", x1, ndim=range(1, 6))
    x1, x2 = _checks.pair(x1, x2, ndim=x1.ndim)
    out = _checks.returned("apply_fn", apply_fn, params, x1, compiled=True).shape
    rows = len(out) in (1, 2) and out[0] == len(x1)
    rule = "return outputs of shape (n,) or (n, n_out)"
    _checks.require(rows, "apply_fn", rule, f"shape {out} for n={len(x1)}", "Flatten the outputs.")
    _checks.tree("params", params)
    k = _jacobian_ntk(apply_fn, params, x1, None if x2 is x1 else x2)
    return _checks.finite("params", k, "keep K finite")


@partial(jax.jit, static_argnums=0)
def _jacobian_ntk(apply_fn: Callable, params: Params, x1: Array, x2: Array | None) -> Array:
    def jacobian(x):
        return jax.vmap(lambda one: jax.jacrev(lambda p: apply_fn(p, one[None])[0])(params))(x)

    def contract(a: Array, b: Array, leaf: Array) -> Array:
        a, b = (j.reshape(j.shape[0], -1, leaf.size) for j in (a, b))
        return jnp.einsum("ikp,jkp->ij", a, b) / a.shape[1]

    first = jacobian(x1)
    second = first if x2 is None else jacobian(x2)
    return sum(jax.tree.leaves(jax.tree.map(contract, first, second, params)))


def layerwise_ntk(
    params: list,
    x1: Float[Numbers, "n1 d"],
    x2: Float[Numbers, "n2 d"] | None = None,
    *,
    activation: str = "relu",
    w_std: float | None = None,
    b_std: float = 0.0,
) -> Float[Numbers, "n1 n2"]:
    """The empirical NTK of the course's scalar fully connected network, layer by layer.

    Math: K = sum_l (w_l^2 <a_(l-1), a'_(l-1)> / d_(l-1) + b^2) <delta_l, delta'_l>, where a are the
    activations and delta_l = df/dz_l. No Jacobian is formed; the cost is (n1 + n2) forward and
    backward passes and two matrix products a layer.

    Args:
        params: of `networks.fully_connected` with n_out=None.
        x1: inputs, shape (n1, d).
        x2: inputs, shape (n2, d); None stands for `x1`.
        activation: as the network was built with; likewise `w_std` and `b_std`.
        w_std: see `activation`.
        b_std: see `activation`.
    Returns:
        The kernel, shape (n1, n2).
    Raises:
        ValueError: if shapes do not match, or params belong to a network with several outputs.
    References:
        Lecture notes, section 2.2; eq. 16 is the case of one hidden layer.
    """
    x1, x2 = _checks.pair(x1, x2)
    b_std = _checks.scalar("b_std", b_std)
    layer = {"w": (None, None)} | ({"b": (None,)} if b_std else {})
    depth = max(len(jax.tree.leaves(params)) // len(layer), 2)
    _checks.tree("params", params, [layer] * depth)
    stds = networks.layer_stds(activation, depth - 1, w_std)
    fix = "Pass the params of a scalar network on inputs of this width."
    _checks.shape("params[0]['w']", params[0]["w"], (None, x1.shape[1]), fix)
    _checks.shape("params[-1]['w']", params[-1]["w"], (1, None), fix)
    k = _contract_layers(activation, stds, b_std, params, x1, None if x2 is x1 else x2)
    return _checks.finite("params", k, "keep K finite")


@partial(jax.jit, static_argnums=(0, 1, 2))
def _contract_layers(
    activation: str, stds: tuple, b_std: float, params: list, x1: Array, x2: Array | None
) -> Array:
    first = list(_signals(activation, stds, b_std, params, x1))
    second = first if x2 is None else _signals(activation, stds, b_std, params, x2)
    kernel = 0.0
    for (a1, delta1), (a2, delta2) in zip(first, second, strict=True):
        kernel = kernel + (a1 @ a2.T + b_std**2) * (delta1 @ delta2.T)
    return kernel


def _signals(activation: str, stds: tuple, b_std: float, params: list, x: Array):
    """For each layer, last first: its scaled input w a / sqrt(d), and delta = df/dz."""
    sigma, a, tape = networks.ACTIVATIONS[activation], x, []
    for layer, std in zip(params, stds, strict=True):
        z = networks.dense(layer, a, std, b_std)
        slope = jax.jvp(sigma, (z,), (jnp.ones_like(z),))[1]
        tape.append((std / sqrt(a.shape[1]) * a, std / sqrt(a.shape[1]) * layer["w"], slope))
        a = sigma(z)
    delta = jnp.ones_like(z)
    for scaled_input, w, slope in reversed(tape):
        delta = delta if scaled_input is tape[-1][0] else delta * slope
        yield scaled_input, delta
        delta = delta @ w


def linearize(apply_fn: Callable, params_0: Params) -> Callable:
    """The first-order Taylor expansion of a network in its parameters.

    Math: f_lin(theta, x) = f(theta_0, x) + (grad_theta f(theta_0, x))^T (theta - theta_0).

    Args:
        apply_fn: (params, x) -> outputs.
        params_0: the parameters to expand around.
    Returns:
        f_lin(params, x), with the shapes of `apply_fn`.
    Raises:
        ValueError: if `apply_fn` is not callable.
    Example:
        >>> f_lin = linearize(lambda w, x: w**2 * x, 3.0)
        >>> float(f_lin(4.0, jnp.ones(())))  # 9 + 6
        15.0

    References:
        Lee et al. (2019), eq. 5. Lecture notes, section 2.2, eq. 13.
    """
    _checks.is_callable("apply_fn", apply_fn)

    def f_lin(params: Params, x: Numbers) -> Array:
        _checks.tree("params", params, params_0)
        step = jax.tree.map(jnp.subtract, params, params_0)
        value, change = jax.jvp(lambda p: apply_fn(p, x), (params_0,), (step,))
        return value + change

    return f_lin
