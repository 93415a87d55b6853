"""Train the MNIST eps-network on Neal's funnel in 64 dimensions and write a vorticity model directory.

    python tools/train_funnel.py --work WORK_DIR --steps 4000
    python tools/train_funnel.py --work WORK_DIR --export assets/models/funnel --data-out assets/data/funnel-256.npy

Data (Neal, Slice sampling, Annals of Statistics 31, 2003, section 8): y ~ N(0, 9); x_1..x_63 ~ N(0, e^y) given y, as
1x8x8 in C order with y first, drawn afresh for every batch and neither scaled nor clipped. Out: a resumable checkpoint
in WORK_DIR; with --export, `config.json` + `model.safetensors` (EMA weights), a loss curve, a figure of samples, and
on standard output the distance from the exact eps of the noised funnel; with --data-out, 256 exact samples as float32.
Exact: p(x, k) = integral N(y; 0, 9) N(x_0; a y, sigma^2) prod_i N(x_i; 0, a^2 e^y + sigma^2) dy, eps* = -sigma grad
ln p, by quadrature over y in float64. BatchNorm's statistics are measured before training, on noised samples brought to
a root mean square of at most 1, and stay as they are: statistics of a batch would hang on its largest y. Network,
objective and training loop: `tools/mnist_net.py`.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

from torch import nn

from mnist_net import (T, ShuffleUNet, alphabar_cosine, arguments, ddim, fit, hyper, smooth_table, trained,
                       write_model)

SHAPE = (1, 8, 8)
D = math.prod(SHAPE)
DATA_SEED = 20240601
LIMIT = 100.0  # of x0 when sampling; exact |x_i| is beyond it with probability 0.001


def funnel(n: int, generator: torch.Generator) -> torch.Tensor:
    x = torch.randn((n, D), generator=generator)
    x[:, 0] *= 3
    x[:, 1:] *= (x[:, :1] / 2).exp()
    return x.view(n, *SHAPE)


def exact_eps(x: torch.Tensor, a: float, sigma: float, nodes: int = 1601) -> torch.Tensor:
    """E[eps | x_k = x], float64, for x of [B, 1, 8, 8]: the weights of y are those of its posterior given x."""
    x = x.double().flatten(1)
    spread = 9 * a * a + sigma * sigma  # y given x_0 alone: N(9 a x_0 / spread, 9 sigma^2 / spread)
    y = 9 * a * x[:, :1] / spread + 3 * sigma / math.sqrt(spread) * torch.linspace(-10, 10, nodes, dtype=torch.float64)
    variance = a * a * y.exp() + sigma * sigma
    log = -0.5 * (y / 3) ** 2 - 0.5 * ((x[:, :1] - a * y) / sigma) ** 2
    log -= 0.5 * (D - 1) * variance.log() + 0.5 * (x[:, 1:] ** 2).sum(1, keepdim=True) / variance
    weights = torch.softmax(log, 1)
    first = (weights * (x[:, :1] - a * y)).sum(1, keepdim=True) / sigma
    rest = sigma * x[:, 1:] * (weights / variance).sum(1, keepdim=True)
    return torch.cat([first, rest], 1).view(-1, *SHAPE)


@torch.no_grad()
def measure(net: ShuffleUNet, seed: int, batches: int = 16) -> ShuffleUNet:
    """Sets BatchNorm's running statistics to those of noised samples x, each divided by max(1, root mean square)."""
    g, abar = torch.Generator().manual_seed(seed), alphabar_cosine(T).float()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.momentum = None  # plain average
    for _ in range(batches):
        k = torch.randint(T, (256,), generator=g)
        ab = abar[k][:, None, None, None]
        x = ab.sqrt() * funnel(256, g) + (1 - ab).sqrt() * torch.randn((256, *SHAPE), generator=g)
        net(x / (x ** 2).mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1), k)
    for m in norms:
        m.momentum = 0.1
    return net


@torch.no_grad()
def compare(net, seed: int, n: int = 512) -> None:
    """Losses at some k, of the exact eps and of the network, and the network's distance from the exact one."""
    print("| k | loss of the exact eps* | loss of the network | E\\|eps_theta - eps*\\|^2 / E\\|eps*\\|^2 |"
          " median of \\|eps_theta - eps*\\|^2 / \\|eps*\\|^2 |\n|---|---|---|---|---|")
    abar = alphabar_cosine(T)
    for k in [10, 50, 100, 200, 300, 500, 700, 900, 990]:
        g = torch.Generator().manual_seed(seed * 1_000_003 + k)
        a, sigma = math.sqrt(abar[k]), math.sqrt(1 - abar[k])
        x0 = funnel(n, g)
        eps = torch.randn(x0.shape, generator=g)
        x = a * x0 + sigma * eps
        exact, got = exact_eps(x, a, sigma), net(x, torch.full((n,), k)).double()
        apart, size = ((got - exact) ** 2).flatten(1).mean(1), (exact ** 2).flatten(1).mean(1)
        losses = ((exact - eps) ** 2).mean(), ((got - eps) ** 2).mean()
        print(f"| {k} | {losses[0]:.4f} | {losses[1]:.4f} | {apart.mean() / size.mean():.4f} |"
              f" {(apart / size).median():.4f} |")


def plot(net, seed: int, steps: int, path: Path, n: int = 128) -> None:
    """Exact samples and the network's DDIM samples: x_1 over y, and ln of the mean square of x_1..x_63 over y."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    exact, drawn = funnel(n, torch.Generator().manual_seed(seed)), ddim(net, (n, *SHAPE), seed, steps, LIMIT)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4))
    for name, x in [("exact", exact), ("network", drawn)]:
        x = x.flatten(1).double()
        y, level = x[:, 0], (x[:, 1:] ** 2).mean(1).log()
        axes[0].scatter(y, x[:, 1], s=5, alpha=0.6, label=name)
        axes[1].scatter(y, level, s=5, alpha=0.6, label=name)
        low, middle, high = (level - y).quantile(torch.tensor([0.25, 0.5, 0.75]).double())
        print(f"{name}: y has mean {y.mean():.3f}, standard deviation {y.std():.3f}; quartiles of ln mean x_i^2 - y:"
              f" {low:.3f}, {middle:.3f}, {high:.3f}")
    axes[0].set(xlabel="y", ylabel="x_1", ylim=(-40, 40))
    axes[1].set(xlabel="y", ylabel="ln mean x_i^2")
    axes[1].axline((0, 0), slope=1, color="k", lw=0.5)
    for ax in axes:
        ax.legend(), ax.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments(p, batch=256, lr=1e-3, ema=0.998)
    p.add_argument("--steps", type=int, default=4000)
    p.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    p.add_argument("--export", type=Path, help="write a model directory from the checkpoint's EMA weights")
    p.add_argument("--sample", type=int, default=100, metavar="STEPS", help="DDIM steps of the figure of samples")
    p.add_argument("--data-out", type=Path, help="write 256 exact samples as .npy")
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.data_out:
        np.save(args.data_out, funnel(256, torch.Generator().manual_seed(DATA_SEED)).numpy())
    if args.export:
        state, net = trained(args.work, 8)
        write_model(args.export, state, net, 8, [-80.0, 80.0], args.half, {
            "data": "Neal's funnel, y ~ N(0, 9) and 63 components N(0, e^y), drawn afresh for every batch, not scaled",
            "trainer": "tools/train_funnel.py", "gradient_clip": state["clip"]})
        compare(net, args.seed)
        plot(net, args.seed, args.sample, args.export / "samples.png")
    elif not args.data_out:
        torch.manual_seed(args.seed)
        net = smooth_table(ShuffleUNet(**hyper(8)))
        if not (args.work / "checkpoint.pt").exists():
            measure(net, args.seed)
        fit(args, net, lambda _, g: funnel(args.batch, g), args.steps, args.clip, frozen=True)


if __name__ == "__main__":
    main()
