"""Adversarial attacks inside an l_inf or l2 ball, and the worst of several: FGSM, PGD, evaluate."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from ntk_course import _checks, _devices, runtime
from ntk_course._checks import Numbers
from ntk_course._geometry import GEOMETRIES


def cross_entropy(fx: Float[Numbers, "n c"], y: Float[Numbers, "n c"]) -> Float[Array, " n"]:
    """The cross-entropy of each example.

    As log(1 + sum exp(f_wrong - f_right)): its gradient is no difference of two numbers near 1.

    Args:
        fx: logits, shape (n, C).
        y: one-hot labels (centred or not), shape (n, C).
    Returns:
        Losses, shape (n,).
    Raises:
        ValueError: if shapes do not match or there is one column only.
    """
    return _softplus_of_gaps(*_classes(fx, y))


@jax.jit
def _softplus_of_gaps(fx: Array, right: Array) -> Array:
    gap = fx - jnp.sum(fx, 1, where=right, keepdims=True)
    return jax.nn.softplus(jax.nn.logsumexp(jnp.where(right, -jnp.inf, gap), 1))


def margin(fx: Float[Numbers, "n c"], y: Float[Numbers, "n c"]) -> Float[Array, " n"]:
    """The largest wrong output minus the right one: positive if the example is misclassified.

    Args:
        fx: outputs, shape (n, C).
        y: one-hot labels (centred or not), shape (n, C).
    Returns:
        Losses, the margins of the notes with the opposite sign, shape (n,).
    Raises:
        ValueError: if shapes do not match or there is one column only.
    """
    fx, right = _classes(fx, y)
    return jnp.max(jnp.where(right, -jnp.inf, fx), 1) - jnp.max(jnp.where(right, fx, -jnp.inf), 1)


def _classes(fx: Numbers, y: Numbers) -> tuple[Array, Array]:
    """Outputs, and where they are those of the right class, both (n, C)."""
    fx, y = _checks.outputs(fx, y)
    _checks.classes(y)
    return fx, jax.nn.one_hot(jnp.argmax(y, 1), y.shape[1], dtype=bool)


def square(fx: Float[Numbers, "n c"], y: Float[Numbers, "n c"]) -> Float[Array, " n"]:
    """Half the squared distance of outputs and targets of each example.

    Args:
        fx: outputs, shape (n, C).
        y: targets, shape (n, C).
    Returns:
        Losses, shape (n,).
    Raises:
        ValueError: if shapes do not match or a loss is not finite.
    """
    fx, y = _checks.outputs(fx, y)
    return _checks.finite("fx", jnp.sum((fx - y) ** 2, 1) / 2, "keep the loss finite")


def kl(fx: Float[Numbers, "n c"], y: Float[Numbers, "n c"]) -> Float[Array, " n"]:
    """KL(softmax(y) || softmax(fx)) of each example, the loss that TRADES attacks.

    Args:
        fx: logits, shape (n, C).
        y: logits at the clean point, shape (n, C).
    Returns:
        Divergences, >= 0 up to rounding, shape (n,).
    Raises:
        ValueError: if shapes do not match.
    """
    log_fx, log_y = map(jax.nn.log_softmax, _checks.outputs(fx, y))
    return optax.losses.kl_divergence_with_log_targets(log_fx, log_y)


LOSSES = {"cross_entropy": cross_entropy, "margin": margin, "square": square, "kl": kl}

# For `pgd` in l_inf: this course's for 8x8 digits, and the notes' (section 3, below eq. 29).
PRESETS = {
    "digits": {"epsilon": 0.15, "step_size": 0.01, "num_steps": 40},
    "mnist": {"epsilon": 0.3, "step_size": 0.01, "num_steps": 40},
    "cifar10": {"epsilon": 8 / 255, "step_size": 2 / 255, "num_steps": 40},
}


def project(
    x_adv: Float[Numbers, "n *shape"],
    x: Float[Numbers, "n *shape"],
    epsilon: float | Array,
    *,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
) -> Float[Array, "n *shape"]:
    """Points moved into the ball around x, then into the bounds; inside both to the last bit.

    Math: Pi_B(x_adv), each example on its own; for l_inf clip(x_adv - x, -epsilon, epsilon), for l2
    a shrinking of x_adv - x. Clipping to bounds that contain x then only brings points nearer.

    Args:
        x_adv: points, shape (n, ...).
        x: the *original* points, within the bounds, shape (n, ...).
        epsilon: radius >= 0.
        norm: "linf" or "l2".
        bounds: smallest and largest value of an entry, or None.
    Returns:
        Points, shape (n, ...).
    Raises:
        ValueError: if shapes do not match or an option is unknown or out of range.
    Example:
        >>> project(jnp.array([[2.0, 0.5]]), jnp.array([[0.9, 0.5]]), 0.3).round(3).tolist()
        [[1.0, 0.5]]

    References:
        Madry et al. (2018), section 2.1. Lecture notes, section 3, eq. 29 (around x, not x^t).
    """
    x, epsilon, bounds = _problem(x, epsilon, norm, bounds)
    _values(x, bounds)
    x_adv = _checks.floats("x_adv", x_adv, ndim=x.ndim)
    _checks.shape("x_adv", x_adv, x.shape, "Give one point for each original.")
    return GEOMETRIES[norm].ball(x, epsilon, *bounds)(x_adv.astype(x.dtype))


def fgsm(
    predict_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, "n c"],
    *,
    epsilon: float | Array,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
    loss: str = "cross_entropy",
) -> Float[Array, "n *shape"]:
    """The fast gradient sign method: one step of size epsilon that *ascends* the loss.

    Math: x + epsilon sign(grad_x l(f(x), y)); for l2 the gradient over its norm.

    Args:
        predict_fn: x -> outputs (n, C), differentiable, each of any n points on its own: a network
            with its parameters, a kernel machine. `jax.tree_util.Partial(apply_fn, params)`
            compiles once for all params.
        x: inputs, shape (n, ...).
        y: one-hot labels, shape (n, C).
        epsilon: radius >= 0.
        norm: "linf" or "l2".
        bounds: smallest and largest value of an entry, or None.
        loss: "cross_entropy", "margin", "square" or "kl" (whose gradient is 0 where f(x) = y).
    Returns:
        Adversarial inputs, shape (n, ...).
    Raises:
        ValueError: if shapes do not match or an option is unknown or out of range.
    References:
        Goodfellow et al. (2015). Lecture notes, section 3, above eq. 29.
    """
    options = {"epsilon": epsilon, "step_size": epsilon, "num_steps": 1, "random_start": False}
    options |= {"norm": norm, "bounds": bounds, "loss": loss, "best": False}
    return pgd(jax.random.key(0), predict_fn, x, y, **options)


def pgd(
    key: Array,
    predict_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, "n c"],
    *,
    epsilon: float | Array,
    step_size: float | Array,
    num_steps: int,
    norm: str = "linf",
    bounds: tuple[float, float] | None = (0.0, 1.0),
    loss: str = "cross_entropy",
    targeted: bool = False,
    random_start: bool = True,
    x_start: Float[Numbers, "n *shape"] | None = None,
    restarts: int = 1,
    best: bool = True,
) -> Float[Array, "n *shape"]:
    """Projected gradient ascent of the loss in the ball around x.

    Math: x^(t+1) = Pi_B(x) [x^t + alpha sign(grad l(f(x^t), y))]; for l2 grad over its norm.

    Args:
        key: of the random starts.
        predict_fn: x -> outputs (n, C); see `fgsm`.
        x: inputs, shape (n, ...).
        y: one-hot labels, shape (n, C); with `targeted`, the labels to be reached; with the loss
            "kl", the outputs f(x).
        epsilon: radius >= 0.
        step_size: alpha >= 0.
        num_steps: number of steps.
        norm: "linf" or "l2".
        bounds: smallest and largest value of an entry, or None.
        loss: "cross_entropy", "margin", "square" or "kl".
        targeted: descend the loss of `y` instead.
        random_start: begin at a uniform point of the ball, not at x.
        x_start: begin at these points, moved into the ball, shape (n, ...).
        restarts: number of runs; the best counts (without `best` the last).
        best: return, for each example, the point with the largest loss of all visited, x and FGSM's
            point included (so PGD is never weaker than FGSM); False returns the last point.
    Returns:
        Adversarial inputs, shape (n, ...), inside ball and bounds to the last bit.
    Raises:
        ValueError: if shapes do not match or an option is unknown or out of range.
    References:
        Madry et al. (2018), section 2.1. Lecture notes, section 3, eqs 28-29.
    """
    x, epsilon, bounds = _problem(x, epsilon, norm, bounds)
    y = _checks.floats("y", y, ndim=2, fix="One-hot labels, one column a class.")
    _checks.one_of("loss", loss, tuple(LOSSES))
    step_size = _checks.scalar("step_size", step_size)
    steps, runs = _checks.integer("num_steps", num_steps), _checks.integer("restarts", restarts)
    if x_start is not None:
        x_start = _checks.floats("x_start", x_start, ndim=x.ndim).astype(x.dtype)
        _checks.shape("x_start", x_start, x.shape, "Give one point for each input.")
    key = _checks.key(key) if random_start and x_start is None else None
    predict_fn = _checks.partial_of("predict_fn", predict_fn)
    jaxpr, out = _checks.traced("predict_fn", predict_fn, x)
    _checks.shape("y", y, out.shape, "One label for each output of `predict_fn`.")
    values = jax.tree.leaves((predict_fn, x, y, x_start, key, epsilon, step_size, jnp.zeros(())))
    inside = any(isinstance(value, jax.core.Tracer) for value in values)
    inside |= len(jaxpr.in_avals) > len(jax.tree.leaves((predict_fn, x)))  # a closure's tracers
    size = len(x) if inside else len(x) // _devices.num_parts(x)
    parts = _cut((size, norm, best, runs), x, y, x_start, key, epsilon, *bounds)
    _values(x, bounds)  # while the starts are drawn
    model = ((norm, loss, targeted, x.shape[1:], best), predict_fn)
    run = partial(_run, *model)
    if not inside:  # compiled in this thread, whose settings of JAX the others do not have
        _, state, problem = parts[0]
        if _devices.loops_well(x, jaxpr):
            run = _devices.compiled(partial(_run_jit, *model), state, *problem, step_size, steps)
        else:
            step = _devices.compiled(partial(_step, *model), state, *problem, step_size)
            run = partial(_repeat, step)
    climb = partial(_climb, run, steps, step_size, epsilon if best else None)
    ends = _devices.at_once(climb, parts)
    for values in jax.tree.leaves([(end[0], end[2:]) for end in ends]):  # last points, gains
        _checks.finite("predict_fn", values, "give finite outputs and gradients")
    found = _join([end[1 if best else 0] for end in ends], x.shape)
    return _checks.finite("step_size", found, "keep x finite") if best else found


def _climb(run, num_steps, step_size, epsilon, part):
    """The runs from all starts, one after another; no epsilon: nobody wants the best point.

    A step looks at a point before it moves it: so there is one more than there are points to reach.
    """
    starts, state, problem = part
    if epsilon is not None:  # x itself, and the one long step of FGSM, are looked at first
        state = run(state, *problem, epsilon, 2)
        num_steps += 1
    for start in starts:
        state = run((start, *state[1:]), *problem, step_size, num_steps)
    return state


def _repeat(step, state, y, ball, step_size, num_steps):
    """`_run` in Python: on CPUs XLA convolves several times faster outside of its own loops."""
    for _ in range(num_steps):
        state = step(state, y, ball, step_size)
    return state


@partial(jax.jit, static_argnums=0)
def _cut(options, x, y, x_start, key, epsilon, lo, hi) -> list[tuple]:
    """Parts of so many examples: (starting points, state, what a step needs beside it).

    Points are rows here: XLA is slow on images whose last axis is one channel.
    """
    size, norm, best, runs = options
    x = x.reshape(len(x), -1)
    starts = [x if x_start is None else x_start.reshape(x.shape)] * runs
    if key is not None:
        starts = [x + GEOMETRIES[norm].draw(k, x, epsilon) for k in jax.random.split(key, runs)]
    parts = []
    for rows in (slice(i, i + size) for i in range(0, len(x), size)):
        ball = GEOMETRIES[norm].ball(x[rows], epsilon, lo, hi)
        state = (x[rows], *((x[rows], jnp.full(size, -jnp.inf, x.dtype)) if best else ()))
        parts.append(([ball(start[rows]) for start in starts], state, (y[rows], ball)))
    return parts


@partial(jax.jit, static_argnums=1)
def _join(parts: list[Array], shape: tuple) -> Array:
    return jnp.concatenate(parts).reshape(shape)


@partial(jax.jit, static_argnums=0)
def _step(options, predict_fn, state, y, ball, step_size):
    """One step, and the best point so far, if it is wanted: (x_adv, best, its gain)."""
    norm, loss, targeted, shape, best = options

    def gain_of(x):
        gain = LOSSES[loss](predict_fn(x.reshape(-1, *shape)), y) * (-1 if targeted else 1)
        return gain.sum(), gain.astype(x.dtype)

    gradient, gain = jax.grad(gain_of, has_aux=True)(state[0])
    moved = ball(state[0] + step_size * GEOMETRIES[norm].ascend(gradient))
    if not best:
        return (moved,)
    x_adv, top, top_gain = state
    better = gain > top_gain
    return moved, jnp.where(better[:, None], x_adv, top), jnp.where(better, gain, top_gain)


def _run(options, predict_fn, state, y, ball, step_size, num_steps):
    """So many steps."""
    step = partial(_step, options, predict_fn)
    return jax.lax.fori_loop(0, num_steps, lambda _, s: step(s, y, ball, step_size), state)


_run_jit = jax.jit(_run, static_argnums=0)


def evaluate(
    predict_fn: Callable,
    x: Float[Numbers, "n *shape"],
    y: Float[Numbers, "n c"],
    attacks: Mapping[str, Callable],
    *,
    batch_size: int = 500,
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Which examples are still classified correctly under each attack, and under all of them.

    One attack is not an evaluation: report `worst`, the examples that no attack moves.

    Args:
        predict_fn: x -> outputs (n, C); see `fgsm`.
        x: inputs, shape (n, ...).
        y: one-hot labels, shape (n, C).
        attacks: name -> (predict_fn, x, y) -> x_adv, for example
            {"PGD": functools.partial(pgd, key, epsilon=0.1, step_size=0.02, num_steps=40)}. One key
            serves all batches, each of which then has the same random starts.
        batch_size: examples attacked at once.
    Returns:
        {"clean": (n,), name: (n,), ..., "worst": (n,)} of booleans; their means are accuracies.
    Raises:
        ValueError: if shapes do not match or there is no attack.
    References:
        Carlini et al. (2019), section 3; Zhang et al. (2019). Lecture notes, section 3.
    """
    x, y = _checks.floats("x", x, ndim=range(2, 6)), _checks.floats("y", y, ndim=2)
    _checks.shape("y", y, (len(x), None), "One row for each input.")
    size = _checks.integer("batch_size", batch_size)
    free = isinstance(attacks, Mapping) and {"clean", "worst"}.isdisjoint(attacks)
    named = bool(free and attacks) and all(map(callable, attacks.values()))
    rule = "name at least one attack, and none of them clean or worst"
    _checks.require(named, "attacks", rule, attacks, "Pass a dictionary.")
    _checks.classes(y)
    _checks.returned("predict_fn", predict_fn, x[:1], like=(1, y.shape[1]))
    found = {name: np.zeros(len(x), bool) for name in ("clean", *attacks)}
    work = [(name, i) for name in found for i in range(0, len(x), size)]
    for name, i in runtime.progress(work, "attacks", show=len(work) > 8):
        part, labels = x[i : i + size], y[i : i + size]
        moved = part if name == "clean" else attacks[name](predict_fn, part, labels)
        fx = _checks.finite("predict_fn", predict_fn(moved), "give finite outputs")
        found[name][i : i + size] = np.asarray(jnp.argmax(fx, 1) == jnp.argmax(labels, 1))
    found["worst"] = np.logical_and.reduce(list(found.values()))
    return found


def _problem(x, epsilon, norm, bounds) -> tuple[Array, float | Array, tuple]:
    """Check what every attack shares, but no values of x; no bounds are infinite ones."""
    x = _checks.floats("x", x, ndim=range(2, 6), inf=True)
    _checks.one_of("norm", norm, tuple(GEOMETRIES))
    epsilon = _checks.scalar("epsilon", epsilon)
    if bounds is None:
        return x, epsilon, (-jnp.inf, jnp.inf)
    two = isinstance(bounds, tuple) and len(bounds) == 2 and not any(map(np.ndim, bounds))
    two = two and not any(isinstance(b, str) for b in bounds) and bounds[0] < bounds[1]
    _checks.require(two, "bounds", "be (smallest, largest) or None", bounds, "Images: (0, 1).")
    return x, epsilon, bounds


def _values(x: Array, bounds: tuple) -> None:
    """Check that x is finite and within the bounds."""
    if isinstance(x, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():  # also where a trace has closed over x
        near = np.asarray(x) if _checks.on_cpu(x) else x
        smallest, largest = float(near.min()), float(near.max())
    if not np.isfinite(largest - smallest):
        _checks.finite("x", x)
    low, high = map(x.dtype.type, bounds)  # x knows them only as rounded
    got, ok = f"values from {smallest:g} to {largest:g}", bool(low <= smallest <= largest <= high)
    _checks.require(ok, "x", f"lie within bounds={bounds}", got, "Pass other `bounds`.")
