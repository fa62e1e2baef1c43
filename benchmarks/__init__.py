"""Ours beside the peers: what the rows have in common."""

import gc
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np


class Row(NamedTuple):
    """One comparison: seconds of both, their ratio, what was asked for, and how results differ.

    For kernels that is the largest relative error, for KIP that of the last loss (of the mean of
    the last five if targets are drawn), for attacks our robust accuracy above the lowest of the
    peers' (negative: our attack is the strongest).
    memory_mb and growth are of ours and of theirs.
    """

    name: str
    ours_s: float
    theirs_s: float
    ratio: float
    wanted: float
    relative_difference: float
    peer: str
    memory_mb: list | None = None
    growth: list | None = None
    detail: dict | None = None


def seconds_of(function, repeats=1):
    """Median seconds of a function of no arguments, each time from a machine at rest."""
    seconds = []
    for _ in range(repeats):
        gc.collect()
        time.sleep(0.3)  # threads of the one before may still be spinning
        start = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def race(name, ours, theirs, wanted, repeats=(5, 3), peer=""):
    """Time two functions of no arguments in turns and compare what they return."""
    ours_value, theirs_value = np.asarray(ours()), np.asarray(theirs())
    times = ([], [])
    for turn in range(max(repeats)):
        for function, seconds, repeat in zip((ours, theirs), times, repeats, strict=True):
            if turn < repeat:
                seconds.append(seconds_of(function))
    mine, other = map(statistics.median, times)
    difference = np.abs(ours_value - theirs_value).max() / np.abs(theirs_value).max()
    return Row(name, mine, other, other / mine, wanted, float(difference), peer)


def growth(setup, n):
    """Exponents of both: the slopes of log seconds over log size, at n/4, n/2 and n."""
    sizes = (n // 4, n // 2, n)
    times = []
    for size in sizes:
        pair = setup(size)
        for function in pair:
            jax.block_until_ready(function())
        times.append([seconds_of(function, 3 if size < n else 2) for function in pair])
    slopes = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    return [round(float(slope), 2) for slope in slopes]


def reset_high_water_mark():
    """Begin the peak anew at what is resident now; return it."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return high_water_mark()


def high_water_mark():
    """Peak resident bytes of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["VmHWM"].split()[0]) * 1024
