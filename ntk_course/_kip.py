"""The engine of `distillation.kip`: its state, its batches, and its compiled step."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array

from ntk_course import _checks, _devices


class State(NamedTuple):
    """All that a run needs to go on."""

    step: int
    params: dict
    optimizer: Any
    best: dict
    lowest: float


def leaves(state: State) -> dict[str, np.ndarray]:
    """The arrays of a state by name, for a checkpoint."""
    flat = enumerate(jax.tree.leaves(state))
    return {f"state {i}": np.asarray(leaf) for i, leaf in flat}


def restore(template: State, kept: dict[str, np.ndarray]) -> State:
    """The state of a checkpoint, in the shape of a fresh one."""
    leaves, tree = jax.tree.flatten(template)
    state = tree.unflatten([kept[f"state {i}"] for i in range(len(leaves))])
    return state._replace(step=int(state.step), lowest=float(state.lowest))


def diverged(step: int, rate: float, diag_reg: float) -> None:
    """Say what to change: as an error if there is nothing to return yet, else as a warning."""
    rule, got = "keep the loss finite", f"{rate} and a loss that is not finite at step {step}"
    fix = f"Lower it, raise `diag_reg` ({diag_reg:g}), or look for equal support points."
    if step == 0:
        _checks.fail("learning_rate", rule, got, fix)
    text = f"`learning_rate` must {rule}; got {got}. {fix} The best set so far is returned."
    warnings.warn(text, stacklevel=3)


def unwritten(path: Path, error: OSError) -> None:
    """Say that a checkpoint could not be written: a full disk must not cost the run."""
    fix = "Make room, or name a file in a folder that can be written."
    text = f"`checkpoint` must be a file that can be written; got {path} ({error}). {fix}"
    warnings.warn(f"{text} The run goes on; a killed one takes up the last written.", stacklevel=4)


def batch(key, x, y, groups, n, augment_fn, layout, mesh, step):
    """The targets of a step as (blocks, rows, ...), with weights 0 where rows are fillers."""
    rows = np.arange(len(x))
    if n < len(x):
        rng = np.random.default_rng([*np.asarray(jax.random.key_data(key)).ravel(), step])
        share = np.full(len(groups), n // len(groups))
        share[rng.permutation(len(groups))[: n % len(groups)]] += 1
        rows = [rng.choice(g, s, replace=s > len(g)) for g, s in zip(groups, share, strict=True)]
        rows = np.sort(np.concatenate(rows))  # nearer in memory
    shape = (layout.blocks, layout.rows)
    weights = (np.arange(layout.blocks * layout.rows) < n).astype(x.dtype).reshape(shape) / n
    rows = np.resize(rows, shape)
    parts = _take(x, y, rows)
    if augment_fn is not None:
        moved = augment_fn(jax.random.fold_in(jax.random.fold_in(key, step), 1), x[rows.ravel()])
        _checks.shape("augment_fn", moved, (rows.size, *x.shape[1:]), "Keep number and size.")
        parts = moved.reshape(parts[0].shape), parts[1]
    return tuple(_devices.lay(part, mesh, 1) for part in (*parts, weights))


@jax.jit
def _take(x: Array, y: Array, rows: Array) -> tuple[Array, Array]:
    return x[rows], y[rows]


def update_fn(
    kernel_fn: Callable, attack_fn: Callable | None, columns: int, mesh: Mesh
) -> Callable:
    """One step of Adam, compiled; on a mesh its results are copied to every device."""
    update = partial(_update, kernel_fn, attack_fn, columns)
    if mesh.size == 1:
        return update
    return jax.jit(update, out_shardings=_devices.sharding(mesh))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _update(
    kernel_fn, attack_fn, columns, rate, diag_reg, learn_labels, key, params, optimizer, batch
):
    x, y, weights = batch
    y, weights = y.reshape(-1, y.shape[-1]), weights.ravel()

    def loss(params):
        x_s, y_s = params["x"], params["y"]
        alpha = weights_of(_blocked(kernel_fn, x_s[None], x_s, columns), y_s, diag_reg)
        targets = x
        if attack_fn is not None:  # the worst for the set as it is; they are then held fixed
            x_0, alpha_0 = jax.lax.stop_gradient((x_s, alpha))

            def predict_fn(flat):
                return _blocked(kernel_fn, flat.reshape(x.shape), x_0, columns) @ alpha_0

            targets = attack_fn(key, predict_fn, x.reshape(-1, *x.shape[2:]), y)
            _checks.shape("attack_fn", targets, (len(y), *x.shape[2:]), "Keep number and size.")
            targets = jax.lax.stop_gradient(targets).reshape(x.shape)
        fx = _blocked(kernel_fn, targets, x_s, columns) @ alpha
        error = jnp.sum((fx - y) ** 2, 1) / (2 * y.shape[1])
        right = (fx > 0)[:, 0] == (y > 0)[:, 0] if y.shape[1] == 1 else fx.argmax(1) == y.argmax(1)
        return tuple(weights @ jnp.stack([error, right.astype(y.dtype)], 1))

    (value, accuracy), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    gradient["y"] = jnp.where(learn_labels, gradient["y"], 0.0)
    updates, optimizer = optax.adam(rate).update(gradient, optimizer)
    return optax.apply_updates(params, updates), optimizer, value, accuracy


def _blocked(kernel_fn: Callable, x1: Array, x2: Array, columns: int) -> Array:
    """K of (blocks, rows, ...) and (m, ...), as (blocks rows, m).

    Blocks are recomputed for the gradient, so that the work space of one at a time is held.
    """
    m = len(x2)
    if len(x1) == 1 and columns >= m:
        return kernel_fn(x1.reshape(x1.shape[1:]), x2)
    fill = jnp.repeat(x2[-1:], -m % columns, 0)
    parts = jnp.concatenate([x2, fill]).reshape(-1, columns, *x2.shape[1:])
    block = jax.checkpoint(kernel_fn)
    k = jax.lax.map(lambda a: jax.lax.map(lambda b: block(a, b), parts), x1)
    return jnp.moveaxis(k, 1, 2).reshape(x1.shape[0] * x1.shape[1], -1)[:, :m]


@jax.jit
def weights_of(k: Array, y: Array, diag_reg: float | Array) -> Array:
    """(K + lambda I)^(-1) Y, stable in float32 where Cholesky breaks down.

    Where it does, by eigenvectors, with eigenvalues that rounding made negative set to 0. The
    derivative is that of the defining equation.
    """
    shift = diag_reg * jnp.trace(k) / len(k)
    fixed = jax.lax.stop_gradient(k + shift * jnp.eye(len(k), dtype=k.dtype))
    # The transpose is equal, and lies in memory as LAPACK wants it.
    lower = jax.lax.linalg.cholesky(fixed.T, symmetrize_input=False)

    def by_eigenvectors() -> Array:
        vectors, values = jax.lax.linalg.eigh(fixed.T, symmetrize_input=False)
        values = jnp.maximum(values, jax.lax.stop_gradient(shift))
        # V sqrt(W) is a square root; by QR of its transpose it becomes triangular.
        return jnp.linalg.qr((vectors * jnp.sqrt(values)[None, :]).T, mode="r").T

    lower = jax.lax.cond(jnp.isfinite(lower[-1]).all(), lambda: lower, by_eigenvectors)

    def solve(_: Callable, b: Array) -> Array:
        return jax.scipy.linalg.cho_solve((lower, True), b)

    rhs = y.astype(k.dtype)
    return jax.lax.custom_linear_solve(lambda a: k @ a + shift * a, rhs, solve, symmetric=True)
