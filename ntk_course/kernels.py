"""Closed-form NNGP and NTK of infinitely wide networks, and blocked Gram matrices.

A pair of points is described by the norms p, q of its two pre-activation vectors and by the squared
*chord* |u1 - u2|^2 = 2 (1 - cos theta) between their directions. A chord, unlike a cosine, does not
lose its digits where two points nearly coincide, so float32 suffices and gradients stay finite there.
"""

from collections.abc import Callable
from functools import partial
from math import pi
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from ntk_course import _checks, networks


class Kernel(NamedTuple):
    """The two kernels of one infinitely wide network; each maps (x1, x2=None) to (n1, n2)."""

    nngp: Callable
    ntk: Callable


class _Pairs(NamedTuple):
    """Every pair of points: norms p (of x1), q (of x2) and the squared chord, all broadcastable."""

    p: Array
    q: Array
    chord: Array


def kappa_0(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """The arc-cosine kernel of order 0: how often two ReLU inputs are active together.

    Math: kappa_0(u) = (pi - theta) / pi with theta = arccos(u); 2 E[sigma'(z1) sigma'(z2)].

    Args:
        u: cosines in [-1, 1], any shape; rounding beyond is clipped.
    Returns:
        Values in [0, 1], shape of `u`. The gradient at u = +-1, truly infinite, is returned as 0.
    Raises:
        ValueError: if a value is not finite.
    Example:
        >>> kappa_0(jnp.array([-1.0, 0.0, 1.0])).tolist()
        [0.0, 0.5, 1.0]
    References:
        Cho and Saul (2009). Lecture notes, section 2.2, eq. 17 for ReLU.
    """
    u = _checks.floats("u", u, ndim=range(7))
    return _arc_cosine(2.0 * (1.0 - u))[0]


def kappa_1(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """The arc-cosine kernel of order 1: the covariance of two ReLU outputs.

    Math: kappa_1(u) = (sin theta + (pi - theta) cos theta) / pi; 2 E[sigma(z1) sigma(z2)].

    Args:
        u: cosines in [-1, 1], any shape; rounding beyond is clipped.
    Returns:
        Values in [0, 1], shape of `u`; the gradient is kappa_0(u).
    Raises:
        ValueError: if a value is not finite.
    References:
        Cho and Saul (2009). Lecture notes, section 2.2, eq. 17 for ReLU.
    """
    u = _checks.floats("u", u, ndim=range(7))
    return 1.0 - _arc_cosine(2.0 * (1.0 - u))[1]


def fully_connected(
    depth: int,
    activation: str = "relu",
    *,
    w_std: float | None = None,
    b_std: float = 0.0,
    precise: bool = False,
) -> Kernel:
    """NNGP and NTK of an infinitely wide fully connected network.

    Math: K' = w^2 E[sigma sigma] + b^2,  Theta' = K' + w^2 E[sigma' sigma'] Theta, layer by layer.

    Accuracy in float32, relative to the largest entry: about 1e-6 on the diagonal and for identical
    rows (found by an exact hash, so duplicates anywhere count). Near-equal distinct rows lose digits
    in the inner product itself, up to about 1e-3 at angles near 3e-4, as in every library.
    `precise=True` forms their chord from differences instead and keeps 1e-5 everywhere; it costs
    n1 n2 d elementwise operations in place of one matrix product (about 5 to 10 times the time on a
    CPU at d = 784; under differentiation also n1 n2 d memory).

    Args:
        depth: number of hidden layers L.
        activation: "relu" or "erf".
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`.
        precise: form the angles of the inputs from differences (see above).
    Returns:
        A `Kernel` of functions on inputs x1: (n1, d), x2: (n2, d) or None (stands for x1).
    Raises:
        ValueError: if an option is unknown or out of range, or (when called) shapes do not match.
    Example:
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> fully_connected(1).ntk(x).round(4).tolist()  # kappa_1 + u kappa_0, over d
        [[1.0, 0.1592], [0.1592, 1.0]]
    References:
        Jacot et al. (2018); Arora et al. (2019). Lecture notes, section 2.2, eq. 17 (depth 1).
    """
    stds = networks.layer_stds(activation, depth, w_std)
    b_std = _checks.scalar("b_std", b_std)

    def compute(which: str, x1: Array, x2: Array) -> Array:
        pairs = _input_pairs(x1, x2, stds[0], b_std, precise)
        nngp = ntk = _covariance(pairs)
        for std in stds[1:]:
            pairs, derivative = _NONLINEARITIES[activation](pairs)
            pairs = _dense(pairs, std, b_std)
            nngp = _covariance(pairs)
            ntk = nngp + std**2 * derivative * ntk
        return nngp if which == "nngp" else ntk

    return _kernel(compute, ndim=2, numbers_per_pair=lambda _: 6)


def convolutional(
    depth: int,
    activation: str = "relu",
    *,
    readout: str = "flatten",
    w_std: float | None = None,
    b_std: float = 0.0,
) -> Kernel:
    """NNGP and NTK of infinitely many channels: 3x3 SAME convolutions and a dense readout.

    With `readout="pool"` all pairs of pixels of two images are needed, (height width)^2 numbers a
    pair of images: let `gram` block large sets. With "flatten" only equal positions are.

    Args:
        depth: number of convolutional layers, each followed by the activation.
        activation: "relu" or "erf".
        readout: "flatten", or "pool" for global average pooling.
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`.
    Returns:
        A `Kernel` of functions on images x1: (n1, height, width, channels), x2 likewise or None.
    Raises:
        ValueError: if an option is unknown or out of range, or (when called) shapes do not match.
    References:
        Arora et al. (2019), section 4; Novak et al. (2019). Lecture notes, sections 1.2 and 2.3.
    """
    stds = networks.layer_stds(activation, depth, w_std)
    b_std = _checks.scalar("b_std", b_std)
    _checks.one_of("readout", readout, ("flatten", "pool"))
    pool = readout == "pool"

    def compute(which: str, x1: Array, x2: Array) -> Array:
        pairs = _convolve(_pixel_pairs(x1, x2, pool), stds[0], b_std)
        ntk = _covariance(pairs)
        for std in stds[1:-1]:
            pairs, derivative = _NONLINEARITIES[activation](pairs)
            pairs = _convolve(pairs, std, b_std)
            ntk = _covariance(pairs) + std**2 * _window_mean(derivative * ntk)
        pairs, derivative = _NONLINEARITIES[activation](pairs)
        axes = tuple(range(pairs.chord.ndim - 2))
        nngp = stds[-1] ** 2 * _covariance(pairs).mean(axes) + b_std**2
        return nngp if which == "nngp" else nngp + stds[-1] ** 2 * (derivative * ntk).mean(axes)

    def numbers_per_pair(image_shape: tuple) -> int:
        return 10 * (image_shape[0] * image_shape[1]) ** (2 if pool else 1)

    # Compiled stage by stage: in one piece, XLA on CPUs recomputes each stage inside the next.
    return _kernel(compute, ndim=4, numbers_per_pair=numbers_per_pair, whole=False)


def gram(
    kernel_fn: Callable,
    x1: Float[Array, "n1 *shape"],
    x2: Float[Array, "n2 *shape"] | None = None,
    *,
    block_size: int | None = None,
    progress: bool | None = None,
    memory_limit: float | None = None,
) -> np.ndarray:
    """A kernel matrix in blocks: little memory beside the result, symmetric work done once.

    Args:
        kernel_fn: (x1, x2) -> (n1, n2), for example `fully_connected(3).ntk`.
        x1: inputs, shape (n1, ...).
        x2: inputs, shape (n2, ...); None gives the symmetric Gram matrix of `x1`.
        block_size: rows of a block; None chooses one by the memory that a block needs.
        progress: show a progress bar; None shows it from 64 blocks on.
        memory_limit: bytes that the work may take; None stands for what the machine has free.
    Returns:
        The matrix in host memory, shape (n1, n2), in the dtype of the kernel.
    Raises:
        ValueError: if the shapes do not match or a kernel is asked for that gives another shape.
        MemoryError: before any work, if result and blocks would not fit.
    Example:
        >>> gram(fully_connected(1).ntk, jnp.eye(3), block_size=2).shape
        (3, 3)
    """
    _checks.is_callable("kernel_fn", kernel_fn)
    symmetric = x2 is None
    x1 = _checks.floats("x1", x1, ndim=range(1, 6))
    x1, x2 = _checks.pair(x1, x2, ndim=x1.ndim)
    out = jax.eval_shape(kernel_fn, x1[:1], x2[:1])
    rule = "return a matrix (n1, n2)"
    _checks.require(out.shape == (1, 1), "kernel_fn", rule, f"shape {out.shape} for (1, 1)")
    n1, n2 = len(x1), len(x2)
    numbers_per_pair = getattr(kernel_fn, "numbers_per_pair", lambda _: 6)
    per_pair = numbers_per_pair(x1.shape[1:]) * out.dtype.itemsize
    size = _block_size(per_pair, n1, n2, block_size)
    needed = n1 * n2 * out.dtype.itemsize + 2 * size**2 * per_pair
    _forecast(needed, (n1, n2), size, memory_limit)

    starts1, starts2 = range(0, n1, size), range(0, n2, size)
    blocks = [(i, j) for i in starts1 for j in starts2 if not symmetric or j >= i]
    result = np.empty((n1, n2), out.dtype)
    rows1, rows2 = _rows(x1, size), _rows(x2, size)
    show = len(blocks) >= 64 if progress is None else progress
    pending = None
    for i, j in [*tqdm(blocks, desc="kernel blocks", disable=not show), (None, None)]:
        # While one block is copied to the host, the next is computed.
        running = None if i is None else (i, j, kernel_fn(rows1(i), rows2(j)))
        if pending is not None:
            _store(result, *pending, symmetric)
        pending = running
    return result


def _store(result: np.ndarray, i: int, j: int, block: Array, symmetric: bool) -> None:
    """Write a block at (i, j), and its mirror image where the matrix is symmetric."""
    target = result[i : i + block.shape[0], j : j + block.shape[1]]
    target[...] = np.asarray(block)[: target.shape[0], : target.shape[1]]
    if symmetric and j > i:
        result[j : j + target.shape[1], i : i + target.shape[0]] = target.T
    elif symmetric:
        upper = np.triu_indices(target.shape[0], 1)
        target[upper[1], upper[0]] = target[upper]


def _rows(x: Array, size: int) -> Callable[[int], Array]:
    """Slices of `size` rows, the last one filled up by repeating, so that one compile serves."""

    def rows(start: int) -> Array:
        part = x[start : start + size]
        missing = size - part.shape[0]
        return jnp.concatenate([part, jnp.repeat(part[-1:], missing, 0)]) if missing else part

    return rows


def _block_size(per_pair: int, n1: int, n2: int, wanted: int | None) -> int:
    """The rows of a block: as wanted, else at most 512 and the most whose work stays near 128 MB."""
    longest = max(n1, n2)
    if wanted is not None:
        return min(_checks.integer("block_size", wanted), longest)
    return min(longest, 512, max(1, int((2**27 / per_pair) ** 0.5)))


def _forecast(needed: int, shape: tuple, size: int, limit: float | None) -> None:
    """Raise before the work if result and blocks will not fit."""
    limit = _free_memory() if limit is None else _checks.scalar("memory_limit", limit)
    if limit is not None and needed > limit:
        raise MemoryError(
            f"A kernel matrix of shape {shape} needs about {needed / 1e9:.2f} GB with blocks of "
            f"{size} rows; {limit / 1e9:.2f} GB are free. Use fewer points, float32, or (if the "
            "block is what is large) a smaller `block_size`."
        )


def _free_memory() -> int | None:
    """Free bytes of this machine's memory; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return None


def _kernel(
    compute: Callable, *, ndim: int, numbers_per_pair: Callable, whole: bool = True
) -> Kernel:
    """Wrap `compute(which, x1, x2)` in input checks; compile it as a whole, or leave its stages."""

    def public(which: str) -> Callable:
        inner = jax.jit(partial(compute, which)) if whole else partial(compute, which)

        def kernel_fn(x1: Array, x2: Array | None = None) -> Array:
            return inner(*_checks.pair(x1, x2, ndim=ndim))

        kernel_fn.__name__ = which
        kernel_fn.numbers_per_pair = numbers_per_pair
        return kernel_fn

    return Kernel(public("nngp"), public("ntk"))


# --- one layer of a kernel ---------------------------------------------------------------------


@jax.jit
def _covariance(pairs: _Pairs) -> Array:
    """The inner product p q cos(theta)."""
    return pairs.p * pairs.q * (1.0 - pairs.chord / 2)


@jax.jit
def _distance(pairs: _Pairs, scale: float) -> Array:
    """The squared distance |h1 - h2|^2, times a scale."""
    return scale * ((pairs.p - pairs.q) ** 2 + pairs.p * pairs.q * pairs.chord)


def _dense(pairs: _Pairs, w_std: float, b_std: float) -> _Pairs:
    """A dense layer: covariances times w^2, plus b^2."""
    a, e = w_std * pairs.p, w_std * pairs.q
    if not b_std:
        return _Pairs(a, e, pairs.chord)
    p, q = jnp.sqrt(a**2 + b_std**2), jnp.sqrt(e**2 + b_std**2)
    # A bias turns both directions towards each other; written without cancellation.
    gap = 2 * b_std**2 * (a - e) ** 2 / (p * q + a * e + b_std**2)
    return _Pairs(p, q, (a * e * pairs.chord + gap) / (p * q))


def _relu(pairs: _Pairs) -> tuple[_Pairs, Array]:
    """After a ReLU: the pairs, and E[sigma' sigma']."""
    half = np.sqrt(0.5).astype(pairs.chord.dtype)
    kappa_0, rest = _arc_cosine(pairs.chord)
    return _Pairs(half * pairs.p, half * pairs.q, 2.0 * rest), kappa_0 / 2


@jax.jit
def _erf(pairs: _Pairs) -> tuple[_Pairs, Array]:
    """After an erf: the pairs, and E[sigma' sigma'] (Williams, 1997)."""

    def norm(p: Array) -> Array:
        return _sqrt(2 / pi * jnp.arctan2(2 * p**2, jnp.sqrt(1 + 4 * p**2)))

    p, q, k12 = pairs.p, pairs.q, _covariance(pairs)
    sine2 = pairs.chord * (1.0 - pairs.chord / 4)
    root = jnp.sqrt(1 + 2 * p**2 + 2 * q**2 + 4 * (p * q) ** 2 * sine2)
    k12, p, q = 2 / pi * jnp.arctan2(2 * k12, root), norm(p), norm(q)
    return _Pairs(p, q, _chord(k12, p, q)), 4 / pi / root


_NONLINEARITIES = {"relu": _relu, "erf": _erf}


@jax.custom_jvp
def _arc_cosine(chord: Array) -> tuple[Array, Array]:
    """kappa_0 and 1 - kappa_1 of a squared chord, the latter without cancellation."""
    theta = _angle(chord)
    return 1.0 - theta / pi, _rest(chord, theta)


@jax.jit
def _angle(chord: Array) -> Array:
    """theta from the squared chord: tan^2(theta / 2) = chord / (4 - chord)."""
    chord = jnp.clip(chord, 0.0, 4.0)
    return 2.0 * jnp.arctan(jnp.sqrt(chord / (4.0 - chord)))


@jax.jit
def _rest(chord: Array, theta: Array) -> Array:
    """1 - kappa_1 = (1 - cos theta) - (sin theta - theta cos theta) / pi."""
    sine = _sqrt(chord * (4.0 - chord)) / 2
    return chord / 2 - (sine - theta * (1.0 - chord / 2)) / pi


@_arc_cosine.defjvp
def _arc_cosine_jvp(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    """d kappa_0 = -dtheta / pi, set to 0 where it is infinite; d (1 - kappa_1) = kappa_0 / 2."""
    (chord,), (direction,) = primals, tangents
    kappa_0, rest = _arc_cosine(chord)
    sine = _sqrt(chord * (4.0 - chord))
    slope = jnp.where(sine > 0, -1 / pi / jnp.where(sine > 0, sine, 1.0), 0.0)
    return (kappa_0, rest), (slope * direction, kappa_0 / 2 * direction)


def _sqrt(x: Array) -> Array:
    """Square root that is 0, with gradient 0, for x <= 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _chord(k12: Array, p: Array, q: Array) -> Array:
    """The squared chord from an inner product; 0 where a vector is zero."""
    size = p * q
    nonzero = size > 0
    return jnp.where(nonzero, 2.0 - 2.0 * k12 / jnp.where(nonzero, size, 1.0), 0.0)


# --- the inputs --------------------------------------------------------------------------------


def _input_pairs(x1: Array, x2: Array, w_std: float, b_std: float, precise: bool) -> _Pairs:
    """The first dense layer on vectors: w^2 <x1, x2> / d + b^2."""
    scale = w_std / x1.shape[1] ** 0.5
    norms = [_sqrt((scale * x) ** 2 @ jnp.ones(x.shape[1], x.dtype)) for x in (x1, x2)]
    p, q = norms[0][:, None], norms[1][None, :]
    if precise:
        units = [
            x / jnp.where(n > 0, n, 1.0)[:, None] for x, n in zip((x1, x2), norms, strict=True)
        ]
        chord = scale**2 * ((units[0][:, None, :] - units[1][None, :, :]) ** 2).sum(-1)
        chord = jnp.where(p * q > 0, chord, 0.0)
    else:
        chord = _chord((scale * x1) @ (scale * x2).T, p, q)
        # Rounding hides that two rows are equal; their hash does not. (1e-2 guards a collision.)
        equal = (_row_hash(x1)[:, None] == _row_hash(x2)[None, :]) & (chord < 1e-2)
        chord = jnp.where(equal, 0.0, chord)
    return _dense(_Pairs(p, q, chord), 1.0, b_std)


def _row_hash(x: Array) -> Array:
    """One integer a row, equal for equal rows: a random linear hash of mixed bits."""
    unsigned = jnp.uint64 if x.dtype == jnp.float64 else jnp.uint32
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(x) + 0.0, unsigned)
    bits = (bits ^ (bits >> 16)) * unsigned(0x45D9F3B)
    weights = jax.random.bits(jax.random.key(0), (x.shape[1],), unsigned)
    return ((bits ^ (bits >> 15)) * weights[None, :]).sum(1, dtype=unsigned)


@partial(jax.jit, static_argnums=2)
def _pixel_pairs(x1: Array, x2: Array, pool: bool) -> _Pairs:
    """Pairs of pixels, vectors of channels: (h, w, n1, n2) or, for pooling, (h, w, h, w, n1, n2).

    Images come last: then a shift by a pixel moves whole rows of memory, several times faster.
    """
    a, b = (jnp.moveaxis(x, 0, -1) for x in (x1, x2))  # (h, w, channels, n)
    a, b = a[..., :, None], b[..., None, :]
    if pool:
        a, b = a[:, :, None, None], b[None, None]
    channels = x1.shape[-1]
    p, q = (_sqrt((z**2).sum(-3) / channels) for z in (a, b))
    return _from_distance(p, q, ((a - b) ** 2).sum(-3) / channels)


@jax.jit
def _from_distance(p: Array, q: Array, distance: Array, more: Array | float = 0.0) -> _Pairs:
    """Pairs from their squared distance |h1 - h2|^2, given as a sum of two parts."""
    nonzero = p * q > 0
    chord = (distance + more - (p - q) ** 2) / jnp.where(nonzero, p * q, 1.0)
    return _Pairs(p, q, jnp.where(nonzero, jnp.maximum(chord, 0.0), 0.0))


def _convolve(pairs: _Pairs, w_std: float, b_std: float) -> _Pairs:
    """A 3x3 SAME convolution: covariances and squared distances are averaged over windows."""
    norms, alone = [], 0.0
    for z in (pairs.p, pairs.q):
        mean = _window_mean(z**2)
        norms.append(_sqrt(w_std**2 * mean + b_std**2))
        # Where one window sticks out of its image and the other does not, what it misses.
        both = jnp.broadcast_to(z**2, (*pairs.chord.shape[:-2], *z.shape[-2:]))
        alone = alone + (mean - _window_mean(both))
    return _from_distance(*norms, _window_mean(_distance(pairs, w_std**2)), w_std**2 * alone)


@jax.jit
def _window_mean(k: Array) -> Array:
    """The mean over 3x3 windows, zero outside; pairs of pixels (h, w, h', w') move together.

    An axis of length 1 belongs to the other image and stays. Rows are added first, then columns.
    """
    for first in (0, 1):
        axes = [axis for axis in range(first, k.ndim - 2, 2) if k.shape[axis] > 1]
        k = k + _shift(k, axes, 1) + _shift(k, axes, -1)
    return k / 9


def _shift(k: Array, axes: list[int], by: int) -> Array:
    """k moved by one position along the axes together, zeros coming in."""
    return jax.lax.pad(
        k, jnp.zeros((), k.dtype), [(by, -by, 0) if a in axes else (0, 0, 0) for a in range(k.ndim)]
    )
