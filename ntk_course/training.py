"""Training of finite networks: full-batch gradient descent; minibatches, plain and adversarial."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from ntk_course import _checks, attacks, runtime
from ntk_course._checks import Numbers
from ntk_course.networks import Params


class Trajectory(NamedTuple):
    """Parameters saved on the way: `steps` (T,), and `params` whose leaves have a leading T."""

    steps: np.ndarray
    params: Params

    def at(self, index: int) -> Params:
        """The parameters of one saved step, by its place in `steps`, as of a list."""
        return _pick(self.params, range(len(self.steps))[index])


@jax.jit
def _pick(params: Params, index: int | Array) -> Params:
    return jax.tree.map(lambda leaf: leaf[index], params)


@jax.jit
def _stack(saved: list[Params]) -> Params:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *saved)


def _all_finite(*values: Params) -> bool:
    """Whether no array of a tree has NaN or infinite entries; what a trace does not know passes."""
    known = [a for a in jax.tree.leaves(values) if not isinstance(a, jax.core.Tracer)]
    return all(bool(np.isfinite(np.asarray(a)).all()) for a in known)


def _saved_steps(save_at: Sequence[int] | None, name: str, last: int) -> np.ndarray:
    """Checked steps at which parameters are kept; None is the last alone."""
    steps = np.array([last] if save_at is None else _checks.steps("save_at", save_at))
    ascending = steps.size > 0 and (np.diff(steps) > 0).all() and 0 <= steps[0] <= steps[-1] <= last
    rule = f"be ascending, between 0 and {name}={last}"
    _checks.require(bool(ascending), "save_at", rule, steps.tolist(), "Sort them, without repeats.")
    return steps


def square_loss(fx: Numbers, y: Numbers) -> Array:
    """Sum over points and outputs of (f - y)^2 / 2 (eq. 8).

    Args:
        fx: outputs, shape (n, *out).
        y: targets of the same shape.
    Returns:
        The loss, a scalar.
    Raises:
        ValueError: if shapes do not match or the loss is not finite.
    """
    fx, y = _checks.outputs(fx, y, ndim=range(6))
    return _checks.finite("fx", jnp.sum((fx - y) ** 2) / 2, "keep the loss finite")


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
    x = _checks.floats("x_train", x_train, ndim=range(1, 6))
    y = _checks.targets("y_train", y_train, len(x))
    out = _checks.returned("apply_fn", apply_fn, params, x, compiled=True).shape
    _checks.shape("y_train", y, out, "Give one target for every output of `apply_fn`.")
    _checks.returned("loss_fn", loss_fn, y, y, like=(), compiled=True)
    _checks.is_callable("optimizer", optimizer)
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    last = _checks.integer("num_steps", num_steps)
    steps = _saved_steps(save_at, "num_steps", last)

    saved, now, state = [], 0, optimizer(rate).init(params)
    fixed = (apply_fn, loss_fn, optimizer)
    for step in map(int, steps):
        params, state, loss = _descend(*fixed, params, state, x, y, rate, step - now)
        now = step
        saved.append(params)
    fix = "Gradient descent on the square loss needs eta < 2 / lambda_max of the NTK Gram matrix."
    _checks.require(_all_finite(loss, params), "learning_rate", "keep the loss finite", rate, fix)
    return Trajectory(steps, _stack(saved))


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


METHODS = ("plain", "fgsm", "pgd", "trades")


class Trained(NamedTuple):
    """Trained parameters, the mean loss of each epoch's batches, and what was saved on the way.

    Fields: params; losses, shape (num_epochs,); saved, whose steps are epochs.
    """

    params: Params
    losses: Array
    saved: Trajectory


def objective(
    key: Array,
    predict_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, "n c"],
    *,
    method: str = "plain",
    epsilon: float | Array = 0.0,
    step_size: float | Array | None = None,
    num_steps: int = 10,
    beta: float | Array = 1.0,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Float[Array, ""]:
    """The mean loss of a batch, clean or in the worst point that the attack finds.

    Math: with l the cross-entropy, "plain": l(f(x), y); "fgsm", "pgd": l(f(x + delta), y) at the
    attack's delta (eq. 30); "trades": l(f(x), y) + beta KL(softmax f(x) || softmax f(x + delta)),
    where PGD starts at x + 0.001 N(0, 1) and ascends the KL. Eq. 31 writes lambda for beta, the
    paper 1/lambda. The gradient does not go through delta (Danskin).

    Args:
        key: of the attack's start.
        predict_fn: x -> outputs (n, C); `jax.tree_util.Partial(apply_fn, params)` in training.
        x: inputs, shape (n, ...).
        y: one-hot labels, centred or not, shape (n, C).
        method: "plain", "fgsm", "pgd" or "trades".
        epsilon: radius >= 0 of the attack.
        step_size: of PGD; None for 2.5 epsilon / num_steps.
        num_steps: of PGD.
        beta: weight of the KL, >= 0.
        norm: "linf" or "l2".
        bounds: smallest and largest value of an entry, or None.
    Returns:
        A number.
    Raises:
        ValueError: if shapes do not match or an option is unknown or out of range.
    References:
        Madry et al. (2018), eq. 2.1; Zhang et al. (2019), eq. 5. Lecture notes, eqs 30-31.
    """
    _checks.one_of("method", method, METHODS)
    beta = _checks.scalar("beta", beta)
    x, y = _checks.floats("x", x, ndim=range(2, 6)), _checks.floats("y", y, ndim=2)
    predict_fn = _checks.partial_of("predict_fn", predict_fn)
    _checks.returned("predict_fn", predict_fn, x, like=y.shape)
    if method == "plain":
        return attacks.cross_entropy(predict_fn(x), y).mean()
    epsilon = _checks.scalar("epsilon", epsilon)
    still = jax.lax.stop_gradient(predict_fn)  # its parameters, while the attack climbs
    steps = _checks.integer("num_steps", num_steps)
    step_size = 2.5 * epsilon / steps if step_size is None else step_size
    how = {"epsilon": epsilon, "step_size": step_size, "num_steps": steps, "norm": norm}
    how |= {"bounds": bounds, "best": False}
    if method == "trades":
        start = x + 0.001 * jax.random.normal(_checks.key(key), x.shape, x.dtype)
        x_adv = attacks.pgd(key, still, x, still(x), loss="kl", x_start=start, **how)
        fx = predict_fn(x)
        drift = attacks.kl(predict_fn(jax.lax.stop_gradient(x_adv)), fx)
        loss = attacks.cross_entropy(fx, y).mean() + beta * drift.mean()
        return _checks.finite("beta", loss, "keep the loss finite")
    if method == "fgsm":
        how |= {"step_size": epsilon, "num_steps": 1, "random_start": False}
    x_adv = jax.lax.stop_gradient(attacks.pgd(key, still, x, y, **how))
    return attacks.cross_entropy(predict_fn(x_adv), y).mean()


def minibatch(
    key: Array,
    apply_fn: Callable,
    params: Params,
    x_train: Float[Numbers, "n *shape"],
    y_train: Float[Numbers, "n c"],
    *,
    num_epochs: int,
    method: str = "plain",
    epsilon: float | Array = 0.0,
    step_size: float | Array | None = None,
    num_steps: int = 10,
    beta: float | Array = 1.0,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
    batch_size: int = 64,
    learning_rate: float | Array = 0.01,
    optimizer: Callable[[float], optax.GradientTransformation] = optax.adam,
    save_at: Sequence[int] | None = None,
) -> Trained:
    """Minibatch training on clean or on attacked examples, of any network.

    Math: theta <- theta - eta grad_theta `objective` on each batch of a fresh shuffle; the last
    n mod batch_size examples of a shuffle wait for the next. One call of `jax.vmap` trains from
    many keys, or with many `beta`.

    Args:
        key: of the shuffles and of the attacks' starts.
        apply_fn: (params, x) -> outputs, shape (n, C).
        params: initial parameters, any pytree.
        x_train: inputs, shape (n, ...).
        y_train: one-hot labels, shape (n, C).
        num_epochs: passes over the data, >= 1.
        method: "plain", "fgsm", "pgd" or "trades"; see `objective`.
        epsilon: radius of the attack.
        step_size: of the attack; see `objective`.
        num_steps: of the attack.
        beta: weight of TRADES' second term.
        norm: "linf" or "l2".
        bounds: of the inputs, or None.
        batch_size: at most n.
        learning_rate: eta > 0.
        optimizer: learning rate -> optax optimizer.
        save_at: epochs (0 is the start) at which parameters are kept, ascending; None keeps the
            last only.
    Returns:
        A `Trained`.
    Raises:
        ValueError: if shapes do not match, an option is out of range, or training diverged.
    References:
        Madry et al. (2018); Zhang et al. (2019), algorithm 1. Lecture notes, eqs 30-31.
    """
    _checks.one_of("method", method, METHODS)
    _checks.is_callable("optimizer", optimizer)
    x, y = _checks.labelled("train", x_train, y_train)
    out = _checks.returned("apply_fn", apply_fn, params, x, compiled=True).shape
    _checks.shape("y_train", y, out, "Give one row of labels for every row of outputs.")
    size = _checks.integer("batch_size", batch_size, most=len(x))
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    if method != "plain":  # values are checked here, once: the batches are seen inside jit only
        attacks.project(x[:1], x[:1], epsilon, norm=norm, bounds=None)
        attacks.project(x, x, 0.0, bounds=bounds)
    num_steps = _checks.integer("num_steps", num_steps)
    bounds = None if method == "plain" else bounds
    fixed = (apply_fn, optimizer, size, method, num_steps, norm, bounds)
    step_size = None if step_size is None else _checks.scalar("step_size", step_size)
    numbers = (_checks.scalar("epsilon", epsilon), step_size, _checks.scalar("beta", beta))
    state, losses = (params, optimizer(rate).init(params)), []
    epochs = _checks.integer("num_epochs", num_epochs)
    kept = _saved_steps(save_at, "num_epochs", epochs)
    keys = jax.random.split(_checks.key(key), epochs)
    saved = [params] if kept[0] == 0 else []
    for i in runtime.progress(range(epochs), method, show=epochs * len(x) > 1_000_000):
        state, loss = _epoch(fixed, keys[i], state, x, y, rate, numbers)
        losses.append(loss)
        if i + 1 in kept:
            saved.append(state[0])
    losses = jnp.stack(losses)
    stable = _all_finite(losses, state[0])
    _checks.require(stable, "learning_rate", "keep the loss finite", learning_rate, "Lower it.")
    return Trained(state[0], losses, Trajectory(kept, _stack(saved)))


@partial(jax.jit, static_argnums=0)
def _epoch(fixed, key, state, x, y, learning_rate, numbers):
    """One shuffle of the data, batch by batch; the new state and the mean loss."""
    apply_fn, optimizer, size, method, num_steps, norm, bounds = fixed
    options = dict(zip(("epsilon", "step_size", "beta"), numbers, strict=True))
    options |= {"method": method, "num_steps": num_steps, "norm": norm, "bounds": bounds}
    batches = len(x) // size
    key_order, key_attack = jax.random.split(key)
    update = optimizer(learning_rate).update
    order = jax.random.permutation(key_order, len(x))[: batches * size].reshape(batches, size)

    def step(state, batch):
        params, optimizer_state = state
        rows, step_key = batch

        def loss_fn(params):
            predict_fn = jax.tree_util.Partial(apply_fn, params)
            return objective(step_key, predict_fn, x[rows], y[rows], **options)

        loss, gradient = jax.value_and_grad(loss_fn)(params)
        updates, optimizer_state = update(gradient, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), loss

    state, losses = jax.lax.scan(step, state, (order, jax.random.split(key_attack, batches)))
    return state, losses.mean()
