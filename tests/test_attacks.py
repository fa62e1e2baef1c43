"""Attacks: inside ball and bounds to the last bit, as strong as promised, worst of several."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntk_course import _checks, _devices, _geometry, attacks, kernels, networks, regression

NORMS = {
    "linf": lambda v: np.abs(v.reshape(len(v), -1)).max(1),
    "l2": lambda v: np.sqrt((v.reshape(len(v), -1) ** 2).sum(1)),
}


def linear(w):
    return lambda x: x.reshape(len(x), -1) @ w


KERNEL = kernels.fully_connected(1).ntk
MODELS = {
    "linear": lambda w, x: x.reshape(len(x), -1) @ w,
    "network": lambda w, x: jnp.maximum(x.reshape(len(x), -1) @ w, 0) @ w[:3],
    "kernel": lambda w, x: KERNEL(x.reshape(len(x), -1), w.T) @ w[:3],
}


@pytest.fixture(scope="module")
def machine():
    """A kernel machine and a network on the same three classes, and points to attack."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.3, 0.7, (3, 6))
    labels = rng.integers(0, 3, 90)
    x = np.clip(centres[labels] + 0.05 * rng.normal(size=(90, 6)), 0, 1)
    y = jnp.eye(3)[labels]
    kernel_fn = kernels.fully_connected(1, b_std=0.1).ntk
    alpha = regression.fit(kernel_fn(x), y - 1 / 3, diag_reg=1e-3)
    net = networks.fully_connected(6, 32, n_out=3, b_std=0.1)
    params = net.init_fn(jax.random.key(0))
    x = jnp.asarray(x)
    return (
        {
            "kernel": jax.tree_util.Partial(lambda z: kernel_fn(z, x) @ alpha),
            "network": jax.tree_util.Partial(net.apply_fn, params),
        },
        x[:40],
        y[:40],
    )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_pgd__inside_ball_and_bounds_to_the_last_bit_and_never_weaker_than_nothing(data):
    norm = data.draw(st.sampled_from(sorted(NORMS)))
    dtype, shape = data.draw(st.sampled_from([(np.float32, (4,)), (np.float64, (3, 3, 1))]))
    epsilon = data.draw(st.sampled_from([0.0, 1e-6, 8 / 255, 0.3, 5.0]))
    bounds = data.draw(st.sampled_from([None, (0.0, 1.0), (-0.5, 2.0)]))
    loss = data.draw(st.sampled_from(sorted(attacks.LOSSES)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.uniform(size=(5, *shape)).astype(dtype)
    x.reshape(-1)[:: data.draw(st.integers(1, 4))] = data.draw(st.sampled_from([0.0, 1.0]))
    w = jnp.asarray(rng.normal(size=(np.prod(shape), 3)).astype(dtype))
    predict_fn = jax.tree_util.Partial(MODELS[data.draw(st.sampled_from(sorted(MODELS)))], w)
    y = np.eye(3, dtype=dtype)[rng.integers(0, 3, 5)]
    moved = attacks.pgd(
        jax.random.key(1), predict_fn, x, y, epsilon=epsilon, step_size=epsilon / 2 + 1e-3,
        num_steps=3, norm=norm, bounds=bounds, loss=loss,
        random_start=data.draw(st.booleans()), restarts=data.draw(st.integers(1, 2)),
    )  # fmt: skip
    moved = np.asarray(moved)
    assert moved.dtype == dtype
    assert np.isfinite(moved).all()
    assert (NORMS[norm](moved - x) <= dtype(epsilon)).all()
    if bounds:
        assert moved.min() >= bounds[0]
        assert moved.max() <= bounds[1]
    loss_fn = attacks.LOSSES[loss]
    before, after = loss_fn(predict_fn(x), y), loss_fn(predict_fn(moved), y)
    # `pgd` compares the losses as its compiled steps round them, which is not as these are.
    assert (after >= before - 16 * np.finfo(dtype).eps * (1 + np.abs(before))).all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_project__leaves_inner_points_and_moves_each_example_alone(data):
    norm = data.draw(st.sampled_from(sorted(NORMS)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.uniform(0.2, 0.8, (4, 7))
    delta = rng.normal(size=(4, 7)) * 10.0 ** data.draw(st.integers(-4, 1))
    epsilon = 0.1
    found = np.asarray(attacks.project(x + delta, x, epsilon, norm=norm, bounds=None))
    inner = NORMS[norm](delta) < 0.99 * epsilon
    np.testing.assert_allclose(found[inner], (x + delta)[inner], rtol=1e-12)
    if norm == "linf":
        np.testing.assert_allclose(found, x + np.clip(delta, -epsilon, epsilon), rtol=1e-12)
    else:
        shrink = np.minimum(1, epsilon / NORMS["l2"](delta))[:, None]
        np.testing.assert_allclose(found, x + shrink * delta, rtol=1e-10)
    alone = attacks.project((x + delta)[:1], x[:1], epsilon, norm=norm, bounds=None)
    np.testing.assert_array_equal(found[:1], alone)


@pytest.mark.parametrize("which", ["kernel", "network"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd__attacks_each_example_alone(machine, which, norm):
    predictors, x, y = machine
    x, y = x[:6], y[:6]
    options = {"epsilon": 0.1, "step_size": 0.03, "num_steps": 5, "norm": norm}
    attack = partial(attacks.pgd, jax.random.key(0), predictors[which], **options)
    together = attack(x, y, random_start=False)
    for i in range(6):
        alone = attack(x[i : i + 1], y[i : i + 1], random_start=False)
        np.testing.assert_allclose(together[i : i + 1], alone, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"best": False}, {"norm": "l2", "restarts": 2}])
def test_pgd__parts_of_a_batch_at_once_change_nothing(rng, monkeypatch, options):
    x, w = jnp.asarray(rng.uniform(size=(192, 5))), jnp.asarray(rng.normal(size=(5, 3)))
    y = jnp.eye(3)[jnp.arange(192) % 3]
    options = {"epsilon": 0.2, "step_size": 0.05, "num_steps": 4} | options
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert _devices.num_parts(x) == (cores if _checks.on_cpu(x) else 1)
        found.append(attacks.pgd(jax.random.key(0), lambda x: jnp.tanh(x @ w), x, y, **options))
    np.testing.assert_allclose(*found, atol=1e-12)


def test_pgd__on_fixed_images_inside_the_gradient_of_a_closed_over_network(rng):
    x, y = jnp.asarray(rng.uniform(size=(128, 5))), jnp.eye(3)[jnp.arange(128) % 3]
    w = jnp.asarray(rng.normal(size=(5, 3)))

    def loss(w):
        options = {"epsilon": 0.2, "step_size": 0.05, "num_steps": 3}
        moved = attacks.pgd(jax.random.key(0), lambda x: x @ w, x, y, **options)
        return attacks.cross_entropy(jax.lax.stop_gradient(moved) @ w, y).mean()

    eager, jitted = jax.grad(loss)(w), jax.jit(jax.grad(loss))(w)
    np.testing.assert_allclose(eager, jitted, atol=1e-12)
    assert np.abs(eager).max() > 0


def test_pgd__of_a_closed_over_network_away_from_the_cpu(rng, monkeypatch):
    """There JAX, not NumPy, looks for NaN, also in the parameters that a trace closes over."""
    x, y = jnp.asarray(rng.uniform(size=(6, 5))), jnp.eye(3)[jnp.arange(6) % 3]
    net = networks.fully_connected(5, 8, n_out=3)
    params = net.init_fn(jax.random.key(0))
    options = {"epsilon": 0.2, "step_size": 0.05, "num_steps": 3}
    found = []
    for near in (True, False):
        monkeypatch.setattr(_checks, "on_cpu", lambda _, near=near: near)
        found.append(attacks.pgd(jax.random.key(0), partial(net.apply_fn, params), x, y, **options))
    np.testing.assert_allclose(*found, atol=1e-12)
    spoilt = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), params)
    with pytest.raises(ValueError, match="`params` must be finite"):
        jax.jit(lambda x: net.apply_fn(spoilt, x))(x)


def test_pgd__bounds_that_float32_rounds_are_those_of_its_own_points(rng):
    x = rng.uniform(0, 0.6, (9, 3)).astype(np.float32)
    y, options = np.eye(3)[rng.integers(0, 3, 9)], {"epsilon": 0.2, "bounds": (0.0, 0.6)}
    found = attacks.fgsm(linear(np.eye(3, dtype=np.float32)), x, y, **options)
    assert float(found.max()) == float(np.float32(0.6)) > 0.6
    attacks.fgsm(linear(np.eye(3, dtype=np.float32)), found, y, **options)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_project__has_a_gradient_also_where_nothing_has_moved(rng, norm):
    x = rng.uniform(0.3, 0.7, (2, 4))
    delta = rng.normal(size=(2, 4)) * np.array([[1e-3], [1.0]])  # inside the ball, and outside
    for moved in (x, x + delta):
        value = lambda z: jnp.sum(attacks.project(z, x, 0.1, norm=norm) ** 2)  # noqa: E731
        gradient = jax.grad(value)(jnp.asarray(moved))
        assert np.isfinite(gradient).all()
    each = [1e-6 * row.reshape(2, 4) for row in np.eye(8)]
    by_hand = [(value(x + delta + e) - value(x + delta - e)) / 2e-6 for e in each]
    np.testing.assert_allclose(gradient.ravel(), by_hand, atol=1e-5)


def test_pgd__begins_where_it_is_told(machine):
    predictors, x, y = machine
    options = {"epsilon": 0.1, "step_size": 0.0, "num_steps": 1, "best": False}
    start = x + jnp.linspace(-0.2, 0.2, x.size).reshape(x.shape)
    found = attacks.pgd(jax.random.key(0), predictors["kernel"], x, y, x_start=start, **options)
    np.testing.assert_array_equal(found, attacks.project(start, x, 0.1))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks__linear_model_exact(rng, norm):
    """The margin of a linear model grows by epsilon |w|_1 or epsilon |w|_2, in one step."""
    w = rng.normal(size=(9, 2))
    x, y = rng.uniform(0.4, 0.6, (6, 9)), np.eye(2)[rng.integers(0, 2, 6)]
    difference = w[:, 1] - w[:, 0]
    reach = 0.1 * (np.abs(difference).sum() if norm == "linf" else np.linalg.norm(difference))
    before = attacks.margin(linear(w)(x), y)
    fast = attacks.fgsm(linear(w), x, y, epsilon=0.1, norm=norm)
    slow = attacks.pgd(
        jax.random.key(0), linear(w), x, y, epsilon=0.1, step_size=0.05, num_steps=20, norm=norm
    )
    for moved in (fast, slow):
        after = attacks.margin(linear(w)(moved), y)
        np.testing.assert_allclose(after - before, reach, rtol=1e-4)


@pytest.mark.parametrize("which", ["kernel", "network"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", sorted(attacks.LOSSES))
def test_pgd__is_never_weaker_than_fgsm_and_more_helps(machine, which, norm, loss):
    predictors, x, y = machine
    predict_fn = predictors[which]
    options = {"epsilon": 0.1, "norm": norm, "loss": loss}
    more = options | {"step_size": 0.025, "num_steps": 10}
    key = jax.random.key(0)

    def gain(moved):
        return attacks.LOSSES[loss](predict_fn(moved), y)

    fast = gain(attacks.fgsm(predict_fn, x, y, **options))
    slow = gain(attacks.pgd(key, predict_fn, x, y, **more))
    assert (slow >= fast).all()
    assert slow.mean() > gain(x).mean()
    many = gain(attacks.pgd(key, predict_fn, x, y, **more, restarts=3))
    last = gain(attacks.pgd(key, predict_fn, x, y, **more, best=False))
    assert (slow >= last - 1e-12).all()
    assert many.mean() >= slow.mean() - 1e-3


def test_pgd__restarts_find_what_one_start_misses(rng):
    x, y = rng.uniform(0.3, 0.7, (60, 5)), np.tile([[1.0, 0.0]], (60, 1))
    waves = lambda x: jnp.stack([jnp.sin(40 * x).sum(1), jnp.zeros(len(x))], 1)  # noqa: E731
    options = {"epsilon": 0.2, "step_size": 0.01, "num_steps": 5, "loss": "margin"}
    one, many = (
        attacks.margin(waves(attacks.pgd(jax.random.key(0), waves, x, y, restarts=n, **options)), y)
        for n in (1, 5)
    )
    assert (many >= one).mean() > 0.9
    assert (many > one + 0.1).mean() > 0.5


def test_pgd__refuses_a_function_that_reads_other_weights_now(rng):
    weights = {"w": jnp.asarray(rng.normal(size=(5, 2))), "scale": 1.0}
    predict_fn = lambda x: weights["scale"] * x @ weights["w"]  # noqa: E731
    x, y = rng.uniform(size=(4, 5)), np.eye(2)[[0, 1, 0, 1]]
    attack = partial(attacks.fgsm, predict_fn, epsilon=0.1)
    attack(x, y)
    weights["w"] = weights["w"] + 0.0  # equal ones are as good
    attack(x, y)
    for name in ("w", "scale"):
        before, weights[name] = weights[name], 2 * weights[name]
        with pytest.raises(ValueError, match="`predict_fn` must read the arrays of its first call"):
            attack(x, y)
        weights[name] = before


class Linear:
    """A model as people write them, whose weights may be set anew."""

    __slots__ = ("__weakref__", "w")

    def __init__(self, w):
        self.w = w

    def __call__(self, x):
        return x @ self.w


class Light:
    """One to which no weak reference can be made."""

    __slots__ = ()

    def __call__(self, x):
        return x[:, :2]


def test_pgd__refuses_weights_that_changed_in_place_and_objects_that_changed():
    w = np.array([[1.0, -1.0]] * 3)
    model, x, y = Linear(jnp.array(w)), np.full((2, 3), 0.5), np.eye(2)  # a copy, no view of w
    functions = model, lambda x: x @ w
    before = [attacks.fgsm(f, x, y, epsilon=0.1) for f in functions]
    np.testing.assert_array_equal(*before)
    model.w, w[:] = -model.w, -w
    for f in functions:
        with pytest.raises(ValueError, match="`predict_fn` must read the arrays of its first call"):
            attacks.fgsm(f, x, y, epsilon=0.1)
    assert attacks.fgsm(Light(), x, y, epsilon=0.1).shape == x.shape


def test_project__one_radius_for_all_also_when_it_is_traced():
    points = jnp.ones((2, 2))
    ball = jax.jit(lambda epsilon: attacks.project(points, 0 * points, epsilon))
    np.testing.assert_array_equal(ball(0.5), 0.5 * points)
    with pytest.raises(ValueError, match="`epsilon` must be a finite number >= 0"):
        ball(jnp.array([0.1, 0.2]))


def test_pgd__takes_a_function_whose_key_is_made_again_or_at_another_precision():
    read = {}

    def noisy(x):
        return x[:, :2] + 0.01 * jax.random.normal(read["key"], (len(x), 2))

    x, y = np.full((2, 3), 0.5), np.eye(2)
    for precision in ("highest", "default"):
        read["key"] = jax.random.key(1)
        with jax.default_matmul_precision(precision):
            attacks.fgsm(noisy, x, y, epsilon=0.1)
    read["key"] = jax.random.key(2)
    with pytest.raises(ValueError, match="`predict_fn` must read the arrays of its first call"):
        attacks.fgsm(noisy, x, y, epsilon=0.1)


@pytest.mark.parametrize("size", [1e-23, 1e20])
def test_project__l2_of_tiny_and_of_huge_numbers(size):
    x = np.zeros((1, 2), np.float32)
    far = np.array([[3 * size, 4 * size]], np.float32)
    found = np.asarray(attacks.project(far, x, size, norm="l2", bounds=None), float)
    np.testing.assert_allclose(found, [[0.6 * size, 0.8 * size]], rtol=1e-5)
    assert np.linalg.norm(found) <= size


def test_pgd__gradient_of_a_kernel_machine_by_finite_differences(machine):
    predictors, x, y = machine
    predict_fn, x = predictors["kernel"], x + 0.01  # the kernel has kinks at its own points

    def loss(z):
        return attacks.cross_entropy(predict_fn(z), y).sum()

    gradient = jax.grad(loss)(x)
    for i, j in ((0, 0), (7, 3)):
        step = 1e-6 * jnp.zeros_like(x).at[i, j].set(1.0)
        slope = (loss(x + step) - loss(x - step)) / 2e-6
        np.testing.assert_allclose(gradient[i, j], slope, rtol=1e-5)


def test_pgd__targeted_reaches_its_target(machine):
    predictors, x, y = machine
    target = jnp.roll(y, 1, axis=1)
    options = {"epsilon": 0.3, "step_size": 0.05, "num_steps": 20, "targeted": True}
    moved = attacks.pgd(jax.random.key(0), predictors["network"], x, target, **options)
    before = attacks.cross_entropy(predictors["network"](x), target)
    after = attacks.cross_entropy(predictors["network"](moved), target)
    assert (after <= before).all()
    assert after.mean() < before.mean() - 0.05


def test_pgd__compiles_once_for_all_params_and_runs_inside_jit(machine):
    predictors, x, y = machine
    predict_fn = predictors["network"]
    options = {"epsilon": 0.1, "step_size": 0.05, "num_steps": 4}
    outside = attacks.pgd(jax.random.key(0), predict_fn, x, y, **options)
    inside = jax.jit(partial(attacks.pgd, **options))(jax.random.key(0), predict_fn, x, y)
    np.testing.assert_allclose(outside, inside, atol=1e-12)
    traces = []

    def counted(params, z):
        traces.append(1)
        return predict_fn.func(params, z)

    for scale in (1.0, 1.1):
        params = jax.tree.map(lambda p, s=scale: s * p, predict_fn.args[0])
        partial_fn = jax.tree_util.Partial(counted, params)
        attacks.pgd(jax.random.key(1), partial_fn, x, y, **options)
        traces.append(0)
    assert sum(traces[traces.index(0) :]) <= 1  # the check of the outputs' shape alone


def test_pgd__zero_gradients_and_zero_epsilon_are_harmless(rng):
    x, y = rng.uniform(size=(3, 4)), np.eye(2)[[0, 1, 0]]
    for norm in NORMS:
        flat = attacks.pgd(
            jax.random.key(0), lambda z: 0.0 * z[:, :2], x, y,
            epsilon=0.1, step_size=0.1, num_steps=2, norm=norm, random_start=False,
        )  # fmt: skip
        np.testing.assert_array_equal(flat, x)


def test_draw_l2__is_uniform_in_the_ball(key):
    x = jnp.zeros((20_000, 3))
    radius = NORMS["l2"](np.asarray(_geometry.GEOMETRIES["l2"].draw(key, x, 2.0)))
    assert radius.max() <= 2.0
    # P(r < 1) = (1/2)^3, within 4 standard errors
    assert abs((radius < 1).mean() - 1 / 8) < 4 * np.sqrt(7 / 64 / 20_000)


def test_evaluate__worst_is_the_intersection(machine):
    predictors, x, y = machine
    options = {"epsilon": 0.08, "step_size": 0.02, "num_steps": 5}
    named = {
        loss: partial(attacks.pgd, jax.random.key(i), loss=loss, **options)
        for i, loss in enumerate(("cross_entropy", "margin"))
    }
    found = attacks.evaluate(predictors["network"], x, y, named, batch_size=15)
    assert list(found) == ["clean", "cross_entropy", "margin", "worst"]
    expected = found["clean"] & found["cross_entropy"] & found["margin"]
    np.testing.assert_array_equal(found["worst"], expected)
    right = jnp.argmax(predictors["network"](x), 1) == jnp.argmax(y, 1)
    np.testing.assert_array_equal(found["clean"], right)


def test_losses__by_hand():
    fx, y = jnp.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]]), jnp.eye(3)[jnp.array([0, 2])]
    np.testing.assert_allclose(attacks.margin(fx, y), [-1.0, 2.0])
    np.testing.assert_allclose(attacks.square(fx, y), [1.0, 4.5])
    expected = np.log(np.exp(fx).sum(1)) - np.array([2.0, 1.0])
    np.testing.assert_allclose(attacks.cross_entropy(fx, y), expected, rtol=1e-6)
    np.testing.assert_allclose(attacks.cross_entropy(fx, y - 1 / 3), expected, rtol=1e-6)


def test_loops_well__not_where_something_is_convolved():
    x = jnp.ones((2, 4, 4, 1))
    convolve = jax.jit(lambda x: jax.lax.conv(x, jnp.ones((1, 4, 1, 1)), (1, 1), "SAME"))
    for predict_fn, well in ((lambda x: x.sum(3) @ x[0, :, :, 0], True), (convolve, False)):
        traced = jax.make_jaxpr(predict_fn)(x)
        assert _devices.loops_well(x, traced) == (well and _checks.on_cpu(x))


def test_compiled__is_kept_for_its_shapes_and_settings():
    step = partial(jax.jit(lambda _, w, x: x @ w, static_argnums=0), "a", jnp.ones((3, 2)))

    def program(n, precision="highest"):
        with jax.default_matmul_precision(precision):
            run = _devices.compiled(step, jnp.ones((n, 3)))
        np.testing.assert_array_equal(run(jnp.ones((n, 3))), np.full((n, 2), 3.0))
        return run.func

    assert program(4) is program(4)
    assert len({program(4), program(5), program(4, "bfloat16")}) == 3


def test_at_once__keeps_the_order_of_the_parts():
    assert _devices.at_once(lambda part: part + 1, [1, 2, 3]) == [2, 3, 4]
