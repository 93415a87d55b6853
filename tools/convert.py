"""PyTorch checkpoints of the paper's networks and autoencoders to vorticity model directories.

    python tools/convert.py CHECKPOINT.pt OUT_DIR [--from CODE_BASE] [--weights auto|ema|raw] [--check vorticity]

In: a file that `torch.load(..., weights_only=True)` reads (no pickled code runs). Code bases, told apart by their tensors:
mnist (bot66/MNISTDiffusion), sld (simple-latent-diffusion-model: network or autoencoder), score_sde (score_sde_pytorch,
NCSN++ of the VE kind), sksq (sksq96/pytorch-vae). EMA weights are taken where the checkpoint has them.
Out: `config.json` + `model.safetensors`, float32, tensor names of the code base; the folder appears whole or not at all.
Hyper-parameters come from shapes; what shapes do not tell (image size, attention heads) has options. Every tensor must fit
the hyper-parameters and none may be left over; a noise schedule stored in the checkpoint must be the one that is written.
The file is read back and compared bit for bit. Errors: one line, exit code 2; 1 if `vorticity inspect` refuses the result.
"""

import argparse
import hashlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from convert_layouts import ANCHORS, BUFFERS, CODE, PRESETS, READERS, Refused, Tensors, flatten, prefixes

# What NumPy's numbers are made of: losses are often saved as such, and they run no code.
_scalar = np.float64(0).__reduce__()[0]
NUMBERS = [np.dtype, type(np.dtype("f4")), type(np.dtype("f8")), type(np.dtype("i8")),
           (_scalar, "numpy.core.multiarray.scalar"), (_scalar, "numpy._core.multiarray.scalar")]


def read_checkpoint(path: Path) -> Mapping:
    with path.open("rb") as file:
        head = file.read(2)
    if head != b"PK" and head[:1] != b"\x80":  # a zip archive, or the pickle of PyTorch before 1.6
        raise Refused(f"{path}: not a PyTorch checkpoint: neither a zip archive nor a pickle")
    try:
        with torch.serialization.safe_globals(NUMBERS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        what = re.search(r"GLOBAL (\S+)", str(e))
        raise Refused(f"{path}: holds objects other than tensors, which could run code and are not loaded"
                      f"{': ' + what[1] if what else ''}") from None
    except Exception as e:
        raise Refused(f"{path}: not a whole PyTorch checkpoint: {' '.join(str(e).split())[:120]}") from None
    if not isinstance(found, Mapping):
        raise Refused(f"{path}: not a checkpoint: holds a {type(found).__name__}, expected a dictionary of tensors")
    return found


def recognise(flat: Tensors, args) -> str:
    found = [kind for kind, anchors in ANCHORS.items() if prefixes(flat, anchors)]
    if args.source:
        found = [k for k in found if k in (("lucid", "vae_sld") if args.source == "sld" else (args.source,))]
    if args.part:
        found = [k for k in found if (k in ("vae_sld", "sksq")) == (args.part == "vae")]
    if not found:
        some = ", ".join(list(flat)[:3]) or "no tensors at all"
        known = ", ".join(sorted(set(CODE.values())))
        what = f"a checkpoint of {args.source}" if args.source else f"a known layout ({known})"
        raise Refused(f"{args.checkpoint}: not {what}; it holds {some}{', ..' if len(flat) > 3 else ''}")
    return found[0]


def same_bits(a: Tensors, b: Tensors) -> bool:
    bits = lambda t: t.reshape(-1).view(torch.int32)  # noqa: E731
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape and torch.equal(bits(a[k]), bits(b[k])) for k in a)


def write(out: Path, config: dict, tensors: Tensors) -> None:
    """The directory, read back and compared bit for bit before it gets its name."""
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    try:
        save_file(tensors, work / "model.safetensors")
        (work / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        if not same_bits(load_file(work / "model.safetensors"), tensors):
            raise Refused(f"{work}: what was written does not read back bit for bit")
        mask = os.umask(0)
        os.umask(mask)
        work.chmod(0o777 & ~mask)
        (work / "model.safetensors").chmod(0o666 & ~mask)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def convert(args) -> int:
    out = args.out.absolute()
    if out.exists():
        raise Refused(f"{args.out}: exists already")
    checkpoint = read_checkpoint(args.checkpoint)
    flat = flatten(checkpoint)
    kind = recognise(flat, args)
    family, hyper, tensors, config, note = READERS[kind](flat, checkpoint, args)
    if args.data_range:
        config["data_range"] = args.data_range
    bad = {k: n for k, v in tensors.items() if (n := int((~v.isfinite()).sum()))}
    parameters = sum(v.numel() for k, v in tensors.items() if not k.endswith(BUFFERS))
    print(f"{family} ({CODE[kind]}), {note['weights']} weights: {len(tensors)} tensors, {parameters} parameters, "
          f"{sum(bad.values())} numbers that are not finite")
    if bad:
        raise Refused(f"tensor '{next(iter(bad))}' holds {next(iter(bad.values()))} numbers that are not finite")
    provenance = {"code": CODE[kind], "checkpoint": args.checkpoint.name, "converter": "tools/convert.py",
                  "sha256": sha256(args.checkpoint), **note}
    write(out, {"vorticity_config": 1, "family": family, "hyper": hyper, **config, "provenance": provenance}, tensors)
    print(f"{args.out}: config.json and model.safetensors, read back bit for bit")
    if args.check:
        done = subprocess.run([args.check, "inspect", str(out)], capture_output=True, text=True)
        print((done.stdout if done.returncode == 0 else done.stderr).rstrip())
        if done.returncode:
            print(f"convert: {args.check} inspect: exit code {done.returncode}", file=sys.stderr)
            return 1
    return 0


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint", type=Path)
    p.add_argument("out", type=Path, help="model directory to write; must not exist")
    p.add_argument("--from", dest="source", choices=["mnist", "sld", "score_sde", "sksq"],
                   help="code base (default: recognised by its tensors)")
    p.add_argument("--part", choices=["network", "vae"], help="if the checkpoint has both (default: network)")
    p.add_argument("--weights", choices=["auto", "ema", "raw"], default="auto", help="auto: EMA where there are any")
    p.add_argument("--schedule", choices=["cosine", "sigmoid", "linear"], help="where the checkpoint has no buffer of it")
    p.add_argument("--timesteps", type=int, help="where the checkpoint has no buffer of the schedule")
    p.add_argument("--preset", choices=PRESETS, help="score_sde: a published configuration (default: the one that fits)")
    p.add_argument("--hyper", metavar="JSON", help="score_sde: file or text; keys left out are those of celebahq_256")
    p.add_argument("--image-size", type=int, help="pixels a side, which shapes do not tell (mnist: 28; sld: autoencoder 32, "
                   "network: left out)")
    p.add_argument("--attn-heads", type=int, default=4, help="sld network")
    p.add_argument("--kld-weight", type=float, default=1e-6, help="sld autoencoder, for the record")
    p.add_argument("--latent-shape", type=int, nargs=3, metavar=("C", "H", "W"), help="autoencoders: how z is folded")
    p.add_argument("--latent-scale", type=float, default=1.0, help="autoencoders: the network sees scale times z")
    p.add_argument("--data-range", type=float, nargs=2, metavar=("LO", "HI"), help="what 0 and 255 of an image map to")
    p.add_argument("--check", metavar="VORTICITY", help="run `VORTICITY inspect` on the result")
    args = p.parse_args()
    torch.set_num_threads(1)
    try:
        sys.exit(convert(args))
    except (Refused, OSError, ValueError) as e:
        print(f"convert: {e}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
