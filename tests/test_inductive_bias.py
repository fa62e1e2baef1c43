"""Chapters 2 and 3: the tasks' closed forms by counting and simulation, the networks by hand."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ntk_course import networks, tasks, training


def test_signed_basis__points_are_signed_unit_vectors(key):
    x, y = tasks.signed_basis(key, 500, 7)
    np.testing.assert_array_equal(jnp.abs(x).sum(1), 1)
    np.testing.assert_array_equal(x.sum(1), y)
    assert set(np.argmax(np.abs(x), 1)) == set(range(7))


@pytest.mark.parametrize(("n", "d"), [(0, 5), (3, 8), (20, 30)])
def test_signed_basis_error__by_simulation(key, n, d):
    draws = 4000
    x, y = tasks.signed_basis(key, draws * (n + 1), d)
    x, y = np.asarray(x).reshape(draws, n + 1, d), np.asarray(y).reshape(draws, n + 1)
    w = np.einsum("knd,kn->kd", x[:, :n], y[:, :n])  # least squares, up to positive factors
    score = np.einsum("kd,kd->k", w, x[:, n]) * y[:, n]
    error = np.where(score == 0, 0.5, score < 0)
    exact = tasks.signed_basis_error(n, d)
    assert abs(error.mean() - exact) <= 4 * error.std() / np.sqrt(draws)


def test_energy_comparison__labels_and_balance(key):
    x, y = tasks.energy_comparison(key, 4000, 6)
    energy = np.square(x).sum(1)
    np.testing.assert_array_equal(y, np.where(energy[:, 0] > energy[:, 1], 1, -1))
    assert abs(float(y.mean())) <= 4 / np.sqrt(4000)
    assert abs(float(jnp.var(x)) - 1) <= 4 * np.sqrt(2 / x.size)


def test_hypercube__is_the_product():
    np.testing.assert_array_equal(tasks.hypercube(4), list(product([-1, 1], repeat=4)))


def test_hidden_pattern__depends_on_its_window_alone(key):
    x, y = tasks.hidden_pattern(key, 300, 9, 3, start=4)
    np.testing.assert_array_equal(y, np.asarray(x)[:, 4:7].prod(1))
    values = np.arange(8.0)
    x, y = tasks.hidden_pattern(key, 300, 9, 3, start=6, values=values)
    corners = {tuple(c): v for c, v in zip(tasks.hypercube(3), values, strict=True)}
    assert [corners[tuple(row)] for row in np.asarray(x)[:, 6:]] == y.tolist()


@pytest.mark.parametrize("n", [1, 4, 16])
def test_coupons__mean_and_coverage_by_simulation_and_by_each_other(rng, n):
    horizon = 60 * n
    coverage = tasks.coupon_coverage(n, horizon)
    assert coverage.shape == (horizon + 1,)
    np.testing.assert_allclose((1 - coverage).sum(), tasks.coupon_mean(n), rtol=1e-9)
    q, draws = int(tasks.coupon_mean(n)), 4000
    seen = np.array([len(set(row)) == n for row in rng.integers(0, n, (draws, q)).tolist()])
    exact = coverage[q]
    assert abs(seen.mean() - exact) <= 4 * np.sqrt(exact * (1 - exact) / draws) + 1e-12
    bound = 1 - n * np.exp(-np.arange(horizon + 1) / n)
    assert (coverage >= bound - 1e-12).all()


def test_quadratic__one_position_is_fully_connected_and_many_are_averaged(key):
    conv, params = networks.quadratic(2, 16), networks.quadratic(2, 16).init_fn(key)
    x = jax.random.normal(key, (5, 7, 2))
    w, a = params[0]["w"], params[1]["w"][0]
    by_hand = [sum(a @ (w @ p) ** 2 for p in image) / 7 / 2 for image in x]
    np.testing.assert_allclose(conv.apply_fn(params, x), np.array(by_hand) / np.sqrt(3 * 16))
    single = jnp.stack([conv.apply_fn(params, x[:, p : p + 1]) for p in range(7)])
    np.testing.assert_allclose(conv.apply_fn(params, x), single.mean(0), rtol=1e-12)


def test_windowed__filters_are_indicators_and_the_output_starts_at_zero(key):
    net = networks.windowed(4, 4, 40)
    params = net.init_fn(key)
    assert set(np.unique(params["w"])) == {-0.25, 0.25}
    corners = jnp.asarray(tasks.hypercube(4))
    np.testing.assert_array_equal(net.apply_fn(params, corners), 0)
    for r in range(40):  # read out filter r alone
        out = net.apply_fn(params | {"u": jnp.zeros((1, 40)).at[0, r].set(1)}, corners)
        expected = (np.sign(params["w"][r]) == np.asarray(corners)).all(1) / 4
        np.testing.assert_allclose(out, expected, atol=1e-12)


def test_windowed__sums_over_windows(key):
    net = networks.windowed(6, 3, 5)
    params = net.init_fn(key) | {"u": jax.random.normal(key, (4, 5))}
    x = jax.random.normal(key, (2, 6))
    by_hand = [
        sum(
            u @ np.maximum(params["w"] @ row[j : j + 3] + params["b"], 0)
            for j, u in enumerate(params["u"])
        )
        for row in x
    ]
    np.testing.assert_allclose(net.apply_fn(params, x), by_hand, rtol=1e-12)


def test_gradient_descent__adam_keeps_its_state_over_saves(key):
    net = networks.fully_connected(3, 8)
    params, x = net.init_fn(key), jax.random.normal(key, (6, 3))
    options = {"learning_rate": 0.1, "num_steps": 9, "optimizer": optax.adam}
    once = training.gradient_descent(net.apply_fn, params, x, x[:, 0], **options)
    often = training.gradient_descent(
        net.apply_fn, params, x, x[:, 0], save_at=range(10), **options
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), once.at(0), often.at(9))
