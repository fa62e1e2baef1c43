"""The notes' applications against loops by hand, exact formulas and Monte Carlo."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from ntk_course import applications, empirical, kernels, networks, regression

FC = kernels.fully_connected(1).ntk


def cycle(n):
    a = np.zeros((n, n))
    a[np.arange(n), (np.arange(n) + 1) % n] = 1
    return a + a.T


# ------------------------------------------------------------------------------ search, selection


def test_condition_number__counts_the_steps_of_gradient_descent(rng):
    k = rng.normal(size=(8, 20))
    k = k @ k.T
    kappa, values = float(applications.condition_number(k)), np.linalg.eigvalsh(k)
    np.testing.assert_allclose(kappa, values[-1] / values[0])
    error, steps = np.linalg.eigh(k)[1][:, 0], 0
    while np.linalg.norm(error) > 0.01:
        error, steps = error - 2 / (values[0] + values[-1]) * k @ error, steps + 1
    assert steps == np.ceil(np.log(100) / np.log((kappa + 1) / (kappa - 1)))


def test_condition_number__one_for_the_identity():
    assert float(applications.condition_number(3 * np.eye(4))) == pytest.approx(1)


def test_label_feature_correlation__is_pearsons(rng):
    k, y = rng.normal(size=(6, 9)), np.eye(3)[[0, 0, 1, 1, 2, 2]]
    k = k @ k.T
    want = np.corrcoef(k.ravel(), (y @ y.T).ravel())[0, 1]
    np.testing.assert_allclose(applications.label_feature_correlation(k, y), want, rtol=1e-9)
    best = applications.label_feature_correlation(2 * y @ y.T + 5, y)
    assert float(best) == pytest.approx(1)


# -------------------------------------------------------------------------------------- poisoning


@pytest.fixture
def victims(rng):
    x = rng.uniform(0.2, 0.8, size=(14, 5))
    y = np.eye(2)[(x.sum(1) > 2.5).astype(int)] - 0.5
    return x[:8], y[:8], x[8:], y[8:]


def attack(victims, **changed):
    options = {"epsilon": 0.1, "t": 50.0, "step_size": 0.04, "num_steps": 5} | changed
    return applications.poison(FC, *victims, **options)


def flow_loss(victims, x_moved, t=50.0):
    """The loss of eq. 19's predictor, by eigenvalues."""
    _, y, x_val, y_val = victims
    values, vectors = np.linalg.eigh(np.asarray(FC(x_moved)))
    learned = (vectors * ((1 - np.exp(-t * values)) / values)[None]) @ vectors.T @ y
    return np.mean(np.sum((np.asarray(FC(x_val, x_moved)) @ learned - y_val) ** 2, 1)) / 2


def test_poison__stays_in_the_ball_and_raises_the_loss(victims, rng):
    moved = np.asarray(attack(victims))
    assert np.abs(moved - victims[0]).max() <= 0.1
    assert moved.min() >= 0
    assert moved.max() <= 1
    noise = [victims[0] + 0.1 * rng.choice([-1, 1], victims[0].shape) for _ in range(10)]
    plain, poisoned = flow_loss(victims, victims[0]), flow_loss(victims, moved)
    assert poisoned > 1.5 * max(plain, *(flow_loss(victims, z) for z in noise))


def test_poison__first_step_follows_the_gradient_of_the_flow(victims):
    moved = np.asarray(attack(victims, num_steps=1, step_size=1e-3))
    step = np.sign(np.round((moved - victims[0]) / 1e-3))
    for i, j in ((0, 0), (3, 2), (7, 4)):
        bump = np.zeros_like(step)
        bump[i, j] = 1e-5
        slope = flow_loss(victims, victims[0] + bump) - flow_loss(victims, victims[0] - bump)
        assert np.sign(slope) == step[i, j]


def test_poison__no_radius_no_change(victims):
    np.testing.assert_array_equal(attack(victims, epsilon=0.0), victims[0])


# ---------------------------------------------------------------------------------------- pruning


def masked_ntk(net, params, masks, x):
    """The NTK of the weights that the masks leave."""
    return empirical.ntk(
        lambda p, z: net.apply_fn(jax.tree.map(jnp.multiply, p, masks), z), params, x
    )


@pytest.mark.parametrize(("keep", "rescale"), [(0.5, False), (0.2, True)])
def test_random_masks__turn_the_kernel_into_alpha_k(key, rng, keep, rescale):
    net, x = networks.fully_connected(60, (100,)), rng.normal(size=(4, 60))
    limit, draws = np.asarray(FC(x)) * (1 if rescale else keep), []

    @jax.jit
    def draw(key):
        params = net.init_fn(key)
        masks = applications.random_masks(jax.random.fold_in(key, 1), params, keep, rescale=rescale)
        return masked_ntk(net, params, masks, x)

    draws = np.stack([draw(k) for k in jax.random.split(key, 60)])
    traces = np.trace(draws, axis1=1, axis2=2)
    assert abs(traces.mean() - np.trace(limit)) < 4 * traces.std() / 60**0.5
    np.testing.assert_allclose(draws.mean(0), limit, atol=0.1 * np.abs(limit).max())


def test_random_masks__prune_the_named_layers_only(key):
    params = networks.fully_connected(3, (40, 50)).init_fn(key)
    masks = applications.random_masks(key, params, 0.25, layers=(1,))
    assert (masks[0]["w"] == 1).all()
    assert (masks[2]["w"] == 1).all()
    assert set(np.unique(masks[1]["w"])) == {0.0, 2.0}
    both = applications.random_masks(key, [params[1]] * 2, 0.25, layers=(0, 1))
    assert (both[0]["w"] != both[1]["w"]).any()  # each layer has a draw of its own
    share = float((masks[1]["w"] > 0).mean())
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / 2000) ** 0.5


def test_magnitude_masks__keep_the_largest(key):
    params = networks.fully_connected(4, (25,)).init_fn(key)
    masks = applications.magnitude_masks(params, 0.2)
    for layer, mask in zip(params, masks, strict=True):
        kept, lost = (np.abs(layer["w"])[np.asarray(mask["w"]) == v] for v in (1, 0))
        assert len(kept) == 0.2 * layer["w"].size
        assert kept.min() > lost.max()


def test_tangent_transfer__lowers_what_it_says_and_prunes(key, rng):
    net, x = networks.fully_connected(6, (20,)), rng.normal(size=(10, 6))
    params = net.init_fn(key)
    options = {"keep": 0.3, "num_steps": 60, "learning_rate": 0.03}
    student, losses = applications.tangent_transfer(net.apply_fn, params, x, **options)
    masks = jax.tree.map(lambda w: (w != 0) * 1.0, student)
    for mask in jax.tree.leaves(masks):
        assert mask.sum() == round(0.3 * mask.size)
    k, f = empirical.layerwise_ntk(params, x), net.apply_fn(params, x)
    first = applications.magnitude_masks(params, 0.3)
    got = []
    for p, m in ((params, first), (student, masks)):
        k_s = masked_ntk(net, p, m, x)
        f_s = net.apply_fn(jax.tree.map(jnp.multiply, p, m), x)
        got.append(float(jnp.sum((f_s - f) ** 2) / jnp.sum(f**2)
                         + jnp.sum((k_s - k) ** 2) / jnp.sum(k**2)))  # fmt: skip
    np.testing.assert_allclose(losses[0], got[0], rtol=1e-6)
    assert got[1] < 0.5 * got[0]
    back = jax.tree.map(
        lambda before, after: bool(((before == 0) & (after != 0)).any()), first, student
    )
    assert any(jax.tree.leaves(back))  # weights that were pruned can come back


def test_tangent_transfer__a_pruned_weight_has_the_gradient_of_the_masked_one():
    """Two inputs that do not meet: only the pruned weight has something to gain."""
    params = [{"w": jnp.array([[1.0], [0.95]])}]
    student, _ = applications.tangent_transfer(
        lambda params, x: x @ params[0]["w"],
        params, jnp.eye(2), keep=0.5, num_steps=1, learning_rate=0.1,
    )  # fmt: skip
    np.testing.assert_allclose(student[0]["w"][:, 0], [0.0, 1.05], rtol=1e-6)


def test_tangent_transfer__nothing_to_do_if_all_is_kept(key, rng):
    net, x = networks.fully_connected(4, (8,)), rng.normal(size=(5, 4))
    params = net.init_fn(key)
    student, losses = applications.tangent_transfer(net.apply_fn, params, x, keep=1.0, num_steps=3)
    assert losses[0] == 0
    np.testing.assert_allclose(student[0]["w"], params[0]["w"])


# ------------------------------------------------------------------- matrix completion, small data


def test_complete__is_one_regression_a_column(rng):
    z, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 4))
    k, observed = np.asarray(FC(z)), rng.random((9, 4)) < 0.6
    observed[:, 3] = observed[:, 0]  # a pattern that repeats
    got = applications.complete(k, y, observed, diag_reg=1e-3)
    for j in range(4):
        rows = np.flatnonzero(observed[:, j])
        sub = k[np.ix_(rows, rows)]
        sub = sub + 1e-3 * np.trace(sub) / len(rows) * np.eye(len(rows))
        np.testing.assert_allclose(got[:, j], k[:, rows] @ np.linalg.solve(sub, y[rows, j]))


def test_complete__does_not_look_at_what_is_hidden(rng):
    k, y = np.asarray(FC(rng.normal(size=(6, 3)))), rng.normal(size=(6, 2))
    observed = np.arange(12).reshape(6, 2) % 3 > 0
    hidden = np.where(observed, y, np.nan)
    filled = applications.complete(k, y, observed)
    np.testing.assert_array_equal(applications.complete(k, hidden, observed), filled)
    np.testing.assert_allclose(filled[observed], y[observed], atol=1e-3)


def test_leave_one_out__leaves_one_out(rng):
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    k = np.asarray(FC(x))
    ridge = 0.01 * np.trace(k) / 7
    got = applications.leave_one_out(k, y, diag_reg=0.01)
    for i in range(7):
        rest = np.delete(np.arange(7), i)
        alpha = regression.fit(k[np.ix_(rest, rest)], y[rest], ridge=ridge)
        np.testing.assert_allclose(got[i], k[i, rest] @ np.asarray(alpha), rtol=1e-6)


# ----------------------------------------------------------------------------------------- graphs


def brute_force_graph_ntk(graph_1, graph_2, num_blocks, num_layers):
    """Du et al.'s recursion for one pair of graphs, node by node."""
    covariance, pairs = {}, [(graph_1, graph_1), (graph_2, graph_2), (graph_1, graph_2)]
    theta = {}
    for name, ((_, x1), (_, x2)) in zip(("11", "22", "12"), pairs, strict=True):
        covariance[name] = np.array([[a @ b for b in x2] for a in x1])
        theta[name] = covariance[name].copy()

    def sums(m, a1, a2):
        out = np.zeros_like(m)
        for i in range(len(a1)):
            for j in range(len(a2)):
                near_1 = [i, *np.flatnonzero(a1[i])]
                near_2 = [j, *np.flatnonzero(a2[j])]
                out[i, j] = sum(m[p, q] for p in near_1 for q in near_2)
        return out

    for _ in range(num_blocks):
        for name, ((a1, _), (a2, _)) in zip(("11", "22", "12"), pairs, strict=True):
            covariance[name] = sums(covariance[name], a1, a2)
            theta[name] = sums(theta[name], a1, a2)
        for _ in range(num_layers):
            old = {name: m.copy() for name, m in covariance.items()}
            for name in ("11", "22", "12"):
                for i in range(old[name].shape[0]):
                    for j in range(old[name].shape[1]):
                        size = np.sqrt(old[name[0] * 2][i, i] * old[name[1] * 2][j, j])
                        angle = np.arccos(np.clip(old[name][i, j] / size, -1, 1))
                        value = np.sin(angle) + (np.pi - angle) * np.cos(angle)
                        covariance[name][i, j] = size * value / np.pi
                        theta[name][i, j] = (
                            theta[name][i, j] * (np.pi - angle) / np.pi + covariance[name][i, j]
                        )
    return theta["12"].sum()


@pytest.mark.parametrize(("num_blocks", "num_layers"), [(1, 1), (2, 1), (2, 2)])
def test_graph_ntk__agrees_with_a_loop_over_nodes(rng, num_blocks, num_layers):
    path = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    graphs = [(cycle(5), rng.normal(size=(5, 2))), (path, rng.normal(size=(4, 2)))]
    a = scipy.linalg.block_diag(*(g[0] for g in graphs))
    x = np.concatenate([g[1] for g in graphs])
    options = {"num_blocks": num_blocks, "num_layers": num_layers}
    k = np.asarray(applications.graph_ntk(a, x, np.repeat([0, 1], [5, 4]), **options))
    for i in range(2):
        for j in range(2):
            want = brute_force_graph_ntk(graphs[i], graphs[j], **options)
            np.testing.assert_allclose(k[i, j], want, rtol=1e-6)


def test_graph_ntk__sees_what_weisfeiler_and_leman_see():
    star = np.zeros((12, 12))
    star[0, 1:] = star[1:, 0] = 1
    parts = [cycle(12), scipy.linalg.block_diag(cycle(6), cycle(6)), star]
    a, graph = scipy.linalg.block_diag(*parts), np.repeat([0, 1, 2], 12)
    k = np.asarray(applications.graph_ntk(a, np.ones((36, 1)), graph, num_blocks=3))
    np.testing.assert_allclose(k[0], k[1], rtol=1e-12)
    assert k[0, 0] + k[2, 2] - 2 * k[0, 2] > 0.01 * k[0, 0]


def test_graph_ntk__does_not_depend_on_the_order_of_the_nodes(rng):
    a, x, graph = cycle(8), rng.normal(size=(8, 2)), np.repeat([0, 1], 4)
    a[3, 4] = a[4, 3] = a[0, 7] = a[7, 0] = 0  # two paths
    order = rng.permutation(8)
    k = partial(applications.graph_ntk, num_blocks=2)
    moved = k(a[np.ix_(order, order)], x[order], graph[order])
    np.testing.assert_allclose(moved, k(a, x, graph), rtol=1e-7)  # kinks at angle 0


def test_graph_ntk__neighbourhoods_that_sum_to_zero(rng):
    complete = np.ones((4, 4), np.float32) - np.eye(4, dtype=np.float32)
    for _ in range(20):
        features = rng.normal(size=(4, 3)).astype(np.float32)
        found = applications.graph_ntk(complete, features - features.mean(0), np.zeros(4, int))
        np.testing.assert_allclose(found, 0, atol=1e-3)  # of terms near 100
    alone = lambda f: applications.graph_ntk(np.zeros((2, 2)), f, np.arange(2)).sum()  # noqa: E731
    assert np.isfinite(jax.grad(alone)(jnp.array([[1.0, 2.0], [0.0, 0.0]]))).all()
