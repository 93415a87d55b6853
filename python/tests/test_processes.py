"""Threads, forks, Ctrl-C, panics and the command: nothing hangs, nothing is lost, everything that goes wrong has its own exception."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import DIGITS, MODEL, command, python, same

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and forks are POSIX's")


def test_two_threads_at_once(vt, mnist):
    x = np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype(np.float32)
    ks = [3, 300, 600, 900]
    alone = [mnist(x[i], k) for i, k in enumerate(ks)]
    along = [mnist.jvp(x[i], x[0], k)[1] for i, k in enumerate(ks)]
    wrong, seen = [], []

    def work(i):
        try:
            for _ in range(4):
                if not np.array_equal(mnist(x[i], ks[i]), alone[i]):
                    wrong.append(i)
                if not np.array_equal(mnist.jvp(x[i], x[0], ks[i])[1], along[i]):
                    wrong.append(i)
            seen.append(i)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sorted(seen) == [0, 1, 2, 3]


def test_runs_at_once(vt, tilted):
    own = {"samples": 3, "timesteps": [400, 900], "probes": 3, "progress": False}
    alone = vt.asymmetry(tilted, "data:gaussian", **own)
    found = []
    threads = [threading.Thread(target=lambda: found.append(vt.asymmetry(tilted, "data:gaussian", **own))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [np.array_equal(run["nasym"], alone["nasym"]) for run in found] == [True, True]


def test_the_interpreter_is_free_while_the_device_works(vt, mnist):
    """Another thread counts while a run is under way: it would stand still if the GIL were held."""
    steps, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            steps[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    start, before = time.perf_counter(), steps[0]
    mnist.twin(np.zeros((3, 1, 28, 28)), 3)
    seconds, counted = time.perf_counter() - start, steps[0] - before
    stop.set()
    thread.join()
    assert counted > 20 * seconds, f"{counted} steps in {seconds:.2f} s"


FORK = """
    import os, sys, numpy as np, vorticity as vt
    field = vt.open("field:rotor", shape=(1, 4, 4))
    x = np.ones((1, 1, 4, 4), np.float32)
    before = field(x, 3)
    run = vt.curl(field, "data:gaussian", samples=1, timesteps=[3], progress=False)
    child = os.fork()
    if child == 0:
        said = 0
        for call in (lambda: field(x, 3), lambda: field.jvp(x, x, 3), lambda: vt.sample(field, 1), lambda: vt.devices(),
                     lambda: vt.curl(field, "data:gaussian", samples=1, timesteps=[3]), lambda: vt.Device().describe(),
                     lambda: vt.open("field:gaussian", shape=(1, 4, 4))(x, 3)):
            try:
                call()
            except vt.ForkError as error:
                said += "forked from" in str(error)
        assert np.isfinite(run["asymmetry"]).all() and field.twin(x, 3).shape == x.shape
        del field, run
        {leave}
    _, status = os.waitpid(child, 0)
    assert np.array_equal(field(x, 3), before)
    print("child", os.waitstatus_to_exitcode(status))
"""


@POSIX
@pytest.mark.parametrize("leave", ["os._exit(said)", "sys.exit(said)"])
def test_a_forked_child_is_refused_at_once(leave):
    ran = python("-c", textwrap.dedent(FORK.replace("{leave}", leave)))
    assert ran.returncode == 0 and ran.stdout == "child 7\n", ran.stdout + ran.stderr


@POSIX
def test_a_fork_before_the_first_call_is_fine():
    ran = python(
        "-c",
        textwrap.dedent("""
        import multiprocessing, numpy as np, vorticity as vt
        field = vt.open("field:rotor", shape=(1, 4, 4))

        def work(k):
            return float(field(np.ones((1, 1, 4, 4), np.float32), k).sum())

        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(len(pool.map(work, [3, 4, 5])))
    """),
    )
    assert ran.stdout == "3\n", ran.stdout + ran.stderr


LONG = """
    import sys, vorticity as vt
    field = vt.open({model!r})
    def told(state):
        print("at", state["done"], "of", state["total"], flush=True)
    try:
        own = {{"samples": 2, "paths": "rotation", "timesteps": [501, 901], "points": 40, "verify_fraction": 0.003, "tile": 8}}
        run = vt.circulation(field, {data!r}, out=sys.argv[1], progress=told, **own)
    except vt.Interrupted as stopped:
        assert isinstance(stopped.__cause__, KeyboardInterrupt)
        print("stopped:", stopped, flush=True)
        sys.exit(7)
    print("whole", run.log["evaluations_before"], flush=True)
"""


@POSIX
def test_ctrl_c_keeps_what_was_measured(tmp_path):
    script = tmp_path / "long.py"
    script.write_text(textwrap.dedent(LONG.format(model=str(MODEL), data=str(DIGITS))))
    whole = python(script, tmp_path / "whole")
    assert whole.stdout.splitlines()[-1] == "whole 0", whole.stderr
    out = tmp_path / "stopped"
    started = subprocess.Popen([sys.executable, script, out], stdout=subprocess.PIPE, text=True)
    seen = 0
    for line in started.stdout:
        seen += line.startswith("at")
        if seen == 3:
            started.send_signal(signal.SIGINT)
            break
    rest = started.stdout.read()
    assert started.wait(60) == 7, rest
    assert "the same call goes on from there" in rest and str(out) + ".partial" in rest
    assert not out.exists() and out.with_name("stopped.partial").exists()
    again = python(script, out)
    assert again.returncode == 0, again.stderr
    assert int(again.stdout.split()[-1]) > 0, "nothing was kept"
    same(tmp_path / "whole", out)


@POSIX
def test_ctrl_c_ends_what_keeps_nothing():
    ran = textwrap.dedent(f"""
        import numpy as np, vorticity as vt
        field = vt.open({str(MODEL)!r})
        print("now", flush=True)
        try:
            field.twin(np.zeros((10000, 1, 28, 28)), 3)
        except vt.Interrupted as stopped:
            print(stopped)
    """)
    started = subprocess.Popen([sys.executable, "-c", ran], stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "now\n"
    time.sleep(0.5)
    started.send_signal(signal.SIGINT)
    assert "nothing is kept" in started.communicate(timeout=60)[0]
    assert started.returncode == 0


def test_the_command_is_the_program():
    version = command("--version")
    assert version.returncode == 0 and version.stdout.startswith("vorticity ")
    assert command("measure-nothing").returncode == 2
    refused = command("curl", "field:gauss", "--shape", "1x2x2", "--data", "data:gaussian", "--out", "nowhere")
    assert refused.returncode == 2 and refused.stderr.startswith("error: field:gauss")
    assert "Usage: python -m vorticity" in command("curl", "--help").stdout
    assert json.loads(command("devices", "--json").stdout)["adapters"]
    imported = "import sys, vorticity.__main__, vorticity._native, vorticity; vorticity.__version__"
    light = python("-c", f"{imported}; assert 'numpy' not in sys.modules")
    assert light.returncode == 0, light.stderr


@POSIX
def test_the_command_stops_as_the_program_does(tmp_path):
    own = ["--paths", "rotation", "--samples", "8", "--points", "100", "--timesteps", "1..1000:100", "--tile", "8", "--yes"]
    asked = ["circulation", MODEL, "--data", DIGITS, *own, "--quiet", "--out", tmp_path / "out"]
    started = subprocess.Popen([sys.executable, "-m", "vorticity", *map(str, asked)], stderr=subprocess.PIPE, text=True)
    journal, begun = tmp_path / "out.partial/journal", 0
    while started.poll() is None:
        size = journal.stat().st_size if journal.exists() else 0
        begun = begun or size
        if size > begun:
            break
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    said = started.communicate(timeout=120)[1]
    assert started.returncode == 130, said
    assert "stopped by the user" in said and "goes on from there" in said
    pipe = subprocess.run(f"{sys.executable} -m vorticity man | head -1", shell=True, capture_output=True, text=True)
    assert pipe.returncode == 0 and "panicked" not in pipe.stderr and "Traceback" not in pipe.stderr


def test_a_panic_is_an_exception(vt, capfd):
    from vorticity import _native

    with pytest.raises(vt.InternalError, match="a panic on purpose.*please report"):
        _native._panic("a panic on purpose")
    assert capfd.readouterr() == ("", "")
