"""Patterns as older exporters spell them: a golden case of an imported network (assets/onnx/README.md).

    python tools/make_onnx_case.py --out assets/onnx/spelled [--seed 1]

A small stack of layers that opset 11 has no operators for, so that PyTorch's older exporter writes them as arithmetic: LayerNorm,
GELU by erf and by tanh, a norm by the mean square, `F.normalize`, and a BatchNorm behind a convolution, kept as one. Out:
`legacy_opset11.onnx`, `case.json`, `case.safetensors`: x, v, u and, in float64, f, jvp, vjp and 12 x 12 entries of the Jacobian of each sample.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

ROWS, COLUMNS, WIDTH, HIDDEN, SAMPLES, TANGENTS, ENTRIES = 2, 3, 12, 20, 2, 3, 12


class Spelled(nn.Module):
    """x [N, C, H, W] to the same shape, by its pixels as tokens."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.gain, self.scale = nn.Parameter(torch.ones(WIDTH)), nn.Parameter(torch.ones(WIDTH))
        self.mix, self.batch = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH)

    def forward(self, x):
        shape = x.shape
        x = x.flatten(2).transpose(1, 2)
        x = x + self.down(F.gelu(self.up(self.norm(x))))
        y = self.gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
        x = x + self.narrow(F.gelu(self.wide(y), approximate="tanh"))
        y = F.normalize(x, dim=-1) * self.scale * WIDTH ** 0.5
        x, y = (z.transpose(1, 2).reshape(shape) for z in (x, y))
        return x + self.batch(self.mix(y))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    g = torch.Generator().manual_seed(args.seed)
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    net = Spelled().eval()
    with torch.no_grad():
        for q in net.parameters():
            q.copy_(draw(*q.shape) / q[0].numel() ** 0.5 if q.dim() > 1 else 1 + 0.3 * draw(*q.shape))
        net.batch.running_mean.copy_(0.3 * draw(WIDTH))
        net.batch.running_var.copy_(0.5 + draw(WIDTH).square())
    args.out.mkdir(parents=True, exist_ok=True)
    name, x = "legacy_opset11.onnx", draw(SAMPLES, WIDTH, ROWS, COLUMNS)
    torch.onnx.export(net, (x[:1],), args.out / name, dynamo=False, opset_version=11, input_names=["x"], output_names=["y"],
                      training=torch.onnx.TrainingMode.PRESERVE)
    v, u = draw(SAMPLES, TANGENTS, *x.shape[1:]), draw(SAMPLES, TANGENTS, *x.shape[1:])
    net, exact = net.double(), x.double()
    own = lambda y: net(y[None])[0]  # noqa: E731
    jacobians = torch.stack([torch.func.jacfwd(own)(y).reshape(y.numel(), y.numel()) for y in exact]).detach()
    columns, rows = (torch.randperm(x[0].numel(), generator=g)[:ENTRIES] for _ in range(2))
    flat = lambda t: t.double().flatten(2)  # noqa: E731
    with torch.no_grad():
        tensors = {"x": x, "v": v, "u": u, "f": net(exact), "jvp": (flat(v) @ jacobians.mT).reshape(v.shape),
                   "vjp": (flat(u) @ jacobians).reshape(u.shape), "idx_in": columns, "idx_out": rows,
                   "subjac": jacobians[:, rows][:, :, columns].contiguous()}
    save_file(tensors, args.out / "case.safetensors")
    facts = {"name": "spelled", "source": "tools/make_onnx_case.py", "licence": "as this project's", "seed": args.seed,
             "versions": {"torch": torch.__version__},
             "files": {name: {"call": {"dynamo": False, "opset_version": 11, "training": "PRESERVE"},
                              "inputs": [{"name": "x", "role": "x", "type": "tensor(float)", "shape": list(x[:1].shape)}]}}}
    (args.out / "case.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
