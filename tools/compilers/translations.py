"""Every kernel in what wgpu would hand to each compiler: written by kernels-tests/translations.rs."""

import shutil
import time

from common import ROOT, TRANSLATIONS, Failed, Row, index, run

TEST = "portability::every_specialisation_translates_to_every_back_end_and_is_given_its_words"


def part() -> list[Row]:
    start = time.time()
    shutil.rmtree(TRANSLATIONS, ignore_errors=True)
    TRANSLATIONS.mkdir(parents=True)
    command = ["cargo", "test", "--release", "--test", "kernels", "--", "--exact", TEST]
    run(command, "translations.txt", {"VORTICITY_TRANSLATIONS": str(TRANSLATIONS)})
    rows = index()
    if not rows:
        raise Failed("the test wrote no translations")
    locked = (ROOT / "Cargo.lock").read_text().split('name = "naga"\nversion = "')[1].split('"')[0]
    metal = sum(row["metal"] is not None for row in rows)
    what = f"WGSL of every kernel to SPIR-V, HLSL and ({metal} of them) MSL"
    return [Row("translations", "naga", locked, what, len(rows), 0, time.time() - start)]
