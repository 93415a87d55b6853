"""Arrays of NumPy, torch and JAX: what a user's function takes and what comes back of it. In: a function on arrays of one of these
libraries. Out: the same on NumPy arrays, whose answers are checked for kind, shape and dtype."""

from ._need import need
from .errors import ArrayError

# What a function may work on.
LIBRARIES = ("numpy", "torch", "jax")


def shown(value) -> str:
    """What a value is, in words: `a torch.float64 tensor of shape [2, 1, 8, 8] on cuda:0`."""
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "dtype"):
        return f"a value of type {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")
    kind = type(value).__module__.split(".")[0]
    dtype = str(value.dtype).removeprefix("torch.")
    device = f" on {value.device}" if kind == "torch" else ""
    name = {"torch": "torch tensor", "numpy": "NumPy array"}.get(kind, f"{kind} array")
    return f"a {dtype} {name} of shape {[int(n) for n in shape]}{device}"


class Library:
    """One of the libraries: arrays into it, and out of it."""

    def __init__(self, name: str, device=None):
        if name not in LIBRARIES:
            raise ArrayError(f"arrays: '{name}' is unknown, expected one of {', '.join(LIBRARIES)}")
        if device is not None and name != "torch":
            raise ArrayError(f"torch_device: is for arrays='torch', arrays is '{name}'")
        self.name = name
        self.device = None
        if name == "torch":
            self.device = need("torch", "arrays='torch'").device(device or "cpu")
        elif name == "jax":
            need("jax", "arrays='jax'")

    def into(self, array):
        """A NumPy array as one of this library, on its device; without a copy where the library can."""
        if self.name == "numpy":
            return array
        if self.name == "jax":
            import jax

            # Without 64 bits switched on, JAX makes float32 of float64 without a word.
            if array.dtype.itemsize == 8 and array.dtype.kind == "f" and not jax.config.jax_enable_x64:
                raise ArrayError("float64 of JAX is switched off: jax.config.update('jax_enable_x64', True), or leave f64= out")
            return jax.numpy.asarray(array)
        import torch

        if not array.flags.writeable:
            array = array.copy()  # torch has no arrays that may not be written to
        return torch.from_dlpack(array).to(self.device)

    def back(self, value, what: str, shape, dtype):
        """What `what` returned, as a contiguous NumPy array of that shape and dtype; anything else is an `ArrayError`."""
        import numpy as np

        expected = f"expected a floating-point array of shape {list(shape)}"
        if self.name == "torch":
            import torch

            if not isinstance(value, torch.Tensor):
                raise ArrayError(f"{what} returned {shown(value)}, {expected}: a torch tensor, as arrays='torch' says")
            if not value.dtype.is_floating_point:
                raise ArrayError(f"{what} returned {shown(value)}, {expected}")
            self._check(value, what, shape, dtype, value.dtype.itemsize, expected)
            kind = torch.float64 if dtype == "float64" else torch.float32
            return np.ascontiguousarray(value.detach().to("cpu", kind).numpy())
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise ArrayError(f"{what} returned an array of which {np.ma.count_masked(value)} numbers are masked, {expected}")
        if self.name == "numpy" and not isinstance(value, np.ndarray):
            raise ArrayError(f"{what} returned {shown(value)}, {expected}: a NumPy array, as arrays='numpy' says")
        if not hasattr(value, "__array__"):
            raise ArrayError(f"{what} returned {shown(value)}, {expected}")
        floating = value.dtype.kind == "f" or str(value.dtype) == "bfloat16"
        if not floating:
            raise ArrayError(f"{what} returned {shown(value)}, {expected}")
        self._check(value, what, shape, dtype, value.dtype.itemsize, expected)
        return np.ascontiguousarray(np.asarray(value), dtype=dtype)

    @staticmethod
    def _check(value, what, shape, dtype, size, expected):
        if list(value.shape) != list(shape):
            raise ArrayError(f"{what} returned {shown(value)}, {expected}")
        if dtype == "float64" and size < 8:
            raise ArrayError(f"{what} returned {shown(value)}, {expected} in float64, which is what it is for")


def wrapped(f, what: str, library: Library, dtype: str = "float32"):
    """`f(x, .., k, sigma)` of arrays of a library as the same of NumPy arrays; what it returns has the shape of x.

    Raises `ArrayError` where it returns anything else; what it raises is raised as it is.
    """
    if f is None:
        return None
    if not callable(f):
        raise ArrayError(f"{what}: is {shown(f)}, expected a function")

    def call(x, *rest):
        given = [library.into(array) for array in (x, *rest)]
        if library.name != "torch":
            return library.back(f(*given), what, x.shape, dtype)
        import torch

        with torch.no_grad():
            return library.back(f(*given), what, x.shape, dtype)

    return call
