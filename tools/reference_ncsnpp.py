"""NCSN++ of score_sde in plain PyTorch, as a second opinion on full-size networks.

    python tools/reference_ncsnpp.py --model DIR --x x.npy --sigma 3.5 --out y.npy [--tangent v.npy] [--cotangent u.npy]
        [--double] [--time] [--against y.npz --tolerance 1e-4]
    python tools/reference_ncsnpp.py --golden CASE_DIR...

In: `config.json` (key `hyper`) and `model.safetensors` with the names of that code base; x is [C, H, W] or [N, C, H, W].
Out: the score s(x, sigma), with --tangent its derivative along v in OUT with `.jvp.npy` for `.npy` (torch.func.jvp), and with
--cotangent J'u in OUT with `.vjp.npy` (torch.autograd, block by block, so that 256x256 in float64 fits in 12 GiB).
Topology (Song et al., arXiv 2011.13456, appendix H): BigGAN residual blocks with FIR resampling, sums divided by sqrt(2),
a pyramid of the input summed into the way down and a pyramid of outputs collected on the way up. `program` lists the
network's steps once; tensor shapes (for tools/convert.py) and evaluation both read that list.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

FIXED = {"resamp_with_conv": True, "conditional": True, "fir": True, "fir_kernel": [1, 3, 3, 1], "skip_rescale": True,
         "resblock_type": "biggan", "progressive": "output_skip", "progressive_input": "input_skip",
         "progressive_combine": "sum", "attention_type": "ddpm", "conv_size": 3, "embedding_type": "fourier",
         "scale_by_sigma": True, "normalization": "GroupNorm", "nonlinearity": "swish"}


def program(h: dict) -> list[tuple]:
    """Steps (operation, number of its first module, channels in, channels out), in the order of evaluation."""
    for key, value in FIXED.items():
        if h.get(key, value) != value:
            raise ValueError(f"hyper.{key} = {h[key]!r}: only {value!r} is implemented")
    nf, image, blocks = h["nf"], h["num_channels"], h["num_res_blocks"]
    widths = [nf * m for m in h["ch_mult"]]
    attends = [h["image_size"] >> level in h["attn_resolutions"] for level in range(len(widths))]
    steps, count = [], 0

    def add(op, modules, cin=0, cout=0):
        nonlocal count
        steps.append((op, count, cin, cout))
        count += modules

    add("embed", 3, nf)
    add("input", 1, image, nf)
    c, skips = nf, [nf]
    for level, width in enumerate(widths):
        for _ in range(blocks):
            add("res", 1, c, width)
            c = width
            if attends[level]:
                add("attention", 1, c)
            add("push", 0)
            skips.append(c)
        if level + 1 < len(widths):
            add("down", 1, c, c)
            add("combine", 1, image, c)
            add("push", 0)
            skips.append(c)
    add("res", 1, c, c)
    add("attention", 1, c)
    add("res", 1, c, c)
    for level, width in reversed(list(enumerate(widths))):
        for _ in range(blocks + 1):
            add("pop", 0)
            add("res", 1, c + skips.pop(), width)
            c = width
        if attends[level]:
            add("attention", 1, c)
        add("output", 2, c, image)
        if level:
            add("up", 1, c, c)
    return steps


def shapes(h: dict) -> dict[str, tuple]:
    """Every tensor of the state_dict and its shape."""
    out = {"sigmas": (h["num_scales"],)} if "num_scales" in h else {}

    def put(name, *shape):
        out[name] = shape

    for op, i, cin, cout in program(h):
        at = f"all_modules.{i}."
        if op == "embed":
            put(at + "W", cin)
            for j, wide in ((i + 1, 2 * cin), (i + 2, 4 * cin)):
                put(f"all_modules.{j}.weight", 4 * cin, wide), put(f"all_modules.{j}.bias", 4 * cin)
        elif op == "input":
            put(at + "weight", cout, cin, 3, 3), put(at + "bias", cout)
        elif op == "output":
            put(at + "weight", cin), put(at + "bias", cin)
            put(f"all_modules.{i + 1}.weight", cout, cin, 3, 3), put(f"all_modules.{i + 1}.bias", cout)
        elif op == "combine":
            put(at + "Conv_0.weight", cout, cin, 1, 1), put(at + "Conv_0.bias", cout)
        elif op == "attention":
            put(at + "GroupNorm_0.weight", cin), put(at + "GroupNorm_0.bias", cin)
            for j in range(4):
                put(f"{at}NIN_{j}.W", cin, cin), put(f"{at}NIN_{j}.b", cin)
        elif op in ("res", "down", "up"):
            put(at + "GroupNorm_0.weight", cin), put(at + "GroupNorm_0.bias", cin)
            put(at + "Conv_0.weight", cout, cin, 3, 3), put(at + "Conv_0.bias", cout)
            put(at + "Dense_0.weight", cout, 4 * h["nf"]), put(at + "Dense_0.bias", cout)
            put(at + "GroupNorm_1.weight", cout), put(at + "GroupNorm_1.bias", cout)
            put(at + "Conv_1.weight", cout, cout, 3, 3), put(at + "Conv_1.bias", cout)
            if cin != cout or op != "res":
                put(at + "Conv_2.weight", cout, cin, 1, 1), put(at + "Conv_2.bias", cout)
    return out


def fir(x: torch.Tensor, up: bool) -> torch.Tensor:
    """Half or double resolution by the kernel outer([1,3,3,1]) / 64, zero-padded; doubling inserts zeros, gain 4."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype)
    kernel = (torch.outer(taps, taps) / 64)[None, None]
    n, c = x.shape[:2]
    x = x.flatten(0, 1)[:, None]
    x = F.conv_transpose2d(x, 4 * kernel, stride=2, padding=1) if up else F.conv2d(x, kernel, stride=2, padding=1)
    return x.reshape(n, c, *x.shape[-2:])


class Ncsnpp:
    """Weights by name, in one floating-point type, and the network's value."""

    def __init__(self, hyper: dict, weights: dict[str, torch.Tensor], dtype=torch.float32):
        self.hyper, self.steps, self.dtype = hyper, program(hyper), dtype
        want = shapes(hyper)
        for name, shape in want.items():
            if name != "sigmas" and tuple(weights[name].shape) != shape:
                raise ValueError(f"{name} is {tuple(weights[name].shape)}, the hyper-parameters say {shape}")
        extra = sorted(set(weights) - set(want))
        if extra:
            raise ValueError(f"{extra[0]} is not part of this network")
        self.fourier = weights["all_modules.0.W"].double()
        self.weights = {k: v.to(dtype) for k, v in weights.items()}

    def __getitem__(self, name):
        return self.weights["all_modules." + name]

    def norm(self, x, name):
        return F.group_norm(x, min(x.shape[1] // 4, 32), self[name + ".weight"], self[name + ".bias"], 1e-6)

    def conv(self, x, name):
        weight = self[name + ".weight"]
        return F.conv2d(x, weight, self[name + ".bias"], padding=weight.shape[-1] // 2)

    def nin(self, x, name):
        return torch.einsum("nchw,cd->ndhw", x, self[name + ".W"]) + self[name + ".b"][:, None, None]

    def residual(self, x, temb, i, op):
        y = F.silu(self.norm(x, f"{i}.GroupNorm_0"))
        if op != "res":
            x, y = fir(x, op == "up"), fir(y, op == "up")
        y = self.conv(y, f"{i}.Conv_0")
        y = y + F.linear(F.silu(temb), self[f"{i}.Dense_0.weight"], self[f"{i}.Dense_0.bias"])[:, :, None, None]
        y = self.conv(F.silu(self.norm(y, f"{i}.GroupNorm_1")), f"{i}.Conv_1")
        if f"all_modules.{i}.Conv_2.weight" in self.weights:
            x = self.conv(x, f"{i}.Conv_2")
        return (x + y) / math.sqrt(2)

    def attention(self, x, i):
        y = self.norm(x, f"{i}.GroupNorm_0")
        q, k, v = (self.nin(y, f"{i}.NIN_{j}").flatten(2) for j in range(3))
        rows = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(x.shape[1]), -1)
        y = (v @ rows.transpose(1, 2)).reshape(x.shape)
        return (x + self.nin(y, f"{i}.NIN_3")) / math.sqrt(2)

    def embedding(self, sigma):
        """[sin, cos] of 2 pi W ln sigma in float64 (phases reach 1e3), then two dense layers."""
        phase = sigma.double().log()[:, None] * self.fourier * (2 * math.pi)
        temb = torch.cat([phase.sin(), phase.cos()], 1).to(self.dtype)
        temb = F.linear(temb, self["1.weight"], self["1.bias"])
        return F.linear(F.silu(temb), self["2.weight"], self["2.bias"])

    @staticmethod
    def block(of, *given):
        """A block; where its gradient is asked for, it is evaluated again then."""
        return checkpoint(of, *given, use_reentrant=False) if torch.is_grad_enabled() else of(*given)

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Score of x [N, C, H, W] at the noise levels sigma [N]."""
        temb = self.embedding(sigma)
        x = x if self.hyper.get("centered", False) else 2 * x - 1
        pyramid, result, kept = x, None, []
        for op, i, _, _ in self.steps:
            if op == "input":
                x = self.conv(x, str(i))
                kept.append(x)
            elif op in ("res", "down", "up"):
                x = self.block(self.residual, x, temb, i, op)
            elif op == "attention":
                x = self.block(self.attention, x, i)
            elif op == "combine":
                pyramid = fir(pyramid, up=False)
                x = x + self.conv(pyramid, f"{i}.Conv_0")
            elif op == "push":
                kept.append(x)
            elif op == "pop":
                x = torch.cat([x, kept.pop()], 1)
            elif op == "output":
                part = self.conv(F.silu(self.norm(x, str(i))), str(i + 1))
                result = part if result is None else fir(result, up=True) + part
        return result / sigma.to(self.dtype)[:, None, None, None]


def open_model(folder: Path, dtype) -> Ncsnpp:
    config = json.loads((folder / "config.json").read_text())
    if config.get("family") != "ncsnpp":
        raise ValueError(f"{folder}: family {config.get('family')!r}, expected 'ncsnpp'")
    return Ncsnpp(config["hyper"], load_file(folder / "model.safetensors"), dtype)


def jvp(net, x, sigma, v):
    return torch.func.jvp(lambda z: net(z, sigma), (x,), (v,))


def vjp(net, x, sigma, u):
    with torch.enable_grad():
        z = x.clone().requires_grad_()
        y = net(z, sigma)
        return y.detach(), torch.autograd.grad(y, z, u)[0]


def worst(a, b):
    """Largest difference over the largest reference, the worst sample."""
    a, b = a.double().flatten(1), b.double().flatten(1)
    return ((a - b).abs().amax(1) / b.abs().amax(1)).max().item()


def check(folder: Path, tolerance: float) -> bool:
    case = load_file(folder / "case.safetensors")
    x, sigma, v = case["x"], case["sigma"], case["v"]
    double, single = open_model(folder, torch.float64), open_model(folder, torch.float32)
    errors = {"y": worst(double(x.double(), sigma), case["y"])}
    k = len(v)
    along = jvp(double, x[:1].double().repeat(k, 1, 1, 1), sigma[:1].expand(k), v.double())[1]
    errors["jvp"] = worst(along, case["jvp"])
    basis = torch.zeros(len(case["idx"]), x[0].numel(), dtype=torch.float64)
    basis[torch.arange(len(basis)), case["idx"]] = 1
    at = x[:1].double().repeat(len(basis), 1, 1, 1), sigma[:1].expand(len(basis)), basis.view(-1, *x.shape[1:])
    columns, rows = jvp(double, *at)[1], vjp(double, *at)[1]
    errors["subjac"] = worst(columns.flatten(1)[:, case["idx"]].T[None], case["subjac"][None])
    errors["subjac by rows"] = worst(rows.flatten(1)[:, case["idx"]][None], case["subjac"][None])
    passed = all(e <= tolerance for e in errors.values())
    errors["y in float32"] = worst(single(x, sigma), case["y"])
    errors["y of a wrong sigma (must be large)"] = worst(double(x.double(), sigma * 1.01), case["y"])
    print(f"{folder.name}: " + ", ".join(f"{k} {e:.1e}" for k, e in errors.items()) + (" ok" if passed else " FAILED"))
    return passed


def evaluate(args) -> bool:
    """The files of the command line: x, and the tangent if there is one, to the score and its derivative; whether the
    results to compare with are near."""
    dtype = torch.float64 if args.double else torch.float32
    net = open_model(args.model, dtype)
    x = torch.from_numpy(np.load(args.x)).to(dtype)
    single, x = x.ndim == 3, x.reshape(-1, *x.shape[-3:])
    sigma = torch.full((len(x),), args.sigma, dtype=torch.float64)
    start = time.perf_counter()
    if args.tangent:
        v = torch.from_numpy(np.load(args.tangent)).to(dtype).reshape(x.shape)
        y, along = jvp(net, x, sigma, v)
        np.save(args.out.with_suffix(".jvp.npy"), along[0].numpy() if single else along.numpy())
    if args.cotangent:
        u = torch.from_numpy(np.load(args.cotangent)).to(dtype).reshape(x.shape)
        y, back = vjp(net, x, sigma, u)
        np.save(args.out.with_suffix(".vjp.npy"), back[0].numpy() if single else back.numpy())
    if not (args.tangent or args.cotangent):
        y = net(x, sigma)
    if args.time:
        what = "value" + " and tangent" * bool(args.tangent) + " and cotangent" * bool(args.cotangent)
        print(f"{(time.perf_counter() - start) / len(x):.3f} s per {what}, "
              f"{args.threads} threads, {dtype}")
    np.save(args.out, y[0].numpy() if single else y.numpy())
    if not args.against:
        return True
    errors = {}
    with np.load(args.against) as theirs:
        errors["s"] = worst(torch.from_numpy(theirs["s"]), y)
        if args.tangent:
            errors["jvp"] = worst(torch.from_numpy(theirs["jvp"])[:, 0], along)
        if args.cotangent:
            errors["vjp"] = worst(torch.from_numpy(theirs["vjp"])[:, 0], back)
    print(f"{args.against.name}: " + ", ".join(f"{k} {e:.2e}" for k, e in errors.items()) + " of the largest component")
    return all(e <= args.tolerance for e in errors.values())


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--golden", type=Path, nargs="+", metavar="DIR", help="compare with these golden cases")
    p.add_argument("--tolerance", type=float, default=1e-12, help="of --golden and --against, relative, per sample")
    p.add_argument("--model", type=Path, help="model directory or golden folder")
    p.add_argument("--x", type=Path, help="NPY, [C, H, W] or [N, C, H, W]")
    p.add_argument("--sigma", type=float, help="noise level")
    p.add_argument("--out", type=Path, help="NPY of the score")
    p.add_argument("--tangent", type=Path, help="NPY of the shape of x")
    p.add_argument("--cotangent", type=Path, help="NPY of the shape of x")
    p.add_argument("--against", type=Path, help="NPZ of `vorticity evaluate` at the same x and tangent: compare with it")
    p.add_argument("--double", action="store_true", help="float64")
    p.add_argument("--time", action="store_true", help="print seconds per evaluation")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    if not args.golden and not (args.model and args.x and args.sigma and args.out):
        p.error("give --golden, or --model, --x, --sigma and --out")
    try:
        with torch.no_grad():
            passed = all([check(folder, args.tolerance) for folder in args.golden or []])
            if not args.golden:
                passed = evaluate(args)
    except (OSError, KeyError, ValueError) as e:
        print(f"reference_ncsnpp: {f'{e} is missing' if isinstance(e, KeyError) else e}", file=sys.stderr)
        sys.exit(2)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
