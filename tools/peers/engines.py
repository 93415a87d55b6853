"""Who is compared with: PyTorch as it is and compiled, onnxruntime, JAX. Each makes, of a network, functions of arrays, by the name of
the way in which they do it; what an engine does not have is missing.

    for way, f in engine.forward(network).items(): values = engine.get(f(engine.put(x), engine.put(k)))

x is [N, C, H, W] float32, k whole timesteps [N]; of derivatives N = 1.
"""

import contextlib
import copy
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.func import jvp, vjp, vmap

from networks import Network, ShuffleUNet

Ways = dict[str, Callable]


class Engine:
    """What all have."""

    name: str

    def put(self, array: np.ndarray):
        """An array as the engine has it."""
        return array

    def get(self, value) -> np.ndarray:
        return np.asarray(value)

    def ready(self):
        """The context in which functions run."""
        return contextlib.nullcontext()

    def wait(self) -> None:
        """Until all that was asked of a device is done."""

    def forward(self, network: Network) -> Ways:
        """Values of x and k."""
        return {}

    def columns(self, network: Network) -> Ways:
        """J v of x, k and v [V, C, H, W]: [V, D]."""
        return {}

    def rows(self, network: Network) -> Ways:
        """J'u likewise."""
        return {}

    def products(self, network: Network) -> Ways:
        """J v and J'v of every v: [2, V, D]."""
        return {}

    def call(self, f: Callable, *arrays: np.ndarray) -> np.ndarray:
        with self.ready():
            return self.get(f(*map(self.put, arrays)))

    def seconds(self, f: Callable, arrays: tuple[np.ndarray, ...], repeats: int) -> list[float]:
        """Of each of several runs, after one to warm up."""
        times, given = [], [self.put(array) for array in arrays]
        with self.ready():
            for _ in range(repeats + 1):
                self.wait()
                start = time.perf_counter()
                f(*given)
                self.wait()
                times.append(time.perf_counter() - start)
        return times[1:]


def shuffled(self, x):
    """A unit of the MNIST network with its channel shuffle as it is usually written; the same numbers."""
    a, b = x.chunk(2, 1) if self.split else (x, x)
    y = torch.cat([self.branch1(a), self.branch2(b)], 1)
    n, c, h, w = y.shape
    return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


@dataclass
class Eager(Engine):
    """PyTorch on a device; the MNIST network with either way to write its shuffle."""

    name: str
    device: str = "cpu"
    tf32: bool = False

    def put(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def get(self, value: torch.Tensor) -> np.ndarray:
        return value.detach().cpu().numpy()

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        parts = (torch.backends.cudnn, torch.backends.cuda.matmul)
        before = [part.allow_tf32 for part in parts]
        for part in parts:
            part.allow_tf32 = self.tf32
        try:
            with torch.no_grad():
                yield
        finally:
            for part, value in zip(parts, before):
                part.allow_tf32 = value

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def written(self, network: Network) -> dict[str, torch.nn.Module]:
        """The network in every way to write it."""
        if not network.has_module:
            return {}
        found = {"": network.module(self.device)}
        if isinstance(found[""], ShuffleUNet):
            net = found["shuffle by views"] = copy.deepcopy(found[""])
            for unit in net.modules():
                if hasattr(unit, "branch2"):
                    unit.forward = shuffled.__get__(unit)
        return found

    def forward(self, network: Network) -> Ways:
        ways = dict(self.written(network))
        if self.device == "cpu" and ways and convolves(ways[""]):
            net, last = copy.deepcopy(ways[""]).to(memory_format=torch.channels_last), torch.channels_last
            ways["channels last"] = lambda x, k: net(x.contiguous(memory_format=last), k)
        return ways

    def derivatives(self, network: Network, ways: dict[str, Callable]) -> Ways:
        """Functions of f, x and vectors, for the network written in every way."""
        made = {}
        for written, net in self.written(network).items():
            for way, run in ways.items():
                name = f"{way}, {written}" if written else way
                made[name] = lambda x, k, v, net=net, run=run: run(lambda x: net(x, k), x, v)
        return made

    def columns(self, network: Network) -> Ways:
        return self.derivatives(network, {"authors' way": lambda f, x, v: columns(f, x, v, 16), "forward mode": columns})

    def rows(self, network: Network) -> Ways:
        return self.derivatives(network, {"reverse mode": rows})

    def products(self, network: Network) -> Ways:
        vmapped = lambda f, x, v: torch.stack([columns(f, x, v), rows(f, x, v)])  # noqa: E731
        return self.derivatives(network, {"vmap": vmapped, "batch": batched})


def convolves(net: torch.nn.Module) -> bool:
    """Whether it has convolutions that are more than an embedding of patches."""
    return any(isinstance(m, torch.nn.Conv2d) and m.kernel_size != m.stride for m in net.modules())


def columns(f: Callable, x: torch.Tensor, v: torch.Tensor, chunk: int | None = None) -> torch.Tensor:
    return vmap(lambda v: jvp(f, (x,), (v[None],))[1], chunk_size=chunk)(v).flatten(1)


def rows(f: Callable, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    _, pull = vjp(f, x)
    return vmap(lambda u: pull(u[None])[0])(u).flatten(1)


def batched(f: Callable, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """J v and J'v with the vectors as a batch: samples of a batch do not depend on each other."""
    many = x.expand_as(v).contiguous()
    _, forward = jvp(f, (many,), (v,))
    _, pull = vjp(f, many)
    return torch.stack([forward.flatten(1), pull(v)[0].flatten(1)])


class Compiled(Eager):
    """`torch.compile` on the CPU, in forward evaluations with weights folded in (freezing)."""

    def __init__(self):
        super().__init__("PyTorch compiled")

    def compiled(self, f: Callable, freezing: bool) -> Callable:
        import torch._inductor.config as inductor

        made = torch.compile(f, dynamic=False)

        def run(*given):
            with inductor.patch(freezing=freezing), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return made(*given)

        return run

    def written(self, network: Network) -> dict[str, torch.nn.Module]:
        """In one way: a compiler does not mind."""
        return dict(list(super().written(network).items())[-1:])

    def forward(self, network: Network) -> Ways:
        if not network.has_module:
            return {}
        net = network.module("cpu")
        if not convolves(net):
            return {"": self.compiled(net, freezing=True)}
        run = self.compiled(copy.deepcopy(net).to(memory_format=torch.channels_last), freezing=True)
        return {"": lambda x, k: run(x.contiguous(memory_format=torch.channels_last), k)}

    def derivatives(self, network: Network, ways: dict[str, Callable]) -> Ways:
        made = super().derivatives(network, ways)
        return {name: self.compiled(run, freezing=False) for name, run in made.items()}


class Onnxruntime(Engine):
    """onnxruntime on the CPU, all its optimisations."""

    name = "onnxruntime"

    def forward(self, network: Network) -> Ways:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # else its threads spin while others are timed
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(str(network.onnx()), options, providers=["CPUExecutionProvider"])
        return {"": lambda x, k: session.run(None, network.feeds(session.get_inputs(), x, k))[0]}


class Jax(Engine):
    """JAX on the CPU: the network's ONNX graph as one jitted function (`onnx_jax`)."""

    name = "JAX"

    def put(self, array: np.ndarray):
        import jax

        return jax.device_put(array)

    def jitted(self, f: Callable) -> Callable:
        import jax

        run = jax.jit(f)
        return lambda *given: jax.block_until_ready(run(*given))

    def function(self, network: Network) -> Callable | None:
        from onnx_jax import function

        return function(network.onnx())[0] if network.has_module else None

    def forward(self, network: Network) -> Ways:
        f = self.function(network)
        return {"": self.jitted(f)} if f else {}

    def both(self, network: Network) -> tuple[Callable, Callable] | None:
        """J v and J'u of vectors, to be jitted."""
        import jax

        f = self.function(network)
        if f is None:
            return None

        def columns(x, k, v):
            return jax.vmap(lambda v: jax.jvp(lambda x: f(x, k), (x,), (v[None],))[1])(v).reshape(len(v), -1)

        def rows(x, k, u):
            _, pull = jax.vjp(lambda x: f(x, k), x)
            return jax.vmap(lambda u: pull(u[None])[0])(u).reshape(len(u), -1)

        return columns, rows

    def columns(self, network: Network) -> Ways:
        both = self.both(network)
        return {"forward mode": self.jitted(both[0])} if both else {}

    def rows(self, network: Network) -> Ways:
        both = self.both(network)
        return {"reverse mode": self.jitted(both[1])} if both else {}

    def products(self, network: Network) -> Ways:
        import jax.numpy as jnp

        both = self.both(network)
        return {"vmap": self.jitted(lambda *given: jnp.stack([way(*given) for way in both]))} if both else {}


CPU: dict[str, tuple[str, Callable[[], Engine]]] = {
    "pytorch": ("torch", lambda: Eager("PyTorch CPU")), "compiled": ("torch", Compiled), "onnxruntime": ("onnxruntime", Onnxruntime),
    "jax": ("jax", Jax),
}


def engines(devices: list[str], names: list[str]) -> list[Engine]:
    """Those that were asked for and are there; which are missing is said."""
    found: list[Engine] = []
    for name in names if "cpu" in devices else []:
        module, make = CPU[name]
        try:
            __import__(module)
            found.append(make())
        except ImportError:
            print(f"{name}: not installed here")
    if "cuda" in devices:
        if torch.cuda.is_available():
            found += [Eager("PyTorch CUDA", "cuda"), Eager("PyTorch CUDA, TF32", "cuda", tf32=True)]
        else:
            print("no CUDA here")
    return found
