"""Fields of any function: a network of another library, a formula, a simulator. In: a function on batches of points. Out: a `Field`, for
which the engine makes the points, integrates, checks and writes runs as for any other."""

from functools import partial

from . import _native
from ._device import native as device_of
from ._field import Field, _process, _shape
from ._libraries import Library, wrapped
from .errors import InvalidError


def from_callable(
    f,
    *,
    process,
    shape,
    prediction="score",
    arrays="numpy",
    torch_device=None,
    jvp=None,
    vjp=None,
    f64=None,
    f64_jvp=None,
    f64_vjp=None,
    name=None,
    data_range=(-1, 1),
    batch=256,
    device=None,
):
    """A field of a function f(x, k, sigma) of yours.

    The engine makes the points, calls f on batches of them, integrates, checks the quadrature and writes the run. A point's value must
    not depend on the other points of its batch, and f must give the same numbers whenever it is asked.

    Args:
        f: takes x float32 `[N, *shape]`, k int64 `[N]` and sigma float32 `[N]`, returns what `prediction` says, shaped like x.
        process: a `Process`, or what `Process.open` takes: x = a x_0 + sigma eps at timestep k.
        shape: (C, H, W) of a point, or "CxHxW"; (D,) for vectors, (H, W) for images of one channel.
        prediction: what f returns: "score", "eps", "v", "x0", "denoised", "flow_velocity" (docs/FORMATS.md), or "map" for a vector field
            that is no score.
        arrays: what f takes and returns: "numpy", "torch" (by DLPack, on `torch_device`) or "jax". torch functions run under
            no_grad: what differentiates by itself, such as the gradient of an energy, says `with torch.enable_grad():`.
        jvp: jvp(x, v, k, sigma) -> J v of f, shaped like x: `torch_jvp(f)`, `jax_jvp(f)`, or your own. Without it, central differences of
            f, two calls for each J v (docs/METHOD.md).
        vjp: vjp(x, u, k, sigma) -> J'u of f: `torch_vjp(f)`, `jax_vjp(f)`. Without it, what needs J'u is refused, or found without it.
        f64: the same function in float64 (of a torch module: a copy, `.double()`), for the arithmetic errors. Without it every verdict
            is "not checked".
        f64_jvp, f64_vjp: its products. Without them, differences in float64: four calls for each J v, four D for each J'u.
        name: for manifests and titles; by default the function's.
        data_range: (low, high): what 0 and 255 of 8-bit images are to f.
        batch: most points of a call.
        device: a `Device`, or its adapter, for what is not f: paths, products, sums.

    Returns:
        A `Field`. Its manifest says that a closure computed it, which nothing more is known of.

    Raises:
        InvalidError: a process without a score for this prediction, functions that are none.
        ArrayError: later, where f returns something else than it should. What f itself raises reaches you as it is; what was measured
            until then is kept, and the same call goes on.

    >>> import numpy as np, vorticity as vt
    >>> rotor = lambda x, k, sigma: np.roll(x, -1, axis=-1) - np.roll(x, 1, axis=-1)
    >>> field = vt.from_callable(rotor, process="vp?schedule=cosine", shape=(1, 1, 8), f64=rotor)
    """
    if not callable(f):
        raise InvalidError(f"f: {type(f).__name__} is given, expected a function f(x, k, sigma)")
    if f64 is None and (f64_jvp is not None or f64_vjp is not None):
        raise InvalidError("f64_jvp, f64_vjp: given without f64, of which they would be the products")
    library = Library(arrays, torch_device)

    def own(dtype, *functions):
        return [_shaped(wrapped(function, what, library, dtype), shape) for what, function in functions]

    about = {
        "name": str(name or getattr(f, "__qualname__", type(f).__qualname__)),
        "shape": _shape(shape),
        "process": _process(process),
        "prediction": prediction,
        "data_range": tuple(float(end) for end in data_range),
        "batch": int(batch),
    }
    again = partial(
        from_callable, f, process=process, shape=shape, prediction=prediction, arrays=arrays, torch_device=torch_device, jvp=jvp, vjp=vjp,
        f64=f64, f64_jvp=f64_jvp, f64_vjp=f64_vjp, name=name, data_range=data_range, batch=batch, device=device,
    )  # fmt: skip
    single = own("float32", ("f", f), ("jvp", jvp), ("vjp", vjp))
    double = own("float64", ("f64", f64), ("f64_jvp", f64_jvp), ("f64_vjp", f64_vjp))
    return Field(_native.closure((single, double), about, device_of(device)), again)


def _shaped(function, shape):
    """A function of points `[N, *shape]` as one of points `[N, C, H, W]`."""
    if function is None or isinstance(shape, str) or len(shape) == 3:
        return function

    def call(x, *rest):
        given = [array.reshape(len(array), *shape) if array.ndim == 4 else array for array in (x, *rest)]
        return function(*given).reshape(x.shape)

    return call
