"""Small data sets that train as large ones do: one-step distillation, label solve, KIP."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ntk_course import _checkpoint, _checks, _devices, _kip, kernels, networks, runtime
from ntk_course._checks import Numbers
from ntk_course.networks import Network, Params
from ntk_course.training import square_loss


class OneStep(NamedTuple):
    """What `one_step` learned: `x_support` (m, ...), `inner_rate` eta, the loss of each step."""

    x_support: Array
    inner_rate: Array
    losses: np.ndarray


class Distilled(NamedTuple):
    """What `kip` learned: the best set, the course of the run, and the sets of the saved steps.

    `losses` and `accuracies` (T,) are those of each step's batch of targets, before the step;
    `saved` (S, m, ...) are the inputs at `saved_steps` (S,).
    """

    x_support: np.ndarray
    y_support: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray
    saved_steps: np.ndarray
    saved: np.ndarray


def inner_step(
    apply_fn: Callable,
    params: Params,
    x_support: Float[Numbers, "m *shape"],
    y_support: Float[Numbers, "m *out"],
    inner_rate: float | Array,
    *,
    loss_fn: Callable[[Array, Array], Array] = square_loss,
) -> Params:
    """The parameters after one step of gradient descent on the support set.

    Math: theta_1 = theta_0 - eta grad_theta l(X_S, theta_0).

    Args:
        apply_fn: (params, x) -> outputs.
        params: theta_0.
        x_support: shape (m, ...).
        y_support: targets, of the outputs' shape.
        inner_rate: eta.
        loss_fn: (outputs, targets) -> the loss summed over the points.
    Returns:
        theta_1.
    References:
        Wang et al. (2018), eq. 2. Lecture notes, section 2.3.2, eqs 24 and 26.
    """
    gradient = jax.grad(lambda p: loss_fn(apply_fn(p, x_support), y_support))(params)
    return jax.tree.map(lambda p, g: p - inner_rate * g, params, gradient)


def one_step(
    key: Array,
    network: Network,
    x_target: Float[Numbers, "n *shape"],
    y_target: Float[Numbers, "n *out"],
    x_support: Float[Numbers, "m *shape"],
    y_support: Float[Numbers, "m *out"],
    *,
    num_steps: int = 500,
    learning_rate: float = 0.01,
    inner_rate: float = 0.01,
    num_inits: int | None = None,
    loss_fn: Callable[[Array, Array], Array] = square_loss,
) -> OneStep:
    """A support set on which one step of gradient descent does the work of many.

    Math: min over X_S and eta of l(X_T; theta_0 - eta grad_theta l(X_S, theta_0)) / n, by Adam;
    eta is learned as its logarithm, and stays positive.

    Args:
        key: of the initializations.
        network: the `Network` that is trained for one step.
        x_target: the full data, shape (n, ...).
        y_target: their targets.
        x_support: where the support set starts, shape (m, ...).
        y_support: its targets, kept.
        num_steps: number of steps of Adam.
        learning_rate: alpha, of Adam.
        inner_rate: eta at the start.
        num_inits: None distills for the one initialization `network.init_fn(key)`; a number draws
            that many fresh ones at each step.
        loss_fn: (outputs, targets) -> the loss summed over the points.
    Returns:
        A `OneStep`.
    Raises:
        ValueError: if shapes do not match or the loss stops being finite.
    References:
        Wang et al. (2018), algorithm 1. Lecture notes, section 2.3.2, eqs 24-26.
    """
    networks.twin(network)  # which checks it
    key, (init_fn, apply_fn) = _checks.key(key), network
    x_t, y_t, x_s, y_s = _sets(x_target, y_target, x_support, y_support)
    _checks.returned("loss_fn", loss_fn, y_t, y_t, like=(), compiled=True)
    num_steps = _checks.integer("num_steps", num_steps)
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    eta = _checks.scalar("inner_rate", inner_rate, positive=True)
    if num_inits is not None:
        num_inits = _checks.integer("num_inits", num_inits)
    learned = {"x": x_s, "log_eta": jnp.log(jnp.asarray(eta, x_s.dtype))}
    fixed = (init_fn, apply_fn, loss_fn, num_inits, num_steps)
    learned, losses = _one_step(key, *fixed, rate, learned, (x_t, y_t, y_s))
    fix = "Lower `learning_rate` or `inner_rate`."
    eta = jnp.exp(learned["log_eta"])
    stable = all(bool(jnp.isfinite(a).all()) for a in (losses, learned["x"], eta))
    _checks.require(stable, "learning_rate", "keep the loss finite", rate, fix)
    return OneStep(learned["x"], eta, np.asarray(losses))


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def _one_step(key, init_fn, apply_fn, loss_fn, num_inits, num_steps, rate, learned, data):
    x_t, y_t, y_s = data
    adam = optax.adam(rate)

    def loss(learned, params):
        step = partial(inner_step, apply_fn, params, loss_fn=loss_fn)
        after = step(learned["x"], y_s, jnp.exp(learned["log_eta"]))
        return loss_fn(apply_fn(after, x_t), y_t) / len(x_t)

    def mean_loss(learned, key):
        keys = jax.random.split(key, num_inits)
        return jax.vmap(lambda k: loss(learned, init_fn(k)))(keys).mean()

    def update(carry, step):
        learned, state = carry
        if num_inits is None:
            value, gradient = jax.value_and_grad(loss)(learned, init_fn(key))
        else:
            value, gradient = jax.value_and_grad(mean_loss)(learned, jax.random.fold_in(key, step))
        updates, state = adam.update(gradient, state)
        return (optax.apply_updates(learned, updates), state), value

    start = learned, adam.init(learned)
    (learned, _), losses = jax.lax.scan(update, start, jnp.arange(num_steps))
    return learned, losses


def predict(
    kernel_fn: Callable,
    x_support: Float[Numbers, "m *shape"],
    y_support: Float[Numbers, "m c"],
    x_test: Float[Numbers, "n *shape"],
    *,
    diag_reg: float = 1e-6,
) -> np.ndarray:
    """Predictions of kernel ridge regression from a support set.

    Math: f(x) = K(x, X_S) (K(X_S, X_S) + lambda I)^(-1) Y_S with lambda = diag_reg tr(K_SS) / m.

    Args:
        kernel_fn: (x1, x2) -> (n1, n2).
        x_support: shape (m, ...).
        y_support: shape (m, C).
        x_test: shape (n, ...).
        diag_reg: lambda > 0 relative to the mean of the diagonal.
    Returns:
        Predictions, shape (n, C).
    Raises:
        ValueError: if shapes do not match.
    References:
        Nguyen et al. (2021a), eq. 3. Lecture notes, section 2.3.2, eq. 27.
    """
    x_s, y_s = _checks.labelled("support", x_support, y_support)
    x_test = _checks.floats("x_test", x_test, ndim=x_s.ndim)
    _checks.shape("x_test", x_test, (None, *x_s.shape[1:]), "Its points are like the support's.")
    diag_reg = _checks.scalar("diag_reg", diag_reg, positive=True)
    weights = _kip.weights_of(jnp.asarray(kernels.gram(kernel_fn, x_s)), y_s, diag_reg)
    weights = _checks.finite("x_support", np.asarray(weights), "make K + lambda I invertible")
    return kernels.gram(kernel_fn, x_test, x_s) @ weights


def label_solve(
    kernel_fn: Callable,
    x_support: Float[Numbers, "m *shape"],
    x_target: Float[Numbers, "n *shape"],
    y_target: Float[Numbers, "n c"],
    *,
    diag_reg: float = 1e-6,
) -> np.ndarray:
    """The labels of given support inputs that predict the targets best.

    Math: Y_S = (K_TS (K_SS + lambda I)^(-1))^+ Y_T, the least-squares solution of eq. 27 in Y_S,
    if K_SS + lambda I is positive definite as rounded: near twins need a larger lambda in float32.

    Args:
        kernel_fn: (x1, x2) -> (n1, n2).
        x_support: shape (m, ...).
        x_target: shape (n, ...).
        y_target: shape (n, C).
        diag_reg: lambda > 0 relative to the mean of the diagonal.
    Returns:
        Labels, float64, shape (m, C).
    Raises:
        ValueError: if shapes do not match.
    References:
        Nguyen et al. (2021a), section 3.1, eq. 8. Lecture notes, section 2.3.2, eq. 27.
    """
    x_s = _checks.floats("x_support", x_support, ndim=range(2, 6))
    x_t, y_t = _checks.labelled("target", x_target, y_target)
    _checks.shape("x_target", x_t, (None, *x_s.shape[1:]), "Its points are like the support's.")
    diag_reg = _checks.scalar("diag_reg", diag_reg, positive=True)
    k_ss = kernels.gram(kernel_fn, x_s).astype(np.float64)
    k_ts = kernels.gram(kernel_fn, x_t, x_s).astype(np.float64)
    shift = diag_reg * np.trace(k_ss) / len(k_ss)
    _checks.require(bool(k_ss.any()), "x_support", "not be 0", "a kernel of 0", "Give inputs.")
    solver = np.linalg.solve(k_ss + shift * np.eye(len(k_ss)), k_ts.T).T
    return np.linalg.lstsq(solver, np.asarray(y_t, np.float64))[0]


def kip(
    key: Array,
    kernel_fn: Callable,
    x_target: Float[Numbers, "n *shape"],
    y_target: Float[Numbers, "n c"],
    x_support: Float[Numbers, "m *shape"],
    y_support: Float[Numbers, "m c"],
    *,
    num_steps: int = 300,
    learning_rate: float = 0.04,
    batch_size: int | None = None,
    diag_reg: float = 1e-6,
    learn_labels: bool = False,
    augment_fn: Callable | None = None,
    attack_fn: Callable | None = None,
    save_at: Sequence[int] = (),
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 50,
    mesh: Mesh | None = None,
) -> Distilled:
    """Kernel inducing points: a support set learned by descending eq. 27.

    Math: min over X_S (and Y_S) of |Y_T - K_TS (K_SS + lambda I)^(-1) Y_S|^2 / (2 n C), by Adam.

    A run shows loss and accuracy in its progress bar. Ctrl-C returns the best set so far, and so
    does a run whose loss stops being finite, with a warning that says what to change. With a
    `checkpoint` a killed run goes on, bit by bit as if nothing had happened, when it is called
    again. On several devices or processes the targets are laid over the mesh.

    Args:
        key: of the batches and the augmentation.
        kernel_fn: (x1, x2) -> (n1, n2), differentiable, for example `fully_connected(1).ntk`.
        x_target: the full data, shape (n, ...).
        y_target: their labels, shape (n, C); a class is the largest entry, or the sign for C = 1.
        x_support: where the support set starts, shape (m, ...).
        y_support: its labels, shape (m, C).
        num_steps: number of steps; may be raised when a checkpoint is taken up again.
        learning_rate: of Adam.
        batch_size: targets of a step, drawn anew and balanced over the classes; None takes all.
        diag_reg: lambda relative to the mean of the diagonal of K_SS.
        learn_labels: learn Y_S too.
        augment_fn: (key, x) -> x, applied to each batch of targets.
        attack_fn: (key, predict_fn, x, y) -> x, the targets that are worst for the current set, for
            example `functools.partial(attacks.pgd, epsilon=...)`: adversarial KIP.
        save_at: steps at which the support inputs are kept; 0 is the start.
        checkpoint: file that keeps the run; taken up again if it exists. Where it cannot be
            written, a warning says so and the run goes on.
        checkpoint_every: steps between two writings of it.
        mesh: devices to use, with one axis; None takes all that there are.
    Returns:
        A `Distilled`; its set is the one with the lowest loss on its batch.
    Raises:
        ValueError: if shapes or options are wrong, the checkpoint is damaged or of another run, or
            the loss is not finite at the first step.
        MemoryError: before any work, if a step would not fit.
    References:
        Nguyen et al. (2021a), algorithm 1; Nguyen et al. (2021b). Lecture notes, eq. 27. With
        `attack_fn` Tsilivis et al. (2022); lecture notes, section 3, the loss of AdvKIP.
    """
    _checks.is_callable("attack_fn", abs if attack_fn is None else attack_fn)
    _checks.is_callable("augment_fn", abs if augment_fn is None else augment_fn)
    x_t, y_t, x_s, y_s = _sets(x_target, y_target, x_support, y_support)
    for name, y in (("y_target", y_t), ("y_support", y_s)):
        _checks.shape(name, y, (None, y_t.shape[-1] if y_t.ndim == 2 else 1), "One row a point.")
    steps = _checks.integer("num_steps", num_steps)
    learn_labels, key = bool(learn_labels), _checks.key(key)
    every = _checks.integer("checkpoint_every", checkpoint_every)
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    diag_reg = _checks.scalar("diag_reg", diag_reg)
    n = len(x_t) if batch_size is None else batch_size
    n = _checks.integer("batch_size", n, most=len(x_t), fix="Lower it, or pass None for all.")
    saved_steps = np.array(sorted(set(_checks.steps("save_at", save_at))), int)
    mesh = _devices.rows_mesh(mesh)
    _checks.returned("kernel_fn", kernel_fn, x_t[:1], x_s, like=(1, len(x_s)), compiled=True)
    layout = kernels.workspace(kernel_fn, x_s, n, mesh.size)

    path = None if checkpoint is None else Path(checkpoint)
    options = (rate, n, diag_reg, learn_labels, saved_steps.tolist())
    moved, some = [], (x_t[:64], y_t[:64])  # what the two functions do tells them from others
    if path and augment_fn:
        moved.append(np.asarray(augment_fn(key, some[0])))
    if path and attack_fn:
        moved.append(np.asarray(attack_fn(key, lambda x: kernel_fn(x, x_s) @ y_s, *some)))
    run = path and {
        "key": _checkpoint.digest(np.asarray(jax.random.key_data(key))),
        "targets": _checkpoint.digest(np.asarray(x_t), np.asarray(y_t)),
        "support": _checkpoint.digest(np.asarray(x_s), np.asarray(y_s)),
        "kernel_fn": _checkpoint.digest(np.asarray(kernel_fn(x_s[:2], x_t[:2]))),
        "augment_fn or attack_fn": _checkpoint.digest(*moved),
        "options": _checkpoint.digest(*options),
    }
    params = {"x": x_s, "y": y_s}
    state = _kip.State(0, params, optax.adam(rate).init(params), params, np.inf)
    trace = {"losses": np.zeros(0), "accuracies": np.zeros(0)}
    saved = np.zeros((len(saved_steps), *x_s.shape), x_s.dtype)
    kept = None if path is None else _checkpoint.load(path, run)
    if kept:
        state = _kip.restore(state, kept)
        trace, saved = {name: kept[name] for name in trace}, kept["saved"]
    missing = _checks.integer("num_steps", steps, least=len(trace["losses"])) - len(trace["losses"])
    trace = {name: np.append(values, np.zeros(missing)) for name, values in trace.items()}

    def write() -> None:
        if path is not None and jax.process_index() == 0:
            done = {name: values[: state.step] for name, values in trace.items()}
            try:
                _checkpoint.save(path, run, _kip.leaves(state) | done | {"saved": saved})
            except OSError as error:
                _kip.unwritten(path, error)

    classes = np.argmax(y_t, 1) if y_t.shape[1] > 1 else np.asarray(y_t[:, 0] > 0)
    groups = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    draw = partial(_kip.batch, key, x_t, y_t, groups, n, augment_fn, layout, mesh)
    place = partial(jax.tree.map, lambda leaf: _devices.lay(leaf, mesh))
    state = state._replace(**place({"params": state.params, "optimizer": state.optimizer}))
    fixed = batch_size is None and augment_fn is None
    bar = runtime.progress(range(state.step, steps), f"KIP, {layout.needed / 1e6:,.0f} MB")
    update = _kip.update_fn(kernel_fn, attack_fn, layout.columns, mesh)
    try:
        batch = draw(state.step)
        for step in bar:
            saved[saved_steps == step] = np.asarray(state.params["x"])
            after, optimizer, *found = update(
                rate, diag_reg, learn_labels, jax.random.fold_in(key, step), *state[1:3], batch
            )
            if not fixed and step + 1 < steps:
                batch = draw(step + 1)  # while the step is computed
            loss, accuracy = map(float, found)
            if not np.isfinite(loss):
                _kip.diverged(step, rate, diag_reg)
                break
            trace["losses"][step], trace["accuracies"][step] = loss, accuracy
            best = (state.params, loss) if loss < state.lowest else state[3:]
            state = _kip.State(step + 1, after, optimizer, *best)
            bar.set_postfix(loss=f"{loss:.4g}", accuracy=f"{accuracy:.3f}", refresh=False)
            if state.step % every == 0:
                write()
    except KeyboardInterrupt:
        pass
    saved[saved_steps == state.step] = np.asarray(state.params["x"])
    if not np.isfinite(saved).all():
        _kip.diverged(state.step, rate, diag_reg)
    write()
    best = jax.tree.map(np.asarray, state.best)
    reached = saved_steps <= state.step
    done = [trace[name][: state.step] for name in ("losses", "accuracies")]
    return Distilled(best["x"], best["y"], *done, saved_steps[reached], saved[reached])


def _sets(x_target, y_target, x_support, y_support) -> tuple[Array, Array, Array, Array]:
    """Check the two sets and that they fit each other."""
    x_t = _checks.floats("x_target", x_target, ndim=range(2, 6))
    x_s = _checks.floats("x_support", x_support, ndim=range(2, 6))
    _checks.shape("x_support", x_s, (None, *x_t.shape[1:]), "Its points are like the targets.")
    y_t = _checks.targets("y_target", y_target, len(x_t))
    y_s = _checks.targets("y_support", y_support, len(x_s))
    _checks.shape("y_support", y_s, (None, *y_t.shape[1:]), "Its labels are like the targets'.")
    dtype = x_s.dtype
    return x_t.astype(dtype), y_t.astype(dtype), x_s, y_s.astype(dtype)
