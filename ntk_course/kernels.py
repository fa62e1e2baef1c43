"""Closed-form NNGP and NTK of infinitely wide networks, and blocked Gram matrices."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from math import ceil
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ntk_course import _checks, _devices, _layers, networks, runtime
from ntk_course._checks import Numbers


class Kernel(NamedTuple):
    """The two kernels of one infinitely wide network; each maps (x1, x2=None) to (n1, n2)."""

    nngp: Callable
    ntk: Callable


def kappa_0(u: Float[Numbers, "..."]) -> Float[Numbers, "..."]:
    """The arc-cosine kernel of order 0: how often two ReLU inputs are active together.

    Math: kappa_0(u) = (pi - theta) / pi with theta = arccos(u); 2 E[sigma'(z1) sigma'(z2)].

    Args:
        u: cosines in [-1, 1], any shape; rounding beyond is clipped.
    Returns:
        Values in [0, 1], shape of `u`. The gradient at u = +-1, truly infinite, is returned as 0.
    Raises:
        ValueError: if a value is not finite.
    Example:
        >>> kappa_0(jnp.array([-1.0, 0.0, 1.0])).round(6).tolist()
        [0.0, 0.5, 1.0]

    References:
        Cho and Saul (2009). Lecture notes, section 2.2, eq. 17 for ReLU.
    """
    u = _checks.floats("u", u, ndim=range(7))
    return _layers.kappas(u)[0]


def kappa_1(u: Float[Numbers, "..."]) -> Float[Numbers, "..."]:
    """The arc-cosine kernel of order 1: the covariance of two ReLU outputs.

    Math: kappa_1(u) = (sin theta + (pi - theta) cos theta) / pi; 2 E[sigma(z1) sigma(z2)].

    Args:
        u: cosines in [-1, 1], any shape; rounding beyond is clipped.
    Returns:
        Values in [0, 1], shape of `u`; the gradient is kappa_0(u).
    Raises:
        ValueError: if a value is not finite.
    References:
        Cho and Saul (2009). Lecture notes, section 2.2, eq. 17 for ReLU.
    """
    u = _checks.floats("u", u, ndim=range(7))
    return _layers.kappas(u)[1]


def fully_connected(
    depth: int,
    activation: str = "relu",
    *,
    w_std: float | None = None,
    b_std: float = 0.0,
    precise: bool = False,
) -> Kernel:
    """NNGP and NTK of an infinitely wide fully connected network.

    Math: K' = w^2 E[sigma sigma] + b^2,  Theta' = K' + w^2 E[sigma' sigma'] Theta, layer by layer.

    Accuracy in float32, relative to the largest entry: about 1e-6 on the diagonal and for
    identical rows (found by an exact hash, so duplicates anywhere count). Near-equal distinct rows
    lose digits in the inner product itself, up to 1e-3 at angles near 3e-4, as in every library.
    `precise=True` forms their chord from differences instead and keeps 1e-5 (for rows that are not
    nearly opposite: there it helps a ReLU little, and harms an erf of large inputs); it costs
    n1 n2 d elementwise operations in place of one matrix product (about 25 times the time on a
    CPU at n = 500, d = 784; under differentiation also n1 n2 d memory).

    Args:
        depth: number of hidden layers L.
        activation: "relu" or "erf".
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`.
        precise: form the angles of the inputs from differences (see above).
    Returns:
        A `Kernel` of functions on inputs x1: (n1, d), x2: (n2, d) or None (stands for x1).
    Raises:
        ValueError: if an option is unknown or out of range, or (when called) shapes do not match.
    Example:
        >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> fully_connected(1).ntk(x).round(4).tolist()  # kappa_1 + u kappa_0, over d
        [[1.0, 0.1592], [0.1592, 1.0]]

    References:
        Jacot et al. (2018); Arora et al. (2019). Lecture notes, section 2.2, eq. 17 (depth 1).
    """
    stds = networks.layer_stds(activation, depth, w_std)
    b_std = _checks.scalar("b_std", b_std)

    def layers(which: str, pairs: _layers.Pairs) -> Array:
        nngp = ntk = _layers.covariance(pairs)
        for std in stds[1:]:
            pairs, derivative = _layers.NONLINEARITIES[activation](pairs)
            pairs = _layers.dense(pairs, std, b_std)
            nngp = _layers.covariance(pairs)
            ntk = nngp + std**2 * derivative * ntk
        return nngp if which == "nngp" else ntk

    def compute(which: str, x1: Array, x2: Array) -> Array:
        return layers(which, _layers.input_pairs(x1, x2, stds[0], b_std, precise))

    return _kernel(compute, ndim=2, numbers_per_pair=lambda _: 6)


def convolutional(
    depth: int,
    activation: str = "relu",
    *,
    readout: str = "flatten",
    w_std: float | None = None,
    b_std: float = 0.0,
) -> Kernel:
    """NNGP and NTK of infinitely many channels: 3x3 SAME convolutions and a dense readout.

    With `readout="pool"` all pairs of pixels of two images are needed, (height width)^2 numbers a
    pair of images: let `gram` block large sets. With "flatten" only equal positions are.

    Args:
        depth: number of convolutional layers, each followed by the activation.
        activation: "relu" or "erf".
        readout: "flatten", or "pool" for global average pooling.
        w_std: None for eq. 12's normalization, a number for neural-tangents' `W_std`.
        b_std: neural-tangents' `b_std`.
    Returns:
        A `Kernel` of functions on images x1: (n1, height, width, channels), x2 likewise or None.
    Raises:
        ValueError: if an option is unknown or out of range, or (when called) shapes do not match.
    References:
        Arora et al. (2019), section 4; Novak et al. (2019). Lecture notes, sections 1.2 and 2.3.
    """
    stds = networks.layer_stds(activation, depth, w_std)
    b_std = _checks.scalar("b_std", b_std)
    _checks.one_of("readout", readout, ("flatten", "pool"))
    pool = readout == "pool"

    def compute(which: str, x1: Array, x2: Array) -> Array:
        pairs, ntk = _layers.pixel_pairs(x1, x2, pool), None
        for std in stds[:-1]:
            mean = None if ntk is None or which == "nngp" else _layers.window_mean(ntk)
            convolved = _layers.convolve(pairs, std, b_std)
            pairs, ntk = _layers.after_convolution(activation, convolved, mean, std)
        return _layers.readout(pairs, None if which == "nngp" else ntk, stds[-1], b_std)

    def numbers_per_pair(image_shape: tuple) -> int:
        return 10 * (image_shape[0] * image_shape[1]) ** (2 if pool else 1)

    # Compiled stage by stage: in one piece, XLA on CPUs recomputes each stage inside the next.
    return _kernel(compute, ndim=4, numbers_per_pair=numbers_per_pair, whole=False)


def gram(
    kernel_fn: Callable,
    x1: Float[Numbers, "n1 *shape"],
    x2: Float[Numbers, "n2 *shape"] | None = None,
    *,
    block_size: int | None = None,
    progress: bool | None = None,
    memory_limit: float | None = None,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """A kernel matrix in blocks: little memory beside the result, symmetric work done once.

    On several devices, or in several processes that `jax.distributed` has joined, the rows of each
    block are laid over all of them, and every process gets the whole matrix.

    Args:
        kernel_fn: (x1, x2) -> (n1, n2), for example `fully_connected(3).ntk`.
        x1: inputs, shape (n1, ...).
        x2: inputs, shape (n2, ...); None gives the symmetric Gram matrix of `x1`.
        block_size: rows of a block; None chooses one by the memory that a block needs.
        progress: show a progress bar, with the memory needed; None shows it from 64 blocks on.
        memory_limit: bytes that the work may take; None stands for what the machine has free.
        mesh: devices to use, with one axis; None takes all that there are.
    Returns:
        The matrix in host memory, shape (n1, n2), in the dtype of the kernel.
    Raises:
        ValueError: if the shapes do not match or a kernel is asked for that gives another shape.
        MemoryError: before any work, if result and blocks would not fit.
    Example:
        >>> gram(fully_connected(1).ntk, jnp.eye(3), block_size=2).shape
        (3, 3)
    """
    symmetric = x2 is None
    x1 = _checks.floats("x1", x1, ndim=range(1, 6))
    x1, x2 = _checks.pair(x1, x2, ndim=x1.ndim)
    one = [jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype) for x in (x1, x2)]
    out = _checks.returned("kernel_fn", kernel_fn, *one, like=(1, 1))
    n1, n2 = len(x1), len(x2)
    mesh = _devices.rows_mesh(mesh)
    per_pair = _bytes_per_pair(kernel_fn, x1) / mesh.size
    size = _block_size(per_pair, n1, n2, block_size, near=_checks.on_cpu(x1))
    size += -size % mesh.size  # each device gets the same number of rows
    needed = n1 * n2 * out.dtype.itemsize + 2 * size**2 * per_pair
    _forecast(needed, (n1, n2), size, memory_limit)

    starts1, starts2 = range(0, n1, size), range(0, n2, size)
    blocks = [(i, j) for i in starts1 for j in starts2 if not symmetric or j >= i]
    result = np.empty((n1, n2), out.dtype)
    rows1, rows2 = (_rows(x, min(size, len(x) + -len(x) % mesh.size)) for x in (x1, x2))
    block_fn = _block_fn(getattr(kernel_fn, "unchecked", kernel_fn), mesh)
    show = len(blocks) >= 64 if progress is None else progress
    label = f"kernel blocks, {needed / 1e6:,.0f} MB"
    pending = None
    for i, j in chain(runtime.progress(blocks, label, show=show), [(None, None)]):
        # While one block is copied to the host, the next is computed.
        running = None if i is None else (i, j, block_fn(rows1(i), rows2(j)))
        if pending is not None:
            _store(result, *pending, symmetric)
        pending = running
    return result


class Workspace(NamedTuple):
    """How a differentiated kernel of (n, m) points is cut: blocks of (rows, columns), and bytes."""

    blocks: int
    rows: int
    columns: int
    needed: float


def workspace(
    kernel_fn: Callable, x_support: Float[Numbers, "m *shape"], n: int, devices: int = 1
) -> Workspace:
    """The blocks in which K(n targets, m support points) is differentiated, and their memory.

    A block and its gradient hold about 8 times the numbers of the kernel alone; near 1 GB of them a
    device is allowed.

    Args:
        kernel_fn: (x1, x2) -> (n1, n2).
        x_support: shape (m, ...).
        n: number of targets.
        devices: how many share the rows.
    Returns:
        A `Workspace`; its rows are those of all devices.
    Raises:
        ValueError: if an option is out of range.
        MemoryError: if it would not fit.
    """
    x = _checks.floats("x_support", x_support, ndim=range(2, 6))
    n, devices = _checks.integer("n", n), _checks.integer("devices", devices)
    rows, columns = ceil(n / devices), len(x)
    pairs = max(1, int(2**30 / (8 * _bytes_per_pair(kernel_fn, x))))
    if rows * columns > pairs:
        columns = min(columns, max(1, int(pairs**0.5)))
        rows = min(rows, max(1, pairs // columns))
    blocks = ceil(n / (rows * devices))
    rows = ceil(n / (blocks * devices))
    block = 8 * rows * columns * _bytes_per_pair(kernel_fn, x)
    needed = block + 3 * len(x) * (len(x) + n / devices) * x.dtype.itemsize
    _forecast(needed, (n, len(x)), rows, None)
    return Workspace(blocks, rows * devices, columns, needed)


def _bytes_per_pair(kernel_fn: Callable, x: Array) -> float:
    """Bytes of work for each pair of points; kernels that do not say are taken to be dense ones."""
    numbers_per_pair = getattr(kernel_fn, "numbers_per_pair", lambda _: 6)
    return float(numbers_per_pair(x.shape[1:]) * x.dtype.itemsize)


def _block_fn(block_fn: Callable, mesh: Mesh) -> Callable:
    """A block with its rows laid over the mesh, copied to all devices at the end."""
    if mesh.size == 1:
        return lambda x1, x2: block_fn(_devices.lay(x1, mesh), _devices.lay(x2, mesh))
    shared = jax.jit(block_fn, out_shardings=_devices.sharding(mesh))
    return lambda x1, x2: shared(_devices.lay(x1, mesh, 0), _devices.lay(x2, mesh))


def _store(result: np.ndarray, i: int, j: int, block: Array, symmetric: bool) -> None:
    """Write a block at (i, j), and its mirror image where the matrix is symmetric."""
    target = result[i : i + block.shape[0], j : j + block.shape[1]]
    block = _checks.finite("kernel_fn", np.asarray(block), "give finite values on these points")
    target[...] = block[: target.shape[0], : target.shape[1]]
    if symmetric and j > i:
        result[j : j + target.shape[1], i : i + target.shape[0]] = target.T
    elif symmetric:
        target[...] = np.triu(target) + np.triu(target, 1).T


def _rows(x: Array, size: int) -> Callable[[int], Numbers]:
    """Slices of `size` rows, the last one filled up by repeating, so that one compile serves."""
    # NumPy, where it reads the same memory, compiles nothing.
    x, pad = (np.asarray(x), np.pad) if _checks.on_cpu(x) else (x, jnp.pad)

    def rows(start: int) -> Numbers:
        part = x[start : start + size]
        missing = [(0, size - len(part))] + [(0, 0)] * (x.ndim - 1)
        return pad(part, missing, mode="edge") if missing[0][1] else part

    return rows


def _block_size(per_pair: float, n1: int, n2: int, wanted: int | None, *, near: bool) -> int:
    """The rows of a block: as wanted, else few enough for a CPU's caches (near) or a GPU's memory.

    That is at most 512 and a workspace of 128 MB, or 4096 and 1 GB.
    """
    longest = max(n1, n2)
    if wanted is not None:
        return min(_checks.integer("block_size", wanted), longest)
    rows, room = (512, 2**27) if near else (4096, 2**30)
    most = min(longest, rows, max(1, int((room / per_pair) ** 0.5)))
    return ceil(longest / ceil(longest / most))  # equal blocks, so that little is filled up


def _forecast(needed: float, shape: tuple, size: int, limit: float | None) -> None:
    """Raise before the work if result and blocks will not fit."""
    limit = _free_memory() if limit is None else _checks.scalar("memory_limit", limit)
    if limit is not None and needed > limit:
        raise MemoryError(
            f"A kernel matrix of shape {shape} needs about {needed / 1e9:.2f} GB with blocks of "
            f"{size} rows; {limit / 1e9:.2f} GB are free. Use fewer points, float32, or smaller "
            "blocks (`block_size` in `kernels.gram`, `batch_size` in `distillation.kip`)."
        )


def _free_memory() -> int | None:
    """Free bytes of this machine's memory; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return None


def _kernel(
    compute: Callable, *, ndim: int, numbers_per_pair: Callable, whole: bool = True
) -> Kernel:
    """Wrap `compute(which, x1, x2)` in input checks; compile it as a whole, or leave its stages."""

    def public(which: str) -> Callable:
        inner = jax.jit(partial(compute, which)) if whole else partial(compute, which)

        def kernel_fn(x1: Numbers, x2: Numbers | None = None) -> Array:
            return _checks.finite("x1", inner(*_checks.pair(x1, x2, ndim=ndim)), "keep K finite")

        kernel_fn.__name__ = which
        # For `gram`, which has checked its inputs and must not wait for a check of each block.
        kernel_fn.unchecked, kernel_fn.numbers_per_pair = inner, numbers_per_pair
        return kernel_fn

    return Kernel(public("nngp"), public("ntk"))
