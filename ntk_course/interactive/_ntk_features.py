"""The figure of section 3.3: the features of a kernel predictor, one at a time."""

from typing import NamedTuple

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


class FeatureCloud(NamedTuple):
    """What is known of m features.

    Fields: index (m,), from 1 for the largest eigenvalue, ascending; usefulness and robust (m,),
    rho and gamma of eqs 33-34; images (m, height, width); clean_without and robust_without (m,),
    accuracies of the predictor without the feature; full, its two accuracies with all of them.
    """

    index: Numbers
    usefulness: Numbers
    robust: Numbers
    images: Numbers
    clean_without: Numbers
    robust_without: Numbers
    full: tuple[float, float]


def ntk_features(
    cloud: FeatureCloud, *, caption: str = "", label: str = "Features of the kernel"
) -> Figure:
    """A cloud of features, usefulness against robustness; a chosen one is drawn and taken away.

    Args:
        cloud: the features, at most 300.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match or the indices do not ascend.
    References:
        Tsilivis and Kempe (2022). Lecture notes, section 3.3, figure 3.
    """
    index = np.asarray(_checks.floats("cloud.index", cloud.index, ndim=1))
    ascend = bool(1 < len(index) <= 300 and index[0] >= 1 and (np.diff(index) > 0).all())
    _checks.require(ascend, "cloud.index", "ascend from 1, 2 to 300 of them", index, "Sort them.")
    images = np.asarray(_checks.floats("cloud.images", cloud.images, ndim=3))
    _checks.shape("cloud.images", images, (len(index), None, None), "One image a feature.")
    spec = {"caption": caption, "index": index, "shape": list(images.shape[1:])}
    for name in ("usefulness", "robust", "clean_without", "robust_without"):
        spec[name] = _checks.floats(f"cloud.{name}", getattr(cloud, name), ndim=1)
        _checks.shape(f"cloud.{name}", spec[name], (len(index),), "One number a feature.")
    spec["full"] = [_checks.scalar("cloud.full", value) for value in cloud.full]
    size = np.maximum(np.abs(images).max((1, 2), keepdims=True), np.finfo(np.float32).tiny)
    spec["images"] = (images / size).reshape(len(index), -1)
    spec["labels"] = {
        "cloud": f"{label}: usefulness under attack against usefulness",
        "image": f"{label}: the chosen feature as an image",
        "accuracy": f"{label}: accuracies of the predictor without the feature, against its index",
    }
    return Figure("ntk-features", "features of the kernel", compact(spec))
