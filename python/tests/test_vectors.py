"""Points that are vectors: fields of D numbers take and give `[N, D]` and `[D]`, functions get what their shape says."""

import numpy as np
import pytest

D = 10


def turn(x, k, sigma):
    assert x.ndim == 2 and x.shape[1] == D
    return np.roll(x, 1, 1) - np.roll(x, -1, 1)


@pytest.fixture(scope="module")
def field(vt):
    products = {"jvp": lambda x, v, k, s: turn(v, k, s), "vjp": lambda x, u, k, s: -turn(u, k, s)}
    return vt.from_callable(turn, process="vp?schedule=cosine", shape=(D,), f64=turn, **products)


def test_vectors_in_vectors_out(field):
    rng = np.random.default_rng(0)
    x, v = (rng.standard_normal((4, D)).astype("float32") for _ in range(2))
    assert field.shape == (D, 1, 1)
    assert np.allclose(field(x, 3), turn(x, 3, 1), atol=1e-6) and field(x[0], 3).shape == (D,)
    s, jv = field.jvp(x, v, 3)
    assert s.shape == x.shape and np.allclose(jv, turn(v, 3, 1), atol=1e-6)
    s, jv = field.jvp(x, np.stack([v, -v, v], 1), 3)
    assert jv.shape == (4, 3, D) and np.allclose(jv[:, 1], -turn(v, 3, 1), atol=1e-6)
    assert np.allclose(field.vjp(x[1], v[1], 3)[1], -turn(v[1:2], 3, 1)[0], atol=1e-6)
    assert field.jacobian(x, 3).shape == (4, D, D) and field.jacobian(x[0], 3, components=[2]).shape == (1, 1)
    exact, along = field.twin(x.astype("float64"), 3, v.astype("float64"))
    assert exact.shape == along.shape == x.shape and np.allclose(along, turn(v, 3, 1), atol=1e-6)
    # The axes that the engine has are taken too.
    assert np.array_equal(field(x.reshape(4, D, 1, 1), 3).reshape(4, D), field(x, 3))


def test_vectors_are_data(vt, field):
    data = np.random.default_rng(1).uniform(-1, 1, (3, D)).astype("float32")
    result = vt.circulation(field, data, timesteps=[100], points=40, paths="rotation", progress=False)
    assert result["integral"].shape == (1, 1, 3) and (result.verdict == "resolved").all()


@pytest.mark.parametrize("shape", [(4, D + 1), (2, 4, D), (D, 1)])
def test_other_shapes_are_refused(vt, field, shape):
    with pytest.raises(vt.ArrayError, match="expected"):
        field(np.zeros(shape, "float32"), 3)


def test_directions_of_other_shapes_are_refused(vt, field):
    x = np.zeros((2, D), "float32")
    with pytest.raises(vt.ArrayError, match=r"v: shape \[3, 10\], expected that of x, \[2, 10\], or \[N, T, D\]"):
        field.jvp(x, np.zeros((3, D), "float32"), 3)


def test_a_plane_of_pixels_is_one_channel(vt):
    def f(x, k, sigma):
        assert x.shape[1:] == (3, 4)
        return -x

    field = vt.from_callable(f, process="vp?schedule=cosine", shape=(3, 4))
    assert field.shape == (1, 3, 4)
    assert np.array_equal(field(np.ones((2, 1, 3, 4), "float32"), 3), -np.ones((2, 1, 3, 4), "float32"))
