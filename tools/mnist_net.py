"""The paper's MNIST network and what its trainers share: schedule, training loop, model directory, loss curve.

    from mnist_net import ShuffleUNet, fit, hyper

The network is a ShuffleNet-v2 U-Net (units: arXiv 1807.11164) whose tensor names are those that
`src/model/mnist_shuffle_unet.rs` reads. In: batches of data x0. Out: a resumable checkpoint, then a model directory.
Objective: E |eps_theta(a x0 + sigma eps, k) - eps|^2, k uniform on 0..T-1, unit weight (Ho et al., arXiv 2006.11239),
cosine schedule (Nichol and Dhariwal, arXiv 2102.09672).
"""

import copy
import json
import math
import struct
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

T = 1000


def hyper(image_size: int) -> dict:
    return {"timesteps": T, "time_embedding_dim": 256, "in_channels": 1, "out_channels": 1,
            "base_dim": 64, "dim_mults": [2, 4], "image_size": image_size}


def alphabar_cosine(steps: int) -> torch.Tensor:
    """abar_k = prod_{q<=k} (1 - beta_q), beta_q = min(1 - f(q+1)/f(q), 0.999), in float64."""
    f = torch.cos((torch.arange(steps + 1, dtype=torch.float64) / steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


def depthwise(c: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c, c, 3, stride, 1, groups=c)


class Conv(nn.Module):
    """Convolution, BatchNorm, SiLU; the state_dict prefix is `module`."""

    def __init__(self, cin: int, cout: int, k: int = 1):
        super().__init__()
        self.module = nn.Sequential(nn.Conv2d(cin, cout, k, padding=k // 2), nn.BatchNorm2d(cout), nn.SiLU())

    def forward(self, x):
        return self.module(x)


class DenseGradient(torch.autograd.Function):
    """Identity whose gradient is made channels_last: kernels are slow on the strided one that a shuffle hands back."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return grad.contiguous(memory_format=torch.channels_last)


class Unit(nn.Module):
    """ShuffleNet-v2 unit. stride 1: half of the channels goes through each branch; stride 2: all through both."""

    def __init__(self, cin: int, cout: int, stride: int = 1):
        super().__init__()
        self.split = stride == 1
        c = cin // 2 if self.split else cin
        w = c if self.split else cout // 2
        self.branch1 = nn.Sequential(depthwise(c, stride), nn.BatchNorm2d(c), Conv(c, cout // 2))
        self.branch2 = nn.Sequential(Conv(c, w), depthwise(w, stride), nn.BatchNorm2d(w), Conv(w, cout // 2))

    def forward(self, x):
        a, b = x.chunk(2, 1) if self.split else (x, x)
        dense = DenseGradient.apply if self.training else (lambda y: y)
        halves = [dense(y).permute(0, 2, 3, 1) for y in (self.branch1(a), self.branch2(b))]
        return torch.stack(halves, 4).flatten(3).permute(0, 3, 1, 2)  # shuffle: channel 2i+g is channel i of branch g


def units(cin: int, cout: int, plain: int) -> nn.Sequential:
    return nn.Sequential(*[Unit(cin, cin) for _ in range(plain)], Unit(cin, cout))


class TimeMLP(nn.Module):
    def __init__(self, e: int, hidden: int, out: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(e, hidden), nn.SiLU(), nn.Linear(hidden, out))

    def forward(self, x, emb):
        return F.silu(x + self.mlp(emb)[:, :, None, None])


class Encoder(nn.Module):
    def __init__(self, cin: int, cout: int, e: int):
        super().__init__()
        self.conv0, self.time_mlp = units(cin, cout // 2, 3), TimeMLP(e, cout, cout // 2)
        self.conv1 = Unit(cout // 2, cout, 2)

    def forward(self, x, emb):
        skip = self.conv0(x)
        return self.conv1(self.time_mlp(skip, emb)), skip


class Decoder(nn.Module):
    def __init__(self, cin: int, cout: int, e: int):
        super().__init__()
        self.conv0, self.time_mlp = units(cin, cin // 2, 3), TimeMLP(e, cin, cin // 2)
        self.conv1 = Unit(cin // 2, cout // 2)

    def forward(self, x, skip, emb):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.conv1(self.time_mlp(self.conv0(torch.cat([x, skip], 1)), emb))


class ShuffleUNet(nn.Module):
    def __init__(self, timesteps, time_embedding_dim, in_channels, out_channels, base_dim, dim_mults, image_size):
        super().__init__()
        dims = [base_dim] + [base_dim * m for m in dim_mults]
        pairs = list(zip(dims[:-1], dims[1:]))
        self.init_conv = Conv(in_channels, base_dim, 3)
        self.time_embedding = nn.Embedding(timesteps, time_embedding_dim)
        self.encoder_blocks = nn.ModuleList(Encoder(a, b, time_embedding_dim) for a, b in pairs)
        self.mid_block = units(dims[-1], dims[-1] // 2, 2)
        self.decoder_blocks = nn.ModuleList(Decoder(b, a, time_embedding_dim) for a, b in reversed(pairs))
        self.final_conv = nn.Conv2d(base_dim // 2, out_channels, 1)

    def forward(self, x, k):
        emb, x, skips = self.time_embedding(k), self.init_conv(x), []
        for block in self.encoder_blocks:
            x, skip = block(x, emb)
            skips.append(skip)
        x = self.mid_block(x)
        for block in self.decoder_blocks:
            x = block(x, skips.pop(), emb)
        return self.final_conv(x)


@torch.no_grad()
def smooth_table(net: ShuffleUNet) -> ShuffleUNet:
    """Starts the learned time table as sinusoids of k: timesteps near each other begin with nearly the same row."""
    table = net.time_embedding.weight
    half = table.shape[1] // 2
    angles = torch.arange(len(table))[:, None] * torch.exp(-math.log(1e4) / half * torch.arange(half))
    table.copy_(math.sqrt(2) * torch.cat([angles.sin(), angles.cos()], 1))
    return net


def read_idx(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    ndim = raw[3]
    shape = struct.unpack(f">{ndim}I", raw[4:4 + 4 * ndim])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def arguments(p, batch: int, lr: float, ema: float) -> None:
    """The options of `fit` and their defaults."""
    p.add_argument("--work", type=Path, required=True, help="folder of the checkpoint and the log")
    p.add_argument("--init", type=Path, help="start from the weights of this model directory")
    p.add_argument("--batch", type=int, default=batch)
    p.add_argument("--lr", type=float, default=lr)
    p.add_argument("--ema", type=float, default=ema)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    p.add_argument("--threads", type=int, default=0, help="PyTorch threads (0: its default)")
    p.add_argument("--bf16", action="store_true", help="bfloat16 autocast of the forward pass")
    p.add_argument("--half", action="store_true", help="with --export: store the weights as float16")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")


def save(state: dict, path: Path) -> None:
    tmp = path.with_suffix(".tmp")
    torch.save(state, tmp)
    tmp.replace(path)


def fit(args, net: nn.Module, batch_of, total: int, clip: float | None = None, frozen: bool = False, **meta) -> None:
    """Train `net` up to step `total`, or go on from WORK_DIR's checkpoint; `meta` is kept in the checkpoint.

    batch_of(step, generator) hands back x0 [B, C, H, W]. The gradient's norm is clipped at `clip`; with `frozen`,
    BatchNorm uses its running statistics, as it does at inference, and leaves them alone.
    """
    args.work.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = net.to(device)
    if device == "cpu":
        net = net.to(memory_format=torch.channels_last)
    if args.init:
        from safetensors.torch import load_file

        net.load_state_dict(load_file(args.init / "model.safetensors"), strict=False)  # without num_batches_tracked
    ema = copy.deepcopy(net).eval()
    opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: min(1.0, (s + 1) / 50) * 0.5 * (1 + math.cos(math.pi * min(s / total, 1.0))) + 1e-3)
    abar = alphabar_cosine(T).float().to(device)
    step, log, ckpt = 0, [], args.work / "checkpoint.pt"
    if ckpt.exists():
        state = torch.load(ckpt, weights_only=True, map_location=device)
        net.load_state_dict(state["net"]), ema.load_state_dict(state["ema"])
        opt.load_state_dict(state["opt"]), schedule.load_state_dict(state["schedule"])
        step, log = state["step"], state["log"]
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and frozen:
            module.eval()
    call = torch.compile(net) if args.compile else net
    start = time.time()
    pairs = list(zip(ema.state_dict().values(), net.state_dict().values()))
    averaged = [list(side) for side in zip(*[pair for pair in pairs if pair[0].is_floating_point()])]
    while step < total:
        g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
        x0 = batch_of(step, g).to(device)
        k = torch.randint(T, (len(x0),), generator=g).to(device)
        eps = torch.randn(x0.shape, generator=g).to(device)
        ab = abar[k][:, None, None, None]
        x = ab.sqrt() * x0 + (1 - ab).sqrt() * eps
        with torch.autocast(device, torch.bfloat16, enabled=args.bf16):
            out = call(x, k)
        loss = F.mse_loss(out.float(), eps)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        opt.step()
        schedule.step()
        step += 1
        decay = min(args.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(*averaged, 1 - decay)
            for p, q in pairs:
                if not p.is_floating_point():
                    p.copy_(q)
        log.append(loss.item())
        if not math.isfinite(log[-1]):
            raise SystemExit(f"loss is {log[-1]} at step {step}")
        if step % args.every == 0 or step == total:
            save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(),
                  "schedule": schedule.state_dict(), "step": step, "log": log, "batch": args.batch, "lr": args.lr,
                  "ema_decay": args.ema, "bf16": args.bf16, "clip": clip, **meta}, ckpt)
            print(f"step {step}/{total} loss {np.mean(log[-args.every:]):.4f} "
                  f"{(time.time() - start):.0f} s", flush=True)


def trained(work: Path, image_size: int) -> tuple[dict, ShuffleUNet]:
    """WORK_DIR's checkpoint and the network with its averaged weights, ready for inference."""
    state = torch.load(work / "checkpoint.pt", weights_only=True, map_location="cpu")
    net = ShuffleUNet(**hyper(image_size))
    net.load_state_dict(state["ema"])
    return state, net.eval()


def write_model(out: Path, state: dict, net: ShuffleUNet, image_size: int, data_range: list, half: bool,
                provenance: dict, **more):
    """config.json, model.safetensors (float16 if `half`) and the loss curve of a network from `trained`."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    if half:
        weights = {k: v.half() for k, v in weights.items()}
        if not all(v.isfinite().all() for v in weights.values()):
            raise ValueError("a weight is beyond float16")
    save_file(weights, out / "model.safetensors")
    config = {
        "vorticity_config": 1,
        "family": "mnist_shuffle_unet",
        "hyper": hyper(image_size),
        "process": {"kind": "vp", "schedule": "cosine", "timesteps": T},
        "prediction": "eps",
        "data_range": data_range,
        **more,
        "provenance": {
            "objective": "mean squared error of eps, k uniform on 0..999, unit weight",
            "steps": state["step"], "batch": state["batch"], "learning_rate": state["lr"],
            "ema_decay": state["ema_decay"], "bf16_autocast": state["bf16"],
            "stored_as": "float16" if half else "float32", **provenance,
        },
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    plot_loss(np.array(state["log"]), out / "loss.png")
    print(f"{out}: {state['step']} steps, mean loss of the last 50: {np.mean(state['log'][-50:]):.5f}")


@torch.no_grad()
def ddim(net, shape: tuple, seed: int, steps: int, limit: float, top: int = 960) -> torch.Tensor:
    """DDIM sampling (arXiv 2010.02502) on `steps` of the timesteps 0..top, x0 clipped to [-limit, limit].

    It begins at N(0, 1) below T - 1, where 1/a, a factor of the network's error in x0, is 2e4.
    """
    abar = alphabar_cosine(T)
    ks = [round(i * top / (steps - 1)) for i in range(steps)]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    for i in reversed(range(steps)):
        now, before = abar[ks[i]].item(), abar[ks[i - 1]].item() if i else 1.0
        eps = net(x, torch.full((len(x),), ks[i]))
        x0 = ((x - math.sqrt(1 - now) * eps) / math.sqrt(now)).clamp(-limit, limit)
        x = math.sqrt(before) * x0 + math.sqrt((1 - before) / (1 - now)) * (x - math.sqrt(now) * x0)
    return x


def plot_loss(log: np.ndarray, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    width = max(1, len(log) // 200)
    means = log[:len(log) // width * width].reshape(-1, width).mean(1)
    plt.figure(figsize=(6, 3.5))
    plt.semilogy((np.arange(len(means)) + 1) * width, means)
    plt.xlabel("step"), plt.ylabel("mean squared error of eps"), plt.grid(alpha=0.3), plt.tight_layout()
    plt.savefig(path, dpi=110)
