"""The three pieces of an attack that depend on the norm: direction, ball, random draw."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ntk_course import _layers

Number = float | int | Array


class Geometry(NamedTuple):
    """The three pieces of an attack that depend on the norm; all act on each example alone.

    Fields: ascend, gradient -> direction of norm 1; ball, (x, epsilon, lo, hi) -> the projection
    on the ball around x, then on the bounds; draw, (key, x, epsilon) -> a uniform point of the ball
    around 0.
    """

    ascend: Callable
    ball: Callable
    draw: Callable


def _norms(v: Array) -> Array:
    """The l2 norm of each example, with its axes kept; no square over- or underflows."""
    axes = tuple(range(1, v.ndim))
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(v), axes, keepdims=True))
    v = v / jnp.where(size > 0, size, 1.0)
    return size * _layers.safe_sqrt(jnp.sum(v**2, axes, keepdims=True))


def _unit(v: Array) -> Array:
    """Each example over its l2 norm; 0 stays 0."""
    norm = _norms(v)
    return v / jnp.where(norm > 0, norm, 1.0)


def _shift(x: Array, delta: Number) -> Array:
    """x + delta, one digit back where that was rounded away from x: nothing moves by more."""
    moved = x + delta
    at, to, most = jax.lax.stop_gradient((moved, x, delta))  # nextafter has no derivative
    return moved + jnp.where(jnp.abs(at - to) > jnp.abs(most), jnp.nextafter(at, to) - at, 0.0)


def _linf_ball(x: Array, epsilon: Number, lo: Number, hi: Number) -> Callable:
    # A box: its corners are computed once, and a step only clips.
    low, high = jnp.maximum(_shift(x, -epsilon), lo), jnp.minimum(_shift(x, epsilon), hi)
    return jax.tree_util.Partial(jnp.clip, min=low, max=high)


def _l2_ball(x: Array, epsilon: Number, lo: Number, hi: Number) -> Callable:
    # A little less than epsilon, so that the norm as computed is not above it.
    goal = epsilon * (1 - 16 * float(jnp.finfo(x.dtype).eps))
    return jax.tree_util.Partial(_shrink, x, goal, lo, hi)


def _shrink(x: Array, goal: Number, lo: Number, hi: Number, x_adv: Array) -> Array:
    delta = x_adv - x
    norm = _norms(delta)
    delta = jnp.where(norm > goal, delta * (goal / jnp.where(norm > 0, norm, 1.0)), delta)
    return jnp.clip(_shift(x, delta), lo, hi)


def _draw_l2(key: Array, x: Array, epsilon: float | Array) -> Array:
    key_direction, key_radius = jax.random.split(key)
    radius = jax.random.uniform(key_radius, (len(x), *(1,) * (x.ndim - 1)), x.dtype)
    direction = _unit(jax.random.normal(key_direction, x.shape, x.dtype))
    return epsilon * radius ** (1 / (x.size // len(x))) * direction


GEOMETRIES = {
    "linf": Geometry(
        jnp.sign,
        _linf_ball,
        lambda key, x, epsilon: epsilon * jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0),
    ),
    "l2": Geometry(_unit, _l2_ball, _draw_l2),
}
