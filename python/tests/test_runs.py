"""Runs by the command line and from Python are the same to the byte; so are shards that were merged, and runs that were saved later."""

import json

import numpy as np
import pytest
from conftest import DIGITS, MODEL, command, contents, same

# Own parameters of every measure, on a closed form.
MEASURES = {
    "circulation": {"paths": "rotation,projection?arcs=5", "timesteps": [400, 900], "points": 20},
    "curl": {"timesteps": [400, 900], "components": 5},
    "asymmetry": {"timesteps": [400, 900], "probes": 3},
    "map": {"timesteps": [400, 900], "probes": 3},
    "planes": {"timesteps": [400, 900], "planes": 3, "steps": 5, "probes": 2},
    "spectrum": {"timesteps": [400, 900], "ends": "1", "steps": 5},
    "stein": {"timesteps": [400, 900], "probes": 3},
    "lid": {"timesteps": [400, 900], "probes": 3},
    "jacobian": {"timesteps": 400},
    "likelihood": {"timesteps": "0..901:150", "probes": 2},
}


def flags(parameters):
    for name, value in parameters.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        yield from (f"--{name.replace('_', '-')}", text)


def test_every_measure_is_here(vt):
    from vorticity import _measures

    assert set(MEASURES) == set(_measures.FUNCTIONS)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_command_line_writes_the_same(vt, measure, tmp_path):
    own = MEASURES[measure]
    shared = ["--data", DIGITS, "--samples", 2, "--seed", 3, "--quiet", "--out", tmp_path / "cli"]
    ran = command(measure, "field:tilted?omega=0.5", *shared, *flags(own))
    assert ran.returncode == 0, ran.stderr
    field = vt.open("field:tilted?omega=0.5")
    result = getattr(vt, measure)(field, DIGITS, out=tmp_path / "python", samples=2, seed=3, progress=False, **own)
    same(tmp_path / "cli", tmp_path / "python")
    assert json.loads((tmp_path / "python/run_log.json").read_text())["command"][0] == "python"

    # In memory it is the same run, and can be written later.
    again = getattr(vt, measure)(field, DIGITS, samples=2, seed=3, progress=False, **own)
    assert again.out is None and again.manifest == result.manifest
    again.save(tmp_path / "saved")
    same(tmp_path / "cli", tmp_path / "saved")
    loaded = vt.load(tmp_path / "cli")
    loaded.save(tmp_path / "copied")
    same(tmp_path / "cli", tmp_path / "copied")
    with np.load(tmp_path / f"cli/{measure}.npz") as npz:
        for found in (result, again, loaded):
            assert sorted(found) == sorted(npz.files)
            for name in npz.files:
                assert np.array_equal(found[name], npz[name], equal_nan=npz[name].dtype.kind == "f"), name
                assert found[name].dtype == npz[name].dtype, name
    assert result.text() == again.text() == loaded.text()


def test_a_network_s_run_is_the_command_line_s(vt, mnist, tmp_path):
    own = {"paths": "rotation", "timesteps": [501], "points": 6}
    ran = command("circulation", MODEL, "--data", DIGITS, "--samples", 1, "--quiet", "--out", tmp_path / "cli", *flags(own))
    assert ran.returncode == 0, ran.stderr
    vt.circulation(mnist, DIGITS, out=tmp_path / "python", samples=1, progress=False, **own)
    same(tmp_path / "cli", tmp_path / "python")


def test_arrays_are_data_as_files_are(vt, digits, tmp_path):
    field = vt.open("field:tilted")
    own = {"timesteps": [400], "probes": 2, "progress": False}
    of_file = vt.asymmetry(field, DIGITS, samples=3, **own)
    of_bytes = vt.asymmetry(field, digits[:3], **own)
    reals = (digits[:3] / 255.0 * 2.0 - 1.0).astype(np.float32)
    of_reals = vt.asymmetry(field, reals, **own)
    for name in of_file:
        assert np.array_equal(of_file[name], of_bytes[name]) and np.array_equal(of_file[name], of_reals[name]), name
    import hashlib

    expected = {"array": "uint8", "sha256": hashlib.sha256(digits[:3].tobytes()).hexdigest(), "shape": "1x28x28"}
    assert of_bytes.manifest["data"] == expected
    assert of_reals.manifest["data"] == {**expected, "array": "float32", "sha256": hashlib.sha256(reals.tobytes()).hexdigest()}
    fewer = vt.asymmetry(field, digits[:3], samples=1, **own)
    assert fewer["nasym"].shape == (1, 1) and of_bytes["nasym"].shape == (1, 3)
    with pytest.raises(vt.InvalidError, match="holds 3 images, 4 were asked for"):
        vt.asymmetry(field, digits[:3], samples=4, **own)


def test_shards_merge_to_the_whole_run(vt, tmp_path):
    field, own = vt.open("field:rotor"), {"timesteps": [400, 900], "probes": 2, "samples": 5, "progress": False}
    vt.asymmetry(field, DIGITS, out=tmp_path / "whole", **own)
    parts = [tmp_path / f"part-{i}" for i in (1, 2, 3)]
    for i, part in enumerate(parts):
        shard = vt.asymmetry(field, DIGITS, out=part, shard=(i + 1, 3) if i else "1/3", **own)
        assert shard.measure == "asymmetry" and "shard" in shard.text()
    merged = vt.merge(reversed(parts), tmp_path / "merged")
    same(tmp_path / "whole", tmp_path / "merged")
    assert merged["nasym"].shape == (2, 5)
    with pytest.raises(vt.InvalidError, match="2 of 3 shards given, missing: 2/3"):
        vt.merge([parts[0], parts[2]], tmp_path / "torn")
    assert not (tmp_path / "torn").exists()
    with pytest.raises(vt.InvalidError, match="shard: given without out"):
        vt.asymmetry(field, DIGITS, shard=(1, 3), **own)


def test_what_is_asked_is_read_or_refused(vt, tilted):
    data, own = "data:gaussian", {"samples": 2, "timesteps": [400], "progress": False}
    assert vt.curl(tilted, data, **own | {"timesteps": range(400, 500, 50)}).manifest["curl"]["timesteps"] == [400, 450]
    assert vt.curl(tilted, data, **own | {"timesteps": np.array([3, 400])}).manifest["curl"]["timesteps"] == [3, 400]
    with pytest.raises(TypeError, match=r"curl\(\) has no parameter 'timestep', expected one of samples, seed, timesteps"):
        vt.curl(tilted, data, timestep=4)
    with pytest.raises(vt.InvalidError, match="samples: 'many' is no whole number|'many' is no whole number"):
        vt.curl(tilted, data, **own | {"samples": "many"})
    with pytest.raises(vt.InvalidError, match=r"samples: 1\.5 is given, expected a whole number"):
        vt.curl(tilted, data, **own | {"samples": 1.5})
    with pytest.raises(vt.InvalidError, match=r"timestep: 1000 is outside 0\.\.=999"):
        vt.curl(tilted, data, **own | {"timesteps": 1000})
    with pytest.raises(vt.InvalidError, match="field: str is given, expected a Field"):
        vt.curl("field:gaussian", data, **own)
    with pytest.raises(vt.InvalidError, match="shard: 'a half'"):
        vt.curl(tilted, data, shard="a half", **own)
    with pytest.raises(vt.FileError, match="nothing-there"):
        vt.curl(tilted, "nothing-there", **own)


def test_sampling_and_reports(vt, tilted, tmp_path):
    gaussian = vt.open("field:gaussian", shape="1x4x4")
    x = vt.sample(gaussian, 3, method="ode", steps=10, seed=1, progress=False)
    assert x.shape == (3, 1, 4, 4) and x.dtype == np.float32 and np.isfinite(x).all()
    assert np.array_equal(x, vt.sample(gaussian, 3, method="ode", steps=10, seed=1, progress=False))
    own = ["--n", 3, "--method", "ode", "--steps", 10, "--seed", 1, "--values", tmp_path / "x.npz"]
    ran = command("sample", "field:gaussian", "--shape", "1x4x4", *own)
    assert ran.returncode == 0, ran.stderr
    assert np.array_equal(np.load(tmp_path / "x.npz")["samples"], x)
    with pytest.raises(vt.InvalidError, match="method: 'euler' is not one of ode, ddim, ddpm"):
        vt.sample(gaussian, 1, method="euler")
    run = vt.curl(tilted, "data:gaussian", out=tmp_path / "run", samples=2, timesteps=[400], progress=False)
    vt.report(run, tmp_path / "own.html")
    assert command("report", tmp_path / "run", "--out", tmp_path / "cli.html").returncode == 0
    assert contents(tmp_path)["own.html"] == contents(tmp_path)["cli.html"]


def test_progress_is_told(vt, tilted, capfd):
    seen = []
    vt.curl(tilted, "data:gaussian", samples=2, timesteps=[400], progress=seen.append)
    assert seen and set(seen[-1]) == {"done", "total", "at_most", "seconds", "rate", "left", "predicted"}
    assert seen[-1]["done"] >= seen[-1]["total"] > 0

    def fails(state):
        raise LookupError("of one's own")

    with pytest.raises(LookupError, match="of one's own"):
        vt.curl(tilted, "data:gaussian", samples=2, timesteps=[400], progress=fails)
    vt.curl(tilted, "data:gaussian", samples=2, timesteps=[400])
    assert capfd.readouterr() == ("", "")


def test_several_devices_give_the_bytes_of_one(vt, tmp_path):
    own = {"paths": "rotation", "samples": 2, "timesteps": [400], "points": 20, "progress": False}
    field = vt.open("field:rotor")
    vt.circulation(field, DIGITS, out=tmp_path / "one", **own)
    vt.circulation(field, DIGITS, out=tmp_path / "two", device=vt.Device([0, 0]), **own)
    same(tmp_path / "one", tmp_path / "two")
    with pytest.raises(vt.InvalidError, match="devices: 2 of them, expected one: curl runs on one"):
        vt.curl(field, DIGITS, samples=1, timesteps=[400], device="0,0", progress=False)


def test_a_run_goes_on_where_the_command_line_ended(vt, mnist, tmp_path):
    """What one of them has recorded is the other's."""
    import subprocess
    import sys
    import time

    own = {"paths": "rotation", "samples": 2, "timesteps": [501], "points": 40, "verify_fraction": 0.003, "tile": 8}
    out = tmp_path / "run"
    asked = ["circulation", MODEL, "--data", DIGITS, "--quiet", "--out", out, *flags(own)]
    started = subprocess.Popen([sys.executable, "-m", "vorticity", *map(str, asked)])
    journal, begun = tmp_path / "run.partial/journal", 0
    while started.poll() is None:
        size = journal.stat().st_size if journal.exists() else 0
        begun = begun or size
        if size > begun:
            started.kill()
            break
        time.sleep(0.02)
    started.wait()
    assert not out.exists()
    result = vt.circulation(mnist, DIGITS, out=out, progress=False, **own)
    assert result.log["evaluations_before"] > 0
    whole = vt.circulation(mnist, DIGITS, progress=False, **own)
    assert whole.manifest == result.manifest
