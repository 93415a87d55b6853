"""`vt.check`: the answer is that of the command line, stage by stage and byte for byte; a callable is checked as far as it goes."""

import json

import numpy as np
import pytest
from conftest import command, same


def test_answers_are_those_of_known_fields(vt):
    for model, answer in [("field:gaussian", "indistinguishable from a gradient"), ("field:rotor?omega=1", "not a gradient")]:
        found = vt.check(vt.open(model, shape=(1, 4, 4)), "data:gaussian?seed=1", minutes=0.1, progress=False)
        assert found.answer == answer and found.out is None
        assert list(found.results)[0] == "circulation" and found.results["circulation"].measure == "circulation"
        assert found.summary().split(":")[0].lower().startswith(answer), found.summary()
        assert str(found) == found.summary() and answer in repr(found)
        assert {"what", "timesteps", "values", "errors", "resolved"} <= set(found.found[0])


def test_a_plan_gives_the_bytes_of_the_command_line(vt, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    field = vt.open("field:tilted?omega=0.5", shape=(1, 4, 4))
    found = vt.check(field, "data:gaussian?seed=1", minutes=0.1, out=ours, progress=False)
    model = ["field:tilted?omega=0.5", "--data", "data:gaussian?seed=1", "--shape", "1x4x4"]
    command("check", *model, "--plan", ours / "plan.json", "--out", theirs)
    assert [stage["name"] for stage in found.plan["stages"]] == list(found.results)
    for name, result in found.results.items():
        same(ours / name, theirs / name)
        assert str(result.out) == str(ours / name)
    assert json.loads((ours / "verdict.json").read_text()) == json.loads((theirs / "verdict.json").read_text())
    assert "Verdict" in (ours / "page.html").read_text()
    # The same call again reads what is there.
    again = vt.check(field, "data:gaussian?seed=1", out=ours, progress=False)
    assert again.summary() == found.summary()
    with pytest.raises(vt.FileError, match="another directory"):
        vt.check(field, "data:gaussian?seed=1", minutes=5, out=ours, progress=False)
    with pytest.raises(vt.InvalidError, match="plan"):
        vt.check(field, "data:gaussian?seed=1", minutes=5, plan=ours / "plan.json")


def test_samples_timesteps_and_seed_are_in_the_plan(vt, tmp_path, tilted):
    data = np.random.default_rng(0).standard_normal((90, 1, 4, 4)).astype(np.float32)
    asked = {"samples": 80, "timesteps": [5, 105], "seed": 7}
    found = vt.check(tilted, data, minutes=0.1, out=tmp_path / "out", progress=False, **asked)
    assert {key: found.plan["asked"][key] for key in asked} == asked
    circulation = found.results["circulation"]
    assert circulation["integral"].shape[1:] == (2, 80)
    assert circulation.manifest["seed"] == 7
    # What another check measured, of as many samples; and the same call again.
    again = vt.check(tilted, data, plan=tmp_path / "out/plan.json", progress=False)
    assert np.array_equal(again.results["circulation"]["integral"], circulation["integral"])
    assert vt.check(tilted, data, out=tmp_path / "out", progress=False, **asked).summary() == found.summary()
    with pytest.raises(vt.InvalidError, match="given beside samples, seed"):
        vt.check(tilted, data, samples=3, seed=1, plan=tmp_path / "out/plan.json")
    with pytest.raises(vt.InvalidError, match="samples: 91, expected 1..=90"):
        vt.check(tilted, data, samples=91, progress=False)
    with pytest.raises(vt.InvalidError, match="timesteps"):
        vt.check(tilted, data, timesteps="a", progress=False)


def test_arrays_and_callables_are_checked(vt, tmp_path):
    alphas = np.cos(np.linspace(0.01, 1.5, 20)) ** 2
    field = vt.from_callable(lambda x, k, sigma: -x, process=vt.Process.vp(alphas), shape=(1, 2, 2), prediction="score")
    data = np.random.default_rng(0).standard_normal((3, 1, 2, 2)).astype(np.float32)
    seen = []
    found = vt.check(field, data, minutes=0.1, progress=seen.append)
    # It has no values in f64: an error that applies is not measured, and nothing may be said.
    assert found.answer == "not decided" and "arithmetic" in found.summary()
    assert found.results["circulation"]["integral"].shape[2] <= 3
    assert seen and all(state["done"] <= state["total"] for state in seen)


def test_what_is_no_field_is_refused(vt):
    with pytest.raises(vt.InvalidError, match="expected a Field"):
        vt.check("field:gaussian", "data:gaussian")
    with pytest.raises(vt.InvalidError, match="minutes"):
        vt.check(vt.open("field:gaussian", shape=(1, 4, 4)), "data:gaussian", minutes=0)
