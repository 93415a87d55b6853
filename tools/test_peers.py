"""The table of tools/peers: which peer a line is beside, what is reached, and where it goes.

    python tools/test_peers.py
"""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import table  # noqa: E402


def result(row: str, what: str, seconds: dict, **facts) -> dict:
    peers = [name for name in seconds if name != "vorticity"]
    ratio = {name: {"median": seconds["vorticity"][0] / seconds[name][0], "low": 0.1, "high": 9.0} for name in peers}
    return {"row": row, "what": what, "date": "2026-11-27", "seconds": seconds, "ratios": ratio, "facts": facts}


class Table(unittest.TestCase):
    def test_a_line_for_every_aim_and_peer_and_one_for_the_fastest_of_all(self):
        seconds = {"vorticity": [0.6], "PyTorch CPU, authors' way": [1.2], "PyTorch CPU, best way": [1.0], "PyTorch compiled, best way": [0.8],
                   "JAX, best way": [0.5]}
        found = table.lines(result("c10-jacobian", "sub-Jacobian of 64, c10", seconds, taken={"PyTorch compiled, best way": "reverse mode"}))
        start = "| CIFAR-10 latent | sub-Jacobian of 64 | 600 ms |"
        end = "2026-11-27 | `c10-jacobian` |"
        self.assertEqual(found, [
            f"{start} PyTorch CPU, authors' way | 1.2 s | 0.50 (0.10 to 9.00) | 0.7: reached | {end}",
            f"{start} PyTorch CPU, best way | 1 s | 0.60 (0.10 to 9.00) | 1.2: reached | {end}",
            f"{start} PyTorch compiled, best way (reverse mode) | 800 ms | 0.75 (0.10 to 9.00) | 1.2: reached | {end}",
            f"{start} JAX, best way | 500 ms | 1.20 (0.10 to 9.00) |  | {end}",
        ])

    def test_seconds_are_aimed_at_too(self):
        found = table.lines(result("mnist-start", "start, cold, mnist", {"vorticity": [6.0, 4.0, 5.5]}))
        self.assertEqual(found, ["| MNIST | start, cold | 5.5 s (4 to 6 s) | | | | 5 s: missed | 2026-11-27 | `mnist-start` |"])

    def test_it_replaces_what_is_between_the_marks_and_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.md"
            page.write_text(f"before\n\n{table.MARKS[0]}\n\nold\n\n{table.MARKS[1]}\n\nafter\n")
            for rows in [["| a |"], ["| b |"]]:
                table.put(page, rows)
            self.assertEqual(page.read_text(), f"before\n\n{table.MARKS[0]}\n\n| b |\n\n{table.MARKS[1]}\n\nafter\n")
            page.write_text("no marks")
            with self.assertRaises(SystemExit):
                table.put(page, ["| a |"])

    def test_the_page_has_its_place(self):
        page = (Path(__file__).parents[1] / "docs/BENCHMARKS.md").read_text()
        self.assertEqual([page.count(mark) for mark in table.MARKS], [1, 1])


if __name__ == "__main__":
    unittest.main()
