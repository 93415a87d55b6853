"""docs/PYTHON.md runs, snippet by snippet; its recipes give the bytes of one process. The notebooks run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "PYTHON.md").read_text()
DATA = "assets/data/mnist-test-256-idx3-ubyte.gz"


@pytest.fixture
def here(tmp_path):
    """A folder that looks like the root of a clone to the snippets."""
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    return tmp_path


def snippets(language, heading=None):
    page = PAGE if heading is None else PAGE[PAGE.index(f"## {heading}") :].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def ran(here, source, **more):
    """Runs a script there in a process of its own."""
    script = here / "script.py"
    script.write_text(source)
    env = os.environ | {"MPLBACKEND": "agg"} | more
    done = subprocess.run([sys.executable, str(script)], cwd=here, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def same(one, other):
    """All files but the log, which says when it was."""
    for file in sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file() and p.name != "run_log.json"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}


def whole(here):
    """The run that the recipes split, by one process."""
    import vorticity as vt

    asked = {"samples": 4, "timesteps": [1, 501], "probes": 2, "verify": 1, "progress": False}
    vt.asymmetry(vt.open(ROOT / "assets/models/mnist"), str(ROOT / DATA), out=here / "runs" / "whole", **asked)
    return here / "runs" / "whole"


def test_every_snippet_but_the_recipes_runs(here):
    parts = [s for s in snippets("python") if s not in snippets("python", "Many processes, many machines")]
    assert len(parts) >= 9
    said = ran(here, "\n".join(parts))
    assert "engine and module differ by" in said and "resolved" in said and "expected" in said.splitlines()[-1], said
    for file in ("asymmetry.pdf", "circulation.pdf", "first.html", "runs/first/manifest.json"):
        assert (here / file).exists(), file


def test_joblib_and_dask_give_the_bytes_of_one_process(here):
    joblib, dask = snippets("python", "Many processes, many machines")
    (here / "runs").mkdir()  # earlier on the page
    ran(here, f"import vorticity as vt\n{joblib}")
    asked = re.search(r"^asked = .*$", joblib, re.MULTILINE)[0]
    ran(here, f"import vorticity as vt\n{asked}\n{dask}")
    one = whole(here)
    same(one, here / "runs" / "joblib")
    same(one, here / "runs" / "dask")


def test_slurms_jobs_give_the_bytes_of_one_process(here):
    import vorticity as vt

    (script,) = [s for s in snippets("sh", "Many processes, many machines") if "SBATCH" in s]
    (here / "job.sh").write_text(script)
    (here / "bin").mkdir()
    (here / "bin" / "python").symlink_to(sys.executable)
    for job in ("1", "2", "2"):  # one of them again, as after a failure elsewhere
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = os.environ | {"SLURM_ARRAY_TASK_ID": job, "SLURM_ARRAY_TASK_COUNT": "2", "PATH": path}
        done = subprocess.run(["sh", "job.sh"], cwd=here, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
    merged = vt.merge([here / "runs" / "slurm-1", here / "runs" / "slurm-2"], here / "runs" / "slurm")
    assert merged.measure == "asymmetry"
    same(whole(here), here / "runs" / "slurm")


def executed(name, here, **env):
    """A notebook of examples/, run to its end; its outputs as text."""
    import nbclient
    import nbformat

    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    before = dict(os.environ)
    os.environ.update({"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **env})
    try:
        nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(here)}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return "\n".join(str(output) for cell in notebook.cells for output in cell.get("outputs", []))


def test_the_notebook_of_a_unet(here):
    said = executed("diffusers_unet", here)
    assert "The Jacobian is asymmetric" in said and "The field circulates" in said and said.count("image/png") == 2


def test_the_notebook_of_ones_own_network(here):
    said = executed("own_network", here)
    assert "engine and module differ by" in said and said.count("image/png") == 2
    assert "of the output" in said and "Every error that applies was measured" in said


def test_the_notebook_of_galaxies(here):
    import nbclient

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="There is no galaxy network in 'nowhere'"):
        executed("galaxies", here, GALAXIES="nowhere")
    folder = os.environ.get("GALAXIES")
    if folder is None:
        pytest.skip("set GALAXIES to a folder that tools/published/galaxies made: its weights state no licence and are not here")
    said = executed("galaxies", here, GALAXIES=folder)
    assert "On rotation loops the field circulates" in said and said.count("image/png") == 4


@pytest.mark.parametrize("name", ["diffusers_unet", "own_network", "galaxies"])
def test_notebooks_are_small_and_name_no_machine(name):
    text = (ROOT / "examples" / f"{name}.ipynb").read_text()
    assert len(text) < 200_000
    assert not re.search(r"/(home|root|tmp|Users|opt|work)/", text), name
    if name == "galaxies":
        assert '"outputs": []' in text and '"output_type"' not in text
