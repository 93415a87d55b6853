"""What goes to other processes: fields, processes, devices and runs are made again there, and what cannot be says why."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from conftest import MODEL


def roll(x, k, sigma):
    return np.roll(x, 1, -1) - x


def there_and_back(value):
    return pickle.loads(pickle.dumps(value))


def test_processes(vt):
    for process in (
        vt.Process.open("vp?schedule=linear"),
        vt.Process.vp(np.linspace(0.99, 0.01, 50)),
        vt.Process.ve([0.1, 0.2, 1.7]),
        vt.Process.edm(timesteps=7),
        vt.Process.flow(timesteps=9),
    ):
        again = there_and_back(process)
        assert np.array_equal(again.levels, process.levels) and repr(again) == repr(process)


def test_fields(vt):
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype("float32")
    opened = vt.open("field:rotor?omega=2", shape=(1, 4, 4), process=vt.Process.open("vp?schedule=linear"), device=vt.Device("software"))
    closure = vt.from_callable(roll, process="vp?schedule=cosine", shape=(1, 4, 4), f64=roll, name="rolled")
    for field in (opened, closure):
        for again in (there_and_back(field), copy.deepcopy(field)):
            assert again.describe() == field.describe() and repr(again) == repr(field)
            assert np.array_equal(again(x, 5), field(x, 5))
    network = there_and_back(vt.open(MODEL))
    assert network.describe() == vt.open(MODEL).describe()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(vt.from_callable(lambda x, k, sigma: x, process="vp?schedule=cosine", shape=(1, 4, 4)))


def test_devices(vt):
    device = vt.Device("software", memory="1GiB", tune="off")
    assert repr(there_and_back(device)) == repr(device)


def test_measures_and_what_they_are_given(vt):
    call = there_and_back(partial(vt.circulation, vt.open("field:rotor"), "data:gaussian"))
    assert call.func.__name__ == "circulation"


def test_runs(vt, tilted, tmp_path):
    x = np.zeros((2, 1, 4, 4), "float32")
    asked = {"timesteps": [100], "points": 10, "progress": False}
    with pytest.raises(vt.InvalidError, match="in memory alone"):
        pickle.dumps(vt.circulation(tilted, x, **asked))
    result = vt.circulation(tilted, x, out=tmp_path / "run", **asked)
    again = there_and_back(result)
    assert again.manifest == result.manifest and again.summary() == result.summary()


def test_what_is_a_shard_says_so(vt, tilted, tmp_path):
    x = np.zeros((2, 1, 4, 4), "float32")
    shard = vt.circulation(tilted, x, timesteps=[100], points=10, shard=(1, 2), out=tmp_path / "1", progress=False)
    for ask in (lambda: shard["verdict"], lambda: shard["abs_integral"], lambda: shard.axes, shard.to_frame):
        with pytest.raises((vt.InvalidError, vt.MissingDependency), match="merge|pandas"):
            ask()


def test_masked_arrays_are_refused(vt, tilted):
    x = np.ma.array(np.zeros((1, 4, 4), "float32"), mask=False)
    assert tilted(x, 3).shape == (1, 4, 4)
    x[0, 1, 2] = np.ma.masked
    with pytest.raises(vt.ArrayError, match="1 numbers are masked"):
        tilted(x, 3)


def test_shards_are_sent_as_their_directories(vt, tilted, tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 1, 4, 4)).astype("float32")
    asked = {"timesteps": [100], "points": 10, "progress": False}
    shards = [vt.circulation(tilted, x, shard=(i, 2), out=tmp_path / str(i), **asked) for i in (1, 2)]
    with pytest.raises(vt.InvalidError, match="send its out"):
        pickle.dumps(shards[0])
    merged = vt.merge(shards, tmp_path / "merged")
    assert np.array_equal(merged["integral"], vt.circulation(tilted, x, **asked)["integral"])
