"""Checkpoints of a long run: written atomically, read only if whole and of the same run."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ntk_course import _checks

_FORMAT = "ntk_course checkpoint 1"


def digest(*values: object) -> str:
    """A short hash of arrays and of the repr of anything else."""
    code = hashlib.sha256()
    for value in values:
        array = isinstance(value, np.ndarray)
        code.update(repr((value.dtype, value.shape) if array else value).encode())
        code.update(np.ascontiguousarray(value).data if array else b"")
    return code.hexdigest()[:16]


def save(path: Path, run: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write to a file beside it, flush it to the disk, then rename: never half a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            np.savez(file, format=_FORMAT, **{f"run {k}": v for k, v in run.items()}, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path, run: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """The arrays of a checkpoint; None if there is none.

    Raises `ValueError` if the file is not a whole checkpoint or is one of another run; the file
    stays as it is.
    """
    if not path.exists():
        return None
    aside = "Move the file away or name another one; it was left as it is."
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        arrays = {}
    whole = str(arrays.pop("format", "")) == _FORMAT
    _checks.require(whole, "checkpoint", "be a whole checkpoint of this course", path, aside)
    theirs = {k[4:]: str(arrays.pop(k)) for k in list(arrays) if k.startswith("run ")}
    other = sorted(k for k in {*run, *theirs} if run.get(k) != theirs.get(k))
    rule, got = "belong to this run", f"{path}, which differs in {', '.join(other)}"
    _checks.require(not other, "checkpoint", rule, got, aside)
    return arrays
