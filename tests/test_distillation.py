"""Distillation: identities, oracles, faults; checkpoints that are whole or refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntk_course import _kip, attacks, data, distillation, kernels, networks, regression

FC = kernels.fully_connected(1, w_std=2**0.5, b_std=0.1).ntk


@pytest.fixture(scope="module")
def digits():
    """600 digits for distillation, 300 for testing, and one random image a class."""
    digits = data.load("digits", n_train=600, n_test=300)
    x, x_test = (data.flatten(part) for part in (digits.x_train, digits.x_test))
    y, rng = data.one_hot(digits.y_train), np.random.default_rng(0)
    rows = [rng.choice(np.flatnonzero(digits.y_train == c)) for c in range(10)]
    return x, y, x[rows], y[rows], x_test, digits.y_test


@pytest.fixture
def small(rng):
    x, x_s = rng.normal(size=(40, 3)), rng.normal(size=(6, 3))
    y = np.sign(x[:, :1] * x[:, 1:2])
    return x, y, x_s, np.sign(x_s[:, :1])


def accuracy(kernel_fn, x_s, y_s, x_test, labels, **options):
    fx = distillation.predict(kernel_fn, x_s, y_s, x_test, **options)
    return (fx.argmax(1) == labels).mean()


def objective(x_s, y_s, x, y, diag_reg=1e-6):
    """Eq. 27 by Cholesky, in float64, independent of the engine."""
    alpha = regression.fit(FC(x_s), y_s, diag_reg=diag_reg)
    return 0.5 * jnp.mean((FC(x, x_s) @ alpha - y) ** 2)


def test_kip__digits_random_below_label_solve_below_learned(digits, key):
    x, y, x_s, y_s, x_test, labels = digits
    solved = distillation.label_solve(FC, x_s, x, y)
    learned = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=200)
    scores = [
        accuracy(FC, a, b, x_test, labels)
        for a, b in ((x_s, y_s), (x_s, solved), (learned.x_support, learned.y_support))
    ]
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 0.9
    np.testing.assert_array_equal(learned.y_support, y_s)
    assert learned.losses[-1] < 0.6 * learned.losses[0]


@pytest.mark.parametrize("columns", [1, 2])
def test_kip__first_loss_and_first_step_are_those_of_eq_27(small, key, columns):
    x, y, x_s, y_s = small
    y, y_s = np.tile(y, (1, columns)), np.tile(y_s, (1, columns))
    run = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=1, learning_rate=0.01, save_at=[0, 1])
    value, gradient = jax.value_and_grad(objective)(jnp.asarray(x_s), y_s, x, y)
    np.testing.assert_allclose(run.losses, [value], rtol=1e-8)
    np.testing.assert_array_equal(run.saved[0], x_s)
    # Adam's first step is the sign of the gradient times the learning rate.
    np.testing.assert_allclose(run.saved[1], x_s - 0.01 * np.sign(gradient), atol=1e-6)
    if columns == 1:
        right = np.sign(FC(x, x_s) @ regression.fit(FC(x_s), y_s, diag_reg=1e-6)) == y
        np.testing.assert_allclose(run.accuracies, right.mean())


def test_kip__gradient_by_finite_differences_also_of_the_labels(small, key):
    x, y, x_s, y_s = small
    run = distillation.kip(
        key, FC, x, y, x_s, y_s, num_steps=1, learning_rate=1e-6, learn_labels=True
    )
    moved = distillation.kip(
        key, FC, x, y, x_s, y_s, num_steps=2, learning_rate=1e-6, learn_labels=True
    )
    step = 1e-6
    gradient_x, gradient_y = jax.grad(objective, (0, 1))(jnp.asarray(x_s), jnp.asarray(y_s), x, y)
    predicted = -step * (jnp.abs(gradient_x).sum() + jnp.abs(gradient_y).sum())
    np.testing.assert_allclose(moved.losses[1] - run.losses[0], predicted, rtol=1e-3)
    for i, j in ((0, 0), (3, 2)):
        bump = np.zeros_like(x_s)
        bump[i, j] = 1e-5
        slope = objective(x_s + bump, y_s, x, y) - objective(x_s - bump, y_s, x, y)
        np.testing.assert_allclose(gradient_x[i, j], slope / 2e-5, rtol=1e-4)


def test_kip__blocks_change_nothing(small, key, monkeypatch):
    x, y, x_s, y_s = small
    whole = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=5, learn_labels=True)
    layout = kernels.Workspace(blocks=4, rows=11, columns=4, needed=1.0)
    monkeypatch.setattr(kernels, "workspace", lambda *_: layout)
    parts = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=5, learn_labels=True)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_weights_of__fits_where_cholesky_breaks_down(rng):
    points = rng.normal(size=(60, 3))
    k = points @ points.T  # of rank 3
    y = k @ rng.normal(size=(60, 2))
    rounded, reg = jnp.asarray(k, jnp.float32), 1e-8
    shifted = rounded + reg * jnp.trace(rounded) / 60 * jnp.eye(60, dtype=jnp.float32)
    assert not jnp.isfinite(jnp.linalg.cholesky(shifted)).all()
    weights = _kip.weights_of(rounded, jnp.asarray(y, jnp.float32), reg)
    np.testing.assert_allclose(k @ weights, y, atol=5e-4 * np.abs(y).max())


def test_kip__float32_with_equal_support_points_stays_finite(digits, key):
    x, y, x_s, y_s, *_ = digits
    twice = [np.concatenate([part, part]) for part in (x_s, y_s)]
    run = distillation.kip(key, FC, x, y, *twice, num_steps=20, diag_reg=1e-6)
    assert np.isfinite(run.losses).all()
    assert run.losses[-1] < run.losses[0]
    assert run.x_support.dtype == np.float32


def test_kip__float32_follows_float64(digits, key):
    x, y, x_s, y_s, *_ = digits
    runs = [
        distillation.kip(key, FC, *(p.astype(dtype) for p in (x, y, x_s, y_s)), num_steps=40).losses
        for dtype in (np.float32, np.float64)
    ]
    np.testing.assert_allclose(*runs, rtol=0.01)


def test_kip__batches_are_balanced_and_reproducible(small, key):
    x, y, x_s, y_s = small
    seen = []

    def record(key, batch):
        seen.append(np.asarray(batch))
        return batch

    options = {"num_steps": 4, "batch_size": 10, "augment_fn": record}
    first = distillation.kip(key, FC, x, y, x_s, y_s, **options)
    again = distillation.kip(key, FC, x, y, x_s, y_s, **options)
    np.testing.assert_array_equal(first.losses, again.losses)
    for batch in seen:
        signs = np.sign(batch[:, 0] * batch[:, 1])
        assert (signs > 0).sum() == 5
        assert len(np.unique(batch, axis=0)) == 10
    assert not np.array_equal(seen[0], seen[1])
    other = distillation.kip(jax.random.key(1), FC, x, y, x_s, y_s, **options)
    assert not np.array_equal(other.losses, first.losses)


def test_kip__augmentation_reaches_the_targets(small, key):
    x, y, x_s, y_s = small
    plain = distillation.kip(key, FC, 2 * x, y, x_s, y_s, num_steps=2)
    doubled = distillation.kip(
        key, FC, x, y, x_s, y_s, num_steps=2, augment_fn=lambda key, batch: 2 * batch
    )
    np.testing.assert_array_equal(plain.losses, doubled.losses)


def test_kip__diverging_run_says_what_to_change_and_returns_the_best(small, key):
    x, y, x_s, y_s = small
    steps = []

    def kernel_fn(x1, x2):
        return FC(x1, x2)

    def explode(key, batch):
        steps.append(1)
        return batch if len(steps) < 4 else jnp.full_like(batch, jnp.nan)

    with pytest.warns(UserWarning, match=r"`learning_rate` must keep .* at step 3\. Lower it"):
        run = distillation.kip(key, kernel_fn, x, y, x_s, y_s, num_steps=9, augment_fn=explode)
    assert len(run.losses) == 3
    lowest = np.argmin(run.losses)
    best = objective(run.x_support, run.y_support, x, y)
    np.testing.assert_allclose(best, run.losses[lowest], rtol=1e-6)


def test_kip__ctrl_c_returns_the_best_and_keeps_the_run(small, key, tmp_path):
    x, y, x_s, y_s = small
    steps = []

    def interrupt(key, batch):
        steps.append(1)
        if len(steps) == 7:  # the first call looks what it does, for the checkpoint
            raise KeyboardInterrupt
        return batch

    options = {"num_steps": 9, "checkpoint": tmp_path / "run.npz", "augment_fn": interrupt}
    stopped = distillation.kip(key, FC, x, y, x_s, y_s, **options)
    assert len(stopped.losses) == 4  # the batch of step 6 is drawn while step 5 is computed
    resumed = distillation.kip(key, FC, x, y, x_s, y_s, **options)
    whole = distillation.kip(
        key, FC, x, y, x_s, y_s, num_steps=9, augment_fn=lambda key, batch: batch
    )
    for a, b in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kip__checkpoint_of_a_finished_run_can_be_extended(small, key, tmp_path):
    x, y, x_s, y_s = small
    options = {"batch_size": 8, "save_at": [0, 2, 7], "checkpoint": tmp_path / "a" / "run.npz"}
    distillation.kip(key, FC, x, y, x_s, y_s, num_steps=4, **options)
    longer = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=8, **options)
    options["checkpoint"] = None
    whole = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=8, **options)
    for a, b in zip(longer, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["run.npz"]  # no half-written rest


def test_kip__foreign_checkpoints_are_refused_and_left(small, key, tmp_path):
    x, y, x_s, y_s = small
    path = tmp_path / "run.npz"
    options = {"num_steps": 2, "checkpoint": path}
    distillation.kip(key, FC, x, y, x_s, y_s, **options)
    whole = path.read_bytes()
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    for foreign in ((tmp_path / "other.npz").read_bytes(), b"notes\n" * 99):
        path.write_bytes(foreign)
        with pytest.raises(ValueError, match="`checkpoint` must be a whole checkpoint of this"):
            distillation.kip(key, FC, x, y, x_s, y_s, **options)
        assert path.read_bytes() == foreign
    path.write_bytes(whole)
    for changed, arguments in (
        ("targets", (key, FC, x + 1, y, x_s, y_s)),
        ("support", (key, FC, x, y, x_s + 1, y_s)),
        ("key", (jax.random.key(9), FC, x, y, x_s, y_s)),
        ("kernel_fn", (key, kernels.fully_connected(2).ntk, x, y, x_s, y_s)),
    ):
        with pytest.raises(ValueError, match=f"`checkpoint` must belong .*differs in.*{changed}"):
            distillation.kip(*arguments, **options)
    with pytest.raises(ValueError, match="differs in options"):
        distillation.kip(key, FC, x, y, x_s, y_s, learning_rate=0.1, **options)
    with pytest.raises(ValueError, match="differs in augment_fn or attack_fn"):
        distillation.kip(key, FC, x, y, x_s, y_s, augment_fn=lambda key, batch: batch, **options)
    with pytest.raises(ValueError, match="`num_steps` must be an integer >= 2"):
        distillation.kip(key, FC, x, y, x_s, y_s, num_steps=1, checkpoint=path)
    assert path.read_bytes() == whole


def test_kip__a_checkpoint_knows_the_attack(small, key, tmp_path):
    options = {"num_steps": 2, "checkpoint": tmp_path / "run.npz"}
    how = {"step_size": 0.1, "num_steps": 2, "bounds": None, "loss": "square", "best": False}

    def run(epsilon, **other):
        attack = partial(attacks.pgd, epsilon=epsilon, **how | other)
        distillation.kip(key, FC, *small, attack_fn=attack, **options)

    run(0.01)
    run(0.01)
    for other in ({"epsilon": 0.5}, {"epsilon": 0.01, "step_size": 0.003, "num_steps": 3}):
        with pytest.raises(ValueError, match="differs in augment_fn or attack_fn"):
            run(**other)


def test_kip__augmentation_and_attack_draw_from_different_keys(small, key):
    x, y, x_s, y_s = small
    moved, attacked = [], []

    def augment(key, batch):
        moved.append(jax.random.key_data(key).tolist())
        return batch

    def attack(key, predict_fn, x, y):
        jax.debug.callback(lambda words: attacked.append(words.tolist()), jax.random.key_data(key))
        return x

    options = {"num_steps": 3, "augment_fn": augment, "attack_fn": attack}
    distillation.kip(key, FC, x, y, x_s, y_s, **options)
    jax.effects_barrier()
    words = {tuple(word) for word in moved}, {tuple(word) for word in attacked}
    assert len(words[0]) == 3 <= len(words[1])
    assert words[0].isdisjoint(words[1])


def test_kip__attack_sees_the_current_set(small, key):
    """The first loss is that of the targets attacked from outside; epsilon = 0 is plain KIP."""
    x, y, x_s, y_s = small
    attack = {
        "step_size": 0.05,
        "num_steps": 5,
        "random_start": False,
        "bounds": None,
        "loss": "square",
    }
    harmless = partial(attacks.pgd, epsilon=0.0, **attack)
    plain = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=6)
    same = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=6, attack_fn=harmless)
    np.testing.assert_allclose(same.x_support, plain.x_support, rtol=1e-9)

    harmful = partial(attacks.pgd, epsilon=0.2, **attack)
    robust = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=150, attack_fn=harmful)

    def worst_loss(x_s):
        alpha = regression.fit(FC(x_s), y_s, diag_reg=1e-6)
        return objective(x_s, y_s, harmful(key, lambda z: FC(z, x_s) @ alpha, x, y), y)

    np.testing.assert_allclose(robust.losses[0], worst_loss(x_s), rtol=1e-6)
    naive = distillation.kip(key, FC, x, y, x_s, y_s, num_steps=150)
    assert worst_loss(robust.x_support) < worst_loss(naive.x_support)


@pytest.mark.parametrize("m", [3, 10])
def test_label_solve__beats_every_other_label(digits, rng, m):
    x, y, x_s, y_s, *_ = (np.asarray(p, np.float64) for p in digits)
    x_s, y_s = x_s[:m], y_s[:m]
    solved = distillation.label_solve(FC, x_s, x, y)
    best = objective(x_s, solved, x, y)
    assert best <= objective(x_s, y_s, x, y)
    for _ in range(5):
        assert best <= objective(x_s, solved + 1e-3 * rng.normal(size=solved.shape), x, y)
    gradient = jax.grad(objective, 1)(jnp.asarray(x_s), jnp.asarray(solved), x, y)
    assert jnp.abs(gradient).max() < 1e-8


def test_label_solve__its_ridge_is_relative_to_the_kernel(small):
    x, y, x_s, _ = small
    loud = distillation.label_solve(lambda a, b: 100 * FC(a, b), x_s, x, y, diag_reg=0.1)
    np.testing.assert_allclose(loud, distillation.label_solve(FC, x_s, x, y, diag_reg=0.1))


def test_predict__is_kernel_ridge_regression(small):
    x, _, x_s, y_s = small
    alpha = regression.fit(FC(x_s), y_s, diag_reg=1e-3)
    expected = regression.predict(FC(x, x_s), alpha)
    np.testing.assert_allclose(
        distillation.predict(FC, x_s, y_s, x, diag_reg=1e-3), expected, rtol=1e-8
    )


def linear(d):
    """f(x) = theta . x, from theta_0 ~ N(0, I)."""
    return networks.Network(lambda key: jax.random.normal(key, (d,)), lambda w, x: x @ w)


def test_inner_step__is_gradient_descent(rng):
    x, y, w = rng.normal(size=(4, 3)), rng.normal(size=4), jnp.asarray(rng.normal(size=3))
    after = distillation.inner_step(linear(3).apply_fn, w, x, y, 0.1)
    np.testing.assert_allclose(after, w - 0.1 * x.T @ (x @ w - y), rtol=1e-12)


@pytest.mark.parametrize("m", [2, 4, 6])
def test_one_step__linear_floor_is_the_missing_dimensions(rng, key, m):
    """E |theta_1 - theta*|^2 >= D - M for whitened inputs and a random start (rank of a step)."""
    d, n = 6, 200
    x = np.linalg.qr(rng.normal(size=(n, d)))[0] * np.sqrt(n)  # X^T X / n = I
    y = x @ (np.eye(d)[0] * 1.5)
    run = distillation.one_step(
        key, linear(d), x, y, rng.normal(size=(m, d)), np.ones(m),
        num_steps=1500, learning_rate=0.02, inner_rate=0.1, num_inits=64,
        loss_fn=lambda fx, y: jnp.sum((fx - y) ** 2),
    )  # fmt: skip
    step = 2 * run.inner_rate * run.x_support.T @ run.x_support
    eigenvalues = np.linalg.eigvalsh(step)
    np.testing.assert_allclose(eigenvalues, [0] * (d - m) + [1] * m, atol=0.05)
    floor = np.sum((np.eye(d) - step) ** 2)  # the mean over theta_0, without the offset
    np.testing.assert_allclose(floor, d - m, atol=0.02 * d)


def test_one_step__fixed_initialization_falls_to_zero(rng, key):
    x, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    w = np.linalg.lstsq(x, y)[0]
    best = np.sum((x @ w - y) ** 2) / 2 / 50
    run = distillation.one_step(
        key, linear(4), x, y, rng.normal(size=(4, 4)), np.ones(4), num_steps=800, inner_rate=0.1
    )
    np.testing.assert_allclose(run.losses[-1], best, rtol=1e-3)
    start = linear(4).init_fn(key)
    after = distillation.inner_step(
        linear(4).apply_fn, start, run.x_support, jnp.ones(4), run.inner_rate
    )
    np.testing.assert_allclose(after, w, atol=0.02)
