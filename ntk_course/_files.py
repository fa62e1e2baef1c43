"""Files that are written whole or not at all, whatever stops the writing."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

_STALE = 3600.0  # seconds after which an untouched part belongs to nobody who lives


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path`; when it is full and on the disk it takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, f"{escape(path.name)}.*.part")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what killed processes have left in a folder; what is still written to stays."""
    for path in folder.glob(pattern):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()
