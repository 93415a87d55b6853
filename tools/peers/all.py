"""vorticity beside its peers on this machine, one run, one table.

    OMP_WAIT_POLICY=passive python tools/peers/all.py --vorticity target/release/vorticity --work FOLDER --json peers.json \\
        [--only ROW ..] [--rounds 3] [--burn tools/peers/burn/target/release/peers-burn]
    python tools/peers/table.py peers.json     # docs/BENCHMARKS.md's table

Rows are listed below (ROWS). Peers: PyTorch on the CPU as it is and compiled, onnxruntime, JAX, each at its best batch and way to write the
thing; PyTorch on CUDA with TF32 off and on; burn on wgpu, for every convolution of the MNIST network (--burn: its program, built by `cargo
build --release` in tools/peers/burn). All take turns; a ratio is the time of vorticity over the peer's, so below 1 vorticity is faster. What
peers compute is compared, and the differences are printed. FOLDER gets the networks that the repository lacks; the terrain network has to lie
in FOLDER/terrain (`tools/published/terrain FOLDER/terrain`). OMP_WAIT_POLICY=passive is asked for because PyTorch's threads otherwise spin
between its runs and ours. With --json a file that is there is continued: rows in it are measured anew or kept.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

import asymmetry
import forward
import jacobian
import loops
import start
import verdict
from common import HEADINGS, Result, Vorticity
from engines import CPU, Engine, engines
from networks import Network, network


@dataclass
class Run:
    """What every row is given."""

    program: Vorticity
    engines: list[Engine]
    rounds: int
    gpu: bool
    burn: str | None


def values(tiles: list[int], batches: list[int], large: list[int]) -> Callable[[Run, Network], list[Result]]:
    """Forward evaluations; on GPUs at `large` tiles and batches."""
    return lambda run, net: forward.compare(run, net, large if run.gpu else tiles, large if run.gpu else batches)


def loop(run: Run, net: Network) -> list[Result]:
    return loops.compare(run, net, *((6400, 256) if run.gpu else (640, 64)))


def subjacobian(run: Run, net: Network) -> list[Result]:
    return jacobian.compare(run, net, 64, [8] if run.gpu else [1, 2, 3])


def convolutions(run: Run, net: Network) -> list[Result]:
    """Every convolution of the network, one after another, beside burn."""
    if run.burn is None:
        print("burn: not asked for (--burn)")
        return []
    software = ["--software"] if run.program.adapter == "software" else []
    command = [run.burn, str(net.path), "--rounds", str(run.rounds), "--json", *software]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    report = json.loads(done.stdout)
    seconds = {who: [ms / 1e3 for ms in report["total"][who]["all"]] for who in ("vorticity", "burn")}
    what = f"all {report['total']['count']} convolutions, {net.name}, batch {report['batch']}"
    return [Result(what, seconds["vorticity"], {"burn on wgpu": seconds["burn"]}, {"convolutions": report})]


HUNDREDS, LARGE = [64, 256, 1024], [256, 1024]

# Rows by name: the network, and what is done with it.
ROWS: dict[str, tuple[str, Callable[[Run, Network], list[Result]]]] = {
    "mnist-forward": ("mnist", values([32, 64, 128], [16, 64], HUNDREDS)),
    "mnist-loop": ("mnist", loop),
    "mnist-jacobian": ("mnist", subjacobian),
    "mnist-asymmetry": ("mnist", lambda run, net: asymmetry.compare(run, net, [101, 501], 8, 48)),
    "mnist-verdict": ("mnist", lambda run, net: verdict.compare(run, net, 8)),
    "mnist-start": ("mnist", start.compare),
    "c10-forward": ("c10", values([64, 128, 256], [16, 32], HUNDREDS)),
    "c10-loop": ("c10", loop),
    "c10-jacobian": ("c10", subjacobian),
    "terrain-forward": ("terrain", values([4, 6, 16], [1, 4], [4, 16])),
    "dit-forward": ("dit", values([64, 256], [16, 64], HUNDREDS)),
    "mixer-forward": ("mixer", values([128, 256], [64, 256], LARGE)),
    "mnist-convolutions": ("mnist", convolutions),
}


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vorticity", default="vorticity", help="the program")
    p.add_argument("--adapter", help="vorticity's, as in `vorticity devices`")
    p.add_argument("--work", type=Path, default=Path("target/peers"), help="folder of networks that the repository lacks")
    p.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    p.add_argument("--devices", nargs="+", default=["cpu", "cuda"], choices=["cpu", "cuda"], help="the peers'")
    p.add_argument("--peers", nargs="+", default=list(CPU), choices=list(CPU), help="on the CPU")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--burn", help="burn's program")
    p.add_argument("--json", type=Path, help="file to write")
    args = p.parse_args()
    if os.environ.get("OMP_WAIT_POLICY", "").lower() != "passive":
        sys.exit("set OMP_WAIT_POLICY=passive: PyTorch's threads would spin while others are timed")
    return args


def described(rounds: int) -> dict:
    """The machine and the peers that were asked."""
    versions = {"torch": torch.__version__}
    for name in ("onnxruntime", "jax"):
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__
    return {"machine": platform.platform(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "rounds": rounds,
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None, **versions}


def main() -> None:
    args = options()
    gpu = torch.cuda.is_available() and "cuda" in args.devices
    found = engines([d for d in args.devices if gpu or d != "cuda"], args.peers)
    if not found:
        sys.exit("no peer is left to compare with: no CUDA here, and --devices does not name the CPU")
    run = Run(Vorticity(args.vorticity, args.adapter), found, args.rounds, gpu, args.burn)
    args.work.mkdir(parents=True, exist_ok=True)
    document = {"results": []}
    if args.json and args.json.exists():
        document = json.loads(args.json.read_text())
    print(f"{platform.platform()}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"CUDA: {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CUDA: no CUDA here")
    print(HEADINGS, flush=True)
    networks: dict[str, Network] = {}
    failed: list[str] = []
    for row in args.only:
        name, compare = ROWS[row]
        begun = time.monotonic()
        try:
            networks[name] = networks.get(name) or network(name, run.program, args.work)
            results = compare(run, networks[name])
        except (Exception, SystemExit):  # the other rows have a right to their time
            traceback.print_exc()
            failed.append(row)
            continue
        for result in results:
            print("\n".join(result.lines()))
            print(f"  {json.dumps({k: v for k, v in result.facts.items() if k != 'convolutions'})}")
        print(f"  {row}: {time.monotonic() - begun:.0f} s", flush=True)
        # What there is so far: a call that is cut short loses only what it was at.
        kept = [r for r in document["results"] if r["row"] != row]
        own = {"row": row, "date": date.today().isoformat(), "load": os.getloadavg()[0]}
        document = described(args.rounds) | {"results": kept + [own | result.json() for result in results]}
        if args.json:
            args.json.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{args.rounds} rounds; ratio: vorticity over the peer")
    if failed:
        sys.exit(f"nothing was measured of {', '.join(failed)}: said above")


if __name__ == "__main__":
    main()
