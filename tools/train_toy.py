"""Train a small MLP on a ring of eight Gaussians in the plane, export it to ONNX, write a model directory. Minutes on a CPU.

    python tools/train_toy.py --out assets/models/toy --data-out assets/data

Data: eight Gaussians of standard deviation 0.15 whose means stand on the unit circle, drawn afresh for every batch. The network
is told the timestep k and predicts eps; objective E |eps_theta(a x_0 + sigma eps, k) - eps|^2, k uniform on 0..999, cosine
schedule. Out: `model.onnx` (inputs x [N, 2] and k [N]; N is left open), `model.toml`, `README.md`; printed beside each other
are the network's loss and that of the exact eps, which is known, in float64. With --data-out DIR also `ring-256.npy`, 256
samples, float32, 256x2x1x1, and `ring.safetensors`, the mixture for `field:mixture`: the exact score to compare with.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from mnist_net import T, alphabar_cosine
from onnx_directory import Directory, export

MODES, STD, WIDTH, WAVES = 8, 0.15, 48, 4
ANGLES = 2 * math.pi * torch.arange(MODES, dtype=torch.float64) / MODES
MEANS = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)

CARD = """# Model card: ring of eight Gaussians in the plane, eps-network

A first network: an MLP with two hidden layers ({parameters} parameters, SiLU) for points of the plane, trained and exported by
`tools/train_toy.py`.

| | |
|---|---|
| origin | this project; PyTorch {torch}, `torch.onnx.export`, the exporter's traces taken out |
| licence | this project's, MIT or Apache-2.0 |
| data | x_0 from eight Gaussians of standard deviation {std}, equal weights, whose means stand on the unit circle at multiples of 45 degrees; neither scaled nor clipped. `data_range` means nothing here |
| x | [N, 2]: x = a x_0 + sigma eps |
| label | `k`, the timestep 0..{last}, float32; the network is fed x, k/{steps}, and sines and cosines of {waves} multiples of pi k/{steps} |
| output | `eps`: the score is -eps / sigma |
| process | VP, cosine schedule, T = {steps} |
| objective | E \\|eps_theta(a x_0 + sigma eps, k) - eps\\|^2, k uniform, unit weight |
| optimiser | Adam, learning rate {rate} with cosine decay, {updates} steps of {batch} samples, seed {seed}; exponential moving average, decay 0.999 |
| data beside it | `assets/data/ring-256.npy`, 256 samples; `assets/data/ring.safetensors`, the mixture for `field:mixture?file=..`: the exact score |

The exact eps* is known. The losses, per component, and how far the network is from it, on {fresh} fresh samples each:

| k | loss of the exact eps* | loss of the network | E\\|eps_theta - eps*\\|^2 / E\\|eps*\\|^2 |
|---|---|---|---|
{rows}
"""


class Toy(nn.Module):
    """eps(x, k)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("waves", math.pi * torch.arange(1, WAVES + 1))
        inputs = 2 + 1 + 2 * WAVES
        self.layers = nn.Sequential(nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 2))

    def forward(self, x, k):
        t = k[:, None] / T
        return self.layers(torch.cat([x, t, torch.sin(t * self.waves), torch.cos(t * self.waves)], 1))


def ring(n: int, generator: torch.Generator) -> torch.Tensor:
    chosen = torch.randint(MODES, (n,), generator=generator)
    return MEANS[chosen].float() + STD * torch.randn((n, 2), generator=generator)


def exact_eps(x: torch.Tensor, a: float, sigma: float) -> torch.Tensor:
    """E[eps | x], float64: -sigma grad log of the noised mixture."""
    x, variance = x.double(), a * a * STD**2 + sigma * sigma
    away = x[:, None] - a * MEANS
    weights = torch.softmax(-(away**2).sum(2) / (2 * variance), 1)
    return sigma * (weights[:, :, None] * away).sum(1) / variance


def train(args: argparse.Namespace) -> Toy:
    torch.manual_seed(args.seed)
    g, abar = torch.Generator().manual_seed(args.seed), alphabar_cosine(T).float()
    net = Toy()
    mean = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.999))
    optimiser = torch.optim.Adam(net.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.steps)
    start = time.monotonic()
    for step in range(args.steps):
        k = torch.randint(T, (args.batch,), generator=g)
        eps = torch.randn((args.batch, 2), generator=g)
        a, sigma = abar[k].sqrt()[:, None], (1 - abar[k]).sqrt()[:, None]
        loss = ((net(a * ring(args.batch, g) + sigma * eps, k.float()) - eps) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        mean.update_parameters(net)
        if step % (args.steps // 10) == 0:
            print(f"step {step:6} loss {loss:.4f} {time.monotonic() - start:.1f} s", flush=True)
    print(f"trained in {time.monotonic() - start:.1f} s")
    return mean.module.eval()


@torch.no_grad()
def rows(net: Toy, fresh: int, seed: int) -> list[str]:
    """A line per timestep of the card's table."""
    g, abar, lines = torch.Generator().manual_seed(seed + 1), alphabar_cosine(T), []
    for k in (1, 101, 301, 501, 701, 901, 991):
        a, sigma = abar[k].sqrt().item(), (1 - abar[k]).sqrt().item()
        eps = torch.randn((fresh, 2), generator=g)
        x = a * ring(fresh, g) + sigma * eps
        theirs, ours = exact_eps(x, a, sigma), net(x, torch.full((fresh,), float(k))).double()
        loss = [((e - eps) ** 2).mean().item() for e in (theirs, ours)]
        lines.append(f"| {k} | {loss[0]:.4f} | {loss[1]:.4f} | {((ours - theirs)**2).sum() / (theirs**2).sum():.5f} |")
    return lines


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True, help="model directory to write; must not exist")
    p.add_argument("--data-out", type=Path, metavar="DIR", help="folder for ring-256.npy and ring.safetensors")
    p.add_argument("--steps", type=int, default=30000)
    p.add_argument("--batch", type=int, default=512)
    p.add_argument("--lr", type=float, default=4e-3)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    if args.out.exists():
        p.error(f"{args.out} exists")
    net, fresh = train(args), 100_000
    lines = rows(net, fresh, args.seed)
    print("\n".join(lines))
    facts = {
        "x": "x", "label": "k", "output": "eps",
        "process": {"kind": "vp", "schedule": "cosine", "timesteps": T},
        "prediction": "eps", "data_range": [-1.5, 1.5],
        "provenance": {"data": "ring of eight Gaussians, standard deviation 0.15", "trainer": "tools/train_toy.py",
                       "steps": args.steps, "batch": args.batch, "learning_rate": args.lr, "seed": args.seed},
    }
    count = sum(parameter.numel() for parameter in net.parameters())
    card = CARD.format(parameters=f"{count:,}", torch=torch.__version__.split("+")[0], std=STD, last=T - 1, steps=T, waves=WAVES,
                       rate=args.lr, updates=args.steps, batch=args.batch, seed=args.seed, fresh=f"{fresh:,}",
                       rows="\n".join(lines))
    onnx = export(net, (torch.zeros(2, 2), torch.zeros(2)), ["x", "k"], "eps", open_batch=True)
    Directory(onnx, facts, card).write(args.out)
    if args.data_out:
        g = torch.Generator().manual_seed(20261126)
        np.save(args.data_out / "ring-256.npy", ring(256, g).view(256, 2, 1, 1).numpy())
        save_file({"means": MEANS.float(), "variances": torch.full((MODES,), STD**2)}, args.data_out / "ring.safetensors")


if __name__ == "__main__":
    main()
