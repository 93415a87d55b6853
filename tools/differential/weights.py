"""Random weights: none left at zero or at a norm's default, variances such that values and slopes stay of order one. In: a
network and a generator. Out: the network, every parameter and statistic of which was drawn."""

import math

import torch
from torch import nn


def randomise(net: nn.Module, g: torch.Generator) -> None:
    done = set()

    def draw(p, std, mean=0.0):
        p.data.copy_(mean + std * torch.randn(p.shape, generator=g))
        done.add(id(p))

    for name, m in net.named_modules():
        kind, own = type(m).__name__, dict(m.named_parameters(recurse=False))
        if isinstance(m, (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d)) and own:
            draw(m.weight, 0.25, 1.0), draw(m.bias, 0.25)
        elif isinstance(m, nn.ConvTranspose2d):
            draw(m.weight, m.stride[0] / math.sqrt(m.in_channels * m.kernel_size[0] ** 2)), draw(m.bias, 0.2)
        elif isinstance(m, nn.Embedding):
            draw(m.weight, 1.0)
        elif kind == "GaussianFourierProjection":
            draw(own.get("W", own.get("weight")), 2.0)
        elif kind == "NIN":
            # Queries and keys larger, so that softmax is not flat.
            draw(m.W, (2.0 if name.endswith(("NIN_0", "NIN_1")) else 1.0) / math.sqrt(m.W.shape[0])), draw(m.b, 0.2)
        elif kind == "RMSNorm":
            draw(next(iter(own.values())), 0.25, 1.0)
        elif "weight" in own and own["weight"].dim() > 1:
            gain = 1.6 if name.endswith(("to_q", "to_k", "to_qkv")) else 1.0
            draw(m.weight, gain / math.sqrt(m.weight[0].numel()))
            if m.bias is not None:
                draw(m.bias, 0.2, 1.0 if name.endswith("gamma_proj") else 0.0)
        elif "residual_scale" in own:
            draw(m.residual_scale, 0.2, 0.8)
    for name, p in net.named_parameters():
        assert id(p) in done, f"nobody draws {name}"


def measure(net: nn.Module, run, g: torch.Generator) -> None:
    """Running statistics of BatchNorm: those of `run`, moved a little, as after training."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    net.train()
    with torch.no_grad():
        run()
        for m in norms:
            m.running_mean += 0.1 * m.running_var.sqrt() * torch.randn(m.running_mean.shape, generator=g)
            m.running_var *= 0.7 + 0.7 * torch.rand(m.running_var.shape, generator=g)
    net.eval()
