"""The authors' classes, imported from a folder that the user names (README.md says what lies in it). In: the folder. Out: the
classes. What they import and do not need here is replaced in sys.modules; what they compute in float32 in any case is computed
in the precision of the run."""

import contextlib
import functools
import importlib
import importlib.util
import io
import math
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def module_of(name: str, path: Path):
    """One file as a module, under a name that no other has."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package_of(root: Path, name: str):
    """A module of a package that lies in `root`."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(name)


def upfirdn2d(x, kernel, up=1, down=1, pad=(0, 0)):
    """Zeros between pixels, zeros around them (fewer pixels where `pad` is negative), a convolution with the kernel, every
    down-th pixel (StyleGAN 2, arXiv 1912.04958). Stands for a CUDA extension."""
    n, c, h, w = x.shape
    one = torch.zeros(1, 1, up, up, dtype=x.dtype)
    one[0, 0, 0, 0] = 1
    spread = F.conv_transpose2d(x.reshape(n * c, 1, h, w), one, stride=up)
    padded = F.pad(spread, (pad[0], pad[1], pad[0], pad[1]))
    y = F.conv2d(padded, kernel.to(x.dtype).flip(0, 1)[None, None])[..., ::down, ::down]
    return y.reshape(n, c, *y.shape[-2:])


def sinusoid(timesteps, width, max_positions=10000):
    """sin and cos of t exp(-ln(max) i / (half - 1)), in the default precision: the authors' own is float32 in any case."""
    half = width // 2
    dtype = torch.get_default_dtype()
    rates = torch.exp(torch.arange(half, dtype=dtype) * (-math.log(max_positions) / (half - 1)))
    phases = timesteps.to(dtype)[:, None] * rates
    row = torch.cat([phases.sin(), phases.cos()], dim=1)
    return F.pad(row, (0, width % 2))


def mnist(folder: Path, hyper: dict):
    kwargs = {k: v for k, v in hyper.items() if k != "image_size"}
    return module_of("authors_mnist", folder / "mnist" / "unet.py").Unet(**kwargs)


def lucid(folder: Path, hyper: dict):
    unet = package_of(folder / "sld" / "simple-latent-diffusion-model", "diffusion_model.network.unet")
    tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in hyper.items() if k != "image_size"}
    return unet.Unet(**tuples)


class Functional:
    """torch.nn.functional, whose interpolate takes a mode where the class gives one: as the third argument, which PyTorch takes
    for a scale, so that the class as it is fails wherever it doubles without a filter."""

    def __getattr__(self, name):
        return getattr(F, name)

    @staticmethod
    def interpolate(x, size, mode):
        return F.interpolate(x, size, mode=mode)


TRAINING = {"init_scale": 0.0, "fourier_scale": 16.0, "dropout": 0.0, "sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 10}


def ncsnpp(folder: Path, hyper: dict):
    op = ModuleType("op")
    op.upfirdn2d = upfirdn2d
    sys.modules["op"] = op
    classes = package_of(folder / "score_sde", "models.ncsnpp")
    classes.layers.get_timestep_embedding = sinusoid
    classes.layerspp.F = Functional()
    side = hyper["image_size"]
    data = SimpleNamespace(image_size=side[1] if isinstance(side, list) else side, num_channels=hyper["num_channels"],
                           centered=hyper["centered"])
    model = SimpleNamespace(**{**TRAINING, **hyper})
    return classes.NCSNpp(SimpleNamespace(model=model, data=data, training=SimpleNamespace(continuous=True)))


def vae_sld(folder: Path, hyper: dict):
    classes = package_of(folder / "sld" / "simple-latent-diffusion-model", "auto_encoder.models.variational_auto_encoder")
    plain = {half: {k: v[0] if k == "resolution" and isinstance(v, list) else v for k, v in hyper[half].items()}
             for half in ("encoder", "decoder", "vae")}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file, contextlib.redirect_stdout(io.StringIO()):
        classes.yaml.safe_dump(plain, file)
        file.flush()
        return classes.VariationalAutoEncoder(file.name)


def matrix():
    """The tool that compares diffusers' class over all its options: what it draws and how it embeds are used here too."""
    return package_of(Path(__file__).resolve().parent.parent, "make_diffusers_matrix")


def unet2d(folder: Path, hyper: dict):
    """diffusers' class, from the installed package."""
    from diffusers import UNet2DModel, models

    exact = matrix().exact_embedding
    models.embeddings.get_timestep_embedding = lambda *args, **kwargs: exact(*args, **kwargs).to(torch.get_default_dtype())
    return UNet2DModel(**hyper)


class Vector(nn.Module):
    """[N, D] to [N, D, 1, 1], for any D; the class's own UnFlatten writes 1024 out."""

    def forward(self, x):
        return x[:, :, None, None]


def vae_sksq(folder: Path, hyper: dict):
    """The class; narrower layers of the same kinds, kernels and strides where `hyper` has widths that it does not."""
    net = module_of("authors_sksq", folder / "sksq" / "vae.py").VAE(hyper["image_channels"], hyper["h_dim"], hyper["z_dim"])
    if "enc_channels" in hyper:
        widths = [hyper["image_channels"], *hyper["enc_channels"]]
        for i, pair in enumerate(zip(widths, widths[1:])):
            net.encoder[2 * i] = nn.Conv2d(*pair, kernel_size=net.encoder[2 * i].kernel_size, stride=2)
        widths = [hyper["h_dim"], *hyper["dec_channels"], hyper["image_channels"]]
        for i, pair in enumerate(zip(widths, widths[1:])):
            net.decoder[2 * i + 1] = nn.ConvTranspose2d(*pair, kernel_size=net.decoder[2 * i + 1].kernel_size, stride=2)
        net.decoder[0] = Vector()
    return net


def sld_maps(net, hyper, shapes):
    """Encoder, decoder, both in a row. The decoder insists on square latents of one size, which nothing in it needs."""
    def decode(z):
        net.decoder.z_shape = (1, net.decoder.z_channels, *z.shape[2:])
        return net.decode(z)
    moments = lambda x: net.quant_conv(net.encoder(x))  # noqa: E731
    return {"enc": moments, "dec": decode, "rec": lambda x: decode(moments(x).chunk(2, 1)[0])}


def sksq_maps(net, hyper, shapes):
    h = net.encoder
    decode = lambda z: net.decoder(net.fc3(z))  # noqa: E731
    return {"enc": lambda x: torch.cat([net.fc1(h(x)), net.fc2(h(x))], 1), "dec": decode,
            "rec": lambda x: decode(net.fc1(h(x)))}


def told_maps(net, hyper, shapes, label):
    return {"": functools.partial(lambda x, label: net(x, label), label=label)}


def sample_maps(net, hyper, shapes, label):
    def run(x, label):
        with sdpa_kernel(SDPBackend.MATH):  # the only one that has tangents
            return net(x, label).sample
    return {"": functools.partial(run, label=label)}
