"""Small folders of `AutoencoderKL` and `VQModel` written by diffusers itself, with reference outputs.

    python tools/make_autoencoder_case.py --out DIR [--seed 20261125] [--random N]

Out, under DIR: `diffusers_kl` and `diffusers_vq` (config.json and weights by save_pretrained, the second with the attention
names of 2022; beside them `case.safetensors`, whose tensors README.md explains), or N random configurations `random_000`..
Check them with `vorticity verify DIR/*`. Weights are random, none at its default; references are of float64 on a CPU.
"""

import argparse
import math
import random
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, VQModel
from make_diffusers_case import OLD, fresh, randomise, worst
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

WEIGHTS = "diffusion_pytorch_model.safetensors"
DOWN, UP = "DownEncoderBlock2D", "UpDecoderBlock2D"
# Widths that are no multiples of four, an image that is not square.
KL = {"sample_size": [16, 12], "in_channels": 3, "out_channels": 3, "latent_channels": 3, "block_out_channels": [6, 10],
      "down_block_types": [DOWN, "Attn" + DOWN], "up_block_types": ["Attn" + UP, UP], "layers_per_block": 1,
      "norm_num_groups": 2, "scaling_factor": 0.7, "shift_factor": 0.1}
VQ = {"sample_size": 16, "in_channels": 1, "out_channels": 1, "latent_channels": 4, "vq_embed_dim": 3,
      "num_vq_embeddings": 24, "block_out_channels": [8, 12], "down_block_types": [DOWN, DOWN], "up_block_types": [UP, UP],
      "layers_per_block": 1, "norm_num_groups": 4, "scaling_factor": 0.8}
TANGENTS, SAMPLES, PICKS = 6, 3, 16


def encode(net, x):
    return net._encode(x) if isinstance(net, AutoencoderKL) else net.encode(x).latents


def decode(net, z):
    return net.decode(z, **({} if isinstance(net, AutoencoderKL) else {"force_not_quantize": True})).sample


def prepare(net, g) -> None:
    """Random weights; the halves end with numbers of order 1."""
    randomise(net, g)
    size = net.config.sample_size
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    with torch.no_grad():
        x = torch.rand(4, net.config.in_channels, height, width, generator=g) * 2 - 1
        last = getattr(net, "quant_conv", None) or net.encoder.conv_out
        scale = 1 / encode(net, x).std()
        last.weight.mul_(scale), last.bias.mul_(scale)
        z = encode(net, x)
        if isinstance(net, AutoencoderKL):
            z = z.chunk(2, 1)[0]
        else:
            vectors = net.quantize.embedding.weight
            vectors.copy_(torch.randn(vectors.shape, generator=g))
        scale = 0.6 / decode(net, z).std()
        net.decoder.conv_out.weight.mul_(scale), net.decoder.conv_out.bias.mul_(scale)


def mapped(prefix, single, double, x, g) -> tuple[dict, dict]:
    """Values, tangents and a piece of the Jacobian of one map, by name, and errors."""
    v = torch.randn(TANGENTS, *x.shape[1:], generator=g)
    d = x[0].numel()
    hot = [0, d - 1, d // 2]
    v[:3] = nn.functional.one_hot(torch.tensor(hot), d).view(3, *x.shape[1:]).float()

    def along(tangents):
        at = x[:1].double().expand(len(tangents), *x.shape[1:]).contiguous()
        return torch.func.jvp(double, (at,), (tangents.double(),))[1]

    with torch.no_grad():
        y, y32, jvp = double(x.double()), single(x), along(v)
        h = 1e-4
        at = lambda s: double(x[:1].double() + s * v[3:].double())  # noqa: E731
        differences = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        from_ = torch.randperm(d, generator=g)[:PICKS]
        to = torch.randperm(y[0].numel(), generator=g)[:PICKS]
        basis = nn.functional.one_hot(from_, d).view(len(from_), *x.shape[1:]).float()
        subjac = along(basis).flatten(1)[:, to].T
    names = ["idx", "idx"] if x.shape == y.shape else ["idx_in", "idx_out"]
    if x.shape == y.shape:
        to = from_
        subjac = along(basis).flatten(1)[:, to].T
    tensors = {"x": x, "y": y, "y32": y32, "v": v, "jvp": jvp, names[0]: from_, names[1]: to, "subjac": subjac}
    errors = {"y32": worst(y32, y), "jvp against differences": worst(jvp[3:], differences)}
    return {f"{prefix}.{k}": t for k, t in tensors.items()}, {f"{prefix} {k}": e for k, e in errors.items()}


def quantised(net, z):
    """The nearest vectors, without what diffusers' z + (q - z) rounds away; and how sure they are."""
    found = net.quantize(z)[2][2]
    distances = torch.cdist(z.permute(0, 2, 3, 1).reshape(-1, z.shape[1]), net.quantize.embedding.weight.to(z.dtype))
    two = distances.topk(2, largest=False).values
    assert torch.equal(distances.argmin(1), found)
    vectors = net.quantize.embedding.weight.to(z.dtype)[found]
    return vectors.view(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2).contiguous(), (two[:, 1] - two[:, 0]).min().item()


def make_case(net, g) -> tuple[dict, dict]:
    kl = isinstance(net, AutoencoderKL)
    double = type(net)(**{k: w for k, w in net.config.items() if not k.startswith("_")}).double().eval()
    double.load_state_dict({k: w.double() for k, w in net.state_dict().items()})
    size = net.config.sample_size
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    for _ in range(100):
        x = torch.rand(SAMPLES, net.config.in_channels, height, width, generator=g) * 2 - 1
        if kl:
            break
        with torch.no_grad():
            z = encode(double, x.double())
            vectors, margin = quantised(double, z)
        if margin > 3e-4:  # far above what float32 does to a latent
            break
    else:
        raise SystemExit("no images whose latents are surely nearest to one vector")
    both = lambda f: ((lambda t: f(net, t)), (lambda t: f(double, t)))  # noqa: E731
    tensors, errors = mapped("enc", *both(encode), x, g)
    if kl:
        with torch.no_grad():
            moments = double.encode(x.double()).latent_dist
            tensors |= {"mean": moments.mean, "logvar": moments.logvar}
            z = torch.cat([moments.mean[:1], moments.sample(g)[1:]]).float()
        part, found = mapped("dec", *both(decode), z, g)
        whole = lambda n, t: decode(n, encode(n, t).chunk(2, 1)[0])  # noqa: E731
        last, more = mapped("rec", *both(whole), x, g)
        with torch.no_grad():
            assert torch.equal(last["rec.y"], double(x.double()).sample)
    else:
        tensors |= {"quant.x": z.float(), "quant.y": vectors.float()}
        part, found = mapped("dec", *both(decode), vectors.float(), g)
        with torch.no_grad():
            y = double.decode(z).sample
        last, more = {"rec.x": x, "rec.y": y}, {"margin of the nearest vector": margin}
        assert worst(y, part["dec.y"]) < 1e-12
    return {k: t.detach().clone().contiguous() for k, t in (tensors | part | last).items()}, errors | found | more


def write(folder: Path, kind, config: dict, seed: int, old: bool) -> None:
    g = torch.Generator().manual_seed(seed)
    net = kind(**config).eval()
    prepare(net, g)
    case, errors = make_case(net, g)
    fresh(folder)
    net.save_pretrained(folder)
    if old:
        tensors = load_file(folder / WEIGHTS)
        for new, name in OLD.items():
            tensors = {k.replace(f".{new}.", f".{name}."): t for k, t in tensors.items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    save_file(case, folder / "case.safetensors")
    back = kind.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False).double().eval()
    with torch.no_grad():
        assert torch.equal(encode(back, case["enc.x"].double()), case["enc.y"]), f"{folder}: other numbers after loading"
    lines = [f"# An autoencoder of diffusers {diffusers.__version__} with random weights, and its outputs", "",
             f"Written by `tools/make_autoencoder_case.py`, seed {seed}: `config.json` and `{WEIGHTS}`",
             "by save_pretrained, `case.safetensors` from the same class in PyTorch on a CPU. `enc`: image to what the encoder",
             "(with quant_conv) puts out; `dec`: latent to image; `rec`: image to image. Of each: `x` f32, `y` f64, `y32` the same",
             "in float32, `v` f32 tangents (0..2 one-hot), `jvp` f64 at sample 0, `subjac` f64 d y[idx_out] / d x[idx_in] there.",
             "`mean`, `logvar` (f64): of the distribution; `quant`: latents `x` and their nearest codebook vectors `y`.", "",
             "| check, largest difference over largest reference | |", "|---|---|"]
    lines += [f"| {k} | {e:.1e} |" for k, e in errors.items()]
    (folder / "README.md").write_text("\n".join(lines) + "\n")
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{folder.name}: {sum(p.numel() for p in net.parameters())} parameters, folder {size} bytes; " +
          ", ".join(f"{k} {e:.1e}" for k, e in errors.items()))


def draw(pick: random.Random) -> tuple:
    """A class and a configuration of any form that the class has."""
    levels = pick.choice([1, 1, 2, 2, 2, 3])
    groups = pick.choice([1, 2, 3, 4, 5])
    step = 2 ** (levels - 1)
    # An odd side loses a pixel where it is halved.
    sides = [step * pick.randint(math.ceil(3 / step), max(16 // step, 3)) + (pick.random() < 0.2) for _ in range(2)]
    kinds = lambda name: [pick.choice(["", "Attn"]) + name for _ in range(levels)]  # noqa: E731
    channels = pick.choice([1, 2, 3])
    config = {"sample_size": sides if pick.random() < 0.7 else sides[0], "in_channels": channels, "out_channels": channels,
              "latent_channels": pick.choice([1, 2, 3, 4, 5]), "down_block_types": kinds(DOWN), "up_block_types": kinds(UP),
              "block_out_channels": [groups * pick.randint(2, 5) for _ in range(levels)], "norm_num_groups": groups,
              "layers_per_block": pick.choice([1, 1, 2]), "act_fn": pick.choice(["silu", "silu", "swish", "relu", "gelu", "mish"]),
              "mid_block_add_attention": pick.random() < 0.7}
    if pick.random() < 0.6:
        return AutoencoderKL, config | {"use_quant_conv": pick.random() < 0.6, "use_post_quant_conv": pick.random() < 0.6}
    # One pixel cannot tell few vectors of one number apart.
    return VQModel, config | {"num_vq_embeddings": pick.choice([3, 8, 17]), "vq_embed_dim": pick.choice([None, 2, 3, 5])}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, help="folder that takes the cases")
    p.add_argument("--seed", type=int, default=20261125)
    p.add_argument("--random", type=int, default=0, metavar="N", help="N random configurations instead")
    args = p.parse_args()
    torch.set_num_threads(1)
    with sdpa_kernel(SDPBackend.MATH):  # the others have no forward mode
        if args.random:
            for i in range(args.random):
                pick = random.Random(args.seed + i)
                kind, config = draw(pick)
                write(args.out / f"random_{i:03}", kind, config, args.seed + i, pick.random() < 0.3)
        else:
            write(args.out / "diffusers_kl", AutoencoderKL, KL, args.seed, False)
            write(args.out / "diffusers_vq", VQModel, VQ, args.seed + 1, True)


if __name__ == "__main__":
    main()
