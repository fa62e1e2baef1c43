"""Execute lectures on the device that JAX finds, in either scale, and keep what they say.

python -m benchmarks.lectures quick            # as in the book
python -m benchmarks.lectures full 05 10       # with `runtime.scale("full")`
python -m benchmarks.lectures full 08 --edit "(1000, 5000)" "(200, 2000)"

Real images are those of `benchmarks.images`, in place of the whole of MNIST and CIFAR-10. What was
run, for how long, with which edits, and what was printed is kept in `benchmarks/results/`.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date, datetime
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIRST = """
from benchmarks.images import stand_in
from ntk_course import data
data.load = stand_in
import jax
print(jax.devices()[0].device_kind, jax.__version__)
"""


def execute(path, scale, edits, only, seconds):
    """What came of one lecture: device, seconds, printed text of each code cell, failure."""
    notebook = nbformat.read(path, 4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in cells:
        cell.outputs, cell.execution_count = [], None
        for old, new in (('scale("quick")', f'scale("{scale}")'), *edits):
            cell.source = cell.source.replace(old, new)
    wanted = [cell for cell in cells[2:] if any(word in cell.source for word in only or [""])]
    cells = [nbformat.v4.new_code_cell(FIRST), *cells[:2], *wanted]
    client = NotebookClient(
        nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata),
        timeout=seconds,
        kernel_name="python3",
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": ROOT}},
    )
    start, failure = time.perf_counter(), None
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        failure = str(error)[-3000:]
    took = time.perf_counter() - start
    slow = sorted(map(seconds_of_cell, client.nb.cells), reverse=True)[:3]
    said = ["".join(o.get("text", "") for o in cell.outputs) for cell in client.nb.cells
            if cell.cell_type == "code"]  # fmt: skip
    print(f"  {path.name:40} {took:6.1f} s  {'FAILED' if failure else ''}", flush=True)
    if failure:
        print(failure, flush=True)
    return {"name": path.name, "seconds": round(took, 1), "failure": failure, "device": said[0],
            "slowest_cells": slow, "printed": [text for text in said[1:] if text]}  # fmt: skip


def seconds_of_cell(cell):
    """How long a cell took, and its first line."""
    times = cell.metadata.get("execution", {})
    begin, end = (times.get(k) for k in ("iopub.status.busy", "iopub.status.idle"))
    took = (datetime.fromisoformat(end) - datetime.fromisoformat(begin)) if begin and end else None
    return round(took.total_seconds(), 1) if took else 0.0, cell.source.split("\n")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale", choices=("quick", "full"))
    parser.add_argument("numbers", nargs="*", help="of lectures; all, if none are given")
    parser.add_argument("--edit", nargs=2, action="append", default=[], metavar=("OLD", "NEW"))
    parser.add_argument("--only", nargs="*", help="cells with one of these words, and the imports")
    parser.add_argument("--seconds", type=int, default=3600, help="that one cell may take")
    parser.add_argument("--tag", default="", help="of the file that is kept")
    parser.add_argument("--at-once", type=int, default=1, help="lectures at a time")
    arguments = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    paths = sorted((ROOT / "lectures").glob("*.ipynb"))
    unknown = sorted(set(arguments.numbers) - {p.name[:2] for p in paths})
    if unknown:
        parser.error(f"`numbers` must be those of lectures; got {unknown[0]}. Write 05, not 5.")
    paths = [p for p in paths if not arguments.numbers or p.name[:2] in arguments.numbers]
    text = "".join(p.read_text("utf8") for p in paths)
    for old, _ in arguments.edit:
        if json.dumps(old)[1:-1] not in text:
            parser.error(f"`--edit` must name text of a chosen lecture; got {old!r}. Copy it.")
    run = partial(
        execute, scale=arguments.scale, edits=arguments.edit, only=arguments.only,
        seconds=arguments.seconds,
    )  # fmt: skip
    name = "-".join(filter(None, ("lectures", arguments.scale, arguments.tag)))
    path, found = RESULTS / f"{name}.json", []
    record = {"date": date.today().isoformat(), "scale": arguments.scale}
    record |= {"edits": arguments.edit, "only": arguments.only, "lectures": found}
    with ThreadPoolExecutor(arguments.at_once) as pool:
        for done in as_completed(pool.submit(run, path) for path in paths):
            found.append(done.result())
            found.sort(key=lambda lecture: lecture["name"])
            path.write_text(json.dumps(record, indent=1) + "\n", "utf8")
    failed = sum(bool(lecture["failure"]) for lecture in found)
    print(f"{len(found)} lectures, {failed} failed; kept in {path.relative_to(ROOT)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
