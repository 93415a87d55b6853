"""Fields on torch tensors and JAX arrays: what goes in, what comes out, on which device; what is refused."""

import numpy as np
import pytest
import torch

import vorticity as vt


@pytest.fixture(scope="module")
def field():
    return vt.open("field:tilted?omega=0.5", shape=(1, 4, 4))


@pytest.fixture
def x():
    return torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def test_torch_in_is_torch_out(field, x):
    s = field(x, 400)
    assert isinstance(s, torch.Tensor) and s.dtype == torch.float32 and s.device == x.device
    assert np.array_equal(s.numpy(), field(x.numpy(), 400))
    v = torch.ones(3, 2, 1, 4, 4)
    same, jv = field.jvp(x, v, torch.tensor([1, 2, 3]))
    assert same.shape == x.shape and jv.shape == v.shape and isinstance(jv, torch.Tensor)
    assert isinstance(field.vjp(x, x, 3)[1], torch.Tensor) and field.jacobian(x, 3).shape == (3, 16, 16)
    twin = field.twin(x.double(), 400)
    assert twin.dtype == torch.float64 and torch.allclose(twin.float(), s, atol=1e-5)
    s += 1  # it is one's own


def test_tensors_that_are_not_plain(field, x):
    s = field(x, 400)
    asked = x.clone().requires_grad_()
    assert torch.equal(field(asked, 400), s) and not field(asked, 400).requires_grad
    assert torch.equal(field(x.permute(0, 1, 3, 2), 400), field(x.permute(0, 1, 3, 2).contiguous(), 400))
    assert torch.equal(field(x.to(memory_format=torch.channels_last), 400), s)
    assert torch.equal(field(x.double(), 400), s)
    for half in (torch.float16, torch.bfloat16):
        assert torch.equal(field(x.to(half), 400), field(x.to(half).float(), 400))
    with torch.inference_mode():
        assert torch.equal(field(x.clone(), 400), s)
    for wrong in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(vt.ArrayError, match="x: dtype"):
            field(x.to(wrong), 400)
    with pytest.raises(vt.ArrayError, match="x: Tensor"):
        field(x.to_sparse(), 400)
    with pytest.raises(vt.ArrayError, match="x: Tensor"):
        field(torch.empty(3, 1, 4, 4, device="meta"), 400)


def test_tensors_are_data(field, x):
    own = {"timesteps": [400], "progress": False}
    assert vt.curl(field, x, **own).manifest == vt.curl(field, x.numpy(), **own).manifest


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_tensors_on_another_device_are_moved(field, x):
    s = field(x.cuda(), 400)
    assert s.device.type == "cuda" and torch.equal(s.cpu(), field(x, 400))


def test_jax_arrays_are_taken(field, x):
    jax = pytest.importorskip("jax")
    assert np.array_equal(field(jax.numpy.asarray(x.numpy()), 400), field(x.numpy(), 400))
