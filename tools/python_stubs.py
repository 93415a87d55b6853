"""Makes python/vorticity/__init__.pyi: every name of the package, and the functions that are made from the table of measures.

`python tools/python_stubs.py` writes it, where the package is installed or importable; a test compares it with what this would write.
"""

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "python/vorticity/__init__.pyi"

HEAD = """\
# Made by tools/python_stubs.py from the package's list of names and the engine's table of measures.
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, Literal

from numpy.typing import NDArray

"""

MEASURE = '''
def {name}(
    field: Field,
    data: str | PathLike[str] | NDArray[Any],
    *,
    out: str | PathLike[str] | None = None,
    shard: tuple[int, int] | str | None = None,
    device: Device | int | str | Sequence[int | str] | None = None,
    progress: Told = None,
{parameters}
) -> Result:
    """{about}"""
'''


def text():
    """The stub."""
    import vorticity
    from vorticity import _measures

    lines = [HEAD]
    for module, names in sorted({**vorticity._PLACES, "_progress": ("Told",)}.items()):
        lines += [f"from .{module} import {name} as {name}\n" for name in sorted(names)]
    lines.append("\n__version__: str\n")
    for about in _measures.TABLE:
        own = [f"    {_measures.keyword(p)}: {kind(_measures.annotation(p))} = {shown(_measures.default(p))}," for p in about["parameters"]]
        lines.append(MEASURE.format(name=about["name"], parameters="\n".join(own), about=about["help"].partition("\n\n")[0]))
    return "".join(lines)


def kind(annotation):
    return annotation.replace("PathLike", "PathLike[str]").replace("'", '"')


def shown(value):
    return json.dumps(value) if isinstance(value, str) else repr(value)


if __name__ == "__main__":
    FILE.write_text(text())
