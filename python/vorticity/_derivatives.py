"""Derivatives of a user's function by the library that it is written in, for `from_callable(.., jvp=, vjp=)`. In: f(x, k, sigma) on
batches whose samples do not depend on each other. Out: products with its Jacobian, sample by sample, and with its transpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._need import need

# f(x, k, sigma), and its products product(x, v, k, sigma).
Function = Callable[[Any, Any, Any], Any]
Product = Callable[[Any, Any, Any, Any], Any]


def torch_jvp(f: Function) -> Product:
    """`jvp(x, v, k, sigma)`, J v of a function on torch tensors, by forward mode (`torch.func.jvp`).

    x and v are float32 `[N, C, H, W]`, k int64 `[N]`, sigma float32 `[N]`; J v has the shape of x and the unit of f over that of
    x. Each sample's value must depend on that sample alone: no batch norm in training mode.

    >>> field = vt.from_callable(f, arrays="torch", jvp=vt.torch_jvp(f), vjp=vt.torch_vjp(f), ...)  # doctest: +SKIP
    """
    torch = need("torch", "torch_jvp")

    def jvp(x, v, k, sigma):
        return torch.func.jvp(lambda x: f(x, k, sigma), (x,), (v,))[1]

    return jvp


def torch_vjp(f: Function) -> Product:
    """`vjp(x, u, k, sigma)`, J'u of a function on torch tensors, by reverse mode (`torch.func.vjp`). Shapes as `torch_jvp`."""
    torch = need("torch", "torch_vjp")

    def vjp(x, u, k, sigma):
        return torch.func.vjp(lambda x: f(x, k, sigma), x)[1](u)[0]

    return vjp


def jax_jvp(f: Function) -> Product:
    """`jvp(x, v, k, sigma)`, J v of a function on JAX arrays, by forward mode (`jax.jvp`). Shapes as `torch_jvp`."""
    jax = need("jax", "jax_jvp")

    def jvp(x, v, k, sigma):
        return jax.jvp(lambda x: f(x, k, sigma), (x,), (v,))[1]

    return jvp


def jax_vjp(f: Function) -> Product:
    """`vjp(x, u, k, sigma)`, J'u of a function on JAX arrays, by reverse mode (`jax.vjp`). Shapes as `torch_jvp`."""
    jax = need("jax", "jax_vjp")

    def vjp(x, u, k, sigma):
        return jax.vjp(lambda x: f(x, k, sigma), x)[1](u)[0]

    return vjp
