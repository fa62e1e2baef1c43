"""The figure of section 2.3.2: images as KIP learns them, with the accuracy that they teach."""

from collections.abc import Sequence

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


def kip_images(
    steps: Sequence[int],
    images: Numbers,
    accuracy: Numbers,
    *,
    reference: float | None = None,
    measure: str = "test accuracy",
    caption: str = "",
    label: str = "Learned images",
) -> Figure:
    """A figure with the images at the start above those at a step of the run, and their accuracy.

    Args:
        steps: the saved steps, ascending from 0, shape (S,).
        images: grey images at those steps, shape (S, m, height, width), with m at most 20.
        accuracy: test accuracy with each of the sets, shape (S,).
        reference: accuracy of the whole training set, drawn as a line.
        measure: what `accuracy` is called.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match or steps do not ascend.
    References:
        Nguyen et al. (2021b), figure 2. Lecture notes, section 2.3.2, figure 2.
    """
    steps = _checks.floats("steps", np.asarray(steps, float), ndim=1)
    ascend = bool(len(steps) > 1 and steps[0] == 0 and (np.diff(steps) > 0).all())
    _checks.require(ascend, "steps", "ascend from 0", steps, "Sort the saved steps.")
    images = np.asarray(_checks.floats("images", images, ndim=4))
    _checks.shape("images", images, (len(steps), None, None, None), "One set for each step.")
    most = images.shape[1]
    _checks.require(most <= 20, "images", "hold at most 20 images a step", most, "Show fewer.")
    accuracy = _checks.floats("accuracy", accuracy, ndim=1)
    _checks.shape("accuracy", accuracy, (len(steps),), "One number for each step.")
    spec = {
        "caption": caption,
        "labels": {
            "images": f"{label}: at the start in the upper row, at the chosen step below",
            "accuracy": f"{label}: {measure} against the step",
        },
        "steps": steps,
        "images": images.reshape(len(steps), -1),
        "shape": list(images.shape[1:]),
        "accuracy": accuracy,
        "reference": reference,
        "measure": measure,
    }
    return Figure("kip-images", "learned images", compact(spec))
