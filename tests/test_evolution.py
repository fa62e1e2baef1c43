"""Distance, velocity and alignment against NumPy."""

import jax
import numpy as np
import pytest

from ntk_course import evolution


@pytest.fixture
def grams(rng):
    """Four kernels of six points, each nearer to the last than the one before."""
    features = rng.normal(size=(6, 3)) + 0.1 ** np.arange(4)[:, None, None] * rng.normal(
        size=(4, 6, 3)
    )
    return features @ features.transpose(0, 2, 1)


def test_center__is_the_gram_matrix_of_centred_features(rng):
    features = rng.normal(size=(5, 3))
    moved = features - features.mean(0)
    np.testing.assert_allclose(evolution.center(features @ features.T), moved @ moved.T, atol=1e-12)
    twice = evolution.center(evolution.center(features @ features.T))
    np.testing.assert_allclose(twice, moved @ moved.T, atol=1e-12)


def test_distance__is_one_minus_the_cosine(grams):
    a, b = grams[:2]
    by_hand = 1 - np.trace(a @ b.T) / np.sqrt((a**2).sum() * (b**2).sum())
    np.testing.assert_allclose(evolution.distance(a, b), by_hand, rtol=1e-12)
    np.testing.assert_allclose(evolution.distance(b, a), by_hand, rtol=1e-12)


def test_distance__to_a_fixed_kernel_inside_jit(grams):
    a, b = grams[:2]
    inside = jax.jit(lambda k: evolution.distance(k, b))(a)
    np.testing.assert_allclose(inside, evolution.distance(a, b), rtol=1e-12)


def test_distance__knows_no_scale_and_keeps_its_digits(grams):
    k, change = grams[0].astype(np.float32), np.zeros((6, 6), np.float32)
    change[0, 0] = 1e-4 * np.linalg.norm(k)
    assert float(evolution.distance(k, 8 * k)) == 0
    small = np.float64(change[0, 0]) ** 2 * (1 - (k[0, 0] / np.linalg.norm(k)) ** 2)
    want = small / 2 / np.linalg.norm(k) ** 2  # 1 - cos in second order; 1 - 1 in float32
    np.testing.assert_allclose(evolution.distance(k, k + change), want, rtol=1e-2)


def test_distance__largest_for_kernels_of_other_points():
    assert float(evolution.distance(np.diag([1.0, 0.0]), np.diag([0.0, 2.0]))) == pytest.approx(1)


def test_velocity__is_distance_over_time(grams):
    times = [0, 1, 3, 7]
    got = evolution.velocity(grams, times)
    for i, dt in enumerate((1, 2, 4)):
        want = float(evolution.distance(grams[i], grams[i + 1])) / dt
        np.testing.assert_allclose(got[i], want, rtol=1e-12)
    assert (np.diff(got) < 0).all()
    np.testing.assert_allclose(evolution.velocity(grams, np.array(times) / 2), 2 * got)


@pytest.mark.parametrize("outputs", [None, 3])
def test_alignment__is_the_cosine_with_the_label_kernel(grams, rng, outputs):
    y = rng.normal(size=(6,) if outputs is None else (6, outputs))
    h = np.eye(6) - np.ones((6, 6)) / 6
    k, labels = h @ grams[0] @ h, (h @ y).reshape(6, -1)
    size = np.linalg.norm(k) * np.linalg.norm(labels @ labels.T)
    want = np.trace(labels.T @ k @ labels) / size
    np.testing.assert_allclose(evolution.alignment(grams[0], y), want, rtol=1e-12)


def test_alignment__one_for_the_label_kernel_whatever_is_added():
    y = np.array([1.0, 1.0, -1.0, -1.0, 1.0])
    assert float(evolution.alignment(3 * np.outer(y, y) + 7, y + 2)) == pytest.approx(1)


def test_concentration__counts_eigenvalues():
    k = np.diag([1.0, 4.0, 3.0, 2.0])
    for top, share in ((1, 0.4), (2, 0.7), (4, 1.0)):
        np.testing.assert_allclose(evolution.concentration(k, top), share)
    assert float(evolution.concentration(np.ones((3, 3)))) == pytest.approx(1)


def test_label_share__projects_on_the_leading_eigenvectors(grams, rng):
    y = rng.normal(size=(6, 2))
    h = np.eye(6) - np.ones((6, 6)) / 6
    vectors = np.linalg.svd(h @ grams[0] @ h)[0]
    labels = h @ y
    for top in (1, 2):
        want = (vectors[:, :top].T @ labels) ** 2
        got = evolution.label_share(grams[0], y, top)
        np.testing.assert_allclose(got, want.sum() / (labels**2).sum(), rtol=1e-9)
    np.testing.assert_allclose(evolution.label_share(grams[0], y, 6), 1)
