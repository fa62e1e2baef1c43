"""The only place where errors are worded: `name` must <rule>; got name=<value>. <Fix>.

Under `jax.jit` shapes, dtypes and Python scalars are checked; outside it, values too.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

Numbers = jax.Array | np.ndarray


def fail(name: str, rule: str, got: object, fix: str = "") -> None:
    """Raise the house's `ValueError`: what is wrong, what it was, what to do."""
    raise ValueError(f"`{name}` must {rule}; got {name}={got}. {fix}".rstrip())


def require(condition: bool, name: str, rule: str, got: object, fix: str = "") -> None:
    """`fail` unless the condition holds."""
    if not condition:
        fail(name, rule, got, fix)


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Check that an option is among those that exist."""
    known = ", ".join(map(repr, allowed))
    if not isinstance(value, str | int) or value not in allowed:
        fail(name, f"be one of {known}", repr(value), "Choose one of these.")


def is_callable(name: str, value: object) -> None:
    """Check that an argument can be called."""
    if not callable(value):  # the repr of a function with its arrays is slow
        fail(name, "be a function", repr(value), "Pass the function itself.")


def partial_of(name: str, value: object) -> jax.tree_util.Partial:
    """Check and return a function as a Partial; one that is none yet holds no arrays."""
    is_callable(name, value)
    return value if isinstance(value, jax.tree_util.Partial) else jax.tree_util.Partial(value)


def integer(name: str, value: object, *, least=1, most=2**31 - 1, fix="Lower it.") -> int:
    """Check and return a Python integer between `least` and `most`; `fix` is for a larger one."""
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    require(ok, name, f"be an integer >= {least}", repr(value), "Pass such a Python int.")
    require(value <= most, name, f"be at most {most}", repr(value), fix)
    return int(value)


def scalar(name: str, value: object, *, positive: bool = False) -> float | jax.Array:
    """Check and return a finite number >= 0 (> 0 if `positive`); tracers pass through."""
    if isinstance(value, jax.core.Tracer) and value.ndim == 0:
        return value
    rule = f"be a finite number {'> 0' if positive else '>= 0'}"
    try:
        number = float("" if isinstance(value, str | bytes) or np.ndim(value) else value)
    except (TypeError, ValueError, OverflowError):
        fail(name, rule, repr(value), "Pass one number.")
    ok = isfinite(number) and (number > 0 if positive else number >= 0)
    require(ok, name, rule, repr(value), "Change its sign or size.")
    return number


def floats(name: str, value: object, *, ndim: int | Sequence[int], fix="", inf=False) -> jax.Array:
    """Check an array's rank, that it is not empty and finite (or `inf`); return floating point.

    Integers and float16 become the default floating type; float32 and float64 stay as they are.
    """
    ranks = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError):
        fail(name, "be an array of numbers", f"a {type(value).__name__}", "Pass one array.")
    known = " or ".join(map(str, ranks))
    require(array.ndim in ranks, name, f"have {known} axes", f"shape {array.shape}", fix)
    require(array.size > 0, name, "not be empty", f"shape {array.shape}", "Pass at least one row.")
    require(
        jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer),
        name, "hold real numbers", f"dtype {array.dtype}", "Convert it to float32.",
    )  # fmt: skip
    if array.dtype not in (jnp.float32, jnp.float64):
        array = array.astype(jnp.result_type(float))
    return array if inf else finite(name, array)


def doubles(name: str, value: object, *, ndim: int | Sequence[int]) -> np.ndarray:
    """`floats` in NumPy's float64, whatever JAX is set to."""
    floats(name, value, ndim=ndim)
    return np.asarray(value, float)


def on_cpu(array: jax.Array) -> bool:
    """Whether an array lies in the memory that NumPy reads."""
    return all(device.platform == "cpu" for device in array.devices())


def finite(name: str, array: Numbers, rule: str = "be finite") -> Numbers:
    """Check and return an array without NaN or infinite entries (values unknown to a trace pass).

    For a result, `name` is the argument that spoils it and `rule` what it has to do.
    """
    if isinstance(array, jax.core.Tracer):
        return array
    if isinstance(array, jax.Array) and not on_cpu(array):
        with jax.ensure_compile_time_eval():  # also where a trace has closed over the array
            bad = int((~jnp.isfinite(array)).sum())
    else:  # on CPUs NumPy reads the same memory, and compiles nothing
        good = np.isfinite(np.asarray(array))
        bad = 0 if good.all() else int(good.size - good.sum())
    if bad == 0:
        return array
    fix = "Look for a division by zero, an overflow or a missing value in what made it."
    fail(name, rule, f"an array with {bad} NaN or infinite entries", fix)


def shape(name: str, array: Numbers, expected: Sequence[int | None], fix: str = "") -> None:
    """Check a shape; None stands for any length."""
    found = np.shape(array)
    pairs = zip(found, expected, strict=False)
    same = len(found) == len(expected) and all(e in (None, a) for a, e in pairs)
    wanted = str(tuple("any" if e is None else e for e in expected)).replace("'", "")
    require(same, name, f"have shape {wanted}", f"shape {found}", fix)


def key(value: object) -> jax.Array:
    """Check and return one random key: of `jax.random.key`, or the two words of an older one."""
    known, size = getattr(value, "dtype", None), np.shape(value)
    typed = known is not None and jnp.issubdtype(known, jax.dtypes.prng_key) and size == ()
    if not (typed or (known == jnp.uint32 and size == (2,))):  # the repr of a key is slow
        fail("key", "be one random key", repr(value), "Make it by `jax.random.key(0)`.")
    return value


def _is_shape(s: object) -> bool:
    return isinstance(s, tuple) and s != () and all(n is None or isinstance(n, int) for n in s)


def tree(name: str, value: object, like: object = None) -> None:
    """Check parameters: finite arrays, in a tree like another one of arrays or shapes.

    In a shape None stands for any length.
    """
    leaves, found = jax.tree.flatten(value)
    wanted, form = jax.tree.flatten(value if like is None else like, is_leaf=_is_shape)
    require(found == form, name, f"be a tree like {form}", found, "`init_fn` makes one.")
    for leaf, expected in zip(leaves, wanted, strict=True):
        expected = expected if isinstance(expected, tuple) else np.shape(expected)
        shape(name, floats(name, leaf, ndim=range(6)), expected, "`init_fn` makes them.")


_call = jax.jit(lambda function, *args: function(*args))
_first: WeakKeyDictionary = WeakKeyDictionary()


def traced(name: str, function: object, *args: object, like=None, compiled=False) -> tuple:
    """Check that an argument is a function that returns one array (`like`: of which shape).

    Its jaxpr and what it returns, without values. A Partial is `compiled`, or whatever the caller
    compiles: what it reads from outside must stay as it was.
    """
    is_callable(name, function)
    compiled |= isinstance(function, jax.tree_util.Partial)
    try:
        if isinstance(function, jax.tree_util.Partial):  # traced once for all its arrays
            seen = _call.trace(function, *args)
            jaxpr, out = seen.jaxpr, seen.out_info
            function = None if function.args or function.keywords else function.func
        else:
            jaxpr, out = jax.make_jaxpr(function, return_shape=True)(*args)
        if compiled and type(function).__weakrefoffset__ and not hasattr(function, "lower"):
            _settled(name, function, args)  # neither None nor of jit
    except (TypeError, KeyError, AttributeError) as error:
        fail(name, "fit its arguments", f"one that raises {error}", "Check `params` and shapes.")
    ok = hasattr(out, "shape") and like in (None, out.shape)
    rule = "return outputs" + ("" if like is None else f" of shape {like}")
    require(ok, name, rule, f"one that returns {getattr(out, 'shape', out)}", "See Args.")
    return jaxpr, out


def _kept(value: object) -> object:
    """What a function has read, safe from changes in place; a random key by its words."""
    if jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.prng_key):
        return jax.random.key_data(value)
    return value if isinstance(value, jax.Array) else np.array(value)


def _settled(name: str, function: Callable, args: tuple) -> None:
    """Refuse a function that reads other arrays now: JAX keeps what it read at the first call."""
    now = jax.make_jaxpr(lambda *args: function(*args))(*args)
    if any(isinstance(value, jax.core.Tracer) for value in now.consts):
        return  # a closure inside of a trace
    seen = str(now), list(map(_kept, now.consts))
    setting = str(now.in_avals), jax.config.jax_default_matmul_precision
    kept = _first.setdefault(function, {}).setdefault(setting, seen)
    pairs = zip(kept[1], seen[1], strict=False)
    same = kept[0] == seen[0] and all(a is b or np.array_equal(a, b) for a, b in pairs)
    fix = "Pass `jax.tree_util.Partial(apply_fn, params)`, or define the function anew."
    require(same, name, "read the arrays of its first call", "one that reads others now", fix)


def returned(name: str, function: object, *args: object, **options):
    """What `traced` says that the function returns."""
    return traced(name, function, *args, **options)[1]


def outputs(fx: object, y: object, *, ndim: int | Sequence[int] = 2) -> tuple[jax.Array, jax.Array]:
    """Check the arguments of a loss, outputs and targets of one shape."""
    fx, y = floats("fx", fx, ndim=ndim), floats("y", y, ndim=ndim)
    shape("y", y, fx.shape, "One target for every output.")
    return fx, y


def classes(y: jax.Array) -> None:
    """Check that labels tell classes apart."""
    require(y.shape[1] > 1, "y", "have two columns at least", f"shape {y.shape}", "One a class.")


def steps(name: str, value: object) -> list[int]:
    """Check and return a list of integers >= 0."""
    require(np.ndim(value) == 1, name, "be a list of integers", repr(value), "For example [0, 10].")
    return [integer(name, step, least=0) for step in value]


def pair(x1: object, x2: object | None, *, ndim: int = 2) -> tuple[jax.Array, jax.Array]:
    """Check the two inputs of a kernel; `x2=None` stands for `x1`."""
    fix = "Flatten images first." if ndim == 2 else "Images are (n, height, width, channels)."
    x1 = floats("x1", x1, ndim=ndim, fix=fix)
    x2 = x1 if x2 is None else floats("x2", x2, ndim=ndim, fix=fix)
    if x1.shape[1:] != x2.shape[1:]:
        rule = "share all axes but the first" if ndim > 2 else "share their last axis"
        raise ValueError(f"`x1` and `x2` must {rule}; got {x1.shape} and {x2.shape}. {fix}")
    dtype = jnp.promote_types(x1.dtype, x2.dtype)
    return x1.astype(dtype), x2.astype(dtype)


def square(name: str, value: object) -> jax.Array:
    """Check and return a square matrix."""
    k = floats(name, value, ndim=2)
    shape(name, k, (k.shape[0], k.shape[0]), "Pass the Gram matrix of the training inputs.")
    return k


def symmetric(name: str, value: object, *, tol: float = 1e-4, step: int = 1) -> jax.Array:
    """Check (one row in `step`) a symmetric matrix; `tol` is relative to its largest entry."""
    k = square(name, value)
    if not isinstance(k, jax.core.Tracer):
        rows, same = np.asarray(k)[::step], np.asarray(k)[:, ::step].T
        gap, size = float(np.abs(rows - same).max()), float(np.abs(rows).max())
        fix = "A Gram matrix compares the same points in rows and columns."
        require(gap <= tol * size, name, "be symmetric", f"a matrix with |K - K^T| = {gap:g}", fix)
    return k


def targets(name: str, value: object, n: int) -> jax.Array:
    """Check and return targets of n points, shape (n,) or (n, n_out)."""
    y = floats(name, value, ndim=(1, 2))
    require(y.shape[0] == n, name, f"have {n} rows, one a point", f"shape {y.shape}", "Match them.")
    return y


def labelled(which: str, x: object, y: object) -> tuple[jax.Array, jax.Array]:
    """Check inputs `x_<which>` and their labels `y_<which>`, one row a point."""
    x = floats(f"x_{which}", x, ndim=range(2, 6))
    y = floats(f"y_{which}", y, ndim=2, fix="One row a point, one column a class.")
    shape(f"y_{which}", y, (len(x), None), "One row for each input.")
    return x, y


def widths(name: str, value: object) -> tuple[int, ...]:
    """Check and return the widths of the hidden layers."""
    value = (value,) if isinstance(value, int | np.integer) else value
    ok = isinstance(value, Sequence) and len(value) > 0
    require(ok, name, "name one width a hidden layer", repr(value), "For example (512, 512).")
    return tuple(integer(f"{name}[{i}]", width) for i, width in enumerate(value))


def stds(name: str, value: object, depth: int, default: Callable[[int], float]) -> tuple:
    """Check `w_std`: None (the default of each layer) or one number > 0 for all layers."""
    if value is None:
        return tuple(default(layer) for layer in range(depth + 1))
    return (scalar(name, value, positive=True),) * (depth + 1)
