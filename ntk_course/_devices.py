"""Rows of a batch laid over a mesh of devices or processes, or over the cores of a CPU."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import WeakKeyDictionary

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from ntk_course import _checks


def rows_mesh(mesh: Mesh | None) -> Mesh:
    """The mesh as given, or all devices (of all processes) in one row."""
    mesh = Mesh(np.array(jax.devices()), ("rows",)) if mesh is None else mesh
    ok = isinstance(mesh, Mesh) and len(mesh.axis_names) == 1
    _checks.require(ok, "mesh", "be a jax.sharding.Mesh with one axis", mesh, "Or pass None.")
    return mesh


def lay(x: Array | np.ndarray, mesh: Mesh, axis: int | None = None) -> Array:
    """An array spread over the mesh along one axis, or (None) copied to each device.

    Every process must hold the whole of `x`; the axis must be a multiple of the mesh's size.
    """
    if mesh.size == 1:
        return jax.device_put(x, mesh.devices.item())
    host = np.asarray(x)
    return jax.make_array_from_callback(host.shape, sharding(mesh, axis), lambda at: host[at])


def sharding(mesh: Mesh, axis: int | None = None) -> NamedSharding:
    """The layout of `lay`."""
    names = () if axis is None else (None,) * axis + mesh.axis_names
    return NamedSharding(mesh, PartitionSpec(*names))


def num_parts(x: Array) -> int:
    """Equal parts of a batch to work on at once: on CPUs one small batch leaves cores idle."""
    most = min(os.cpu_count() or 1, len(x) // 64) if _checks.on_cpu(x) else 1
    return next((k for k in range(most, 1, -1) if len(x) % k == 0), 1)


def at_once(work: Callable, parts: list) -> list:
    """The results of all parts: the first is worked on here, each other in a thread of its own.

    Each thread waits for its result: XLA runs what nobody waits for one after the other.
    """

    def finish(part):
        return jax.block_until_ready(work(part))

    with ThreadPoolExecutor(max(1, len(parts) - 1)) as pool:
        others = [pool.submit(finish, part) for part in parts[1:]]
        return [finish(parts[0]), *(other.result() for other in others)]


def loops_well(x: Array, jaxpr) -> bool:
    """Whether a loop of XLA's own is the fast one: on CPUs, where nothing is convolved."""
    return _checks.on_cpu(x) and not _convolves(jaxpr)


def _convolves(jaxpr) -> bool:
    names = [eqn.primitive.name for eqn in jaxpr.eqns]
    params = [eqn.params for eqn in jaxpr.eqns]
    inner = jax.tree.leaves(params, is_leaf=lambda value: hasattr(value, "eqns"))
    return "conv_general_dilated" in names or any(
        _convolves(value) for value in inner if hasattr(value, "eqns")
    )


_kept: WeakKeyDictionary = WeakKeyDictionary()


def compiled(step: partial, *arguments) -> partial:
    """Machine code of partial(jitted, static, first) for these arguments, made once.

    Any thread may run it, whatever JAX settings its own are. (JAX makes a new object each time,
    slow at its first call. It does keep the trace, one for each of shapes and settings.)
    """
    static, first = step.args
    traced = step.func.trace(static, first, *arguments)
    made = _kept.setdefault(traced.jaxpr, {})
    where = tuple(getattr(x, "sharding", None) for x in jax.tree.leaves((first, arguments)))
    program = made.get(where) or made.setdefault(where, traced.lower().compile())
    return partial(program, first)
