import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.linalg

from ntk_course import (
    _neural_tangents,
    dynamics,
    empirical,
    kernels,
    networks,
    regression,
    training,
)


@pytest.fixture
def problem(rng):
    """A kernel on 8 training and 5 test points, targets, and outputs at time 0."""
    x, x_test = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(rng.normal(size=(5, 3)))
    kernel_fn = kernels.fully_connected(2).ntk
    y, start, start_test = (jnp.asarray(rng.normal(size=n)) for n in (8, 8, 5))
    return kernel_fn(x), kernel_fn(x_test, x), y, start, start_test


@pytest.mark.parametrize("t", [0.0, 0.3, 20.0])
def test_gradient_flow__solves_the_differential_equation(problem, t):
    k, k_test, y, start, start_test = problem
    flow = dynamics.gradient_flow(k, y, learning_rate=0.7, fx_train_0=start)

    def rhs(_, f):
        both = jnp.concatenate([k, k_test])
        return np.asarray(dynamics.velocity(both, jnp.asarray(f[:8]), y, learning_rate=0.7))

    ends = scipy.integrate.solve_ivp(
        rhs, (0, max(t, 1e-9)), np.concatenate([start, start_test]), rtol=1e-10, atol=1e-12
    ).y[:, -1]
    np.testing.assert_allclose(flow.train(t), ends[:8], atol=1e-7)
    np.testing.assert_allclose(flow.test(t, k_test, start_test), ends[8:], atol=1e-7)


def test_gradient_flow__is_the_matrix_exponential(problem):
    k, _, y, start, _ = problem
    flow = dynamics.gradient_flow(k, y, learning_rate=0.2, fx_train_0=start)
    decay = scipy.linalg.expm(-0.2 * 1.7 * np.asarray(k))
    np.testing.assert_allclose(flow.train(1.7), y + decay @ (start - y), rtol=1e-10)
    assert float(flow.loss(1.7)) == pytest.approx(float(((flow.train(1.7) - y) ** 2).sum()))


def test_gradient_flow__agrees_with_neural_tangents(problem):
    k, k_test, y, start, start_test = problem
    nt = _neural_tangents.load()
    with jax.numpy_rank_promotion("allow"):
        predict = nt.predict.gradient_descent_mse(k, y[:, None], learning_rate=8.0)
        theirs = predict(1.3, start[:, None], start_test[:, None], k_test)
    flow = dynamics.gradient_flow(k, y, fx_train_0=start)  # their loss is the mean over 8 points
    np.testing.assert_allclose(flow.train(1.3), theirs[0][:, 0], atol=1e-9)
    np.testing.assert_allclose(flow.test(1.3, k_test, start_test), theirs[1][:, 0], atol=1e-9)


def test_gradient_flow__ends_at_kernel_regression(problem):
    k, k_test, y, _, _ = problem
    flow = dynamics.gradient_flow(k, y)
    ridgeless = regression.predict(k_test, regression.fit(k, y))
    np.testing.assert_allclose(flow.test(jnp.inf, k_test), ridgeless, rtol=1e-8)
    np.testing.assert_allclose(flow.train(jnp.inf), y, rtol=1e-10)
    assert float(flow.loss(jnp.inf)) == pytest.approx(0, abs=1e-20)


def test_gradient_flow__many_times_and_outputs(problem):
    k, k_test, y, start, start_test = problem
    t = jnp.array([0.0, 1.0, jnp.inf])
    both = jnp.stack([y, 2 * y], axis=1)
    many = dynamics.gradient_flow(k, both, fx_train_0=jnp.stack([start, start], axis=1))
    one = dynamics.gradient_flow(k, y, fx_train_0=start)
    assert many.train(t).shape == (3, 8, 2)
    np.testing.assert_allclose(many.train(t)[..., 0], one.train(t), rtol=1e-12)
    for i in range(3):
        np.testing.assert_allclose(one.train(t)[i], one.train(t[i]), rtol=1e-12)
        np.testing.assert_allclose(
            one.test(t, k_test, start_test)[i], one.test(t[i], k_test, start_test), rtol=1e-12
        )
    np.testing.assert_allclose(one.train(0.0), start, rtol=1e-14)
    assert many.loss(t).shape == (3,)


def test_gradient_flow__singular_kernel_stays_finite(rng):
    """Two equal points with different targets: only their mean is learned."""
    x = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    k = kernels.fully_connected(1).ntk(x)
    flow = dynamics.gradient_flow(k, jnp.array([1.0, -1.0, 2.0]))
    np.testing.assert_allclose(flow.train(jnp.inf), [0, 0, 2], atol=1e-10)
    np.testing.assert_allclose(flow.test(jnp.inf, k), [0, 0, 2], atol=1e-10)
    assert float(flow.loss(jnp.inf)) == pytest.approx(2.0)
    # A finite but huge time differs only by rounding of the zero mode.
    assert bool(jnp.isfinite(flow.test(1e12, k)).all())


def test_eigenmodes__reconstruct_the_kernel_largest_first(problem):
    k = problem[0]
    eigenvalues, vectors = dynamics.eigenmodes(k)
    assert bool((jnp.diff(eigenvalues) <= 0).all())
    np.testing.assert_allclose(vectors * eigenvalues[None, :] @ vectors.T, k, rtol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-12)


def test_velocity__is_the_derivative_of_training(rng, key):
    """Eq. 10 on a real network: one small step of gradient descent moves f by -eta K (f - y) dt."""
    x, z = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.normal(size=(3, 4)))
    y = jnp.asarray(rng.normal(size=6))
    network = networks.fully_connected(4, (20,), "erf")
    params = network.init_fn(key)
    k = empirical.ntk(network.apply_fn, params, z, x)
    expected = dynamics.velocity(k, network.apply_fn(params, x), y)
    step = training.gradient_descent(
        network.apply_fn, params, x, y, learning_rate=1e-6, num_steps=1
    )
    moved = network.apply_fn(step.at(0), z) - network.apply_fn(params, z)
    np.testing.assert_allclose(moved / 1e-6, expected, rtol=1e-4)


def test_velocity__takes_any_loss(problem):
    _, k_test, y, start, _ = problem
    logistic = dynamics.velocity(
        k_test, start, jnp.sign(y), loss_gradient=lambda f, s: -s * jax.nn.sigmoid(-s * f)
    )
    loss = lambda f: jnp.sum(jax.nn.softplus(-jnp.sign(y) * f))  # noqa: E731
    np.testing.assert_allclose(logistic, -k_test @ jax.grad(loss)(start), rtol=1e-12)


def test_gradient_descent__follows_the_discrete_solution(rng):
    """A linear model: GD is (I - eta X X^T)^t on the error, exactly."""
    x, y = jnp.asarray(rng.normal(size=(5, 7))), jnp.asarray(rng.normal(size=5))
    saved = training.gradient_descent(
        lambda w, x: x @ w, jnp.zeros(7), x, y, learning_rate=0.02, num_steps=50, save_at=[0, 3, 50]
    )
    for i, step in enumerate((0, 3, 50)):
        power = np.linalg.matrix_power(np.eye(5) - 0.02 * np.asarray(x @ x.T), step)
        np.testing.assert_allclose(y - x @ saved.at(i), power @ y, rtol=1e-9)


def test_gradient_descent__reports_divergence(rng, untyped):
    x, y = jnp.asarray(rng.normal(size=(5, 7))), jnp.asarray(rng.normal(size=5))
    with pytest.raises(ValueError, match=r"`learning_rate` must keep the loss finite.*lambda_max"):
        training.gradient_descent(
            lambda w, x: x @ w, jnp.zeros(7), x, y, learning_rate=10.0, num_steps=1000
        )


def test_fit__solves_and_regularizes(problem):
    k, _, y, _, _ = problem
    ridge = regression.fit(k, y, ridge=0.3)
    np.testing.assert_allclose(k @ ridge + 0.3 * ridge, y, rtol=1e-10)
    relative = regression.fit(k, y, diag_reg=0.3 * 8 / float(jnp.trace(k)))
    np.testing.assert_allclose(relative, ridge, rtol=1e-10)
    scaled = regression.fit(100 * k, y, diag_reg=0.1)
    np.testing.assert_allclose(100 * scaled, regression.fit(k, y, diag_reg=0.1), rtol=1e-9)


def test_fit__agrees_with_scikit_learn(problem):
    from sklearn.kernel_ridge import KernelRidge

    k, k_test, y, _, _ = problem
    peer = KernelRidge(alpha=0.05, kernel="precomputed").fit(k, y).predict(k_test)
    ours = regression.predict(k_test, regression.fit(k, y, ridge=0.05))
    np.testing.assert_allclose(ours, peer, rtol=1e-9)


def test_linearize__is_the_tangent(rng, key):
    network = networks.fully_connected(3, (16, 16), "erf")
    params, x = network.init_fn(key), jnp.asarray(rng.normal(size=(4, 3)))
    f_lin = empirical.linearize(network.apply_fn, params)
    np.testing.assert_allclose(f_lin(params, x), network.apply_fn(params, x), rtol=1e-14)
    direction = network.init_fn(jax.random.key(1))
    gaps = []
    for step in (1e-2, 1e-3):
        moved = jax.tree.map(lambda p, d, step=step: p + step * d, params, direction)
        gaps.append(float(jnp.abs(f_lin(moved, x) - network.apply_fn(moved, x)).max()))
    assert gaps[1] < 2e-2 * gaps[0]  # second order: 100 times smaller


def test_twin__starts_at_zero_and_keeps_the_kernel(rng, key):
    x = jnp.asarray(rng.normal(size=(4, 3)))
    network = networks.fully_connected(3, (32, 32), b_std=0.1)
    twin = networks.twin(network)
    params = twin.init_fn(key)
    assert not bool(twin.apply_fn(params, x).any())
    np.testing.assert_allclose(
        empirical.ntk(twin.apply_fn, params, x),
        empirical.ntk(network.apply_fn, params[0], x),
        rtol=1e-12,
    )


def test_gradient_descent__weights_move_alike_at_all_widths_and_the_kernel_stands_still(rng, key):
    x, y = rng.standard_normal((6, 3)), rng.standard_normal(6)
    moved, drift = [], []
    for width in (64, 4096):  # eq. 18, with the erratum: the distance itself does not shrink
        net = networks.twin(networks.fully_connected(3, width))
        start = net.init_fn(key)
        before = empirical.ntk(net.apply_fn, start, x)
        rate = 1 / float(jnp.linalg.eigvalsh(before)[-1])
        end = training.gradient_descent(
            net.apply_fn, start, x, y, learning_rate=rate, num_steps=200
        ).at(-1)
        after = empirical.ntk(net.apply_fn, end, x)
        moved.append(float(optax.tree.norm(jax.tree.map(jnp.subtract, end, start))))
        drift.append(float(jnp.linalg.norm(after - before) / jnp.linalg.norm(before)))
    assert moved[1] == pytest.approx(moved[0], rel=0.2)
    assert drift[1] < drift[0] / 4  # at least the root of 64, if not for the noise of the draw


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("b_std", [0.0, 0.2])
@pytest.mark.parametrize("widths", [(9,), (9, 11, 7)])
def test_layerwise_ntk__equals_the_jacobian_ntk(rng, key, activation, b_std, widths):
    x1, x2 = jnp.asarray(rng.normal(size=(5, 4))), jnp.asarray(rng.normal(size=(3, 4)))
    network = networks.fully_connected(4, widths, activation, b_std=b_std, w_std=1.3)
    params = network.init_fn(key)
    for other in (None, x2):
        np.testing.assert_allclose(
            empirical.layerwise_ntk(
                params, x1, other, activation=activation, b_std=b_std, w_std=1.3
            ),
            empirical.ntk(network.apply_fn, params, x1, other),
            rtol=1e-10,
        )


def test_ntk__agrees_with_neural_tangents(rng, key):
    nt = _neural_tangents.load()
    x1, x2 = jnp.asarray(rng.normal(size=(5, 4))), jnp.asarray(rng.normal(size=(3, 4)))
    for n_out in (None, 3):
        network = networks.fully_connected(4, (10,), n_out=n_out)
        params = network.init_fn(key)
        with jax.numpy_rank_promotion("allow"):
            axes = () if n_out is None else (-1,)
            theirs = nt.empirical_ntk_fn(network.apply_fn, trace_axes=axes)(x1, x2, params)
        ours = empirical.ntk(network.apply_fn, params, x1, x2)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_fully_connected__variance_is_kept_at_any_depth(rng, key):
    """Eq. 12's c: for inputs of norm sqrt(d) the output variance is 1 at every depth."""
    x = jnp.asarray(rng.normal(size=(1, 30)))
    x = x / jnp.linalg.norm(x) * np.sqrt(30)
    for activation in ("relu", "erf"):
        for depth in (1, 4):
            network = networks.fully_connected(30, (200,) * depth, activation)
            keys = jax.random.split(key, 600)
            draws = np.array([network.apply_fn(network.init_fn(k), x)[0] for k in keys])
            error = 4 * np.std(draws**2) / np.sqrt(len(draws))
            assert abs(np.var(draws) - 1) < error
