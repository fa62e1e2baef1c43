"""The same seeds under several sets of packages: prints the numbers, or writes the book's table.

python book/tools/versions.py print               # versions and numbers of this environment
python book/tools/versions.py write PYTHON COLAB  # `book/versions.md`, from two environments

The GPU's column is `print`'s record there, kept with the results of the benches, to which `device`
and `rounded_products` (the numbers under JAX_DEFAULT_MATMUL_PRECISION=default) are added by hand.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TABLE, PAGE = ROOT / "book" / "versions.json", ROOT / "book" / "versions.md"
ON_GPU = ROOT / "benchmarks" / "results" / "numbers-gpu.json"
TOLERANCE = 1e-4  # relative; float32 throughout
PACKAGES = ("jax", "numpy", "scipy", "scikit-learn", "optax")

HEAD = """\
# Versions

The course is tested with a pinned list of packages (`requirements.txt`), and runs with those that
Colab has preinstalled, and on a GPU. The same seeds give the same numbers everywhere: a program
computes these in each place, in float32, and refuses differences from the first above
{tolerance:g} of the number. A test compares the first column with the environment that it runs in.

For the GPU this is no matter of course. Since NVIDIA's Ampere, JAX rounds the factors of a float32
product to ten bits there, unless it is told not to: {moved} of the {count} numbers below then
differ by {least:.0e} to {most:.0e}. So `import ntk_course` sets JAX's
`jax_default_matmul_precision` to "highest", if nothing else has been chosen.

"""


def numbers() -> dict[str, float]:
    """What it is -> a number that depends on every digit of it."""
    import jax
    import jax.numpy as jnp

    from ntk_course import (
        attacks,
        data,
        distillation,
        empirical,
        kernels,
        networks,
        regression,
        training,
    )  # fmt: skip

    digits = data.load("digits", n_train=200, n_test=100)
    x, x_test = (jnp.asarray(data.flatten(part)) for part in (digits.x_train, digits.x_test))
    y = jnp.asarray(data.one_hot(digits.y_train))
    net = networks.fully_connected(64, 64, n_out=10)
    params = net.init_fn(jax.random.key(0))
    wide = networks.fully_connected(64, (32, 32))
    ntk = kernels.fully_connected(2).ntk
    images = jnp.asarray(digits.x_train[:5])
    trained = training.minibatch(
        jax.random.key(1), net.apply_fn, params, x_train=x, y_train=y, num_epochs=3, batch_size=50
    ).params
    judge = jax.tree_util.Partial(net.apply_fn, trained)
    attack = {"epsilon": 0.1, "step_size": 0.02, "num_steps": 10}
    moved = attacks.pgd(jax.random.key(2), judge, x, y, **attack)
    kip = distillation.kip(
        jax.random.key(3), ntk, x, y, x[:10], y[:10], num_steps=5, batch_size=100
    )
    alpha = regression.fit(ntk(x), y, ridge=0.1)
    found = {
        "digits drawn (sum of pixels)": x.sum(),
        "a network at initialization (norm of outputs)": jnp.linalg.norm(net.apply_fn(params, x)),
        "NTK of depth 2 (norm)": jnp.linalg.norm(ntk(x)),
        "NNGP kernel of depth 2 (norm)": jnp.linalg.norm(kernels.fully_connected(2).nngp(x)),
        "convolutional NTK with pooling (norm)": jnp.linalg.norm(
            kernels.convolutional(2, readout="pool").ntk(images)
        ),
        "empirical NTK (norm)": jnp.linalg.norm(
            empirical.layerwise_ntk(wide.init_fn(jax.random.key(5)), x[:50])
        ),
        "kernel ridge regression (norm of predictions)": jnp.linalg.norm(ntk(x_test, x) @ alpha),
        "three epochs of Adam (norm of outputs)": jnp.linalg.norm(judge(x_test)),
        "PGD, 10 steps (mean loss)": attacks.cross_entropy(judge(moved), y).mean(),
        "KIP, 5 steps (last loss)": kip.losses[-1],
    }
    return {name: float(np.asarray(value)) for name, value in found.items()}


def here() -> dict:
    """Versions and numbers of this environment."""
    installed = {"Python": platform.python_version()} | {p: version(p) for p in PACKAGES}
    return {"versions": installed, "numbers": numbers()}


def differences(first: dict, second: dict) -> dict[str, float]:
    """Name -> relative difference of two environments' numbers."""
    return {name: abs(second[name] / value - 1) for name, value in first.items()}


def page(*found: dict, titles: tuple[str, ...]) -> str:
    """The table of all environments; `ValueError` if a number is too far from the first one's.

    The last one was a GPU, where the numbers were computed with rounded products too.
    """
    rounded = differences(found[0]["numbers"], found[-1]["rounded_products"]).values()
    moved = [gap for gap in rounded if gap > 1e-5]
    text = HEAD.format(
        tolerance=TOLERANCE, moved=len(moved), count=len(rounded), least=min(moved), most=max(moved)
    )
    named = zip(found, titles, strict=True)
    heads = [f"JAX {each['versions']['jax']}{title}" for each, title in named]
    rows = [["", *heads, "difference"], ["---"] * (len(found) + 2)]
    first = found[0]
    for name in first["versions"]:
        if name != "jax":
            rows.append([name, *(each["versions"][name] for each in found), ""])
    gaps = [differences(first["numbers"], each["numbers"]) for each in found[1:]]
    for name in first["numbers"]:
        gap = float(np.max([each[name] for each in gaps]))
        if not gap <= TOLERANCE:
            raise ValueError(f"{name} must agree to {TOLERANCE:g}; got a difference of {gap:.1e}")
        values = (f"{each['numbers'][name]:.7g}" for each in found)
        rows.append([name, *values, f"{gap:.0e}" if gap else "0"])
    return text + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(pythons: list[str]) -> None:
    """Compute in both environments; write the page and the file that the test reads."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "NTK_COURSE_STATIC": "1"}
    found = []
    for python in pythons:
        command = [python, str(Path(__file__).resolve()), "print"]
        found.append(json.loads(subprocess.check_output(command, text=True, env=variables)))
    gpu = json.loads(ON_GPU.read_text("utf8"))
    titles = ("", " (Colab)", f" ({gpu['device']})")
    PAGE.write_text(page(*found, gpu, titles=titles), "utf8")
    TABLE.write_text(json.dumps(found[0], indent=1) + "\n", "utf8")
    print(f"  {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    if sys.argv[1:] == ["print"]:
        print(json.dumps(here()))
    elif sys.argv[1:2] == ["write"] and len(sys.argv) == 4:
        write(sys.argv[2:])
    else:
        sys.exit(__doc__)
