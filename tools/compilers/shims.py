"""Mesa's drivers for GPUs that are not there: `vorticity kernels` on each, for the networks of selftest and for models with kernels
that plans alone make. Registers, spills and occupancy of each kind of kernel, and what its inner loop is made of."""

import json
import shutil
import sys
import time

from common import BINARY, ROOT, WORK, Failed, Row, run
from sid import version

sys.path.insert(0, str(ROOT / "tools"))
import loop_shares

# What the tables call it, the GPU, and what `shim` does.
DEVICES = [
    ("RDNA2", "Navi 21", "amd:navi21"),
    ("RDNA3", "Navi 31", "amd:navi31"),
    ("RDNA4", "gfx1201", "amd:gfx1201"),
    ("Turing", "TU102", "nv:0x162"),
    ("Ampere", "GA102", "nv:0x172"),
    ("Ada", "AD102", "nv:0x192"),
    ("Blackwell", "GB202", "nv:0x1b2"),
    ("M1", "G13G", "apple"),
    ("Adreno", "740", "adreno:740"),
]
# Where a kernel that spills is told, and no failure: by Mesa's compilers a thread has 127 words of registers on M1 and 48 vectors of 4 on
# Adreno, fewer than the large tiles and what attention's reverse sweep keep. The tuner times kernels before it takes one.
SMALL = {"M1", "Adreno"}
MODELS = ["assets/models/mnist", "assets/golden/diffusers_ddpm", "assets/golden/diffusers_ncsnpp"]
# Arguments of `kernels`: the networks of selftest, then models whose plans fold ops into each other, as f32 and as f16.
CALLS = [[], MODELS, [MODELS[0], "--weights", "f16"]]

FOLDER = WORK / "isa"
TABLES = WORK / "devices.json"


def kernels(device: str, shim: str) -> tuple[dict, list[dict]]:
    """The adapter, and what its compiler told of each kernel."""
    adapter, found = {}, {}
    place = FOLDER / device
    shutil.rmtree(place, ignore_errors=True)
    for i, arguments in enumerate(CALLS):
        log = f"shim-{device}-{i}.txt"
        command = [ROOT / "tools/compilers/shim", shim, BINARY, "kernels", *arguments]
        command += ["--json", "--allow-spills", "--write", place / str(i)]
        place.mkdir(parents=True, exist_ok=True)
        text = run(command, log, {"COMPILERS_WORK": str(WORK)}, check=False)
        try:
            told = json.loads(text[text.index("{") :])
        except ValueError:
            raise Failed(f"no JSON in {WORK / 'logs' / log}: {text[-500:]}") from None
        adapter = told["adapter"]
        # The same kernel is the same text, whichever model has it; as f16 it has another name.
        found.update((kernel["name"], kernel) for kernel in told["kernels"])
    return adapter, list(found.values())


def worst(kernels: list[dict]) -> dict[str, dict]:
    """Of each kind: most registers, spills and bytes of code, least occupancy."""
    kinds: dict[str, dict] = {}
    for kernel in kernels:
        kind = kinds.setdefault(loop_shares.kind(kernel["name"]), {"kernels": 0})
        kind["kernels"] += 1
        for what, pick in (("registers", max), ("spills", max), ("occupancy", min), ("code_bytes", max), ("shared_bytes", max)):
            both = [v for v in (kind.get(what), kernel[what]) if v is not None]
            kind[what] = pick(both) if both else None
    return kinds


def shares(device: str) -> dict[str, dict]:
    """Of each kind the loop with the least share of multiply-adds."""
    loops = []
    for folder in sorted((FOLDER / device).iterdir()):
        loops += loop_shares.read(folder)
    chosen = loop_shares.worst(loops)
    return {
        kind: {"share": loop.part.share(), "part": loop.part._asdict(), "loading": loop.loading._asdict()}
        for kind, loop in chosen
        if kind.startswith("conv ")
    }


def part() -> list[Row]:
    rows, tables = [], {}
    for device, chip, shim in DEVICES:
        start = time.time()
        adapter, found = kernels(device, shim)
        failures = [f"{k['name']}: {k['error']}" for k in found if k["error"]]
        if device not in SMALL:
            failures += [f"{k['name']}: {k['spills']:.0f} spills" for k in found if k["spills"]]
        tables[device] = {"kinds": worst(found), "shares": shares(device)}
        told = f"{adapter['driver']} of Mesa {version('mesa-vulkan-drivers')}"
        what = f"{device} ({chip}): every kernel compiled for it{'' if device in SMALL else ', none that spills'}"
        rows.append(Row("shims", f"Mesa, {device}", told, what, len(found), len(failures), time.time() - start, failures))
    TABLES.write_text(json.dumps(tables, indent=1))
    return rows
