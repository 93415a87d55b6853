"""A model that this project reads by itself as ONNX files, for comparing the two ways in (docs/ONNX.md, kernels-tests/onnx_native.rs).

    python tools/export_onnx.py MODEL_DIR OUT.onnx [--legacy] [--opset N] [--dynamic]

MODEL_DIR is a model directory (families mnist_shuffle_unet and lucid_unet, by tools/mnist_net.py and tools/lucid_net.py) or a folder
of diffusers with a UNet2DModel without classes. --legacy takes PyTorch's older exporter, which writes opsets from 11 on; without
it the newer one, from 18 on. --dynamic leaves the batch's size open. Out: OUT.onnx, its weights in it, inputs `x` [N, C, H, W] f32 and
`t` [N], output `y`; beside it OUT.toml with what the file cannot say. The file is run by onnxruntime and compared with PyTorch.
"""

import argparse
import hashlib
import json
import os
import sys
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch
from lucid_net import LucidUnet
from mnist_net import ShuffleUNet
from safetensors.torch import load_file
from torch import nn

SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
PREDICTIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}


class Bare(nn.Module):
    """UNet2DModel as a function of x and t alone."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        return self.net(x, t, return_dict=False)[0]


class Positional(nn.Module):
    """Our networks under one pair of names for what they are given."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x, t):
        return self.net(x, t)


def ours(folder: Path, config: dict) -> tuple:
    """Network, shape of x, facts."""
    h, family = config["hyper"], config["family"]
    if family == "mnist_shuffle_unet":
        size = h["image_size"] if isinstance(h["image_size"], list) else [h["image_size"]] * 2
        net, shape = ShuffleUNet(**h), [h["in_channels"], *size]
    elif family == "lucid_unet":
        size = h.get("image_size", 16)
        net, shape = LucidUnet(**h), [h["channels"], *(size if isinstance(size, list) else [size] * 2)]
    else:
        sys.exit(f"{folder}: family {family}, expected mnist_shuffle_unet or lucid_unet")
    weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    missing, unknown = net.load_state_dict(weights, strict=False)
    if unknown or any(not k.endswith("num_batches_tracked") for k in missing):
        sys.exit(f"{folder}: {missing} are missing, {unknown} are not known")
    return Positional(net), shape, {key: config[key] for key in ("process", "prediction", "data_range") if key in config}


def of_diffusers(folder: Path) -> tuple:
    """Network, shape of x, facts."""
    from diffusers import UNet2DModel

    net = UNet2DModel.from_pretrained(folder)
    if net.config.num_class_embeds is not None or net.config.class_embed_type is not None:
        sys.exit(f"{folder}: is told a class, which is not supported here")
    size = net.config.sample_size
    shape = [net.config.in_channels, *(size if isinstance(size, (list, tuple)) else [size] * 2)]
    scheduler = json.loads((folder / "scheduler_config.json").read_text())
    if scheduler["_class_name"] == "ScoreSdeVeScheduler":
        process = {"kind": "ve", "sigma_min": scheduler["sigma_min"], "sigma_max": scheduler["sigma_max"],
                   "timesteps": scheduler["num_train_timesteps"]}
        return Bare(net), shape, {"process": process, "prediction": "score", "data_range": [0.0, 1.0]}
    schedule = SCHEDULES.get(scheduler["beta_schedule"])
    if schedule is None or scheduler.get("trained_betas") or scheduler.get("rescale_betas_zero_snr"):
        sys.exit(f"{folder}: this schedule of betas is not supported here")
    process = {"kind": "vp", "schedule": schedule, "timesteps": scheduler["num_train_timesteps"]}
    if schedule != "cosine":
        process |= {"beta_start": scheduler["beta_start"], "beta_end": scheduler["beta_end"]}
    prediction = PREDICTIONS[scheduler["prediction_type"]]
    return Bare(net), shape, {"process": process, "prediction": prediction, "data_range": [-1.0, 1.0]}


def toml(value) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def described(facts: dict, provenance: dict) -> str:
    tables = {**{key: f"{key} = {toml(v)}" for key, v in facts.items()}}
    return "\n".join([*tables.values(), "", "[provenance]", *(f"{k} = {toml(v)}" for k, v in provenance.items()), ""])


def export(net: nn.Module, given: tuple, path: Path, legacy: bool, opset: int | None, dynamic: bool) -> None:
    batch = torch.export.Dim("batch") if dynamic and not legacy else None
    names = {"input_names": ["x", "t"], "output_names": ["y"], "opset_version": opset}
    if legacy:
        axes = {name: {0: "batch"} for name in ("x", "t", "y")} if dynamic else None
        torch.onnx.export(net, given, path, dynamo=False, dynamic_axes=axes, **names)
        return
    shapes = {"x": {0: batch}, "t": {0: batch}} if dynamic else None
    program = torch.onnx.export(net, given, dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
    for node in program.model.graph:
        node.metadata_props.clear()  # the exporter's stack traces: more bytes than small weights
    program.save(path, external_data=False)


def checked(net: nn.Module, given: tuple, path: Path) -> float:
    """Largest difference of onnxruntime's values and PyTorch's, of the largest value."""
    with torch.no_grad():
        want = net(*given)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {port.name: value.numpy() for port, value in zip(session.get_inputs(), given, strict=True)}
    found = torch.from_numpy(session.run(None, feeds)[0])
    return ((found - want).abs().max() / want.abs().max()).item()


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--legacy", action="store_true")
    p.add_argument("--opset", type=int)
    p.add_argument("--dynamic", action="store_true")
    args = p.parse_args()
    warnings.filterwarnings("ignore")
    config = json.loads((args.model / "config.json").read_text())
    net, shape, facts = ours(args.model, config) if "hyper" in config else of_diffusers(args.model)
    net = net.eval()
    told = facts.get("process", {}).get("kind") in ("ve", "sigmas")
    count = 2 if args.dynamic else 1  # a batch of one would be taken for fixed
    g = torch.Generator().manual_seed(1)
    label = torch.rand(count, generator=g) + 0.5 if told else torch.randint(100, 900, (count,), generator=g)
    given = (torch.randn(count, *shape, generator=g), label)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export(net, given, args.out, args.legacy, args.opset, args.dynamic)
    gap = checked(net, given, args.out)
    file = onnx.load(args.out)
    provenance = {"model": args.model.name, "weights_sha256": weights_sha256(args.model),
                  "exporter": f"torch {torch.__version__}, dynamo={not args.legacy}".lower(),
                  "opset": next(o.version for o in file.opset_import if o.domain == "")}
    if "autoencoder" in config:  # where it lies, seen from the file
        facts["autoencoder"] = os.path.relpath(args.model / config["autoencoder"], args.out.parent)
        facts |= {key: config[key] for key in ("posterior",) if key in config}
    facts = {"x": "x", "label": "t", "output": "y", "shape": shape, **facts}
    args.out.with_suffix(".toml").write_text(described(facts, provenance))
    print(f"{args.out}: opset {provenance['opset']}, {len(file.graph.node)} nodes, "
          f"{args.out.stat().st_size} bytes, {gap:.1e} from PyTorch")
    sys.exit(not gap <= 1e-4)


def weights_sha256(folder: Path) -> str:
    found = [f for f in ("model.safetensors", "diffusion_pytorch_model.safetensors") if (folder / f).exists()]
    return hashlib.sha256((folder / found[0]).read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
