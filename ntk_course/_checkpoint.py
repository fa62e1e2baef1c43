"""Checkpoints of a long run: written whole, read only if whole and of the same run."""

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np

from ntk_course import _checks, _files


def digest(*values: object) -> str:
    """A short hash of arrays and of the repr of anything else."""
    code = hashlib.sha256()
    for value in values:
        array = isinstance(value, np.ndarray)
        code.update(repr((value.dtype, value.shape) if array else value).encode())
        code.update(np.ascontiguousarray(value).data if array else b"")
    return code.hexdigest()[:16]


def save(path: Path, run: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an `.npz` file followed by its SHA-256, whole or not at all.

    The checksums inside an `.npz` miss a bit that flips in an array's header.
    """
    with _files.whole(path) as file:
        np.savez(file, **{f"run {k}": v for k, v in run.items()}, **arrays)
        file.seek(0)
        file.write(hashlib.file_digest(file, "sha256").digest())


def load(path: Path, run: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """The arrays of a checkpoint; None if there is none.

    Raises `ValueError` if the file is not a whole checkpoint or is one of another run; the file
    stays as it is.
    """
    if not path.exists():
        return None
    aside = "Move the file away or name another one; it was left as it is."
    raw = path.read_bytes() if path.is_file() else b""
    whole = hashlib.sha256(raw[:-32]).digest() == raw[-32:]
    _checks.require(whole, "checkpoint", "be a whole checkpoint of this course", path, aside)
    with np.load(BytesIO(raw), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    theirs = {k[4:]: str(arrays.pop(k)) for k in list(arrays) if k.startswith("run ")}
    other = sorted(k for k in {*run, *theirs} if run.get(k) != theirs.get(k))
    rule, got = "belong to this run", f"{path}, which differs in {', '.join(other)}"
    _checks.require(not other, "checkpoint", rule, got, aside)
    return arrays
