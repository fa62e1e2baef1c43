"""Training of finite networks: full-batch gradient descent on the square loss."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.networks import Params


class Trajectory(NamedTuple):
    """Parameters saved on the way: `steps` (T,), and `params` whose leaves have a leading T."""

    steps: np.ndarray
    params: Params

    def at(self, index: int) -> Params:
        """The parameters of one saved step."""
        return jax.tree.map(lambda leaf: leaf[index], self.params)


def square_loss(fx: Numbers, y: Numbers) -> Array:
    """Sum over points and outputs of (f - y)^2 / 2 (eq. 8)."""
    return jnp.sum((fx - y) ** 2) / 2


def gradient_descent(
    apply_fn: Callable,
    params: Params,
    x_train: Float[Numbers, "n *shape"],
    y_train: Float[Numbers, "n *out"],
    *,
    learning_rate: float,
    num_steps: int,
    save_at: Sequence[int] | None = None,
    loss_fn: Callable[[Array, Array], Array] = square_loss,
    optimizer: Callable[[float], optax.GradientTransformation] = optax.sgd,
) -> Trajectory:
    """Full-batch gradient descent; step t is time t of the gradient flow of eq. 9.

    Math: theta_(t+1) = theta_t - eta grad_theta sum_i l(f(x_i; theta_t), y_i).

    Args:
        apply_fn: (params, x) -> outputs, shape (n,) or (n, n_out).
        params: initial parameters, any pytree.
        x_train: inputs, shape (n, ...).
        y_train: targets, of the outputs' shape.
        learning_rate: eta > 0, for the *sum* over the points.
        num_steps: number of steps, >= 1.
        save_at: steps (0 is the start) at which parameters are kept, ascending; None keeps the
            last only.
        loss_fn: (outputs, targets) -> the summed loss.
        optimizer: learning rate -> optax optimizer, for example `optax.adam`.
    Returns:
        A `Trajectory`.
    Raises:
        ValueError: if shapes do not match, steps are out of range, or training diverged.
    References:
        Lecture notes, section 2.1, eqs 8-9 (dt = 1).
    """
    _checks.is_callable("apply_fn", apply_fn)
    _checks.is_callable("loss_fn", loss_fn)
    _checks.is_callable("optimizer", optimizer)
    x = _checks.floats("x_train", x_train, ndim=range(1, 6))
    y = _checks.targets("y_train", y_train, len(x))
    out = jax.eval_shape(apply_fn, params, x).shape
    _checks.shape("y_train", y, out, "Give one target for every output of `apply_fn`.")
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    last = _checks.integer("num_steps", num_steps)
    steps = np.array([last] if save_at is None else list(save_at))
    ascending = steps.size > 0 and (np.diff(steps) > 0).all() and 0 <= steps[0] <= steps[-1] <= last
    rule = f"be ascending steps between 0 and num_steps={last}"
    _checks.require(bool(ascending), "save_at", rule, list(steps), "Sort them, without repeats.")

    saved, now, state = [], 0, optimizer(rate).init(params)
    for step in map(int, steps):
        params, state, loss = _descend(
            apply_fn, loss_fn, optimizer, params, state, x, y, rate, step - now
        )
        now = step
        saved.append(params)
    stable = isinstance(loss, jax.core.Tracer) or bool(jnp.isfinite(loss))
    fix = "Gradient descent on the square loss needs eta < 2 / lambda_max of the NTK Gram matrix."
    _checks.require(stable, "learning_rate", "keep the loss finite", rate, fix)
    return Trajectory(steps, jax.tree.map(lambda *leaves: jnp.stack(leaves), *saved))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _descend(apply_fn, loss_fn, optimizer, params, state, x, y, learning_rate, num_steps):
    """`num_steps` steps; the parameters, the optimizer's state, the loss before the last step."""
    update = optimizer(learning_rate).update

    def step(_, carry):
        params, state, _ = carry
        loss, gradient = jax.value_and_grad(lambda p: loss_fn(apply_fn(p, x), y))(params)
        updates, state = update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss.astype(y.dtype)

    start = (params, state, jnp.zeros((), y.dtype))
    return jax.lax.fori_loop(0, num_steps, step, start)
