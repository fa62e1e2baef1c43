"""Networks in the NTK parametrization: (init_fn, apply_fn), fully connected and convolutional.

All weights start as N(0, 1); the scale of each layer sits in the forward pass. `w_std=None` is the
normalization of the lecture notes, eq. 12: 1 in the first layer, sqrt(c) after each activation. A
number is neural-tangents' `W_std`, the same in every layer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from math import asin, pi, prod, sqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ntk_course import _checks
from ntk_course._checks import Numbers

Params = Any

ACTIVATIONS: dict[str, Callable] = {"relu": jax.nn.relu, "erf": jax.scipy.special.erf}

# c of eq. 12: 1 / E[sigma(z)^2] for z ~ N(0, 1).
NORMALIZATION = {"relu": 2.0, "erf": pi / (2 * asin(2 / 3))}


class Network(NamedTuple):
    """A network as two functions: `init_fn(key)` -> params, `apply_fn(params, x)` -> outputs."""

    init_fn: Callable
    apply_fn: Callable


def layer_stds(activation: str, depth: int, w_std: float | None) -> tuple[float, ...]:
    """The weight scale of each of the `depth + 1` layers: eq. 12 for None, else `w_std` everywhere.

    Args:
        activation: "relu" or "erf".
        depth: number of hidden layers L.
        w_std: None, or a number > 0.
    Returns:
        depth + 1 numbers, the first for the input layer.
    Raises:
        ValueError: if the activation is unknown or a number out of range.
    References:
        Lecture notes, section 2.2, eq. 12.
    """
    _checks.one_of("activation", activation, tuple(ACTIVATIONS))
    _checks.integer("depth", depth)
    c = NORMALIZATION[activation]
    return _checks.stds("w_std", w_std, depth, lambda layer: sqrt(c) if layer else 1.0)


def dense(layer: dict, a: Array, w_std: float, b_std: float) -> Array:
    """One dense layer in the NTK parametrization.

    Math: z = w_std W a / sqrt(d) + b_std b.

    Args:
        layer: {"w": (m, d)}, with "b": (m,) if b_std > 0.
        a: activations, shape (n, d).
        w_std: scale of the weights.
        b_std: scale of the biases.
    Returns:
        Pre-activations, shape (n, m).
    """
    z = w_std / sqrt(a.shape[-1]) * a @ layer["w"].T
    return z + b_std * layer["b"][None, :] if b_std else z


def fully_connected(
    d_in: int,
    widths: int | Sequence[int],
    activation: str = "relu",
    *,
    n_out: int | None = None,
    w_std: float | None = None,
    b_std: float = 0.0,
) -> Network:
    """A fully connected network of any depth in the NTK parametrization.

    Math: f(x) = W^(L+1) sqrt(c/d_L) sigma(W^(L) sqrt(c/d_(L-1)) ... sigma(W^(1) x / sqrt(d_0))).

    Args:
        d_in: dimension d_0 of the inputs.
        widths: d_1, ..., d_L of the hidden layers.
        activation: "relu" or "erf".
        n_out: None for the scalar f of the notes (outputs of shape (n,)), else (n, n_out).
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`; 0 (as in eq. 12) leaves the biases out.
    Returns:
        A `Network`; params are a list of {"w": (d_l, d_(l-1))} with "b": (d_l,) if b_std > 0.
    Raises:
        ValueError: if a width is no positive integer, or the activation is unknown.
    Example:
        >>> net = fully_connected(3, (64, 64))
        >>> net.apply_fn(net.init_fn(jax.random.key(0)), jnp.ones((5, 3))).shape
        (5,)

    References:
        Jacot et al. (2018). Lecture notes, section 2.2, eq. 12.
    """
    d_in, hidden = _checks.integer("d_in", d_in), _checks.widths("widths", widths)
    outputs = 1 if n_out is None else _checks.integer("n_out", n_out)
    stds = layer_stds(activation, len(hidden), w_std)
    b_std = _checks.scalar("b_std", b_std)
    sizes, sigma = (d_in, *hidden, outputs), ACTIVATIONS[activation]

    shapes = [{"w": (m, d)} | ({"b": (m,)} if b_std else {}) for d, m in pairwise(sizes)]

    def apply_fn(params, x: Float[Numbers, "n d"]) -> Array:
        x = _checks.floats("x", x, ndim=2, fix="One row a point; flatten images first.")
        _checks.shape("x", x, (None, d_in), f"The network was built with d_in={d_in}.")
        _checks.tree("params", params, shapes)
        return forward(params, x)

    @jax.jit
    def forward(params, x):
        z = dense(params[0], x, stds[0], b_std)
        for layer, std in zip(params[1:], stds[1:], strict=True):
            z = dense(layer, sigma(z), std, b_std)
        return z[:, 0] if n_out is None else z

    return Network(partial(_normal, shapes), apply_fn)


def convolutional(
    channels: int,
    widths: int | Sequence[int],
    activation: str = "relu",
    *,
    image_shape: tuple[int, int],
    readout: str = "flatten",
    n_out: int | None = None,
    w_std: float | None = None,
    b_std: float = 0.0,
) -> Network:
    """A network of 3x3 SAME convolutions with a dense readout, in the NTK parametrization.

    Args:
        channels: number of channels of the input images.
        widths: channels of the hidden layers.
        activation: "relu" or "erf".
        image_shape: (height, width) of the images.
        readout: "flatten", or "pool" for global average pooling, before the dense readout.
        n_out: None for the scalar f of the notes (outputs of shape (n,)), else (n, n_out).
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`; 0 leaves the biases out.
    Returns:
        A `Network` on images of shape (n, height, width, channels). Its params are a list of
        {"w": (3, 3, c_in, c_out)}, the last {"w": (outputs, features)}; each with "b" if b_std > 0.
    Raises:
        ValueError: if a width is no positive integer, or a name is unknown.
    References:
        Arora et al. (2019), section 4. Lecture notes, section 2.2, eq. 12 for the scaling.
    """
    channels, hidden = _checks.integer("channels", channels), _checks.widths("widths", widths)
    two = isinstance(image_shape, Sequence) and len(image_shape) == 2
    _checks.require(two, "image_shape", "be (height, width)", image_shape, "For example (8, 8).")
    height, width = (_checks.integer("image_shape", side) for side in image_shape)
    _checks.one_of("readout", readout, ("flatten", "pool"))
    outputs = 1 if n_out is None else _checks.integer("n_out", n_out)
    stds = layer_stds(activation, len(hidden), w_std)
    b_std = _checks.scalar("b_std", b_std)
    sizes, sigma = (channels, *hidden), ACTIVATIONS[activation]
    features = hidden[-1] * (height * width if readout == "flatten" else 1)

    shapes = [{"w": (3, 3, d, m)} | ({"b": (m,)} if b_std else {}) for d, m in pairwise(sizes)]
    shapes += [{"w": (outputs, features)} | ({"b": (outputs,)} if b_std else {})]

    def apply_fn(params, x: Float[Numbers, "n h w c"]) -> Array:
        x = _checks.floats("x", x, ndim=4, fix="Images are (n, height, width, channels).")
        _checks.shape("x", x, (None, height, width, channels), "The network expects this shape.")
        _checks.tree("params", params, shapes)
        a = x
        for layer, std in zip(params[:-1], stds[:-1], strict=True):
            a, w = (z.astype(jnp.result_type(a, layer["w"])) for z in (a, layer["w"]))
            z = jax.lax.conv_general_dilated(
                a, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            z = std / sqrt(9 * a.shape[-1]) * z
            a = sigma(z + b_std * layer["b"][None, None, None, :] if b_std else z)
        a = a.reshape(a.shape[0], -1) if readout == "flatten" else a.mean((1, 2))
        z = dense(params[-1], a, stds[-1], b_std)
        return z[:, 0] if n_out is None else z

    return Network(partial(_normal, shapes), apply_fn)


def quadratic(channels: int, width: int) -> Network:
    """A quadratic network that looks at one position at a time, then averages over positions.

    Math: f(x) = sqrt(c / m) sum_r a_r mean_p (w_r . x_p / sqrt(channels))^2, with c = 1/3.

    On (n, d, 2) images it is the CONV of eq. 4's task: 1x1 filters, global average pooling. The
    fully connected network is its special case of one position, on the same data as (n, 1, 2d).

    Args:
        channels: numbers at each position.
        width: number m of filters.
    Returns:
        A `Network` on inputs of shape (n, positions, channels), outputs of shape (n,); params are
        a list of {"w": (m, channels)} and {"w": (1, m)}.
    Raises:
        ValueError: if a number is no positive integer, or (when called) shapes do not match.
    References:
        Li et al. (2021), section 5. Lecture notes, section 1.2, eq. 4.
    """
    channels, width = _checks.integer("channels", channels), _checks.integer("width", width)

    shapes = [{"w": (width, channels)}, {"w": (1, width)}]

    def apply_fn(params, x: Float[Numbers, "n p c"]) -> Array:
        x = _checks.floats("x", x, ndim=3, fix="Inputs are (n, positions, channels).")
        _checks.shape("x", x, (None, None, channels), "The last axis holds the channels.")
        _checks.tree("params", params, shapes)
        z = x @ params[0]["w"].T / sqrt(channels)
        return dense(params[1], (z**2).mean(1), sqrt(1 / 3), 0.0)[:, 0]

    return Network(partial(_normal, shapes), apply_fn)


def windowed(d_in: int, window: int, num_filters: int) -> Network:
    """The two-layer CONV of eq. 5: one filter bank slid over a sequence, a readout per window.

    Math: f(x) = sum_j <u^j, relu(W x_(j..j+k-1) + b)>, j = 1..d-k+1. W starts as random signs / k,
    b = 1/k - 1, u = 0, so that each filter answers (with 1/k) to exactly one of the 2^k inputs.

    Args:
        d_in: length d of the sequences.
        window: k, between 1 and d.
        num_filters: q.
    Returns:
        A `Network` on inputs of shape (n, d), outputs of shape (n,); params are
        {"w": (q, k), "b": (q,), "u": (d - k + 1, q)}.
    Raises:
        ValueError: if a number is no positive integer, the window is longer than the sequence, or
            (when called) shapes do not match.
    Example:
        >>> net = windowed(6, 3, 10)
        >>> net.init_fn(jax.random.key(0))["u"].shape
        (4, 10)

    References:
        Malach and Shalev-Shwartz (2020), section 3. Lecture notes, section 1.2, eq. 5.
    """
    d, q = _checks.integer("d_in", d_in), _checks.integer("num_filters", num_filters)
    k = _checks.integer("window", window, most=d, fix="A window is not longer than `d_in`.")

    def init_fn(key):
        w = jax.random.rademacher(_checks.key(key), (q, k), jnp.result_type(float)) / k
        return {"w": w, "b": jnp.full(q, 1 / k - 1), "u": jnp.zeros((d - k + 1, q))}

    def apply_fn(params, x: Float[Numbers, "n d"]) -> Array:
        x = _checks.floats("x", x, ndim=2, fix="One row a sequence.")
        _checks.shape("x", x, (None, d), f"The network was built with d_in={d}.")
        _checks.tree("params", params, {"w": (q, k), "b": (q,), "u": (d - k + 1, q)})
        windows = x[:, jnp.arange(d - k + 1)[:, None] + jnp.arange(k)[None, :]]
        hidden = jax.nn.relu(windows @ params["w"].T + params["b"][None, None, :])
        return jnp.einsum("njq,jq->n", hidden, params["u"])

    return Network(init_fn, apply_fn)


def twin(network: Network) -> Network:
    """Two copies of a network that start equal; their difference is 0 at initialization.

    Math: f = (g_a - g_b) / sqrt(2) with the same initial parameters, which leaves the NTK of g
    unchanged. It is eq. 12 with its last hidden layer split into two halves.

    Args:
        network: any `Network`.
    Returns:
        A `Network` whose params are the pair (params_a, params_b).
    Raises:
        ValueError: if `network` has no callable init_fn and apply_fn.
    References:
        Lecture notes, section 2.2, below eq. 12.
    """
    two = np.shape(network) == (2,)
    _checks.require(two, "network", "be (init_fn, apply_fn)", network, "Pass both functions.")
    init_one, apply_one = network
    _checks.is_callable("network.init_fn", init_one)
    _checks.is_callable("network.apply_fn", apply_one)

    def init_fn(key):
        params = init_one(key)
        return params, jax.tree.map(jnp.copy, params)

    def apply_fn(params, x):
        two = isinstance(params, list | tuple) and len(params) == 2
        _checks.require(two, "params", "be a pair of params", type(params), "Call `init_fn`.")
        return (apply_one(params[0], x) - apply_one(params[1], x)) / sqrt(2)

    return Network(init_fn, apply_fn)


def _normal(shapes: Params, key: Array) -> Params:
    """Independent N(0, 1) entries for a tree of shapes, drawn at once (one compilation)."""
    leaves, tree = jax.tree.flatten(shapes, is_leaf=lambda s: isinstance(s, tuple))
    return tree.unflatten(_drawn(tuple(leaves), _checks.key(key)))


@partial(jax.jit, static_argnums=0)
def _drawn(shapes: tuple[tuple, ...], key: Array) -> list[Array]:
    ends = list(accumulate(map(prod, shapes)))
    flat = jax.random.normal(key, (ends[-1],))
    return [flat[end - prod(s) : end].reshape(s) for end, s in zip(ends, shapes, strict=True)]
