"""Two networks in PyTorch as people write them, of random weights, for times of imported networks: a transformer after DiT (arXiv
2212.09748: patches, adaptive LayerNorm that begins near zero, attention) and an MLP mixer (arXiv 2105.01601).

    net, shape = NETS["dit"]()

Both are called with x [N, C, H, W] and timesteps [N], and put out eps.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoid(t: torch.Tensor, width: int) -> torch.Tensor:
    rates = torch.exp(torch.arange(width // 2, device=t.device) * (-math.log(1e4) / (width // 2)))
    phases = t[:, None].float() * rates
    return torch.cat([phases.cos(), phases.sin()], 1)


class Block(nn.Module):
    """Attention, then an MLP, each behind a LayerNorm that time scales and shifts, and in front of a gate that time opens."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.told = nn.Linear(width, 6 * width)

    def attend(self, x):
        n, s, e = x.shape
        q, k, v = self.qkv(x).reshape(n, s, 3, self.heads, e // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, s, e))

    def forward(self, x, c):
        shift, scale, gate, shift2, scale2, gate2 = self.told(F.silu(c))[:, None].chunk(6, 2)
        x = x + gate * self.attend(self.norms[0](x) * (1 + scale) + shift)
        return x + gate2 * self.mlp(self.norms[1](x) * (1 + scale2) + shift2)


class Transformer(nn.Module):
    def __init__(self, channels: int, size: int, patch: int, width: int, depth: int, heads: int):
        super().__init__()
        self.channels, self.size, self.patch, self.width = channels, size, patch, width
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.told = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6), nn.Linear(width, 2 * width)
        self.last = nn.Linear(width, patch * patch * channels)

    def forward(self, x, t):
        n, side, p = x.shape[0], self.size // self.patch, self.patch
        c = self.time(sinusoid(t, self.width))
        y = self.embed(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            y = block(y, c)
        shift, scale = self.told(F.silu(c))[:, None].chunk(2, 2)
        y = self.last(self.norm(y) * (1 + scale) + shift)
        y = y.reshape(n, side, side, p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
        return y.reshape(n, self.channels, self.size, self.size)


class Mixing(nn.Module):
    """An MLP over patches, then one over channels."""

    def __init__(self, patches: int, width: int, mixed: int, hidden: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.over_patches = nn.Sequential(nn.Linear(patches, mixed), nn.GELU(), nn.Linear(mixed, patches))
        self.over_channels = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, y):
        y = y + self.over_patches(self.norms[0](y).transpose(1, 2)).transpose(1, 2)
        return y + self.over_channels(self.norms[1](y))


class Mixer(nn.Module):
    def __init__(self, channels: int, size: int, patch: int, width: int, mixed: int, hidden: int, depth: int):
        super().__init__()
        patches, self.size, self.patch, self.channels = (size // patch) ** 2, size, patch, channels
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Mixing(patches, width, mixed, hidden) for _ in range(depth))
        self.norm, self.last, self.width = nn.LayerNorm(width), nn.Linear(width, patch * patch * channels), width

    def forward(self, x, t):
        n, side, p = x.shape[0], self.size // self.patch, self.patch
        y = self.embed(x).flatten(2).transpose(1, 2) + self.time(sinusoid(t, self.width))[:, None]
        for block in self.blocks:
            y = block(y)
        y = self.last(self.norm(y)).reshape(n, side, side, p, p, self.channels).permute(0, 5, 1, 3, 2, 4)
        return y.reshape(n, self.channels, self.size, self.size)


def seeded(make) -> nn.Module:
    torch.manual_seed(0)
    return make().eval().requires_grad_(False)


# By name: the network and the shape of its x.
NETS = {
    "dit": lambda: (seeded(lambda: Transformer(3, 32, 4, width=192, depth=6, heads=6)), (3, 32, 32)),
    "mixer": lambda: (seeded(lambda: Mixer(1, 28, 4, width=128, mixed=64, hidden=256, depth=4)), (1, 28, 28)),
}
