"""The paper's CIFAR-10 network in PyTorch, for timings beside vorticity's: an implementation of our own of the topology.

    python tools/lucid_net.py CASE_DIR    # against a golden case: config.json, model.safetensors, case.safetensors

A U-Net of adaptive GroupNorm blocks with linear attention (arXiv 1812.01243) at every stage and full attention in the
middle; tensor names are those that `src/model/lucid_unet.rs` reads. In: x [N, C, H, W], timesteps [N]. Out: eps.
"""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

GROUPS = 32


class Sinusoid(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.width = width

    def forward(self, t, dtype):
        half = self.width // 2
        rates = torch.exp(torch.arange(half, device=t.device, dtype=dtype) * (-math.log(10000) / (half - 1)))
        phases = t[:, None].to(dtype) * rates
        return torch.cat([phases.sin(), phases.cos()], 1)


class AdaptiveNorm(nn.Module):
    """gamma(t) norm(x) + beta(t)."""

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.gamma_proj, self.beta_proj = nn.Linear(embedding, channels), nn.Linear(embedding, channels)

    def forward(self, x, emb):
        gamma, beta = self.gamma_proj(emb)[:, :, None, None], self.beta_proj(emb)[:, :, None, None]
        return torch.addcmul(beta, F.group_norm(x, GROUPS, eps=1e-5), gamma)


class Half(nn.Module):
    def __init__(self, cin: int, cout: int, embedding: int):
        super().__init__()
        self.norm, self.proj = AdaptiveNorm(cin, embedding), nn.Conv2d(cin, cout, 3, padding=1)

    def forward(self, x, emb):
        return F.silu(self.proj(self.norm(x, emb)))


class Block(nn.Module):
    def __init__(self, cin: int, cout: int, embedding: int):
        super().__init__()
        self.block1, self.block2 = Half(cin, cout, embedding), Half(cout, cout, embedding)
        self.residual_scale = nn.Parameter(torch.ones(()))
        self.res_conv = nn.Identity() if cin == cout else nn.Conv2d(cin, cout, 1)

    def forward(self, x, emb):
        return self.residual_scale * self.block2(self.block1(x, emb), emb) + self.res_conv(x)


class RMSNorm(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x):
        return F.normalize(x, dim=1) * (self.g * math.sqrt(x.shape[1]))


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int, head: int, linear: bool):
        super().__init__()
        self.heads, self.linear = heads, linear
        self.to_qkv = nn.Conv2d(channels, 3 * heads * head, 1, bias=False)
        out = nn.Conv2d(heads * head, channels, 1)
        self.to_out = nn.Sequential(out, RMSNorm(channels)) if linear else out

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = self.to_qkv(x).reshape(n, 3, self.heads, -1, h * w).unbind(1)  # [N, heads, head, HW]
        if self.linear:
            q, k = q.softmax(2) / math.sqrt(q.shape[2]), k.softmax(3)
            y = (k @ v.transpose(2, 3)).transpose(2, 3) @ q
        else:
            weights = (q.transpose(2, 3) @ k / math.sqrt(q.shape[2])).softmax(3)  # [N, heads, HW, HW]
            y = v @ weights.transpose(2, 3)
        return x + self.to_out(y.reshape(n, -1, h, w))


class Down(nn.Module):
    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.downsample = nn.Conv2d(cin, cout, 4, 2, 1)

    def forward(self, x):
        return self.downsample(x)


class Up(nn.Module):
    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.upsample = nn.ConvTranspose2d(cin, cout, 4, 2, 1)

    def forward(self, x):
        return self.upsample(x)


class LucidUnet(nn.Module):
    def __init__(self, dim, dim_mults, channels, attn_heads=4, attn_dim_head=32, image_size=16):
        super().__init__()
        dims = [dim, *(dim * m for m in dim_mults)]
        stages, e = list(zip(dims[1:], dims[2:])), 4 * dim
        attention = lambda c, linear: Attention(c, attn_heads, attn_dim_head, linear)  # noqa: E731
        self.time_mlp = nn.Sequential(Sinusoid(dim), nn.Linear(dim, e), nn.GELU(), nn.Linear(e, e))
        self.init_conv = nn.Conv2d(channels, dims[1], 7, padding=3)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(stages):
            last = i + 1 == len(stages)
            down = nn.Conv2d(a, b, 3, padding=1) if last else Down(a, b)
            self.downs.append(nn.ModuleList([Block(a, a, e), Block(a, a, e), attention(a, True), down]))
        c = dims[-1]
        self.mid_block1, self.mid_attn, self.mid_block2 = Block(c, c, e), attention(c, False), Block(c, c, e)
        for i, (a, b) in enumerate(reversed(stages)):
            last = i + 1 == len(stages)
            up = nn.Conv2d(b, a, 3, padding=1) if last else Up(b, a)
            self.ups.append(nn.ModuleList([Block(a + b, b, e), Block(a + b, b, e), attention(b, i > 0), up]))
        self.final_res_block, self.final_conv = Block(2 * dims[1], dims[1], e), nn.Conv2d(dims[1], channels, 1)

    def forward(self, x, t):
        emb = self.time_mlp[1:](self.time_mlp[0](t, x.dtype))
        first = x = self.init_conv(x)
        skips = []
        for block1, block2, attention, down in self.downs:
            x = block1(x, emb)
            skips.append(x)
            x = attention(block2(x, emb))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_attn(self.mid_block1(x, emb)), emb)
        for block1, block2, attention, up in self.ups:
            x = block1(torch.cat([x, skips.pop()], 1), emb)
            x = block2(torch.cat([x, skips.pop()], 1), emb)
            x = up(attention(x))
        return self.final_conv(self.final_res_block(torch.cat([x, first], 1), emb))


def main() -> None:
    from safetensors.torch import load_file

    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    net = LucidUnet(**json.loads((folder / "config.json").read_text())["hyper"]).double().eval()
    net.load_state_dict(load_file(folder / "model.safetensors"))
    case = load_file(folder / "case.safetensors")
    with torch.no_grad():
        y = net(case["x"].double(), case["t"])
    gap = ((y - case["y"]).abs().amax((1, 2, 3)) / case["y"].abs().amax((1, 2, 3))).max().item()
    print(f"largest difference over largest value: {gap:.1e} (float64, expected at most 1e-12)")
    sys.exit(not gap <= 1e-12)


if __name__ == "__main__":
    main()
