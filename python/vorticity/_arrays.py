"""Arrays as the engine takes them. In: NumPy, torch, JAX, lists. Out: C-contiguous arrays of one type, and a way back to what they were.

Refused with `ArrayError`, which names the argument, what was found and what was expected: whole and complex numbers and objects, other
byte orders, other shapes, numbers that are not finite, nothing at all. Copied in silence: what is not contiguous, lies in Fortran
order, or on another device; torch tensors are detached.
"""

import numpy as np

from .errors import ArrayError


def _same(array):
    return array


def is_torch(x):
    """Whether x is a torch tensor; torch is not imported for that."""
    return type(x).__module__.split(".", 1)[0] == "torch" and hasattr(x, "detach")


def plain(name, x):
    """`x` as a NumPy array, and what makes of a result what `x` was."""
    if type(x) is np.ndarray:
        return x, _same
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        masked = int(np.ma.getmaskarray(x).sum())
        raise ArrayError(f"{name}: {masked} numbers are masked, expected an array without a mask: say x.filled(..)")
    try:
        return _tensor(x) if is_torch(x) else (np.asarray(x), _same)
    except Exception as error:
        raise ArrayError(f"{name}: {type(x).__name__} is no array of numbers: {error}") from None


def _tensor(x):
    import torch

    device, held = x.device, x.detach()
    if held.dtype == torch.bfloat16:
        held = held.float()  # exact, and NumPy has no such type
    return held.cpu().numpy(), lambda array: torch.from_numpy(array).to(device)


def floats(name, x, dtype=np.float32):
    """`x` as an array of floating-point numbers of that type, C-contiguous, finite, and the way back.

    float64 becomes float32 by rounding where that is asked for; float16 is exact in either.
    """
    array, back = plain(name, x)
    if array.dtype != dtype or not (array.flags.c_contiguous and array.flags.aligned):
        _require_floats(name, array)
        with np.errstate(over="ignore"):  # an infinity is found below
            array = np.require(array, dtype, "CA")
    if not array.size:
        raise ArrayError(f"{name}: shape {array.shape} is empty, expected at least one number")
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ArrayError(f"{name}: {array[at]} at {list(at)}, expected finite numbers")
    return array, back


def _require_floats(name, array):
    kind = array.dtype
    if kind.kind != "f" or kind.itemsize > 8:
        raise ArrayError(f"{name}: dtype {kind}, expected float32 (float16 and float64 are converted)")
    if not kind.isnative:
        raise ArrayError(f"{name}: dtype {kind.str} has another byte order than this machine, expected {kind.newbyteorder('=').str}")


class Points:
    """Points as the engine takes them, `x` `[N, C, H, W]`, and the way back to what was given: one point or several, with the axes
    `[C, H, W]` or, where a point is D channels of one pixel, as vectors `[D]`; of what library, on what device."""

    def __init__(self, name, x, shape, dtype=np.float32):
        """`shape` is `[C, H, W]`, or None: any."""
        array, self.back = floats(name, x, dtype)
        self.vectors = shape is not None and shape[1:] == (1, 1) and array.ndim in (1, 2) and array.shape[-1] == shape[0]
        if self.vectors:
            array = array[..., None, None]
        self.single = array.ndim == 3
        if array.ndim not in (3, 4) or (shape is not None and array.shape[-3:] != shape):
            expected = "[C, H, W]" if shape is None else list(shape)
            raise ArrayError(f"{name}: shape {list(array.shape)}, expected {expected} or [N, ..] of such")
        self.x = array[None] if self.single else array

    def like(self, result):
        """A result that ends in the axes of a point, as what was given."""
        return self.back(result[..., 0, 0] if self.vectors else result)

    def values(self, result):
        """A result `[N, C, H, W]`, as what was given."""
        return self.like(result[0] if self.single else result)

    def directions(self, name, v):
        """`v`, which ends in the same axes as the points, as `[N, T, C, H, W]`; and the shape of results for it, before `like`."""
        array, _ = floats(name, v, self.x.dtype.type)
        found = list(array.shape)
        if self.vectors:
            array = array[..., None, None]
        shape, given = self.x.shape, array.shape
        own = shape[1:] if self.single else shape
        if given == own:
            return array.reshape(shape[0], 1, *shape[1:]), given
        many = given[:1] + shape[1:] if self.single else given[:2] + shape[1:]
        if len(given) == len(own) + 1 and given == many and (self.single or given[0] == shape[0]):
            return array.reshape(shape[0], -1, *shape[1:]), given
        point = "D" if self.vectors else "C, H, W"
        leading = f"[T, {point}]" if self.single else f"[N, T, {point}]"
        own = list(own[:-2] if self.vectors else own)
        raise ArrayError(f"{name}: shape {found}, expected that of x, {own}, or {leading} with several directions of each point")


def wholes(name, k, count):
    """`k` as int64 `[N]`: one number for all points, or one for each."""
    if type(k) is int:
        return np.full(count, k, np.int64)
    array, _ = plain(name, k)
    if array.dtype.kind not in "iu":
        raise ArrayError(f"{name}: dtype {array.dtype}, expected whole numbers")
    if array.ndim == 0:
        return np.full(count, int(array), np.int64)
    if array.shape != (count,):
        raise ArrayError(f"{name}: shape {list(array.shape)}, expected one number, or [{count}], one for each point")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise ArrayError(f"{name}: {array.max()}, expected whole numbers below 2^63")
    return np.ascontiguousarray(array, np.int64)


def images(name, data):
    """Clean images as `[N, C, H, W]`, float32 or uint8. float64 is taken only where every number is a float32 number."""
    array, _ = plain(name, data)
    if array.dtype != np.uint8:
        _require_images(name, array)
        exact = array
        array, _ = floats(name, array)
        if exact.dtype.itemsize > 4 and not np.array_equal(array, exact):
            raise ArrayError(f"{name}: float64 numbers that are no float32 numbers, expected float32: say data.astype('float32')")
    if not array.size:
        raise ArrayError(f"{name}: shape {list(array.shape)} is empty, expected at least one image")
    if array.ndim == 2:
        array = array.reshape(*array.shape, 1, 1)
    elif array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4:
        raise ArrayError(f"{name}: shape {list(array.shape)}, expected [N, C, H, W], [N, H, W] or [N, D]")
    return np.ascontiguousarray(array)


def _require_images(name, array):
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ArrayError(f"{name}: dtype {array.dtype}, expected float32 of the field's data range, or uint8")
