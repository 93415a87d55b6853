"""Small `UNet2DModel`s over all options of the class, written by diffusers, with its answers in float64; and random mixes.

    python tools/make_diffusers_matrix.py write --out kernels-tests/unet2d [--only NAME ..]
    python tools/make_diffusers_matrix.py random --binary target/release/vorticity [--count 60] [--seed 1]

`write` makes a folder per case: config.json, diffusion_pytorch_model.safetensors (f16 or f32) and scheduler_config.json by
save_pretrained, and case.safetensors: `x` (2,C,H,W) f32; `t` i64 or `sigma` f32 (2,); `y` f64, the raw output with the
sinusoidal embedding in f64; `y_f32_embedding`, the same with diffusers' own, which is float32 in any case; `v` (2,C,H,W) f32 and
`jvp` f64, derivatives of y at sample 0; `class_labels` (2,) i64 or (2,E) f32 of networks that take them. Weights are random, none at zero or at its norm's default.
`random` draws options, sound and unsound, asks diffusers and the program (`evaluate`) and compares: values, tangents, and
whether both refuse. An error may be 2e-5, or thrice that of diffusers in float32 where a norm of few numbers cancels nearly
all of a tangent. It prints every disagreement, the worst errors, and exits with 1 if there was a disagreement.
"""

import argparse
import contextlib
import json
import logging
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import diffusers
import numpy as np
import torch
from diffusers import DDPMScheduler, ScoreSdeVeScheduler, UNet2DModel
from safetensors.torch import save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

DOWN, UP = "DownBlock2D", "UpBlock2D"
BASE = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [2, 4], "layers_per_block": 1,
        "down_block_types": [DOWN, "Attn" + DOWN], "up_block_types": ["Attn" + UP, UP], "norm_num_groups": 2,
        "attention_head_dim": 2, "time_embedding_dim": 8}
RESNET = {"down_block_types": ["ResnetDownsampleBlock2D", DOWN], "up_block_types": [UP, "ResnetUpsampleBlock2D"]}
ATTENTION = {"down_block_types": ["Attn" + DOWN] * 2, "up_block_types": ["Attn" + UP] * 2}
COLOUR = {"in_channels": 3, "out_channels": 3}
PYRAMID = {**COLOUR, "down_block_types": ["Skip" + DOWN] * 2, "up_block_types": ["Skip" + UP] * 2, "norm_num_groups": None,
           "block_out_channels": [4, 8]}
K = {"block_out_channels": [32, 32], "norm_num_groups": 4, "time_embedding_dim": 32, "mid_block_type": None}
VE = {"time_embedding_type": "fourier"}

# What each case has of its own.
CASES = {
    "positional": {},
    "embedding_shifted_sine_first": {"freq_shift": 1, "flip_sin_to_cos": False, "block_out_channels": [4, 4]},
    "embedding_odd_width": {"block_out_channels": [3, 6], "norm_num_groups": 3, "attention_head_dim": None, "freq_shift": -0.5},
    "embedding_default_dim": {"time_embedding_dim": None},
    "learned": {"time_embedding_type": "learned", "num_train_timesteps": 1000},
    "fourier": {**VE},
    "fourier_centered": {**VE, "center_input_sample": True},
    "scale_shift": {"resnet_time_scale_shift": "scale_shift"},
    "scale_shift_attention_norm": {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4,
                                   "block_out_channels": [4, 8]},
    "scale_shift_mish": {"resnet_time_scale_shift": "scale_shift", "act_fn": "mish", **RESNET},
    "attention_norm": {"attn_norm_num_groups": 1},
    "resnet_blocks": RESNET,
    "resnet_sampling": {"downsample_type": "resnet", "upsample_type": "resnet", **ATTENTION},
    "resnet_sampling_ignored": {"downsample_type": "resnet", "upsample_type": "resnet", "down_block_types": [DOWN] * 2,
                                "up_block_types": [UP] * 2},
    "sampling_null": {"downsample_type": None, "upsample_type": None, **ATTENTION},
    "padding_0": {"downsample_padding": 0},
    "no_mid": {"mid_block_type": None},
    "no_mid_attention": {"add_attention": False},
    "mid_scaled": {"mid_block_scale_factor": 2.5},
    "mish": {"act_fn": "Mish"},
    "gelu": {"act_fn": "gelu"},
    "relu": {"act_fn": "relu"},
    "swish": {"act_fn": "swish", "dropout": 0.3},
    "centered": {"center_input_sample": True},
    "heads_null": {"attention_head_dim": None, **ATTENTION},
    "heads_of_1": {"attention_head_dim": 1},
    "heads_of_3": {"attention_head_dim": 3},
    "heads_of_4": {"attention_head_dim": 4, "block_out_channels": [4, 4]},
    "heads_of_5": {"attention_head_dim": 5, **ATTENTION, "block_out_channels": [6, 8]},
    "wide_sample": {"sample_size": [4, 10]},
    "tall_sample": {"sample_size": [12, 2], "downsample_padding": 0},
    "one_level_odd": {"sample_size": [5, 7], "block_out_channels": [6], "down_block_types": ["Attn" + DOWN],
                      "up_block_types": ["Attn" + UP]},
    "three_levels": {"sample_size": 4, "block_out_channels": [2, 4, 2], "down_block_types": [DOWN, "UNetResAttn" + DOWN, DOWN],
                     "up_block_types": [UP, "Attn" + UP, "UNetRes" + UP]},
    "no_layers": {"layers_per_block": 0, "block_out_channels": [2, 2]},
    "two_layers": {"layers_per_block": 2, "norm_eps": 0.01},
    "eps_0": {"norm_eps": 0},
    "skip_blocks": {**PYRAMID, **VE, "mid_block_scale_factor": math.sqrt(2)},
    "skip_blocks_positional": {**PYRAMID, "resnet_time_scale_shift": "scale_shift", "act_fn": "gelu"},
    "skip_attention": {**PYRAMID, "block_out_channels": [32, 32], "down_block_types": ["AttnSkip" + DOWN, "Skip" + DOWN],
                       "layers_per_block": 0, "up_block_types": ["AttnSkip" + UP, "Skip" + UP], "attention_head_dim": 8, "mid_block_type": None},
    "skip_last": {"block_out_channels": [4, 8], "down_block_types": [DOWN, "Skip" + DOWN], "up_block_types": [UP, "Skip" + UP]},
    "skip_one_pixel": {**COLOUR, "block_out_channels": [4, 8], "sample_size": 2, "up_block_types": ["Skip" + UP, UP]},
    "k_blocks": {**K, "down_block_types": ["K" + DOWN] * 2, "up_block_types": ["K" + UP] * 2, "act_fn": "gelu"},
    "k_attention": {**K, "down_block_types": ["KCrossAttn" + DOWN] * 2, "up_block_types": ["KCrossAttn" + UP, "K" + UP],
                    "attention_head_dim": 16},
    "class_table": {"num_class_embeds": 5},
    "class_number": {"class_embed_type": "timestep", "resnet_time_scale_shift": "scale_shift"},
    "class_given": {"class_embed_type": "identity", "act_fn": "mish"},
}
SINGLE = {"positional", "heads_of_3", "wide_sample"}  # stored as f32; the rest as f16


def exact_embedding(timesteps, embedding_dim, flip_sin_to_cos=False, downscale_freq_shift=1.0, scale=1.0, max_period=10000):
    """diffusers' get_timestep_embedding in float64."""
    half = embedding_dim // 2
    rates = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float64) / (half - downscale_freq_shift))
    phase = scale * timesteps[:, None].double() * rates[None]
    parts = [phase.cos(), phase.sin()] if flip_sin_to_cos else [phase.sin(), phase.cos()]
    return nn.functional.pad(torch.cat(parts, -1), (0, embedding_dim % 2))


def exactly():
    return mock.patch("diffusers.models.embeddings.get_timestep_embedding", exact_embedding)


def widened():
    """diffusers' own embedding, made float64 where the class forgets to: of a class."""
    own = diffusers.models.embeddings.get_timestep_embedding
    return mock.patch("diffusers.models.embeddings.get_timestep_embedding", lambda *a, **k: own(*a, **k).double())


def randomise(net, g, half):
    """Weights of variance 1 / fan-in, random norms and biases; queries and keys larger, so that softmax is not flat."""
    normal = lambda p, std, mean=0.0: p.copy_(mean + std * torch.randn(p.shape, generator=g))  # noqa: E731
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
                normal(module.weight, 0.25, 1.0), normal(module.bias, 0.25)
            elif isinstance(module, (nn.Conv2d, nn.Linear)):
                gain = 1.6 if name.endswith(("to_q", "to_k")) else 1.0
                normal(module.weight, gain / math.sqrt(max(1, module.weight[0].numel())))
                if module.bias is not None:
                    normal(module.bias, 0.2)
            elif name == "class_embedding" and hasattr(module, "weight"):
                normal(module.weight, 1.0)
            elif name == "time_proj" and hasattr(module, "weight"):
                normal(module.weight, 1.0 if isinstance(module, nn.Embedding) else 16.0)
        if half:
            for p in net.parameters():
                p.copy_(p.half().float())


def made(config, seed, half):
    """The network in float32 and float64, and a generator."""
    g = torch.Generator().manual_seed(seed)
    net = UNet2DModel(**config).eval()
    randomise(net, g, half)
    double = UNet2DModel(**config).double().eval()
    double.load_state_dict({k: w.double() for k, w in net.state_dict().items()})
    return net, double, g


def sides(config):
    size = config.get("sample_size")
    return (size, size) if isinstance(size, int) else tuple(size)


def call(net, x, level, labels=None):
    double = lambda t: t.double() if t is not None and t.is_floating_point() else t  # noqa: E731
    return net(x, double(level), class_labels=double(labels)).sample


def classes(config, g):
    """Labels of two samples, or none."""
    if config.get("class_embed_type") == "identity":
        return torch.randn((2, config["time_embedding_dim"]), generator=g)
    if config.get("class_embed_type") == "timestep":
        return torch.tensor([3, 700])
    return torch.tensor([3, 1]) if config.get("num_class_embeds") else None


def answers(double, config, g, points=2):
    """Tensors of a case."""
    shape = (points, config["in_channels"], *sides(config))
    ve = config.get("time_embedding_type") == "fourier"
    level = torch.tensor([7.3, 0.02][:points]) if ve else torch.tensor([300, 991][:points])
    x = torch.randn(shape, generator=g) * (level[:, None, None, None] if ve else 1)
    v = torch.randn((2, *shape[1:]), generator=g)
    # PyTorch refuses norms of one number a group unless there are two samples or more.
    two = lambda t: t.repeat(3 - points, *[1] * (t.ndim - 1))  # noqa: E731
    labels = classes(config, g)
    with widened() if labels is not None else contextlib.nullcontext(), torch.no_grad():
        plain = call(double, two(x).double(), two(level), labels)[:points]
    with exactly(), torch.no_grad():
        y = call(double, two(x).double(), two(level), labels)[:points]
        first = None if labels is None else labels[[0, 0]]
        at = (x[:1].double().repeat(2, 1, 1, 1),)
        jvp = torch.func.jvp(lambda z: call(double, z, level[:1].expand(2), first), at, (v.double(),))[1]
    own = {} if labels is None else {"class_labels": labels}
    case = {**own, "x": x, "sigma" if ve else "t": level, "y": y, "y_f32_embedding": plain, "v": v, "jvp": jvp}
    return {k: t.detach().contiguous() for k, t in case.items()}


def scheduler(config):
    ve = config.get("time_embedding_type") == "fourier"
    return ScoreSdeVeScheduler(num_train_timesteps=2000, sigma_min=0.01, sigma_max=348.0) if ve else DDPMScheduler()


def write(out, only):
    total = 0
    for number, (name, own) in enumerate(CASES.items()):
        if only and name not in only:
            continue
        config, half = {**BASE, **own}, name not in SINGLE
        net, double, g = made(config, 20261125 + number, half)
        case = answers(double, config, g)
        assert all(t.isfinite().all() for t in case.values()), name
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (net.half() if half else net).save_pretrained(folder)
        scheduler(config).save_pretrained(folder)
        save_file(case, folder / "case.safetensors")
        back = UNet2DModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False).double().eval()
        with widened() if "class_labels" in case else contextlib.nullcontext(), torch.no_grad():
            level = case.get("sigma", case.get("t"))
            assert torch.equal(call(back, case["x"].double(), level, case.get("class_labels")), case["y_f32_embedding"]), f"{name}: does not load back"
        size = sum(f.stat().st_size for f in folder.iterdir())
        total += size
        print(f"{name}: {sum(p.numel() for p in net.parameters())} parameters, {size} bytes")
    print(f"{total} bytes, diffusers {diffusers.__version__}")


def drawn(r):
    """Options at random: mostly sound ones, with a few that the class refuses or cannot run."""
    pick = r.choice
    levels = pick([1, 2, 2, 2, 3])
    style = pick(["plain"] * 6 + ["skip"] * 2 + ["k"] * 2 + ["any"])
    kinds = {"plain": ["", "Attn", "Resnet"], "skip": ["Skip", "Skip", "AttnSkip"], "k": ["K", "K", "KCrossAttn"]}
    kinds["any"] = sum(kinds.values(), []) + ["AttnDownEncoder", "CrossAttn", "UNetResAttn", "Nonsense"]
    widths = [pick({"plain": [4, 6, 8, 12], "skip": [8, 32], "k": [32, 64], "any": [32]}[style]) for _ in range(levels)]
    if style == "k" and r.random() < 0.7:
        widths = [widths[0]] * levels

    def named(kind, way):
        if kind == "Resnet":
            return f"Resnet{way}sampleBlock2D"
        return f"{kind.replace('DownEncoder', 'DownEncoder' if way == 'Down' else 'UpDecoder')}{'' if 'coder' in kind else way}Block2D"

    down = [pick(kinds[style]) for _ in range(levels)]
    up = [pick(kinds[style]) for _ in range(levels)] if r.random() < 0.6 else list(reversed(down))
    c = pick([1, 3]) if style in ("plain", "k") else 3
    power = 2 ** (levels - 1)
    side = lambda: power * pick([1, 2, 3, 4]) if r.random() < 0.85 else pick([1, 3, 5, 7])  # noqa: E731
    h, w = side(), side()
    config = {
        "sample_size": h if h == w or r.random() < 0.5 else [h, w], "in_channels": c, "out_channels": c,
        "block_out_channels": widths, "down_block_types": [named(k, "Down") for k in down],
        "up_block_types": [named(k, "Up") for k in up], "layers_per_block": pick([0, 1, 1, 1, 2]),
        "norm_num_groups": pick([1, 2, 2, 4, None] if style != "skip" else [None, 2, 4]),
    }
    options = {
        "center_input_sample": [True, False], "time_embedding_type": ["positional", "positional", "learned", "fourier", "foo"],
        "time_embedding_dim": [None, 0, 6, 32, widths[-1]], "freq_shift": [0, 1, 2, -1, 0.5], "flip_sin_to_cos": [True, False],
        "mid_block_type": ["UNetMidBlock2D", "UNetMidBlock2D", None], "mid_block_scale_factor": [1, 1.5, -2, math.sqrt(2)],
        "downsample_padding": [0, 1, 1, 2], "downsample_type": ["conv", "resnet", None, "foo"],
        "upsample_type": ["conv", "resnet", None, ""], "dropout": [0.0, 0.5], "act_fn": ["silu", "swish", "mish", "GELU", "relu"],
        "attention_head_dim": [None, 1, 2, 3, 4, 5, 8, 100, 0], "attn_norm_num_groups": [None, 1, 2, 4], "norm_eps": [1e-5, 1e-6, 0.1],
        "resnet_time_scale_shift": ["default", "scale_shift", "scale_shift", "spatial"], "add_attention": [True, True, False],
        "num_train_timesteps": [1000, 1000, None],
    }
    for key, values in options.items():
        if r.random() < 0.3:
            config[key] = pick(values)
    return config


def relative(found, want):
    return float(np.linalg.norm(found - want) / np.linalg.norm(want))


def ask(binary, folder, config, net, double, g):
    """What diffusers says and what the program says: (trouble or None, errors)."""
    case, theirs = None, ""
    try:
        case = answers(double, config, g, 1)
        if not all(t.isfinite().all() for t in case.values()):
            case, theirs = None, "not finite"
    except Exception as e:  # noqa: BLE001: whatever it raises, it cannot run it
        theirs = f"{type(e).__name__}: {e}"
    shape = (1, config["in_channels"], *sides(config))
    x, v = (case["x"], case["v"][:1]) if case else (torch.zeros(shape), torch.ones(shape))
    np.save(folder / "x.npy", x.numpy()), np.save(folder / "v.npy", v.numpy())
    ve = config.get("time_embedding_type") == "fourier"
    k = 300
    if ve:  # sigma of the table, not the case's own
        k = round(1999 * math.log(float(case["sigma"][0]) / 0.01) / math.log(348 / 0.01)) if case else 1000
    done = subprocess.run([binary, "evaluate", folder, "--points", folder / "x.npy", "--directions", folder / "v.npy", "--timestep",
                           str(k), "--out", folder / "out.npz", "--quiet"], capture_output=True, text=True)
    if done.returncode not in (0, 2):
        return f"exit code {done.returncode}: {done.stderr[-600:]}", None
    if (done.returncode == 0) != (case is not None):
        return f"diffusers: {theirs or 'runs it'}; vorticity: {done.stderr.strip() or 'runs it'}", None
    if case is None:
        return None, done.stderr.strip()
    with exactly(), torch.no_grad():
        if ve:
            level = torch.tensor([0.01 * (348 / 0.01) ** (k / 1999)], dtype=torch.float64)
            scale = 1.0
        else:
            level = torch.tensor([k])
            scale = -1 / math.sqrt(1 - float(DDPMScheduler(num_train_timesteps=1000).alphas_cumprod.double()[k]))
        own, want = (both(n, x.to(kind), v.to(kind), level) for n, kind in ((net, torch.float32), (double, torch.float64)))
    out = np.load(folder / "out.npz")
    found = [out[name].astype(float).reshape(shape) / scale for name in ("s", "jvp")]
    errors, theirs = ([relative(a, b) for a, b in zip(some, want)] for some in (found, own))
    beyond = any(e > max(2e-5, 3 * t) for e, t in zip(errors, theirs))
    return (f"errors {errors}, in float32 PyTorch has {theirs}", None) if beyond else (None, (errors, theirs))


def both(net, x, v, level):
    """Value and tangent of one sample."""
    twice = lambda t: t.repeat(2, *[1] * (t.ndim - 1))  # noqa: E731
    run = lambda z: net(z, twice(level.to(x.dtype) if level.is_floating_point() else level)).sample  # noqa: E731
    y, jvp = torch.func.jvp(run, (twice(x),), (twice(v),))
    return y[:1].double().numpy(), jvp[:1].double().numpy()


def compare(binary, count, seed):
    r, troubles, worst, ran, hard, refused, wrong = random.Random(seed), 0, [0.0, 0.0], 0, 0, 0, {}
    while ran < count:
        config = drawn(r)
        number = r.randrange(1 << 30)
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            try:
                net, double, g = made(config, number, False)
            except Exception as e:  # noqa: BLE001: the class refuses it, and so must the program
                wrong[type(e).__name__] = wrong.get(type(e).__name__, 0) + 1
                refused += unopened(binary, folder, config, e)
                continue
            net.save_pretrained(folder)
            scheduler(config).save_pretrained(folder)
            trouble, errors = ask(binary, folder, config, net, double, g)
        if trouble:
            troubles += 1
            print(f"{json.dumps(config)}\n    {trouble}", flush=True)
        elif isinstance(errors, tuple):
            # Ill-conditioned ones say more of float32 than of the program.
            errors, theirs = errors
            if max(theirs) < 1e-5:
                worst = [max(p) for p in zip(worst, errors)]
            else:
                hard += 1
            ran += 1
        else:
            refused += 1
    print(f"{ran} networks run by both: worst error of values {worst[0]:.1e}, of tangents {worst[1]:.1e} ({hard} left out of these where float32 "
          f"PyTorch is beyond 1e-5); {refused} mixes refused "
          f"by both (constructors: {wrong}); {troubles} disagreements")
    return troubles


def unopened(binary, folder, config, error):
    """1 if the program refuses what the class does; there are no weights, which it must not need for that."""
    keys = {"_class_name": "UNet2DModel", "_diffusers_version": diffusers.__version__, **config}
    (folder / "config.json").write_text(json.dumps({
        "vorticity_config": 1, "family": "unet2d_diffusers", "hyper": keys, "prediction": "eps", "data_range": [-1.0, 1.0],
        "process": {"kind": "vp", "schedule": "linear", "timesteps": 1000}}))
    done = subprocess.run([binary, "init", "unet2d_diffusers", "--config", folder / "config.json", "--out", folder / "made", "--quiet"],
                          capture_output=True, text=True)
    if done.returncode == 2 and "made of noise levels" not in done.stderr:
        return 1
    print(f"{json.dumps(config)}\n    constructor: {type(error).__name__}: {error}; vorticity: {done.returncode} {done.stderr[-400:]}",
          flush=True)
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = p.add_subparsers(dest="way", required=True)
    w = ways.add_parser("write")
    w.add_argument("--out", type=Path, required=True)
    w.add_argument("--only", nargs="*", choices=list(CASES))
    q = ways.add_parser("random")
    q.add_argument("--binary", type=lambda b: Path(b).resolve(), required=True)
    q.add_argument("--count", type=int, default=60, help="networks that both must run")
    q.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
    with sdpa_kernel(SDPBackend.MATH):  # the others have no forward mode
        if args.way == "write":
            write(args.out, args.only)
        else:
            sys.exit(compare(args.binary, args.count, args.seed) > 0)


if __name__ == "__main__":
    main()
