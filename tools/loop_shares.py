#!/usr/bin/env python3
"""What the hottest loop of each kernel is made of, by the code of a GPU's compiler.

    vorticity kernels assets/models/mnist --write FOLDER      # on the adapter in question
    tools/loop_shares.py FOLDER.. [--kernel WORD] [--all] [--json]

It reads the listings of RADV (ACO), NVK (NAK) and Turnip (ir3) that FOLDER has, builds the graph of basic blocks, and takes the
innermost loop with the most fused multiply-adds. What multiplies there reaches from the first to the last of the blocks (cut at
barriers) that have at least four fifths as many of them as the block with the most, of blocks that read workgroup memory if there
are such; the rest of the loop, or of the one around it that has barriers, loads. Every instruction counts, hints to the scheduler
too; `of work` leaves those out. Each of a pair that is issued at once counts as one, a repeated instruction as often as it is
repeated. Lines are per kind of kernel, the worst of it, unless --all asks for each.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Count(NamedTuple):
    """Instructions of some code."""

    all: int = 0
    multiplies: int = 0  # fused multiply-adds
    matrices: int = 0  # multiply-adds of matrices
    shared: int = 0  # loads from workgroup memory
    loads: int = 0  # loads from buffers
    waits: int = 0
    branches: int = 0
    hints: int = 0  # that the scheduler reads and no unit executes
    barriers: int = 0

    def share(self, of_work: bool = False) -> float:
        """Fused multiply-adds of all instructions."""
        return self.multiplies / max(1, self.all - (self.hints if of_work else 0))


def total(counts) -> Count:
    """All of them together."""
    return Count(*map(sum, zip(Count(), *counts, strict=True)))


@dataclass
class Block:
    """A basic block: what each instruction counts, and the names of the blocks that may follow."""

    name: str
    code: list[Count] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    falls: bool = True  # into the block that stands behind it


KINDS = {
    "amd": {
        "multiplies": r"v_(dual_|pk_)?(fma|fmac|fmamk|fmaak|fma_mix|fma_mixlo|fma_mixhi|mad|mac)_(f32|f16)|v_fma_mix\w*",
        "matrices": r"v_wmma_\w+",
        "shared": r"ds_(load|read)_\w+",
        "loads": r"(buffer|global|image|flat|s_buffer)_load\w*|s_load_\w+",
        "waits": r"s_wait\w*",
        "branches": r"s_c?branch\w*",
        "hints": r"s_delay_alu|s_clause|s_nop|s_inst_prefetch|s_set_inst_prefetch_distance",
        "barriers": r"s_barrier(_wait)?",
    },
    "nvidia": {
        "multiplies": r"ffma\S*|hfma2\S*",
        "matrices": r"hmma\S*",
        "shared": r"ld\.shared\S*|ldsm\S*",
        "loads": r"ld\.(global|local)\S*|ldc\S*|suld\S*|tld\S*",
        "branches": r"bra|brx|break|exit",
        "hints": r"nop",
        "barriers": r"bar\S*",
    },
    "adreno": {
        "multiplies": r"mad\.f(32|16)",
        "shared": r"ldl\w*\.\S+",
        "loads": r"ldib\S*|ldg\S*|isam\S*|ldc\S*|resinfo\S*",
        "branches": r"br\w*|jump",
        "hints": r"nop",
        "barriers": r"bar\S*",
    },
}


@cache
def counted(whose: str, word: str, waits: int = 0) -> Count:
    """One instruction."""
    found = {kind: 1 for kind, pattern in KINDS[whose].items() if re.fullmatch(pattern, word)}
    return Count(all=1, **{"waits": waits, **found})


def amd(text: str) -> list[Block]:
    """RADV's `Assembly`: labels `BB7:`, then one instruction a line, or two joined by `::`, and their bytes behind `;`."""
    blocks = [Block("")]
    for line in text.splitlines():
        line = line.split(";")[0].strip()
        if label := re.fullmatch(r"(\w+):", line):
            blocks.append(Block(label[1]))
            continue
        for instruction in filter(None, map(str.strip, line.split("::"))):
            word, _, operands = instruction.partition(" ")
            word = re.sub(r"_(e32|e64|dpp|sdwa|e64_dpp)$", "", word.split("\t")[0])
            if not re.match(r"[a-z]\w*$", word):
                continue
            blocks[-1].code.append(counted("amd", word))
            if blocks[-1].code[-1].branches:
                # A block ends at its branch, though no label says that another begins.
                blocks[-1].next.append(instruction.split()[-1])
                blocks[-1].falls = word != "s_branch"
                blocks.append(Block(f"{blocks[-1].name}'"))
            elif word == "s_endpgm":
                blocks[-1].falls = False
    return blocks


def nvidia(text: str) -> list[Block]:
    """NAK's listing: `block 3 L4 [1, 2] -> {`, an instruction a line with its results before `=`, `} -> [4, 5]`."""
    blocks: list[Block] = []
    for line in text.splitlines():
        if opened := re.match(r"block\S* (\d+) ", line):
            blocks.append(Block(opened[1], falls=False))
        elif closed := re.match(r"\} -> \[([\d, ]*)\]", line):
            blocks[-1].next = closed[1].replace(",", " ").split()
        elif blocks and (said := line.split("//")[0].strip()):
            instruction = re.sub(r"^@!?\w+\s+", "", said.split("=", 1)[-1].strip() if " = " in said else said)
            waits = int("wt=" in line.split("//")[-1])
            blocks[-1].code.append(counted("nvidia", instruction.split()[0], waits))
    return blocks


def adreno(text: str) -> list[Block]:
    """Turnip's `IR3 Assembly`: labels `l7:`, `(ss)(rpt1)mad.f32 ..`, `(nop3) add.u ..`, `br !p0.x, #l9`."""
    blocks = [Block("")]
    for line in text.splitlines():
        line = line.strip()
        if label := re.fullmatch(r"(l\d+):", line):
            blocks.append(Block(label[1]))
            continue
        if not line or line[0] in ";@" or line.startswith("Native"):
            continue
        flags, rest = re.fullmatch(r"((?:\(\w+\)\s*)*)(.*)", line).groups()
        if not rest:
            continue
        word = rest.split()[0]
        times = 1 + sum(int(n) for n in re.findall(r"\(rpt(\d)\)", flags))
        idle = sum(int(n) for n in re.findall(r"\(nop(\d)\)", flags))
        waits = int("(ss)" in flags or "(sy)" in flags)
        one = counted("adreno", word)
        blocks[-1].code += [one] * times + [Count(all=1, hints=1)] * idle + [Count(waits=waits)]
        if one.branches:
            blocks[-1].next += re.findall(r"#(l\d+)", rest)
            # `brao` and its like go one of two ways; the listing names the one that is not the next block.
            blocks[-1].falls = word != "jump"
            blocks.append(Block(f"{blocks[-1].name}'"))
        elif word == "end":
            blocks[-1].falls = False
    return blocks


# How the listing's file ends, and who reads it.
LISTINGS = {"Assembly.txt": amd, "NAK_assembly.txt": nvidia, "IR3_Assembly.txt": adreno}


def cut(blocks: list[Block]) -> list[Block]:
    """The same, with a barrier at the end of its block."""
    pieces = []
    for block in blocks:
        piece = Block(block.name)
        for instruction in block.code:
            piece.code.append(instruction)
            if instruction.barriers:
                pieces.append(piece)
                piece = Block(f"{piece.name}|")
        piece.next, piece.falls = block.next, block.falls
        pieces.append(piece)
    return pieces


def linked(blocks: list[Block]) -> list[list[int]]:
    """Places of the blocks that follow each."""
    place = {block.name: i for i, block in reversed(list(enumerate(blocks)))}
    after = []
    for i, block in enumerate(blocks):
        named = [place[name] for name in block.next if name in place]
        lost = [name for name in block.next if name not in place]
        if lost:
            raise ValueError(f"a branch to '{lost[0]}', which is no block")
        after.append(named + ([i + 1] if block.falls and i + 1 < len(blocks) else []))
    return after


def loops(after: list[list[int]]) -> list[set[int]]:
    """Natural loops: what reaches the source of an edge back to a block that dominates it, without passing that block."""
    before = [[i for i, to in enumerate(after) if block in to] for block in range(len(after))]
    reached, open_ = {0}, [0]
    while open_:
        fresh = [to for to in after[open_.pop()] if to not in reached]
        reached.update(fresh)
        open_ += fresh
    above = {block: set(reached) for block in reached}
    above[0], changed = {0}, True
    while changed:
        changed = False
        for block in sorted(reached - {0}):
            known = [above[p] for p in before[block] if p in reached]
            mine = set.intersection(*known) | {block}
            changed, above[block] = changed or mine != above[block], mine
    bodies: dict[int, set[int]] = {}
    for block in reached:
        for head in set(after[block]) & above[block]:
            body, open_ = bodies.setdefault(head, {head}), [block]
            while open_:
                one = open_.pop()
                if one not in body:
                    body.add(one)
                    open_ += [p for p in before[one] if p in reached]
    return list(bodies.values())


@dataclass
class Loop:
    """The hottest loop of a kernel: the whole of it, and what multiplies."""

    whole: Count
    part: Count

    @property
    def loading(self) -> Count:
        """The rest."""
        return Count(*(whole - part for whole, part in zip(self.whole, self.part, strict=True)))


# A product of two matrices is at least so many multiply-adds of each thread.
MATRIX = 64


def hottest(blocks: list[Block]) -> Loop | None:
    """The innermost loop with the most multiply-adds; none without."""
    blocks = cut(blocks)
    counts = [total(block.code) for block in blocks]
    work = [count.multiplies + MATRIX * count.matrices for count in counts]
    bodies = loops(linked(blocks))
    innermost = [body for body in bodies if not any(other < body for other in bodies)]
    body = max(innermost, key=lambda body: sum(work[i] for i in body), default=set())
    most = max((work[i] for i in body), default=0)
    if not most:
        return None
    # What a filter or a norm multiplies as it loads comes from buffers, not from workgroup memory.
    fed = [i for i in body if counts[i].shared and 4 * work[i] >= most] or body
    most = max(work[i] for i in fed)
    hot = [i for i in fed if 5 * work[i] >= 4 * most]
    part = [counts[i] for i in body if min(hot) <= i <= max(hot)]
    # What is loaded for a loop without barriers is loaded by the loop around it that has some.
    around = [other for other in sorted(bodies, key=len) if body <= other and any(counts[i].barriers for i in other)]
    whole = around[0] if around else body
    return Loop(total(counts[i] for i in whole), total(part))


def kind(name: str) -> str:
    """The shader, and of a convolution what decides on its loop: how it loads x, its tile, whether it is checked."""
    shader, *constants = name.split("-")
    values = {c.rstrip("0123456789"): int(c[len(c.rstrip("0123456789")) :] or 1) for c in constants}
    told = [c for c in ("DEPTHWISE", "NORMED", "CURVED", "UNCHECKED") if c in values]
    if shader == "conv":
        pixels = 4 * values.get("DOWN", 1) * values.get("PG", 1)
        told.insert(0, f"{pixels}x{4 * values.get('ACROSS', 1) * values.get('CM', 1)}")
    elif shader == "conv_coop":
        told.insert(0, f"{values.get('SIDE', 0)}x{values.get('SIDE', 0)}")
    else:
        return shader
    return " ".join([shader, *told])


def read(folder: Path) -> list[tuple[str, Loop]]:
    """Kernels of the folder that have such a loop."""
    found = []
    for path in sorted(folder.iterdir()):
        name, _, form = path.name.partition(".")
        form = form.split(".", 1)[-1]
        if form in LISTINGS:
            try:
                loop = hottest(LISTINGS[form](path.read_text()))
            except (ValueError, AttributeError, IndexError) as e:
                raise SystemExit(f"error: {path}: not the listing that was expected: {e}") from None
            if loop:
                found.append((name, loop))
    return found


HEADINGS = [
    "kernel", "instructions", "multiplies", "share", "of work", "matrices", "LDS loads", "waits", "branches",
    "load: instructions", "loads", "waits", "branches",
]  # fmt: skip


def row(name: str, loop: Loop) -> list[str]:
    part, rest = loop.part, loop.loading
    shares = [f"{100 * part.share():.0f} %", f"{100 * part.share(True):.0f} %"]
    numbers = [part.matrices, part.shared, part.waits, part.branches, rest.all, rest.loads, rest.waits, rest.branches]
    return [name, str(part.all), str(part.multiplies), *shares, *map(str, numbers)]


def lines(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    first = "{:<" + str(widths[0]) + "}"
    return "\n".join("  ".join([first.format(r[0])] + [c.rjust(w) for c, w in zip(r[1:], widths[1:], strict=True)]) for r in rows)


def worst(found: list[tuple[str, Loop]]) -> list[tuple[str, Loop]]:
    """Of each kind the loop with the least share of multiply-adds; of equals the one whose loading is longest."""
    kinds: dict[str, list[Loop]] = {}
    for name, loop in found:
        kinds.setdefault(kind(name), []).append(loop)
    order = {name: min(all_, key=lambda loop: (loop.part.share() + loop.part.matrices, -loop.loading.all)) for name, all_ in kinds.items()}
    return sorted(order.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="what `vorticity kernels --write` wrote, one per device")
    parser.add_argument("--kernel", default="", help="only kernels whose name has this word")
    parser.add_argument("--all", action="store_true", help="each kernel, not the worst of its kind")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    arguments = parser.parse_args()
    document = {}
    for folder in arguments.folders:
        found = [(name, loop) for name, loop in read(folder) if arguments.kernel in name]
        if not found:
            print(f"error: {folder}: no listing of a kernel with a loop that multiplies", file=sys.stderr)
            return 1
        shown = found if arguments.all else worst(found)
        if arguments.json:
            document[folder.name] = {
                name: {"part": loop.part._asdict(), "loading": loop.loading._asdict(), "share": loop.part.share()} for name, loop in shown
            }
        else:
            print(f"{folder.name}: {len(found)} kernels with a loop that multiplies\n")
            print(lines([HEADINGS] + [row(name, loop) for name, loop in shown]), "\n", sep="")
    if arguments.json:
        print(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
