"""Runs every notebook as Colab would: its packages, an empty folder, the course as a wheel.

Then the unit tests of the package under the same versions, and the book's table of numbers.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import versions

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-colab"
TESTS = (
    "applications attacks bad_input distillation dynamics evolution features gaussian_models "
    "inductive_bias kernels tasks_data training_robust"
)
RUN = """
import sys, time, nbformat
from nbclient import NotebookClient
start = time.perf_counter()
notebook = nbformat.read(sys.argv[1], 4)
for cell in notebook.cells:
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False,
               extra_arguments=["--IPKernelApp.log_level=40"]).execute()
print(f"{time.perf_counter() - start:.1f} s")
"""


def pip(*arguments: str) -> None:
    """Install into the Colab environment."""
    subprocess.run([VENV / "bin/python", "-m", "pip", "install", "-q", *arguments], check=True)


def environment(constraints: Path, python: str) -> None:
    """A fresh environment with the course's wheel under Colab's versions."""
    subprocess.run([python, "-m", "venv", "--clear", VENV], check=True)
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT]
        subprocess.run(build, check=True)
        wheel = next(Path(folder).glob("ntk_course-*.whl"))
        pip("-c", constraints, wheel, "ipykernel", "ipywidgets", "nbformat", "frozendict")
        # What drives notebooks and tests; Colab need not have it.
        pip("-c", constraints, "nbclient", "pytest", "hypothesis", "beartype", "mpmath")
    pip("--no-deps", "neural-tangents==0.6.5")  # what the appendix tells its reader to install


def run_all() -> int:
    """Execute each notebook in an empty folder; report time or failure."""
    failures = 0
    variables = {**os.environ, "PYTHONNOUSERSITE": "1"}
    for source in sorted((ROOT / "lectures").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(source, folder)
            command = [VENV / "bin/python", "-c", RUN, source.name]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, env=variables
            )
        report = done.stdout.strip() if done.returncode == 0 else "FAILED"
        print(f"  {source.name:40} {report}", flush=True)
        if done.returncode:
            failures += 1
            print(done.stderr, file=sys.stderr)
    return failures


def run_tests() -> int:
    """The unit tests of what computes."""
    files = [f"tests/test_{name}.py" for name in TESTS.split()]
    # What neural-tangents, the oracle, asks of JAX 0.7 warns that it will go.
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore:jax.interpreters:DeprecationWarning"]
    command = [VENV / "bin/python", "-m", "pytest", *options, *files]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> None:
    """Build the environment, run, and exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", type=Path, required=True, help="Colab's package list")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    constraints = arguments.list.resolve()
    if not constraints.is_file():
        sys.exit(
            f"`COLAB` must name a file with one `name==version` a line, the packages that Colab "
            f"has preinstalled; got COLAB={arguments.list}. Run `pip freeze` in a Colab notebook, "
            "save the lines, and call make colab-test COLAB=that-file."
        )
    environment(constraints, arguments.python)
    failed = [run_all(), run_tests()]
    versions.write([sys.executable, str(VENV / "bin/python")])
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()
