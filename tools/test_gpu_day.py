"""Checks of tools/gpu_day.py: python3 tools/test_gpu_day.py [PROGRAM]

Without a program one that answers with documents of known numbers stands in; with vorticity's own, a small network is really measured,
so that what the rows are made of is what the program says.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import gpu_day

TOOL = Path(gpu_day.__file__)
PROGRAM = None

STAND_IN = '''#!{python}
import json, sys, time
from pathlib import Path
verb, where = sys.argv[1], Path(__file__).parent
if verb == "init":
    Path(sys.argv[sys.argv.index("--out") + 1]).mkdir()
    sys.exit()
document = json.loads((where / "documents.json").read_text())[verb]
if verb == "bench" and "costs" in document:
    document["costs"] = [cost for cost in document["costs"] if cost["what"] == sys.argv[sys.argv.index("--what") + 1]]
if "sleep" in document:
    time.sleep(document["sleep"])
if "code" in document:
    print(document["says"], file=sys.stderr)
    sys.exit(document["code"])
print(json.dumps(document))
'''


def seconds(best: float) -> dict:
    return {"best": best, "median": 2 * best}


def bench() -> dict:
    ops = [{"bytes": 6e6, "seconds_per_evaluation": seconds(1e-5)}, {"bytes": 2e6, "seconds_per_evaluation": seconds(1e-5)}]
    forward = {"what": "forward", "per": "evaluation", "tile": 8, "seconds": seconds(2e-5), "evaluations_per_second": 5e4, "ops": ops}
    return {"adapter": "Card (vulkan)", "kernels": "igemm", "variants": {"conv 1x1": "igemm 128x64"}, "flops_per_evaluation": 1e8,
            "ceilings": {"multiply_add": 2e13, "gemm": 1e13, "bandwidth": 5e11, "dispatch": 2e-6, "submission": 3e-5},
            "costs": [forward, forward | {"what": "tangents"}, forward | {"what": "cotangents"}]}


def documents() -> dict:
    check = {"op": "conv", "case": "a", "error": 1e-7, "tolerance": 1e-6, "passed": True}
    return {
        "devices": {"adapters": [{"name": "Card", "kind": "discrete GPU", "usable": True}]},
        "selftest": {"adapter": "Card (vulkan)", "checks": [check, check | {"error": 2e-6, "passed": False, "op": "mix"}]},
        "verify": {"cases": [{"case": "c", "passed": True}]},
        "kernels": {"kernels": [{"name": "conv", "registers": 96, "spills": 0, "error": None}]},
        "bench": bench(),
    }


def run(folder: Path, said: dict, *more: str) -> tuple[str, dict]:
    """The page and the document of a day with a program that says this."""
    program, out = folder / "program", folder / "out"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    (folder / "documents.json").write_text(json.dumps(said))
    done = subprocess.run([sys.executable, TOOL, out, "--vorticity", program, *more], stdout=subprocess.PIPE, text=True, check=True)
    page = (out / "day.md").read_text()
    assert page in done.stdout
    return page, json.loads((out / "day.json").read_text())


class Days(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_every_part_has_its_rows(self):
        page, day = run(self.folder, documents(), "--only", "selftest", "verify", "kernels", "mnist", "cifar")
        goldens = len(list((gpu_day.ROOT / "assets/golden").iterdir()))
        for words in [
            "### Card (vulkan), ", "1 of 2 checks right; nearest to its bound: mix a, 2.0e-06 of 1.0e-06, missed",
            f"{goldens} of {goldens} goldens within tolerance, reached", "1 kernels, 0 not compiled, 0 spill, 96 registers at most, reached",
            "20,000 GFLOP/s in registers, 10,000 in a plain GEMM, 500.0 GB/s copied, 2.0 us a dispatch, 30 us a submission",
            "| MNIST, forward | - | 50,000 evaluations/s; 0.020 ms per evaluation at best, 0.040 median, tile 8 |",
            "MNIST, tangents", "MNIST, cotangents", "CIFAR-10 latent, tangents",
            # 8 MB in 20 us is 400 GB/s; 5e4 times 1e8 is half of 1e13.
            "| MNIST, forward, of the bandwidth measured | 60% | 80%, reached |",
            "| CIFAR-10 latent, forward, of a plain GEMM's rate | 60% | 50%, missed |",
            "| CIFAR-10 latent, evaluations a second | 10,500 | 50,000, reached |",
        ]:
            self.assertIn(words, page)
        self.assertEqual(day["notes"], [])

    def test_results_that_are_not_finite_are_wrong_and_the_rest_goes_on(self):
        said = documents()
        said["selftest"]["checks"][0] |= {"error": None, "passed": False}
        page, _ = run(self.folder, said, "--only", "selftest", "verify")
        self.assertIn("inf of ", page)
        self.assertIn("goldens within tolerance", page)

    def test_what_takes_too_long_is_cut_and_said(self):
        said = documents() | {"selftest": {"sleep": 60}}
        page, day = run(self.folder, said, "--seconds", "40", "--only", "selftest", "verify", "mnist")
        self.assertTrue(any(note.startswith("selftest: cut after ") for note in day["notes"]), day["notes"])
        self.assertNotIn("checks right", page)
        self.assertIn("Left out", page)
        # What comes behind it has its own time.
        self.assertIn("goldens within tolerance", page)
        self.assertIn("MNIST, forward", page)

    def test_what_fails_is_said_and_the_rest_goes_on(self):
        said = documents() | {"bench": {"code": 4, "says": "error: GPU lost"}}
        page, day = run(self.folder, said, "--only", "verify", "mnist")
        self.assertEqual(day["notes"], [f"mnist-{what}: exit code 4: error: GPU lost" for what in ("forward", "tangents", "cotangents")])
        self.assertIn("goldens within tolerance", page)

    def test_without_a_card_that_is_said(self):
        software = {"adapters": [{"name": "llvmpipe", "kind": "software", "usable": True}]}
        _, day = run(self.folder, documents() | {"devices": software}, "--only", "adapter")
        self.assertEqual(day["notes"], ["no GPU is listed: all of this is of a software adapter"])

    def test_rows_of_peers_and_of_the_tuner(self):
        ratio = {"median": 0.08, "low": 0.05, "high": 0.1}
        result = {"row": "mnist-jacobian", "what": "sub-Jacobian", "seconds": {"vorticity": [0.001, 0.003, 0.002]},
                  "ratios": {"PyTorch CUDA, authors' way": ratio, "PyTorch CUDA, TF32, authors' way": ratio}}
        tuned = {"seconds": {"a": {"igemm 64x64": 3.0, "coop f16x2 16x16": 1.0}, "b": {"igemm 64x64": 3.0}}}
        lines = [row.line() for row in gpu_day.rows({"peers": {"results": [result]}, "tuned": tuned})]
        self.assertIn("| 10 times as fast | 2.000 ms; 12.50 times as fast (10.00 to 20.00), reached |", lines[-1 - 1])
        self.assertTrue(any("3.00 to 3.00 times as fast, 1 kinds of convolution, reached" in line for line in lines), lines)
        self.assertIn("| - | 2.000 ms;", lines[-1])

    def test_the_program_says_what_the_rows_are_made_of(self):
        if PROGRAM is None:
            self.skipTest("no program was named")
        out = self.folder / "out"
        command = [sys.executable, TOOL, out, "--vorticity", PROGRAM, "--network", "assets/models/toy", "--only", "adapter", "mnist"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        page = (out / "day.md").read_text()
        for words in ["GFLOP/s in registers", "MNIST, forward", "MNIST, tangents", "MNIST, cotangents"]:
            self.assertIn(words, page)


if __name__ == "__main__":
    if sys.argv[1:]:
        PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
