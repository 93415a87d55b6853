"""Random networks: the authors' classes in float64 against the engine, values and tangents, configuration by configuration.

    python tools/differential/run.py --authors FOLDER [--family NAME ..] [--count 50] [--seed 1] [--first 0]
                                     [--vorticity target/release/vorticity] [--keep FOLDER] [--json FILE] [-v]

Each configuration becomes a case folder (docs/FORMATS.md), which `vorticity verify` reads. Off is what differs by more than
ten times what float32 PyTorch does on the same configuration, and what the class runs and the engine refuses, or the other way
around. Such a case stays under --keep, with the command that makes it again. Exit code: 0 none, 1 some.
"""

import argparse
import copy
import json
import math
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from families import FAMILIES  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from weights import measure, randomise  # noqa: E402

SAMPLES, TANGENTS = 2, 2
TIMES = 10.0  # float32 PyTorch's own error
EXACT = 2e-6  # the f64 twin, where that is more: weights are float32, BatchNorm's folded and rounded
CONSTANT = "puts out zeros, or the same for all x: nothing to compare with"  # as where each group of a norm is one number
QUANTITIES = {"forward": "y", "tangents": "jvp", "forward, f64 twin": "y64", "tangents, f64 twin": "jvp64"}


def inputs(shapes, label, g, corner):
    """x and tangents by map, and what the network is told. With `corner` one tangent is that of a corner alone."""
    xs = {m: torch.randn(SAMPLES, *s, generator=g) for m, s in shapes.items()}
    vs = {m: torch.randn(TANGENTS, *s, generator=g) for m, s in shapes.items()}
    for v in vs.values() if corner else ():
        v[0] = 0
        v[0].view(-1)[0] = 1
    told = None
    if label and label[0] == "t":
        told = torch.randint(0, label[1], (SAMPLES,), generator=g)
    elif label:
        told = 0.01 * (label[1] / 0.01) ** torch.rand(SAMPLES, generator=g)
    return xs, vs, told


def evaluate(family, net, hyper, shapes, xs, vs, told, dtype):
    """y and jvp by map. A map that only one precision can run is an error of the class."""
    torch.set_default_dtype(dtype)
    net = copy.deepcopy(net).to(dtype).eval()
    told = told if told is None or not told.is_floating_point() else told.to(dtype)
    args = lambda some: () if told is None else (some,)  # noqa: E731
    out = {}
    try:
        maps = family.maps(net, hyper, shapes, *args(told))
        first = family.maps(net, hyper, shapes, *args(None if told is None else told[:1].expand(TANGENTS)))
        for m, x in xs.items():
            x, v = x.to(dtype), vs[m].to(dtype)
            with torch.no_grad():
                out[m] = (maps[m](x), torch.func.jvp(first[m], (x[:1].expand_as(v).clone(),), (v,))[1])
    finally:
        torch.set_default_dtype(torch.float32)
    return out


def worst(got, want):
    """Largest difference over the largest number, of each sample."""
    scale = want.flatten(1).abs().amax(1)
    return ((got.double() - want).flatten(1).abs().amax(1) / scale).max().item()


def drawn(name: str, seed: int, number: int, authors: Path, folder: Path) -> dict:
    """The case of a random configuration."""
    rng = random.Random(f"{name} {seed} {number}")
    hyper, shapes, label = FAMILIES[name].draw(rng)
    g = torch.Generator().manual_seed(rng.getrandbits(60))
    without = ("sigmas",) if number % 2 else ()  # NCSN++'s buffer, which follows from the configuration as well
    return {"number": number, **make(name, hyper, shapes, label, g, authors, folder, without)}


def make(name, hyper, shapes, label, g, authors: Path, folder: Path, without=(), half=False) -> dict:
    """One case folder; what the class did, and float32 PyTorch's errors. With `half` the weights are numbers of f16."""
    family = FAMILIES[name]
    xs, vs, told = inputs(shapes, label, g, name != "vae_sksq")  # whose ReLU may leave nothing of a corner
    case = {"family": name, "hyper": hyper, "class": "runs", "float32": {}}
    tensors = {(f"{m}.{k}" if m else k): t for m in xs for k, t in (("x", xs[m]), ("v", vs[m]))}
    if told is not None:
        tensors[label[0]] = told
    state = {}
    try:
        net = family.build(authors, hyper)
        net.eval()
        randomise(net, g)
        if told is not None:
            measure(net, lambda: net(torch.randn(6, *shapes[""], generator=g), told.repeat(3)), g)
        if half:
            buffers = [b for n, b in net.named_buffers() if b.is_floating_point() and n not in without]
            for t in [*net.parameters(), *buffers]:
                t.data = t.data.half().to(t.dtype)
        state = {k: v.contiguous() for k, v in net.state_dict().items()}
        exact, single = (evaluate(family, net, hyper, shapes, xs, vs, told, d) for d in (torch.float64, torch.float32))
        for m in xs:
            prefix = f"{m}." if m else ""
            (y, jvp), (y32, jvp32) = exact[m], single[m]
            tensors |= {f"{prefix}y": y, f"{prefix}y32": y32, f"{prefix}jvp": jvp}
            case["float32"] |= {f"{prefix}y": worst(y32, y), f"{prefix}jvp": worst(jvp32, jvp)}
            if not all(t.flatten(1).abs().amax(1).min() > 0 for t in (y, jvp)):
                case["class"] = CONSTANT
    except Exception as error:  # noqa: BLE001: whatever it raises, it cannot run it
        case["class"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        for m in xs:  # something to read, should the engine not refuse
            tensors[f"{m}.y" if m else "y"] = xs[m].clone()
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in state.items() if k not in without}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"family": name, "hyper": hyper}, indent=1) + "\n")
    save_file(state, folder / "model.safetensors")
    save_file({k: t.contiguous() for k, t in tensors.items()}, folder / "case.safetensors")
    return case


MAPS = {"": "", "encoder: ": "enc.", "decoder: ": "dec.", "reconstruction: ": "rec."}


def judge(case: dict, found: dict) -> None:
    """Errors, their ratios to float32 PyTorch's, and what is wrong."""
    case["errors"], case["ratios"], case["wrong"] = {}, {}, []
    refused, runs = found.get("error"), case["class"] in ("runs", CONSTANT)
    if refused and "case.safetensors" in refused and not runs:
        refused = None  # the network was built: only its reference was missing
    if refused:
        case["refused"] = refused.split(": ", 1)[1]
        if runs:
            case["wrong"].append(f"refused: {refused}")
        return
    if not runs:
        case["wrong"].append(f"runs, the class does not: {case['class']}")
        return
    for row in found["quantities"] if case["class"] != CONSTANT else ():
        prefix = next((p for p in MAPS if p and row["quantity"].startswith(p)), "")
        key, error = QUANTITIES.get(row["quantity"].removeprefix(prefix)), row["error"]
        if key is None:
            continue
        error = math.inf if error is None else error
        case["errors"][MAPS[prefix] + key] = error
        own = case["float32"][MAPS[prefix] + key.removesuffix("64")]
        bound, what = max(EXACT, TIMES * own), "the twin"
        if not key.endswith("64"):
            case["ratios"][MAPS[prefix] + key] = error / own if own > 0 else (0.0 if error == 0 else math.inf)
            bound, what = TIMES * own, f"float32 PyTorch's {own:.1e}"
        if not error <= bound:
            case["wrong"].append(f"{row['quantity']}: {error:.2e}, more than allowed by {what}")


def verify(program: str, folders: list[Path]) -> dict:
    """What `verify` says, by folder."""
    done = subprocess.run([program, "verify", "--json", *map(str, folders)], capture_output=True, text=True)
    if done.returncode not in (0, 1, 2) or not done.stdout:
        return {str(f): {"error": f"verify: {done.stderr.strip()[-300:]}"} for f in folders}
    return {c["case"]: c for c in json.loads(done.stdout)["cases"]}


def summary(name: str, cases: list[dict]) -> str:
    ran = [c for c in cases if c["errors"]]
    refused = sum("refused" in c and c["class"] != "runs" for c in cases)
    line = f"{name}: {len(ran)} ran, {refused} refused by both, {sum(bool(c['wrong']) for c in cases)} off"
    largest = lambda which, key: max((v for c in ran for k, v in c[which].items() if k.split(".")[-1] == key), default=0.0)  # noqa: E731
    for key, what in (("y", "values"), ("jvp", "tangents")):
        line += (f"; {what}: {largest('errors', key):.1e} (float32 PyTorch {largest('float32', key):.1e}, "
                 f"ratio {largest('ratios', key):.1f}, twin {largest('errors', key + '64'):.1e})")
    return line


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--authors", type=Path, required=True, help="folder of the authors' repositories")
    p.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    p.add_argument("--count", type=int, default=50, help="configurations of each family that the class runs")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--first", type=int, default=0, help="number of the first configuration")
    p.add_argument("--vorticity", default="target/release/vorticity")
    p.add_argument("--keep", type=Path, help="where cases that are off stay")
    p.add_argument("--json", type=Path, help="every configuration and what was found")
    p.add_argument("-v", "--verbose", action="store_true")
    args = p.parse_args()
    torch.set_num_threads(1)
    keep, every = args.keep or Path(tempfile.mkdtemp(prefix="differential-")), {}
    for name in args.family:
        cases, number = [], args.first
        with tempfile.TemporaryDirectory() as scratch:
            while sum(c["class"] == "runs" for c in cases) < args.count:
                left = args.count - sum(c["class"] == "runs" for c in cases)
                batch = []
                for _ in range(min(left, 10)):
                    folder = Path(scratch) / f"{name}-{args.seed}-{number}"
                    batch.append((drawn(name, args.seed, number, args.authors, folder), folder))
                    number += 1
                found = verify(args.vorticity, [folder for _, folder in batch])
                for case, folder in batch:
                    judge(case, found[str(folder)])
                    report(case, folder, args, keep)
                    shutil.rmtree(folder)
                cases += [case for case, _ in batch]
        every[name] = cases
        print(summary(name, cases), flush=True)
    if args.json:
        args.json.write_text(json.dumps(every, indent=1))
    return int(any(c["wrong"] for cases in every.values() for c in cases))


def report(case: dict, folder: Path, args, keep: Path) -> None:
    name = folder.name
    if args.verbose:
        told = ", ".join(f"{k} {v:.1f}" for k, v in case["ratios"].items()) or case.get("refused", "")
        print(f"{name}: {case['class']}; {told}", flush=True)
    if case["wrong"]:
        if (keep / name).exists():
            shutil.rmtree(keep / name)
        shutil.copytree(folder, keep / name)
        again = f"--family {case['family']} --seed {args.seed} --first {case['number']} --count 1"
        print(f"OFF {name}: {'; '.join(case['wrong'])}\n  class: {case['class']}\n  {json.dumps(case['hyper'])}\n"
              f"  kept in {keep / name}; again: {again}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
