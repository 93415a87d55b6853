"""Debian sid in a folder: Mesa with its DRM shims, and Wine, as new as they are packaged. It is set up once, in a mount namespace of
its own, so that no clean-up reaches outside; `rm -r` of the folder, which has no mounts then, makes the next run fetch it anew."""

import os
import re
import shlex
import subprocess
import time
from pathlib import Path

from common import ROOT, WORK, Failed, Row, install, run

PLACE = WORK / "sid"
PACKAGES = [
    "ca-certificates",
    "gcc-mingw-w64-x86-64-win32",
    "mesa-drm-shim",
    "mesa-vulkan-drivers",
    "vulkan-tools",
    "wine64",
]


def mirror() -> str:
    """Where this machine has its packages from."""
    lists = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for path in lists:
        text = path.read_text(errors="replace") if path.is_file() else ""
        for address in re.findall(r"^(?:URIs:|deb(?: \[[^]]*\])?)\s*(\S+)", text, re.M):
            if address.rstrip("/").endswith("/debian"):
                return address
    raise Failed("no list of /etc/apt names a mirror of Debian")


def part() -> list[Row]:
    start = time.time()
    if os.geteuid():
        raise Failed("only root can set up Debian sid")
    done = PLACE / "set-up"
    if not done.exists():
        install("debootstrap")
        place = shlex.quote(str(PLACE))
        command = f"""
            mount --make-rprivate /
            debootstrap --variant=minbase --include={",".join(PACKAGES)} sid {place} {mirror()}
            rm -rf {place}/var/cache/apt/archives {place}/usr/share/doc {place}/usr/share/locale"""
        run(["unshare", "-m", "bash", "-ec", command], "sid.txt")
        done.touch()
    versions = ", ".join(f"{name} {version(name)}" for name in ["mesa-vulkan-drivers", "wine64"])
    return [Row("sid", "Debian sid", versions, "packages", len(PACKAGES), 0, time.time() - start)]


def version(package: str) -> str:
    """Of a package in there."""
    command = ["dpkg-query", f"--admindir={PLACE}/var/lib/dpkg", "-W", "-f", "${Version}", package]
    asked = subprocess.run(command, capture_output=True, text=True)
    if asked.returncode:
        raise Failed(f"no {package} in {PLACE}; run the part 'sid' first")
    return asked.stdout


def inside(command, log: str, limit: float = 1800, check: bool = True) -> str:
    """Runs it in there."""
    return run([ROOT / "tools/compilers/inside", *command], log, {"COMPILERS_WORK": str(WORK)}, limit, check)
