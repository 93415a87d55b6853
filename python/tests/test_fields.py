"""Fields evaluated from Python: against the f64 twin, against each other, in any shape that an array may have."""

import numpy as np
import pytest
from conftest import ASSETS, MODEL


def points(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(a, b, tolerance=2e-5):
    """As far as float32 and a network's depth let them be."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-30)


def test_values_and_derivatives_are_those_of_the_twin(mnist):
    x, v = points((2, 1, 28, 28)), points((2, 1, 28, 28), 1)
    k = [301, 7]
    s, jv = mnist.jvp(x, v, k)
    exact, along = mnist.twin(x, k, v)
    assert s.dtype == jv.dtype == np.float32 and exact.dtype == along.dtype == np.float64
    close(s, exact)
    close(jv, along, 1e-4)
    close(mnist(x, k), exact)
    u = points((2, 1, 28, 28), 2)
    _, jtu = mnist.vjp(x, u, k)
    # <u, J v> = <J'u, v>, of each point.
    one, other = ((a.astype(float) * b).sum(axis=(1, 2, 3)) for a, b in ((u, along), (jtu, v)))
    close(one, other, 1e-4)
    assert np.array_equal(mnist.twin(x, k), exact)


def test_jacobians_are_their_products(tilted):
    x = points((3, 1, 4, 4))
    j = tilted.jacobian(x, 400)
    assert j.shape == (3, 16, 16) and j.dtype == np.float32
    v, u = points((3, 1, 4, 4), 1), points((3, 1, 4, 4), 2)
    close(np.einsum("nij,nj->ni", j, v.reshape(3, 16)), tilted.jvp(x, v, 400)[1].reshape(3, 16))
    close(np.einsum("nij,ni->nj", j, u.reshape(3, 16)), tilted.vjp(x, u, 400)[1].reshape(3, 16))
    some = tilted.jacobian(x, 400, components=[3, 0, 15])
    assert np.array_equal(some, j[:, [3, 0, 15]][:, :, [3, 0, 15]])
    assert np.array_equal(tilted.jacobian(x[0], 400), j[0])
    assert np.abs(j - j.transpose(0, 2, 1)).max() > 0.1, "it turns"


def test_shapes_go_in_and_come_out(tilted):
    x = points((3, 1, 4, 4))
    s = tilted(x, 400)
    assert np.array_equal(tilted(x[1], 400), s[1])
    assert np.array_equal(tilted(x, [400, 400, 400]), s) and np.array_equal(tilted(x, np.int32(400)), s)
    several = points((3, 5, 1, 4, 4), 1)
    same, jv = tilted.jvp(x, several, 400)
    assert np.array_equal(same, s) and jv.shape == several.shape
    for t in range(5):
        assert np.array_equal(jv[:, t], tilted.jvp(x, np.ascontiguousarray(several[:, t]), 400)[1])
    assert np.array_equal(tilted.jvp(x[0], several[0], 400)[1], jv[0])
    assert np.array_equal(tilted.jvp(x[0], several[0, 0], 400)[1], jv[0, 0])
    assert tilted.vjp(x, several, 400)[1].shape == several.shape


def test_what_is_not_contiguous_is_copied(tilted):
    x = points((3, 1, 4, 4))
    s = tilted(x, 400)
    apart = np.zeros((6, 1, 4, 4), np.float32)
    apart[::2] = x
    assert not apart[::2].flags.c_contiguous
    assert np.array_equal(tilted(apart[::2], 400), s)
    assert np.array_equal(tilted(np.asfortranarray(x), 400), s)
    assert np.array_equal(tilted(x.astype(np.float64), 400), s)
    assert np.array_equal(tilted(x.astype(np.float16), 400), tilted(x.astype(np.float16).astype(np.float32), 400))
    assert np.array_equal(tilted(x.tolist(), 400), s)
    frozen = x.copy()
    frozen.setflags(write=False)
    assert np.array_equal(tilted(frozen, 400), s)


def test_more_timesteps_and_samples_than_were_planned_for(vt):
    field = vt.open("field:tilted", shape=(1, 4, 4))
    for k, n in [(3, 1), (3, 40), (700, 2), (5, 300), (999, 1)]:
        x = points((n, 1, 4, 4), n)
        close(field(x, k), field.twin(x, k))
    for t in range(1, 8):
        v = points((2, t, 1, 4, 4), t)
        x = points((2, 1, 4, 4))
        close(field.jvp(x, v, 300)[1][:, -1], field.twin(x, 300, v[:, -1])[1])


def test_a_field_without_a_size_has_that_of_its_points(vt):
    field = vt.open("field:rotor?omega=2")
    assert field.shape is None
    assert field(points((1, 1, 4, 4)), 3).shape == (1, 1, 4, 4)
    assert field(points((2, 1, 2, 3)), 3).shape == (2, 1, 2, 3)
    assert "any shape" in repr(field)


def test_what_is_known_of_a_field(vt, mnist, tilted):
    assert mnist.shape == (1, 28, 28) and mnist.process.timesteps == 1000 == len(mnist.process)
    assert mnist.data_range == (-1.0, 1.0) and mnist.has_jvp and mnist.has_vjp
    assert mnist.facts["prediction"][1] == "config.json: prediction"
    assert mnist.describe()["kind"] == "network" and tilted.describe()["omega"] == 0.5
    a, sigma = mnist.process.noise(501)
    assert abs(a * a + sigma * sigma - 1) < 1e-12
    assert np.allclose(mnist.process.alphas_cumprod[501], a * a)
    assert repr(mnist) == "<Field mnist: 1x28x28>"


def test_processes(vt):
    vp = vt.Process.vp([0.9, 0.5, 0.1])
    assert vp.timesteps == 3 and np.allclose(vp.alphas_cumprod, [0.9, 0.5, 0.1])
    assert vt.Process.vp(np.array([0.9, 0.5], np.float32)).noise(0)[0] ** 2 == pytest.approx(np.float32(0.9), abs=1e-12)
    ve = vt.Process.ve([0.1, 1.0, 10.0])
    assert ve.noise(1) == (1.0, 1.0) and ve.levels.shape == (3, 2)
    assert vt.Process.ve(sigma_min=0.01, sigma_max=50, timesteps=4).noise(3) == pytest.approx((1.0, 50.0))
    assert vt.Process.edm(timesteps=50).noise(49) == pytest.approx((1.0, 80.0))
    assert vt.Process.edm(sigmas=[0.5, 2.0]).timesteps == 2
    assert vt.Process.flow(timesteps=10).noise(4) == pytest.approx((0.5, 0.5))
    named = vt.Process.open("vp?schedule=linear")
    config = {"_class_name": "DDPMScheduler", "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear", "num_train_timesteps": 1000}
    assert np.allclose(vt.Process.from_diffusers(config).alphas_cumprod, named.alphas_cumprod)
    given = vt.open("field:gaussian", shape=(1, 2, 2), process=vt.Process.flow(timesteps=10))
    assert given.process.timesteps == 10 and given.process.noise(9) == pytest.approx((0.0, 1.0))
    for wrong, said in [
        (lambda: vt.Process.vp([0.5, 0.9]), "rises|above|never"),
        (lambda: vt.Process.vp([[0.5]]), r"shape \[1, 1\], expected \[T\]"),
        (lambda: vt.Process.ve([1.0], timesteps=4), "expected either"),
        (lambda: vt.Process.edm(steps=4), "steps"),
        (lambda: vt.Process.from_diffusers({"_class_name": "FooScheduler"}), "'FooScheduler' is not one of"),
        (lambda: vp.noise(3), r"3 is outside 0\.\.=2"),
        (lambda: ve.alphas_cumprod, "does not preserve variance"),
    ]:
        with pytest.raises(vt.InvalidError, match=said):
            wrong()


def test_a_network_s_own_process_must_be_the_given_one(vt):
    with pytest.raises(vt.FileError, match="gives another"):
        vt.open(MODEL, process=vt.Process.flow(timesteps=10))
    with pytest.raises(vt.InvalidError, match="weights"):
        vt.open("field:gaussian", shape=(1, 2, 2), weights="f16")
    with pytest.raises(vt.FileError):
        vt.open(ASSETS / "models/nothing")
    with pytest.raises(vt.InvalidError, match="'gauss' is not a known field"):
        vt.open("field:gauss")
    with pytest.raises(vt.InvalidError, match="score_scale"):
        vt.open(MODEL, score_scale="paper")
    for wrong in ((1, -1), (0, 1, 2), (0, float("nan")), ("a", "b")):
        with pytest.raises(vt.InvalidError, match=r"data_range: .*, expected \(low, high\)"):
            vt.open(MODEL, data_range=wrong)


def test_two_fields_share_a_device(vt, mnist, tilted):
    device = vt.Device()
    one, other = vt.open("field:rotor", shape=(1, 4, 4), device=device), vt.open("field:gaussian", shape=(1, 4, 4), device=device)
    x = points((2, 1, 4, 4))
    a, b = one(x, 3), other(x, 3)
    for _ in range(3):
        assert np.array_equal(one(x, 3), a) and np.array_equal(other(x, 3), b)
    assert device.describe() == vt.Device().describe()
    assert any(d["name"] in device.describe() for d in vt.devices())
    bounded = vt.open("field:rotor", shape=(1, 4, 4), device=vt.Device(memory="64MiB", binding="2MiB", tune="off"))
    assert np.array_equal(bounded(x, 3), a)
    with pytest.raises(vt.AdapterError):
        vt.open("field:rotor", shape=(1, 4, 4), device="no such adapter")(x, 3)
    with pytest.raises(vt.InvalidError, match="--memory|memory"):
        vt.Device(memory="much")
