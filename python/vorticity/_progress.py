"""Progress of a run: a bar of tqdm's in terminals and notebooks, else a line on standard error now and then, or whoever is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# What `progress=` takes.
Told = bool | Callable[[dict[str, Any]], object] | None

# Seconds before the bar appears, and between lines where there is no bar.
_SOON = 0.5
_BETWEEN = 60.0

# Of tqdm, where a run may end sooner: without its own estimate of the time left, which would be an upper bound and not say so.
_AT_MOST = "{l_bar}{bar}| at most {total_fmt} [{elapsed}, {rate_fmt}{postfix}]"


class Progress:
    """What the engine tells how far a run is: {"done", "total", "at_most", "seconds", "rate", "left", "predicted"}, evaluations and
    seconds. A rate, the time left and the predicted whole are None as long as nobody knows. Where `at_most` is true the run may end
    sooner: total, time left and the predicted whole are then the most that it takes."""

    def __init__(self, progress: Told, name: str) -> None:
        self._name, self._bar, self._line, self._format = name, None, 0.0, None
        self._make = _bar() if progress is None else None
        if progress is None or progress is True:
            self.observer = self._see
        elif progress is False:
            self.observer = None
        else:
            self.observer = progress

    def __enter__(self):
        return self.observer

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def _see(self, state):
        if self._make is None:
            return self._say(state)
        if self._bar is None:
            if state["seconds"] < _SOON:
                return
            self._bar = self._make(total=state["total"], desc=self._name, unit=" eval", unit_scale=True, leave=False)
            self._format = self._bar.bar_format
        if state["total"] != self._bar.total:
            self._bar.reset(state["total"])  # the next stage of a check
        self._bar.bar_format = _AT_MOST if state["at_most"] else self._format
        self._bar.update(state["done"] - self._bar.n)
        if state["done"] >= state["total"]:
            self._bar.set_postfix_str("checks in f64")
        elif state["at_most"]:
            self._bar.set_postfix_str(_left(state))
        else:
            self._bar.set_postfix_str("")

    def _say(self, state):
        if state["seconds"] - self._line < _BETWEEN:
            return
        self._line = state["seconds"]
        left = _left(state)
        percent = 100.0 * state["done"] / max(state["total"], 1)
        of = " of the most that it may take" if state["at_most"] else ""
        print(f"{self._name}: {percent:.1f}%{of}{left and ', '}{left}, {state['seconds']:.0f} s elapsed", file=sys.stderr)


def _left(state):
    if state["left"] is None:
        return ""
    most = "at most " if state["at_most"] else ""
    return f"{most}{state['left']:.0f} s left"


def _bar():
    """tqdm for where we are, if it is installed and anybody would see it."""
    notebook = "ipykernel" in sys.modules
    if not (notebook or sys.stderr.isatty()):
        return None
    try:
        if notebook:
            import ipywidgets  # noqa: F401  without it the notebook's bar only complains
            from tqdm.notebook import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        try:
            from tqdm import tqdm
        except ImportError:
            return None
    return tqdm
