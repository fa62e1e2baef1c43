"""Print one table: time and accuracy of our kernels beside neural-tangents, and peak memory.

Each row runs both on the same inputs, in turns, after a warm-up; the ratio of the medians counts,
not the seconds. A JSON file with versions and machine is kept in `benchmarks/results/`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntk_course import _neural_tangents, empirical, kernels, networks

RESULTS = Path(__file__).parent / "results"
PEERS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


class Row(NamedTuple):
    """One comparison: seconds of both, their ratio, what was asked for, and how results differ.

    For kernels that is the largest relative error, for KIP that of the last loss, for attacks our
    robust accuracy above the lowest of the peers' (negative: our attack is the strongest).
    """

    name: str
    ours_s: float
    theirs_s: float
    ratio: float
    wanted: float
    relative_difference: float
    detail: dict | None = None


def race(name, ours, theirs, wanted, repeats=(5, 3)):
    """Time two functions of no arguments in turns and compare what they return."""
    ours_value, theirs_value = np.asarray(ours()), np.asarray(theirs())
    times = ([], [])
    for turn in range(max(repeats)):
        for function, seconds, repeat in zip((ours, theirs), times, repeats, strict=True):
            if turn < repeat:
                start = time.perf_counter()
                jax.block_until_ready(function())
                seconds.append(time.perf_counter() - start)
    mine, other = map(statistics.median, times)
    difference = np.abs(ours_value - theirs_value).max() / np.abs(theirs_value).max()
    return Row(name, mine, other, other / mine, wanted, float(difference))


def fully_connected_gram(stax, rng):
    x = jnp.asarray(rng.normal(size=(4000, 784)), jnp.float32)
    layers = [stax.Dense(1, W_std=1.0)]
    for _ in range(3):
        layers += [stax.Relu(), stax.Dense(1, W_std=2**0.5)]
    theirs = jax.jit(stax.serial(*layers)[2], static_argnums=2)
    ours = kernels.fully_connected(3).ntk
    return race(
        "FC NTK Gram, n = 4000, d = 784, depth 3",
        lambda: kernels.gram(ours, x),
        lambda: theirs(x, None, "ntk"),
        1.5,
        (9, 9),
    )


def convolutional_gram(stax, rng):
    x = jnp.asarray(rng.normal(size=(100, 8, 8, 1)), jnp.float32)
    layers = []
    for depth in range(3):
        std = 2**0.5 if depth else 1.0
        layers += [stax.Conv(1, (3, 3), padding="SAME", W_std=std), stax.Relu()]
    net = stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1, W_std=2**0.5))
    theirs = jax.jit(net[2], static_argnums=2)
    ours = kernels.convolutional(3, readout="pool").ntk
    return race(
        "conv NTK with pooling, 8x8, n = 100, depth 3",
        lambda: kernels.gram(ours, x),
        lambda: theirs(x, None, "ntk"),
        8.0,
        (5, 2),
    )


def empirical_gram(nt, rng):
    x = jnp.asarray(rng.normal(size=(500, 784)), jnp.float32)
    network = networks.fully_connected(784, (512, 512))
    params = network.init_fn(jax.random.key(0))
    theirs = jax.jit(nt.empirical_ntk_fn(network.apply_fn, trace_axes=()))
    return race(
        "empirical NTK, width 512, depth 2, n = 500",
        lambda: empirical.layerwise_ntk(params, x),
        lambda: theirs(x, None, params),
        100.0,
        (15, 2),
    )


def peak_memory(n):
    """Peak resident memory above the start, over the bytes of the result."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 784)), jnp.float32)
    ours = kernels.fully_connected(3).ntk
    kernels.gram(ours, x[:1100])  # compile, and let the allocator warm up
    before = high_water_mark()
    result = kernels.gram(ours, x)
    return (high_water_mark() - before) / result.nbytes


def high_water_mark():
    """Peak resident bytes of this process (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["VmHWM"].split()[0]) * 1024


def gram_memory(n=20_000):
    """`peak_memory` in a fresh process, whose peak nothing else has raised."""
    code = f"from benchmarks.__main__ import peak_memory; print(peak_memory({n}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def rows_of(module, python=sys.executable):
    """The rows of a module that runs in a fresh process, and perhaps in another environment."""
    run = subprocess.run([python, "-m", f"benchmarks.{module}"], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"benchmarks.{module} failed:\n{run.stderr[-2000:]}")
    return [Row(**row) for row in json.loads(run.stdout.splitlines()[-1])]


def main():
    nt = _neural_tangents.load()
    from neural_tangents import stax

    rng = np.random.default_rng(0)
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores, float32")
    print(f"{'':48}{'ours':>9}{'theirs':>9}{'ratio':>8}{'wanted':>8}{'difference':>12}")
    rows = []
    for measure, library in (
        (fully_connected_gram, stax), (convolutional_gram, stax), (empirical_gram, nt),
    ):  # fmt: skip
        rows.append(measure(library, rng))
    rows += rows_of("kip")  # needs float64
    if PEERS.exists():
        rows += rows_of("robustness", str(PEERS))
    else:
        print(f"no PGD rows: {PEERS} does not exist; `make bench` makes it")
    for row in rows:
        verdict = "" if row.ratio >= row.wanted else "  LOSES"
        print(
            f"{row.name:48}{row.ours_s:8.3f}s{row.theirs_s:8.3f}s{row.ratio:7.1f}x"
            f"{row.wanted:7.1f}x{row.relative_difference:12.1e}{verdict}"
        )
    memory = gram_memory()
    verdict = "" if memory <= 1.3 else "  LOSES"
    print(
        f"peak memory of a Gram, n = 20000, over its result: {memory:.2f} (at most 1.30){verdict}"
    )
    RESULTS.mkdir(exist_ok=True)
    packages = ("jax", "jaxlib", "numpy", "neural-tangents")
    record = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "device": jax.devices()[0].device_kind,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "rows": [row._asdict() for row in rows],
        "gram_memory_over_result": memory,
    }
    path = RESULTS / f"kernels-{jax.devices()[0].platform}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"kept in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
