"""Real images for the benches: from files beside the project, else as many by download."""

from pathlib import Path

import numpy as np

from ntk_course import data

FILES = Path(__file__).resolve().parents[2] / "shared" / "data"
TOTAL = {"mnist": 10_000, "cifar10": 3_044}  # MNIST's test images, and some of CIFAR-10's others

_download = data.load


def load(name, n_test):
    """A `data.Dataset` of MNIST or CIFAR-10, its last n_test images for testing."""
    total = TOTAL[name]
    if not FILES.exists():
        return _download(name, n_train=total - n_test, n_test=max(n_test, 1))
    if name == "cifar10":
        with np.load(FILES / name / "cifar10_3044.npz") as file:
            x, y, classes = file["x"], file["y"], data._CIFAR
    else:
        x, y = (data._read_idx(FILES / name / f"t10k-{kind}-ubyte.gz")
                for kind in ("images-idx3", "labels-idx1"))  # fmt: skip
        x, classes = x[..., None], data._DIGITS
    x, y, n = data._unit(x), y.astype(int), total - n_test
    return data.Dataset(name, x[:n], y[:n], x[n:], y[n:], classes)


def stand_in(name="digits", **how):
    """`data.load` with these images, a fifth of them for testing, for what it would download."""
    return load(name, TOTAL[name] // 5) if name in TOTAL else _download(name, **how)
