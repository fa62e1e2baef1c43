"""Bad input, by property: any public function answers rightly or says what to change, never NaN.

`GOOD` has one good call of each public function and of each function that a result carries.
Hypothesis draws which arguments to change and how; `complaint` accepts the right answer or an error
in the house's form. `EXPECTED` lists, with its reason, where a change that is usually refused has
an answer.
"""

import re
import warnings
from datetime import timedelta
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import public
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ntk_course import (
    data,
    dynamics,
    empirical,
    features,
    kernels,
    networks,
    training,
)

pytestmark = pytest.mark.usefixtures("untyped")
EACH = 28  # cases for each function

# --- One good call of everything

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


def first(x):
    return x[:, 0]


def two(x):
    return x[:, :2]


def linear(params, x):
    return x @ params["w"]


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
    "training.objective": {
        "key": KEY, "predict_fn": two, "x": X, "y": ONE_HOT, "method": "trades", **BALL,
        "step_size": 0.1, "num_steps": 1, "beta": 2.0,
    },
    "training.minibatch": {
        "key": KEY, "apply_fn": TWO.apply_fn, "params": PARAMS_TWO, "x_train": X,
        "y_train": ONE_HOT, "num_epochs": 1, "method": "trades", **BALL, "step_size": 0.1,
        "num_steps": 1, "beta": 2.0, "batch_size": 2, "learning_rate": 0.1, "optimizer": optax.sgd,
        "save_at": [0, 1],
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
    "data.augment": {"key": KEY, "images": IMAGES, "shift": 1},
    "runtime.scale": {"name": "quick"},
}  # fmt: skip
UNCHECKED = {
    "networks.dense": "a step inside `apply_fn`, which has checked inputs and parameters",
    "distillation.inner_step": "one line of eq. 24 inside `one_step`, which has checked",
    "training.gradient_descent.at": "NumPy's indexing",
    "runtime.scale.pick": "gives one of its arguments back, whatever it is",
    "runtime.progress": "tqdm's own arguments",
}


PUBLIC = public.functions()
CALLS = {n: row if isinstance(row, tuple) else (PUBLIC[n], row) for n, row in GOOD.items()}


# --- How to spoil an argument
# Each change is (value, position) -> value. SAME must give what a float64 copy gives; REFUSED must
# be refused; for the others either will do.

SCALES = {f"times {c:g}": c for c in (1e-30, 1e-8, 1e8, 1e30)}
SCALES |= {f"{name}, float32": np.float32(c) for name, c in SCALES.items()}


def put(value, array, position):
    array = np.array(array, float)
    array.flat[position % array.size] = value
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
    "negative": lambda a, _: -1 * a,
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
    "empty": lambda v, _: () if isinstance(v, tuple) else type(v)(),
    "number": lambda v, _: 3,
    "text": lambda v, _: "text",
    "one too few": lambda v, _: v[:-1] if isinstance(v, list | tuple) else {},
    "nan": lambda v, i: spoil(v, i, np.nan),
    "inf": lambda v, i: spoil(v, i, np.inf),
    "text inside": lambda v, i: spoil(v, i, "text"),
}
TREE_OTHER = {
    "None": lambda v, _: None,
    "twice": lambda v, _: v + v if isinstance(v, list | tuple) else {"twice": v},
}


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
    """The changes that fit a value, as the three tables SAME, REFUSED and OTHER."""
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
    """The changes that fit a value: (name, change, what it must lead to)."""
    verdicts = zip(("same", "refused", ""), kinds(value), strict=True)
    return [(name, make, verdict) for verdict, some in verdicts for name, make in some.items()]


# --- What is an answer although it looks spoilt, with the reason

ANY = {
    change
    for kind in (ARRAY_REFUSED, NUMBER_REFUSED, NAME_REFUSED, TREE_REFUSED)
    for change in kind
}
LEFT = {"gives None", "gives NaN", "gives one axis more"}
EXPECTED = {
    # An option's default, or a number that stands for a list of one.
    "widths": {"number"},
    "save_at": {"empty", "one too few"},
    "layers": {"empty", "one too few"},
    # An infinite time is the end of training, an infinite bound is no bound.
    "t": {"inf", "array of one", "array of two", "list"},
    "bounds": {"inf"},
    # Any answer of a student gets a grade; a reshape leaves its entries alone.
    "answer": ANY,
    "data.flatten.x": ANY | {"lists", "integers", "bfloat16"},
    # Looked at only when the result is called, or not at all.
    "empirical.linearize.apply_fn": LEFT,
    "params_0": ANY,
    "kernels.workspace.kernel_fn": LEFT | {"None", "number", "text"},
    # Bytes, and draws, depend on the dtype.
    "kernels.workspace.x_support": {"float32", "integers", "float16", "bfloat16", "lists"},
    "theta": {"float32", "integers", "float16", "bfloat16", "lists"},
    # Masks of any tree.
    "applications.magnitude_masks.params": {"empty", "number", "one too few"},
    # The engine's own error is clear enough, or the function is called inside a compiled step only.
    "optimizer": LEFT,
    "attack_fn": LEFT | {"None"},
    "augment_fn": LEFT | {"None"},
    "checking.questions.chapter": {"list", "other case"},
    "empirical.layerwise_ntk.params": {"twice"},
    "applications.random_masks.params": {"number", "None"},
    "images": {"ragged"},
    "labels": {"ragged"},
    "graph": {"ragged"},
    "observed": {"ragged"},
    "y": {"ragged", "strings"},
}
# Names in an error that belong to what the function was given or calls.
NAMES = {
    "apply_fn": {"x", "params"},
    "network": {"x", "params"},
    "kernel_fn": {"x1", "x2"},
    "feature_fn": {"predict_fn"},
    "training.minibatch": {"x"},
    "applications.poison": {"x", "x_adv"},
    "attacks.pgd": {"x_adv"},
    "evolution.velocity": {"k1", "k2"},
    "applications.graph_ntk": {"u"},
    "applications.leave_one_out": {"k_train_train", "y_train"},
}
# f(c x) = c^degree f(x). Not of convolutional kernels: they know the angle between two images by
# their distance, and lose digits where one image is much larger than the other.
DEGREES = {
    ("kernels.fully_connected.ntk", "x1"): 1,
    ("kernels.fully_connected.nngp", "x2"): 1,
    ("kernels.gram", "x1"): 1,
    ("networks.fully_connected.apply_fn", "x"): 1,
    ("networks.convolutional.apply_fn", "x"): 1,
    ("networks.quadratic.apply_fn", "x"): 2,
    ("empirical.ntk", "x1"): 1,
    ("empirical.layerwise_ntk", "x2"): 1,
    ("regression.fit", "y_train"): 1,
    ("regression.fit", "k_train_train"): -1,
    ("regression.predict", "k_test_train"): 1,
    ("dynamics.velocity", "k_x_train"): 1,
    ("tasks.gaussian_error", "w"): 0,
    ("evolution.center", "k"): 1,
    ("evolution.distance", "k1"): 0,
    ("evolution.alignment", "y"): 0,
    ("evolution.concentration", "k"): 0,
    ("applications.condition_number", "k"): 0,
    ("applications.label_feature_correlation", "y"): 0,
    ("applications.complete", "y"): 1,
    ("applications.graph_ntk", "features"): 2,
    ("distillation.predict", "y_support"): 1,
    ("distillation.label_solve", "y_target"): 1,
}
# Equal rows of these arguments give equal rows of the result.
ROWS = {
    ("kernels.kappa_0", "u"),
    ("kernels.fully_connected.ntk", "x1"),
    ("kernels.convolutional.ntk", "x1"),
    ("kernels.gram", "x1"),
    ("networks.fully_connected.apply_fn", "x"),
    ("networks.convolutional.apply_fn", "x"),
    ("networks.windowed.apply_fn", "x"),
    ("empirical.ntk", "x1"),
    ("empirical.layerwise_ntk", "x1"),
    ("regression.predict", "k_test_train"),
    ("distillation.predict", "x_test"),
    ("tasks.gaussian_error", "w"),
    ("data.flatten", "x"),
    ("data.zca()", "images"),
}

# --- The verdict

FORM = re.compile(r"`([^`]+)`(?: and `([^`]+)`)? must .+?; got .+", re.DOTALL)


def expected(name, argument, change):
    """Whether the table above lists this change."""
    return any(change in EXPECTED.get(k, ()) for k in (argument, f"{name}.{argument}"))


def call(name, arguments):
    """(result, None) or (None, error); a warning in the house's form counts as an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = CALLS[name][0](**arguments)
        except Exception as error:
            return None, error
    said = [str(w.message) for w in caught if FORM.match(str(w.message))]
    return (None, ValueError(said[0])) if said else (result, None)


def complaint(name, good, drawn, position):
    """What is wrong with the answer to a changed call; None if nothing is.

    drawn: argument -> (name of the change, the change, what it must lead to).
    """
    changed = {a: make(good[a], position) for a, (_, make, _) in drawn.items()}
    result, error = call(name, good | changed)
    listed = any(expected(name, argument, drawn[argument][0]) for argument in drawn)
    if error is not None:
        found = FORM.match(str(error))
        if listed or isinstance(error, MemoryError):
            return None
        if not found or not isinstance(error, ValueError):
            return f"raised {type(error).__name__}: {str(error)[:300]}"
        named = {re.split(r"[.\[]", n)[0] for n in found.groups() if n}
        known = {*good}.union(*(NAMES.get(k, ()) for k in (name, *good)))
        return None if named <= known else f"named no argument of its own: {error}"
    if listed:
        return None
    for leaf in arrays(result):
        if leaf.dtype.kind not in "biuf" or not np.isfinite(leaf).all():
            return f"gave {leaf.dtype} {leaf.ravel()[:5]}"
    if len(drawn) > 1:
        return None
    ((argument, (change, _, verdict)),) = drawn.items()
    if verdict == "refused":
        return f"was not refused, but gave {str(result)[:100]}"
    single = any(getattr(v, "dtype", 0) == np.float32 for v in good.values())
    if verdict == "same":
        wanted, error = call(name, good | {argument: copied(changed[argument], good[argument])})
        if error is not None:
            return f"was answered, while its float64 copy raised {error}"
        return apart(result, wanted, 2e-3 if single or change == "float32" else 1e-9)
    if change in SCALES and (name, argument) in DEGREES:
        scale = np.float64(SCALES[change]) ** DEGREES[name, argument]
        wanted = [scale * a.astype(float) for a in arrays(call(name, good)[0])]
        return apart(result, wanted, 1e-3 if single or "float32" in change else 1e-8)
    if change in ("duplicates", "two equal") and (name, argument) in ROWS:
        rows = [a[:2] if change == "two equal" else a for a in arrays(result)]
        return apart(
            rows, [np.broadcast_to(a[:1], a.shape) for a in rows], 1e-5 if single else 1e-9
        )
    return None


def arrays(result):
    """All numbers of a result, as arrays."""
    kinds = float | int | complex | np.generic | np.ndarray | jax.Array
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result) if isinstance(leaf, kinds)]


def copied(value, good):
    """A value in the plain type of the good one."""
    if isinstance(good, int | float):
        return type(good)(np.asarray(value).item())
    if isinstance(good, np.ndarray):
        return np.asarray(value, float).astype(float if good.dtype.kind == "f" else good.dtype)
    return good


def apart(found, wanted, tolerance):
    """How two results differ; None if they agree relative to their largest entries."""
    for a, b in zip(arrays(found), arrays(wanted), strict=True):
        same = a.shape == b.shape and (a.dtype.kind == "f") == (b.dtype.kind == "f")
        # In float32 the squares of numbers below 1e-19 are 0.
        least, digits = (1e-18, 1e-5) if a.dtype == np.float32 else (1e-36, 0)
        size = max(np.abs(b).max(initial=0), least) if same else 1.0
        if not same or not (np.abs(a * 1.0 - b * 1.0) <= max(tolerance, digits) * size).all():
            return (
                f"gave {a.dtype} {a.shape} {a.ravel()[:4]}, not {b.dtype} {b.shape} {b.ravel()[:4]}"
            )
    return None


def singles(good):
    """The good arguments with their floating arrays in float32."""
    return {
        k: v.astype(np.float32) if isinstance(v, np.ndarray) and v.dtype == float else v
        for k, v in good.items()
    }


@st.composite
def spoilt(draw, name):
    """(good arguments, {argument: change}, position): one or two changes, in float64 or float32."""
    good = CALLS[name][1]
    good = singles(good) if draw(st.booleans()) else good
    some = st.lists(st.sampled_from(sorted(good)), min_size=1, max_size=2, unique=True)
    drawn = {a: draw(st.sampled_from(changes(good[a]))) for a in draw(some)}
    return good, drawn, draw(st.integers(0, 11))


@pytest.mark.parametrize("name", [n for n in CALLS if CALLS[n][1]])
def test_fuzz__right_answer_or_the_houses_error(name, record_property):
    cases = 0

    @settings(
        max_examples=EACH, derandomize=True, database=None, deadline=timedelta(seconds=60),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(spoilt(name))
    def run(case):
        nonlocal cases
        cases += 1
        good, drawn, position = case
        wrong = complaint(name, good, drawn, position)
        which = {argument: change[0] for argument, change in drawn.items()}
        assert wrong is None, f"{name} with {which} {wrong}"

    assert call(name, CALLS[name][1])[1] is None
    run()
    record_property("cases", cases)
    print(f"{name}: {cases} cases")
    assert cases >= 15


def test_fuzz__has_at_least_2000_cases_and_every_public_function():
    carried = set()
    for name, (function, good) in CALLS.items():
        result = function(**good)
        if callable(result):
            carried.add(f"{name}()")
        elif isinstance(result, tuple):
            own = [f for f in dir(type(result)) if f[0] != "_" and f not in dir(tuple)]
            carried |= {f"{name}.{f}" for f in own if callable(getattr(result, f))}
    assert set(PUBLIC) | carried == set(GOOD) | set(UNCHECKED)
    assert EACH * len(GOOD) >= 2000
