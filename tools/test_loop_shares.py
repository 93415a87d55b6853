"""Checks of tools/loop_shares.py on listings that are small enough to count by hand: python3 tools/test_loop_shares.py"""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import loop_shares
from loop_shares import adreno, amd, hottest, kind, nvidia

# A loop that loads behind a barrier, and multiplies in two blocks; before it stands a smaller loop, behind it more multiplies.
AMD = """BB0:
	s_load_b64 s[0:1], s[10:11], 0x20                           ; f4004305
BB1:
	v_fmac_f32_e32 v1, v2, v3                                   ; 56020702
	s_cbranch_scc1 BB1                                          ; bfa2fffe
BB2:
	s_and_b64 exec, exec, vcc                                   ; 8bfe6a7e
	s_cbranch_execz BB4                                         ; bfa50002
BB3:
	buffer_load_b128 v[4:7], v0, s[0:3], null offen             ; c405c07c
	s_wait_loadcnt 0x0                                          ; bfc00000
	v_fma_f32 v8, v9, v10, v11                                  ; d6130008
BB4:
	ds_store_b128 v12, v[4:7]                                   ; db7c0000
	s_barrier_signal -1                                         ; be804ec1
	s_barrier_wait 0xffff                                       ; bf94ffff
	ds_load_b64 v[13:14], v15                                   ; d9d80000
	s_wait_dscnt 0x0                                            ; bfc60000
	s_delay_alu instid0(VALU_DEP_1)                             ; bf870001
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_dual_fmac_f32 v17, v13, v14 :: v_dual_fmac_f32 v18, v13, v14 ; c8001d0d
	s_cbranch_scc0 BB6                                          ; bfa10002
BB5:
	ds_load_b64 v[13:14], v15                                   ; d9d80000
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_pk_fma_f16 v16, v13, v14, v15                             ; 56201d0d
	v_dual_fmac_f32 v17, v13, v14 :: v_dual_mov_b32 v18, v13    ; c8001d0d
	s_branch BB2                                                ; bfa0fff0
BB6:
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	v_fmac_f32_e32 v16, v13, v14                                ; 56201d0d
	s_endpgm                                                    ; bfb00000
"""

# The loop that multiplies has no barrier; the one around it loads.
NVIDIA = """block.u 0 L0 [] -> {
      r0       = s2r sr[0x21]                                          // delay=1 wr:0
} -> [1]
block 1 L1 [0, 3] -> {
      b0       = bssy b0 pT L9                                         // delay=1
      r1       = ld.global.a64.constant.b32 [r8..10+rZ], p1            // delay=2 rd:0 wr:1
                 bar.sync 0x0                                          // delay=6 wt=000011
} -> [2]
block 2 L2 [1, 2] -> {
      r4..8    = ld.shared.strong.cta.b128 [r3]                        // delay=1 wr:0
      r9       = ffma.ftz r4 r5 r9                                     // delay=1 wt=000001
@p0   r10      = ffma.ftz r4 r6 r10                                    // delay=1
                 nop L0                                                // delay=1
@!p0             bra pT L2                                             // delay=1
} -> [2, 3]
block 3 L3 [2] -> {
@p1              bra pT L1                                             // delay=1
} -> [1, 4]
block 4 L4 [3] -> {
                 exit pT                                               // delay=1
} -> []
"""

ADRENO = """Native code for unnamed CL shader (null) with blake3 30b0
; offsets:
@const(c24.x)	0x00000001
mov.u32u32 r50.z, c0.z
l9:
(sy)(ss)ldl.u32 r0.x, l[r1.x], 4
(rpt1)mad.f32 r2.x, (r)r3.x, (r)r4.x, (r)r2.x
(nop3) mad.f32 r2.z, r3.x, r4.x, r2.z
(ss)br !p0.x, #l9
end
nop
"""


class Listings(unittest.TestCase):
    def test_amd_counts_each_instruction_of_the_blocks_that_multiply(self):
        loop = hottest(amd(AMD))
        # From behind the barrier: 7 of the first block (a pair is two), 6 of the second.
        self.assertEqual((loop.part.all, loop.part.multiplies), (13, 6))
        self.assertEqual((loop.part.shared, loop.part.waits, loop.part.branches, loop.part.hints), (2, 1, 2, 1))
        self.assertEqual((loop.loading.all, loop.loading.multiplies), (8, 1))
        self.assertEqual((loop.loading.loads, loop.loading.waits, loop.loading.branches), (1, 1, 1))
        self.assertEqual(f"{loop.part.share():.3f} {loop.part.share(True):.3f}", "0.462 0.500")

    def test_nvidia_loads_in_the_loop_around(self):
        loop = hottest(nvidia(NVIDIA))
        self.assertEqual((loop.part.all, loop.part.multiplies, loop.part.shared), (5, 2, 1))
        self.assertEqual((loop.part.waits, loop.part.branches, loop.part.hints), (1, 1, 1))
        self.assertEqual((loop.loading.all, loop.loading.loads, loop.loading.waits), (4, 1, 1))

    def test_adreno_counts_what_is_repeated_and_idle(self):
        loop = hottest(adreno(ADRENO))
        self.assertEqual((loop.part.all, loop.part.multiplies, loop.part.shared), (8, 3, 1))
        self.assertEqual((loop.part.hints, loop.part.waits, loop.part.branches), (3, 2, 1))
        self.assertEqual(loop.loading.all, 0)

    def test_a_kernel_without_such_a_loop_has_none(self):
        straight = "BB0:\n\tv_fmac_f32_e32 v1, v2, v3  ; 00\n\ts_endpgm  ; bf\n"
        self.assertIsNone(hottest(amd(straight)))
        self.assertIsNone(hottest(amd(AMD.replace("fma", "min"))))

    def test_a_branch_to_nowhere_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'BB7', which is no block"):
            hottest(amd(AMD.replace("s_branch BB2", "s_branch BB7")))

    def test_kinds_are_told_apart_by_tile_and_load(self):
        self.assertEqual(kind("conv-SPREAD-DOWN16-ACROSS16-PG2-CM2"), "conv 128x128")
        self.assertEqual(kind("conv-SILU-KEEP-UNCHECKED-DOWN16-ACROSS16-PG-CM-DEPTHWISE"), "conv 64x64 DEPTHWISE UNCHECKED")
        self.assertEqual(kind("conv_coop-ROW-SIDE16-LANES32-SPLIT-WEIGHTS2-HALF"), "conv_coop 16x16")
        self.assertEqual(kind("softmax-WAYS4"), "softmax")

    def test_folders_become_lines_of_the_worst(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "gpu"
            folder.mkdir()
            (folder / "conv-DOWN16-ACROSS16-PG-CM.0.Assembly.txt").write_text(AMD)
            fewer = AMD.replace("BB5:\n", "BB5:\n\tv_mov_b32_e32 v1, v2\n")
            self.assertNotEqual(fewer, AMD)
            (folder / "conv-SPREAD-DOWN16-ACROSS16-PG-CM.0.Assembly.txt").write_text(fewer)
            (folder / "conv-SPREAD-DOWN16-ACROSS16-PG-CM.wgsl").write_text("fn main() {}")
            out = io.StringIO()
            with mock.patch.object(sys, "argv", ["loop_shares", str(folder)]), contextlib.redirect_stdout(out):
                self.assertEqual(loop_shares.main(), 0)
            line = out.getvalue().splitlines()[-2].split()
            self.assertEqual(line[:6], ["conv", "64x64", "14", "6", "43", "%"])
            with mock.patch.object(sys, "argv", ["loop_shares", name]), contextlib.redirect_stderr(out):
                self.assertEqual(loop_shares.main(), 1)
            self.assertIn("no listing of a kernel", out.getvalue())


if __name__ == "__main__":
    unittest.main()
