"""Small folders written by diffusers itself, with reference outputs: cases for the reader of such folders.

    python tools/make_diffusers_case.py --out DIR [--seed 20261122]

Out, under DIR: `ddpm` and `ncsnpp` (UNet2DModel and scheduler by save_pretrained, beside them `case.safetensors`: x, t or
sigma, y in float64, y32, tangents v, jvp, idx, subjac; README.md has their meaning and the errors measured),
`ncsnpp_attention_up` (larger, with attention on the way up as in the published model), `old_names` (`ddpm` with attention
tensors and config keys as in checkpoints of 2022) and `snapshot` (`ddpm` as a pipeline in a Hugging Face cache).
Weights are random, none left at zero or at its norm's default; what is put out is scaled to Jacobian gains of order 1.
Every folder is loaded back by diffusers and must give the same numbers.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import diffusers
import torch
from diffusers import DDPMPipeline, DDPMScheduler, ScoreSdeVeScheduler, UNet2DModel
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

SIZE = 16
DDPM = {"sample_size": SIZE, "in_channels": 3, "out_channels": 3, "center_input_sample": False, "freq_shift": 1,
        "time_embedding_type": "positional", "flip_sin_to_cos": False, "downsample_padding": 0, "act_fn": "silu",
        "mid_block_scale_factor": 1, "attention_head_dim": None, "norm_eps": 1e-6, "norm_num_groups": 4,
        "layers_per_block": 2, "block_out_channels": [8, 16], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
NCSNPP = {**DDPM, "center_input_sample": True, "time_embedding_type": "fourier", "freq_shift": 0, "flip_sin_to_cos": True,
          "downsample_padding": 1, "mid_block_scale_factor": 2 ** 0.5, "norm_num_groups": None, "layers_per_block": 1,
          "block_out_channels": [8, 32], "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
          "up_block_types": ["SkipUpBlock2D", "SkipUpBlock2D"]}  # attention in these blocks wants 32 channels or a multiple
WIDE = {**NCSNPP, "block_out_channels": [32, 32], "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"]}
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # diffusers before 0.12


def randomise(net: UNet2DModel, g: torch.Generator) -> None:
    """Weights of variance 1 / fan-in, random norms and biases; queries and keys larger, so that softmax is not flat."""
    normal = lambda p, std, mean=0.0: p.copy_(mean + std * torch.randn(p.shape, generator=g))  # noqa: E731
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, nn.GroupNorm):
                normal(module.weight, 0.25, 1.0), normal(module.bias, 0.25)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                gain = 1.6 if name.endswith(("to_q", "to_k")) else 1.0
                normal(module.weight, gain / math.sqrt(module.weight[0].numel())), normal(module.bias, 0.2)
            elif name == "time_proj" and hasattr(module, "weight"):
                normal(module.weight, 16.0)
    for name, t in net.state_dict().items():
        assert (t == 0).float().mean() <= 0.01, name
        assert t.numel() == 1 or t.std() > 0, name


def outputs(net):
    """The layers in which the value is linear."""
    return [m for n, m in net.named_modules() if n == "conv_out" or n.endswith("skip_conv") and "up_blocks" in n]


def smooth(n: int, g: torch.Generator) -> torch.Tensor:
    """Images of a few waves each, in [-1, 1]."""
    grid = torch.arange(SIZE) / SIZE * 2 * math.pi
    out = torch.zeros(n, 3, SIZE, SIZE)
    for fy in range(3):
        for fx in range(3):
            phase = torch.rand(n, 3, 1, 1, generator=g) * 2 * math.pi
            out += torch.randn(n, 3, 1, 1, generator=g) * torch.cos(fy * grid[:, None] + fx * grid + phase)
    return out / out.abs().amax((1, 2, 3), keepdim=True)


class ExactEmbedding(nn.Module):
    """diffusers' sinusoidal embedding (freq_shift 1, sine first) in float64; its own is float32 in any case."""

    def __init__(self, width):
        super().__init__()
        self.half = width // 2

    def forward(self, t):
        rates = torch.exp(-math.log(10000) * torch.arange(self.half, dtype=torch.float64) / (self.half - 1))
        phase = t.double()[:, None] * rates
        return torch.cat([phase.sin(), phase.cos()], 1)


def worst(a, b):
    a, b = a.double().flatten(1), b.double().flatten(1)
    return ((a - b).abs().amax(1) / b.abs().amax(1)).max().item()


def call(net, x, level):
    return net(x, level.to(x.dtype) if level.is_floating_point() else level).sample


def entropies(net, x, level) -> tuple:
    """Mean entropy of the attention weights over ln n: smallest and largest of the attention layers."""
    found, attend = [], nn.functional.scaled_dot_product_attention

    def spy(q, k, v, **options):
        rows = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
        found.append(-(rows * rows.log()).sum(-1).mean().item() / math.log(rows.shape[-1]))
        return attend(q, k, v, **options)

    with mock.patch.object(nn.functional, "scaled_dot_product_attention", spy), torch.no_grad():
        call(net, x, level)
    return min(found), max(found)


def make_case(net: UNet2DModel, ve: bool, g: torch.Generator) -> tuple[dict, dict]:
    """Tensors of `case.safetensors`, and errors."""
    x0, noise, dims = smooth(3, g), torch.randn(3, 3, SIZE, SIZE, generator=g), 3 * SIZE * SIZE
    if ve:
        u = torch.tensor([0.44, 0.0, 1.0], dtype=torch.float64)
        level = (0.01 * (348 / 0.01) ** u).float()
        x = (x0 + 1) / 2 + level[:, None, None, None] * noise
    else:
        level = torch.tensor([300, 0, 999])
        abar = DDPMScheduler().alphas_cumprod[level][:, None, None, None]
        x = abar.sqrt() * x0 + (1 - abar).sqrt() * noise
    v = torch.randn(6, 3, SIZE, SIZE, generator=g)
    hot = [0, 2 * SIZE * SIZE + (SIZE + 1) * SIZE // 2, int(torch.randint(1, dims - 1, (1,), generator=g))]
    v[:3] = nn.functional.one_hot(torch.tensor(hot), dims).view(3, 3, SIZE, SIZE).float()
    double = UNet2DModel(**{k: w for k, w in net.config.items() if not k.startswith("_")}).double().eval()

    def refresh():
        double.load_state_dict({k: w.double() for k, w in net.state_dict().items()})

    def along(tangents, at=x[:1]):
        k = len(tangents)
        where = level[:1].expand(k)
        return torch.func.jvp(lambda z: call(double, z, where), (at.double().repeat(k, 1, 1, 1),), (tangents.double(),))[1]

    refresh()
    gains = along(v[3:]).flatten(1).norm(dim=1) / v[3:].flatten(1).norm(dim=1)
    with torch.no_grad():
        for layer in outputs(net):
            for p in layer.parameters():
                p.mul_(0.6 / gains.mean())
    refresh()
    picks = torch.randperm(dims, generator=g)
    near = [0, dims - 1, hot[1], hot[1] + 1, hot[1] + SIZE, hot[1] - SIZE * SIZE]
    idx = torch.tensor(near + [int(i) for i in picks if int(i) not in near][:10])
    idx = idx[torch.randperm(16, generator=g)]
    basis = nn.functional.one_hot(idx, dims).view(16, 3, SIZE, SIZE).double()
    with torch.no_grad():
        y, y32 = call(double, x.double(), level), call(net, x, level)
        subjac = along(basis).flatten(1)[:, idx].T.contiguous()
        jvp = along(v)
        h = 1e-4
        at = lambda s: call(double, x[:1].double() + s * v[3:].double(), level[:1].expand(3))  # noqa: E731
        differences = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    _, back = torch.func.vjp(lambda z: call(double, z, level[:1]), x[:1].double())
    rows = torch.stack([back(e[None])[0].flatten()[idx] for e in basis])
    case = {"x": x, "sigma" if ve else "t": level, "y": y, "y32": y32, "v": v, "jvp": jvp, "idx": idx, "subjac": subjac}
    if not ve:
        double.time_proj = ExactEmbedding(net.config.block_out_channels[0])
        with torch.no_grad():
            case["y_exact_emb"] = call(double, x.double(), level)
    errors = {"y32 against y": worst(y32, y), "jvp against differences of 4th order": worst(jvp[3:], differences),
              "subjac forward against reverse": worst(subjac[None], rows[None]),
              "subjac against its transpose (must be large)": worst(subjac.T[None], subjac[None])}
    if not ve:
        errors["y against y_exact_emb"] = worst(y, case["y_exact_emb"])
    errors["entropy of softmax, smallest and largest"] = entropies(net, x, level)
    errors["gain of v, smallest and largest"] = tuple(
        f(jvp.flatten(1).norm(dim=1) / v.flatten(1).norm(dim=1)).item() for f in (torch.min, torch.max))
    return {k: t.detach().contiguous() for k, t in case.items()}, errors


def loads_back(folder: Path, case: dict) -> None:
    net = UNet2DModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False).double().eval()
    with torch.no_grad():
        y = call(net, case["x"].double(), case["sigma"] if "sigma" in case else case["t"])
    assert torch.equal(y, case["y"]), f"{folder}: other numbers after loading"


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write(folder: Path, config: dict, scheduler, ve: bool, seed: int, number: int) -> dict:
    g = torch.Generator().manual_seed(seed + number)
    net = UNet2DModel(**config).eval()
    randomise(net, g)
    case, errors = make_case(net, ve, g)
    fresh(folder)
    net.save_pretrained(folder)
    scheduler.save_pretrained(folder)
    save_file(case, folder / "case.safetensors")
    loads_back(folder, case)
    level = "`sigma` (3,) f32: given to the network as it is" if ve else "`t` (3,) i64, 0-based"
    lines = [f"# A folder of diffusers {diffusers.__version__} with random weights, and its outputs", "",
             f"Written by `tools/make_diffusers_case.py --seed {seed}`: `config.json`, `diffusion_pytorch_model.safetensors`",
             "and `scheduler_config.json` by save_pretrained, `case.safetensors` from the same class in PyTorch on a CPU.", "",
             f"`x` (3,C,H,W) f32; {level}; `y` f64: raw output{', the score (divided by sigma inside)' if ve else ', the noise'};",
             "`y32` the same in plain float32; `v` (6,C,H,W) f32: tangents, 0..2 one-hot, 3..5 Gaussian; `jvp` f64 at sample 0;",
             "`idx` (16,) i64: flat indices in C order; `subjac` (16,16) f64: d y[idx_i] / d x[idx_j] at sample 0."]
    if not ve:
        lines += ["diffusers computes the sinusoidal embedding in float32 always, and `y` carries it; `y_exact_emb` has it in f64."]
    lines += ["", "| check, largest difference over largest reference | |", "|---|---|"]
    lines += [f"| {k} | {', '.join(f'{e:.1e}' for e in (v if isinstance(v, tuple) else (v,)))} |" for k, v in errors.items()]
    (folder / "README.md").write_text("\n".join(lines) + "\n")
    size = (folder / "diffusion_pytorch_model.safetensors").stat().st_size
    print(f"{folder.name}: {sum(p.numel() for p in net.parameters())} parameters, weights {size} bytes, folder "
          f"{sum(f.stat().st_size for f in folder.iterdir())} bytes; " +
          "; ".join(f"{k} {', '.join(f'{e:.1e}' for e in (v if isinstance(v, tuple) else (v,)))}" for k, v in errors.items()))
    return case


def write_old(source: Path, folder: Path, case: dict) -> None:
    """The names and the fewer keys of the first published checkpoints."""
    fresh(folder)
    renamed = {}
    for name, t in load_file(source / "diffusion_pytorch_model.safetensors").items():
        for new, old in OLD.items():
            name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = t
    save_file(renamed, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    config = {"_class_name": "UNet2DModel", "_diffusers_version": "0.1.2", **DDPM}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    schedule = {"_class_name": "DDPMScheduler", "_diffusers_version": "0.1.1", "beta_end": 0.02, "beta_schedule": "linear",
                "beta_start": 0.0001, "clip_sample": True, "num_train_timesteps": 1000, "trained_betas": None,
                "variance_type": "fixed_small"}
    (folder / "scheduler_config.json").write_text(json.dumps(schedule, indent=2) + "\n")
    shutil.copy(source / "case.safetensors", folder)
    loads_back(folder, case)
    changed = sum(k not in load_file(source / "diffusion_pytorch_model.safetensors") for k in renamed)
    print(f"{folder.name}: {changed} tensors renamed; loads back")


def write_snapshot(source: Path, folder: Path, case: dict) -> None:
    """models--x--y/snapshots/COMMIT/, every file a link to blobs/ under its hash, as huggingface_hub stores it."""
    fresh(folder)
    repository = folder / "models--example--ddpm-16"
    commit = hashlib.sha1(b"a commit").hexdigest()
    snapshot = repository / "snapshots" / commit
    for part in (repository / "blobs", repository / "refs", snapshot):
        part.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    with tempfile.TemporaryDirectory() as work:
        net = UNet2DModel(**DDPM)
        net.load_state_dict(load_file(source / "diffusion_pytorch_model.safetensors"))
        DDPMPipeline(net, DDPMScheduler()).save_pretrained(work)
        for file in sorted(p for p in Path(work).rglob("*") if p.is_file()):
            data = file.read_bytes()
            large = file.suffix == ".safetensors"
            name = (hashlib.sha256(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data)).hexdigest()
            (repository / "blobs" / name).write_bytes(data)
            link = snapshot / file.relative_to(work)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(repository / "blobs" / name, link.parent))
    shutil.copy(source / "case.safetensors", folder)
    loads_back(snapshot / "unet", case)
    links = sorted(str(p.relative_to(folder)) for p in snapshot.rglob("*") if p.is_symlink())
    print(f"{folder.name}: " + ", ".join(links))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, help="folder that takes the cases")
    p.add_argument("--seed", type=int, default=20261122)
    args = p.parse_args()
    torch.set_num_threads(1)
    ve = ScoreSdeVeScheduler(num_train_timesteps=2000, sigma_min=0.01, sigma_max=348.0)
    with sdpa_kernel(SDPBackend.MATH):  # the others have no forward mode
        case = write(args.out / "ddpm", DDPM, DDPMScheduler(), False, args.seed, 0)
        write(args.out / "ncsnpp", NCSNPP, ve, True, args.seed, 1)
        write(args.out / "ncsnpp_attention_up", WIDE, ve, True, args.seed, 2)
        write_old(args.out / "ddpm", args.out / "old_names", case)
        write_snapshot(args.out / "ddpm", args.out / "snapshot", case)


if __name__ == "__main__":
    main()
