"""An ONNX graph as a function of JAX, for the peers: the operators that the networks of this folder are exported with.

    f, names = function("model.onnx"); y = jax.jit(f)(*inputs)

What does not depend on an input is computed by NumPy while JAX traces, so that shapes are plain numbers; everything else is jax.numpy
and lax, convolutions by lax.conv_general_dilated. An operator that is not here is an error that names it.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from jax import lax
from onnx import numpy_helper

LAYOUT = ("NCHW", "OIHW", "NCHW")


def traced(*values) -> bool:
    return any(isinstance(v, jax.Array) for v in values)


def on(*values):
    """NumPy for constants, jax.numpy for the rest."""
    return jnp if traced(*values) else np


def ints(value) -> list[int]:
    return [int(v) for v in np.asarray(value).reshape(-1)]


def pads(attributes: dict, rank: int) -> list[tuple[int, int]]:
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", "NOTSET"):
        raise NotImplementedError(f"auto_pad {attributes['auto_pad']}")
    flat = attributes.get("pads", [0] * 2 * rank)
    return list(zip(flat[:rank], flat[rank:]))


def conv(a, x, w, b=None):
    y = lax.conv_general_dilated(x, w, a.get("strides", (1, 1)), pads(a, 2), rhs_dilation=a.get("dilations", (1, 1)),
                                 feature_group_count=a.get("group", 1), dimension_numbers=LAYOUT)
    return y if b is None else y + b[:, None, None]


def conv_transpose(a, x, w, b=None):
    if a.get("group", 1) != 1:
        raise NotImplementedError("ConvTranspose of groups")
    steps, more = a.get("strides", (1, 1)), a.get("output_padding", (0, 0))
    around = [(k - 1 - low, k - 1 - high + extra) for k, (low, high), extra in zip(w.shape[2:], pads(a, 2), more)]
    kernel = jnp.flip(w, (2, 3)).swapaxes(0, 1)
    y = lax.conv_general_dilated(x, kernel, (1, 1), around, lhs_dilation=steps, dimension_numbers=LAYOUT)
    return y if b is None else y + b[:, None, None]


def instance_norm(a, x, scale, bias):
    axes = tuple(range(2, x.ndim))
    mean = x.mean(axes, keepdims=True)
    y = (x - mean) * lax.rsqrt(((x - mean) ** 2).mean(axes, keepdims=True) + a.get("epsilon", 1e-5))
    shape = (1, -1) + (1,) * len(axes)
    return y * jnp.reshape(scale, shape) + jnp.reshape(bias, shape)


def layer_norm(a, x, scale, bias=None):
    axes = tuple(range(a.get("axis", -1) % x.ndim, x.ndim))
    mean = x.mean(axes, keepdims=True)
    y = (x - mean) * lax.rsqrt(((x - mean) ** 2).mean(axes, keepdims=True) + a.get("epsilon", 1e-5)) * scale
    return y if bias is None else y + bias


def gemm(a, x, w, c=None):
    x, w = x.T if a.get("transA") else x, w.T if a.get("transB") else w
    y = a.get("alpha", 1.0) * (x @ w)
    return y if c is None else y + a.get("beta", 1.0) * c


def reshape(a, x, shape):
    wanted = [x.shape[i] if n == 0 and not a.get("allowzero") else n for i, n in enumerate(ints(shape))]
    return on(x).reshape(x, wanted)


def resize(a, x, roi=None, scales=None, sizes=None):
    shape = ints(sizes) if sizes is not None else [round(n * s) for n, s in zip(x.shape, np.asarray(scales).tolist())]
    mode, places = a.get("mode", b"nearest"), a.get("coordinate_transformation_mode", b"half_pixel")
    if mode == b"linear" and places in (b"half_pixel", b"pytorch_half_pixel"):
        return jax.image.resize(x, shape, "linear", antialias=False)
    whole = all(new % old == 0 for new, old in zip(shape, x.shape))
    if mode == b"nearest" and places == b"asymmetric" and whole:
        for axis, (new, old) in enumerate(zip(shape, x.shape)):
            x = jnp.repeat(x, new // old, axis)
        return x
    raise NotImplementedError(f"Resize {mode} {places}")


def slices(a, x, starts, ends, axes=None, steps=None):
    axes = ints(axes) if axes is not None else range(len(ints(starts)))
    steps = ints(steps) if steps is not None else [1] * len(ints(starts))
    at = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, ints(starts), ints(ends), steps):
        at[axis] = slice(start, end if abs(end) < 2**31 - 1 else None, step)
    return x[tuple(at)]


def split(a, x, sizes=None):
    axis = a.get("axis", 0)
    parts = ints(sizes) if sizes is not None else [x.shape[axis] // a["num_outputs"]] * a["num_outputs"]
    return list(on(x).split(x, np.cumsum(parts)[:-1].tolist(), axis))


def squeeze(a, x, axes=None):
    return on(x).squeeze(x, tuple(ints(axes)) if axes is not None else None)


def unsqueeze(a, x, axes):
    return on(x).expand_dims(x, tuple(ints(axes)))


def reduced(how: Callable) -> Callable:
    def run(a, x, axes=None):
        return how(x, tuple(ints(axes)) if axes is not None else None, bool(a.get("keepdims", 1)))
    return run


def concat(a, *values):
    return on(*values).concatenate(values, a["axis"])


def gelu(a, x):
    return jax.nn.gelu(x, approximate=a.get("approximate", b"none") == b"tanh")


def constant(a):
    return numpy_helper.to_array(a["value"])


def cast(a, x):
    return on(x).asarray(x).astype(onnx.helper.tensor_dtype_to_np_dtype(a["to"]))


OPERATORS: dict[str, Callable] = {
    "Add": lambda a, x, y: x + y, "Sub": lambda a, x, y: x - y, "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: x // y if np.issubdtype(np.asarray(x).dtype if not traced(x) else x.dtype, np.integer) else x / y,
    "Pow": lambda a, x, y: x**y, "Sqrt": lambda a, x: on(x).sqrt(x), "Reciprocal": lambda a, x: 1 / x, "Neg": lambda a, x: -x,
    "Sin": lambda a, x: on(x).sin(x), "Cos": lambda a, x: on(x).cos(x), "Exp": lambda a, x: on(x).exp(x), "Log": lambda a, x: on(x).log(x),
    "Tanh": lambda a, x: jnp.tanh(x), "Relu": lambda a, x: jax.nn.relu(x), "Sigmoid": lambda a, x: jax.nn.sigmoid(x), "Gelu": gelu,
    "Softmax": lambda a, x: jax.nn.softmax(x, a.get("axis", -1)),
    "Clip": lambda a, x, low=None, high=None: on(x).clip(x, low, high),
    "MatMul": lambda a, x, y: on(x, y).matmul(x, y), "Gemm": gemm,
    "Einsum": lambda a, *values: jnp.einsum(a["equation"].decode(), *values),
    "Conv": conv, "ConvTranspose": conv_transpose, "InstanceNormalization": instance_norm, "LayerNormalization": layer_norm,
    "Resize": resize, "Reshape": reshape, "Transpose": lambda a, x: on(x).transpose(x, a.get("perm")), "Concat": concat, "Split": split,
    "Slice": slices, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Expand": lambda a, x, shape: x * np.ones(ints(shape), x.dtype),
    "Gather": lambda a, x, at: on(x, at).take(x, at, a.get("axis", 0)), "Shape": lambda a, x: np.asarray(x.shape, np.int64),
    "Cast": cast, "Constant": constant, "Identity": lambda a, x: x,
    "ReduceMean": reduced(lambda x, axes, keep: x.mean(axes, keepdims=keep)),
    "ReduceSum": reduced(lambda x, axes, keep: x.sum(axes, keepdims=keep)),
    "ReduceL2": reduced(lambda x, axes, keep: jnp.sqrt((x * x).sum(axes, keepdims=keep))),
}


def function(path: Path) -> tuple[Callable, list[str]]:
    """The graph's first output as a function of its inputs, in the order of their names."""
    graph = onnx.load(path).graph
    weights = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
    names = [port.name for port in graph.input if port.name not in weights]
    unknown = {node.op_type for node in graph.node} - OPERATORS.keys()
    if unknown:
        raise NotImplementedError(f"{path}: operators {', '.join(sorted(unknown))}")
    steps = [(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}) for node in graph.node]

    def run(*inputs):
        found: dict = {"": None} | weights | dict(zip(names, inputs, strict=True))
        for node, attributes in steps:
            given = [found[name] for name in node.input]
            made = OPERATORS[node.op_type](attributes, *given)
            found.update(zip(node.output, made if isinstance(made, list) else [made]))
        return found[graph.output[0].name]

    return run, names
