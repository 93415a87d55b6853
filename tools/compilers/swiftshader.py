"""SwiftShader, a second software driver of Vulkan, with WebGPU-like limits: what runs on any adapter runs there. Debian's
chromium brings it."""

import json
import os
import re
import shutil
import subprocess
import time

from common import BINARY, ROOT, WORK, Failed, Row, each, run

PACKAGE = "chromium-common"
LONGEST = 7200  # seconds that a golden, or the tests, may take: the driver compiles slowly, and machines do other work


def driver():
    """Its ICD file, and the version of the package that it is from."""
    place = WORK / "swiftshader"
    library, told = place / "libvk_swiftshader.so", place / "version.txt"
    if not told.exists():
        place.mkdir(parents=True, exist_ok=True)
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        run([*as_root, "apt-get", "update", "-qq"], "apt-update.txt")
        run(["apt-get", "download", PACKAGE], "swiftshader.txt", cwd=place)
        deb = next(place.glob("*.deb"))
        unpacked = place / "unpacked"
        run(["dpkg-deb", "-x", deb, unpacked], "swiftshader.txt")
        shutil.copy(unpacked / "usr/lib/chromium/libvk_swiftshader.so", library)
        version = subprocess.run(["dpkg-deb", "-f", deb, "Version"], capture_output=True, text=True, check=True).stdout
        shutil.rmtree(unpacked)
        deb.unlink()
        told.write_text(version.strip())
    icd = {"file_format_version": "1.0.0", "ICD": {"library_path": str(library), "api_version": "1.3"}}
    (WORK / "swiftshader.json").write_text(json.dumps(icd))
    return WORK / "swiftshader.json", f"chromium {told.read_text()}"


def environment() -> dict[str, str]:
    return {"VK_DRIVER_FILES": str(driver()[0]), "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", "/tmp")}


def ours(text: str, log: str) -> dict:
    """The JSON document of a verb that ran on SwiftShader."""
    try:
        told = json.loads(text[text.index("{") :])
    except ValueError:
        raise Failed(f"no JSON in {WORK / 'logs' / log}: {text[-500:]}") from None
    if "SwiftShader" not in told["adapter"]:
        raise Failed(f"it ran on {told['adapter']}, expected SwiftShader; the output is in {WORK / 'logs' / log}")
    return told


def selftest() -> list[Row]:
    """`vorticity selftest`: every kernel against double precision."""
    return checked("selftest", [])


def webgpu() -> list[Row]:
    """The same with WebGPU's least limits and no feature, as a browser's adapter has them."""
    return checked("webgpu", ["--limits", "webgpu"])


def checked(part: str, arguments: list[str]) -> list[Row]:
    (there, version), start, log = (environment(), driver()[1]), time.time(), f"{part}.txt"
    told = ours(run([BINARY, "selftest", *arguments, "--json"], log, there, check=False), log)
    checks = told["checks"]
    failures = [f"{c['op']} {c['case']}: error {c['error']}, at most {c['tolerance']}" for c in checks if not c["passed"]]
    if not told["passed"] and not failures:
        failures = ["selftest did not pass"]
    what = f"`vorticity {' '.join(['selftest', *arguments])}`, checks of kernels"
    return [Row(part, "SwiftShader", version, what, len(checks), len(failures), time.time() - start, failures)]


def driver_tests() -> list[Row]:
    """`scripts/test driver`: the tests that ask something of a driver."""
    (there, version), start, log = (environment(), driver()[1]), time.time(), "driver-tests.txt"
    text = run(["scripts/test", "driver"], log, there, LONGEST, check=False)
    ended = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed", text, re.M)
    if not ended:
        raise Failed(f"no test ran; the output is in {WORK / 'logs' / log}")
    count, failed = (sum(int(numbers[i]) for numbers in ended) for i in (0, 1))
    failures = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.M)
    what = "`scripts/test driver`, tests"
    return [Row("driver", "SwiftShader", version, what, count + failed, failed, time.time() - start, failures)]


def goldens() -> list[Row]:
    """`vorticity verify` of every golden case that the repository ships."""
    (there, version), start = (environment(), driver()[1]), time.time()
    cases = sorted(case for case in (ROOT / "assets/golden").iterdir() if (case / "case.safetensors").exists())

    def failure(case) -> str | None:
        log = f"golden-{case.name}.txt"
        try:
            told = ours(run([BINARY, "verify", case, "--json"], log, there, LONGEST, check=False), log)
            return None if told["passed"] else f"{case.name}: {log}"
        except Failed as e:
            return f"{case.name}: {e}"

    failures = [found for found in each(failure, cases) if found]
    what = "`vorticity verify` of the shipped goldens"
    return [Row("goldens", "SwiftShader", version, what, len(cases), len(failures), time.time() - start, failures)]
