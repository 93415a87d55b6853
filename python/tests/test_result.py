"""Results: the mapping, what each part says, what is written, what is missing. No torch, no pandas."""

import importlib
import pickle
import sys

import numpy as np
import pytest

import vorticity as vt

MEASURES = ["circulation", "curl", "asymmetry", "map", "planes", "spectrum", "stein", "lid", "jacobian", "likelihood"]


@pytest.fixture(scope="module")
def rotor():
    return vt.open("field:rotor?omega=1", shape=(1, 3, 3))


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).uniform(-1, 1, (3, 1, 3, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def circulation(rotor, data):
    return vt.circulation(rotor, data, paths=["rotation", "projection"], timesteps=[100, 900], points=60, verify_fraction=0.1)


def test_a_mapping_of_arrays(circulation):
    assert circulation["integral"].shape == (2, 2, 3) and circulation["integral"].dtype == np.float64
    assert dict(circulation).keys() >= {"paths", "timesteps", "sigma", "integral", "verdict"}
    assert len(circulation) == len(list(circulation)) and "integral" in circulation
    with pytest.raises(KeyError, match="circulation has no 'nothing', it has .*integral"):
        circulation["nothing"]
    assert circulation.axes == {"path": ["rotation", "projection"], "timestep": [100, 900], "sample": [0, 1, 2]}
    assert circulation.units["integral"] == "nat" and circulation.units["integral_over_abs"] == "1"
    assert circulation.about("integral")["formula"] == "Gamma = sum s.d"
    with pytest.raises(KeyError, match="no column 'nothing'"):
        circulation.about("nothing")
    assert circulation.verdict.shape == (2, 2, 3) and set(circulation.verdict.ravel()) == {"resolved"}
    assert circulation.measure == "circulation" and circulation.out is None
    assert circulation.manifest["circulation"]["columns"][0]["name"] == "integral"


def test_the_verdict_is_two_sentences(circulation, rotor, data):
    said = circulation.summary()
    assert said.startswith("The field circulates: |Γ| is from ") and said.count(". ") == 1, said
    assert "resolved at all 4 places. Every error that applies was measured" in said, said
    assert said.split(". ")[0] not in circulation.text()  # of both paths; the text has one for each
    assert "On rotation loops the field circulates" in circulation.text()
    unchecked = vt.circulation(rotor, data, paths=["rotation"], timesteps=[100], points=60, verify_fraction=0.0)
    assert "not checked, because arithmetic was not measured." in unchecked.summary()
    gaussian = vt.open("field:gaussian", shape=(1, 3, 3))
    zero = vt.circulation(gaussian, data, paths=["rotation"], timesteps=[100], points=60, verify_fraction=0.1)
    assert "indistinguishable from zero at this precision" in zero.summary()


def test_cells_are_medians_with_errors_and_verdicts(circulation):
    cells = circulation.cells("abs_integral")
    assert len(cells) == 2 and len(cells[0]) == 2
    assert cells[0][1]["median"] == np.median(circulation["abs_integral"][0, 1])
    assert cells[0][1]["verdict"] == "resolved" and cells[0][1]["error"] > 0
    assert circulation.cells("length")[0][0]["verdict"] is None
    with pytest.raises(vt.InvalidError, match="nothing"):
        circulation.cells("nothing")
    told = circulation.told()
    assert (told["label"], told["unit"], told["mean"]) == ("|Γ|", "nat", False)
    assert told["points"][0][1]["value"] == cells[0][1]["median"]


def test_in_a_notebook_it_is_a_sentence_and_a_table(circulation):
    html = circulation._repr_html_()
    assert "The field circulates" in html and html.count("<tr>") == 5 and "resolved" in html
    assert "|Γ| (nat)" in html and "<script" not in html
    assert repr(circulation).startswith("<vorticity.Result of circulation: 2 paths, 2 timesteps, 3 samples.")


def test_names_are_escaped():
    class Run:
        measure = "circulation"
        manifest = '{"circulation": {"axes": ["path", "timestep"], "paths": ["<script>"], "timesteps": [1], "columns": []}}'

        def summary(self):
            return "<script>"

        def told(self):
            point = '{"value": 1, "error": null, "verdict": "<script>"}'
            return f'{{"label": "<script>", "unit": "<script>", "mean": false, "points": [[{point}]]}}'

    html = vt.Result(Run())._repr_html_()
    assert "<script" not in html and html.count("&lt;script&gt;") == 5


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_all_of_it(measure, data, tmp_path):
    field = vt.open("field:rotor?omega=1", shape=(1, 3, 3))
    asked = {"timesteps": [100, 900]} if measure != "likelihood" else {"timesteps": "0..991:200"}
    if measure == "circulation":
        asked |= {"points": 20, "paths": ["rotation"]}
    result = getattr(vt, measure)(field, data, progress=False, **asked)
    assert result.measure == measure and result.summary() and result.text() and result._repr_html_()
    headline = result.info["headline"]
    assert result[headline].shape == tuple(len(labels) for labels in result.axes.values())
    assert result.verdict.shape == result[headline].shape
    labels = result.info["labels"]
    assert headline in labels and set(labels) <= set(result.units)
    result.save(tmp_path / "run")
    again = vt.load(tmp_path / "run")
    assert again.summary() == result.summary() and again.text() == result.text() and again.cells() == result.cells()
    assert all(np.array_equal(again[name], result[name], equal_nan=result[name].dtype.kind == "f") for name in result)
    assert again.out is not None


def test_reports_with_and_without_a_directory(circulation, tmp_path):
    circulation.report(tmp_path / "page.html", title="Two loops")
    page = (tmp_path / "page.html").read_text()
    assert "Two loops" in page and "The field circulates" in page
    directory = circulation.save(tmp_path / "run")
    vt.report([directory, vt.load(directory)], tmp_path / "both.html", names=["a", "b"])
    assert (tmp_path / "both.html").stat().st_size > 10_000
    with pytest.raises(vt.FileError):
        circulation.save(directory)


def test_results_travel_by_their_directory(circulation, tmp_path):
    circulation.save(tmp_path / "run")
    sent = pickle.loads(pickle.dumps(vt.load(tmp_path / "run")))
    assert np.array_equal(sent["integral"], circulation["integral"]) and sent.summary() == circulation.summary()
    with pytest.raises(vt.InvalidError, match="in memory alone"):
        pickle.dumps(circulation)


def test_shards_say_what_they_are(rotor, data, tmp_path):
    asked = {"timesteps": [100], "probes": 2, "verify": 1, "progress": False}
    parts = [vt.asymmetry(rotor, data, shard=(i, 3), out=tmp_path / str(i), **asked) for i in (1, 2, 3)]
    assert "results are those of all 3 merged" in parts[0].summary() and "shard" in repr(parts[0])
    assert "merged" in parts[0]._repr_html_()
    for what in (lambda: parts[0].axes, lambda: parts[0].about("nasym"), parts[0].cells, parts[0].told):
        with pytest.raises(vt.InvalidError, match="merge"):
            what()
    merged = vt.merge([part.out for part in parts], tmp_path / "merged")
    whole = vt.asymmetry(rotor, data, out=tmp_path / "whole", **asked)
    assert np.array_equal(merged["nasym"], whole["nasym"])


@pytest.mark.parametrize(("method", "package"), [("to_frame", "pandas"), ("to_xarray", "xarray"), ("plot", "matplotlib")])
def test_what_is_missing_says_what_to_install(circulation, monkeypatch, method, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib, "import_module", _without(package))
    with pytest.raises(vt.MissingDependency, match=f"{package} is not installed.*pip install {package}"):
        getattr(circulation, method)()


@pytest.mark.parametrize("name", ["from_torch", "torch_jvp", "torch_vjp", "jax_jvp", "jax_vjp"])
def test_without_torch_and_jax(monkeypatch, name):
    package = "jax" if name.startswith("jax") else "torch"
    function = getattr(vt, name)
    monkeypatch.setattr(importlib, "import_module", _without(package))
    given = {"process": vt.Process.edm(timesteps=5), "prediction": "eps"} if name == "from_torch" else {}
    with pytest.raises(vt.MissingDependency, match=f"{package} is not installed"):
        function(None, None, **given) if name == "from_torch" else function(lambda x, k, sigma: x)


def _without(package):
    real = importlib.import_module

    def importing(name, *rest):
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)
        return real(name, *rest)

    return importing
