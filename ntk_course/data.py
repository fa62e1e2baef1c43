"""Images: scikit-learn's digits inside, MNIST and CIFAR-10 on demand."""

import gzip
import os
import pickle
import re
import tarfile
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pooch
from jaxtyping import Array, Float, Int

from ntk_course import _checks, _files
from ntk_course._checks import Numbers


class Dataset(NamedTuple):
    """Images in [0, 1], float32 (n, height, width, channels), and labels, int (n,)."""

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]


_DIGITS = tuple(map(str, range(10)))
_CIFAR = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_TIMEOUT = 30.0  # seconds that a mirror may be silent

# Name -> (mirrors, {file: hash}); every file is checked before it is read.
_TABLE = Path(__file__).with_name("sources.toml").read_text("utf8")
_SOURCES = {n: (source["mirrors"], source["files"]) for n, source in tomllib.loads(_TABLE).items()}


def load(
    name: str = "digits",
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    seed: int = 0,
    cache_dir: str | Path | None = None,
) -> Dataset:
    """Load a data set; without a network, say so and give the embedded digits, all of them.

    Files are downloaded once, with a progress bar, checked by hash and kept in a cache.

    Args:
        name: "digits" (8x8, 1297 train and 500 test images, no download), "mnist" or "cifar10".
        n_train: how many training images, drawn at random; None for all (and for another draw of
            the test images).
        n_test: how many test images, drawn at random; None for all.
        seed: of the draws, and of the split of the digits.
        cache_dir: where files are kept; None for the system's cache folder.
    Returns:
        A `Dataset`; look at its `name` to see which one came.
    Raises:
        ValueError: if the name is unknown or more images are asked for than there are.
    Example:
        >>> load("digits").x_train.shape
        (1297, 8, 8, 1)

    References:
        LeCun et al. (1998); Krizhevsky (2009); Alpaydin and Kaynak (1998), UCI digits.
    """
    _checks.one_of("name", name, ("digits", *_SOURCES))
    rng = np.random.default_rng(_checks.integer("seed", seed, least=0))
    if name != "digits":
        folder = Path(cache_dir or pooch.os_cache("ntk-course")).expanduser() / name
        paths, failure = _fetch(name, folder)
        if failure:
            warnings.warn(
                f"`{name}` could not be downloaded: {failure}. Going on with the embedded digits. "
                "Call again with a network and a cache folder that can be written, or put the "
                f"files into {folder}.",
                stacklevel=2,
            )
            return load("digits", seed=seed)
        data = _READERS[name](paths)
    else:
        data = _read_digits(rng)
    x_train, y_train = _draw(rng, "n_train", n_train, data.x_train, data.y_train)
    x_test, y_test = _draw(rng, "n_test", n_test, data.x_test, data.y_test)
    return Dataset(data.name, x_train, y_train, x_test, y_test, data.classes)


def flatten(x: Float[Numbers, "n *shape"]) -> Float[Numbers, "n d"]:
    """Images as rows.

    Args:
        x: images, shape (n, height, width, channels), or (n, ...).
    Returns:
        The same numbers, shape (n, d).
    Raises:
        ValueError: if there is one axis only, or nothing in it.
    """
    rule = "have a first axis of images and at least one more"
    ok = np.ndim(x) >= 2 and np.size(x) > 0
    _checks.require(ok, "x", rule, f"shape {np.shape(x)}", "Add the missing axis.")
    return np.reshape(x, (len(x), -1))


def one_hot(
    labels: Int[Numbers, " n"], num_classes: int = 10, *, centred: bool = True
) -> Float[np.ndarray, "n c"]:
    """Regression targets of class labels.

    Math: 1[c = label] - 1/C, or without the shift.

    Args:
        labels: integers in 0..C-1, shape (n,).
        num_classes: C.
        centred: subtract 1/C, so that targets sum to 0.
    Returns:
        Targets, float32, shape (n, C).
    Raises:
        ValueError: if a label is out of range.
    References:
        Nguyen et al. (2021a), section 4.
    """
    labels, c = np.asarray(labels), _checks.integer("num_classes", num_classes)
    whole = labels.ndim == 1 and labels.size > 0 and labels.dtype.kind in "iu"
    known = whole and np.isin(labels, np.arange(c)).all()
    rule = f"be a vector of integers in 0..{c - 1}"
    _checks.require(bool(known), "labels", rule, labels, "Number the classes from 0.")
    return np.eye(c, dtype=np.float32)[labels] - np.float32(bool(centred) / c)


def zca(
    x_train: Float[Numbers, "n *shape"], *, reg: float = 0.1, unit_norm: bool = True
) -> Callable:
    """Regularized ZCA whitening, fitted on training images.

    Math: x -> (C + reg tr(C)/d I)^(-1/2) x with C = X^T X / n, after each image has lost its mean
    and been scaled to norm 1.

    Args:
        x_train: images, shape (n, ...), of d numbers each.
        reg: regularization >= 0 relative to the mean eigenvalue.
        unit_norm: False leaves out the step before, mean and norm of each image.
    Returns:
        A function from images (m, ...) to whitened images (m, ...), as NumPy arrays of their
        dtype (integers and float16 become a floating type that holds them).
    Raises:
        ValueError: if x_train is no array of images or `reg` is negative.
    References:
        Nguyen et al. (2021b), appendix A; Nguyen et al. (2021a), section 4.
    """
    reg = _checks.scalar("reg", reg)
    shape = _checks.floats("x_train", x_train, ndim=range(2, 6)).shape[1:]
    x = _each_image(np.asarray(flatten(x_train)), unit_norm)
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    _checks.require(bool(x.any()), "x_train", "vary within an image", "constants", "Give images.")
    values = np.maximum(values, 0) + reg * values.mean()
    regular = bool(values[0] > len(values) * np.finfo(float).eps * values[-1])
    _checks.require(regular, "reg", "make the covariance positive definite", reg, "Raise it.")
    matrix = vectors / np.sqrt(values) @ vectors.T

    def whiten(images: Float[Numbers, "m *shape"]) -> np.ndarray:
        fix = "Images must have the shape of the training images."
        _checks.require(np.shape(images)[1:] == shape, "images", "match", np.shape(images), fix)
        _checks.floats("images", images, ndim=range(2, 6))
        flat = _each_image(np.asarray(flatten(images)), unit_norm) @ matrix
        return flat.reshape(np.shape(images)).astype(np.result_type(np.asarray(images), np.float32))

    return whiten


def _each_image(x: np.ndarray, unit_norm: bool) -> np.ndarray:
    """Rows in float64, without their mean and of norm 1 (a constant row becomes 0)."""
    x = x.astype(np.float64)
    if unit_norm:
        x = x - x.mean(1, keepdims=True)
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(float).tiny)
    return x


def augment(
    key: Array, images: Float[Numbers, "n h w c"], *, shift: int = 1
) -> Float[Array, "n h w c"]:
    """Images moved by up to `shift` pixels each way.

    Args:
        key: of the draws, one for each image.
        images: shape (n, height, width, channels).
        shift: largest move in pixels, zeros coming in.
    Returns:
        Images of the same shape.
    Raises:
        ValueError: if the images have another rank or `shift` is no integer >= 0.
    References:
        Nguyen et al. (2021b), section 2, where KIP's targets are augmented.
    """
    images = _checks.floats("images", images, ndim=4)
    shift = _checks.integer("shift", shift, least=0)
    return _augment(_checks.key(key), images, shift)


@partial(jax.jit, static_argnums=2)
def _augment(key: Array, images: Array, shift: int) -> Array:
    n, h, w, c = images.shape
    starts = jax.random.randint(jax.random.split(key)[0], (n, 2), 0, 2 * shift + 1)
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    cut = jax.vmap(lambda x, at: jax.lax.dynamic_slice(x, (at[0], at[1], 0), (h, w, c)))
    return cut(padded, starts)


def _fetch(name: str, folder: Path) -> tuple[list[Path], str]:
    """The paths of a data set's files, in the cache or from a mirror, and what failed, if so."""
    mirrors, registry = _SOURCES[name]
    download = pooch.HTTPDownloader(progressbar=True, timeout=_TIMEOUT)
    _files.sweep(folder, "tmp*")  # pooch's downloads
    for file, known_hash in registry.items():
        failed = ["the kept one cannot be used"] if os.path.exists(folder / file) else []
        for mirror in mirrors:
            try:
                pooch.retrieve(mirror + file, known_hash, file, folder, downloader=download)
                break
            except (OSError, ValueError) as error:
                failed.append(f"{mirror}: {_reason(error)}")
        else:
            return [], f"{file} ({'; '.join(failed)})"
    return [folder / file for file in registry], ""


def _reason(error: BaseException) -> str:
    """What an error began with, in a few words: no addresses, no hashes."""
    while before := error.__cause__ or error.__context__:
        error = before
    return re.split(": expected | for url|: '", str(error))[0]


def _read_digits(rng: np.random.Generator) -> Dataset:
    from sklearn.datasets import load_digits  # takes longer to import than JAX

    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    x = (images[order] / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    y = labels[order]
    return Dataset("digits", x[:1297], y[:1297], x[1297:], y[1297:], _DIGITS)


def _read_idx(path: Path) -> np.ndarray:
    """An IDX file: two zero bytes, type, number of axes, the axes (big-endian), the bytes."""
    with gzip.open(path) as file:
        raw = file.read()
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _read_mnist(paths: list[Path]) -> Dataset:
    x_train, y_train, x_test, y_test = map(_read_idx, paths)
    x_train, x_test = (_unit(x[..., None]) for x in (x_train, x_test))
    return Dataset("mnist", x_train, y_train.astype(int), x_test, y_test.astype(int), _DIGITS)


def _read_cifar10(paths: list[Path]) -> Dataset:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    with tarfile.open(paths[0]) as archive:
        # The archive's hash was checked, so unpickling it runs nothing unknown.
        files = [archive.extractfile(f"cifar-10-batches-py/{name}") for name in names]
        batches = [pickle.load(file, encoding="bytes") for file in files]
    x = [_unit(b[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)) for b in batches]
    y = [np.array(b[b"labels"]) for b in batches]
    return Dataset("cifar10", np.concatenate(x[:5]), np.concatenate(y[:5]), x[5], y[5], _CIFAR)


_READERS = {"mnist": _read_mnist, "cifar10": _read_cifar10}


def _unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / 255


def _draw(rng, name: str, n: int | None, x: np.ndarray, y: np.ndarray) -> tuple:
    """n random rows of (x, y); all, in order, for None."""
    if n is None:
        return x, y
    n = _checks.integer(name, n, most=len(x), fix="Lower it, or pass None for all images.")
    rows = rng.permutation(len(x))[:n]
    return x[rows], y[rows]
