"""What the parts share: the scratch folder, commands with their output in a file, rows of the table."""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(os.environ.get("COMPILERS_WORK") or ROOT / "target/compilers").resolve()
BINARY = ROOT / "target/release/vorticity"
TRANSLATIONS = WORK / "translations"
CORES = os.cpu_count() or 1


class Failed(Exception):
    """What stops a part: it is a failure of the part, not of what it looks at."""


@dataclass
class Row:
    """What one compiler said of some things."""

    part: str
    compiler: str
    version: str
    what: str
    count: int
    failed: int
    seconds: float
    failures: list[str] = field(default_factory=list)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))


def say(text: str) -> None:
    print(text, flush=True)


def run(command, log: str, environment=None, limit: float = 1800, check: bool = True, cwd: Path = ROOT) -> str:
    """Runs a command, its output in a log of the scratch folder; what it printed."""
    path = WORK / "logs" / log
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [str(word) for word in command]
    with open(path, "wb") as out:
        try:
            status = subprocess.run(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                timeout=limit,
                cwd=cwd,
            ).returncode
        except subprocess.TimeoutExpired:
            raise Failed(f"'{' '.join(command)}' took more than {limit:.0f} s; its output is in {path}") from None
        except OSError as e:
            raise Failed(f"'{command[0]}' does not run: {e}") from None
    text = path.read_text(errors="replace")
    if check and status:
        last = "\n".join(text.splitlines()[-12:])
        raise Failed(f"'{' '.join(command)}' ended with {status}; its output is in {path}:\n{last}")
    return text


def each(work, items) -> list:
    """`work` of every item, on all cores, in order."""
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(work, items))


def install(*packages: str) -> None:
    """Debian packages of this machine that are missing."""
    have = subprocess.run(["dpkg", "-s", *packages], capture_output=True, text=True)
    if have.returncode:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        run([*as_root, "apt-get", "update", "-qq"], "apt-update.txt")
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
        run([*as_root, *quiet, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], "apt-install.txt")


def pip(name: str, version: str, sha256: str, *options: str) -> Path:
    """A pinned file of the Python registry."""
    folder = WORK / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    pinned = folder / f"{name}.txt"
    pinned.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")

    def found():
        files = [f for f in folder.iterdir() if f.name.startswith((f"{name}-", f"{name.replace('-', '_')}-"))]
        return [f for f in files if hashlib.sha256(f.read_bytes()).hexdigest() == sha256]

    if not found():
        command = [python(), "-m", "pip", "download", "--no-deps", "--require-hashes", *options, "-d", folder, "-r", pinned]
        run(command, f"pip-{name}.txt")
    files = found()
    if not files:
        raise Failed(f"pip brought no {name} {version} of sha256 {sha256} into {folder}")
    return files[0]


def python() -> Path:
    """A Python with pip, in an environment of its own."""
    place = WORK / "python"
    if not (place / "bin/pip").exists():
        run([sys.executable, "-m", "venv", place], "venv.txt")
    return place / "bin/python"


def index() -> list[dict]:
    """The translations that `translations` wrote."""
    path = TRANSLATIONS / "index.json"
    if not path.exists():
        raise Failed(f"no {path}: run the part 'translations' first")
    return json.loads(path.read_text())


def rows_path() -> Path:
    return WORK / "rows.json"


def stored_rows() -> list[Row]:
    path, fields = rows_path(), set(Row.__dataclass_fields__)
    found = json.loads(path.read_text()) if path.exists() else []
    # What an earlier version wrote otherwise is not known any more.
    return [Row(**row) for row in found if set(row) == fields]


def store_rows(rows: list[Row]) -> None:
    rows_path().write_text(json.dumps([asdict(row) for row in rows], indent=1))
