"""Executes the lectures, each once, and writes them as notebooks.

python book/tools/lectures.py execute   # fill the cache that the book is built from
python book/tools/lectures.py export    # write lectures/*.ipynb from the cache
python book/tools/lectures.py again     # write them into _build/notebooks, to be run again
python book/tools/lectures.py solutions # write the instructor's _build/solutions/*.ipynb
python book/tools/lectures.py page      # print the page to open

`execute` and `export` take the numbers of the lectures that they are for; without any, all.
"""

import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import nbformat
from export import ROOT, ExportError, checked, export, is_exercise, read_lecture
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sqlalchemy.exc import SQLAlchemyError

from ntk_course import _files, checking

LECTURES = ROOT / "lectures"
CACHE = ROOT / "_build" / ".jupyter_cache"
SOLUTIONS, AGAIN = ROOT / "_build" / "solutions", ROOT / "_build" / "notebooks"
BUILT = ROOT / "_build" / "built"  # there while the pages show what the cache holds
FINGERPRINT = ROOT / "_build" / "package.sha256"
BIBLIOGRAPHY = ROOT / "book" / "references.bib"
SLOW = 45.0  # seconds a lecture may take, alone
CELL_TIMEOUT = 120
AT_ONCE = min(2, os.cpu_count() or 1)  # lectures; one alone leaves a core idle while it compiles


def sources() -> list[Path]:
    """The lectures, in order."""
    return sorted(LECTURES.glob("[0-9][0-9]_*.md"))


def package_fingerprint() -> str:
    """A hash of all that a lecture's outputs depend on beside its own cells."""
    digest = hashlib.sha256(sys.version.encode())
    files = [
        p for p in (ROOT / "ntk_course").rglob("*") if p.suffix in {".py", ".js", ".css", ".toml"}
    ]
    for path in [ROOT / "requirements.txt", *sorted(files)]:
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def damaged(cache) -> bool:
    """Whether the cache's database cannot be read or lacks a table."""
    try:
        with cache.db.connect() as connection:
            connection.exec_driver_sql("select count(*) from nbcache, nbproject, settings")
            return connection.exec_driver_sql("pragma integrity_check").scalar() != "ok"
    except SQLAlchemyError:
        return True


def open_cache():
    """The cache of executed lectures, emptied if it is damaged or the package has changed."""
    cache, fingerprint = get_cache(str(CACHE)), package_fingerprint().encode()
    stored = FINGERPRINT.read_bytes() if FINGERPRINT.exists() else None
    if stored != fingerprint or damaged(cache):
        cache.clear_cache()
        FINGERPRINT.parent.mkdir(parents=True, exist_ok=True)
        FINGERPRINT.write_bytes(fingerprint)
    return cache


def cached(cache, notebook) -> nbformat.NotebookNode | None:
    """The notebook with the outputs of its cached execution; None without a whole one."""
    try:
        return cache.merge_match_into_notebook(notebook)[1]
    except (KeyError, ValueError):
        return None


def keep(cache, path: Path, notebook, seconds: float) -> None:
    """Cache an executed lecture."""
    _, key = cache.create_hashed_notebook(notebook)
    shutil.rmtree(CACHE / "executed" / key, ignore_errors=True)  # what a killed run has left
    bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def kernel_environment(path: Path, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Ours, but a folder of this lecture's own for compiled code, where that is kept at all.

    JAX writes an entry in place, so no two processes may write into one folder.
    """
    folder = ours.get("JAX_COMPILATION_CACHE_DIR")
    own = {"JAX_COMPILATION_CACHE_DIR": os.path.join(folder, path.stem)} if folder else {}
    return {**ours, **own}


def run_lecture(path: Path, notebook) -> str | None:
    """Execute the notebook in place, in an empty folder; return what went wrong, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            coalesce_streams=True,  # pieces of text are as long as time would have it
            record_timing=False,  # it would change the cells' metadata, and with it the cache's key
            extra_arguments=["--IPKernelApp.log_level=40"],
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute(env=kernel_environment(path))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            number = sum(c.get("execution_count") is not None for c in notebook.cells)
            return f"{path.name}, code cell {number}:\n{error}"
    for cell in filter(is_exercise, notebook.cells):
        said = "".join(output.get("text", "") for output in cell.outputs)
        if "Right." not in said:
            try:
                name, _ = checked(cell.source)
            except ExportError as error:
                return f"{path.name}: {error}"
            return f"{path.name}: the solution of exercise {name!r} does not pass: {said}"
    return None


def chosen(numbers: list[str]) -> list[Path]:
    """The lectures with these numbers; all, if none are given."""
    unknown = set(numbers) - {path.name[:2] for path in sources()}
    if unknown:
        raise ExportError(
            f"`ONLY` must list numbers of lectures; got {sorted(unknown)[0]!r}. Write two digits "
            'each, such as ONLY="04 05".'
        )
    return [path for path in sources() if not numbers or path.name[:2] in numbers]


def timed(path: Path, notebook) -> tuple[str | None, float]:
    """`run_lecture`, and the seconds it took."""
    start = time.perf_counter()
    return run_lecture(path, notebook), time.perf_counter() - start


def execute(numbers: list[str]) -> int:
    """Execute every lecture that the cache does not hold; report times and failures."""
    os.environ["NTK_COURSE_STATIC"] = "1"
    cache, failures, start = open_cache(), [], time.perf_counter()
    extensions = (ROOT / "book" / "_ext").glob("*.py")
    if BUILT.exists() and any(p.stat().st_mtime > BUILT.stat().st_mtime for p in extensions):
        BUILT.unlink()  # Sphinx would not notice by itself
    missing = {}
    for path in chosen(numbers):
        notebook = read_lecture(path)
        if cached(cache, notebook):
            seconds = cache.match_cache_notebook(notebook).data["execution_seconds"]
            print(f"  {path.name:40} cached ({seconds:.1f} s when executed)")
        else:
            missing[path] = notebook
    if missing:
        BUILT.unlink(missing_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(timed, *item): item for item in missing.items()}
        try:
            for done in as_completed(running):
                (path, notebook), (failure, seconds) = running[done], done.result()
                slow = seconds > SLOW and len(missing) == 1
                note = f"  (slow: more than {SLOW:.0f} s)" if slow else ""
                if failure:
                    failures.append(failure)
                else:
                    keep(cache, path, notebook, seconds)
                said = "FAILED" if failure else f"{seconds:.1f} s"
                print(f"  {path.name:40} {said}{note}", flush=True)
        except KeyboardInterrupt:  # threads would finish their lectures first; kernels do not
            os._exit(130)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    print(f"  {len(chosen(numbers))} lectures, {time.perf_counter() - start:.1f} s")
    for failure in sorted(failures):
        print(f"\n{failure}", file=sys.stderr)
    return 1 if failures else 0


def executed(path: Path, notebook, cache) -> nbformat.NotebookNode:
    """The exported notebook with the outputs of the cached execution."""
    outputs = cached(cache, read_lecture(path))
    if outputs is None:
        raise ExportError(
            f"{path.name} is not executed as it stands; run make notebooks ONLY={path.name[:2]}"
        )
    done = iter([cell for cell in outputs.cells if cell.cell_type == "code"])
    for cell in notebook.cells:
        if cell.cell_type == "code":
            run = next(done)
            cell.execution_count, cell.outputs = run.execution_count, run.outputs
            if cell.source != run.source:  # a stub
                hint = checking.grade(checked(cell.source)[0], ...).message
                cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=hint + "\n")]
    return notebook


def write(path: Path, notebook, cache, target: Path) -> None:
    """Write one notebook with its outputs."""
    text = nbformat.writes(executed(path, notebook, cache), indent=1, sort_keys=True)
    with _files.whole(target) as file:
        file.write((text.rstrip("\n") + "\n").encode())
    print(f"  {target.relative_to(ROOT)}")


def write_solutions(numbers: list[str]) -> int:
    """Write the notebooks with solved exercises and explained solutions."""
    cache = get_cache(str(CACHE))
    for path, notebook in export(sources(), BIBLIOGRAPHY, chosen(numbers), solutions=True).items():
        write(path, notebook, cache, SOLUTIONS / f"{path.stem}.ipynb")
    return 0


def write_notebooks(numbers: list[str], folder: Path | None = None) -> int:
    """Write the notebooks `*.ipynb`, and remove those whose lecture is gone."""
    cache, folder = get_cache(str(CACHE)), folder or LECTURES
    notebooks = export(sources(), BIBLIOGRAPHY, chosen(numbers))
    for path, notebook in notebooks.items():
        write(path, notebook, cache, folder / f"{path.stem}.ipynb")
    for stale in set(folder.glob("*.ipynb")) - {folder / f"{p.stem}.ipynb" for p in sources()}:
        stale.unlink()
    return 0


def print_page(_numbers: list[str]) -> int:
    """Print the address of the built book's first page."""
    page = ROOT / "_build" / "html" / "index.html"
    print(f"\nThe book is built. Open {page.as_uri()}")
    return 0


def main(arguments: list[str]) -> int:
    """Run one command."""
    commands = {"execute": execute, "export": write_notebooks, "solutions": write_solutions}
    commands |= {"again": partial(write_notebooks, folder=AGAIN), "page": print_page}
    if not arguments or arguments[0] not in commands:
        sys.exit(__doc__)
    try:
        return commands[arguments[0]](arguments[1:])
    except (ExportError, OSError) as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        while error.__cause__:
            error = error.__cause__
        if not isinstance(error, sqlite3.Error):
            raise
        sys.exit(f"error: {CACHE}: {error}. Make room on the disk or remove it, and run again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
