"""Small cases of options that no other shipped case has, for kernels-tests/authors.rs; weights are numbers of f16.

    python tools/differential/fixtures.py --authors FOLDER --out kernels-tests/authors
"""

import argparse
import shutil
from pathlib import Path

import torch
from run import make

NCSNPP = {"nf": 4, "ch_mult": [2, 1], "num_res_blocks": 1, "attn_resolutions": [12], "image_size": [8, 12], "num_channels": 2,
          "resblock_type": "biggan", "embedding_type": "fourier", "progressive": "output_skip",
          "progressive_input": "input_skip", "progressive_combine": "sum", "fir": True, "fir_kernel": [1, 3, 3, 1],
          "skip_rescale": True, "scale_by_sigma": True, "centered": False, "resamp_with_conv": True, "conditional": True,
          "nonlinearity": "swish", "sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 10}
POSITIONAL = {"embedding_type": "positional", "scale_by_sigma": True}

CASES = {
    # Multipliers that fall, sides that differ, another number of channels out.
    "mnist_falling": ("mnist_shuffle_unet", {
        "timesteps": 7, "time_embedding_dim": 5, "in_channels": 2, "out_channels": 3, "base_dim": 8, "dim_mults": [2, 1],
        "image_size": [8, 12]}, ()),
    # Lists by stage, which the way up reads from their end; a first width of its own; sides that differ.
    "lucid_lists": ("lucid_unet", {
        "dim": 4, "init_dim": 32, "dim_mults": [8, 8], "channels": 2, "attn_heads": [1, 3], "attn_dim_head": [6, 5],
        "full_attn": [True, False], "image_size": [5, 3]}, ()),
    # The input pyramid beside what it joins, filters in DDPM's blocks, ELU.
    "ncsnpp_cat": ("ncsnpp", {**NCSNPP, "progressive_combine": "cat", "resblock_type": "DDPM", "resamp_with_conv": False,
                              "nonlinearity": "elu"}, ()),
    # A longer filter that is no mirror image of itself, a filtered convolution, noise levels by number, in the file.
    "ncsnpp_filters": ("ncsnpp", {**NCSNPP, **POSITIONAL, "fir_kernel": [1, 4, 6, 4, 2], "progressive_input": "residual",
                                  "nonlinearity": "lrelu"}, ()),
    # The same, from the configuration; means and neighbours in DDPM's blocks, residual pyramids, ReLU.
    "ncsnpp_means": ("ncsnpp", {**NCSNPP, **POSITIONAL, "fir": False, "resblock_type": "ddpm", "resamp_with_conv": False,
                                "progressive": "residual", "progressive_input": "residual", "skip_rescale": False,
                                "nonlinearity": "relu"}, ("sigmas",)),
    # Told nothing; one level, whose residual pyramid nobody reads; no blocks on the way down; groups of five channels.
    "ncsnpp_alone": ("ncsnpp", {**NCSNPP, "nf": 5, "ch_mult": [1], "num_res_blocks": 0, "conditional": False,
                                "scale_by_sigma": False, "progressive": "residual", "image_size": [3, 5]}, ()),
    # A decoder that begins at the last but one multiplier; fewer levels and no blocks in the encoder; means and neighbours.
    "vae_sld_decoder": ("vae_sld", {
        "encoder": {"in_channels": 1, "resolution": [5, 3], "channels": 32, "channel_multipliers": [1], "z_channels": 2,
                    "num_res_blocks": 0, "resample_with_conv": False, "double_z": False},
        "decoder": {"in_channels": 1, "out_channels": 1, "resolution": [10, 6], "channels": 16, "channel_multipliers": [2, 2],
                    "z_channels": 2, "num_res_blocks": 0, "resample_with_conv": False},
        "vae": {"embed_dim": 3, "kld_weight": 1e-6}}, ()),
    # Images of any size: what is left of them is no square, and what comes back is as large as ever.
    "vae_sksq_wide": ("vae_sksq", {"image_channels": 1, "z_dim": 3, "enc_channels": [2, 3, 4, 3], "dec_channels": [4, 3, 2],
                                   "h_dim": 12, "image_size": [50, 101]}, ()),
    # A sum of a convolution and of two tensors side by side, the later one first, of six channels each.
    "ncsnpp_order": ("ncsnpp", {**NCSNPP, "nf": 6, "ch_mult": [2], "num_res_blocks": 0, "image_size": [5, 4],
                                "progressive": "none"}, ()),
}


def shapes(name: str, hyper: dict) -> dict:
    """What goes in, by map."""
    if name == "vae_sksq":
        image = [hyper["image_channels"], *hyper["image_size"]]
        return {"enc": image, "dec": [hyper["z_dim"]]}  # both in a row are large and show nothing more
    if name == "vae_sld":
        image = [1, *hyper["encoder"]["resolution"]]
        latent = [n >> (len(hyper["encoder"]["channel_multipliers"]) - 1) for n in image[1:]]
        return {"enc": image, "dec": [hyper["vae"]["embed_dim"], *latent], "rec": image}
    return {"": [hyper.get("channels") or hyper.get("num_channels") or hyper["in_channels"], *hyper["image_size"]]}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--authors", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args()
    for number, (name, (family, hyper, without)) in enumerate(CASES.items()):
        label = None if family.startswith("vae") else ("t", hyper.get("timesteps", 10))
        if hyper.get("embedding_type") == "fourier":
            label = ("sigma", 50.0)
        shutil.rmtree(args.out / name, ignore_errors=True)
        g = torch.Generator().manual_seed(20261126 + number)
        case = make(family, hyper, shapes(family, hyper), label, g, args.authors, args.out / name, without, half=True)
        bytes_ = sum(f.stat().st_size for f in (args.out / name).iterdir())
        print(f"{name}: {case['class']}; float32 PyTorch {case['float32']}; {bytes_} bytes")


if __name__ == "__main__":
    main()
