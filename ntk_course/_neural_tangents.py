"""Makes neural-tangents 0.6.5 importable on today's JAX.

The library's last release (December 2023) imports names that JAX has since moved or removed.
`load` puts stand-ins where the library looks for them; the analytic kernels, `empirical_ntk_fn`
(implementations 1 and 2), `predict.gradient_descent_mse` and `linearize` then work. The tests use
it as an independent oracle, the appendix tells its story; the course's numerics never import it.

This is the one file of the course that touches private JAX names.
"""

import importlib
import importlib.util
import sys
import types
from contextlib import contextmanager, suppress

_CORE_NAMES = ("Jaxpr", "JaxprEqn", "Literal", "Var", "Primitive", "AbstractValue", "Value")


def load() -> types.ModuleType:
    """Import neural-tangents, patched for the JAX that is installed.

    Returns:
        The module `neural_tangents`.
    Raises:
        ModuleNotFoundError: if it is not installed, with the command that installs it.
    References:
        Novak et al. (2020), Neural Tangents: Fast and Easy Infinite Neural Networks in Python.
    """
    if "neural_tangents" in sys.modules:
        return sys.modules["neural_tangents"]
    if importlib.util.find_spec("neural_tangents") is None:
        raise ModuleNotFoundError(
            "neural-tangents is not installed. Run `pip install --no-deps neural-tangents==0.6.5` "
            "and `pip install frozendict` (its other dependencies would pull in TensorFlow)."
        )
    _supply_core_names()
    _supply_util()
    _supply_experimental()
    return importlib.import_module("neural_tangents")


def _supply_core_names() -> None:
    """Alias what left `jax.core` from where JAX keeps it now."""
    import jax
    import jax.extend.core
    import jax.interpreters.ad

    private = importlib.import_module("jax._src.core")
    for name in _CORE_NAMES:
        with suppress(AttributeError):
            getattr(jax.core, name)
            continue
        found = getattr(private, name, None) or getattr(jax.extend.core, name, object)
        setattr(jax.core, name, found)

    @contextmanager
    def eval_context():
        yield

    for module, name, value in (
        (jax.core, "eval_context", eval_context),
        (jax.interpreters.ad, "zeros_like_p", private.Primitive("zeros_like")),
    ):
        if not _has(module, name):
            setattr(module, name, value)


def _supply_util() -> None:
    """Supply `jax.util.safe_map` and `safe_zip`."""
    private = importlib.import_module("jax._src.util")
    try:
        util = importlib.import_module("jax.util")
    except ModuleNotFoundError:
        util = sys.modules["jax.util"] = types.ModuleType("jax.util")
        sys.modules["jax"].util = util
    for name in ("safe_map", "safe_zip"):
        if not _has(util, name):
            setattr(util, name, getattr(private, name))


def _supply_experimental() -> None:
    """An empty `neural_tangents.experimental`, whose real one needs TensorFlow."""
    name = "neural_tangents.experimental"
    sys.modules.setdefault(name, types.ModuleType(name))


def _has(module: types.ModuleType, name: str) -> bool:
    """Whether `module.name` exists without a deprecation error."""
    try:
        getattr(module, name)
    except AttributeError:
        return False
    return True
