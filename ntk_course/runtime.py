"""Where a notebook runs and at which size: the `scale` of its experiments."""

import os
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import jax
from tqdm.auto import tqdm

from ntk_course import _checks

T = TypeVar("T")


class Scale(NamedTuple):
    """The size of a notebook's experiments and the device that they run on."""

    name: str
    device: str

    def pick(self, quick: T, full: T) -> T:
        """Return `quick` or `full`, whichever this scale names."""
        return full if self.name == "full" else quick

    def __str__(self) -> str:
        return f"scale: {self.name} | device: {self.device} | JAX {jax.__version__}"


def scale(name: str = "quick") -> Scale:
    """Choose the size of the experiments and look up the device.

    Args:
        name: "quick" fits 45 s on two CPU cores, "full" is meant for a GPU.
    Returns:
        A `Scale`; printing it shows scale, device and JAX version.
    Raises:
        ValueError: if the name is neither of the two.
    Example:
        >>> scale("quick").pick(quick=10, full=1000)
        10
    """
    _checks.one_of("name", name, ("quick", "full"))
    device = jax.devices()[0]
    return Scale(name, f"{device.platform} ({device.device_kind})")


def progress(items: Iterable[T], label: str, *, show: bool = True) -> tqdm:
    """Go through items behind a progress bar.

    Args:
        items: what to go through.
        label: what the bar is called.
        show: whether there is a bar. A static build (NTK_COURSE_STATIC=1) never shows one.
    Returns:
        The items, as tqdm gives them: `set_postfix` writes beside the bar.
    """
    return tqdm(items, desc=label, disable=not show or os.environ.get("NTK_COURSE_STATIC") == "1")
