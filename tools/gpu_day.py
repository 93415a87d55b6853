"""Everything that is to be measured on a graphics card, in one call of under ten minutes, and the rows that come of it.

    python3 tools/gpu_day.py OUT [--adapter A] [--seconds 580] [--vorticity bin/vorticity] [--devices cuda cpu] [--tune auto] [--network FOLDER] [--only PART ..]

`scripts/gpu-day pack` makes a folder that holds all this needs: the program, the Vulkan loader, networks, goldens, the peers. Python 3
has to be on the machine, and PyTorch with safetensors for the peers; Rust has not. In turn, the longest last: the adapter, selftest,
verify, what its compiler makes of the kernels, the MNIST network (tuner, roofline, values, tangents, cotangents), a CIFAR-10-sized
latent network, and the same beside PyTorch, on CUDA with TF32 off and on. Every part has its seconds, and what an earlier part left of
its own; what they do not hold is cut there and said. OUT gets what every part printed, day.json, and day.md for docs/BENCHMARKS.md.
"""

import argparse
import ctypes.util
import glob
import json
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MNIST, CIFAR = "assets/models/mnist", "c10"
# Where drivers of containers lie that the loader does not look into.
DRIVERS = ["/usr/local/nvidia/share/vulkan/icd.d/*.json", "/usr/local/share/vulkan/icd.d/*.json", "/opt/*/share/vulkan/icd.d/*.json"]
# What is aimed at: docs/BENCHMARKS.md, GPUs.
EVALUATIONS = 10_500


@dataclass
class Day:
    """The call, and what has come of it so far."""

    args: argparse.Namespace
    out: Path
    start: float = field(default_factory=time.monotonic)
    env: dict = field(default_factory=dict)
    found: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)
    until: float = 0.0  # seconds after the start at which the present part ends

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"   {text}", flush=True)

    def left(self) -> float:
        return self.until - (time.monotonic() - self.start)

    def call(self, name: str, command: list, most: float | None = None, well: tuple[int, ...] = (0,)) -> str | None:
        """Standard output of a command; None, and a note, if it did not end well in time. All that it prints is in OUT."""
        seconds = max(min(self.left(), most or self.left()), 0.1)
        words = [str(word) for word in command]
        with open(self.out / f"{name}.out", "w+") as out, open(self.out / f"{name}.err", "w") as err:
            running = subprocess.Popen(words, stdout=out, stderr=err, cwd=ROOT, env=self.env, start_new_session=True)
            try:
                code = running.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
                self.note(f"{name}: cut after {seconds:.0f} s, left out: {' '.join(words)}")
                return None
            out.seek(0)
            text = out.read()
        if code not in well:
            last = (self.out / f"{name}.err").read_text().strip().splitlines()[-1:]
            self.note(f"{name}: exit code {code}: {' '.join(last)}")
            return None
        return text

    def vorticity(self, name: str, *arguments, device: bool = True) -> dict | None:
        """The document of a verb."""
        own = ["--adapter", self.args.adapter] if device and self.args.adapter else []
        # 1: it ran, and found something wrong, which it says.
        text = self.call(name, [self.args.vorticity, *arguments, "--json", *own], well=(0, 1))
        return json.loads(text) if text else None


# The parts. Each leaves what it finds in `day.found`, under its name.


def adapter(day: Day) -> None:
    """Which adapter it is; a driver that the loader does not see is looked for."""
    def listed():
        return (day.vorticity("adapter", "devices", device=False) or {"adapters": []})["adapters"]

    def hardware(found):
        return [a for a in found if a["usable"] and a["kind"] != "software"]

    found = listed()
    files = [file for pattern in DRIVERS for file in glob.glob(pattern)]
    if not hardware(found) and files and "VK_DRIVER_FILES" not in day.env:
        day.env["VK_DRIVER_FILES"] = os.pathsep.join(files)
        seen = listed()
        if hardware(seen):
            found = seen
            day.note(f"VK_DRIVER_FILES={day.env['VK_DRIVER_FILES']}: the loader did not see these drivers by itself")
        else:
            del day.env["VK_DRIVER_FILES"]
    if not found:
        sys.exit(f"no adapter: see {day.out}/adapter.err, and docs/TROUBLESHOOTING.md")
    if not hardware(found) and not day.args.adapter:
        day.note("no GPU is listed: all of this is of a software adapter")
    day.found["adapters"] = found


def selftest(day: Day) -> None:
    day.found["selftest"] = day.vorticity("selftest", "selftest")


def verify(day: Day) -> None:
    """Goldens, the smallest first."""
    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.iterdir())

    done = day.found["verify"] = []
    for case in sorted((ROOT / "assets/golden").iterdir(), key=size):
        if day.left() < 2:
            day.note(f"verify: no time for {case.name}, left out")
            continue
        said = day.vorticity(f"verify-{case.name}", "verify", case.relative_to(ROOT))
        done += said["cases"] if said else []


def kernels(day: Day) -> None:
    day.found["kernels"] = day.vorticity("kernels", "kernels", day.args.network, "--allow-spills")


def bench(day: Day, name: str, model: str, rounds: int, *costs: tuple) -> None:
    """Costs of a network, a call for each, so that what is cut takes none of the others along."""
    for what, *options in costs:
        if day.left() < 2:
            day.note(f"{name}: no time for {what}, left out")
            continue
        said = day.vorticity(f"{name}-{what}", "bench", model, "--what", what, *options, "--rounds", rounds, "--tune", day.args.tune)
        if said and name in day.found:
            day.found[name]["costs"] += said["costs"]
        elif said:
            day.found[name] = said


def mnist(day: Day) -> None:
    bench(day, "mnist", day.args.network, 5, ("forward",), ("tangents", "--tangents", 64), ("cotangents", "--cotangents", 64))
    caches = sorted((day.out / "cache/vorticity").glob("tune-*.json"))
    if caches:
        day.found["tuned"] = json.loads(caches[-1].read_text())


def init(day: Day) -> str | None:
    folder = day.out / CIFAR
    if not folder.is_dir():
        words = ["init", "lucid_unet", "--config", "cifar10-latent", "--seed", 1, "--out", folder]
        if day.call("init", [day.args.vorticity, *words]) is None:
            return None
    return str(folder)


def cifar(day: Day) -> None:
    model = init(day)
    if model:
        bench(day, "cifar", model, 3, ("forward",), ("tangents", "--tangents", 16))


def beside(day: Day, name: str, network: str) -> None:
    """Beside PyTorch; what was measured before the time was over counts."""
    file = day.out / f"{name}.json"
    own = ["--adapter", day.args.adapter] if day.args.adapter else []
    rows = [f"{network}-{what}" for what in ("forward", "loop", "jacobian")]
    day.call(name, [sys.executable, "tools/peers/all.py", "--vorticity", day.args.vorticity, "--devices", *day.args.devices,
                    "--peers", "pytorch", "--only", *rows, "--work", day.out, "--rounds", 3, "--json", file, *own])
    if file.exists():
        day.found[name] = json.loads(file.read_text())
    else:
        said = (day.out / f"{name}.err").read_text().strip().splitlines()
        day.note(f"{name}: nothing was compared {' '.join(said[-1:])}".rstrip())


def peers(day: Day) -> None:
    beside(day, "peers", "mnist")


def cifar_peers(day: Day) -> None:
    if init(day):
        beside(day, "cifar_peers", CIFAR)


# Name, seconds of its own, and what it does.
PARTS = [("adapter", 15, adapter), ("selftest", 100, selftest), ("verify", 90, verify), ("kernels", 40, kernels), ("mnist", 75, mnist),
         ("cifar", 70, cifar), ("peers", 90, peers), ("cifar_peers", 100, cifar_peers)]


# Rows.


@dataclass
class Row:
    what: str
    measured: str
    command: str
    aim: str = ""
    reached: bool | None = None

    def line(self) -> str:
        verdict = "" if self.reached is None else ", reached" if self.reached else ", missed"
        return f"| {self.what} | {self.aim or '-'} | {self.measured}{verdict} | `{self.command}` |"


def cost(document: dict, what: str) -> dict | None:
    return next((c for c in document["costs"] if c["what"] == what), None)


def of_bandwidth(document: dict) -> float:
    """Bytes of all ops of a forward evaluation, per second that they take, over what copies reach."""
    ops = cost(document, "forward")["ops"]
    seconds = sum(op["seconds_per_evaluation"]["best"] for op in ops)
    return sum(op["bytes"] for op in ops) / seconds / document["ceilings"]["bandwidth"]


def of_gemm(document: dict) -> float:
    forward = cost(document, "forward")
    return forward["evaluations_per_second"] * document["flops_per_evaluation"] / document["ceilings"]["gemm"]


def checked(found: dict) -> list[Row]:
    rows = []
    if found.get("selftest"):
        checks = found["selftest"]["checks"]
        right = sum(check["passed"] for check in checks)
        for check in checks:  # null is what is not finite
            check["error"] = float("inf") if check["error"] is None else check["error"]
        worst = max(checks, key=lambda c: c["error"] / c["tolerance"])
        said = f"{right} of {len(checks)} checks right; nearest to its bound: {worst['op']} {worst['case']}, {worst['error']:.1e} of {worst['tolerance']:.1e}"
        rows.append(Row("selftest", said, "vorticity selftest", "all", right == len(checks)))
    if found.get("verify"):
        right = [case["passed"] for case in found["verify"]]
        rows.append(Row("verify", f"{sum(right)} of {len(right)} goldens within tolerance", "vorticity verify assets/golden/*", "all", all(right)))
    if found.get("kernels"):
        all_of = found["kernels"]["kernels"]
        said = [k for k in all_of if k.get("registers") is not None]
        spilled = [k["name"] for k in all_of if k.get("spills")]
        wrong = [k["name"] for k in all_of if k.get("error")]
        most = f"{max(k['registers'] for k in said):.0f} registers at most" if said else "the driver tells no registers"
        text = f"{len(all_of)} kernels, {len(wrong)} not compiled, {len(spilled)} spill, {most}"
        sound = not (wrong or spilled) if said or wrong else None
        rows.append(Row("compiler's word on the kernels, MNIST", text, f"vorticity kernels {MNIST}", "no spill", sound))
    return rows


def ceilings(document: dict) -> list[Row]:
    c = document["ceilings"]
    said = (f"{c['multiply_add'] / 1e9:,.0f} GFLOP/s in registers, {c['gemm'] / 1e9:,.0f} in a plain GEMM, {c['bandwidth'] / 1e9:,.1f} GB/s copied, "
            f"{1e6 * c['dispatch']:.1f} us a dispatch, {1e6 * c['submission']:.0f} us a submission")
    return [Row("ceilings", said, f"vorticity bench {MNIST}")]


def costs(document: dict, name: str, command: str) -> list[Row]:
    rows = []
    for c in document["costs"]:
        best, median = (1e3 * c["seconds"][key] for key in ("best", "median"))
        said = f"{c['evaluations_per_second']:,.0f} evaluations/s; {best:.3f} ms per {c['per']} at best, {median:.3f} median, tile {c['tile']}"
        rows.append(Row(f"{name}, {c['what']}", said, command))
    return rows


def tuned(found: dict) -> list[Row]:
    """How cooperative matrices do beside f32 tiles, where they were timed."""
    seconds = (found.get("tuned") or {}).get("seconds", {})
    gains = {}
    for kind, times in seconds.items():
        coop = [t for variant, t in times.items() if variant.startswith("coop")]
        plain = [t for variant, t in times.items() if not variant.startswith("coop")]
        if coop and plain:
            gains[kind] = min(plain) / min(coop)
    rows = [Row("split cooperative matrices over the best f32 tiles", f"{min(gains.values()):.2f} to {max(gains.values()):.2f} times as fast, {len(gains)} kinds of convolution",
                f"vorticity bench {MNIST} --tune auto", "2 times", max(gains.values()) >= 2)] if gains else []
    chosen = [found[name]["variants"] for name in ("mnist", "cifar") if found.get(name)]
    if seconds:
        names = sorted({str(v) for variants in chosen for v in (variants.values() if isinstance(variants, dict) else [])})
        rows.append(Row("tuner", f"{len(seconds)} kinds of convolution timed; chosen besides the default: {', '.join(names) or 'none'}", f"vorticity bench {MNIST} --tune auto"))
    return rows


def aims(found: dict) -> list[Row]:
    """Rows of the table of aims, which are for GPUs."""
    rows = []
    found = {name: document for name, document in found.items() if isinstance(document, dict) and document.get("kernels") == "igemm"}
    if found.get("mnist") and cost(found["mnist"], "forward"):
        share = of_bandwidth(found["mnist"])
        rows.append(Row("MNIST, forward, of the bandwidth measured", f"{share:.0%}", f"vorticity bench {MNIST}", "60%", share >= 0.6))
    if found.get("cifar") and cost(found["cifar"], "forward"):
        share, rate = of_gemm(found["cifar"]), cost(found["cifar"], "forward")["evaluations_per_second"]
        rows.append(Row("CIFAR-10 latent, forward, of a plain GEMM's rate", f"{share:.0%}", "vorticity bench c10", "60%", share >= 0.6))
        rows.append(Row("CIFAR-10 latent, evaluations a second", f"{rate:,.0f}", "vorticity bench c10", f"{EVALUATIONS:,}", rate > EVALUATIONS))
    return rows


def ratios(document: dict) -> list[Row]:
    rows = []
    for result in document["results"]:
        ours = sorted(result["seconds"]["vorticity"])[len(result["seconds"]["vorticity"]) // 2]
        for peer, ratio in result["ratios"].items():
            aim, reached = "", None
            if peer.startswith("PyTorch CUDA") and "TF32" not in peer:
                if peer.endswith(", authors' way"):
                    aim, reached = "10 times as fast", ratio["median"] <= 0.1
                elif result["what"].startswith("forward"):
                    aim, reached = "as fast", ratio["median"] <= 1
            said = f"{1e3 * ours:.3f} ms; {1 / ratio['median']:.2f} times as fast ({1 / ratio['high']:.2f} to {1 / ratio['low']:.2f})"
            rows.append(Row(f"{result['what']}, beside {peer}", said, f"tools/peers/all.py --only {result['row']}", aim, reached))
    return rows


def rows(found: dict) -> list[Row]:
    """Of everything that was found."""
    all_of = checked(found)
    if found.get("mnist"):
        all_of += ceilings(found["mnist"]) + costs(found["mnist"], "MNIST", f"vorticity bench {MNIST}")
    if found.get("cifar"):
        all_of += costs(found["cifar"], "CIFAR-10 latent", "vorticity bench c10")
    all_of += aims(found) + tuned(found)
    for name in ("peers", "cifar_peers"):
        if found.get(name):
            all_of += ratios(found[name])
    return all_of


def facts(day: Day) -> dict:
    """Of what, with what, when."""
    found = day.found
    named = [found[n]["adapter"] for n in ("mnist", "cifar", "selftest") if found.get(n)]
    peers = found.get("peers") or found.get("cifar_peers") or {}
    pack = ROOT / "pack.json"
    return {
        "adapter": named[0] if named else found["adapters"][0]["name"], "date": date.today().isoformat(), "machine": platform.platform(),
        "kernels": found["mnist"]["kernels"] if found.get("mnist") else None, "torch": peers.get("torch"), "cuda": peers.get("cuda"),
        "program": json.loads(pack.read_text()) if pack.exists() else None, "seconds": round(time.monotonic() - day.start),
        "command": " ".join(["tools/gpu_day.py", *sys.argv[1:]]),
    }


def page(told: dict, table: list[Row], notes: list[str]) -> str:
    """For docs/BENCHMARKS.md."""
    program = told["program"] or {}
    lines = [f"### {told['adapter']}, {told['date']}", "",
             f"`scripts/gpu-day`, {told['seconds']} s; kernels {told['kernels']}; PyTorch {told['torch']}, CUDA: {told['cuda'] or 'none'}; {told['machine']}; "
             f"{program.get('version', 'vorticity as built here')} {program.get('commit', '')}".rstrip() + ".", "",
             "| what | aim | measured | command |", "|---|---|---|---|", *(row.line() for row in table), ""]
    if notes:
        lines += ["Left out, and said on the way:", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def write(day: Day) -> None:
    """After every part, so that nothing is lost to whatever ends the call."""
    told, table = facts(day), rows(day.found)
    (day.out / "day.md").write_text(page(told, table, day.notes))
    document = {"facts": told, "rows": [vars(row) for row in table], "notes": day.notes, "found": day.found}
    (day.out / "day.json").write_text(json.dumps(document, indent=1) + "\n")


def surroundings(out: Path) -> dict:
    """The program's and the peers': a loader where the machine has none, the tuner's times and drivers' caches in OUT."""
    env = dict(os.environ) | {"XDG_CACHE_HOME": str(out / "cache"), "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
    env.setdefault("XDG_RUNTIME_DIR", str(out))
    if ctypes.util.find_library("vulkan") is None and (ROOT / "lib").is_dir():
        env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(ROOT / "lib"), env.get("LD_LIBRARY_PATH")]))
    return env


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path, help="new folder for what is found")
    p.add_argument("--adapter", help="vorticity's, as in `vorticity devices`; the best one if not given")
    p.add_argument("--seconds", type=float, default=sum(part[1] for part in PARTS), help="for all of it; every part's share grows or shrinks with it")
    p.add_argument("--vorticity", default=str(ROOT / "bin/vorticity"), help="the program")
    p.add_argument("--devices", nargs="+", default=["cuda"], choices=["cpu", "cuda"], help="PyTorch's")
    p.add_argument("--network", default=MNIST, help="model directory in the place of the MNIST network")
    p.add_argument("--tune", default="auto", help="as `vorticity bench --tune`")
    p.add_argument("--only", nargs="+", choices=[part[0] for part in PARTS], help="these parts, and the adapter")
    return p.parse_args()


def main() -> None:
    args = arguments()
    args.out, args.vorticity = args.out.resolve(), str(Path(args.vorticity).resolve())
    try:
        args.out.mkdir(parents=True)
    except FileExistsError:
        sys.exit(f"error: {args.out} is there already, expected a new folder")
    day = Day(args, args.out, env=surroundings(args.out))
    scale = max(args.seconds - PARTS[0][1], 0) / sum(part[1] for part in PARTS[1:])
    for name, seconds, run in PARTS:
        day.until += seconds if name == "adapter" else seconds * scale
        if args.only and name not in ["adapter", *args.only]:
            continue
        if day.left() < 2:
            day.note(f"{name}: no time is left, left out")
            continue
        began = time.monotonic()
        print(f"== {name} ({day.left():.0f} s at most)", flush=True)
        run(day)
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
        write(day)
    write(day)
    print((day.out / "day.md").read_text())


if __name__ == "__main__":
    main()
