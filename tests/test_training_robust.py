"""Minibatch training, plain and adversarial: limits that must agree, TRADES by hand, robustness."""

from contextlib import nullcontext
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntk_course import attacks, empirical, evolution, networks, training

NET = networks.fully_connected(6, 16, n_out=3, b_std=0.1)
EPOCHS = {"num_epochs": 3, "batch_size": 16, "learning_rate": 0.05}


@pytest.fixture(scope="module")
def problem():
    """Three classes, the initial parameters, and the data."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    centres = rng.uniform(0.1, 0.9, (3, 6))
    x = np.clip(centres[labels] + 0.05 * rng.normal(size=(40, 6)), 0, 1)
    return NET.init_fn(jax.random.key(0)), x, np.eye(3)[labels]


def train(problem, **options):
    return training.minibatch(jax.random.key(1), NET.apply_fn, *problem, **(EPOCHS | options))


def same(a, b, **tolerance):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def test_minibatch__plain_by_hand(problem):
    """One epoch of one batch is one step of the optimizer on the mean cross-entropy."""
    params, x, y = problem
    options = {"num_epochs": 1, "batch_size": 40, "learning_rate": 0.1, "optimizer": optax.sgd}
    found = train(problem, **options)

    def loss_fn(p):
        return attacks.cross_entropy(NET.apply_fn(p, x), y).mean()

    loss, gradient = jax.value_and_grad(loss_fn)(params)
    same(found.params, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), rtol=1e-10)
    np.testing.assert_allclose(found.losses, [loss], rtol=1e-12)


@pytest.mark.parametrize(
    ("method", "norm"), [*((method, "linf") for method in training.METHODS), ("pgd", "l2")]
)
def test_minibatch__loss_decreases(problem, method, norm):
    options = {"method": method, "epsilon": 0.05, "num_steps": 2, "norm": norm}
    losses = train(problem, **options, num_epochs=40).losses
    assert losses.shape == (40,)
    assert np.isfinite(losses).all()
    assert losses[-5:].mean() < 0.7 * losses[0]


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_minibatch__without_a_radius_is_plain(problem, method):
    found = train(problem, method=method, epsilon=0.0, num_steps=2)
    same(found, train(problem), rtol=1e-12)


def test_minibatch__trades_without_beta_is_plain(problem):
    found = train(problem, method="trades", epsilon=0.1, num_steps=2, beta=0.0)
    same(found, train(problem), rtol=1e-10)


def test_minibatch__each_method_makes_its_own_loss_smaller(problem):
    _, x, y = problem
    value, options = {}, {"epsilon": 0.15, "num_steps": 2, "beta": 5.0}
    for trained_by in ("plain", "pgd", "trades"):
        params = train(problem, method=trained_by, num_epochs=40, **options).params
        predict_fn = jax.tree_util.Partial(NET.apply_fn, params)
        for method in ("pgd", "trades"):
            loss = training.objective(jax.random.key(2), predict_fn, x, y, method=method, **options)
            value[trained_by, method] = float(loss)
    for method in ("pgd", "trades"):
        assert value[method, method] < 0.85 * value["plain", method]


def test_minibatch__vmap_agrees_with_one_at_a_time(problem):
    def run(key, epsilon):
        options = EPOCHS | {"method": "fgsm", "epsilon": epsilon, "num_epochs": 1}
        return training.minibatch(key, NET.apply_fn, *problem, **options)

    keys, radii = jax.random.split(jax.random.key(3), 2), jnp.array([0.05, 0.3])
    many = jax.vmap(run)(keys, radii)
    for i in range(2):
        same(jax.tree.map(lambda leaf, i=i: leaf[i], many), run(keys[i], radii[i]), rtol=1e-8)


def test_minibatch__images_and_reproducible(rng):
    net = networks.convolutional(1, 4, image_shape=(3, 3), n_out=2)
    x, y = rng.uniform(size=(12, 3, 3, 1)), np.eye(2)[rng.integers(0, 2, 12)]
    params = net.init_fn(jax.random.key(0))
    assert net.apply_fn(params, x).shape == (12, 2)
    options = {"num_epochs": 2, "batch_size": 5, "method": "pgd", "epsilon": 0.1, "num_steps": 2}
    run = partial(training.minibatch, apply_fn=net.apply_fn, params=params, x_train=x, y_train=y)
    same(run(jax.random.key(0), **options), run(jax.random.key(0), **options), rtol=0)
    first, other = (run(jax.random.key(i), **options).losses for i in (0, 1))
    assert (first != other).any()


def linear(w, x):
    return x @ w


@pytest.fixture
def logistic(rng):
    """Inputs, labels of two classes, and the weights of a linear classifier."""
    x = rng.uniform(size=(10, 3))
    return x, np.eye(2)[rng.integers(0, 2, 10)], 0.1 * rng.normal(size=(3, 2))


def sgd(problem, epochs, *, batch_size=10, seed=0, **options):
    """What SGD on a linear classifier leaves at these epochs."""
    x, y, w = problem
    options = {"learning_rate": 0.3, "optimizer": optax.sgd} | options
    run = training.minibatch(
        jax.random.key(seed), linear, w, x, y, num_epochs=epochs[-1], save_at=epochs,
        batch_size=batch_size, **options,
    )  # fmt: skip
    np.testing.assert_array_equal(run.saved.at(-1), run.params)
    return run.saved


def stepped(w, x, y):
    """The weights after one step of `sgd` on all ten examples."""
    softmax = np.exp(x @ w) / np.exp(x @ w).sum(1, keepdims=True)
    return w - 0.3 * x.T @ (softmax - y) / len(x)


def test_minibatch__saves_what_the_formula_gives_after_each_step(logistic):
    x, y, w = logistic
    saved = sgd(logistic, [0, 1, 3])
    np.testing.assert_allclose(saved.at(0), w)
    np.testing.assert_allclose(saved.at(1), stepped(w, x, y), rtol=1e-10)
    want = stepped(stepped(stepped(w, x, y), x, y), x, y)
    np.testing.assert_allclose(saved.at(2), want, rtol=1e-10)
    assert saved.steps.tolist() == [0, 1, 3]


def test_saved__out_of_range_is_an_error(logistic):
    saved = sgd(logistic, [0, 2])
    np.testing.assert_array_equal(saved.at(-2), saved.at(0))
    for index in (2, -3):
        with pytest.raises(IndexError):
            saved.at(index)


@pytest.mark.parametrize("method", ["fgsm", "pgd", "trades"])
def test_objective__gradient_of_a_closure_is_that_of_a_partial(problem, method):
    params, x, y = problem
    options = {"method": method, "epsilon": 0.1, "num_steps": 2, "norm": "l2"}

    def loss(params, predict_of):
        return training.objective(jax.random.key(3), predict_of(params), x, y, **options)

    closed = jax.grad(loss)(params, lambda p: lambda z: NET.apply_fn(p, z))
    same(closed, jax.grad(loss)(params, partial(jax.tree_util.Partial, NET.apply_fn)), rtol=1e-9)


def test_minibatch__sees_every_example_once_an_epoch():
    problem = np.eye(6), np.tile([[1.0, 0.0]], (6, 1)), np.zeros((6, 2))
    saved = sgd(problem, [1], batch_size=2, learning_rate=1.0)
    # A row of w is moved by its own example only, from 0, by a batch of two.
    np.testing.assert_allclose(saved.at(0), np.tile([[0.25, -0.25]], (6, 1)))


def test_minibatch__leaves_out_others_in_each_epoch_where_batches_do_not_fit():
    problem = np.eye(7), np.tile([[1.0, 0.0]], (7, 1)), np.zeros((7, 2))
    saved = sgd(problem, [1, 12], batch_size=3, learning_rate=1.0)
    assert (np.abs(saved.at(0)).sum(1) == 0).sum() == 1  # six of the seven
    assert (np.abs(saved.at(1)).sum(1) > 0).all()


def test_minibatch__does_not_depend_on_what_is_saved(logistic):
    ends = [sgd(logistic, at, batch_size=3).at(-1) for at in ([4], [0, 1, 4])]
    np.testing.assert_array_equal(*ends)
    assert np.abs(sgd(logistic, [4], batch_size=3, seed=1).at(-1) - ends[0]).max() > 1e-6


def test_minibatch__an_attack_on_a_linear_classifier_is_known(logistic):
    x, y, w = logistic
    options = {"method": "pgd", "epsilon": 0.1, "step_size": 0.2, "num_steps": 1}
    found = sgd(logistic, [1], **options).at(0)
    # The worst point with two classes: against the sign of the weights, from wherever one starts.
    right = np.where(y[:, :1] > 0, 1, -1) * np.sign(w[:, 0] - w[:, 1])[None]
    worst = np.clip(x - 0.1 * right, 0, 1)
    np.testing.assert_allclose(found, stepped(w, worst, y), rtol=1e-9)


def test_minibatch__the_kernel_of_a_linear_model_does_not_move(logistic):
    saved = sgd(logistic, [0, 2, 5], batch_size=5)
    kernels = np.stack([empirical.ntk(linear, saved.at(i), logistic[0]) for i in range(3)])
    assert (evolution.velocity(kernels, saved.steps) == 0).all()


def test_convolutional__outputs_are_scalar_networks_with_the_same_hidden_layer(rng):
    """Each of several outputs is the scalar network with its row of the readout."""
    many, one = (networks.convolutional(1, 4, image_shape=(3, 3), n_out=n) for n in (3, None))
    x, params = rng.uniform(size=(2, 3, 3, 1)), many.init_fn(jax.random.key(0))
    for i in range(3):
        row = [params[0], {"w": params[1]["w"][i : i + 1]}]
        np.testing.assert_allclose(one.apply_fn(row, x), many.apply_fn(params, x)[:, i])


def test_objective__trades_by_hand(problem):
    """Its attack and its two terms in NumPy's words."""
    params, x, y = problem
    predict_fn = jax.tree_util.Partial(NET.apply_fn, params)
    key, epsilon, step_size, beta = jax.random.key(5), 0.1, 0.04, 3.0

    def softmax(fx):
        e = np.exp(fx - np.max(fx, 1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    p = softmax(np.asarray(predict_fn(x)))

    def kl(z):
        return jnp.sum(p * (jnp.log(p) - jax.nn.log_softmax(predict_fn(z))))

    z = x + 0.001 * np.asarray(jax.random.normal(key, x.shape, x.dtype))
    for _ in range(4):
        z = np.clip(z, np.maximum(x - epsilon, 0), np.minimum(x + epsilon, 1))
        z = z + step_size * np.sign(jax.grad(kl)(z))
    z = np.clip(z, np.maximum(x - epsilon, 0), np.minimum(x + epsilon, 1))
    q = softmax(np.asarray(predict_fn(z)))
    wanted = -np.mean(np.sum(y * np.log(p), 1)) + beta * np.mean(np.sum(p * np.log(p / q), 1))
    options = {"epsilon": epsilon, "step_size": step_size, "num_steps": 4, "beta": beta}
    found = training.objective(key, predict_fn, x, y, method="trades", **options)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("method", training.METHODS)
def test_objective__gradient_holds_the_attack_still(problem, method):
    """Danskin: the derivative at the attacked points, which themselves do not move."""
    params, x, y = problem
    key, options = jax.random.key(6), {"epsilon": 0.1, "step_size": 0.05, "num_steps": 3}
    options |= {"method": method, "beta": 2.0}

    def loss_fn(p, at):
        predict_fn = jax.tree_util.Partial(NET.apply_fn, p)
        return training.objective(key, predict_fn, at, y, **options)

    gradient = jax.grad(loss_fn)(params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    if method in ("fgsm", "pgd"):
        how = options | {"random_start": method == "pgd", "best": False}
        how |= {} if method == "pgd" else {"step_size": 0.1, "num_steps": 1}
        how = {k: v for k, v in how.items() if k not in ("method", "beta")}
        moved = attacks.pgd(key, jax.tree_util.Partial(NET.apply_fn, params), x, y, **how)

        def at_moved(p):
            return attacks.cross_entropy(NET.apply_fn(p, moved), y).mean()

        same(gradient, jax.grad(at_moved)(params), rtol=1e-9, atol=1e-12)


def test_objective__is_ordered(problem):
    """Clean <= FGSM <= many small steps, and the default step size reaches the ball's edge."""
    params, x, y = problem
    predict_fn = jax.tree_util.Partial(NET.apply_fn, params)
    value = {
        method: float(
            training.objective(jax.random.key(0), predict_fn, x, y, method=method, epsilon=0.2)
        )
        for method in training.METHODS
    }
    assert value["plain"] < value["fgsm"] <= value["pgd"] + 1e-3
    assert value["trades"] > value["plain"]


def test_kl__by_hand_and_flat_at_the_clean_point(rng):
    fx, y = jnp.asarray(rng.normal(size=(4, 3))), jnp.asarray(rng.normal(size=(4, 3)))
    p, q = jax.nn.softmax(y), jax.nn.softmax(fx)
    np.testing.assert_allclose(attacks.kl(fx, y), (p * jnp.log(p / q)).sum(1), rtol=1e-10)
    np.testing.assert_allclose(attacks.kl(y, y), 0, atol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda z: attacks.kl(z, y).sum())(y), 0, atol=1e-12)
    far = jnp.array([[2000.0, 0.0, 0.0]])  # probabilities of 0 leave it finite
    assert np.isfinite(jax.grad(lambda z: attacks.kl(z, far[:, ::-1]).sum())(far)).all()


def test_functions__that_read_other_numbers_now_are_refused(rng):
    """JAX has compiled them; what it would return is the result of the first call."""
    read, x, y = {"scale": 1.0}, rng.normal(size=(6, 3)), rng.normal(size=6)
    apply_fn = lambda params, x: read["scale"] * x @ params  # noqa: E731
    plain = lambda params, x: x @ params  # noqa: E731
    loss_fn = lambda fx, y: read["scale"] * training.square_loss(fx, y)  # noqa: E731
    options = {"learning_rate": 0.1, "num_steps": 2}
    work = {
        "apply_fn": [
            lambda: empirical.ntk(apply_fn, np.zeros(3), x),
            lambda: training.gradient_descent(apply_fn, np.zeros(3), x, y, **options),
        ],
        "loss_fn": [
            lambda: training.gradient_descent(plain, np.zeros(3), x, y, loss_fn=loss_fn, **options)
        ],
    }
    for scale, refused in ((1.0, False), (2.0, True), (1.0, False)):
        read["scale"] = scale
        for name, calls in work.items():
            for call in calls:
                rule = pytest.raises(ValueError, match=f"`{name}` must read the arrays of its fir")
                with rule if refused else nullcontext():
                    call()
