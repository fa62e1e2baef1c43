"""Figures that move in a static page, and (in `live`) explorers that retrain in the kernel.

Only notebooks import this package; deleting it breaks nothing else.
"""

from ntk_course.interactive._base import PALETTE, Figure, compact
from ntk_course.interactive._linearized_dynamics import Run, linearized_dynamics, record_run
from ntk_course.interactive._spectral_bias import Variant, spectral_bias

__all__ = [
    "PALETTE",
    "Figure",
    "Run",
    "Variant",
    "compact",
    "linearized_dynamics",
    "record_run",
    "spectral_bias",
]
