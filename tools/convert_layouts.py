"""The layouts that tools/convert.py reads: where the weights stand, hyper-parameters from shapes, expected tensors.

In: a checkpoint's tensors by dotted name (`flatten`). Out, of each reader: family, hyper-parameters, tensors in float32
under the code base's own names, the other keys of `config.json`, and notes for its provenance. A reader takes the shapes
that its hyper-parameters call for and nothing else (`fit`). Adding a code base is a reader and a line in three tables.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch

import reference_ncsnpp

Tensors = dict[str, torch.Tensor]
AVERAGED = {"ema", "ema_model", "ema_state_dict", "model_ema", "ema_network", "shadow"}  # parts of names of EMA weights
IGNORABLE = ("num_batches_tracked",)
OTHER = ("optimizer", "scheduler", "optim", "lr_scheduler")
BUFFERS = ("running_mean", "running_var", "sigmas")  # in the file, but not parameters

# hyper-parameters and process of score_sde_pytorch's configs/ve/*_ncsnpp_continuous.py
NCSNPP = {"nf": 128, "ch_mult": [1, 1, 2, 2, 2, 2, 2], "num_res_blocks": 2, "attn_resolutions": [16],
          **reference_ncsnpp.FIXED, "init_scale": 0.0, "fourier_scale": 16, "sigma_min": 0.01, "sigma_max": 348,
          "num_scales": 2000, "dropout": 0.0, "image_size": 256, "num_channels": 3, "centered": False}
LARGE = {**NCSNPP, "nf": 16, "ch_mult": [1, 2, 4, 8, 16, 32, 32, 32], "num_res_blocks": 1, "sigma_max": 1348,
         "image_size": 1024}
PRESETS = {"celebahq_256": NCSNPP, "ffhq_256": NCSNPP, "bedroom_256": {**NCSNPP, "sigma_max": 378},
           "celebahq_1024": LARGE, "ffhq_1024": LARGE}


class Refused(Exception):
    """Bad input; the message is one line."""


def plain(name: str) -> str:
    """A tensor's name without the `_orig_mod` that torch.compile puts before whatever it compiled."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def flatten(tree: Mapping, at: str = "") -> Tensors:
    """Every tensor under its dotted name; optimizers and lists are left out."""
    out: Tensors = {}
    for key, value in tree.items():
        found = {}
        if isinstance(value, torch.Tensor):
            found = {plain(at + str(key)): value}
        elif isinstance(value, Mapping) and not str(key).startswith(OTHER):
            found = flatten(value, f"{at}{key}.")
        if twice := next((k for k in found if k in out), None):
            raise Refused(f"tensor '{twice}' is there twice, with and without the _orig_mod of torch.compile in its name")
        out.update(found)
    return out


def prefixes(flat: Tensors, anchors: tuple[str, ...]) -> list[str]:
    """What stands before the anchors' names, wherever all of them are."""
    first = anchors[0]
    at = [k[:-len(first)] for k in flat if k == first or k.endswith("." + first)]
    return sorted((p for p in at if all(p + a in flat for a in anchors)), key=lambda p: (len(p), p))


def below(flat: Tensors, prefix: str) -> Tensors:
    return {k[len(prefix):]: v for k, v in flat.items() if k.startswith(prefix)}


def averaged(prefix: str) -> bool:
    parts = prefix.split(".")
    return "online_model" not in parts and bool(AVERAGED & set(parts))


def choose(flat: Tensors, anchors: tuple[str, ...], args) -> tuple[Tensors, dict]:
    """The weights asked for: of several places that hold the same network, the shortest, if they agree."""
    places = prefixes(flat, anchors)
    kinds = {"ema": [p for p in places if averaged(p)], "raw": [p for p in places if not averaged(p)]}
    weights = args.weights if args.weights != "auto" else "ema" if kinds["ema"] else "raw"
    if not kinds[weights]:
        other = ", ".join(repr(p) for p in places)
        raise Refused(f"{args.checkpoint}: no {weights} weights of this network; there are weights below {other}")
    chosen, *rest = kinds[weights]
    tensors = below(flat, chosen)
    for p in rest:
        same = below(flat, p)
        differ = next((k for k, v in tensors.items() if k not in same or not torch.equal(v, same[k])), None)
        if differ:
            raise Refused(f"{args.checkpoint}: {weights} weights below {chosen!r} and {p!r} differ, first in {differ}")
    return tensors, {"weights": weights, "prefix": chosen}


def fit(tensors: Tensors, expected: dict[str, tuple], what: str) -> Tensors:
    """The expected tensors in float32; anything missing, left over or of another shape is an error."""
    for name, shape in expected.items():
        if name.endswith(IGNORABLE):
            continue
        if name not in tensors:
            raise Refused(f"{what}: tensor '{name}' is missing, its shape would be {list(shape)}")
        if tuple(tensors[name].shape) != tuple(shape):
            raise Refused(f"{what}: tensor '{name}' is {list(tensors[name].shape)}, expected {list(shape)}")
    extra = next((k for k in tensors if k not in expected and not k.endswith(IGNORABLE)), None)
    if extra:
        raise Refused(f"{what}: tensor '{extra}' {list(tensors[extra].shape)} is not part of this network")
    return {k: tensors[k].detach().to(torch.float32).contiguous() for k in expected if not k.endswith(IGNORABLE)}


def alphabar(schedule: str, steps: int) -> torch.Tensor:
    """abar_k, k = 0..T-1, in float64, as src/model/process.rs has it."""
    q = torch.arange(steps + 1, dtype=torch.float64) / steps
    if schedule == "linear":
        beta = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps
    else:
        s = 1 / (1 + math.exp(-3))
        f = (torch.cos((q + 0.008) / 1.008 * math.pi / 2) ** 2 if schedule == "cosine"
             else (s - torch.sigmoid(6 * q - 3)) / (2 * s - 1))
        beta = 1 - f[1:] / f[:-1]
    return torch.cumprod(1 - beta.clamp(max=0.999), 0)


def vp_process(flat: Tensors, default: str, timesteps: int | None, args, note: dict) -> dict:
    """The schedule: that of the checkpoint's buffer if there is one, else as asked for, else the code base's own."""
    names = ("alphas_cumprod", "alpha_bar", "alpha_bars")
    found = sorted((k for k, v in flat.items() if k.rsplit(".", 1)[-1] in names and v.ndim == 1),
                   key=lambda k: (averaged(k), len(k)))
    schedule, steps = args.schedule or default, args.timesteps or timesteps or 1000
    if found:
        buffer = flat[found[0]].double()
        steps = len(buffer)
        off = {s: (alphabar(s, steps) - buffer).abs().max().item() for s in ("cosine", "sigmoid", "linear")}
        fits = min(off, key=off.get)
        if not off[fits] <= 1e-5:
            raise Refused(f"{found[0]} ({steps} timesteps) is no known schedule; nearest: {fits}, off by {off[fits]:.1e}")
        for name, asked, there in (("schedule", args.schedule, fits), ("timesteps", args.timesteps, steps)):
            if asked and asked != there:
                raise Refused(f"--{name} {asked}: the checkpoint's {found[0]} says {there}")
        schedule = fits
        note["schedule"] = f"from {found[0]}, which differs from the formula by {off[fits]:.1e} at most"
    else:
        note["schedule"] = "from --schedule" if args.schedule else "the code base's default; no buffer in the checkpoint"
    if timesteps and timesteps != steps:
        raise Refused(f"the network has a table of {timesteps} timesteps, the process {steps}")
    return {"kind": "vp", "schedule": schedule, "timesteps": steps}


def network(process: dict, prediction: str, data_range) -> dict:
    return {"process": process, "prediction": prediction, "data_range": data_range}


def latent(args, shape: list[int], data_range) -> dict:
    """Keys of an autoencoder's config; --latent-shape may fold the same number of components otherwise."""
    if args.latent_shape and math.prod(args.latent_shape) != math.prod(shape):
        raise Refused(f"--latent-shape {args.latent_shape}: the autoencoder's latents are {shape}")
    shape = args.latent_shape or shape
    return {"data_range": data_range, "latent": {"shape": shape, "scale": args.latent_scale}}


def from_mnist(flat: Tensors, _, args):
    from train_mnist import ShuffleUNet

    tensors, note = choose(flat, ANCHORS["mnist"], args)
    table, first = tensors["time_embedding.weight"], tensors["init_conv.module.0.weight"]
    base = first.shape[0]
    mults = []
    while (name := f"encoder_blocks.{len(mults)}.time_mlp.mlp.0.weight") in tensors:
        mults.append(tensors[name].shape[0] / base)
    hyper = {"timesteps": table.shape[0], "time_embedding_dim": table.shape[1], "in_channels": first.shape[1],
             "out_channels": tensors["final_conv.weight"].shape[0], "base_dim": base,
             "dim_mults": [int(m) for m in mults], "image_size": args.image_size or 28}
    if not mults or any(m != int(m) for m in mults) or base % 2:
        raise Refused(f"widths {base} and multipliers {mults} are no MNISTDiffusion network")
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in ShuffleUNet(**hyper).state_dict().items()}
    process = vp_process(flat, "cosine", hyper["timesteps"], args, note)
    return "mnist_shuffle_unet", hyper, fit(tensors, expected, "MNISTDiffusion"), network(process, "eps", [-1.0, 1.0]), note


def linear(out: dict, name: str, cout: int, *cin: int) -> None:
    out[name + ".weight"], out[name + ".bias"] = (cout, *cin), (cout,)


def lucid_shapes(h: dict) -> dict[str, tuple]:
    dim, mults, hidden = h["dim"], h["dim_mults"], h["attn_heads"] * h["attn_dim_head"]
    widths, out = [dim * m for m in mults], {}

    def block(name, cin, cout):
        for half, c in (("block1", cin), ("block2", cout)):
            for proj in ("gamma_proj", "beta_proj"):
                linear(out, f"{name}.{half}.norm.{proj}", c, 4 * dim)
            linear(out, f"{name}.{half}.proj", cout, c, 3, 3)
        if cin != cout:
            linear(out, f"{name}.res_conv", cout, cin, 1, 1)
        out[f"{name}.residual_scale"] = ()

    def attention(name, c, full):
        out[f"{name}.to_qkv.weight"] = (3 * hidden, c, 1, 1)
        linear(out, f"{name}.to_out" if full else f"{name}.to_out.0", c, hidden, 1, 1)
        if not full:
            out[f"{name}.to_out.1.g"] = (1, c, 1, 1)

    linear(out, "init_conv", dim, h["channels"], 7, 7)
    linear(out, "time_mlp.1", 4 * dim, dim)
    linear(out, "time_mlp.3", 4 * dim, 4 * dim)
    stages = list(zip(widths[:-1], widths[1:]))
    for i, (a, b) in enumerate(stages):
        block(f"downs.{i}.0", a, a), block(f"downs.{i}.1", a, a)
        attention(f"downs.{i}.2", a, False)
        last = i + 1 == len(stages)
        linear(out, f"downs.{i}.3" + ("" if last else ".downsample"), b, a, *((3, 3) if last else (4, 4)))
    block("mid_block1", widths[-1], widths[-1]), block("mid_block2", widths[-1], widths[-1])
    attention("mid_attn", widths[-1], True)
    for i, (a, b) in enumerate(reversed(stages)):
        block(f"ups.{i}.0", a + b, b), block(f"ups.{i}.1", a + b, b)
        attention(f"ups.{i}.2", b, i == 0)  # the flag "full" belongs to the last multiplier, which only `ups` reaches
        if i + 1 == len(stages):
            linear(out, f"ups.{i}.3", a, b, 3, 3)
        else:
            out[f"ups.{i}.3.upsample.weight"], out[f"ups.{i}.3.upsample.bias"] = (b, a, 4, 4), (a,)
    block("final_res_block", 2 * dim, dim)
    linear(out, "final_conv", h["channels"], dim, 1, 1)
    return out


def from_lucid(flat: Tensors, _, args):
    tensors, note = choose(flat, ANCHORS["lucid"], args)
    first = tensors["init_conv.weight"]
    dim = first.shape[0]
    widths = []
    while (name := f"downs.{len(widths)}.0.block1.proj.weight") in tensors:
        widths.append(tensors[name].shape[1])
    widths.append(tensors["mid_attn.to_qkv.weight"].shape[1])
    hidden = tensors["mid_attn.to_qkv.weight"].shape[0] // 3
    if any(w % dim for w in widths) or hidden % args.attn_heads:
        raise Refused(f"no such network: widths {widths}, dim {dim}, attention width {hidden} in {args.attn_heads} heads")
    conditional = next((k for k in tensors if "cond" in k or "y_emb" in k or "class" in k), None)
    if conditional:
        raise Refused(f"tensor '{conditional}': a conditional network; only unconditional ones are read")
    hyper = {"dim": dim, "dim_mults": [w // dim for w in widths], "channels": first.shape[1],
             "attn_dim_head": hidden // args.attn_heads, "attn_heads": args.attn_heads}
    weights = fit(tensors, lucid_shapes(hyper), "simple-latent-diffusion-model")
    process = vp_process(flat, "sigmoid", None, args, note)
    if args.image_size:
        hyper["image_size"] = args.image_size
    return "lucid_unet", hyper, weights, network(process, "eps", [-1.0, 1.0]), note


def vae_sld_shapes(h: dict) -> dict[str, tuple]:
    out, embed = {}, h["vae"]["embed_dim"]

    def block(name, cin, cout):
        for i, c in (("1", cin), ("2", cout)):
            out[f"{name}.norm{i}.weight"] = out[f"{name}.norm{i}.bias"] = (c,)
            linear(out, f"{name}.conv{i}", cout, c, 3, 3)
        if cin != cout:
            linear(out, f"{name}.nin_shortcut", cout, cin, 1, 1)

    def ends(side, cin, first, last, cout):
        linear(out, f"{side}.conv_in", first, cin, 3, 3)
        linear(out, f"{side}.conv_out", cout, last, 3, 3)
        out[f"{side}.norm_out.weight"] = out[f"{side}.norm_out.bias"] = (last,)

    e, d = h["encoder"], h["decoder"]
    widths = [e["channels"] * m for m in e["channel_multipliers"]]
    c = e["channels"]
    for i, w in enumerate(widths):
        for j in range(e["num_res_blocks"]):
            block(f"encoder.down.{i}.block.{j}", c, w)
            c = w
        if i + 1 < len(widths):
            linear(out, f"encoder.down.{i}.downsample.conv", c, c, 3, 3)
    block("encoder.mid.block_1", c, c), block("encoder.mid.block_2", c, c)
    ends("encoder", e["in_channels"], e["channels"], c, 2 * e["z_channels"])
    widths = [d["channels"] * m for m in d["channel_multipliers"]]
    first = c = ([d["channels"]] + widths)[-2]  # the decoder starts at the width before its last level
    block("decoder.mid.block_1", c, c), block("decoder.mid.block_2", c, c)
    for i, w in reversed(list(enumerate(widths))):
        for j in range(d["num_res_blocks"] + 1):
            block(f"decoder.up.{i}.block.{j}", c, w)
            c = w
        if i:
            linear(out, f"decoder.up.{i}.upsample.conv", c, c, 3, 3)
    ends("decoder", d["z_channels"], first, c, d["out_channels"])
    linear(out, "quant_conv", 2 * embed, d["z_channels"], 1, 1)
    linear(out, "post_quant_conv", d["z_channels"], embed, 1, 1)
    return out


def from_vae_sld(flat: Tensors, _, args):
    tensors, note = choose(flat, ANCHORS["vae_sld"], args)
    size, embed = args.image_size or 32, tensors["post_quant_conv.weight"].shape[1]

    def half(side, levels, start, **more):
        count = lambda at: next(n for n in range(1000) if f"{side}.{at.format(n)}" not in tensors)  # noqa: E731
        n = count(levels + ".{}.block.0.conv1.weight")
        widths = [tensors[f"{side}.{levels}.{i}.block.0.conv1.weight"].shape[0] for i in range(n)]
        base = tensors["encoder.conv_in.weight"].shape[0]
        if not n or any(w % base for w in widths):
            raise Refused(f"{side} widths {widths} are no multiples of {base}")
        blocks = count(levels + ".0.block.{}.conv1.weight") - start
        return {"in_channels": tensors["encoder.conv_in.weight"].shape[1], **more, "resolution": size, "channels": base,
                "channel_multipliers": [w // base for w in widths], "num_res_blocks": blocks, "dropout": 0.0}

    encoder = half("encoder", "down", 0, z_channels=tensors["encoder.conv_out.weight"].shape[0] // 2)
    decoder = half("decoder", "up", 1, z_channels=tensors["decoder.conv_in.weight"].shape[1],
                   out_channels=tensors["decoder.conv_out.weight"].shape[0])
    hyper = {"encoder": encoder, "decoder": decoder, "vae": {"embed_dim": embed, "kld_weight": args.kld_weight}}
    small = size // 2 ** (len(encoder["channel_multipliers"]) - 1)
    config = latent(args, [embed, small, small], [-1.0, 1.0])
    return "vae_sld", hyper, fit(tensors, vae_sld_shapes(hyper), "simple-latent-diffusion-model"), config, note


def from_sksq(flat: Tensors, _, args):
    tensors, note = choose(flat, ANCHORS["sksq"], args)
    enc = [tensors[f"encoder.{i}.weight"].shape[0] for i in (0, 2, 4, 6)]
    dec = [tensors[f"decoder.{i}.weight"].shape[1] for i in (1, 3, 5)]
    z, h = tensors["fc1.weight"].shape
    image = tensors["encoder.0.weight"].shape[1]
    if h != 4 * enc[-1]:
        raise Refused(f"h_dim {h} is not 4 x {enc[-1]}: the encoder of pytorch-vae takes 64 x 64 images to 2 x 2")
    expected: dict[str, tuple] = {}
    for i, (a, b) in zip((0, 2, 4, 6), zip([image] + enc, enc)):
        linear(expected, f"encoder.{i}", b, a, 4, 4)
    for i, k, a, b in zip((1, 3, 5, 7), (5, 5, 6, 6), [h] + dec, dec + [image]):
        expected[f"decoder.{i}.weight"], expected[f"decoder.{i}.bias"] = (a, b, k, k), (b,)
    for name, shape in (("fc1", (z, h)), ("fc2", (z, h)), ("fc3", (h, z))):
        linear(expected, name, *shape)
    hyper = {"image_channels": image, "h_dim": h, "z_dim": z, "enc_channels": enc, "dec_channels": dec}
    return "vae_sksq", hyper, fit(tensors, expected, "pytorch-vae"), latent(args, [z, 1, 1], [0.0, 1.0]), note


def ncsnpp_hyper(model: Tensors, args) -> tuple[str, dict]:
    """The hyper-parameters asked for, or the one preset that fits; `sigmas` in the checkpoint must agree."""
    if args.hyper:
        text = args.hyper if args.hyper.lstrip().startswith("{") else Path(args.hyper).read_text()
        given = json.loads(text)
        tried = {"--hyper": {**NCSNPP, **given.get("hyper", given)}}
        unknown = set(tried["--hyper"]) - set(NCSNPP)
        if unknown:
            raise Refused(f"--hyper: {sorted(unknown)[0]!r} is no hyper-parameter of NCSN++; known: {', '.join(NCSNPP)}")
        for key, value in tried["--hyper"].items():
            numbers = isinstance(value, (int, float)) and isinstance(NCSNPP[key], (int, float))
            if type(value) is not type(NCSNPP[key]) and not numbers:
                raise Refused(f"--hyper: {key} = {value!r} is no {type(NCSNPP[key]).__name__}")
    else:
        tried = {args.preset: PRESETS[args.preset]} if args.preset else PRESETS
    why = {}
    for name, hyper in tried.items():
        try:
            fit(model, reference_ncsnpp.shapes(hyper), name)
            s = model["sigmas"].double()
            ends = (s.max().item(), s.min().item())
            if not all(math.isclose(a, hyper[k], rel_tol=1e-5) for a, k in zip(ends, ("sigma_max", "sigma_min"))):
                raise Refused(f"{name}: sigmas run from {ends[0]:.6g} to {ends[1]:.6g}, "
                              f"expected {hyper['sigma_max']} to {hyper['sigma_min']}")
            return name, hyper
        except (Refused, ValueError) as e:
            why[name] = str(e)
    if len(why) == 1:
        raise Refused(next(iter(why.values())))
    raise Refused(f"the shapes fit no preset ({', '.join(why)}); give --hyper JSON. {next(iter(why.values()))}")


def from_score_sde(flat: Tensors, checkpoint: Mapping, args):
    """EMA weights are a bare list in the order of the parameters that require gradients: all but the Fourier matrix."""
    model = checkpoint.get("model") if isinstance(checkpoint.get("model"), Mapping) else checkpoint
    model = {plain(k).removeprefix("module."): v for k, v in model.items() if isinstance(v, torch.Tensor)}
    ema = checkpoint.get("ema")
    shadow = ema.get("shadow_params") if isinstance(ema, Mapping) else None
    weights = args.weights if args.weights != "auto" else "ema" if shadow else "raw"
    note = {"weights": weights}
    if isinstance(checkpoint.get("step"), int):
        note["step"] = checkpoint["step"]
    if "sigmas" not in model:
        raise Refused("tensor 'sigmas' is missing: not a score_sde_pytorch network")
    note["hyper"], hyper = ncsnpp_hyper(model, args)
    if weights == "ema":
        if not shadow:
            raise Refused(f"{args.checkpoint}: no ema weights: key 'ema' with 'shadow_params' is missing")
        names = [k for k in model if k not in ("sigmas", "all_modules.0.W")]
        if len(names) != len(shadow):
            raise Refused(f"ema.shadow_params has {len(shadow)} tensors, the model {len(names)} trained parameters")
        for i, (name, t) in enumerate(zip(names, shadow)):
            if t.shape != model[name].shape:
                raise Refused(f"ema.shadow_params[{i}] is {list(t.shape)}, parameter '{name}' {list(model[name].shape)}")
        model.update(zip(names, shadow))
        note.update({k: ema[k] for k in ("decay", "num_updates") if isinstance(ema.get(k), (int, float))})
    process = {"kind": "ve", "sigma_min": hyper["sigma_min"], "sigma_max": hyper["sigma_max"],
               "timesteps": hyper["num_scales"]}
    tensors = fit(model, reference_ncsnpp.shapes(hyper), "score_sde_pytorch")
    return "ncsnpp", hyper, tensors, network(process, "score", [0.0, 1.0]), note


ANCHORS = {
    "mnist": ("time_embedding.weight", "init_conv.module.0.weight", "final_conv.weight"),
    "lucid": ("init_conv.weight", "mid_attn.to_qkv.weight", "downs.0.0.block1.proj.weight"),
    "vae_sld": ("quant_conv.weight", "post_quant_conv.weight", "encoder.conv_in.weight", "decoder.conv_in.weight",
                "encoder.conv_out.weight", "decoder.conv_out.weight"),
    "sksq": ("fc1.weight", "fc2.weight", "fc3.weight", *(f"encoder.{i}.weight" for i in (0, 2, 4, 6)),
             *(f"decoder.{i}.weight" for i in (1, 3, 5, 7))),
    "score_sde": ("all_modules.0.W", "all_modules.3.weight"),
}
READERS = {"mnist": from_mnist, "lucid": from_lucid, "vae_sld": from_vae_sld, "sksq": from_sksq,
           "score_sde": from_score_sde}
CODE = {"mnist": "bot66/MNISTDiffusion", "lucid": "simple-latent-diffusion-model",
        "vae_sld": "simple-latent-diffusion-model", "sksq": "sksq96/pytorch-vae",
        "score_sde": "yang-song/score_sde_pytorch"}
