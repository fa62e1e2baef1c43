"""Bad input, by property: any public function answers rightly or says what to change, never NaN.

`GOOD` has one good call of each public function and of each function that a result carries. Hypothesis
draws which arguments to change and how; `judge` accepts the right answer or an error in the house's
form. `EXPECTED` lists, with its reason, every argument for which a change that is usually refused is
documented to be an answer.
"""

import inspect
import re
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
MODULES = (
    applications, attacks, checking, data, distillation, dynamics, empirical, evolution, features,
    kernels, networks, regression, runtime, tasks, training,
)  # fmt: skip
EACH = 40  # cases for each function

# --- One good call of everything ---------------------------------------------------------------

DRAW = np.random.default_rng(0)
KEY = jax.random.key(0)
X = DRAW.uniform(0.1, 0.9, (4, 3))
X2 = DRAW.uniform(0.1, 0.9, (5, 3))
IMAGES = DRAW.uniform(0.1, 0.9, (3, 3, 4, 1))
SIGNS = np.array([1.0, -1.0, -1.0, 1.0])
COLUMN = SIGNS[:, None]
ONE_HOT = np.eye(2)[[0, 1, 1, 0]]
LOGITS = DRAW.normal(size=(4, 2))
FC, CONV = kernels.fully_connected(1), kernels.convolutional(1)
K = np.asarray(FC.ntk(X))
K_TEST = np.asarray(FC.ntk(X2, X))
NET, TWO = networks.fully_connected(3, 4), networks.fully_connected(3, 4, n_out=2)
CNN = networks.convolutional(1, 2, image_shape=(3, 4))
QUADRATIC, WINDOWED, TWIN = networks.quadratic(1, 4), networks.windowed(3, 2, 4), networks.twin(NET)
PARAMS, PARAMS_TWO = NET.init_fn(KEY), TWO.init_fn(KEY)
FLOW = dynamics.gradient_flow(K, SIGNS)
F_LIN = empirical.linearize(NET.apply_fn, PARAMS)
PATH = training.gradient_descent(
    NET.apply_fn, PARAMS, X, SIGNS, learning_rate=0.1, num_steps=2, save_at=[0, 2]
)


def first(x):
    return x[:, 0]


def two(x):
    return x[:, :2]


def linear(w, x):
    return x @ w


def same_points(key, x):
    return x


def attack(key, predict_fn, x, y):
    return x


def attack_now(predict_fn, x, y):
    return x


USEFUL = features.normalize(first, X)
WHITEN = data.zca(IMAGES)
BALL = {"epsilon": 0.1, "norm": "l2", "bounds": (0.0, 1.0)}
ACTIVE = {"activation": "relu", "w_std": 1.5, "b_std": 0.1}
NAMED = {"key": KEY, "n": 5}

GOOD = {
    "kernels.kappa_0": {"u": X},
    "kernels.kappa_1": {"u": X},
    "kernels.fully_connected": {"depth": 1, **ACTIVE, "precise": False},
    "kernels.fully_connected.ntk": (FC.ntk, {"x1": X, "x2": X2}),
    "kernels.fully_connected.nngp": (FC.nngp, {"x1": X, "x2": X2}),
    "kernels.convolutional": {"depth": 1, **ACTIVE, "readout": "pool"},
    "kernels.convolutional.ntk": (CONV.ntk, {"x1": IMAGES, "x2": IMAGES[:2] ** 2}),
    "kernels.convolutional.nngp": (CONV.nngp, {"x1": IMAGES, "x2": IMAGES[:2] ** 2}),
    "kernels.gram": {
        "kernel_fn": FC.ntk, "x1": X, "x2": X2, "block_size": 3, "memory_limit": 1e9,
    },
    "kernels.workspace": {"kernel_fn": FC.ntk, "x_support": X, "n": 5, "devices": 1},
    "networks.layer_stds": {"activation": "relu", "depth": 1, "w_std": 1.5},
    "networks.dense": {
        "layer": {"w": X2, "b": np.ones(5)}, "a": X, "w_std": 1.5, "b_std": 0.1,
    },
    "networks.fully_connected": {"d_in": 3, "widths": (4,), **ACTIVE, "n_out": 2},
    "networks.fully_connected.init_fn": (NET.init_fn, {"key": KEY}),
    "networks.fully_connected.apply_fn": (NET.apply_fn, {"params": PARAMS, "x": X}),
    "networks.convolutional": {
        "channels": 1, "widths": (2,), **ACTIVE, "image_shape": (3, 4), "readout": "pool",
        "n_out": 2,
    },
    "networks.convolutional.init_fn": (CNN.init_fn, {"key": KEY}),
    "networks.convolutional.apply_fn": (
        CNN.apply_fn, {"params": CNN.init_fn(KEY), "x": IMAGES},
    ),
    "networks.quadratic": {"channels": 1, "width": 4},
    "networks.quadratic.init_fn": (QUADRATIC.init_fn, {"key": KEY}),
    "networks.quadratic.apply_fn": (
        QUADRATIC.apply_fn, {"params": QUADRATIC.init_fn(KEY), "x": X[:, :, None]},
    ),
    "networks.windowed": {"d_in": 3, "window": 2, "num_filters": 4},
    "networks.windowed.init_fn": (WINDOWED.init_fn, {"key": KEY}),
    "networks.windowed.apply_fn": (
        WINDOWED.apply_fn, {"params": WINDOWED.init_fn(KEY), "x": X},
    ),
    "networks.twin": {"network": NET},
    "networks.twin.init_fn": (TWIN.init_fn, {"key": KEY}),
    "networks.twin.apply_fn": (TWIN.apply_fn, {"params": TWIN.init_fn(KEY), "x": X}),
    "empirical.ntk": {"apply_fn": NET.apply_fn, "params": PARAMS, "x1": X, "x2": X2},
    "empirical.layerwise_ntk": {
        "params": PARAMS, "x1": X, "x2": X2, "activation": "relu", "w_std": 1.5, "b_std": 0.0,
    },
    "empirical.linearize": {"apply_fn": NET.apply_fn, "params_0": PARAMS},
    "empirical.linearize()": (F_LIN, {"params": PARAMS, "x": X}),
    "regression.fit": {"k_train_train": K, "y_train": SIGNS, "diag_reg": 0.1},
    "regression.predict": {"k_test_train": K_TEST, "alpha": SIGNS},
    "dynamics.square_loss_gradient": {"fx": LOGITS, "y": ONE_HOT},
    "dynamics.velocity": {
        "k_x_train": K_TEST, "fx_train": LOGITS, "y_train": ONE_HOT, "learning_rate": 0.5,
        "loss_gradient": dynamics.square_loss_gradient,
    },
    "dynamics.eigenmodes": {"k_train_train": K},
    "dynamics.gradient_flow": {
        "k_train_train": K, "y_train": ONE_HOT, "learning_rate": 0.5, "fx_train_0": LOGITS,
    },
    "dynamics.gradient_flow.decay": (FLOW.decay, {"t": np.array([0.5, 2.0])}),
    "dynamics.gradient_flow.train": (FLOW.train, {"t": np.array([0.5, 2.0])}),
    "dynamics.gradient_flow.test": (
        FLOW.test, {"t": 0.5, "k_test_train": K_TEST, "fx_test_0": np.ones(5)},
    ),
    "dynamics.gradient_flow.loss": (FLOW.loss, {"t": np.array([0.5, 2.0])}),
    "training.square_loss": {"fx": LOGITS, "y": ONE_HOT},
    "training.gradient_descent": {
        "apply_fn": NET.apply_fn, "params": PARAMS, "x_train": X, "y_train": SIGNS,
        "learning_rate": 0.1, "num_steps": 2, "save_at": [0, 1], "loss_fn": training.square_loss,
        "optimizer": optax.sgd,
    },
    "training.gradient_descent.at": (PATH.at, {"index": 1}),
    "training.objective": {
        "key": KEY, "predict_fn": two, "x": X, "y": ONE_HOT, "method": "trades", **BALL,
        "step_size": 0.1, "num_steps": 1, "beta": 2.0,
    },
    "training.minibatch": {
        "key": KEY, "apply_fn": TWO.apply_fn, "params": PARAMS_TWO, "x_train": X,
        "y_train": ONE_HOT, "num_epochs": 1, "method": "trades", **BALL, "step_size": 0.1,
        "num_steps": 1, "beta": 2.0, "batch_size": 2, "learning_rate": 0.1, "optimizer": optax.sgd,
    },
    "tasks.circle_angles": {"n": 5, "density_ratio": 2.0},
    "tasks.circle_ntk": {"angles1": SIGNS, "angles2": X[:, 0], "bias": True},
    "tasks.circle_eigenvalues": {
        "frequencies": np.array([0, 1, 2]), "bias": True, "train_readout": True,
    },
    "tasks.signed_basis": NAMED | {"d": 3},
    "tasks.signed_basis_error": {"n": 5, "d": 3},
    "tasks.energy_comparison": NAMED | {"d": 3},
    "tasks.hypercube": {"k": 2},
    "tasks.hidden_pattern": NAMED | {"d": 4, "k": 2, "start": 1, "values": SIGNS},
    "tasks.coupon_mean": {"n": 5},
    "tasks.coupon_coverage": {"n": 5, "draws": 3},
    "tasks.gaussian_model": NAMED | {"theta": X[0], "sigma": 0.5},
    "tasks.gaussian_error": {"w": X, "theta": X[0], "sigma": 0.5, "epsilon": 0.1},
    "tasks.averaged_error": {"n": 5, "d": 10, "sigma": 0.5, "epsilon": 0.1},
    "tasks.tradeoff_model": NAMED | {"d": 3, "eta": 0.5, "p": 0.9},
    "tasks.tradeoff_accuracy": {
        "a": SIGNS, "b": X[:, 0], "d": 3, "eta": 0.5, "p": 0.9, "epsilon": 0.1,
    },
    "attacks.cross_entropy": {"fx": LOGITS, "y": ONE_HOT},
    "attacks.margin": {"fx": LOGITS, "y": ONE_HOT},
    "attacks.square": {"fx": LOGITS, "y": ONE_HOT},
    "attacks.kl": {"fx": LOGITS, "y": ONE_HOT},
    "attacks.project": {"x_adv": X + 0.2, "x": X, **BALL},
    "attacks.fgsm": {"predict_fn": two, "x": X, "y": ONE_HOT, **BALL, "loss": "square"},
    "attacks.pgd": {
        "key": KEY, "predict_fn": two, "x": X, "y": ONE_HOT, **BALL, "step_size": 0.1,
        "num_steps": 1, "loss": "square", "targeted": False, "random_start": True,
        "x_start": X, "restarts": 1, "best": True,
    },
    "attacks.evaluate": {
        "predict_fn": two, "x": X, "y": ONE_HOT, "attacks": {"none": attack_now}, "batch_size": 3,
    },
    "features.normalize": {"feature_fn": first, "x": X, "centre": True},
    "features.normalize()": (lambda x: USEFUL(x), {"x": X}),
    "features.usefulness": {"feature_fn": first, "x": X, "y": SIGNS},
    "features.worst_points": {
        "key": KEY, "feature_fn": first, "x": X, "y": SIGNS, **BALL, "num_steps": 1,
    },
    "features.robust_usefulness": {
        "key": KEY, "feature_fn": first, "x": X, "y": SIGNS, **BALL, "num_steps": 1,
    },
    "features.ntk_features": {"k_train_train": K, "y_train": SIGNS},
    "evolution.center": {"k": K},
    "evolution.distance": {"k1": K, "k2": K**2},
    "evolution.velocity": {"kernels": np.stack([K, K**2]), "times": np.array([0.0, 1.0])},
    "evolution.alignment": {"k": K, "y": SIGNS},
    "evolution.concentration": {"k": K, "top": 2},
    "evolution.label_share": {"k": K, "y": SIGNS, "top": 2},
    "evolution.sgd": {
        "key": KEY, "apply_fn": linear, "params": X[0, :, None] * np.ones((1, 2)), "x_train": X,
        "y_train": ONE_HOT, "learning_rate": 0.1, "batch_size": 2, "save_at": [0, 1],
        "attack_fn": attack,
    },
    "evolution.sgd.at": (PATH.at, {"index": 1}),
    "distillation.inner_step": {
        "apply_fn": NET.apply_fn, "params": PARAMS, "x_support": X, "y_support": SIGNS,
        "inner_rate": 0.1, "loss_fn": training.square_loss,
    },
    "distillation.one_step": {
        "key": KEY, "network": NET, "x_target": X2, "y_target": X2[:, 0], "x_support": X,
        "y_support": SIGNS, "num_steps": 1, "learning_rate": 0.1, "inner_rate": 0.1,
        "num_inits": 1, "loss_fn": training.square_loss,
    },
    "distillation.predict": {
        "kernel_fn": FC.ntk, "x_support": X, "y_support": COLUMN, "x_test": X2, "diag_reg": 0.1,
    },
    "distillation.label_solve": {
        "kernel_fn": FC.ntk, "x_support": X, "x_target": X2, "y_target": X2[:, :2],
        "diag_reg": 0.1,
    },
    "distillation.kip": {
        "key": KEY, "kernel_fn": FC.ntk, "x_target": X, "y_target": COLUMN, "x_support": X + 0.1,
        "y_support": COLUMN, "num_steps": 1, "learning_rate": 0.1, "batch_size": 2,
        "diag_reg": 0.1, "learn_labels": True, "augment_fn": same_points, "attack_fn": attack,
        "save_at": [1], "checkpoint_every": 1,
    },
    "checking.grade": {"name": "how-many", "answer": 1.0, "tries": 1},
    "checking.check": {"name": "how-many", "answer": 1.0},
    "checking.questions": {"chapter": "01"},
    "checking.exercises": {},
    "applications.condition_number": {"k": K},
    "applications.label_feature_correlation": {"k": K, "y": SIGNS},
    "applications.poison": {
        "kernel_fn": FC.ntk, "x_train": X, "y_train": COLUMN, "x_val": X2, "y_val": X2[:, :1],
        "epsilon": 0.1, "t": 1.0, "step_size": 0.1, "num_steps": 1, "bounds": (0.0, 1.0),
    },
    "applications.random_masks": {
        "key": KEY, "params": PARAMS, "keep": 0.5, "layers": (0, 1), "rescale": True,
    },
    "applications.magnitude_masks": {"params": PARAMS, "keep": 0.5},
    "applications.tangent_transfer": {
        "apply_fn": NET.apply_fn, "params": PARAMS, "x": X, "keep": 0.5, "kernel_weight": 0.5,
        "learning_rate": 0.1, "num_steps": 1,
    },
    "applications.complete": {"k": K, "y": X, "observed": X > 0.3, "diag_reg": 0.1},
    "applications.leave_one_out": {"k": K, "y": COLUMN, "diag_reg": 0.1},
    "applications.graph_ntk": {
        "adjacency": np.kron(np.eye(2), [[0.0, 1.0], [1.0, 0.0]]), "features": X,
        "graph": np.array([0, 0, 1, 1]), "num_blocks": 2, "num_layers": 1,
    },
    "data.load": {"name": "digits", "n_train": 3, "n_test": 2, "seed": 1},
    "data.flatten": {"x": IMAGES},
    "data.one_hot": {"labels": np.array([0, 2, 1]), "num_classes": 3, "centred": True},
    "data.zca": {"x_train": IMAGES, "reg": 0.1, "unit_norm": True},
    "data.zca()": (WHITEN, {"images": IMAGES}),
    "data.augment": {"key": KEY, "images": IMAGES, "shift": 1, "flip": True},
    "runtime.scale": {"name": "quick"},
    "runtime.scale.pick": (runtime.scale().pick, {"quick": 1, "full": 2}),
    "runtime.progress": {"items": [1, 2], "label": "words", "show": False},
}  # fmt: skip


def public():
    """Name -> function, for all that the modules define."""
    return {
        f"{module.__name__.split('.')[-1]}.{name}": function
        for module in MODULES
        for name, function in vars(module).items()
        if callable(function)
        and not inspect.isclass(function)
        and not name.startswith("_")
        and getattr(function, "__module__", "") == module.__name__
    }


PUBLIC = public()
CALLS = {n: row if isinstance(row, tuple) else (PUBLIC[n], row) for n, row in GOOD.items()}


# --- How to spoil an argument --------------------------------------------------------------------
# Each change is (value, position) -> value. SAME must give what a float64 copy gives; REFUSED must be
# refused; for the others either will do.

SCALES = {f"times {c:g}": c for c in (1e-30, 1e-8, 1e8, 1e30)}
SCALES |= {f"{name}, float32": np.float32(c) for name, c in SCALES.items()}


def put(value, array, position):
    array = np.array(array, float)
    array.reshape(-1)[position % max(array.size, 1)] = value
    return array


def cast(dtype, array, _):
    return np.asarray(array, dtype)


ARRAY_SAME = {
    "integers": lambda a, _: np.round(3 * a).astype(int),
    "float16": partial(cast, np.float16),
    "bfloat16": partial(cast, jnp.bfloat16),
    "float32": partial(cast, np.float32),
    "lists": lambda a, _: np.asarray(a).tolist(),
    "JAX": lambda a, _: jnp.asarray(a),
    "reversed memory": lambda a, _: np.array(a, order="F"),
    "strided": lambda a, _: np.repeat(a, 2, 0)[::2],
    "read-only": lambda a, _: np.broadcast_to(a, a.shape),
}
ARRAY_REFUSED = {
    "nan": partial(put, np.nan),
    "inf": partial(put, np.inf),
    "-inf": partial(put, -np.inf),
    "no rows": lambda a, _: a[:0],
    "complex": lambda a, _: a + 1j,
    "strings": lambda a, _: np.full(a.shape, "a"),
    "objects": lambda a, _: np.full(a.shape, object()),
    "ragged": lambda a, _: [[1.0], [1.0, 2.0]],
    "text": lambda a, _: "text",
    "dict": lambda a, _: {"x": a},
}
ARRAY_OTHER = {
    "None": lambda a, _: None,
    "one axis more": lambda a, _: a[None],
    "one axis more, last": lambda a, _: a[..., None],
    "one axis less": lambda a, _: a[0],
    "a number": lambda a, _: float(a.ravel()[0]),
    "no columns": lambda a, _: a[..., :0],
    "one point": lambda a, _: a[:1],
    "a row less": lambda a, _: a[:-1],
    "a row more": lambda a, _: np.concatenate([a, a[:1]]),
    "a column less": lambda a, _: a[..., :-1],
    "transposed": lambda a, _: a.T,
    "booleans": lambda a, _: a > 0.3,
    "duplicates": lambda a, i: a[np.full(len(a), i % len(a))],
    "two equal": lambda a, i: a[np.r_[0, 0, 2 : len(a)]],
    "zeros": lambda a, _: np.zeros_like(a),
    "all equal": lambda a, _: np.full_like(a, 0.5),
    "negative": lambda a, _: -a,
} | {name: lambda a, _, c=c: a.astype(getattr(c, "dtype", float)) * c for name, c in SCALES.items()}
NUMBER_SAME = {
    "float32": lambda v, _: np.float32(v),
    "float64": lambda v, _: np.float64(v),
    "JAX number": lambda v, _: jnp.asarray(v),
    "NumPy number": lambda v, _: np.asarray(v)[()],
    "0-d array": lambda v, _: np.asarray(v),
    "array of one": lambda v, _: np.array([v]),
}
NUMBER_REFUSED = {
    "nan": lambda v, _: np.nan,
    "inf": lambda v, _: np.inf,
    "-inf": lambda v, _: -np.inf,
    "very negative": lambda v, _: -1e9,
    "array of two": lambda v, _: np.array([v, v]),
    "numeric text": lambda v, _: str(v),
    "text": lambda v, _: "text",
    "complex": lambda v, _: v + 1j,
    "list": lambda v, _: [v],
    "object": lambda v, _: object(),
}
NUMBER_OTHER = {
    "None": lambda v, _: None,
    "zero": lambda v, _: 0,
    "minus one": lambda v, _: -1,
    "tiny": lambda v, _: 1e-300,
    "small": lambda v, _: 1e-30,
    "huge": lambda v, _: 1e30,
    "enormous": lambda v, _: 1e300,
    "True": lambda v, _: True,
    "a half more": lambda v, _: v + 0.5,
    "one more": lambda v, _: v + 1,
}
INTEGER_OTHER = NUMBER_OTHER | {"whole float": lambda v, _: float(v), "huge": lambda v, _: 10**12}
FLAG_OTHER = {
    "the other": lambda v, _: not v,
    "NumPy": lambda v, _: np.bool_(v),
    "None": lambda v, _: None,
    "nan": lambda v, _: np.nan,
    "text": lambda v, _: "text",
    "two": lambda v, _: 2,
}
NAME_REFUSED = {
    "unknown": lambda v, _: "unknown",
    "empty": lambda v, _: "",
    "other case": lambda v, _: v.upper(),
    "number": lambda v, _: 3,
    "list": lambda v, _: [v],
    "bytes": lambda v, _: v.encode(),
    "None": lambda v, _: None,
}
KEY_SAME = {"old style": lambda v, _: jax.random.key_data(v)}
KEY_REFUSED = {
    "a seed": lambda v, _: 0,
    "a NumPy seed": lambda v, _: np.uint32(7),
    "keys": lambda v, _: jax.random.split(v),
    "three words": lambda v, _: jnp.zeros(3, jnp.uint32),
    "floats": lambda v, _: jnp.zeros(2),
    "None": lambda v, _: None,
    "text": lambda v, _: "key",
    "generator": lambda v, _: np.random.default_rng(0),
}
FUNCTION_REFUSED = {
    "None": lambda f, _: None,
    "number": lambda f, _: 3,
    "text": lambda f, _: "f",
    "gives None": lambda f, _: lambda *a, **k: None,
    "gives NaN": lambda f, _: changed(f, lambda a: a * jnp.nan),
    "gives one axis more": lambda f, _: changed(f, lambda a: a[None]),
}
TREE_REFUSED = {
    "empty": lambda v, _: type(v)(),
    "number": lambda v, _: 3,
    "text": lambda v, _: "text",
    "one too few": lambda v, _: v[:-1] if isinstance(v, list | tuple) else {},
    "nan": lambda v, i: spoil(v, i, np.nan),
    "inf": lambda v, i: spoil(v, i, np.inf),
    "text inside": lambda v, i: spoil(v, i, "text"),
}
TREE_OTHER = {"None": lambda v, _: None, "twice": lambda v, _: v + v}


def changed(function, change):
    """The function with its arrays changed; functions that it returns stay."""

    def apply(leaf):
        return change(leaf) if hasattr(leaf, "dtype") else leaf

    return lambda *args, **options: jax.tree.map(apply, function(*args, **options))


def spoil(tree, position, value):
    """A tree with one leaf replaced (by an array of its shape, if it was one)."""
    leaves, form = jax.tree.flatten(tree)
    at = position % len(leaves)
    array = np.ndim(leaves[at]) and not isinstance(value, str)
    leaves[at] = put(value, leaves[at], position) if array else value
    return form.unflatten(leaves)


def kinds(value):
    """The changes (name -> (change, verdict)) that fit a value."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return KEY_SAME, KEY_REFUSED, {}
    if isinstance(value, bool):
        return {}, {}, FLAG_OTHER
    if isinstance(value, int):
        return NUMBER_SAME, NUMBER_REFUSED, INTEGER_OTHER
    if isinstance(value, float):
        return NUMBER_SAME, NUMBER_REFUSED, NUMBER_OTHER
    if isinstance(value, str):
        return {}, NAME_REFUSED, {}
    if isinstance(value, np.ndarray | jax.Array):
        return ARRAY_SAME, ARRAY_REFUSED, ARRAY_OTHER
    if callable(value):
        return {}, FUNCTION_REFUSED, {}
    return {}, TREE_REFUSED, TREE_OTHER


def changes(value):
    same, refused, other = kinds(value)
    return (
        {name: (change, "same") for name, change in same.items()}
        | {name: (change, "refused") for name, change in refused.items()}
        | {name: (change, "") for name, change in other.items()}
    )


# --- The verdict -----------------------------------------------------------------------------------

FORM = re.compile(r"`([^`]+)`(?: and `([^`]+)`)? must .+?; got .+", re.DOTALL)
EXPECTED = {}
ALIASES = {}


def arrays(result):
    """All numbers of a result, as arrays."""
    leaves = jax.tree.leaves(result)
    return [
        np.asarray(leaf)
        for leaf in leaves
        if isinstance(leaf, float | int | complex | np.generic | np.ndarray | jax.Array)
    ]


def call(name, arguments):
    """(result, None) or (None, error)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return CALLS[name][0](**arguments), None
        except Exception as error:
            return None, error


def complaint(name, changed_arguments, drawn):
    """What is wrong with the answer to a call; None if nothing is. drawn: (argument, change, verdict)."""
    function, good = CALLS[name]
    result, error = call(name, good | changed_arguments)
    if error is not None:
        if isinstance(error, MemoryError):
            return None
        found = FORM.match(str(error))
        if not isinstance(error, ValueError | TypeError) or not found:
            return f"raised {type(error).__name__}: {str(error)[:300]}"
        named = {re.split(r"[.\[]", n)[0] for n in found.groups() if n}
        if not named <= {*good, *ALIASES.get(name, ())}:
            return f"named no argument of its own: {error}"
        return None
    for leaf in arrays(result):
        if leaf.dtype.kind == "V":
            leaf = leaf.astype(float)
        if leaf.dtype.kind not in "biuf":
            return f"gave {leaf.dtype}"
        if not np.isfinite(leaf).all():
            return f"gave NaN or infinity: {leaf.ravel()[:5]}"
    if len(drawn) > 1:
        return None
    ((argument, change, verdict),) = drawn
    if verdict == "refused" and not allowed(name, argument, change):
        return f"was not refused: {str(result)[:100]}"
    value = changed_arguments[argument]
    if verdict == "same":
        return differs(name, argument, change, value, result)
    if change in SCALES and (name, argument) in DEGREES:
        c, degree = float(SCALES[change]), DEGREES[name, argument]
        tolerance = 1e-3 if "float32" in change else 1e-8
        with np.errstate(over="ignore", under="ignore"):
            wanted = [c**degree * np.asarray(a, float) for a in arrays(call(name, good)[0])]
        return apart(arrays(result), wanted, tolerance)
    if change in ("duplicates", "two equal") and (name, argument) in ROWS:
        rows = [a[:2] if change == "two equal" else a for a in arrays(result)]
        return apart(rows, [np.broadcast_to(a[:1], a.shape) for a in rows], 1e-9)
    return None


def differs(name, argument, change, value, result):
    """SAME: the float64 copy of the value must give the same."""
    if change == "old style":
        value = CALLS[name][1][argument]
    elif isinstance(CALLS[name][1][argument], int | float):
        value = type(CALLS[name][1][argument])(np.asarray(value).item())
    else:
        value = np.asarray(value, float)
    wanted, error = call(name, CALLS[name][1] | {argument: value})
    if error is not None:
        return f"was answered, while its float64 copy raised {error}"
    loose = 2e-3 if change == "float32" else 1e-9
    return apart(arrays(result), arrays(wanted), loose)


def apart(found, wanted, tolerance):
    if [a.shape for a in found] != [a.shape for a in wanted]:
        return f"gave shapes {[a.shape for a in found]}, not {[a.shape for a in wanted]}"
    for a, b in zip(found, wanted, strict=True):
        if (a.dtype.kind == "f") != (b.dtype.kind == "f"):
            return f"gave {a.dtype}, not {b.dtype}"
        a, b = a.astype(float), b.astype(float)
        size = max(np.abs(b).max(initial=0), 1e-36)
        if not (np.abs(a - b) <= tolerance * size).all():
            return f"gave {a.ravel()[:4]}, not {b.ravel()[:4]}"
    return None


DEGREES = {}
ROWS = set()


def allowed(name, argument, change):
    return change in EXPECTED.get((name, argument), ())
