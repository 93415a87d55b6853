"""Microsoft's own libraries under Wine, as wgpu calls them on Windows: FXC, which it uses unless dxcompiler.dll is at hand, on the HLSL
of shader model 5.1, and the DXC of today on all of it. Both come with npm's `webgpu`."""

import re
import shutil
import time

from common import CORES, ROOT, TRANSLATIONS, WORK, Failed, Row, each, index
from dawn import libraries
from sid import inside, version

PLACE = WORK / "wine"


def program():
    """windows.c, compiled, beside the libraries; Wine's own folder, made."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for library in libraries():
        shutil.copy(library, PLACE)
    made = PLACE / "windows.exe"
    source = ROOT / "tools/compilers/windows.c"
    inside(["x86_64-w64-mingw32-gcc", "-O1", "-Wall", "-o", made, source], "windows.txt")
    wine(["wineboot", "--init"], "wineboot.txt")
    return made


def wine(command, log: str, limit: float = 1800) -> str:
    return inside([f"WINEPREFIX={PLACE / 'prefix'}", "WINEDEBUG=-all", "wine64", *command], log, limit)


def compiled(which: str, library: str, rows: list[dict]) -> tuple[str, list[list[str]]]:
    """What the library says of itself, and of each file: verdict, file, milliseconds, message."""
    made = program()

    def some(part: int) -> str:
        # The slowest are neighbours in the index.
        files = [f"{TRANSLATIONS / row['hlsl']['file']} {row['hlsl']['entry']}" for row in rows[part::CORES]]
        chosen = PLACE / f"{which}-{part}.txt"
        chosen.write_text("\n".join(files) + "\n")
        return wine([made, which, PLACE / library, chosen], f"{which}-{part}.txt", 3600)

    told, verdicts = "", []
    for text in each(some, range(CORES)):
        lines = [line.split("\t") for line in text.splitlines()]
        if ["end"] not in lines:
            raise Failed(f"{library} did not come to its end: {text[-500:]}")
        told = next(line[1] for line in lines if line[0] == "version")
        verdicts += [line for line in lines if line[0] in ("ok", "FAIL")]
    if len(verdicts) != len(rows):
        raise Failed(f"{library} judged {len(verdicts)} of {len(rows)} files")
    return told, verdicts


def distinct(rows: list[dict]) -> list[dict]:
    """Kernels that differ only in what other back ends get have the same HLSL."""
    return list({(TRANSLATIONS / row["hlsl"]["file"]).read_bytes(): row for row in rows}.values())


def row(part: str, compiler: str, told: str, what: str, verdicts: list[list[str]], start: float) -> Row:
    failures = [f"{line[1].rsplit('/', 1)[-1]}: {line[3]}" for line in verdicts if line[0] != "ok"]
    slowest = max(verdicts, key=lambda line: int(line[2]))
    name = slowest[1].rsplit("/", 1)[-1].removesuffix(".hlsl")
    what += f"; the slowest took {int(slowest[2]) / 1000:.1f} s ({name})"
    return Row(part, compiler, told, what, len(verdicts), len(failures), time.time() - start, failures)


def fxc() -> list[Row]:
    start = time.time()
    rows = distinct([row for row in index() if row["hlsl"] and "5.1" in row["hlsl"]["models"]])
    _, verdicts = compiled("fxc", "d3dcompiler_47.dll", rows)
    text = (PLACE / "d3dcompiler_47.dll").read_bytes().decode("utf-16-le", errors="ignore")
    text += (PLACE / "d3dcompiler_47.dll").read_bytes()[1:].decode("utf-16-le", errors="ignore")
    told = re.search(r"FileVersion\0+([\d.]+)", text)
    told = f"d3dcompiler_47.dll {told[1] if told else ''}, Wine {version('wine64').split('~')[0]}"
    return [row("fxc", "FXC", told, "HLSL of family igemm, cs_5_1, ENABLE_STRICTNESS", verdicts, start)]


def dxc() -> list[Row]:
    start = time.time()
    told, verdicts = compiled("dxc", "dxcompiler.dll", distinct([row for row in index() if row["hlsl"]]))
    what = "HLSL as wgpu writes it, its newest shader model, -HV 2018 -Ges"
    return [row("dxc-dll", "DXC", f"dxcompiler.dll {told}", what, verdicts, start)]
