"""One row per family: how a random configuration is drawn and what runs it. In: a generator of numbers. Out: hyper-parameters
as `config.json` has them, and the sizes of what goes in. Some of the configurations are such that the class itself fails; then
the engine must refuse them."""

import random
from dataclasses import dataclass
from typing import Callable

import authors


@dataclass
class Family:
    """`draw(rng)` gives (hyper, shapes of the inputs by map, kind of label); `build(folder, hyper)` the authors' network."""

    draw: Callable
    build: Callable
    maps: Callable


def sides(rng: random.Random, unit: int, most: int) -> list[int]:
    """Height and width, multiples of `unit` up to `most`; sometimes a square, seldom something that is no multiple."""
    least = 1 if rng.random() < 0.3 else 2
    choose = lambda: unit * rng.randint(least, max(least, most // unit))  # noqa: E731
    h = choose()
    both = [h, h if rng.random() < 0.2 else choose()]
    if unit > 1 and rng.random() < 0.06:
        both[rng.randrange(2)] += rng.randint(1, unit - 1)
    return both


def size(both: list[int]):
    return both[0] if both[0] == both[1] else both


def multipliers(rng: random.Random, most_levels: int, most: int) -> list[int]:
    """In any order: rising, falling, repeated, one alone."""
    return [rng.randint(1, most) for _ in range(rng.randint(1, most_levels))]


def mnist(rng):
    mults, channels = multipliers(rng, 3, 4), rng.randint(1, 4)
    timesteps = rng.choice([1, 7, 1000])
    both = sides(rng, 2 ** len(mults), 16)
    hyper = {"timesteps": timesteps, "time_embedding_dim": rng.randint(1, 40), "in_channels": channels,
             "out_channels": channels if rng.random() < 0.8 else rng.randint(1, 4),
             "base_dim": rng.choice([4, 4, 8, 8, 12, 16, 20, 6]), "dim_mults": mults, "image_size": size(both)}
    return hyper, {"": [channels, *both]}, ("t", timesteps)


def lucid(rng):
    levels = rng.randint(1, 4)
    dim, unit = rng.choice([(32, 1), (32, 1), (64, 1), (16, 2), (8, 4), (4, 8), (96, 1), (5, 32), (24, 4)])
    most = max(1, 96 // (dim * unit))
    mults = [unit * rng.choice([1, 1, most]) for _ in range(levels)]
    if rng.random() < 0.04:
        mults[-1] += 1  # widths that 32 groups need not divide
    stages = levels - 1
    per = lambda draw: draw() if rng.random() < 0.5 else [draw() for _ in range(levels + rng.choice([0, 0, 0, -1, 1]))]  # noqa: E731
    heads, head = per(lambda: rng.randint(1, 4)), per(lambda: rng.randint(1, 12))
    full = rng.choice([None, None, False, True, [rng.random() < 0.5 for _ in range(levels)]])
    both = sides(rng, 2 ** max(stages - 1, 0), 6 if dim * unit > 64 else 9)
    channels = rng.randint(1, 4)
    hyper = {"dim": dim, "dim_mults": mults, "channels": channels, "attn_heads": heads, "attn_dim_head": head,
             "full_attn": full, "image_size": size(both)}
    if mults[0] != 1 or rng.random() < 0.3:
        hyper["init_dim"] = dim * mults[0]
    if rng.random() < 0.3:
        hyper["out_dim"] = rng.choice([channels, rng.randint(1, 4)])
    if rng.random() < 0.5:
        hyper["dropout"] = 0.1
    return hyper, {"": [channels, *both]}, ("t", 1000)


def ncsnpp(rng):
    mults = multipliers(rng, 4, 3)
    both = sides(rng, 2 ** (len(mults) - 1), 16)
    widths = [both[1] >> i for i in range(len(mults))]
    channels, embedding, conditional = rng.randint(1, 4), rng.choice(["fourier", "positional"]), rng.random() < 0.85
    word = lambda *words: rng.choice([str.lower, str.upper])(rng.choice(words))  # noqa: E731
    hyper = {
        "nf": rng.choice([4, 4, 8, 8, 12, 16, 20, 5, 6, 10]), "ch_mult": mults, "num_res_blocks": rng.choice([1, 1, 2, 0]),
        "attn_resolutions": rng.sample(widths, rng.randint(0, len(widths))), "image_size": size(both),
        "num_channels": channels, "resblock_type": word("biggan", "ddpm"), "embedding_type": embedding,
        "progressive": word("none", "output_skip", "output_skip", "residual"),
        "progressive_input": word("none", "input_skip", "input_skip", "residual"),
        "progressive_combine": word("sum", "cat"), "fir": rng.random() < 0.5,
        "fir_kernel": rng.choice([[1, 3, 3, 1], [1, 3, 3, 1], [1, 2, 1], [1, 1], [1], [1, 2, 3, 4], [1, 4, 6, 4, 1],
                                  [1, 5, 10, 10, 5, 1], [0.25, 0.5, 0.25], [3, 1, 0, 2, 1, 1, 2, 1]]),
        "skip_rescale": rng.random() < 0.5, "scale_by_sigma": rng.random() < 0.5, "centered": rng.random() < 0.5,
        "resamp_with_conv": rng.random() < 0.5, "conditional": conditional,
        "nonlinearity": word("elu", "relu", "lrelu", "swish", "swish"), "sigma_min": 0.01, "sigma_max": 50.0,
        "num_scales": rng.choice([10, 1000]),
    }
    # These two never run; a few of them are enough.
    if hyper["fir"] and len(mults) > 1 and rng.random() < 0.9:
        hyper["progressive"] = rng.choice(["none", "output_skip"])
        if hyper["resblock_type"].lower() == "ddpm":
            hyper["resamp_with_conv"] = False
    label = ("sigma", 300.0) if embedding == "fourier" else ("t", hyper["num_scales"])
    return hyper, {"": [channels, *both]}, label


def vae_sld(rng):
    levels, double, z, embed = rng.randint(1, 3), rng.random() < 0.7, rng.randint(1, 4), rng.randint(1, 4)
    below = levels if rng.random() < 0.7 else rng.randint(1, 3)
    mults = lambda n: [rng.choice([1, 1, 1, 2, 3]) for _ in range(n)]  # noqa: E731
    both = [rng.randint(2 ** levels, 2 ** levels + 4) for _ in range(2)]  # norms of fewer than four numbers say little
    latent = [n >> (levels - 1) for n in both]
    image = rng.randint(1, 3)
    encoder = {"in_channels": image, "resolution": size(both), "channels": rng.choice([32, 32, 32, 64]),
               "channel_multipliers": mults(levels), "z_channels": z, "num_res_blocks": rng.choice([1, 1, 2, 0]),
               "dropout": 0.0, "resample_with_conv": rng.random() < 0.6, "double_z": double}
    decoder = {"in_channels": image, "out_channels": image if rng.random() < 0.7 else rng.randint(1, 3),
               "resolution": size([n << (below - 1) for n in latent]), "channels": rng.choice([32, 32, 32, 64]),
               "channel_multipliers": mults(below), "z_channels": 2 * z if double else z,
               "num_res_blocks": rng.choice([0, 0, 1]), "dropout": 0.0, "resample_with_conv": rng.random() < 0.6}
    shapes = {"enc": [image, *both], "dec": [embed, *latent], "rec": [image, *both]}
    hyper = {"encoder": encoder, "decoder": decoder, "vae": {"embed_dim": embed, "kld_weight": 1e-6}}
    return hyper, shapes, None


def vae_sksq(rng):
    def left(n):
        for _ in range(4):
            n = (n - 4) // 2 + 1
        return n
    hyper = {"image_channels": rng.randint(1, 4), "z_dim": rng.randint(1, 40)}
    if rng.random() < 0.12:  # the class as it is
        both, hyper["h_dim"] = rng.choice([[64, 64], [62, 77], [70, 65], [50, 101]]), 1024
    else:
        both = [rng.randint(46, 80), rng.randint(46, 80)]
        hyper["enc_channels"] = [rng.randint(4, 20) for _ in range(4)]
        hyper["dec_channels"] = [rng.randint(4, 20) for _ in range(3)]
        hyper["h_dim"] = hyper["enc_channels"][3] * left(both[0]) * left(both[1])
    hyper["image_size"] = size(both)
    shapes = {"enc": [hyper["image_channels"], *both], "dec": [hyper["z_dim"]], "rec": [hyper["image_channels"], *both]}
    return hyper, shapes, None


def unet2d(rng):
    """As tools/make_diffusers_matrix.py draws them."""
    matrix = authors.matrix()
    hyper = matrix.drawn(rng)
    h, w = matrix.sides(hyper)
    label = ("sigma", 50.0) if hyper.get("time_embedding_type") == "fourier" else ("t", 1000)
    return hyper, {"": [hyper["in_channels"], h, w]}, label


FAMILIES = {
    "mnist_shuffle_unet": Family(mnist, authors.mnist, authors.told_maps),
    "lucid_unet": Family(lucid, authors.lucid, authors.told_maps),
    "ncsnpp": Family(ncsnpp, authors.ncsnpp, authors.told_maps),
    "vae_sld": Family(vae_sld, authors.vae_sld, authors.sld_maps),
    "vae_sksq": Family(vae_sksq, authors.vae_sksq, authors.sksq_maps),
    "unet2d_diffusers": Family(unet2d, authors.unet2d, authors.sample_maps),
}
