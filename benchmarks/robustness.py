"""Rows for PGD: ours beside torchattacks, foolbox and ART on the same weights and images.

Two classifiers are trained on MNIST here, in JAX, and copied into PyTorch: an MLP and a small
convolutional network. Each library attacks 500 images with 40 steps of its own PGD (l_inf, step
0.01, random start, cross-entropy), on the device that JAX finds, in turns in one process, after a
warm-up. Seconds, at epsilon 0.3, are compared with torchattacks, ours returning the last point as
theirs does; robust accuracies, at 0.05 and 0.3, with all three, ours returning the best point as it
does by default. Printed as JSON; the environment is that of `peers.txt`.
"""

import json
import os
import statistics
from functools import partial

os.environ.setdefault("NTK_COURSE_STATIC", "1")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks import images, seconds_of
from ntk_course import attacks, data

EPSILONS, STEP, STEPS, IMAGES = (0.05, 0.3), 0.01, 40, 500
DEVICE = "cuda" if jax.default_backend() == "gpu" else "cpu"  # of PyTorch
torch.backends.cudnn.allow_tf32 = False  # as for its products, and as ours


def dense(layer, x):
    return x @ layer["w"] + layer["b"]


def convolve(layer, x):
    dims = ("NHWC", "HWIO", "NHWC")
    pad = ((1, 1), (1, 1))
    x = jax.lax.conv_general_dilated(x, layer["w"], (2, 2), pad, dimension_numbers=dims)
    return x + layer["b"][None, None, None, :]


def mlp(params, x):
    x = x.reshape(len(x), -1)
    for layer in params[:-1]:
        x = jax.nn.relu(dense(layer, x))
    return dense(params[-1], x)


def conv_net(params, x):
    for layer in params[:2]:
        x = jax.nn.relu(convolve(layer, x))
    return dense(params[2], x.reshape(len(x), -1))


NETWORKS = {
    "MLP": (mlp, [(784, 128), (128, 128), (128, 10)]),
    "conv net": (conv_net, [(3, 3, 1, 16), (3, 3, 16, 32), (7 * 7 * 32, 10)]),
}


def trained(apply_fn, shapes, x, y, epochs=10, batch_size=100):
    """Parameters after a few epochs of Adam."""
    keys = jax.random.split(jax.random.key(0), len(shapes))
    params = [
        {"w": jax.random.normal(k, s) * (2 / np.prod(s[:-1])) ** 0.5, "b": jnp.zeros(s[-1])}
        for k, s in zip(keys, shapes, strict=True)
    ]
    adam = optax.adam(1e-3)
    state, rng = adam.init(params), np.random.default_rng(0)

    @jax.jit
    def update(params, state, x, y):
        def loss(params):
            fx = apply_fn(params, x)
            return optax.softmax_cross_entropy_with_integer_labels(fx, y).mean()

        updates, state = adam.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, batch_size):
            params, state = update(params, state, x[rows], y[rows])
    return params


def in_torch(name, params):
    """The same network as a PyTorch module that takes (n, channels, height, width)."""
    layers = [] if name == "conv net" else [torch.nn.Flatten()]
    for number, layer in enumerate(params):
        w, b = (torch.tensor(np.asarray(layer[part])) for part in "wb")
        if w.ndim == 4:
            module = torch.nn.Conv2d(w.shape[2], w.shape[3], 3, stride=2, padding=1)
            w = w.permute(3, 2, 0, 1)
        else:
            if name == "conv net":  # flattened as height, width, channels
                w = w.reshape(7, 7, 32, 10).permute(2, 0, 1, 3).reshape(-1, 10)
                layers.append(torch.nn.Flatten())
            module = torch.nn.Linear(*w.shape)
            w = w.T
        module.weight.data, module.bias.data = w.contiguous(), b
        layers += [module] + [torch.nn.ReLU()] * (number < len(params) - 1)
    return torch.nn.Sequential(*layers).eval().to(DEVICE)


def for_torch(x):
    """Images as PyTorch has them: (n, channels, height, width)."""
    return torch.tensor(np.moveaxis(x, 3, 1).copy(), device=DEVICE)


def peers(model, x, y, epsilon):
    """name -> a function of no arguments that returns adversarial images (n, 1, 28, 28)."""
    import foolbox
    import torchattacks
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    points, labels = for_torch(x), torch.tensor(y, device=DEVICE)
    theirs = torchattacks.PGD(model, eps=epsilon, alpha=STEP, steps=STEPS, random_start=True)
    fool = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=True)
    fool_model = foolbox.PyTorchModel(model, bounds=(0, 1), device=DEVICE)
    loss = torch.nn.CrossEntropyLoss()
    shape = tuple(points.shape[1:])
    classifier = PyTorchClassifier(
        model, loss, shape, 10, clip_values=(0, 1), device_type=DEVICE.replace("cuda", "gpu")
    )  # fmt: skip
    art = ProjectedGradientDescentPyTorch(
        classifier, eps=epsilon, eps_step=STEP, max_iter=STEPS, num_random_init=1,
        batch_size=IMAGES, verbose=False,
    )  # fmt: skip
    return {
        "torchattacks": lambda: theirs(points, labels).cpu().numpy(),
        "foolbox": lambda: fool(fool_model, points, labels, epsilons=epsilon)[1].cpu().numpy(),
        "ART": lambda: art.generate(points.cpu().numpy(), y),
    }


def measure(name):
    """A row: seconds of ours and of torchattacks, and the robust accuracy of everybody."""
    _, x_train, y_train, x, y, _ = images.load("mnist", IMAGES)
    apply_fn, shapes = NETWORKS[name]
    params = trained(apply_fn, shapes, x_train, y_train)
    model, predict_fn = in_torch(name, params), jax.tree_util.Partial(apply_fn, params)
    points = jnp.asarray(x)
    fx = np.asarray(predict_fn(points))
    with torch.no_grad():
        gap = np.abs(model(for_torch(x)).cpu().numpy() - fx).max()
    assert gap < 1e-3 * np.abs(fx).max(), f"the two networks differ by {gap}"

    one_hot, key = jnp.asarray(data.one_hot(y, 10)), jax.random.key(1)

    def ours(epsilon, best=True):
        options = {"epsilon": epsilon, "step_size": STEP, "num_steps": STEPS, "best": best}
        return jax.block_until_ready(attacks.pgd(key, predict_fn, points, one_hot, **options))

    def robust(moved, epsilon):
        moved = np.asarray(moved)
        assert np.abs(moved - x).max() <= epsilon + 1e-6
        return float(np.mean(np.asarray(predict_fn(jnp.asarray(moved))).argmax(1) == y))

    accuracy = {"clean": float(np.mean(fx.argmax(1) == y))}
    for epsilon in EPSILONS:
        rivals = peers(model, x, y, epsilon)
        found = {"ours": robust(ours(epsilon), epsilon)}
        found |= {w: robust(np.moveaxis(run(), 1, 3), epsilon) for w, run in rivals.items()}
        accuracy[f"epsilon {epsilon}"] = found
    behind = max(v["ours"] - min(v[who] for who in rivals) for v in list(accuracy.values())[1:])
    runs = {"ours": partial(ours, EPSILONS[-1], best=False), **rivals}
    seconds = {who: [] for who in runs}
    for pair, turns in (("ours", "torchattacks"), 31), (("foolbox", "ART"), 5):
        for _ in range(turns):
            for who in pair:
                seconds[who].append(seconds_of(runs[who]))
    medians = {who: statistics.median(values) for who, values in seconds.items()}
    mine, other = medians["ours"], medians["torchattacks"]
    return {
        "name": f"PGD-40, {name}, 500 MNIST images",
        "ours_s": mine,
        "theirs_s": other,
        "ratio": other / mine,
        "wanted": {"MLP": 1.8, "conv net": 1.0}[name],
        "relative_difference": behind,
        "peer": "torchattacks",
        "detail": {"seconds": medians, "robust accuracy": accuracy},
    }


if __name__ == "__main__":
    print(json.dumps([measure(name) for name in NETWORKS]))
