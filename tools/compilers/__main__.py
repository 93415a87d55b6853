"""scripts/compilers: runs parts one after the other, prints what each found, and writes the table of docs/COMPILERS.md."""

import os
import sys
import time

import dxc
import spirv
import swiftshader
import translations
from common import BINARY, ROOT, WORK, Failed, Row, run, say, store_rows, stored_rows


def build() -> list[Row]:
    """The program itself, as users build it."""
    run(["cargo", "build", "--release"], "build.txt")
    if not BINARY.exists():
        raise Failed(f"cargo made no {BINARY}")
    return []


# In the order in which they run; the first list is of `quick`.
QUICK = {
    "build": build,
    "selftest": swiftshader.selftest,
    "translations": translations.part,
    "spirv-val": spirv.part,
    "dxc": dxc.part,
}
ALL = {**QUICK}


def main(arguments: list[str]) -> int:
    sets = {"quick": QUICK, "all": ALL}
    which = arguments[0] if arguments and arguments[0] in sets else "all"
    names = arguments[1:] if arguments and arguments[0] in sets else arguments
    parts = sets[which]
    unknown = [name for name in names if name not in parts]
    if unknown:
        say(f"error: no part '{unknown[0]}' of '{which}', expected one of {', '.join(parts)}")
        return 64
    os.chdir(ROOT)
    WORK.mkdir(parents=True, exist_ok=True)
    start, broken, found = time.time(), 0, []
    for name in names or parts:
        say(f"\n== {name}")
        at = time.time()
        try:
            rows = parts[name]()
        except Failed as e:
            say(f"error: {name}: {e}")
            broken += 1
            continue
        for row in rows:
            say(f"{row.compiler} {row.version}: {row.what}: {row.count}, {row.failed} failed, {row.seconds:.0f} s")
            for failure in row.failures[:10]:
                say(f"  {failure}")
        say(f"{name}: {time.time() - at:.0f} s")
        found += rows
        store_rows([row for row in stored_rows() if row.part != name] + rows)
    failed = sum(row.failed for row in found)
    say(f"\n{len(found)} rows, {sum(row.count for row in found)} things looked at, {time.time() - start:.0f} s")
    say(f"{sum(row.count - row.failed for row in found)} passed, {failed + broken} failed")
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
