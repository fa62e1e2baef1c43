"""The figure of section 3: an image, what is added to it, and the scores as the budget grows."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


class Sweep(NamedTuple):
    """One way to change an image: its name, images (S, height, width), scores (S, C).

    The scores are probabilities; the first image is the original.
    """

    name: str
    images: Numbers
    scores: Numbers


def attack_images(
    epsilons: Sequence[float] | Numbers,
    sweeps: Sequence[Sweep],
    truth: int,
    *,
    caption: str = "",
    label: str = "Attacked image",
) -> Figure:
    """A figure with an image, its perturbation magnified, their sum, and the classes' scores.

    Args:
        epsilons: radii, ascending from 0, shape (S,).
        sweeps: one or more ways to change the same grey image with values in [0, 1].
        truth: the image's class, a column of the scores.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, radii do not ascend, or an image leaves its ball.
    References:
        Goodfellow et al. (2015), figure 1. Lecture notes, section 3, eq. 28.
    """
    radii = np.asarray(_checks.floats("epsilons", np.asarray(epsilons, float), ndim=1))
    ascend = bool(len(radii) > 1 and radii[0] == 0 and (np.diff(radii) > 0).all())
    _checks.require(ascend, "epsilons", "ascend from 0", radii, "Sort them.")
    _checks.require(len(sweeps) > 0, "sweeps", "not be empty", "none", "Give at least one.")
    first, ways = np.asarray(sweeps[0].images)[0], []
    for i, sweep in enumerate(sweeps):
        images = np.asarray(_checks.floats(f"sweeps[{i}].images", sweep.images, ndim=3))
        _checks.shape(f"sweeps[{i}].images", images, (len(radii), *first.shape), "One a radius.")
        scores = np.asarray(_checks.floats(f"sweeps[{i}].scores", sweep.scores, ndim=2))
        _checks.shape(f"sweeps[{i}].scores", scores, (len(radii), None), "One row a radius.")
        most, fix = scores.shape[1] - 1, "It is a column of the scores."
        _checks.integer("truth", truth, least=0, most=most, fix=fix)
        moved = np.abs(images - first).max((1, 2))
        inside = bool((moved <= radii + 1e-5).all())
        rule = "start at the same image and stay within `epsilons`"
        _checks.require(inside, f"sweeps[{i}].images", rule, f"distances {moved}", "See pgd.")
        ways.append({"name": sweep.name, "images": images.reshape(len(radii), -1)})
        ways[-1]["scores"] = scores
    spec = {
        "caption": caption,
        "labels": {
            "images": [f"{label}: {part}" for part in ("original", "perturbation", "their sum")],
            "scores": f"{label}: probability of each class",
            "curve": f"{label}: probability of the true and of the best other class",
        },
        "epsilons": radii,
        "shape": list(first.shape),
        "ways": ways,
        "truth": truth,
    }
    return Figure("attack-images", "an attacked image", compact(spec))
