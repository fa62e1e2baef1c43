"""Two rows: a KIP step beside the published recipe, on the same images.

The recipe is the loop of the authors' public notebook (google-research/kip): neural-tangents'
kernel on images, float64, a batch of targets copied out of the training set at each step, Cholesky,
Adam, jitted once. Ours is `distillation.kip` as a reader calls it, in float32, with its checks and
bookkeeping. In the first row all targets are used at every step (the recipe samples them all, ours
sees that there is nothing to draw); in the second both draw a batch anew at each step. All run in
this process, in turns, after a warm-up.
"""

import json
import os
import statistics
import time
from functools import partial

os.environ.setdefault("NTK_COURSE_STATIC", "1")

import jax
import jax.numpy as jnp
import numpy as np
from jax.example_libraries import optimizers

from benchmarks import images
from ntk_course import _neural_tangents, data, distillation, kernels

STEPS, SUPPORT, TARGETS = 40, 100, 3000


def cifar():
    """Images and labels to draw 3,000 targets from, 100 of them to start from, and their name."""
    name, x, y, *_ = images.load("cifar10", 0)
    x = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    rng, labels = np.random.default_rng(0), data.one_hot(y)
    classes = [rng.choice(np.flatnonzero(y == c), SUPPORT // 10, replace=False) for c in range(10)]
    start = np.concatenate(classes)
    return name, x, labels, x[start], labels[start]


def recipe(x, y, x_support, y_support):
    """The published loop; the loss of each step."""
    _neural_tangents.load()
    from neural_tangents import stax

    layer = {"W_std": 2**0.5, "b_std": 0.1, "parameterization": "ntk"}
    dense = [stax.Dense(1024, **layer), stax.Relu(), stax.Dense(10, **layer)]
    kernel_fn = jax.jit(partial(stax.serial(stax.Flatten(), *dense)[2], get="ntk"))
    x, y, x_support, y_support = (np.asarray(p, np.float64) for p in (x, y, x_support, y_support))
    classes, rng = y.argmax(1), np.random.default_rng(1)
    adam_init, adam_update, get_params = optimizers.adam(0.04)

    @jax.jit
    def loss_fn(x_support, x_target, y_target):
        k_ss, k_ts = kernel_fn(x_support, x_support), kernel_fn(x_target, x_support)
        k_ss = k_ss + 1e-6 * jnp.trace(k_ss) * jnp.eye(len(k_ss)) / len(k_ss)
        fx = jnp.dot(k_ts, jax.scipy.linalg.solve(k_ss, y_support, assume_a="pos"))
        accuracy = jnp.mean(jnp.argmax(fx, axis=1) == jnp.argmax(y_target, axis=1))
        return 0.5 * jnp.mean((fx - y_target) ** 2), accuracy

    @jax.jit
    def update(step, state, points, x_target, y_target):
        value, gradient = jax.value_and_grad(loss_fn, has_aux=True)(points, x_target, y_target)
        return adam_update(step, gradient, state), value

    def sample(size):
        if size == len(x):
            return rng.permutation(size)
        groups = [np.flatnonzero(classes == c) for c in range(10)]
        return np.concatenate([rng.choice(g, size // 10, size // 10 > len(g)) for g in groups])

    def run():
        state, losses = adam_init(x_support), []
        for step in range(STEPS):
            rows = sample(TARGETS)
            batch = x[rows].copy(), y[rows].copy()
            state, (value, _) = update(step, state, get_params(state), *batch)
            losses.append(float(value))
        return losses

    return run


def measure(drawn, repeats=3):
    """Seconds a step of both, their ratio, and how far the last losses are apart."""
    name, x, y, *start = cifar()
    sets = [x, y, *start] if drawn else [x[:TARGETS], y[:TARGETS], *start]
    theirs, flat = recipe(*sets), [data.flatten(part) for part in sets]
    kernel_fn = kernels.fully_connected(1, w_std=2**0.5, b_std=0.1).ntk
    options = {"num_steps": STEPS, "batch_size": TARGETS if drawn else None}

    def ours():
        return distillation.kip(jax.random.key(0), kernel_fn, *flat, **options).losses

    runs = {"ours": ours, "theirs": theirs}
    losses = {who: run() for who, run in runs.items()}  # compiles both
    seconds = {who: [] for who in runs}
    for _ in range(repeats):
        for who, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[who].append((time.perf_counter() - begin) / STEPS)
    mine, other = (statistics.median(seconds[who]) for who in ("ours", "theirs"))
    last = {who: np.mean(values[-5:] if drawn else values[-1:]) for who, values in losses.items()}
    return {
        "name": f"KIP step, {name}, {'drawn' if drawn else 'all'} targets, FC1",
        "ours_s": mine,
        "theirs_s": other,
        "ratio": other / mine,
        "wanted": 3.0,
        "relative_difference": abs(last["ours"] / last["theirs"] - 1),
        "peer": "the public KIP recipe",
    }


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    print(json.dumps([measure(drawn) for drawn in (False, True)]))
