"""The `vorticity` command: the same program as the Rust binary."""

import os
import signal
import sys


def main() -> int:
    """Does what the arguments say; the exit code."""
    from . import _native

    # As in a program of its own: Ctrl-C ends what has no handler, until a run installs the one that ends it cleanly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = sys.argv[0]
    if os.path.basename(name) == "__main__.py":
        name = "python -m vorticity"
    return _native.main([name, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
