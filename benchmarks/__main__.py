"""Print one table: time, accuracy, memory and growth of our code beside that of its peers.

Each row runs both on the same inputs, in turns, after a warm-up; the ratio of the medians counts,
not the seconds. Memory is the peak of a fresh process above what its inputs take. Growth is the
exponent fitted to the times at n/4, n/2 and n: cost ~ n^growth. A JSON file with versions and
machine is kept in `benchmarks/results/`, and the README's table is written from it.
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import Row, growth, high_water_mark, race, reset_high_water_mark
from ntk_course import _neural_tangents, empirical, kernels, networks, regression

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
MODULES = "attacks data distillation dynamics empirical kernels networks regression training"


def fully_connected_gram(n):
    """Ours and neural-tangents' Gram matrix of a fully connected network."""
    _neural_tangents.load()
    from neural_tangents import stax

    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 784)), jnp.float32)
    layers = [stax.Dense(1, W_std=1.0)]
    for _ in range(3):
        layers += [stax.Relu(), stax.Dense(1, W_std=2**0.5)]
    theirs = jax.jit(stax.serial(*layers)[2], static_argnums=2)
    ours = kernels.fully_connected(3).ntk
    return lambda: kernels.gram(ours, x), lambda: theirs(x, None, "ntk")


def convolutional_gram(n):
    """Ours and neural-tangents' Gram matrix of a convolutional network with pooling."""
    _neural_tangents.load()
    from neural_tangents import stax

    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 8, 8, 1)), jnp.float32)
    layers = []
    for depth in range(3):
        std = 2**0.5 if depth else 1.0
        layers += [stax.Conv(1, (3, 3), padding="SAME", W_std=std), stax.Relu()]
    net = stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1, W_std=2**0.5))
    theirs = jax.jit(net[2], static_argnums=2)
    ours = kernels.convolutional(3, readout="pool").ntk
    return lambda: kernels.gram(ours, x), lambda: theirs(x, None, "ntk")


def empirical_gram(n):
    """Ours and neural-tangents' kernel of a finite network."""
    nt = _neural_tangents.load()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 784)), jnp.float32)
    network = networks.fully_connected(784, (512, 512))
    params = network.init_fn(jax.random.key(0))
    theirs = jax.jit(nt.empirical_ntk_fn(network.apply_fn, trace_axes=()))
    return lambda: empirical.layerwise_ntk(params, x), lambda: theirs(x, None, params)


def ridge_regression(n):
    """Ours and scikit-learn's predictions of kernel ridge regression, from the same kernel."""
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n + 500, 64)), rng.normal(size=(n, 10))
    k = np.asarray(kernels.gram(kernels.fully_connected(2).ntk, jnp.asarray(x, jnp.float32)))
    k_train, k_test, y = k[:n, :n].copy(), k[n:, :n].copy(), y.astype(np.float32)
    mine = tuple(map(jnp.asarray, (k_train, k_test, y)))

    def ours():
        return regression.predict(mine[1], regression.fit(mine[0], mine[2], ridge=0.1))

    def theirs():
        return KernelRidge(alpha=0.1, kernel="precomputed").fit(k_train, y).predict(k_test)

    return ours, theirs


class Contest(NamedTuple):
    """A row that runs here: set up for n points, the ratio wanted, and how often each runs."""

    name: str
    setup: Callable
    n: int
    wanted: float
    repeats: tuple[int, int]
    peer: str


CONTESTS = [
    Contest("FC NTK Gram, d = 784, depth 3", fully_connected_gram, 4000, 1.5, (9, 9),
            "neural-tangents"),
    Contest("conv NTK with pooling, 8x8, depth 3", convolutional_gram, 100, 8.0, (5, 2),
            "neural-tangents"),
    Contest("empirical NTK, width 512, depth 2", empirical_gram, 500, 100.0, (15, 2),
            "neural-tangents"),
    Contest("kernel ridge regression, 10 outputs", ridge_regression, 3000, 1.0, (7, 7),
            "scikit-learn"),
]  # fmt: skip


def measure(contest):
    """The row of a contest, with memory and growth."""
    pair = contest.setup(contest.n)
    row = race(f"{contest.name}, n = {contest.n}", *pair, contest.wanted, contest.repeats)
    del pair
    number = CONTESTS.index(contest)
    return row._replace(
        peer=contest.peer,
        memory_mb=[peak_memory(number, who) for who in (0, 1)],
        growth=growth(contest.setup, contest.n),
    )


def peak_memory(number, who):
    """Peak resident megabytes of one side, in a fresh process, above what it starts from."""
    return round(in_fresh_process(f"m.rise({number}, {who}) / 1e6"), 1)


def rise(number, who):
    """Bytes by which the peak of this process rises while one side runs once."""
    contest = CONTESTS[number]
    run = contest.setup(contest.n)[who]
    before = reset_high_water_mark()
    jax.block_until_ready(run())
    return high_water_mark() - before


def gram_memory(n=20_000):
    """Peak memory of a large Gram matrix over its own size, in a fresh process."""
    return in_fresh_process(f"m.gram_rise({n})")


def gram_rise(n):
    """`gram_memory` of this process."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(n, 784)), jnp.float32)
    ours = kernels.fully_connected(3).ntk
    kernels.gram(ours, x[:1100])  # compile, and let the allocator warm up
    before = reset_high_water_mark()
    result = kernels.gram(ours, x)
    return (high_water_mark() - before) / result.nbytes


def in_fresh_process(expression):
    """A number computed by this module, called m, in a process of its own."""
    code = f"import benchmarks.__main__ as m; print({expression})"
    run = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
        env={**os.environ, "NTK_COURSE_STATIC": "1"},  # no progress bars
    )  # fmt: skip
    return float(run.stdout.splitlines()[-1])


def import_seconds(repeats=5):
    """Medians of the time to import JAX alone, and every module of ours that computes."""
    ours = f"import {', '.join(f'ntk_course.{name}' for name in MODULES.split())}"
    times = ([], [])
    for _ in range(repeats):
        for seconds, code in zip(times, (ours, "import jax"), strict=True):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
            seconds.append(time.perf_counter() - start)
    mine, other = map(statistics.median, times)
    return Row(
        "import of all modules, and of JAX alone", mine, other, other / mine, 0.5, 0.0, "JAX"
    )


def rows_of(module, python=sys.executable):
    """The rows of a module that runs in a fresh process, and perhaps in another environment."""
    run = subprocess.run(
        [python, "-m", f"benchmarks.{module}"], capture_output=True, text=True, cwd=ROOT
    )
    if run.returncode:
        sys.exit(f"benchmarks.{module} failed:\n{run.stderr[-2000:]}")
    return [Row(**row) for row in json.loads(run.stdout.splitlines()[-1])]


def versions(python):
    """Versions of Python and of what the rows compare, in an environment."""
    names = ["jax", "jaxlib", "numpy", "scikit-learn", "neural-tangents", "torch", "torchattacks",
             "foolbox", "adversarial-robustness-toolbox"]  # fmt: skip
    code = (
        "import json, platform\nfrom importlib.metadata import distributions\n"
        "found = {d.metadata['Name'].lower(): d.version for d in distributions()}\n"
        f"kept = {{n: found[n] for n in {names} if n in found}}\n"
        "print(json.dumps({'python': platform.python_version()} | kept))"
    )
    return json.loads(subprocess.check_output([python, "-c", code], text=True))


def commit():
    """The commit that was measured; "-dirty" where files had been changed."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.check_output(command, text=True, cwd=ROOT).strip()
    except (OSError, subprocess.CalledProcessError):
        return "a copy without history"


def _short(number):
    """Two digits, and no exponent."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def table(record):
    """The README's table of a record."""
    head = "| ours beside | what | ratio | wanted | difference | memory, MB | growth |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in record["rows"]:
        memory = " / ".join(f"{m:.0f}" for m in row["memory_mb"] or [])
        powers = " / ".join(f"{p:.1f}" for p in row["growth"] or [])
        loses = "" if row["ratio"] >= row["wanted"] else ", **loses**"
        lines.append(
            f"| {row['peer']} | {row['name']} | {_short(row['ratio'])}x{loses} | "
            f"{row['wanted']:g}x | {row['relative_difference']:.0e} | {memory} | {powers} |"
        )
    return "\n".join(lines)


def write_readme(record):
    """Put the table, with its date and machine, between the README's marks for its platform."""
    path, marks = ROOT / "README.md", ("<!-- bench {} -->", "<!-- /bench {} -->")
    begin, end = (mark.format(record["platform"]) for mark in marks)
    said = (
        f"From `make bench` on {record['date']} ({record['commit']}), {record['machine']}, "
        f"{record['device']}; a peak of {record['gram_memory_over_result']:.2f} times its own size "
        "for a Gram of 20,000."
    )
    block = f"{begin}\n{said}\n\n{table(record)}\n{end}"
    text = path.read_text("utf8")
    path.write_text(re.sub(f"{begin}.*{end}", lambda _: block, text, flags=re.S), "utf8")


def main():
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores, float32")
    print(f"{'':56}{'ours':>9}{'theirs':>9}{'ratio':>8}{'wanted':>8}{'difference':>12}")
    rows, measured = [], commit()

    def add(more):
        for row in more:
            rows.append(row)
            verdict = "" if row.ratio >= row.wanted else "  LOSES"
            print(
                f"{row.name:56}{row.ours_s:8.3f}s{row.theirs_s:8.3f}s{row.ratio:7.1f}x"
                f"{row.wanted:7.1f}x{row.relative_difference:12.1e}{verdict}",
                flush=True,
            )

    for contest in CONTESTS:
        add([measure(contest)])
    add(rows_of("kip"))  # needs float64
    if PEERS.exists():
        add(rows_of("torch_func", str(PEERS)))
        add(rows_of("robustness", str(PEERS)))
    else:
        print(f"no rows beside PyTorch: {PEERS} does not exist; `make bench` makes it")
    add([import_seconds()])
    memory = gram_memory()
    verdict = "" if memory <= 1.3 else "  LOSES"
    print(
        f"peak memory of a Gram, n = 20000, over its result: {memory:.2f} (at most 1.30){verdict}"
    )
    RESULTS.mkdir(exist_ok=True)
    environments = {"ours": sys.executable} | ({"peers": str(PEERS)} if PEERS.exists() else {})
    record = {
        "date": date.today().isoformat(),
        "commit": measured,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "platform": jax.devices()[0].platform,
        "device": jax.devices()[0].device_kind,
        "versions": {name: versions(python) for name, python in environments.items()},
        "rows": [row._asdict() for row in rows],
        "gram_memory_over_result": memory,
    }
    path = RESULTS / f"kernels-{record['platform']}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    write_readme(record)
    print(f"kept in {path.relative_to(ROOT)}; the README's table is written from it")


if __name__ == "__main__":
    main()
