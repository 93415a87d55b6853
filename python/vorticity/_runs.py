"""Run directories: read back, joined from shards, put on a page."""

from __future__ import annotations

import os
from collections.abc import Iterable
from tempfile import TemporaryDirectory

from . import _native
from .errors import InvalidError
from .result import Result

Path = str | os.PathLike[str]


def load(directory: Path) -> Result:
    """The `Result` of a run directory that `out=` or the command line wrote. Raises FileError if it is none, or damaged."""
    return Result(_native.load(os.fspath(directory)))


def merge(shards: Iterable[Path | Result], out: Path) -> Result:
    """Joins the directories of all shards of a run, or their results, in any order, to the directory that one process would have
    written, byte for byte.

    Raises InvalidError: shards are missing. FileError: one is given twice, damaged, or of another run.
    """
    if isinstance(shards, (str, os.PathLike)):
        raise InvalidError(f"shards: one path is given, {os.fspath(shards)!r}, expected those of all shards")
    places = [_written(shard) for shard in shards]
    command = ["python", f"vorticity.merge({places!r}, {os.fspath(out)!r})"]
    return Result(_native.merge(places, os.fspath(out), command))


def report(
    runs: Path | Result | Iterable[Path | Result],
    page: Path,
    title: str | None = None,
    *,
    names: Iterable[str] | None = None,
) -> str:
    """Puts runs, directories or results, on one HTML page that needs nothing else; the page's path."""
    if isinstance(runs, (str, os.PathLike, Result)):
        runs = [runs]
    page, names = os.fspath(page), None if names is None else list(names)
    with TemporaryDirectory() as scratch:
        # Results that lie nowhere are written for this.
        places = [_place(run, os.path.join(scratch, str(i))) for i, run in enumerate(runs)]
        _native.report(places, page, title, names)
    return page


def _written(shard):
    """The directory of a shard, which may be given as its result."""
    return os.fspath(shard.out if isinstance(shard, Result) and shard.out is not None else shard)


def _place(run, scratch):
    if not isinstance(run, Result):
        return os.fspath(run)
    if run.out is not None:
        return os.fspath(run.out)
    os.makedirs(scratch)
    return run.save(os.path.join(scratch, run.measure))  # whose name the page shows
