"""What is refused, by an exception of its own type that names the argument, what was found and what was expected."""

import numpy as np
import pytest


def good():
    return np.zeros((2, 1, 4, 4), np.float32)


WRONG = {
    "whole numbers": (lambda: good().astype(int), r"x: dtype int64, expected float32"),
    "bytes": (lambda: good().astype(np.uint8), r"x: dtype uint8, expected float32"),
    "booleans": (lambda: good().astype(bool), r"x: dtype bool, expected float32"),
    "complex numbers": (lambda: good().astype(complex), r"x: dtype complex128, expected float32"),
    "objects": (lambda: good().astype(object), r"x: dtype object, expected float32"),
    "text": (lambda: good().astype(str), r"x: dtype <U\d+, expected float32"),
    "big-endian": (lambda: good().astype(">f4"), r"x: dtype >f4 has another byte order than this machine, expected <f4"),
    "no numbers": (lambda: good()[:0], r"x: shape \(0, 1, 4, 4\) is empty"),
    "another size": (lambda: np.zeros((2, 1, 4, 5), np.float32), r"x: shape \[2, 1, 4, 5\], expected \[1, 4, 4\] or \[N, \.\.\]"),
    "too few axes": (lambda: np.zeros((4, 4), np.float32), r"x: shape \[4, 4\], expected \[1, 4, 4\]"),
    "too many axes": (lambda: good()[None], r"x: shape \[1, 2, 1, 4, 4\], expected"),
    "NaN": (lambda: np.where(np.arange(32).reshape(2, 1, 4, 4) == 21, np.nan, good()), r"x: nan at \[1, 0, 1, 1\], expected finite"),
    "infinity": (lambda: good() + np.float32(np.inf), r"x: inf at \[0, 0, 0, 0\], expected finite numbers"),
    "beyond float32": (lambda: good().astype(float) + 1e300, r"x: inf at \[0, 0, 0, 0\]"),
    "ragged lists": (lambda: [[1.0], [1.0, 2.0]], r"x: list is no array of numbers"),
    "nothing": (lambda: None, r"x: dtype object, expected float32"),
}


@pytest.mark.parametrize("what", WRONG)
def test_points_are_refused(vt, tilted, what):
    make, said = WRONG[what]
    for call in (lambda x: tilted(x, 3), lambda x: tilted.jvp(x, good(), 3), lambda x: tilted.jacobian(x, 3), lambda x: tilted.twin(x, 3)):
        if what == "beyond float32" and call(good()) is not None:
            with pytest.raises(vt.ArrayError, match=said):
                tilted(make(), 3)
            continue
        with pytest.raises(vt.ArrayError, match=said) as raised:
            call(make())
        assert isinstance(raised.value, (vt.InvalidError, ValueError, TypeError))


def test_directions_are_refused(vt, tilted):
    x = good()
    for call, name in ((tilted.jvp, "v"), (tilted.vjp, "u")):
        for wrong in (np.zeros((3, 1, 4, 4)), np.zeros((1, 4, 4)), np.zeros((3, 2, 1, 4, 4)), np.zeros((2, 2, 1, 4, 5))):
            with pytest.raises(vt.ArrayError, match=rf"{name}: shape .*, expected that of x, \[2, 1, 4, 4\], or \[N, T, C, H, W\]"):
                call(x, wrong, 3)
        with pytest.raises(vt.ArrayError, match=rf"{name}: nan at"):
            call(x, x * np.nan, 3)
        with pytest.raises(vt.ArrayError, match=rf"{name}: dtype int64"):
            call(x, x.astype(int), 3)
    with pytest.raises(vt.ArrayError, match=r"v: shape \[2, 1, 1, 4, 4\]|v: shape"):
        tilted.twin(x, 3, np.zeros((2, 1, 1, 4, 4)))


def test_timesteps_are_refused(vt, tilted):
    x = good()
    for k, said in (
        (1000, r"timestep: 1000 is outside 0\.\.=999"),
        (-1, r"k: -1, expected a number from 0"),
        ([1, 2, 3], r"k: shape \[3\], expected one number, or \[2\]"),
        (1.5, r"k: dtype float64, expected whole numbers"),
        ("1", r"k: dtype <U1, expected whole numbers"),
        (None, r"k: dtype object, expected whole numbers"),
    ):
        with pytest.raises(vt.InvalidError, match=said):
            tilted(x, k)
    with pytest.raises(vt.InvalidError, match="components: .*below D = 16"):
        tilted.jacobian(x, 3, components=[16])
    assert np.isfinite(tilted(x, 3)).all(), "and it still works"


def test_data_are_refused(vt, tilted):
    data = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype(np.float32)
    own = {"timesteps": [3], "samples": 2, "progress": False}
    for wrong, said in (
        (data.astype(int), "data: dtype int64, expected float32"),
        (data.astype(complex), "data: dtype complex128"),
        (data.astype(">f4"), "data: dtype >f4 has another byte order"),
        (data.astype(float) * 1.1, "data: float64 numbers that are no float32 numbers"),
        (data * np.inf, "data: (inf|-inf|nan) at"),
        (data[:0], "data: shape .* is empty"),
        (data[0, 0, 0], r"data: shape \[4\], expected \[N, C, H, W\]"),
        (data[..., :3], "images of 1x4x3 .*, expected 1x4x4"),
        (None, "data: dtype object"),
    ):
        with pytest.raises(vt.InvalidError, match=said):
            vt.curl(tilted, wrong, **own)
    exact = vt.curl(tilted, data.astype(float), **own)
    assert exact.manifest == vt.curl(tilted, data, **own).manifest


def test_exceptions_are_what_python_has_of_their_kind(vt):
    for name, base in {
        "FileError": OSError,
        "InvalidError": ValueError,
        "ArrayError": TypeError,
        "OutOfMemoryError": MemoryError,
        "ForkError": RuntimeError,
        "MissingDependency": ImportError,
    }.items():
        assert issubclass(getattr(vt, name), (base,)) and issubclass(getattr(vt, name), vt.Error), name
    assert issubclass(vt.Interrupted, KeyboardInterrupt) and not issubclass(vt.Interrupted, Exception)


def test_memory_that_is_not_there(vt, mnist):
    from conftest import MODEL

    small = vt.open(MODEL, device=vt.Device(memory="1MiB"))
    with pytest.raises(vt.OutOfMemoryError):
        small(np.zeros((1, 1, 28, 28), np.float32), 3)


def test_arrays_that_lie_across_are_copied(vt, tilted):
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype("float32")
    across = np.frombuffer(b"a" + x.tobytes(), np.uint8)[1:].view("f4").reshape(x.shape)
    assert not across.flags.aligned
    assert np.array_equal(tilted(across, 3), tilted(x, 3))
    vt.asymmetry(tilted, across, timesteps=[100], probes=2, progress=False)


def test_wholes_beyond_int64_do_not_wrap(vt, tilted):
    with pytest.raises(vt.ArrayError, match="18446744073709551615"):
        tilted(np.zeros((3, 1, 4, 4), "float32"), np.array([2**64 - 1] * 3, np.uint64))


def test_one_path_is_no_list_of_shards(vt, tmp_path):
    with pytest.raises(vt.InvalidError, match="one path is given"):
        vt.merge("runs", tmp_path / "out")


def test_default_timesteps_are_those_of_the_process(vt):
    field = vt.from_callable(lambda x, k, sigma: -x, process=vt.Process.vp(np.linspace(0.99, 0.01, 30)), shape=(1, 4, 4))
    result = vt.circulation(field, "data:gaussian", samples=2, points=20, paths="rotation", progress=False)
    assert result.axes["timestep"] == [1, 11, 21]
    with pytest.raises(vt.InvalidError, match="101"):
        vt.circulation(field, "data:gaussian", samples=2, points=20, timesteps=[1, 101], progress=False)


def test_devices_of_other_programs_are_refused_at_once(vt):
    for name in ["cuda", "cuda:0", "mps", ["software", "cuda"]]:
        with pytest.raises(vt.InvalidError, match="a part of its name, as `vorticity devices` lists them, or software"):
            vt.Device(name)
    assert "software" in repr(vt.Device("software"))


def test_a_process_may_be_given_as_its_alphas_cumprod(vt):
    alphas = [0.9, 0.5, 0.1]
    for given in [alphas, np.array(alphas), np.array(alphas, np.float32)]:
        field = vt.from_callable(lambda x, k, sigma: -x, process=given, shape=(1, 2, 2), prediction="score")
        assert field.process.timesteps == 3 and abs(field.process.alphas_cumprod[1] - 0.5) < 1e-6
    for wrong in [object(), 3.5, [[0.9, 0.5]], ["a"]]:
        with pytest.raises((vt.InvalidError, vt.ArrayError), match="alphas_cumprod"):
            vt.from_callable(lambda x, k, sigma: -x, process=wrong, shape=(1, 2, 2), prediction="score")


def test_attention_and_checked_are_those_of_the_command_line(vt):
    import pickle

    told = vt.Device("software", attention="apart", checked=True)
    assert repr(told) == "Device(adapter='software', attention='apart', checked=True)"
    assert repr(pickle.loads(pickle.dumps(told))) == repr(told)
    assert repr(vt.Device("software")) == "Device(adapter='software')"
    with pytest.raises(vt.InvalidError, match="'flash' is not one of auto, fused, apart"):
        vt.Device(attention="flash")
    x = np.zeros((1, 1, 4, 4), np.float32) + 0.5
    apart, auto = (vt.open("field:rotor", shape=(1, 4, 4), device=device) for device in [told, vt.Device("software")])
    assert np.array_equal(apart(x, 400), auto(x, 400))
