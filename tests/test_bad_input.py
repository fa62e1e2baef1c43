"""Every public function answers bad input with: `name` must <rule>; got name=<value>. <Fix>."""

import jax
import jax.numpy as jnp
import numpy as np
import public
import pytest

from ntk_course import (
    applications,
    attacks,
    checking,
    data,
    distillation,
    dynamics,
    empirical,
    evolution,
    features,
    kernels,
    networks,
    regression,
    runtime,
    tasks,
    training,
)

pytestmark = pytest.mark.usefixtures("untyped")

X = jnp.arange(12.0).reshape(4, 3)
IMAGES = jnp.ones((2, 4, 4, 1))
NAN = X.at[1, 1].set(jnp.nan)
EYE = jnp.eye(4)
Y = jnp.ones(4)
COLUMN = jnp.ones((4, 1))
ROUNDED = np.full(7, 0.1)  # whose mean is not 0.1
NET = networks.fully_connected(3, 8)
PARAMS = NET.init_fn(jax.random.key(0))
FC = kernels.fully_connected(1)
CONV = kernels.convolutional(1)
FLOW = dynamics.gradient_flow(EYE, Y)


def descend(**changed):
    options = {"x_train": X, "y_train": Y, "learning_rate": 0.1, "num_steps": 3} | changed
    return training.gradient_descent(NET.apply_fn, PARAMS, **options)


UNIT = X / 12
ONE_HOT = jnp.eye(2)[jnp.array([0, 1, 1, 0])]
TWO = networks.fully_connected(3, 8, n_out=2)


def objective(**changed):
    return training.objective(jax.random.key(0), lambda x: x[:, :2], UNIT, ONE_HOT, **changed)


def minibatch(**changed):
    options = {"x_train": UNIT, "y_train": ONE_HOT, "num_epochs": 1, "batch_size": 2} | changed
    start = TWO.init_fn(jax.random.key(0))
    return training.minibatch(jax.random.key(1), TWO.apply_fn, start, **options)


def first(x):
    return x[:, :1]


def pgd(**changed):
    options = {"x": UNIT, "y": COLUMN, "epsilon": 0.1, "step_size": 0.1, "num_steps": 1} | changed
    return attacks.pgd(jax.random.key(0), first, **options)


def root_pgd(**changed):
    """Of a function that is finite everywhere, and its gradient nowhere."""
    zero = lambda x: jnp.sqrt(jnp.sum((x - x) ** 2, 1, keepdims=True))  # noqa: E731
    options = {"epsilon": 0.1, "step_size": 0.1, "num_steps": 2, "loss": "square"} | changed
    return attacks.pgd(jax.random.key(0), lambda x: first(x) + zero(x), UNIT, COLUMN, **options)


def column(x):
    return x[:, 0]


def worst(**changed):
    options = {"x": UNIT, "y": Y, "epsilon": 0.1} | changed
    return features.worst_points(jax.random.key(0), column, **options)


def one_step(**changed):
    data = {"x_target": X, "y_target": Y, "x_support": X, "y_support": Y, "num_steps": 2} | changed
    return distillation.one_step(jax.random.key(0), NET, **data)


def kip(**changed):
    data = {"x_target": X, "y_target": COLUMN, "x_support": X, "y_support": COLUMN}
    options = {"kernel_fn": FC.ntk, "num_steps": 1} | data | changed
    return distillation.kip(jax.random.key(0), **options)


def poison(**changed):
    data = {"x_train": UNIT, "y_train": COLUMN, "x_val": UNIT, "y_val": COLUMN}
    options = {"epsilon": 0.1, "t": 1.0, "step_size": 0.1, "num_steps": 1} | data | changed
    return applications.poison(**({"kernel_fn": FC.ntk} | options))


def transfer(**changed):
    options = {"x": X, "keep": 0.5, "num_steps": 1} | changed
    return applications.tangent_transfer(NET.apply_fn, PARAMS, **options)


def graph(**changed):
    options = {"adjacency": EYE, "features": X, "graph": np.zeros(4, int)} | changed
    return applications.graph_ntk(**options)


def pattern(**changed):
    return tasks.hidden_pattern(jax.random.key(0), 6, 5, 2, **({"start": 0} | changed))


CASES = {
    "kernels.kappa_0": [(lambda: kernels.kappa_0([jnp.nan]), "`u` must be finite")],
    "kernels.kappa_1": [
        (lambda: kernels.kappa_1("one"), "`u` must be an array of numbers"),
        (lambda: kernels.kappa_1([]), "`u` must not be empty"),
    ],
    "kernels.fully_connected": [
        (lambda: kernels.fully_connected(0), "`depth` must be an integer >= 1; got depth=0"),
        (lambda: kernels.fully_connected(1.5), "`depth` must be an integer"),
        (lambda: kernels.fully_connected(True), "`depth` must be an integer"),
        (lambda: kernels.fully_connected(1, "tanh"), "`activation` must be one of 'relu', 'erf'"),
        (lambda: kernels.fully_connected(1, ["relu"]), "`activation` must be one of"),
        (lambda: kernels.fully_connected(1, w_std=-1.0), "`w_std` must be a finite number > 0"),
        (lambda: kernels.fully_connected(1, w_std=0), "`w_std` must be a finite number > 0"),
        (lambda: kernels.fully_connected(1, b_std=-0.1), "`b_std` must be a finite number >= 0"),
        (lambda: kernels.fully_connected(1, b_std=float("nan")), "`b_std` must be a finite"),
        (lambda: FC.ntk(X, X[:, :2]), r"`x1` and `x2` must share their last axis; got \(4, 3\)"),
        (lambda: FC.ntk(IMAGES), "`x1` must have 2 axes; .*Flatten images first"),
        (lambda: FC.nngp(NAN), "`x1` must be finite; got .*1 NaN or infinite"),
        (lambda: FC.ntk(X, NAN), "`x2` must be finite"),
        (lambda: FC.ntk(X[:0]), "`x1` must not be empty"),
        (lambda: FC.ntk(X * 1j), "`x1` must hold real numbers"),
        (lambda: jax.jit(FC.ntk)(X, X[:, :1]), "share their last axis"),
    ],
    "kernels.convolutional": [
        (lambda: kernels.convolutional(1, readout="max"), "`readout` must be one of 'flatten'"),
        (lambda: kernels.convolutional(-2), "`depth` must be an integer"),
        (lambda: CONV.ntk(X), r"`x1` must have 4 axes; .*\(n, height, width, channels\)"),
        (lambda: CONV.nngp(IMAGES, IMAGES[:, :2]), "must share all axes but the first"),
        (lambda: CONV.ntk(IMAGES * jnp.inf), "`x1` must be finite"),
    ],
    "kernels.gram": [
        (lambda: kernels.gram("ntk", X), "`kernel_fn` must be a function"),
        (lambda: kernels.gram(FC.ntk, X, block_size=0), "`block_size` must be an integer >= 1"),
        (lambda: kernels.gram(FC.ntk, X, X[:, :2]), "must share"),
        (lambda: kernels.gram(FC.ntk, NAN), "`x1` must be finite"),
        (
            lambda: kernels.gram(lambda a, b: a, X),
            r"`kernel_fn` must return outputs of shape \(1, 1\)",
        ),
        (lambda: kernels.gram(FC.ntk, X, memory_limit=-1), "`memory_limit` must be a finite"),
    ],
    "networks.fully_connected": [
        (lambda: networks.fully_connected(0, 8), "`d_in` must be an integer >= 1"),
        (lambda: networks.fully_connected(3, ()), "`widths` must name one width a hidden layer"),
        (lambda: networks.fully_connected(3, (8, 0)), r"`widths\[1\]` must be an integer >= 1"),
        (lambda: networks.fully_connected(3, 8, n_out=0), "`n_out` must be an integer >= 1"),
        (lambda: networks.fully_connected(3, 8, "gelu"), "`activation` must be one of"),
        (lambda: NET.apply_fn(PARAMS, X[:, :2]), r"`x` must have shape \(any, 3\)"),
        (lambda: NET.apply_fn(PARAMS, X[0]), "`x` must have 2 axes"),
        (lambda: NET.apply_fn(PARAMS, NAN), "`x` must be finite"),
    ],
    "networks.convolutional": [
        (lambda: networks.convolutional(1, 8, image_shape=(4, 0)), "`image_shape` must be"),
        (lambda: networks.convolutional(1, 8, image_shape=4), "`image_shape` must be"),
        (lambda: networks.convolutional(1, 8, image_shape=(4, 4), n_out=0), "`n_out` must be"),
        (lambda: networks.convolutional(1, 8, image_shape=(4, 4), readout=""), "`readout` must"),
        (
            lambda: networks.convolutional(1, 8, image_shape=(4, 5)).apply_fn([], IMAGES),
            r"`x` must have shape \(any, 4, 5, 1\)",
        ),
    ],
    "networks.quadratic": [
        (lambda: networks.quadratic(0, 8), "`channels` must be an integer >= 1"),
        (lambda: networks.quadratic(2, 8).apply_fn([], X), "`x` must have 3 axes"),
        (lambda: networks.quadratic(2, 8).apply_fn([], jnp.ones((1, 4, 3))), "`x` must have shape"),
    ],
    "networks.windowed": [
        (lambda: networks.windowed(3, 4, 8), "`window` must be at most 3; got window=4"),
        (lambda: networks.windowed(3, 2, 0), "`num_filters` must be an integer >= 1"),
        (lambda: networks.windowed(4, 2, 8).apply_fn({}, X), r"`x` must have shape \(any, 4\)"),
    ],
    "networks.twin": [(lambda: networks.twin((1, 2)), "`network.init_fn` must be a function")],
    "networks.layer_stds": [
        (lambda: networks.layer_stds("relu", 0, None), "`depth` must be an integer"),
        (lambda: networks.layer_stds("relu", 1, "big"), "`w_std` must be a finite number > 0"),
    ],
    "empirical.ntk": [
        (lambda: empirical.ntk(None, PARAMS, X), "`apply_fn` must be a function"),
        (lambda: empirical.ntk(NET.apply_fn, PARAMS, X, X[:, :1]), "must share"),
        (lambda: empirical.ntk(NET.apply_fn, PARAMS, NAN), "`x1` must be finite"),
        (lambda: empirical.ntk(lambda p, x: x[None], PARAMS, X), "`apply_fn` must return outputs"),
    ],
    "empirical.layerwise_ntk": [
        (
            lambda: empirical.layerwise_ntk(PARAMS, X[:, :2]),
            r"`params\[0\]\['w'\]` must have shape",
        ),
        (lambda: empirical.layerwise_ntk(PARAMS[:1], X), "`params` must be a tree like"),
        (lambda: empirical.layerwise_ntk(PARAMS, NAN), "`x1` must be finite"),
        (
            lambda: empirical.layerwise_ntk(
                networks.fully_connected(3, 8, n_out=2).init_fn(jax.random.key(0)), X
            ),
            r"`params\[-1\]\['w'\]` must have shape \(1, any\)",
        ),
    ],
    "empirical.linearize": [(lambda: empirical.linearize(3, PARAMS), "`apply_fn` must be a func")],
    "regression.fit": [
        (lambda: regression.fit(EYE, Y, ridge=-1.0), "`ridge` must be a finite number >= 0; got"),
        (lambda: regression.fit(EYE, Y, ridge=1, diag_reg=1), "`ridge` must not be given together"),
        (lambda: regression.fit(EYE, Y[:3]), "`y_train` must have 4 rows"),
        (lambda: regression.fit(EYE[:3], Y), r"`k_train_train` must have shape \(3, 3\)"),
        (lambda: regression.fit(0 * EYE, Y), "`k_train_train` must be positive definite after"),
        (lambda: regression.fit(-EYE, Y), "smallest eigenvalue -1"),
        (lambda: regression.fit(EYE.at[0, 1].set(1), Y), "`k_train_train` must be symmetric"),
        (lambda: regression.fit(EYE, "y"), "`y_train` must be an array of numbers"),
    ],
    "regression.predict": [
        (lambda: regression.predict(EYE, Y[:2]), "`alpha` must have 4 rows"),
        (lambda: regression.predict(Y, Y), "`k_test_train` must have 2 axes"),
    ],
    "dynamics.velocity": [
        (lambda: dynamics.velocity(EYE, Y, Y[:2]), "`y_train` must have 4 rows"),
        (lambda: dynamics.velocity(EYE, Y, jnp.ones((4, 2))), r"`y_train` must have shape \(4,\)"),
        (lambda: dynamics.velocity(EYE, Y, Y, learning_rate=0), "`learning_rate` must be a finite"),
        (lambda: dynamics.velocity(EYE, Y, Y, loss_gradient=1), "`loss_gradient` must be a func"),
    ],
    "dynamics.square_loss_gradient": [],
    "dynamics.eigenmodes": [
        (lambda: dynamics.eigenmodes(jnp.ones((2, 3))), "`k_train_train` must have shape"),
        (lambda: dynamics.eigenmodes(jnp.array([[1.0, 2], [0, 1]])), "must be symmetric"),
        (lambda: dynamics.eigenmodes(-EYE), "must be positive semi-definite"),
        (lambda: dynamics.eigenmodes(EYE * jnp.nan), "must be finite"),
    ],
    "dynamics.gradient_flow": [
        (lambda: dynamics.gradient_flow(EYE, Y[:1]), "`y_train` must have 4 rows"),
        (lambda: dynamics.gradient_flow(EYE, Y, learning_rate=-1), "`learning_rate` must be"),
        (lambda: dynamics.gradient_flow(EYE, Y, fx_train_0=jnp.ones((4, 1))), "`fx_train_0` must"),
        (lambda: FLOW.train(-1.0), "`t` must be >= 0"),
        (lambda: FLOW.train(jnp.nan), "`t` must be >= 0"),
        (lambda: FLOW.loss(jnp.ones((2, 2))), "`t` must be a number or a vector"),
        (lambda: FLOW.test(1.0, jnp.ones((2, 3))), r"`k_test_train` must have shape \(any, 4\)"),
        (lambda: FLOW.test(1.0, EYE, jnp.ones(3)), "`fx_test_0` must have 4 rows"),
        (lambda: FLOW.test(1.0, EYE, jnp.ones((4, 2))), "`fx_test_0` must have shape"),
    ],
    "training.square_loss": [],
    "training.gradient_descent": [
        (lambda: descend(y_train=Y[:2]), "`y_train` must have 4 rows"),
        (lambda: descend(y_train=jnp.ones((4, 1))), r"`y_train` must have shape \(4,\)"),
        (lambda: descend(learning_rate=0.0), "`learning_rate` must be a finite number > 0"),
        (lambda: descend(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: descend(num_steps=1, learning_rate=1e308), "must keep the loss finite"),
        (lambda: descend(save_at=[2, 1]), "`save_at` must be ascending"),
        (lambda: descend(save_at=[0, 9]), "between 0 and num_steps=3"),
        (lambda: descend(save_at=[]), "`save_at` must be ascending"),
        (lambda: descend(x_train=NAN), "`x_train` must be finite"),
        (lambda: descend(loss_fn="mse"), "`loss_fn` must be a function"),
        (lambda: descend(optimizer="adam"), "`optimizer` must be a function"),
    ],
    "training.objective": [
        (lambda: objective(method="free"), "`method` must be one of 'plain', 'fgsm', 'pgd'"),
        (lambda: objective(beta=-1.0), "`beta` must be a finite number >= 0"),
        (lambda: objective(method="pgd", num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: objective(method="pgd", epsilon=-0.1), "`epsilon` must be a finite number >= 0"),
        (lambda: objective(method="fgsm", norm="l1"), "`norm` must be one of 'linf', 'l2'"),
    ],
    "training.minibatch": [
        (lambda: minibatch(y_train=Y), "`y_train` must have 2 axes"),
        (lambda: minibatch(y_train=COLUMN), r"`y_train` must have shape \(4, 2\)"),
        (lambda: minibatch(x_train=NAN), "`x_train` must be finite"),
        (lambda: minibatch(batch_size=5), "`batch_size` must be at most 4"),
        (lambda: minibatch(num_epochs=0), "`num_epochs` must be an integer >= 1"),
        (lambda: minibatch(learning_rate=0), "`learning_rate` must be a finite number > 0"),
        (lambda: minibatch(learning_rate=1e308), "`learning_rate` must keep the loss finite"),
        (lambda: minibatch(method="pgd", epsilon=-1), "`epsilon` must be a finite number >= 0"),
        (lambda: minibatch(method="pgd", x_train=X), "`x` must lie within bounds"),
        (lambda: minibatch(method="madry"), "`method` must be one of 'plain'"),
        (lambda: minibatch(optimizer="adam"), "`optimizer` must be a function"),
        (
            lambda: minibatch(save_at=[1, 0]),
            "`save_at` must be ascending, between 0 and num_epochs",
        ),
        (lambda: minibatch(save_at=[]), "`save_at` must be ascending"),
        (lambda: minibatch(save_at=[9]), "`save_at` must be ascending"),
        (lambda: minibatch(save_at=[0.5]), "`save_at` must be an integer >= 0"),
    ],
    "tasks.circle_angles": [
        (lambda: tasks.circle_angles(0), "`n` must be an integer >= 1"),
        (lambda: tasks.circle_angles(4, density_ratio=0), "`density_ratio` must be a finite"),
    ],
    "tasks.circle_ntk": [(lambda: tasks.circle_ntk(EYE), "`angles1` must have 1 axes")],
    "tasks.circle_eigenvalues": [
        (lambda: tasks.circle_eigenvalues([0.5]), "`frequencies` must be integers >= 0"),
        (lambda: tasks.circle_eigenvalues([-1]), "`frequencies` must be integers >= 0"),
        (lambda: tasks.circle_eigenvalues([]), "`frequencies` must not be empty"),
    ],
    "tasks.signed_basis": [
        (lambda: tasks.signed_basis(jax.random.key(0), 0, 3), "`n` must be an integer >= 1")
    ],
    "tasks.signed_basis_error": [
        (lambda: tasks.signed_basis_error(-1, 3), "`n` must be an integer >= 0")
    ],
    "tasks.energy_comparison": [
        (lambda: tasks.energy_comparison(jax.random.key(0), 2, 0.5), "`d` must be an integer >= 1")
    ],
    "tasks.hypercube": [
        (lambda: tasks.hypercube(0), "`k` must be an integer >= 1"),
        (lambda: tasks.hypercube(40), "`k` must be at most 20"),
    ],
    "tasks.hidden_pattern": [
        (lambda: pattern(start=4), "`start` must be at most 3; .* Leave room for the pattern"),
        (lambda: pattern(start=-1), "`start` must be an integer >= 0"),
        (lambda: pattern(values=Y[:3]), r"`values` must have shape \(4,\)"),
    ],
    "tasks.coupon_mean": [(lambda: tasks.coupon_mean(0), "`n` must be an integer >= 1")],
    "tasks.coupon_coverage": [
        (lambda: tasks.coupon_coverage(4, 1.5), "`draws` must be an integer >= 1")
    ],
    "tasks.gaussian_model": [
        (lambda: tasks.gaussian_model(jax.random.key(0), 0, Y, 1.0), "`n` must be an integer >= 1"),
        (lambda: tasks.gaussian_model(jax.random.key(0), 2, EYE, 1.0), "`theta` must have 1 axes"),
        (lambda: tasks.gaussian_model(jax.random.key(0), 2, Y, 0), "`sigma` must be a finite"),
    ],
    "tasks.gaussian_error": [
        (lambda: tasks.gaussian_error(X, Y, 1.0), r"`w` must have shape \(4, 4\)"),
        (lambda: tasks.gaussian_error(0 * Y, Y, 1.0), "`w` must have no row of zeros"),
        (lambda: tasks.gaussian_error(Y, Y, 1.0, epsilon=-1), "`epsilon` must be a finite"),
    ],
    "tasks.averaged_error": [
        (lambda: tasks.averaged_error(0, 10, 1.0), "`n` must be a finite number > 0"),
        (lambda: tasks.averaged_error(1, 0, 1.0), "`d` must be an integer >= 1"),
        (lambda: tasks.averaged_error(1, 10, 0.0), "`sigma` must be a finite number > 0"),
        (lambda: tasks.averaged_error(1, 10, 1.0, epsilon=1e7), r"sigma=1 and epsilon=1e\+07"),
    ],
    "tasks.tradeoff_model": [
        (lambda: tasks.tradeoff_model(jax.random.key(0), 2, 3, eta=-1), "`eta` must be a finite"),
        (lambda: tasks.tradeoff_model(jax.random.key(0), 2, 3, eta=1, p=1), "`p` must lie in"),
    ],
    "tasks.tradeoff_accuracy": [
        (lambda: tasks.tradeoff_accuracy(0, 0, 3, eta=1), "`b` must not be 0 where `a` is"),
        (lambda: tasks.tradeoff_accuracy(1, 1, 3, eta=1, p=0.2), "`p` must lie in"),
        (lambda: tasks.tradeoff_accuracy(jnp.nan, 1, 3, eta=1), "`a` must be finite"),
    ],
    "attacks.cross_entropy": [],
    "attacks.margin": [],
    "attacks.square": [],
    "attacks.kl": [],
    "attacks.project": [
        (lambda: attacks.project(UNIT, UNIT[:1], 0.1), "`x_adv` must have shape"),
        (lambda: attacks.project(UNIT, UNIT, -0.1), "`epsilon` must be a finite number >= 0"),
        (lambda: attacks.project(UNIT, UNIT, 0.1, norm="l1"), "`norm` must be one of 'linf', 'l2'"),
        (lambda: attacks.project(UNIT, UNIT, 0.1, bounds=(1, 0)), "`bounds` must be"),
    ],
    "attacks.fgsm": [
        (lambda: attacks.fgsm(None, UNIT, COLUMN, epsilon=0.1), "`predict_fn` must be a function"),
        (lambda: attacks.fgsm(first, 2 * UNIT, COLUMN, epsilon=1), "`x` must lie within bounds"),
    ],
    "attacks.pgd": [
        (
            lambda: pgd(y=COLUMN[:2]),
            r"`y` must have shape \(\d, \d\); got .* One label for each output",
        ),
        (lambda: pgd(y=Y), "`y` must have 2 axes"),
        (lambda: pgd(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: pgd(restarts=0), "`restarts` must be an integer >= 1"),
        (lambda: pgd(loss="hinge"), "`loss` must be one of 'cross_entropy'"),
        (lambda: pgd(x=NAN), "`x` must be finite"),
        (lambda: root_pgd(best=True), "`predict_fn` must give finite outputs and gradients"),
        (lambda: root_pgd(best=False), "`predict_fn` must give finite outputs and gradients"),
        (lambda: pgd(step_size=-1), "`step_size` must be a finite number >= 0"),
        (lambda: pgd(x_start=UNIT[:1]), "`x_start` must have shape"),
    ],
    "attacks.evaluate": [
        (lambda: attacks.evaluate(first, UNIT, COLUMN, {}), "`attacks` must name at least one"),
        (lambda: attacks.evaluate(first, UNIT, COLUMN[:2], {"a": 1}), "`y` must have shape"),
        (lambda: attacks.evaluate(first, UNIT, COLUMN, {"a": abs}), "`y` must have two columns"),
        (lambda: attacks.evaluate(first, UNIT, ONE_HOT, {"clean": abs}), "none of them clean"),
    ],
    "features.normalize": [
        (lambda: features.normalize(None, X), "`feature_fn` must be a function"),
        (
            lambda: features.normalize(lambda x: x, X),
            r"`feature_fn` must return outputs of shape \(4,\)",
        ),
        (lambda: features.normalize(lambda x: 0 * x[:, 0], X), "`feature_fn` must vary over"),
        (lambda: features.normalize(lambda x: 0 * x[:, 0] + 0.1, X), "`feature_fn` must vary over"),
    ],
    "features.usefulness": [
        (lambda: features.usefulness(column, X, 2 * Y), r"`y` must be a vector of \+-1"),
        (lambda: features.usefulness(column, X, Y[:2]), "`y` must have 4 rows"),
        (lambda: features.usefulness(column, NAN, Y), "`x` must be finite"),
    ],
    "features.worst_points": [
        (lambda: worst(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: worst(epsilon=-1), "`epsilon` must be a finite number >= 0"),
        (lambda: worst(norm="l1"), "`norm` must be one of 'linf', 'l2'"),
        (lambda: worst(x=2 * X), r"`x` must lie within bounds"),
    ],
    "features.robust_usefulness": [
        (
            lambda: features.robust_usefulness(jax.random.key(0), column, UNIT, COLUMN, epsilon=0),
            r"`y` must be a vector of \+-1",
        ),
    ],
    "features.ntk_features": [
        (lambda: features.ntk_features(X, Y), "`k_train_train` must have shape"),
        (lambda: features.ntk_features(-EYE, Y), "`k_train_train` must be positive semi-definite"),
        (lambda: features.ntk_features(EYE, Y / 2), r"`y_train` must be a vector of \+-1"),
    ],
    "data.load": [
        (lambda: data.load("imagenet"), "`name` must be one of 'digits', 'mnist', 'cifar10'"),
        (lambda: data.load(n_train=5000), "`n_train` must be at most 1297"),
        (lambda: data.load(n_test=0), "`n_test` must be an integer >= 1"),
        (lambda: data.load(seed=-1), "`seed` must be an integer >= 0"),
    ],
    "data.flatten": [(lambda: data.flatten(np.float32(1)), "`x` must have a first axis")],
    "data.one_hot": [
        (lambda: data.one_hot([0, 10]), r"`labels` must be a vector of integers in 0\.\.9"),
        (lambda: data.one_hot([[0]]), "`labels` must be a vector"),
        (lambda: data.one_hot([], 3), "`labels` must be a vector"),
    ],
    "data.zca": [
        (lambda: data.zca(IMAGES, reg=-1.0), "`reg` must be a finite number >= 0"),
        (lambda: data.zca(0 * IMAGES), "`x_train` must vary within an image"),
        # Images without their mean: the covariance is singular but for rounding.
        *[
            (
                lambda i=i: data.zca(np.random.default_rng(i).uniform(size=(200, 6)), reg=0.0),
                "`reg` must make the covariance positive definite",
            )
            for i in range(5)
        ],
        (lambda: data.zca(X)(X[:, :2]), r"`images` must match; got images=\(4, 2\)"),
    ],
    "data.augment": [
        (lambda: data.augment(jax.random.key(0), X), "`images` must have 4 axes"),
        (lambda: data.augment(jax.random.key(0), IMAGES, shift=0.5), "`shift` must be an integer"),
    ],
    "kernels.workspace": [
        (lambda: kernels.workspace(FC.ntk, X, 0), "`n` must be an integer >= 1"),
        (lambda: kernels.workspace(FC.ntk, X[0], 3), "`x_support` must have"),
    ],
    "distillation.inner_step": [],
    "distillation.one_step": [
        (lambda: one_step(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: one_step(inner_rate=-1), "`inner_rate` must be a finite number > 0"),
        (lambda: one_step(num_inits=0), "`num_inits` must be an integer >= 1"),
        (lambda: one_step(loss_fn="mse"), "`loss_fn` must be a function"),
        (lambda: one_step(x_support=X[:, :2]), r"`x_support` must have shape \(any, 3\)"),
        (lambda: one_step(y_support=Y[:2]), "`y_support` must have 4 rows"),
        (lambda: one_step(inner_rate=1e300), "`learning_rate` must keep the loss finite"),
    ],
    "distillation.predict": [
        (lambda: distillation.predict(FC.ntk, X, Y, X), "`y_support` must have 2 axes"),
        (lambda: distillation.predict(FC.ntk, X, COLUMN[:2], X), "`y_support` must have shape"),
        (lambda: distillation.predict(FC.ntk, X, COLUMN, X, diag_reg=-1), "`diag_reg` must be"),
        (lambda: distillation.predict(None, X, COLUMN, X), "`kernel_fn` must be a function"),
        (lambda: distillation.predict(FC.ntk, X, COLUMN, X[:, :2]), "`x_test` must have shape"),
        (
            lambda: distillation.predict(FC.ntk, X, COLUMN, X, diag_reg=0),
            "must be a finite number > 0",
        ),
    ],
    "distillation.label_solve": [
        (lambda: distillation.label_solve(FC.ntk, X, X, Y), "`y_target` must have 2 axes"),
        (
            lambda: distillation.label_solve(FC.ntk, X[:, :2], X, COLUMN),
            "`x_target` must have shape",
        ),
        (
            lambda: distillation.label_solve(FC.ntk, X, X, COLUMN, diag_reg=0),
            "`diag_reg` must be a finite number > 0",
        ),
    ],
    "distillation.kip": [
        (lambda: kip(x_support=NAN), "`x_support` must be finite"),
        (lambda: kip(x_support=X[:, :2]), r"`x_support` must have shape \(any, 3\)"),
        (lambda: kip(y_target=Y, y_support=Y), "`y_target` must have shape"),
        (lambda: kip(y_support=jnp.ones((4, 2))), "`y_support` must have shape"),
        (lambda: kip(augment_fn=lambda key, x: x[:1]), r"`augment_fn` must have shape \(4, 3\)"),
        (
            lambda: kip(attack_fn=lambda key, f, x, y: x[:1]),
            r"`attack_fn` must have shape \(4, 3\)",
        ),
        (lambda: kip(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: kip(learning_rate=0), "`learning_rate` must be a finite number > 0"),
        (lambda: kip(batch_size=9), "`batch_size` must be at most 4"),
        (lambda: kip(diag_reg=-1), "`diag_reg` must be a finite number >= 0"),
        (lambda: kip(save_at=[-1]), "`save_at` must be an integer >= 0"),
        (lambda: kip(checkpoint_every=0), "`checkpoint_every` must be an integer >= 1"),
        (lambda: kip(mesh="all"), "`mesh` must be a jax.sharding.Mesh"),
        (lambda: kip(kernel_fn="ntk"), "`kernel_fn` must be a function"),
        (lambda: kip(attack_fn="pgd"), "`attack_fn` must be a function"),
    ],
    "checking.grade": [
        (lambda: checking.grade("nothing", 1), "`name` must be one of"),
        (lambda: checking.questions("00"), "`chapter` must be one of"),
    ],
    "checking.check": [(lambda: checking.check("nothing", 1), "`name` must be one of")],
    "checking.questions": [(lambda: checking.questions("99"), "`chapter` must be one of '01'")],
    "checking.exercises": [],  # takes no argument
    "applications.condition_number": [
        (lambda: applications.condition_number(-EYE), "`k` must be positive definite"),
        (lambda: applications.condition_number(EYE.at[0, 1].set(1)), "`k` must be symmetric"),
    ],
    "applications.label_feature_correlation": [
        (lambda: applications.label_feature_correlation(EYE, Y[:2]), "`y` must have 4 rows"),
        (lambda: applications.label_feature_correlation(EYE, Y), "`k` must vary"),
        (lambda: applications.label_feature_correlation(np.eye(7), ROUNDED), "`k` must vary"),
    ],
    "applications.poison": [
        (lambda: poison(y_train=COLUMN[:2]), r"`y_train` must have shape \(4, any\)"),
        (lambda: poison(y_val=UNIT), r"`y_val` must have shape \(4, 1\)"),
        (lambda: poison(x_val=UNIT[:, :2]), r"`x_val` must have shape \(any, 3\)"),
        (lambda: poison(t=0), "`t` must be a finite number > 0"),
        (lambda: poison(epsilon=-1), "`epsilon` must be a finite number >= 0"),
        (lambda: poison(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: poison(x_train=2 * UNIT), "`x` must lie within bounds"),
        (lambda: poison(kernel_fn="ntk"), "`kernel_fn` must be a function"),
    ],
    "applications.random_masks": [
        (
            lambda: applications.random_masks(jax.random.key(0), PARAMS, 1.5),
            "`keep` must be at most 1",
        ),
        (
            lambda: applications.random_masks(jax.random.key(0), PARAMS, 0.5, layers=(2,)),
            "`layers` must name layers between 0 and 1",
        ),
    ],
    "applications.magnitude_masks": [
        (lambda: applications.magnitude_masks(PARAMS, 0.0), "`keep` must be a finite number > 0")
    ],
    "applications.tangent_transfer": [
        (lambda: transfer(keep=2.0), "`keep` must be at most 1"),
        (lambda: transfer(num_steps=0), "`num_steps` must be an integer >= 1"),
        (lambda: transfer(kernel_weight=-1), "`kernel_weight` must be a finite number >= 0"),
        (lambda: transfer(x=NAN), "`x` must be finite"),
    ],
    "applications.complete": [
        (lambda: applications.complete(EYE, COLUMN, Y), "`observed` must hold booleans"),
        (lambda: applications.complete(EYE, COLUMN, X > 0), r"`observed` must have shape \(4, 1\)"),
        (lambda: applications.complete(EYE, X[:2], X[:2] >= 0), r"`y` must have shape \(4, any\)"),
        (lambda: applications.complete(EYE, X, X > 99), "`observed` must hold one entry a column"),
        (lambda: applications.complete(EYE, X, X >= 0, diag_reg=0), "`diag_reg` must be a finite"),
    ],
    "applications.leave_one_out": [
        (lambda: applications.leave_one_out(EYE, Y, diag_reg=1.0), "`y` must have 2 axes"),
        (lambda: applications.leave_one_out(EYE, X[:2], diag_reg=1.0), "`y` must have 4"),
    ],
    "applications.graph_ntk": [
        (lambda: graph(features=X[:2]), r"`features` must have shape \(4, any\)"),
        (lambda: graph(adjacency=EYE.at[0, 1].set(1)), "`adjacency` must be symmetric"),
        (lambda: graph(graph=np.zeros(3, int)), r"`graph` must have shape \(4,\)"),
        (lambda: graph(num_blocks=0), "`num_blocks` must be an integer >= 1"),
        (lambda: graph(graph=np.array([0, 0, 2, 2])), "`graph` must be 0, 1, ..., without gaps"),
        (
            lambda: graph(adjacency=jnp.ones((4, 4)), graph=np.array([0, 0, 1, 1])),
            "`adjacency` must be 0 between graphs",
        ),
    ],
    "evolution.center": [(lambda: evolution.center(X), r"`k` must have shape \(4, 4\)")],
    "evolution.distance": [
        (lambda: evolution.distance(EYE, EYE[:3, :3]), r"`k2` must have shape \(4, 4\)"),
        (lambda: evolution.distance(EYE, 0 * EYE), "`k2` must not be 0, or constant"),
        (lambda: evolution.distance(EYE * jnp.inf, EYE), "`k1` must be finite"),
    ],
    "evolution.velocity": [
        (lambda: evolution.velocity(EYE, [0, 1]), "`kernels` must have 3 axes"),
        (lambda: evolution.velocity(jnp.stack([EYE, EYE]), [1, 1]), "`times` must be 2 ascending"),
        (lambda: evolution.velocity(EYE[None], [0]), "`times` must be 1 ascending"),
    ],
    "evolution.alignment": [
        (lambda: evolution.alignment(EYE, Y[:2]), "`y` must have 4 rows"),
        (lambda: evolution.alignment(EYE, Y), "`y` must not be 0, or constant"),
        (lambda: evolution.alignment(jnp.eye(7), ROUNDED), "`y` must not be 0, or constant"),
        (
            lambda: evolution.alignment(jnp.full((7, 7), 0.1), np.arange(7)),
            "`k` must not be 0, or constant",
        ),
        (lambda: evolution.alignment(jnp.ones((4, 4)), X), "`k` must not be 0, or constant"),
    ],
    "evolution.concentration": [
        (lambda: evolution.concentration(EYE, 5), "`top` must be at most 4"),
        (lambda: evolution.concentration(EYE, 0), "`top` must be an integer >= 1"),
        (lambda: evolution.concentration(EYE.at[0, 1].set(1)), "`k` must be symmetric"),
    ],
    "evolution.label_share": [
        (lambda: evolution.label_share(EYE, X[:2], 1), "`y` must have 4 rows"),
        (lambda: evolution.label_share(EYE, X, 9), "`top` must be at most 4"),
    ],
    "runtime.scale": [(lambda: runtime.scale("huge"), "`name` must be one of 'quick', 'full'")],
    "runtime.progress": [],
    "networks.dense": [],
}


@pytest.mark.parametrize(("call", "message"), [c for cases in CASES.values() for c in cases])
def test_bad_input__says_what_why_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert str(caught.value).endswith((".", ")"))


def test_bad_input__every_public_function_has_a_case():
    assert set(public.functions()) == set(CASES)
