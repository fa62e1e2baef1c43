"""How each layer of an infinitely wide network maps the covariances of pairs of points.

A pair of points is described by the norms p, q of its two pre-activation vectors and by the
squared *chord* |u1 - u2|^2 = 2 (1 - cos theta) between their directions. A chord, unlike a cosine,
does not lose its digits where two points nearly coincide: float32 suffices there, and gradients
stay finite.
"""

from functools import partial
from math import pi
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Pairs(NamedTuple):
    """Every pair of points: norms p (of x1), q (of x2) and the squared chord, all broadcastable."""

    p: Array
    q: Array
    chord: Array


@jax.jit
def covariance(pairs: Pairs) -> Array:
    """The inner product p q cos(theta)."""
    return pairs.p * pairs.q * (1.0 - pairs.chord / 2)


@jax.jit
def _distance(pairs: Pairs, scale: float | Array) -> Array:
    """The squared distance |h1 - h2|^2, times a scale."""
    return scale * ((pairs.p - pairs.q) ** 2 + pairs.p * pairs.q * pairs.chord)


def dense(pairs: Pairs, w_std: float, b_std: float) -> Pairs:
    """A dense layer: covariances times w^2, plus b^2."""
    a, e = w_std * pairs.p, w_std * pairs.q
    if not b_std:
        return Pairs(a, e, pairs.chord)
    p, q = jnp.sqrt(a**2 + b_std**2), jnp.sqrt(e**2 + b_std**2)
    before, after = a * e, p * q
    # A bias turns both directions towards each other; written without cancellation.
    gap = 2 * b_std**2 * (a - e) ** 2 / (after + before + b_std**2)
    return Pairs(p, q, (before * pairs.chord + gap) / after)


def _relu(pairs: Pairs) -> tuple[Pairs, Array]:
    """After a ReLU: the pairs, and E[sigma' sigma']."""
    half = np.sqrt(0.5).astype(pairs.chord.dtype)
    kappa_0, rest = arc_cosine(pairs.chord)
    return Pairs(half * pairs.p, half * pairs.q, 2.0 * rest), kappa_0 / 2


@jax.jit
def _erf(pairs: Pairs) -> tuple[Pairs, Array]:
    """After an erf: the pairs, and E[sigma' sigma'] (Williams, 1997)."""

    def norm(p: Array) -> Array:
        return safe_sqrt(2 / pi * jnp.arctan2(2 * p**2, jnp.sqrt(1 + 4 * p**2)))

    p, q, k12 = pairs.p, pairs.q, covariance(pairs)
    sine2 = pairs.chord * (1.0 - pairs.chord / 4)
    sine2 = jnp.where((pairs.chord < 0) | (pairs.chord > 4), 0.0, sine2)  # rounded
    root = jnp.sqrt(1 + 2 * p**2 + 2 * q**2 + 4 * (p * q) ** 2 * sine2)
    k12, p, q = 2 / pi * jnp.arctan2(2 * k12, root), norm(p), norm(q)
    return Pairs(p, q, _chord(k12, p, q)), 4 / pi / root


NONLINEARITIES = {"relu": _relu, "erf": _erf}


@jax.custom_jvp
def arc_cosine(chord: Array) -> tuple[Array, Array]:
    """kappa_0 and 1 - kappa_1 of a squared chord, the latter without cancellation."""
    theta = _angle(chord)
    return (pi - theta) / pi, _rest(chord, theta)


# arcsin(sqrt(t)) / sqrt(t) on [0, 1/2], to 2e-8: enough for float32.
_ARCSIN = np.polynomial.Chebyshev.interpolate(
    lambda t: np.arcsin(np.sqrt(t)) / np.sqrt(t), 9, domain=[0.0, 0.5]
).convert(kind=np.polynomial.Polynomial)


@jax.jit
def _angle(chord: Array) -> Array:
    """theta from the squared chord.

    float64 uses tan^2(theta / 2) = chord / (4 - chord). In float32, where the arctangent would take
    most of a kernel's time, theta / 4 has a sine below sqrt(1/2), and a polynomial does.
    """
    chord = jnp.clip(chord, 0.0, 4.0)
    if chord.dtype != jnp.float32:
        return 2.0 * jnp.arctan(jnp.sqrt(chord / (4.0 - chord)))
    sine2 = chord / (8.0 + 4.0 * jnp.sqrt(4.0 - chord))  # sin^2(theta / 4)
    series = jnp.zeros_like(sine2)
    for coefficient in _ARCSIN.coef[::-1]:
        series = series * sine2 + float(coefficient)
    return jnp.minimum(4.0 * jnp.sqrt(sine2) * series, pi)


@jax.jit
def _rest(chord: Array, theta: Array) -> Array:
    """1 - kappa_1 = (1 - cos theta) - (sin theta - theta cos theta) / pi."""
    sine = safe_sqrt(chord * (4.0 - chord)) / 2
    return chord / 2 - (sine - theta * (1.0 - chord / 2)) / pi


@arc_cosine.defjvp
def _arc_cosine_jvp(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    """d kappa_0 = -dtheta / pi, set to 0 where it is infinite; d (1 - kappa_1) = kappa_0 / 2."""
    (chord,), (direction,) = primals, tangents
    kappa_0, rest = arc_cosine(chord)
    sine = safe_sqrt(chord * (4.0 - chord))
    slope = jnp.where(sine > 0, -1 / pi / jnp.where(sine > 0, sine, 1.0), 0.0)
    return (kappa_0, rest), (slope * direction, kappa_0 / 2 * direction)


@jax.jit
def kappas(u: Array) -> tuple[Array, Array]:
    """kappa_0 and kappa_1 of a cosine."""
    u = jnp.where(jnp.abs(u) > 1, jnp.sign(u) + (u - jax.lax.stop_gradient(u)), u)
    kappa_0, rest = arc_cosine(2.0 * (1.0 - u))
    return kappa_0, 1.0 - rest


def safe_sqrt(x: Array) -> Array:
    """Square root that is 0, with gradient 0, for x <= 0, and NaN for NaN."""
    zero = x <= 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, x)))


def _chord(k12: Array, p: Array, q: Array) -> Array:
    """The squared chord from an inner product; 0 where a vector is zero."""
    size = p * q
    zero = size <= 0
    return jnp.where(zero, 0.0, 2.0 - 2.0 * k12 / jnp.where(zero, 1.0, size))


def input_pairs(x1: Array, x2: Array, w_std: float, b_std: float, precise: bool) -> Pairs:
    """The first dense layer on vectors: w^2 <x1, x2> / d + b^2."""
    norms = [safe_sqrt(jnp.sum(x**2, axis=1)) for x in (x1, x2)]
    # As matrices, by products with ones: a gradient then adds up rows and columns once, at the end.
    p = norms[0][:, None] @ jnp.ones_like(norms[1])[None, :]
    q = jnp.ones_like(norms[0])[:, None] @ norms[1][None, :]
    if precise:
        units1, units2 = (
            x / jnp.where(n > 0, n, 1.0)[:, None] for x, n in zip((x1, x2), norms, strict=True)
        )
        chord = ((units1[:, None, :] - units2[None, :, :]) ** 2).sum(-1)
        chord = jnp.where(p * q <= 0, 0.0, chord)
    else:
        chord = _chord(x1 @ x2.T, p, q)
        # Rounding hides that two rows are equal; their hash does not. Few blocks need to ask.
        near = jax.lax.stop_gradient(chord) < 1e-2
        equal = jax.lax.cond(near.any(), lambda: near & equal_rows(x1, x2), lambda: near & False)
        chord = jnp.where(equal, 0.0, chord)
    return dense(Pairs(p, q, chord), w_std / x1.shape[1] ** 0.5, b_std)


def equal_rows(x1: Array, x2: Array, *, columns: int = 256) -> Array:
    """Which rows of x1 (n1, d) have the hash of which rows of x2 (n2, d), as equal rows do.

    The hash is random and linear, of mixed bits. A few columns at a time, so that no second copy of
    x1 and x2 is made.
    """
    n1, d = x1.shape
    unsigned = jnp.uint64 if x1.dtype == jnp.float64 else jnp.uint32
    # Drawn by NumPy: in JAX the drawing would take most of a kernel's compiling.
    weights = np.random.default_rng(0).integers(2**64, size=d, dtype=np.uint64)
    weights = jnp.asarray(weights.astype(unsigned))[None, :]
    parts = -(-d // columns)
    width = -(-d // parts)

    def add(i: Array, total: Array) -> Array:
        # The last part is moved back, over the one before.
        cut = partial(jax.lax.dynamic_slice_in_dim, start_index=i * width, slice_size=width, axis=1)
        some = jax.lax.stop_gradient(jnp.concatenate([cut(x1), cut(x2)]))
        # -0.0 is 0.0; XLA takes adding 0.0 for doing nothing.
        bits = jax.lax.bitcast_convert_type(jnp.where(some == 0, 0.0, some), unsigned)
        bits = (bits ^ (bits >> 16)) * unsigned(0x45D9F3B)
        return total + ((bits ^ (bits >> 15)) * cut(weights)).sum(1, dtype=unsigned)

    hashes = jax.lax.fori_loop(0, parts, add, jnp.zeros(n1 + len(x2), unsigned))
    return hashes[:n1, None] == hashes[None, n1:]


@partial(jax.jit, static_argnums=2)
def pixel_pairs(x1: Array, x2: Array, pool: bool) -> Pairs:
    """Pairs of pixels, vectors of channels: (h, w, n1, n2) or, for pooling, (h, w, h, w, n1, n2).

    Images come last: then a shift by a pixel moves whole rows of memory, several times faster.
    """
    a, b = (jnp.moveaxis(x, 0, -1) for x in (x1, x2))  # (h, w, channels, n)
    a, b = a[..., :, None], b[..., None, :]
    if pool:
        a, b = a[:, :, None, None], b[None, None]
    channels = x1.shape[-1]
    p, q = (safe_sqrt((z**2).sum(-3) / channels) for z in (a, b))
    return _from_distance(p, q, ((a - b) ** 2).sum(-3) / channels)


def _from_distance(p: Array, q: Array, distance: Array) -> Pairs:
    """Pairs from their squared distance |h1 - h2|^2."""
    zero = p * q <= 0
    chord = (distance - (p - q) ** 2) / jnp.where(zero, 1.0, p * q)
    return Pairs(p, q, jnp.where(zero, 0.0, jnp.maximum(chord, 0.0)))


def convolve(pairs: Pairs, w_std: float, b_std: float) -> tuple:
    """A 3x3 SAME convolution: covariances and squared distances are averaged over windows.

    The norm of each image, and what it adds to the mean squared distance on its own; the latter.
    """

    def one(z: Array) -> tuple:
        # Where its window sticks out of its image and the other's does not, what the other misses.
        both = window_mean(jnp.broadcast_to(z, (*pairs.chord.shape[:-2], *z.shape[-2:])))
        return _window_norm(window_mean(z), both, w_std, b_std)

    return one(pairs.p**2), one(pairs.q**2), window_mean(_distance(pairs, w_std**2))


@jax.jit
def _window_norm(mean: Array, both: Array, w_std: float | Array, b_std: float | Array) -> tuple:
    return safe_sqrt(w_std**2 * mean + b_std**2), w_std**2 * (mean - both)


@partial(jax.jit, static_argnums=0)
def after_convolution(
    activation: str, convolved: tuple, ntk: Array | None, w_std: float | Array
) -> tuple[Pairs, Array]:
    """Pairs after the activation, and E[sigma' sigma'] times the NTK before it.

    `ntk` is the window mean of what this returned for the layer before.
    """
    (p, only_p), (q, only_q), distance = convolved
    pairs = _from_distance(p, q, distance + only_p + only_q)
    before = covariance(pairs) + (0.0 if ntk is None else w_std**2 * ntk)
    pairs, derivative = NONLINEARITIES[activation](pairs)
    return pairs, derivative * before


@jax.jit
def readout(pairs: Pairs, ntk: Array | None, w_std: float | Array, b_std: float | Array) -> Array:
    """A dense readout of all pixels: the NNGP, or with what `after_convolution` gives, the NTK."""
    axes = tuple(range(pairs.chord.ndim - 2))
    nngp = w_std**2 * covariance(pairs).mean(axes) + b_std**2
    return nngp if ntk is None else nngp + w_std**2 * ntk.mean(axes)


@jax.jit
def window_mean(k: Array) -> Array:
    """The mean over 3x3 windows, zero outside; pairs of pixels (h, w, h', w') move together.

    An axis of length 1 belongs to the other image and stays, or to an image one pixel high or wide,
    whose neighbours are outside. Rows are added first, then columns.
    """
    for first in (0, 1):
        axes = [axis for axis in range(first, k.ndim - 2, 2) if k.shape[axis] > 1]
        k = k + (_shift(k, axes, 1) + _shift(k, axes, -1) if axes else 0.0)
    return k / 9


def _shift(k: Array, axes: list[int], by: int) -> Array:
    """k moved by one position along the axes together, zeros coming in."""
    return jax.lax.pad(
        k, jnp.zeros((), k.dtype), [(by, -by, 0) if a in axes else (0, 0, 0) for a in range(k.ndim)]
    )
