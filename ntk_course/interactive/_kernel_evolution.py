"""The figure of section 4: the kernel of a network over its training, plain and adversarial."""

from collections.abc import Mapping, Sequence

import numpy as np

from ntk_course import _checks, evolution
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact

LEVELS = 127  # shades on each side of zero


def kernel_evolution(
    epochs: Sequence[int],
    runs: Mapping[str, Numbers],
    classes: Sequence[int] | Numbers,
    *,
    caption: str = "",
    label: str = "Kernel over training",
) -> Figure:
    """A figure of centred kernels at saved epochs, two trainings side by side, with their curves.

    Math: shown is K_c / |K_c|; curves are S(t, t+dt)/dt, the alignment and |K_c(t)| / |K_c(0)|.

    Args:
        epochs: saved epochs, ascending from 0, shape (S,).
        runs: name -> kernels at these epochs, shape (S, n, n), n at most 60; two of them.
        classes: the class 0, 1, ... of each row, ascending, shape (n,).
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, epochs do not ascend or classes are not sorted.
    References:
        Fort et al. (2020); Baratin et al. (2021). Lecture notes, section 4.
    """
    epochs, classes = np.asarray(epochs, float), np.asarray(classes, int)
    ascend = epochs.size > 1 and epochs[0] == 0 and bool((np.diff(epochs) > 0).all())
    _checks.require(ascend, "epochs", "ascend from 0", epochs.tolist(), "Sort the saved epochs.")
    _checks.require(len(runs) == 2, "runs", "be two", list(runs), "Compare two trainings.")
    ordered = bool((np.diff(classes) >= 0).all()) and len(classes) <= 60
    _checks.require(ordered, "classes", "ascend, at most 60", classes.tolist(), "Sort the rows.")
    spec = {
        "caption": caption,
        "labels": {key: f"{label}: {text}" for key, text in _LABELS.items()},
        "epochs": epochs,
        "classes": classes.tolist(),
        "runs": [
            {"name": name} | _run(f"runs[{name!r}]", kernels, epochs, classes)
            for name, kernels in runs.items()
        ],
    }
    return Figure("kernel-evolution", "a kernel over training", compact(spec))


_LABELS = {
    "kernel": "heat map of the centred kernel of images sorted by class",
    "velocity": "velocity of the kernel against the epoch, logarithmic axes",
    "alignment": "alignment of the kernel with the labels against the epoch",
    "norm": "norm of the kernel relative to the start against the epoch, logarithmic axes",
}


def _run(name: str, kernels: Numbers, epochs: np.ndarray, classes: np.ndarray) -> dict:
    """The upper triangles as integers, their scale, and the curves of one training."""
    n, kernels = len(classes), _checks.floats(name, kernels, ndim=3)
    _checks.shape(name, kernels, (len(epochs), n, n), "One kernel an epoch, one row a class.")
    centred = np.stack([evolution.center(k) for k in kernels])
    labels = np.eye(classes.max() + 1)[classes]
    norms = np.linalg.norm(centred, axis=(1, 2))
    units = centred / norms[:, None, None]
    scale = np.abs(units).max()
    shades = np.rint(units[:, *np.triu_indices(n)] / scale * LEVELS).astype(int)
    return {
        "shades": shades.tolist(),
        "scale": scale / LEVELS,
        "velocity": evolution.velocity(centred, epochs),
        "alignment": np.array([evolution.alignment(k, labels) for k in centred]),
        "norm": norms / norms[0],
    }
