"""Fields of one's own functions: every measure of them, derivatives of their own and by differences, what is claimed without float64, and
whatever a function can do wrong: each an exception of its own type, and nothing that was measured is lost."""

import sys
import threading

import numpy as np
import pytest
from conftest import python, same

SHAPE = (1, 3, 3)
PROCESS = "vp?schedule=cosine"


def flat(x):
    return x.reshape(len(x), -1)


def cyclic(x, k, sigma):
    """f_i = x_{i+1}^2 / 2 - x_i, i cyclic: no gradient."""
    return (np.roll(flat(x), -1, 1) ** 2 / 2 - flat(x)).reshape(x.shape)


def cyclic_jvp(x, v, k, sigma):
    return (np.roll(flat(x) * flat(v), -1, 1) - flat(v)).reshape(x.shape)


def cyclic_vjp(x, u, k, sigma):
    return (flat(x) * np.roll(flat(u), 1, 1) - flat(u)).reshape(x.shape)


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def whole(vt):
    """With everything that a function can have."""
    products = {"jvp": cyclic_jvp, "vjp": cyclic_vjp, "f64": cyclic, "f64_jvp": cyclic_jvp, "f64_vjp": cyclic_vjp}
    return vt.from_callable(cyclic, process=PROCESS, shape=SHAPE, **products)


def own(vt, measure):
    """Parameters that make a measure small."""
    small = {"timesteps": [100, 400, 900], "points": 40, "probes": 3, "components": 4, "steps": 5, "levels": "continuous"}
    import inspect

    known = inspect.signature(getattr(vt, measure)).parameters
    return {name: value for name, value in small.items() if name in known}


def measures():
    import vorticity._measures

    return list(vorticity._measures.FUNCTIONS)


@pytest.mark.parametrize("measure", measures())
def test_every_measure_of_a_function_is_checked(vt, whole, data, measure):
    result = getattr(vt, measure)(whole, data, progress=False, **own(vt, measure))
    assert "not checked" not in set(np.ravel(result["verdict"])), measure
    assert result.manifest["field"]["kind"] == "closure"
    assert result.manifest["field"]["tangents"] == result.manifest["field"]["cotangents"] == "its own"
    assert f"{result.manifest['field']['name']}" == "cyclic"


@pytest.mark.parametrize("measure", measures())
def test_nothing_is_claimed_without_float64(vt, data, measure):
    bare = vt.from_callable(cyclic, process=PROCESS, shape=SHAPE, jvp=cyclic_jvp, vjp=cyclic_vjp)
    result = getattr(vt, measure)(bare, data, progress=False, **own(vt, measure))
    assert set(np.ravel(result["verdict"])) == {"not checked"}
    assert "not checked" in result.summary()
    checks = "verify_fraction" if measure == "circulation" else "verify"
    with pytest.raises(vt.InvalidError, match="no values in f64"):
        getattr(vt, measure)(bare, data, progress=False, **own(vt, measure), **{checks: 1})


def test_values_and_products_are_those_of_the_function(vt, whole, data):
    rng = np.random.default_rng(1)
    v, u = (rng.standard_normal(data.shape).astype("float32") for _ in range(2))
    assert np.allclose(whole(data, 7), cyclic(data, 7, 0), rtol=1e-6, atol=1e-6)
    s, jv = whole.jvp(data, v, 7)
    assert np.allclose(jv, cyclic_jvp(data, v, 7, 0), rtol=1e-5, atol=1e-6)
    assert np.allclose(whole.vjp(data, u, 7)[1], cyclic_vjp(data, u, 7, 0), rtol=1e-5, atol=1e-6)
    j = whole.jacobian(data, 7)
    assert np.allclose(j[0] @ flat(v)[0], flat(jv)[0], rtol=1e-5, atol=1e-5)
    assert np.array_equal(whole.twin(data.astype("float64"), 7), cyclic(data.astype("float64"), 7, 0))

    # By differences, in float32 and in float64.
    bare = vt.from_callable(cyclic, process=PROCESS, shape=SHAPE, f64=cyclic)
    near = bare.jvp(data, v, 400)[1]
    exact = cyclic_jvp(data.astype("float64"), v.astype("float64"), 400, 0)
    assert np.abs(near - exact).max() < 1e-3 * np.abs(exact).max()
    twin = bare.twin(data.astype("float64"), 400, v.astype("float64"))[1]
    assert np.abs(twin - exact).max() < 1e-9 * np.abs(exact).max()
    assert bare.has_jvp and not bare.has_vjp
    with pytest.raises(vt.InvalidError, match="no adjoint"):
        bare.vjp(data, u, 7)
    with pytest.raises(vt.InvalidError, match="no adjoint"):
        vt.planes(bare, data, timesteps=[400], progress=False)


def test_predictions_become_scores(vt, data):
    """eps = sigma x is the score -x of every level."""
    field = vt.from_callable(
        lambda x, k, sigma: sigma[:, None, None, None] * x, process=PROCESS, shape=SHAPE, prediction="eps", name="normal"
    )
    assert np.allclose(field(data, [1, 400, 900, 999]), -data, rtol=1e-6, atol=1e-6)
    assert field.name == "normal" and field.describe()["prediction"] == "eps"


def test_what_a_function_is_given(vt, data):
    seen = []

    def f(x, k, sigma):
        seen.append((x.shape, x.dtype.name, k.shape, k.dtype.name, sigma.shape, sigma.dtype.name))
        assert np.allclose(sigma, [process.noise(int(one))[1] for one in k])
        return -x

    process = vt.Process.open(PROCESS)
    field = vt.from_callable(f, process=process, shape=SHAPE, f64=f, batch=3)
    field(data, [1, 2, 3, 4])
    assert seen == [((n, *SHAPE), "float32", (n,), "int64", (n,), "float32") for n in (3, 1)]
    seen.clear()
    field.twin(data[:1].astype("float64"), 5)
    assert seen == [((1, *SHAPE), "float64", (1,), "int64", (1,), "float64")]


def test_batches_do_not_change_results(vt, data, tmp_path):
    for name, batch in (("small", 7), ("large", 1000)):
        field = vt.from_callable(cyclic, process=PROCESS, shape=SHAPE, f64=cyclic, batch=batch)
        vt.circulation(field, data, timesteps=[400], points=40, out=tmp_path / name, progress=False)
    same(tmp_path / "small", tmp_path / "large")


class Own(Exception):
    """Nobody else's."""


@pytest.mark.parametrize("measure", ["circulation", "asymmetry"])
@pytest.mark.parametrize("raised", [Own("as it was told to"), KeyboardInterrupt()])
def test_what_a_function_raises_stops_the_run_and_loses_nothing(vt, data, tmp_path, measure, raised):
    """In the middle: the exception arrives as it was raised, Ctrl-C as an interruption; the same call then goes on."""
    calls = [0]

    def f(x, k, sigma):
        calls[0] += 1
        if calls[0] == 6:
            raise raised
        return cyclic(x, k, sigma)

    measured = getattr(vt, measure)
    parameters = {"progress": False, "timesteps": [100, 200, 300, 400, 500, 600], **({"points": 40} if measure == "circulation" else {})}

    def field(f):
        return vt.from_callable(f, name="own", process=PROCESS, shape=SHAPE, jvp=cyclic_jvp, vjp=cyclic_vjp, f64=cyclic, batch=64)

    expected = vt.Interrupted if isinstance(raised, KeyboardInterrupt) else Own
    with pytest.raises(expected) as caught:
        measured(field(f), data, out=tmp_path / "out", **parameters)
    notes = getattr(caught.value, "__notes__", [])
    if expected is Own:
        assert caught.value is raised
        noted = any("field 'own'" in note and "timestep" in note for note in notes)
        assert noted or sys.version_info < (3, 11), notes  # exceptions have notes from then on
    assert (tmp_path / "out.partial").is_dir() and not (tmp_path / "out").exists()
    before = calls[0]
    resumed = measured(field(f), data, out=tmp_path / "out", **parameters)
    assert resumed.log["evaluations_before"] > 0
    measured(field(cyclic), data, out=tmp_path / "whole", **parameters)
    assert calls[0] > before
    same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda x: x[:, :, :2], r"shape \[4, 1, 2, 3\], expected"),
        (lambda x: x.astype("int64"), "int64"),
        (lambda x: x * 1j, "complex"),
        (lambda x: x.tolist(), "list"),
        (lambda x: None, "NoneType"),
        (lambda x: np.float32(3), "float32"),
        (lambda x: x[0], "shape"),
    ],
)
def test_what_a_function_returns_is_checked(vt, data, returned, words):
    field = vt.from_callable(lambda x, k, sigma: returned(x), process=PROCESS, shape=SHAPE)
    with pytest.raises(vt.ArrayError, match=words):
        field(data, 3)


def test_arrays_of_any_layout_come_back(vt, data):
    for layout in (np.asfortranarray, lambda x: x[..., ::-1][..., ::-1], lambda x: x.astype("float64"), lambda x: x.astype("float16")):
        field = vt.from_callable(lambda x, k, sigma, layout=layout: layout(-x), process=PROCESS, shape=SHAPE)
        assert np.allclose(field(data, 3), -data, atol=1e-3)


def test_numbers_that_are_not_finite_are_marked(vt, data):
    def f(x, k, sigma):
        y = -x.copy()
        y[k == 400] = np.nan
        return y

    field = vt.from_callable(f, process=PROCESS, shape=SHAPE, f64=f)
    with pytest.warns(UserWarning, match="not finite"):
        result = vt.circulation(field, data, timesteps=[100, 400], points=20, paths="rotation", progress=False)
    assert np.isnan(result["integral"][:, 1]).all() and np.isfinite(result["integral"][:, 0]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f": 3}, "expected a function"),
        ({"jvp": 3}, "expected a function"),
        ({"prediction": "edm_f"}, "edm_f"),
        ({"prediction": "flow_velocity"}, "flow"),
        ({"prediction": "noise"}, "not one of"),
        ({"process": "vp?schedule=none"}, "none"),
        ({"shape": "3"}, "shape"),
        ({"batch": 0}, "batch"),
        ({"arrays": "cupy"}, "numpy, torch, jax"),
        ({"torch_device": "cpu"}, "torch_device"),
        ({"f64_jvp": cyclic_jvp}, "without f64"),
        ({"data_range": (1, -1)}, "data.range"),
    ],
)
def test_what_makes_no_field_is_refused(vt, change, words):
    given = {"f": cyclic, "process": PROCESS, "shape": SHAPE, **change}
    with pytest.raises(vt.Error, match=words):
        vt.from_callable(given.pop("f"), **given)


def test_two_threads_call_at_once(vt, data):
    field = vt.from_callable(cyclic, process=PROCESS, shape=SHAPE, jvp=cyclic_jvp)
    expected, wrong = field(data, 3), []

    def work():
        for _ in range(50):
            if not np.array_equal(field(data, 3), expected):
                wrong.append("differs")

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(120) for thread in threads]
    assert not wrong and not any(thread.is_alive() for thread in threads)


def test_a_function_may_use_another_field(vt, tilted):
    x = np.random.default_rng(2).standard_normal((3, 1, 4, 4)).astype("float32")
    twice = vt.from_callable(lambda x, k, sigma: 2 * tilted(x, k), process=PROCESS, shape=(1, 4, 4))
    assert np.allclose(twice(x, 5), 2 * tilted(x, 5), rtol=1e-6)


def test_a_failing_function_leaves_a_clean_process():
    ran = python(
        "-W",
        "error",
        "-c",
        "import vorticity as vt, numpy as np\n"
        "def f(x, k, sigma): raise LookupError('mine')\n"
        "field = vt.from_callable(f, process='vp?schedule=cosine', shape=(1, 2, 2))\n"
        "try: field(np.zeros((1, 1, 2, 2), 'float32'), 1)\n"
        "except LookupError as error: print(error)\n",
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "mine"), ran.stderr
    assert "panick" not in ran.stderr


def test_a_field_that_evaluates_itself_is_refused(vt, data):
    def f(x, k, sigma):
        return itself[0](x, 50)

    itself = [vt.from_callable(f, process=PROCESS, shape=SHAPE, name="own")]
    with pytest.raises(vt.InvalidError, match="field own: is evaluated by its own function"):
        itself[0](data, 50)
    with pytest.raises(vt.InvalidError, match="is evaluated by its own function"):
        vt.circulation(itself[0], data, timesteps=[100], points=20, progress=False)


def test_fields_that_wait_for_each_other_can_be_interrupted():
    ran = python("-c", """if True:
        import os, signal, threading, time, numpy as np, vorticity as vt
        x, both, fields = np.zeros((1, 1, 2, 2), "float32"), threading.Barrier(2), []
        def of(other):
            first = []
            def f(x, k, sigma):
                if not first:
                    first.append(1)
                    both.wait(30)
                return fields[other](x, 5)
            return vt.from_callable(f, process="vp?schedule=cosine", shape=(1, 2, 2))
        fields += [of(1), of(0)]
        threading.Thread(target=lambda: fields[0](x, 5), daemon=True).start()
        threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            fields[1](x, 5)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        os._exit(0)
        """)  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "interrupted"), ran.stderr


def test_another_function_does_not_go_on_with_a_run(vt, data, tmp_path):
    """The same name, another function: what the first one measured is not mixed with what the second one does."""
    calls = [0]

    def f(x, k, sigma):
        calls[0] += 1
        if calls[0] > 4:
            raise Own("in the middle")
        return cyclic(x, k, sigma)

    def field(f):
        return vt.from_callable(f, name="own", process=PROCESS, shape=SHAPE, f64=cyclic, batch=64)

    asked = {"timesteps": range(100, 900, 100), "points": 40, "progress": False, "out": tmp_path / "out"}
    with pytest.raises(Own):
        vt.circulation(field(f), data, **asked)
    with pytest.raises(vt.FileError, match="another run|other"):
        vt.circulation(field(lambda x, k, sigma: 1.01 * cyclic(x, k, sigma)), data, **asked)
    shards = []
    for i, scale in ((1, 1), (2, 3)):
        own = vt.from_callable(lambda x, k, sigma, scale=scale: scale * cyclic(x, k, sigma), name="own", process=PROCESS, shape=SHAPE)
        shards.append(vt.asymmetry(own, data, timesteps=[100], probes=2, shard=(i, 2), out=tmp_path / f"{i}", progress=False))
    with pytest.raises(vt.FileError):
        vt.merge(shards, tmp_path / "merged")


@pytest.mark.parametrize("measure", ["circulation", "asymmetry", "curl"])
def test_nothing_finite_establishes_nothing(vt, data, measure):
    def nan(x, k, sigma):
        return x * np.nan

    field = vt.from_callable(nan, process=PROCESS, shape=SHAPE, f64=nan)
    with pytest.warns(UserWarning, match="not finite"):
        result = getattr(vt, measure)(field, data, progress=False, **own(vt, measure))
    said = result.summary()
    assert "nothing is established" in said.lower() and "no sample is finite" in said and "indistinguishable" not in said, said
    assert {point["verdict"] for path in result.told()["points"] for point in path} == {"not checked"}


def test_results_that_are_left_out_are_counted(vt, data):
    def f(x, k, sigma):
        y = cyclic(x, k, sigma)
        y[flat(x)[:, 0] > 0.5] = np.inf
        return y

    field = vt.from_callable(f, process=PROCESS, shape=SHAPE, jvp=cyclic_jvp, vjp=cyclic_vjp, f64=cyclic)
    with pytest.warns(UserWarning, match="not finite"):
        result = vt.asymmetry(field, data, timesteps=[10], probes=4, progress=False)
    assert f"{int(np.isnan(result['nasym']).sum())} of 4 results" in result.summary(), result.summary()


def test_the_interpreter_ends_while_a_run_goes_on():
    source = """if True:
        import threading, time, numpy as np, vorticity as vt
        def slow(x, k, sigma):
            time.sleep(0.02)
            return -x
        field = vt.from_callable(slow, process="vp?schedule=cosine", shape=(1, 4, 4), f64=slow, batch=8)
        data = np.zeros((2, 1, 4, 4), "float32")
        run = lambda: vt.circulation(field, data, points=1000, progress=False)
        threading.Thread(target=run, daemon=True).start()
        time.sleep(1)
        """
    for _ in range(3):
        ran = python("-c", source)
        assert ran.returncode == 0, (ran.returncode, ran.stderr)


def test_the_wrong_kind_of_arrays_is_told(vt, data):
    masked = vt.from_callable(lambda x, k, sigma: np.ma.masked_greater(x, 0), process=PROCESS, shape=SHAPE)
    with pytest.raises(vt.ArrayError, match="masked"):
        masked(data, 3)
