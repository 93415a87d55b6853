"""Results as pandas frames and xarray data sets: of every measure what the CSV has, with units and coordinates."""

import io

import numpy as np
import pandas as pd
import pytest

import vorticity as vt

MEASURES = ["circulation", "curl", "asymmetry", "map", "planes", "spectrum", "stein", "lid", "jacobian", "likelihood"]


@pytest.fixture(scope="module", params=MEASURES)
def result(request):
    field = vt.open("field:rotor?omega=1", shape=(1, 3, 3))
    data = np.random.default_rng(0).uniform(-1, 1, (3, 1, 3, 3)).astype(np.float32)
    asked = {"timesteps": "0..991:200"} if request.param == "likelihood" else {"timesteps": [100, 900]}
    if request.param == "circulation":
        asked |= {"points": 20, "paths": ["rotation", "projection"]}
    return getattr(vt, request.param)(field, data, progress=False, **asked)


def test_the_frame_is_the_csv(result, tmp_path):
    frame = result.to_frame()
    text = (tmp_path / "run" / f"{result.measure}.csv") if result.save(tmp_path / "run") else None
    written = pd.read_csv(io.StringIO(text.read_text()))
    assert ("sigma" in frame) == ("timestep" in result.axes)
    assert list(frame.columns) == list(written.columns)
    for name in written:
        if written[name].dtype.kind == "f":
            np.testing.assert_array_equal(frame[name].to_numpy(float), written[name].to_numpy(float), err_msg=name)
        else:
            assert (frame[name].astype(str) == written[name].astype(str)).all(), name
    if "timestep" in result.axes:
        levels = frame.groupby("timestep")["sigma"].first()
        np.testing.assert_array_equal(levels.loc[result.axes["timestep"]], result["sigma"])


def test_the_data_set_has_axes_and_units(result):
    found = result.to_xarray()
    headline = result.info["headline"]
    np.testing.assert_array_equal(found[headline].values, result[headline])
    assert found[headline].dims == tuple(result.axes) and found[headline].attrs["units"] == result.units[headline]
    assert found.attrs["measure"] == result.measure and found.attrs["summary"] == result.summary()
    for axis, labels in result.axes.items():
        assert list(found[axis].values) == labels
    everything = set(found.variables)
    assert {name for name in result if name != "sigma" and not name.endswith("s") or name in result.units} <= everything
    for name, array in result.items():
        if name in found.variables:
            assert found[name].shape == array.shape
    assert not any(str(dim).endswith("_0") for dim in found.dims), found.dims  # every axis has a name
    if result.measure == "jacobian":
        assert found["jacobian"].dims == ("timestep", "sample", "row", "column")
    if "timestep" in result.axes:
        assert found["sigma"].dims == ("timestep",)
        found.sel(timestep=900)
