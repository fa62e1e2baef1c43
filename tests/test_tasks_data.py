import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ntk_course import data, runtime, tasks

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("train_readout", [False, True])
def test_circle_eigenvalues__by_numerical_integration(bias, train_readout):
    theta = np.linspace(0, 2 * np.pi, 200_001)[:-1]
    k = np.asarray(tasks.circle_ntk(jnp.zeros(1), jnp.asarray(theta), bias=bias))[0]
    if not train_readout:
        u = np.cos(theta)
        angle = np.minimum(theta, 2 * np.pi - theta)
        k = k - (np.sin(angle) + (np.pi - angle) * u) / np.pi
    frequencies = np.arange(9)
    measured = [(k * np.cos(f * theta)).mean() for f in frequencies]
    exact = tasks.circle_eigenvalues(frequencies, bias=bias, train_readout=train_readout)
    np.testing.assert_allclose(measured, exact, atol=1e-9)


def test_circle_eigenvalues__published_forms():
    even, odd = np.arange(2, 12, 2), np.arange(3, 13, 2)
    np.testing.assert_allclose(
        tasks.circle_eigenvalues(even), 2 * (even**2 + 3) / (np.pi**2 * (even**2 - 1) ** 2)
    )
    assert not tasks.circle_eigenvalues(odd).any()
    first = tasks.circle_eigenvalues(even, bias=True, train_readout=False)
    np.testing.assert_allclose(first, 2 * (even**2 + 1) / (np.pi**2 * (even**2 - 1) ** 2))
    np.testing.assert_allclose(tasks.circle_eigenvalues(odd, bias=True), 2 / (np.pi * odd) ** 2)
    np.testing.assert_allclose(tasks.circle_eigenvalues([0, 1]), [6 / np.pi**2, 0.5])


def test_circle_ntk__is_the_kernel_on_scaled_points():
    from ntk_course import kernels

    angles = tasks.circle_angles(16, density_ratio=3.0)
    x = jnp.sqrt(2.0) * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    expected = kernels.fully_connected(1).ntk(x)
    np.testing.assert_allclose(tasks.circle_ntk(angles), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 4.0, 9.0])
def test_circle_angles__have_the_density(ratio):
    angles = np.asarray(tasks.circle_angles(2000, density_ratio=ratio))
    upper = (angles < np.pi).sum()
    assert upper / (2000 - upper) == pytest.approx(ratio, rel=0.01)
    assert (np.diff(angles) > 0).all()
    gaps = np.diff(angles)
    assert gaps[-10:].mean() / gaps[:10].mean() == pytest.approx(ratio)


def test_load__digits():
    digits = data.load("digits")
    assert digits.x_train.shape == (1297, 8, 8, 1)
    assert digits.x_test.shape == (500, 8, 8, 1)
    assert digits.x_train.dtype == np.float32
    assert 0 <= digits.x_train.min() < digits.x_train.max() == 1
    again = data.load("digits", n_train=100, n_test=20)
    assert again.x_train.shape == (100, 8, 8, 1)
    assert {img.tobytes() for img in again.x_test} <= {img.tobytes() for img in digits.x_test}
    everything = np.concatenate([digits.x_train, digits.x_test])
    assert len(np.unique(everything.reshape(1797, -1), axis=0)) > 1700


def test_read_idx__real_mnist():
    if not SHARED.exists():
        pytest.skip("the real MNIST test files are not beside the project")
    images = data._read_idx(SHARED / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = data._read_idx(SHARED / "mnist" / "t10k-labels-idx1-ubyte.gz")
    assert images.shape == (10_000, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    registry = data._SOURCES["mnist"][1]
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        digest = hashlib.md5((SHARED / "mnist" / name).read_bytes()).hexdigest()
        assert registry[name] == f"md5:{digest}"


def test_one_hot__rows_sum_to_zero():
    y = data.one_hot(np.array([0, 2]), 3)
    np.testing.assert_allclose(y, [[2 / 3, -1 / 3, -1 / 3], [-1 / 3, -1 / 3, 2 / 3]], rtol=1e-6)
    assert data.one_hot(np.array([1]), 2, centred=False).tolist() == [[0, 1]]


def test_scale__picks_and_prints():
    assert runtime.scale("full").pick(1, 2) == 2
    assert str(runtime.scale()).startswith("scale: quick | device: ")


def test_zca__whitens_and_regularizes(rng):
    x = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    white = data.zca(x, reg=0.0, unit_norm=False)(x)
    np.testing.assert_allclose(white.T @ white / 500, np.eye(4), atol=1e-10)
    values = np.linalg.eigvalsh(x.T @ x / 500)
    soft = data.zca(x, reg=0.5, unit_norm=False)(x)
    shrunk = values / (values + 0.5 * values.mean())
    np.testing.assert_allclose(np.linalg.eigvalsh(soft.T @ soft / 500), np.sort(shrunk))


def test_zca__ignores_brightness_and_contrast_and_keeps_shape_and_dtype(rng):
    images = rng.uniform(size=(30, 4, 4, 3)).astype(np.float32)
    whiten = data.zca(images)
    white = whiten(images[:5])
    assert (white.shape, white.dtype) == ((5, 4, 4, 3), np.float32)
    other = np.linspace(0.1, 0.5, 5, dtype=np.float32)[:, None, None, None]  # for each image
    np.testing.assert_allclose(whiten(other * images[:5] + other), white, atol=1e-4)
    assert np.isfinite(whiten(np.ones((1, 4, 4, 3)))).all()  # a constant image


def test_augment__moves_whole_images(key):
    image = jnp.zeros((1, 5, 5, 1)).at[0, 2, 1].set(1.0)
    many = np.asarray(data.augment(key, jnp.repeat(image, 300, 0), shift=1))[..., 0]
    np.testing.assert_array_equal(many.sum((1, 2)), 1)
    places = {tuple(np.argwhere(one)[0].tolist()) for one in many}
    assert places == {(r, c) for r in (1, 2, 3) for c in (0, 1, 2)}
    np.testing.assert_array_equal(data.augment(key, image, shift=0), image)
