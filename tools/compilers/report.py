"""The generated part of docs/COMPILERS.md: one table of what each compiler said, one of kernels by device, one of inner loops."""

import json

from common import ROOT, Failed, Row
from shims import TABLES

DOCUMENT = ROOT / "docs/COMPILERS.md"
BEGIN, END = "<!-- begin: scripts/compilers -->", "<!-- end: scripts/compilers -->"


def table(headings: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(headings) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [headings, rule, *rows]) + "\n"


def compilers(rows: list[Row]) -> str:
    headings = ["compiler or driver", "version", "of what", "how many", "failed", "seconds", "date"]
    lines = [[r.compiler, r.version, r.what, str(r.count), str(r.failed), f"{r.seconds:.0f}", r.date] for r in rows if r.part != "sid"]
    text = table(headings, lines).replace("---: |", "--- |", 2)
    failures = [f"- {row.compiler}: {failure[:300]}" for row in rows for failure in row.failures[:20]]
    return text + ("\nWhat failed:\n" + "\n".join(failures) + "\n" if failures else "")


def cell(kind: dict | None) -> str:
    """Registers / occupancy, and spills."""
    if not kind or kind.get("registers") is None:
        return "-"
    spilled = f", {kind['spills']:.0f} spilled" if kind["spills"] else ""
    occupancy = "-" if kind.get("occupancy") is None else f"{kind['occupancy']:.0f}"
    return f"{kind['registers']:.0f} / {occupancy}{spilled}"


def by_device(tables: dict) -> str:
    names = sorted({kind for device in tables.values() for kind in device["kinds"]})
    rows = [[name, *(cell(device["kinds"].get(name)) for device in tables.values())] for name in names]
    return table(["kernel", *tables], rows)


def loops(tables: dict) -> str:
    devices = {name: device["shares"] for name, device in tables.items() if device["shares"]}
    names = sorted({kind for device in devices.values() for kind in device})

    def share(told: dict | None) -> str:
        return f"{100 * told['share']:.0f} % of {told['part']['all']}" if told else "-"

    def loading(told: dict | None) -> str:
        return "{loads}, {waits}, {branches} of {all}".format(**told["loading"]) if told else "-"

    both = []
    for one in (share, loading):
        both.append(table(["kernel", *devices], [[name, *(one(d.get(name)) for d in devices.values())] for name in names]))
    return both[0], both[1]


def write(rows: list[Row]) -> None:
    """Puts everything between the marks of the document."""
    text = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    if BEGIN not in text or END not in text:
        raise Failed(f"{DOCUMENT} has no '{BEGIN}' and '{END}'")
    parts = [compilers(rows)]
    if TABLES.exists():
        tables = json.loads(TABLES.read_text())
        multiplying, loading = loops(tables)
        parts += [
            "### Registers and occupancy\n",
            "Most registers / least occupancy (waves per SIMD of RADV, warps of an SM of NVK, threads of Honeykrisp, waves of "
            "Turnip) of all kernels of a kind.\n",
            by_device(tables),
            "### Inner loops of convolutions\n",
            "Share of fused multiply-adds of all instructions where the loop multiplies, the least of the kind (`tools/loop_shares.py`).\n",
            multiplying,
            "The rest of that loop, which loads: loads, waits, branches, of all instructions.\n",
            loading,
        ]
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}")
