"""Run directories: read back, joined from shards, put on a page."""

import os

from . import _native
from .result import Result


def load(directory):
    """The `Result` of a run directory that `out=` or the command line wrote. Raises FileError if it is none, or damaged."""
    return Result(_native.load(os.fspath(directory)))


def merge(shards, out):
    """Joins the directories of all shards of a run, in any order, to the one that one process would have written, byte for byte.

    Raises InvalidError: shards are missing. FileError: one is given twice, damaged, or of another run.
    """
    places = [os.fspath(shard) for shard in shards]
    command = ["python", f"vorticity.merge({places!r}, {os.fspath(out)!r})"]
    return Result(_native.merge(places, os.fspath(out), command))


def report(runs, page, title=None, *, names=None):
    """Puts runs (directories, or results that lie in some) on one HTML page that needs nothing else."""
    if isinstance(runs, (str, os.PathLike, Result)):
        runs = [runs]
    places = [os.fspath(run.out if isinstance(run, Result) and run.out else run) for run in runs]
    _native.report(places, os.fspath(page), title, None if names is None else list(names))
