"""Runs every notebook as Colab would: its packages, an empty folder, the course as a wheel."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-colab"
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
        # Colab has no nbclient of its own; it only drives the notebooks here.
        pip("-c", constraints, "nbclient")
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
    sys.exit(1 if run_all() else 0)


if __name__ == "__main__":
    main()
