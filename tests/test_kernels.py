from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import extended_precision_ntk, float32_only, neural_tangents_kernel

from ntk_course import _layers, empirical, kernels, networks

NORMALIZATIONS = [(None, 0.0), (1.3, 0.2)]


def rows(rng):
    """Generic rows, then an equal, a scaled and a near-equal one."""
    x = rng.normal(size=(8, 10))
    x[4], x[5] = x[1], x[1] * (1 + 1e-9)
    x[6] = x[1] + 1e-6 * rng.normal(size=10)
    return jnp.asarray(x)


def images(rng, channels=3):
    """As `rows`, with images; one is mostly zero."""
    x = rng.normal(size=(6, 5, 4, channels))
    x[3], x[4] = x[1], x[1] + 1e-7 * rng.normal(size=x[1].shape)
    x[5] = 0
    x[5, 2:4, 1:3] = 1
    return jnp.asarray(x)


def relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs) / np.maximum(np.abs(theirs), 1e-3)


@pytest.mark.parametrize(("w_std", "b_std"), NORMALIZATIONS)
@pytest.mark.parametrize("depth", [1, 2, 5, 10])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_fully_connected__agrees_with_neural_tangents(stax, rng, depth, activation, w_std, b_std):
    x = rows(rng)
    theirs = neural_tangents_kernel(stax, depth, activation, w_std, b_std)
    for which in ("nngp", "ntk"):
        expected = theirs(x, x[:4], which)
        for precise in (False, True):
            ours = kernels.fully_connected(
                depth, activation, w_std=w_std, b_std=b_std, precise=precise
            )
            error = relative_error(getattr(ours, which)(x, x[:4]), expected)
            assert error.max() <= 1e-7, "all pairs"
            assert np.delete(error[:4], np.arange(0, 16, 5)).max() <= 1e-10, "generic pairs"


@pytest.mark.parametrize(("w_std", "b_std"), NORMALIZATIONS)
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_convolutional__agrees_with_neural_tangents(
    stax, rng, depth, activation, w_std, b_std, readout
):
    x = images(rng)
    ours = kernels.convolutional(depth, activation, readout=readout, w_std=w_std, b_std=b_std)
    theirs = neural_tangents_kernel(
        stax, depth, activation, w_std, b_std, conv=True, pool=readout == "pool"
    )
    for which in ("nngp", "ntk"):
        error = relative_error(getattr(ours, which)(x, x[:3]), theirs(x, x[:3], which))
        assert error.max() <= 1e-7, "all pairs"
        assert np.delete(error[:3], np.arange(0, 9, 4)).max() <= 1e-10, "generic pairs"


@pytest.mark.parametrize("readout", ["flatten", "pool"])
@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_convolutional__of_images_one_pixel_high_or_wide(stax, rng, shape, readout):
    x = rng.normal(size=(4, *shape, 2))
    ours = kernels.convolutional(2, readout=readout, w_std=1.3, b_std=0.2)
    theirs = neural_tangents_kernel(stax, 2, "relu", 1.3, 0.2, conv=True, pool=readout == "pool")
    for which in ("nngp", "ntk"):
        error = relative_error(getattr(ours, which)(x, x[:3]), theirs(x, x[:3], which))
        assert error.max() <= 1e-7


def test_erf__parallel_rows_of_any_length_are_finite_in_float32(rng):
    b = rng.normal(size=(1, 50)).astype(np.float32)
    kernel_fn = kernels.fully_connected(1, "erf").ntk
    for size in (1.0, 1e2, 1e4):
        assert np.isfinite(kernel_fn(size * np.concatenate([b, np.float32(1.001) * b]))).all()


@pytest.mark.parametrize("depth", [1, 3, 10])
@pytest.mark.parametrize(("w_std", "b_std"), NORMALIZATIONS)
def test_fully_connected__float32_diagonal_and_duplicates(rng, depth, w_std, b_std):
    x = jnp.asarray(rng.normal(size=(40, 784)), jnp.float32)
    x = x.at[20:].set(x[:20])
    k = kernels.fully_connected(depth, w_std=w_std, b_std=b_std).ntk(x)
    exact = [extended_precision_ntk(row, row, depth, w_std, b_std) for row in x[:5]]
    for i, value in enumerate(exact):
        assert abs(float(k[i, i]) / value - 1) <= 2e-6
        assert abs(float(k[i, i + 20]) / value - 1) <= 2e-6


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-5])
def test_fully_connected__float32_near_equal_rows(stax, rng, depth, distance):
    base = rng.normal(size=(12, 100))
    x1 = jnp.asarray(base, jnp.float32)
    x2 = jnp.asarray(base + distance * rng.normal(size=base.shape), jnp.float32)
    exact = np.array([extended_precision_ntk(a, b, depth) for a, b in zip(x1, x2, strict=True)])
    with float32_only():
        theirs = np.diag(neural_tangents_kernel(stax, depth, "relu", None, 0.0)(x1, x2, "ntk"))
        default = np.diag(kernels.fully_connected(depth).ntk(x1, x2))
        precise = np.diag(kernels.fully_connected(depth, precise=True).ntk(x1, x2))
    assert theirs.dtype == default.dtype == precise.dtype == np.float32

    def worst(k):
        return np.abs(k / exact - 1).max()

    assert worst(precise) <= 1e-5
    assert worst(default) <= 1.5 * worst(theirs) + 1e-6


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e4])
@pytest.mark.parametrize("precise", [False, True])
def test_fully_connected__erf_of_opposite_rows_is_finite(rng, scale, precise):
    x = scale * rng.normal(size=(20, 3)).astype(np.float32)
    k = kernels.fully_connected(2, "erf", precise=precise).ntk(np.concatenate([x, -x]))
    assert np.isfinite(k).all()


def test_fully_connected__float32_precise_on_parallel_rows(rng):
    x = jnp.asarray(rng.normal(size=(6, 50)), jnp.float32)
    scaled = x * jnp.float32(1.001)
    k = np.diag(kernels.fully_connected(3, precise=True).ntk(x, scaled))
    exact = [extended_precision_ntk(a, b, 3) for a, b in zip(x, scaled, strict=True)]
    np.testing.assert_allclose(k, exact, rtol=1e-5)


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_convolutional__float32_diagonal_and_duplicates(rng, readout):
    x64 = images(rng, channels=1)
    x64 = x64.at[4].set(x64[1]).astype(jnp.float32).astype(jnp.float64)
    kernel = kernels.convolutional(3, readout=readout)
    exact, k = kernel.ntk(x64), kernel.ntk(x64.astype(jnp.float32))
    assert k.dtype == jnp.float32
    for i, j in [*zip(range(6), range(6), strict=True), (1, 3), (1, 4), (3, 4)]:
        assert abs(float(k[i, j] / exact[i, j]) - 1) <= 2e-6


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("b_std", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_fully_connected__gradient_on_the_diagonal_is_exact(rng, activation, dtype, b_std):
    x = jnp.asarray(rng.normal(size=(4, 7)), dtype)
    kernel_fn = kernels.fully_connected(3, activation, b_std=b_std).ntk
    gradient = jax.grad(lambda z: jnp.trace(kernel_fn(z)))(x)
    total = jax.grad(lambda z: kernel_fn(z).sum())(x)
    assert bool(jnp.isfinite(gradient).all())
    assert bool(jnp.isfinite(total).all())
    # The diagonal is a smooth function of the norm alone: differentiate it numerically.
    step = 1e-6 * np.asarray(x, np.float64)
    wide = kernels.fully_connected(3, activation, b_std=b_std).ntk
    up, down = (np.diag(wide(jnp.asarray(np.asarray(x, np.float64) + s))) for s in (step, -step))
    expected = (up - down) / 2
    along = np.sum(np.asarray(gradient, np.float64) * step, axis=1)
    np.testing.assert_allclose(along, expected, rtol=1e-4)


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_convolutional__gradient_is_finite_and_right(rng, readout):
    x = images(rng, channels=2)[:4]
    kernel_fn = kernels.convolutional(2, readout=readout).ntk
    gradient = jax.grad(lambda z: kernel_fn(z.astype(jnp.float32)).sum())(x.astype(jnp.float32))
    assert bool(jnp.isfinite(gradient).all())
    direction, y = jnp.asarray(rng.normal(size=x[:2].shape)), x[2:3]
    value = jax.jvp(lambda z: kernel_fn(z, y).sum(), (x[:2],), (direction,))[1]
    ends = [kernel_fn(x[:2] + s * 1e-6 * direction, y).sum() for s in (1, -1)]
    assert float(value) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_fully_connected__gradient_agrees_with_finite_differences(rng):
    x, y = (jnp.asarray(rng.normal(size=(3, 5))) for _ in range(2))
    kernel_fn = kernels.fully_connected(2, b_std=0.3).ntk
    direction = jnp.asarray(rng.normal(size=x.shape))
    value = jax.jvp(lambda z: kernel_fn(z, y), (x,), (direction,))[1]
    ends = [kernel_fn(x + s * 1e-6 * direction, y) for s in (1, -1)]
    np.testing.assert_allclose(value, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-9)


def test_fully_connected__opposite_and_zero_rows(rng):
    x = jnp.asarray(rng.normal(size=(3, 6)))
    for kernel_fn in kernels.fully_connected(1):
        size = float(jnp.abs(kernel_fn(x)).max())
        assert float(jnp.abs(jnp.diag(kernel_fn(x, -x))).max()) < 1e-7 * size  # exactly 0
        assert not bool(kernel_fn(x, jnp.zeros_like(x)).any())
        zeros = jnp.zeros((1, 6))
        assert bool(jnp.isfinite(jax.grad(lambda z, fn=kernel_fn: fn(z, x).sum())(zeros)).all())


def test_kappa__limits_and_gradients():
    u = jnp.array([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(kernels.kappa_0(u), [0, 0.5, 1], atol=1e-15)
    np.testing.assert_allclose(kernels.kappa_1(u), [0, 1 / np.pi, 1], atol=1e-15)
    assert float(kernels.kappa_1(jnp.nextafter(jnp.ones(()), 2.0))) == 1.0  # rounded beyond 1
    slope = jax.vmap(jax.grad(kernels.kappa_1))(u.astype(jnp.float32))
    np.testing.assert_allclose(slope, kernels.kappa_0(u), atol=1e-6)
    assert bool(jnp.isfinite(jax.vmap(jax.grad(kernels.kappa_0))(u)).all())
    beyond = jnp.float32([1.0000001, -1.0000001, 1e30])
    np.testing.assert_array_equal(jax.vmap(jax.grad(kernels.kappa_1))(beyond), [1, 0, 1])


def test_kappa__monte_carlo(rng):
    u, n = 0.4, 400_000
    z = rng.normal(size=(2, n))
    z1, z2 = z[0], u * z[0] + np.sqrt(1 - u**2) * z[1]
    for value, samples in (
        (kernels.kappa_0(jnp.array(u)), 2.0 * (z1 > 0) * (z2 > 0)),
        (kernels.kappa_1(jnp.array(u)), 2 * np.maximum(z1, 0) * np.maximum(z2, 0)),
    ):
        assert abs(float(value) - samples.mean()) < 4 * samples.std() / np.sqrt(n)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_fully_connected__is_the_limit_of_the_network(rng, key, activation):
    """The mean empirical NTK over initializations, within 4 standard errors of the closed form."""
    x = jnp.asarray(rng.normal(size=(4, 6)))
    network = networks.fully_connected(6, (400, 400), activation, b_std=0.1)
    draws = np.array(
        [
            empirical.layerwise_ntk(network.init_fn(k), x, activation=activation, b_std=0.1)
            for k in jax.random.split(key, 60)
        ]
    )
    error = draws.std(0) / np.sqrt(len(draws))
    bias = 4 / 400 * np.abs(draws).max()  # a finite width also shifts the mean by O(1/m)
    expected = kernels.fully_connected(2, activation, b_std=0.1).ntk(x)
    assert (np.abs(draws.mean(0) - expected) < 4 * error + bias).all()


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_convolutional__is_the_limit_of_the_network(rng, key, readout):
    x = jnp.asarray(rng.normal(size=(3, 4, 3, 2)))
    network = networks.convolutional(2, (64, 64), image_shape=(4, 3), readout=readout)
    draws = np.array(
        [empirical.ntk(network.apply_fn, network.init_fn(k), x) for k in jax.random.split(key, 40)]
    )
    error = draws.std(0) / np.sqrt(len(draws))
    bias = 4 / 64 * np.abs(draws).max()
    expected = kernels.convolutional(2, readout=readout).ntk(x)
    assert (np.abs(draws.mean(0) - expected) < 4 * error + bias).all()


@pytest.mark.parametrize("block_size", [1, 3, 7, 100, None])
def test_gram__equals_the_unblocked_kernel(rng, block_size):
    x = jnp.asarray(rng.normal(size=(10, 4)))
    kernel_fn = kernels.fully_connected(2).ntk
    symmetric = kernels.gram(kernel_fn, x, block_size=block_size)
    np.testing.assert_allclose(symmetric, kernel_fn(x), rtol=1e-12)
    np.testing.assert_array_equal(symmetric, symmetric.T)
    rectangular = kernels.gram(kernel_fn, x, x[:7], block_size=block_size)
    np.testing.assert_allclose(rectangular, kernel_fn(x, x[:7]), rtol=1e-12)


def test_gram__a_small_side_is_not_filled_up_to_the_blocks_of_the_large_one(rng):
    x, seen = rng.normal(size=(900, 3)), []

    def kernel_fn(x1, x2):
        seen.append((len(x1), len(x2)))
        return x1 @ x2.T

    np.testing.assert_allclose(kernels.gram(kernel_fn, x, x[:4]), x @ x[:4].T, rtol=1e-12)
    np.testing.assert_allclose(kernels.gram(kernel_fn, x[:4], x), x[:4] @ x.T, rtol=1e-12)
    assert all(4 in shape for shape in seen if shape != (1, 1))


def test_gram__does_symmetric_work_once(rng):
    x, calls = jnp.asarray(rng.normal(size=(12, 3))), []

    def kernel_fn(x1, x2):
        calls.append(x1.shape)
        return x1 @ x2.T

    kernels.gram(kernel_fn, x, block_size=3)
    assert len(calls) == 1 + 4 * 5 // 2  # one to learn the dtype, then the upper triangle


def test_gram__computes_what_a_kernel_reads_now():
    read, x = {"scale": 1.0}, jnp.eye(3)
    kernel_fn = lambda x1, x2: read["scale"] * x1 @ x2.T  # noqa: E731
    for read["scale"] in (1.0, 2.0):
        np.testing.assert_array_equal(kernels.gram(kernel_fn, x), read["scale"] * x)


def test_gram__takes_empirical_and_convolutional_kernels(rng, key):
    x = jnp.asarray(rng.normal(size=(5, 4, 4, 1)))
    for readout in ("flatten", "pool"):
        kernel_fn = kernels.convolutional(2, readout=readout).ntk
        np.testing.assert_allclose(
            kernels.gram(kernel_fn, x, block_size=2), kernel_fn(x), rtol=1e-12
        )
    network = networks.fully_connected(16, 8)
    kernel_fn = partial(empirical.ntk, network.apply_fn, network.init_fn(key))
    flat = x.reshape(5, 16)
    np.testing.assert_allclose(
        kernels.gram(kernel_fn, flat, block_size=2), kernel_fn(flat), rtol=1e-12
    )


def test_gram__blocks_are_larger_away_from_the_cpu():
    sizes = [kernels._block_size(24.0, 9000, 9000, None, near=near) for near in (True, False)]
    assert sizes == [500, 3000]  # equal blocks of at most 512 and 4096 rows
    assert kernels._block_size(1e6, 9000, 9000, None, near=False) == 32  # a workspace of 1 GB


def test_gram__progress_bar(rng, capsys):
    kernels.gram(kernels.fully_connected(1).ntk, jnp.eye(6), block_size=2, progress=True)
    assert "kernel blocks" in capsys.readouterr().err


def test_gram__forecasts_memory():
    x = jnp.ones((1000, 2))
    with pytest.raises(MemoryError, match=r"needs about .* GB .* Use fewer points"):
        kernels.gram(kernels.fully_connected(1).ntk, x, memory_limit=1e6)
    pool = kernels.convolutional(1, readout="pool").ntk
    with pytest.raises(MemoryError, match="block_size"):
        kernels.gram(pool, jnp.ones((20, 32, 32, 3)), block_size=20, memory_limit=1e8)


def test_kernels__are_symmetric_and_positive(rng):
    x = rows(rng)
    for kernel in (kernels.fully_connected(3), kernels.fully_connected(2, "erf", b_std=0.1)):
        for kernel_fn in kernel:
            k = kernel_fn(x)
            np.testing.assert_allclose(k, k.T, rtol=1e-13, atol=1e-15)
            assert float(jnp.linalg.eigvalsh(k)[0]) > -1e-10


def test_fully_connected__is_homogeneous_and_rotation_invariant(rng):
    x = rows(rng)[:4]
    rotation = np.linalg.qr(rng.normal(size=(10, 10)))[0]
    kernel_fn = kernels.fully_connected(3).ntk
    np.testing.assert_allclose(kernel_fn(3.0 * x, x), 3.0 * kernel_fn(x), rtol=1e-6)
    np.testing.assert_allclose(kernel_fn(x @ rotation), kernel_fn(x), rtol=1e-6)


@pytest.mark.parametrize("columns", [256, 64, 30, 1])  # one part, one, three that overlap, many
def test_equal_rows__sees_equality_only(columns, rng):
    x = rng.integers(0, 17, size=(500, 64)) / 16
    x[250:] = x[:250]
    other = np.concatenate([x[100:300], -x[:5]])
    equal = (x[:, None] == other[None]).all(-1)
    for dtype in (jnp.float32, jnp.float64):
        rows = jnp.asarray(x, dtype), jnp.asarray(other, dtype)
        np.testing.assert_array_equal(_layers.equal_rows(*rows, columns=columns), equal)
    zero = jnp.zeros((1, 3))
    assert _layers.equal_rows(zero, -zero).all()
    for at in (0, 31, 63):  # one entry differs by one digit
        near = jnp.asarray(x[:1]).at[0, at].add(1e-15)
        assert not _layers.equal_rows(jnp.asarray(x[:1]), near, columns=columns).any()


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("b_std", [0.0, 0.5])
def test_ntk__nan_is_never_silent_under_jit(precise, b_std):
    x = jnp.ones((2, 3)).at[0, 1].set(jnp.nan)
    k = jax.jit(kernels.fully_connected(2, b_std=b_std, precise=precise).ntk)(x)
    assert jnp.isnan(k[0]).all()
    assert jnp.isfinite(k[1, 1])
    images = jnp.ones((2, 4, 4, 1)).at[0, 1, 1].set(jnp.nan)
    for readout in ("flatten", "pool"):
        k = jax.jit(kernels.convolutional(2, readout=readout, b_std=b_std).ntk)(images)
        assert jnp.isnan(k[0]).all()
