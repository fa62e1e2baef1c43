"""The figure of chapter 16: an image filled in by a kernel, for growing length scales."""

from collections.abc import Mapping, Sequence

import numpy as np

from ntk_course import _checks
from ntk_course._checks import Numbers
from ntk_course.interactive._base import Figure, compact


def image_completion(
    image: Numbers,
    observed: Numbers,
    lengths: Sequence[float] | Numbers,
    filled: Numbers,
    scores: Mapping[str, Numbers],
    *,
    caption: str = "",
    label: str = "Image completion",
) -> Figure:
    """A figure with an image, its observed pixels and what a kernel makes of them.

    Math: R^2 = 1 - sum (filled - image)^2 / sum (image - mean of the observed)^2, on hidden pixels.

    Args:
        image: grey values in [0, 1], shape (h, w).
        observed: which pixels are known, shape (h, w).
        lengths: length scales of the prior, ascending from > 0, shape (S,).
        filled: the completed images, shape (S, h, w); shown between 0 and 1.
        scores: name -> R^2 at each length, shape (S,); two, first that of the images shown.
        caption: a sentence or two under the figure.
        label: what the figure shows, for readers who cannot see it.
    Returns:
        A `Figure`.
    Raises:
        ValueError: if shapes do not match, values leave [0, 1] or lengths do not ascend.
    References:
        Radhakrishnan et al. (2022). Lecture notes, section 1.1.
    """
    image = np.asarray(_checks.floats("image", image, ndim=2))
    inside = bool(image.min() >= 0 and image.max() <= 1)
    got = f"{image.min():g} to {image.max():g}"
    _checks.require(inside, "image", "lie in [0, 1]", got, "Scale it, 0 is black.")
    observed, lengths = np.asarray(observed, bool), np.asarray(lengths, float)
    _checks.shape("observed", observed, image.shape, "One flag a pixel.")
    some = bool(observed.any() and not observed.all())
    got = f"{observed.sum()} of {observed.size}"
    _checks.require(some, "observed", "hold some of the pixels", got, "Hide others, or fewer.")
    ascend = lengths.ndim == 1 and lengths.size > 1 and lengths[0] > 0
    ascend = ascend and bool((np.diff(lengths) > 0).all())
    _checks.require(ascend, "lengths", "ascend from > 0", lengths.tolist(), "Sort them.")
    filled = np.asarray(_checks.floats("filled", filled, ndim=3))
    _checks.shape("filled", filled, (len(lengths), *image.shape), "One image a length.")
    _checks.require(len(scores) == 2, "scores", "be two", list(scores), "Compare two kernels.")
    curves = {name: np.asarray(v, float) for name, v in scores.items()}
    for name, curve in curves.items():
        _checks.shape(f"scores[{name!r}]", curve, lengths.shape, "One number a length.")
    bytes_of = lambda x: np.rint(255 * np.clip(x, 0, 1)).astype(int).ravel().tolist()  # noqa: E731
    spec = {
        "caption": caption,
        "label": label,
        "shape": list(image.shape),
        "image": bytes_of(image),
        "observed": observed.astype(int).ravel().tolist(),
        "lengths": lengths,
        "filled": [bytes_of(f) for f in filled],
        "scores": [{"name": name, "values": curve} for name, curve in curves.items()],
    }
    return Figure("image-completion", "an image filled in", compact(spec))
