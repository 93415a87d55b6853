"""Dawn, the WebGPU of Chromium, on SwiftShader: its front end Tint reads the WGSL of kernels as they are for adapters with WebGPU's
default limits and no feature, which must be plain WGSL and no dialect of naga's."""

import os
import shutil
import time

import swiftshader
from common import ROOT, TRANSLATIONS, WORK, Failed, Row, index, install, run

SOURCE = ROOT / "tools/compilers/dawn"
PLACE = WORK / "dawn"
PACKAGE = PLACE / "node_modules/webgpu"


def installed() -> None:
    """npm's package of the version that package-lock.json pins."""
    if not shutil.which("npm"):
        install("nodejs", "npm")
    PLACE.mkdir(parents=True, exist_ok=True)
    locked = PLACE / "package-lock.json"
    if locked.exists() and locked.read_bytes() == (SOURCE / locked.name).read_bytes() and PACKAGE.exists():
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, PLACE)
    run(["npm", "ci", "--ignore-scripts"], "npm.txt", cwd=PLACE)


def libraries():
    """Microsoft's compilers, which the package brings for Windows."""
    installed()
    folder = PACKAGE / "dist/win32-x64"
    return [folder / "d3dcompiler_47.dll", folder / "dxcompiler.dll"]


def tint() -> list[Row]:
    installed()
    start = time.time()
    shutil.copy(SOURCE / "tint.mjs", PLACE)
    folder = PLACE / "wgsl"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    texts = [row["wgsl"] for row in index() if row["family"] == "webgpu"]
    for name in texts:
        os.link(TRANSLATIONS / name, folder / name)
    text = run(["node", PLACE / "tint.mjs", folder], "tint.txt", swiftshader.environment())
    lines = [line.split("\t") for line in text.splitlines()]
    verdicts = [line for line in lines if line[0] in ("ok", "FAIL")]
    if lines[-1:] != [["end"]] or len(verdicts) != len(texts):
        raise Failed(f"Dawn judged {len(verdicts)} of {len(texts)} files: {text[-500:]}")
    failures = [f"{line[1]}: {line[2]}" for line in verdicts if line[0] == "FAIL"]
    version = f"npm webgpu {SOURCE.joinpath('package.json').read_text().split('webgpu')[-1].split(chr(34))[2]}"
    what = "WGSL and pipelines of family igemm, WebGPU's default limits, no feature"
    return [Row("tint", "Dawn (Tint)", version, what, len(verdicts), len(failures), time.time() - start, failures)]
