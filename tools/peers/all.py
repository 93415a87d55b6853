"""vorticity beside its peers on this machine, one run, one table: forward, loops, sub-Jacobian, convolutions.

    OMP_WAIT_POLICY=passive python tools/peers/all.py assets/models/mnist [MODEL ..] --vorticity target/release/vorticity \\
        --burn tools/peers/burn/target/release/peers-burn --json peers.json

Peers: PyTorch on the CPU, PyTorch on CUDA with TF32 off and on (`no CUDA here` where there is none), and burn on wgpu,
on the adapter that vorticity uses, for every convolution of the first model (--burn: its program, built by `cargo build
--release` in tools/peers/burn). All take turns; a ratio is the time of vorticity over the peer's, so below 1 vorticity is
faster. OMP_WAIT_POLICY=passive is asked for because PyTorch's threads otherwise spin between its runs and ours.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

import forward
import jacobian
import loops
from common import HEADINGS, Result, parser


def burn(program: str, model: Path, rounds: int, software: bool) -> tuple[Result, dict]:
    """Every convolution of the network, one after another, ms by round; and burn's own document."""
    command = [program, str(model), "--rounds", str(rounds), "--json", *(["--software"] if software else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}")
    report = json.loads(done.stdout)
    seconds = {who: [ms / 1e3 for ms in report["total"][who]["all"]] for who in ("vorticity", "burn")}
    what = f"all {report['total']['count']} convolutions, {model.name}, batch {report['batch']}"
    facts = {"adapter": report["adapter"], "versions": report["versions"]}
    return Result(what, seconds["vorticity"], {"burn on wgpu": seconds["burn"]}, facts), report


def main() -> None:
    p = parser(__doc__, 5)
    p.add_argument("more", nargs="*", type=Path, metavar="MODEL", help="further model directories")
    p.add_argument("--burn", help="burn's program")
    p.add_argument("--json", type=Path, help="file to write")
    p.set_defaults(devices=["cpu", "cuda"], only=None)
    args = p.parse_args()
    if os.environ.get("OMP_WAIT_POLICY", "").lower() != "passive":
        sys.exit("set OMP_WAIT_POLICY=passive: PyTorch's threads would spin while others are timed")
    gpu = torch.cuda.is_available()
    print(f"{platform.platform()}; PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"CUDA: {torch.cuda.get_device_name()}" if gpu else "CUDA: no CUDA here")
    args.devices = [d for d in args.devices if gpu or d != "cuda"]
    if not args.devices:
        sys.exit("no peer is left to compare with: no CUDA here, and --devices does not name the CPU")
    print(HEADINGS, flush=True)
    results: list[Result] = []

    def keep(convolutions: dict | None) -> None:
        """What there is so far: a call that is cut short loses only what it was at."""
        if args.json:
            document = {
                "machine": platform.platform(), "torch": torch.__version__, "threads": torch.get_num_threads(),
                "cuda": torch.cuda.get_device_name() if gpu else None, "rounds": args.rounds,
                "results": [r.json() for r in results], "convolutions": convolutions,
            }
            args.json.write_text(json.dumps(document, indent=1) + "\n")

    def add(more: list[Result]) -> None:
        results.extend(more)
        print("\n".join(line for result in more for line in result.lines()), flush=True)
        keep(None)

    tiles, batches = ([256, 1024], [64, 256, 1024]) if gpu else ([32, 64], [16, 64])
    for model in [args.model, *args.more]:
        own = argparse.Namespace(**(vars(args) | {"model": model}))
        add(forward.compare(own, tiles, batches))
        add(loops.compare(own, 6400 if gpu else 640, 256 if gpu else 64))
        add(jacobian.compare(own, 64, 16, 8 if gpu else 2))
    if args.burn:
        result, convolutions = burn(args.burn, args.model, args.rounds, args.adapter == "software")
        add([result])
        keep(convolutions)
    else:
        print("burn: not asked for (--burn)")
    print(f"adapter {results[0].facts['adapter']}; {args.rounds} rounds; ratio: vorticity over the peer")


if __name__ == "__main__":
    main()
