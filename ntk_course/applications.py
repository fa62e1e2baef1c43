"""What else the four steps solve: search, selection, poisoning, pruning, completion, graphs."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.linalg
from jaxtyping import Array, Bool, Float, Int

from ntk_course import _checks, _layers, attacks, empirical, kernels, regression
from ntk_course._checks import Numbers


def condition_number(k: Float[Numbers, "n n"]) -> Float[Array, ""]:
    """The condition number of a Gram matrix: how many steps gradient descent needs.

    Math: kappa = lambda_max / lambda_min; with the best rate 2 / (lambda_max + lambda_min) the
    slowest error shrinks by (kappa - 1) / (kappa + 1) a step.

    Args:
        k: Gram matrix, shape (n, n), positive definite.
    Returns:
        A number >= 1.
    Raises:
        ValueError: if the matrix is not symmetric or not positive definite.
    References:
        Chen et al. (2021), section 3.1. Lecture notes, section 2.3 (where kappa is the inverse).
    """
    values = jnp.linalg.eigvalsh(_checks.symmetric("k", k))
    least = 1.0 if isinstance(values, jax.core.Tracer) else float(values[0])
    fix = "Remove duplicate inputs, or compute the kernel in float64."
    _checks.require(least > 0, "k", "be positive definite", f"least {least}", fix)
    return values[-1] / values[0]


def label_feature_correlation(
    k: Float[Numbers, "n n"], y: Float[Numbers, "n *out"]
) -> Float[Array, ""]:
    """The correlation of a kernel's entries with those of the labels' kernel (LFC).

    Math: <K - mean K, Y Y^T - mean> / (|K - mean K| |Y Y^T - mean|), means over all entries.

    Args:
        k: Gram matrix, shape (n, n).
        y: labels, one-hot or +-1, shape (n,) or (n, n_out).
    Returns:
        A number in [-1, 1].
    Raises:
        ValueError: if shapes do not match or a kernel is constant.
    References:
        Deshpande et al. (2021), section 4. Lecture notes, section 4.
    """
    k = _checks.square("k", k)
    y = _checks.targets("y", y, len(k)).reshape(len(k), -1)
    a, b = (m - m[0, 0] for m in (k, y @ y.T))  # constant ones become 0 to the last bit
    a, b = a - a.mean(), b - b.mean()
    size = jnp.linalg.norm(a) * jnp.linalg.norm(b)
    varies = isinstance(size, jax.core.Tracer) or bool(size > 0)
    _checks.require(varies, "k", "vary, as must the labels", "a constant", "Use two classes.")
    return jnp.sum(a * b) / size


def poison(
    kernel_fn: Callable,
    x_train: Float[Numbers, "n d"],
    y_train: Float[Numbers, "n c"],
    x_val: Float[Numbers, "n_val d"],
    y_val: Float[Numbers, "n_val c"],
    *,
    epsilon: float,
    t: float,
    step_size: float,
    num_steps: int,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Float[Array, "n d"]:
    """Training inputs changed a little, so that what is learned from them fails elsewhere (NTGA).

    Math: max_delta l(K(V, X + delta) K^(-1) (I - e^(-K t)) Y, Y_V), |delta|_inf <= epsilon, by sign
    steps; K = K(X + delta, X + delta).

    Args:
        kernel_fn: (x1, x2=None) -> (n1, n2).
        x_train: inputs that may be changed, within the bounds, shape (n, d).
        y_train: their labels, which may not, centred one-hot, shape (n, C).
        x_val: inputs on which predictions shall fail, shape (n_val, d).
        y_val: their labels, shape (n_val, C).
        epsilon: radius of the changes.
        t: training time of the victim, in units of the inverse kernel.
        step_size: of each ascent step.
        num_steps: number of steps.
        bounds: smallest and largest value of an entry.
    Returns:
        Changed inputs, shape (n, d).
    Raises:
        ValueError: if shapes do not match or an option is out of range.
    References:
        Yuan and Wu (2021), eq. 4. Lecture notes, section 4; eq. 19 for the predictor.
    """
    x, y = _checks.labelled("train", x_train, y_train)
    x_val, y_val = _checks.labelled("val", x_val, y_val)
    _checks.shape("x_val", x_val, (None, *x.shape[1:]), "As wide as `x_train`.")
    _checks.shape("y_val", y_val, (len(x_val), y.shape[1]), "The classes of `y_train`.")
    t = _checks.scalar("t", t, positive=True)
    _checks.returned("kernel_fn", kernel_fn, x, like=(len(x), len(x)), compiled=True)

    step_size, moved = _checks.scalar("step_size", step_size), x
    for _ in range(_checks.integer("num_steps", num_steps)):
        gradient = _flow_gradient(kernel_fn, moved, y, x_val, y_val, t)
        ascended = moved + step_size * jnp.sign(_checks.finite("t", gradient, "let it be finite"))
        moved = attacks.project(ascended, x, epsilon, bounds=bounds)
    return moved


@partial(jax.jit, static_argnums=0)
def _flow_gradient(kernel_fn, x, y, x_val, y_val, t):
    """By the training inputs: the gradient of eq. 19's loss on the validation set."""

    def loss(x):
        k = kernel_fn(x)
        shift = 1e-6 * jnp.trace(k) / len(k) * jnp.eye(len(k), dtype=k.dtype)
        learned = y - jax.scipy.linalg.expm(-t * k, max_squarings=32) @ y
        fx = kernel_fn(x_val, x) @ jnp.linalg.solve(k + shift, learned)
        return jnp.mean(jnp.sum((fx - y_val) ** 2, 1)) / 2

    return jax.grad(loss)(x)


def random_masks(
    key: Array,
    params: list,
    keep: float | Array,
    *,
    layers: Sequence[int] = (0,),
    rescale: bool = True,
) -> list:
    """Factors that prune weights at random: 0 with probability 1 - keep, else 1 (or its rescale).

    Math: m ~ Bernoulli(alpha), over sqrt(alpha) if rescaled. At large width a pruned layer turns
    the NTK K into alpha K, and with the rescale back into K.

    Args:
        key: of the draws.
        params: of `networks.fully_connected`.
        keep: alpha, in (0, 1].
        layers: which layers are pruned.
        rescale: divide by sqrt(alpha).
    Returns:
        Factors, a tree like `params`; multiply before the forward pass.
    Raises:
        ValueError: if `keep` is out of range.
    References:
        Yang and Wang (2022), theorems 1 and 2. Lecture notes, section 4.
    """
    _checks.tree("params", params)
    keep, last, layers = _share("keep", keep), len(params) - 1, _checks.steps("layers", layers)
    known = all(layer <= last for layer in layers)
    _checks.require(known, "layers", f"name layers between 0 and {last}", layers, "Count from 0.")
    masks = jax.tree.map(jnp.ones_like, params)
    keys = jax.random.split(_checks.key(key), len(layers))
    for layer, layer_key in zip(layers, keys, strict=True):
        w = params[layer]["w"]
        drawn = jax.random.bernoulli(layer_key, keep, w.shape).astype(w.dtype)
        masks[layer]["w"] = drawn / keep**0.5 if rescale else drawn
    return masks


def magnitude_masks(params: list, keep: float) -> list:
    """1 for the largest entries of each weight matrix (and bias vector) and their equals, else 0.

    Args:
        params: of `networks.fully_connected`.
        keep: share of the weights that stay, in (0, 1].
    Returns:
        Masks, a tree like `params`.
    Raises:
        ValueError: if `keep` is out of range.
    References:
        Liu and Zenke (2020), section 2. Lecture notes, section 4.
    """
    keep = _share("keep", keep)
    _checks.tree("params", params)
    return jax.tree.map(lambda w: (jnp.abs(w) >= jnp.quantile(jnp.abs(w), 1 - keep)) * 1.0, params)


def _share(name: str, value: float | Array) -> float | Array:
    """A checked number in (0, 1]."""
    value = _checks.scalar(name, value, positive=True)
    small = isinstance(value, jax.core.Tracer) or value <= 1
    _checks.require(small, name, "be at most 1", value, "It is a share.")
    return value


def tangent_transfer(
    apply_fn: Callable,
    params: list,
    x: Float[Numbers, "n d"],
    *,
    keep: float,
    kernel_weight: float = 1.0,
    learning_rate: float = 0.01,
    num_steps: int = 200,
) -> tuple[list, Float[np.ndarray, " t"]]:
    """Neural tangent transfer: a sparse network with the outputs and the NTK of a dense one.

    Math: min |f_s - f|^2 / |f|^2 + lambda_K |K_s - K|^2 / |K|^2 over the weights behind the masks.
    Only the largest share `keep` of each layer is used; the gradient of a weight is that of the
    masked one ("straight through"), so that weights can come back. No labels are needed.

    Args:
        apply_fn: (params, x) -> outputs, shape (n,) or (n, n_out).
        params: of the dense network, the teacher; also the student's start.
        x: unlabelled inputs, shape (n, d).
        keep: share of the weights that stay, in (0, 1].
        kernel_weight: lambda_K.
        learning_rate: of Adam.
        num_steps: number of steps.
    Returns:
        The sparse parameters (zeros where pruned), and the loss before each step.
    Raises:
        ValueError: if an option is out of range.
    References:
        Liu and Zenke (2020), eq. 6. Lecture notes, section 4.
    """
    x = _checks.floats("x", x, ndim=2)
    _checks.returned("apply_fn", apply_fn, params, x, compiled=True)
    keep, weight = _share("keep", keep), _checks.scalar("kernel_weight", kernel_weight)
    rate = _checks.scalar("learning_rate", learning_rate, positive=True)
    steps = _checks.integer("num_steps", num_steps)
    weights, losses = _transfer(apply_fn, steps, keep, params, x, weight, rate)
    rule = "keep the loss finite (the outputs of `params` must not all be 0)"
    return weights, _checks.finite("learning_rate", np.asarray(losses), rule)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _transfer(apply_fn, num_steps, keep, params, x, kernel_weight, learning_rate):
    """`tangent_transfer` after its checks."""
    optimizer = optax.adam(learning_rate)
    ones, zeros = jax.tree.map(jnp.ones_like, params), jax.tree.map(jnp.zeros_like, params)

    def describe(weights, masks):
        """Outputs and NTK of the weights that the masks leave."""

        def shifted(changes, z):
            moved = jax.tree.map(lambda w, m, q: w + m * q, weights, masks, changes)
            return apply_fn(moved, z)

        return apply_fn(weights, x), empirical.ntk(shifted, zeros, x)

    def sparse(weights):
        masks = magnitude_masks(jax.lax.stop_gradient(weights), keep)
        through = jax.tree.map(lambda w, m: w + jax.lax.stop_gradient(w * m - w), weights, masks)
        return through, masks

    goal = describe(params, ones)

    def loss(weights):
        gaps = [jnp.sum((a - b) ** 2) / jnp.sum(b**2)
                for a, b in zip(describe(*sparse(weights)), goal, strict=True)]  # fmt: skip
        return gaps[0] + kernel_weight * gaps[1]

    def step(carry, _):
        value, gradient = jax.value_and_grad(loss)(carry[0])
        updates, state = optimizer.update(gradient, carry[1])
        return (optax.apply_updates(carry[0], updates), state), value

    start = (params, optimizer.init(params))
    (weights, _), losses = jax.lax.scan(step, start, length=num_steps)
    return sparse(weights)[0], losses


def complete(
    k: Float[Numbers, "n n"],
    y: Float[Numbers, "n m"],
    observed: Bool[Numbers, "n m"],
    *,
    diag_reg: float = 1e-6,
) -> Float[np.ndarray, "n m"]:
    """Matrix completion by the kernel of the rows' priors, one regression a column.

    Math: column j is K(:, O_j) K(O_j, O_j)^(-1) Y(O_j, j), with O_j the rows observed in it.

    Args:
        k: kernel between the priors of the rows, shape (n, n).
        y: matrix; what is not observed is not looked at, shape (n, m).
        observed: which entries are known, shape (n, m).
        diag_reg: ridge relative to the mean of the diagonal, > 0.
    Returns:
        The completed matrix, shape (n, m).
    Raises:
        ValueError: if shapes do not match or a column has no observed entry.
    References:
        Radhakrishnan et al. (2022), eq. 3. Lecture notes, section 1.1.
    """
    k, observed = np.asarray(_checks.symmetric("k", k)), np.asarray(observed)
    flags, sizes, got = observed.dtype == bool, np.diag(k), f"dtype {observed.dtype}"
    _checks.require(flags, "observed", "hold booleans", got, "True where `y` is known.")
    _checks.require(bool((sizes > 0).all()), "k", "have a diagonal > 0", sizes, "It is a prior's.")
    y = np.where(observed, y, 0.0) if np.shape(y) == observed.shape else y
    y = np.asarray(_checks.floats("y", y, ndim=2))
    _checks.shape("observed", observed, y.shape, "One flag an entry.")
    _checks.shape("y", y, (len(k), None), "One row a prior.")
    some, ridge = bool(observed.any(0).all()), _checks.scalar("diag_reg", diag_reg, positive=True)
    _checks.require(some, "observed", "hold one entry a column", "an empty one", "Leave it out.")
    patterns, which = np.unique(observed, axis=1, return_inverse=True)
    filled = np.empty(y.shape, k.dtype)
    for i, rows in enumerate(patterns.T):
        columns = which.ravel() == i
        known = k[np.ix_(rows, rows)]  # in NumPy: each pattern has another shape
        shift = ridge * np.trace(known) / len(known) * np.eye(len(known))
        shifted = _checks.finite("diag_reg", known + shift, "keep K finite")
        alpha = scipy.linalg.solve(shifted, y[rows][:, columns], assume_a="pos")
        filled[:, columns] = k[:, rows] @ alpha
    return filled


def leave_one_out(
    k: Float[Numbers, "n n"], y: Float[Numbers, "n c"], *, diag_reg: float
) -> Float[Array, "n c"]:
    """What kernel ridge regression predicts for each point when it is trained on all others.

    Math: y_i - alpha_i / [(K + lambda I)^(-1)]_ii, alpha = (K + lambda I)^(-1) y.

    Args:
        k: Gram matrix, shape (n, n).
        y: targets, shape (n, C).
        diag_reg: ridge relative to the mean of the diagonal of the whole matrix.
    Returns:
        Predictions, shape (n, C).
    Raises:
        ValueError: if shapes do not match or the matrix is singular.
    References:
        Arora et al. (2020), section 5, where parameters are chosen by validation.
    """
    k, y = _checks.square("k", k), _checks.floats("y", y, ndim=2)
    _checks.targets("y", y, len(k))
    inverse = regression.fit(k, jnp.eye(len(k), dtype=k.dtype), diag_reg=diag_reg)
    return _checks.finite("diag_reg", y - inverse @ y / jnp.diag(inverse)[:, None], "keep K finite")


def graph_ntk(
    adjacency: Float[Numbers, "n n"],
    features: Float[Numbers, "n d"],
    graph: Int[Numbers, " n"],
    *,
    num_blocks: int = 2,
    num_layers: int = 1,
) -> Float[Array, "g g"]:
    """The graph NTK between graphs: an infinitely wide graph network, nodes summed at the end.

    Math: in each block Sigma <- A Sigma A^T and Theta <- A Theta A^T with A the adjacency plus I,
    then in each layer Theta <- Theta * sigma'(Sigma) + sigma(Sigma); last K = S^T Theta S, where S
    says which graph a node belongs to. All graphs are one graph without edges between them.

    Args:
        adjacency: of all graphs, symmetric, 0 between graphs, shape (n, n).
        features: of the nodes, shape (n, d).
        graph: the graph 0, 1, ... of each node, shape (n,).
        num_blocks: how often neighbours are summed.
        num_layers: ReLU layers after each.
    Returns:
        The kernel between the graphs, shape (G, G).
    Raises:
        ValueError: if shapes do not match or an option is out of range.
    References:
        Du et al. (2019), section 3. Lecture notes, section 2.3.
    """
    a, x = _checks.symmetric("adjacency", adjacency), _checks.floats("features", features, ndim=2)
    _checks.shape("features", x, (len(a), None), "One row a node.")
    graph = np.asarray(graph)
    _checks.shape("graph", graph, (len(a),), "One number a node.")
    known = np.array_equal(np.unique(graph, return_inverse=True)[1], graph)
    _checks.require(known, "graph", "be 0, 1, ..., without gaps", graph, "Count from 0.")
    apart = not np.asarray(a)[graph[:, None] != graph].any()
    _checks.require(apart, "adjacency", "be 0 between graphs", "an edge", "Number both as one.")
    depth = _checks.integer("num_blocks", num_blocks), _checks.integer("num_layers", num_layers)
    members = jnp.asarray(graph[:, None] == np.arange(graph.max() + 1)[None], x.dtype)
    return _checks.finite("features", _graph_ntk(*depth, a, x, members), "keep the kernel finite")


@partial(jax.jit, static_argnums=(0, 1))
def _graph_ntk(num_blocks: int, num_layers: int, a: Array, x: Array, members: Array) -> Array:
    a = a + jnp.eye(len(a), dtype=a.dtype)
    sigma = theta = x @ x.T
    for _ in range(num_blocks):
        sigma, theta = a @ sigma @ a, a @ theta @ a
        for _ in range(num_layers):
            norms = _layers.safe_sqrt(jnp.diag(sigma))
            size = norms[:, None] * norms[None, :]
            u = jnp.where(size > 0, sigma / jnp.where(size > 0, size, 1.0), 0.0)
            u = jnp.where(u > 1 - 32 * jnp.finfo(u.dtype).eps, 1.0, u)  # equal nodes, but rounded
            sigma = size * kernels.kappa_1(u)
            theta = theta * kernels.kappa_0(u) + sigma
    return members.T @ theta @ members
