"""Figures that move in a static page, and (in `live`) explorers that retrain in the kernel.

Only notebooks import this package; deleting it breaks nothing else.
"""

from ntk_course.interactive._attack_images import Sweep, attack_images
from ntk_course.interactive._attack_plane import attack_plane
from ntk_course.interactive._base import PALETTE, Figure, compact
from ntk_course.interactive._equivariance import equivariance
from ntk_course.interactive._filter_bank import filter_bank
from ntk_course.interactive._frontier import frontier
from ntk_course.interactive._image_completion import image_completion
from ntk_course.interactive._kernel_evolution import kernel_evolution
from ntk_course.interactive._kip_images import kip_images
from ntk_course.interactive._kip_plane import PlaneRun, kip_plane
from ntk_course.interactive._linearized_dynamics import Run, linearized_dynamics, record_run
from ntk_course.interactive._ntk_features import FeatureCloud, ntk_features
from ntk_course.interactive._quiz import quiz
from ntk_course.interactive._robust_error import robust_error
from ntk_course.interactive._sample_complexity import Curves, sample_complexity
from ntk_course.interactive._spectral_bias import Variant, spectral_bias
from ntk_course.interactive._tradeoff import tradeoff

__all__ = [
    "PALETTE",
    "Curves",
    "FeatureCloud",
    "Figure",
    "PlaneRun",
    "Run",
    "Sweep",
    "Variant",
    "attack_images",
    "attack_plane",
    "compact",
    "equivariance",
    "filter_bank",
    "frontier",
    "image_completion",
    "kernel_evolution",
    "kip_images",
    "kip_plane",
    "linearized_dynamics",
    "ntk_features",
    "quiz",
    "record_run",
    "robust_error",
    "sample_complexity",
    "spectral_bias",
    "tradeoff",
]
