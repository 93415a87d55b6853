"""Exceptions. All but `Interrupted` are `Error`s; messages name the place, what was found and what was expected."""


class Error(Exception):
    """Anything that vorticity says went wrong."""


class FileError(Error, OSError):
    """A file that is missing, damaged or not what was expected."""


class InvalidError(Error, ValueError):
    """An argument, option or value that is refused."""


class ArrayError(InvalidError, TypeError):
    """An array that is refused: its type, shape, byte order, or numbers in it that are not finite."""


class AdapterError(Error, RuntimeError):
    """No GPU adapter that can run the kernels."""


class GpuError(Error, RuntimeError):
    """Anything that the graphics stack reports."""


class OutOfMemoryError(Error, MemoryError):
    """An allocation that the device refused."""


class DeviceLostError(GpuError):
    """The device went away and did not come back: driver reset, watchdog, unplugged."""


class ForkError(Error, RuntimeError):
    """A device was used in a child of the process that opened it: devices do not survive a fork."""


class MissingDependency(Error, ImportError):
    """A package that is not installed; the message says what to install."""


class InternalError(Error, RuntimeError):
    """A flaw of vorticity itself. Please report it, with the message."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C. What was measured is kept where the message says, and the same call goes on from there."""


def missing(package: str, extra: str, what: str) -> MissingDependency:
    """The exception that says that `what` needs a package."""
    message = f"{package} is not installed, {what} needs it: pip install {package} (or 'vorticity[{extra}]')"
    return MissingDependency(message, name=package)
