"""scripts/compilers: runs parts one after the other, prints what each found, and writes the table of docs/COMPILERS.md."""

import os
import re
import sys
import time

import dawn
import dxc
import shims
import sid
import spirv
import swiftshader
import translations
import windows
from common import BINARY, ROOT, WORK, Failed, Row, run, say, store_rows, stored_rows

import report


def build() -> list[Row]:
    """The program itself, as users build it."""
    run(["cargo", "build", "--release"], "build.txt")
    if not BINARY.exists():
        raise Failed(f"cargo made no {BINARY}")
    return []


def tools() -> list[Row]:
    """tools/test_loop_shares.py: whether the tables of inner loops count what they say."""
    start, log = time.time(), "tools.txt"
    text = run([sys.executable, "tools/test_loop_shares.py"], log, check=False)
    ran = re.search(r"Ran (\d+) tests", text)
    if not ran:
        raise Failed(f"no test ran; the output is in {WORK / 'logs' / log}")
    failures = re.findall(r"^(?:FAIL|ERROR): .*", text, re.M)
    say(f"{ran[1]} tests of tools/loop_shares.py, {len(failures)} failed, {time.time() - start:.0f} s")
    if failures:
        raise Failed(f"{failures[0]}; the output is in {WORK / 'logs' / log}")
    return []


# In the order in which they run, and stand in the table.
QUICK = {
    "tools": tools,
    "build": build,
    "selftest": swiftshader.selftest,
    "translations": translations.part,
    "spirv-val": spirv.part,
    "dxc": dxc.part,
}
ALL = {
    **QUICK,
    "webgpu": swiftshader.webgpu,
    "goldens": swiftshader.goldens,
    "driver": swiftshader.driver_tests,
    "tint": dawn.tint,
    "sid": sid.part,
    "fxc": windows.fxc,
    "dxc-dll": windows.dxc,
    "shims": shims.part,
}


def ran(name: str, part) -> tuple[list[Row], bool]:
    """What a part found, and whether it came to its end."""
    say(f"\n== {name}")
    start = time.time()
    try:
        rows = part()
    except Failed as e:
        say(f"error: {name}: {e}")
        store_rows([row for row in stored_rows() if row.part != name])  # what it said before is not said of these kernels
        return [], False
    for row in rows:
        say(f"{row.compiler} {row.version}: {row.what}: {row.count}, {row.failed} failed, {row.seconds:.0f} s")
        for failure in row.failures[:20]:
            say(f"  {failure}")
    store_rows([row for row in stored_rows() if row.part != name] + rows)
    say(f"{name}: {time.time() - start:.0f} s")
    return rows, True


def main(arguments: list[str]) -> int:
    which, *names = arguments if arguments and arguments[0] in ("quick", "all") else ["all", *arguments]
    parts = QUICK if which == "quick" else ALL
    unknown = [name for name in names if name not in parts]
    if unknown:
        say(f"error: no part '{unknown[0]}' of '{which}', expected one of {', '.join(parts)}")
        return 64
    os.chdir(ROOT)
    WORK.mkdir(parents=True, exist_ok=True)
    start = time.time()
    done = [ran(name, parts[name]) for name in names or parts]
    found = [row for rows, _ in done for row in rows]
    broken = sum(not ended for _, ended in done)
    if which == "all":
        order = list(ALL)
        known = [row for row in stored_rows() if row.part in order]
        report.write(sorted(known, key=lambda row: order.index(row.part)))
    failed = sum(row.failed for row in found)
    say(f"\n{len(done)} parts, {broken} of them broken, {time.time() - start:.0f} s")
    say(f"{sum(row.count - row.failed for row in found)} passed, {failed + broken} failed")
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
