"""Features: exact usefulness of linear ones, the attack's infimum, and the parts of the kernel."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ntk_course import features, kernels, regression

Partial = jax.tree_util.Partial
CIFAR = Path(__file__).resolve().parents[2] / "shared/data/cifar10/cifar10_3044.npz"


def linear(w, x):
    return x @ w


@pytest.fixture
def problem(rng):
    x = rng.uniform(0.3, 0.7, size=(60, 5))
    y = np.where(x @ [1.0, -1.0, 0.5, 0.0, 0.2] > 0.35, 1.0, -1.0)
    return x, y


def test_normalize__mean_0_and_mean_square_1(problem):
    x, _ = problem
    f = features.normalize(lambda x: 3 + 2 * x[:, 0] ** 2, x)
    np.testing.assert_allclose([f(x).mean(), (f(x) ** 2).mean()], [0, 1], atol=1e-12)
    scaled = features.normalize(lambda x: 3 + 2 * x[:, 0] ** 2, x, centre=False)
    np.testing.assert_allclose((scaled(x) ** 2).mean(), 1, atol=1e-12)
    assert scaled(x).min() > 0


def test_usefulness__is_the_correlation(problem):
    x, y = problem
    y = y * np.resize([1, 1, 1, -1], len(y))
    for i in range(5):
        f = features.normalize(Partial(linear, np.eye(5)[i]), x)
        expected = np.mean(y * (x[:, i] - x[:, i].mean())) / x[:, i].std()
        assert features.usefulness(f, x, y) == pytest.approx(expected)
        minus = features.normalize(Partial(linear, -np.eye(5)[i]), x)
        assert features.usefulness(minus, x, y) == pytest.approx(-expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_robust_usefulness__of_linear_features_is_exact(problem, key, norm):
    (x, y), w, epsilon = problem, np.array([1.0, -2.0, 0.5, 0.0, 0.3]), 0.1
    f = features.normalize(Partial(linear, w), x)
    cost = np.abs(w).sum() if norm == "linf" else np.linalg.norm(w)
    exact = features.usefulness(f, x, y) - epsilon * cost / (x @ w).std()
    got = features.robust_usefulness(key, f, x, y, epsilon=epsilon, norm=norm, bounds=None)
    assert got == pytest.approx(exact, abs=1e-9)
    assert features.robust_usefulness(key, f, x, y, epsilon=0.0) == features.usefulness(f, x, y)


def test_worst_points__beat_sampling_inside_ball_and_bounds(problem, key, rng):
    x, y = problem
    f = features.normalize(lambda x: jnp.tanh(3 * x[:, 0] * x[:, 1]) - x[:, 2] ** 2, x)
    moved = np.asarray(features.worst_points(key, f, x, y, epsilon=0.2, bounds=(0.25, 0.75)))
    assert np.abs(moved - x).max() <= 0.2
    assert 0.25 <= moved.min() <= moved.max() <= 0.75
    least = y * f(moved)
    for _ in range(50):
        other = np.clip(x + rng.uniform(-0.2, 0.2, x.shape), 0.25, 0.75)
        assert (least <= y * f(other) + 1e-9).all()


def test_worst_points__of_a_linear_feature_are_corners(problem, key):
    x, y = problem
    slopes = np.linspace(-1.0, 1.0, x.shape[1] + 1)[:-1] + 0.05
    moved = features.worst_points(key, lambda x: x @ slopes, x, y, epsilon=0.1, bounds=None)
    np.testing.assert_allclose(moved - x, -0.1 * np.sign(np.outer(y, slopes)), rtol=1e-6)


def test_worst_points__reach_a_valley_inside_the_ball_from_any_start(key):
    """FGSM ends at a corner, and of 200 random numbers some start far from the valley."""
    x, valley = np.full((20, 10), 0.5), 0.55
    moved = features.worst_points(
        key, lambda x: ((x - valley) ** 2).sum(1), x, np.ones(20), epsilon=0.1
    )
    assert np.abs(moved - valley).max() <= 2.5 * 0.1 / 20


def test_ntk_features__sum_to_the_predictor_and_to_one(problem, rng):
    x, y = problem
    kernel_fn, new = kernels.fully_connected(2).ntk, rng.uniform(size=(20, 5))
    k, k_new = kernel_fn(x), kernel_fn(new, x)
    parts = features.ntk_features(k, y)
    whole = regression.predict(k_new, regression.fit(k, y))
    np.testing.assert_allclose((k_new @ parts.alphas).sum(1), whole, atol=1e-10)
    assert float((parts.usefulness**2).sum()) == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(parts.eigenvalues) <= 0).all()
    on_train = np.asarray(k @ parts.alphas)
    np.testing.assert_allclose((on_train**2).mean(0) ** 0.5, parts.usefulness, atol=1e-9)
    for i in (0, 7, 40):
        f = features.normalize(lambda z, i=i: kernel_fn(z, x) @ parts.alphas[:, i], x, centre=False)
        assert features.usefulness(f, x, y) == pytest.approx(float(parts.usefulness[i]), abs=1e-8)
    # A projection: the feature of the part is the part.
    v = on_train / np.linalg.norm(on_train, axis=0)
    np.testing.assert_allclose(v.T @ v, np.eye(len(x)), atol=1e-7)


def test_ntk_features__duplicates_have_no_feature():
    x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    parts = features.ntk_features(kernels.fully_connected(1).ntk(x), np.array([1.0, -1.0, 1.0]))
    assert parts.eigenvalues[-1] == 0
    assert not parts.alphas[:, -1].any()
    assert np.isfinite(parts.alphas).all()
    assert parts.usefulness[-1] == 0


def cifar_pair(rng, low=0, high=1, n=500):
    """Planes and cars of real CIFAR-10 images: n to train on, the others to test."""
    if not CIFAR.exists():
        pytest.skip("the CIFAR-10 images are not beside the project (shared/data/cifar10)")
    with np.load(CIFAR) as stored:
        rows = rng.permutation(np.flatnonzero(np.isin(stored["y"], (low, high))))
        x = stored["x"][rows].reshape(len(rows), -1) / 255.0
        y = np.where(stored["y"][rows] == high, 1.0, -1.0)
    return (x[:n], y[:n]), (x[n:], y[n:])


def test_ntk_features__early_ones_are_robust_on_cifar_and_late_ones_are_not(rng, key):
    (x, y), (x_test, y_test) = cifar_pair(rng)
    ntk = kernels.fully_connected(1).ntk
    parts = features.ntk_features(ntk(x), y)

    def feature(alpha, points):
        return ntk(points, x) @ alpha

    def accuracies(alpha):
        f = Partial(feature, alpha)
        moved = features.worst_points(key, f, x_test, y_test, epsilon=8 / 255, num_steps=4)
        return [float(np.mean(np.sign(f(points)) == y_test)) for points in (x_test, moved)]

    clean, robust = accuracies(parts.alphas.sum(1))
    assert clean > 0.7
    assert robust < 0.1
    table = {i: accuracies(parts.alphas[:, i]) for i in (0, 1, 4, 24, 374)}
    assert min(table[i][1] for i in (0, 4)) > 0.2
    assert max(table[i][1] for i in (24, 374)) < 0.15
    index = [0, 1, 2, 4, 9, 24, 99, 374]
    robust = [accuracies(parts.alphas[:, i])[1] for i in index]
    assert stats.spearmanr(index, robust)[0] < -0.8
