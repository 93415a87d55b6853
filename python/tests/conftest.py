"""What the tests share: fields that are opened once, the command line, and directories compared byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "assets"
MODEL = ASSETS / "models/mnist"
DIGITS = ASSETS / "data/mnist-test-256-idx3-ubyte.gz"

os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")  # the Vulkan loader wants one


@pytest.fixture(scope="session")
def vt():
    import vorticity

    return vorticity


@pytest.fixture(scope="session")
def mnist(vt):
    return vt.open(MODEL)


@pytest.fixture(scope="session")
def tilted(vt):
    return vt.open("field:tilted?omega=0.5", shape=(1, 4, 4))


@pytest.fixture(scope="session")
def digits():
    """The first digits as numbers 0..255, [N, 1, 28, 28]."""
    import gzip

    import numpy as np

    raw = gzip.decompress(DIGITS.read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28)


def python(*arguments, **options):
    """A fresh interpreter."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, **options)


def command(*arguments, **options):
    """The command line that the wheel installs, by its module."""
    return python("-m", "vorticity", *map(str, arguments), **options)


def contents(directory, but=("run_log.json",)):
    """Every file of a directory, by its name."""
    directory = Path(directory)
    files = {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    return {name: data for name, data in files.items() if name not in but}


def same(one, other):
    """Asserts that two run directories are the same but for their logs."""
    one, other = contents(one), contents(other)
    assert one, "nothing was written"
    assert sorted(one) == sorted(other)
    for name, data in one.items():
        assert data == other[name], name
