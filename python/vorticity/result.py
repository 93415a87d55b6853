"""What a measurement found: columns, arrays, manifest, verdict; as a mapping, a frame, a data set, a figure, a page. In: a native run.
Out: `Result`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from ._need import need
from .errors import InvalidError

if TYPE_CHECKING:
    import numpy as np
    import pandas
    import xarray
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from . import _native

# Axes of arrays that are no columns, where their names say more than their sizes.
ARRAYS = {
    "sigma": ("timestep",),
    "components": ("sample", "row"),
    "jacobian": ("timestep", "sample", "row", "column"),
    "jacobian_fd": ("timestep", "sample", "row", "column"),
    "clean": ("sample", "channel", "y", "x"),
    "r": ("timestep", "sample", "channel", "y", "x"),
    "r_se": ("timestep", "sample", "channel", "y", "x"),
    "q": ("timestep", "sample", "channel", "y", "x"),
    "q_se": ("timestep", "sample", "channel", "y", "x"),
    "r_mean": ("timestep", "channel", "y", "x"),
    "r_mean_se": ("timestep", "channel", "y", "x"),
    "q_mean": ("timestep", "channel", "y", "x"),
    "q_mean_se": ("timestep", "channel", "y", "x"),
    "vectors": ("timestep", "sample", "plane", "side", "channel", "y", "x"),
    "eigenvectors": ("timestep", "sample", "eigenvalue", "channel", "y", "x"),
    "singular_vectors": ("timestep", "sample", "of", "side", "channel", "y", "x"),
}

# Most rows of the table in a notebook.
ROWS = 12


class Result(Mapping[str, "NDArray[Any]"]):
    """What a measure found: a mapping from names to NumPy arrays, those of the run's NPZ.

    Columns are float64 over `axes` in C order (`result["integral"]` is `[path, timestep, sample]`); `verdict` says
    of each place of the headline `resolved`, `not resolved` or `not checked`; other arrays have shapes of their own.
    `about` says what a name means, `units` in which unit it is. What is not finite is NaN.
    """

    def __init__(self, run: _native.Run) -> None:
        self._run = run
        self._manifest: dict[str, Any] | None = None
        self._arrays: dict[str, NDArray[Any]] | None = None

    # -- what it is -------------------------------------------------------------------------------------------------------

    @property
    def measure(self) -> str:
        """The measure's name, such as `circulation`."""
        return self._run.measure

    @property
    def manifest(self) -> dict[str, Any]:
        """`manifest.json`: what was measured on what, with seeds, adapter, kernels, and what each column means."""
        if self._manifest is None:
            self._manifest = json.loads(self._run.manifest)
        return self._manifest

    @property
    def log(self) -> dict[str, Any]:
        """`run_log.json`: when, how long, and what troubled it."""
        return json.loads(self._run.log)

    @property
    def out(self) -> str | os.PathLike[str] | None:
        """The run directory, a string; None if it was not written."""
        return self._run.out

    @property
    def _table(self) -> dict[str, Any]:
        table = self.manifest.get(self.measure)
        if not isinstance(table, dict) or "axes" not in table:
            raise InvalidError(f"{self.measure}: is a shard, whose results are those of all shards merged: vt.merge([..], out)")
        return table

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Axis -> labels of its places, outermost first: names of paths, timesteps k, numbers of samples."""
        labels = {axis: self._table[axis + "s"] for axis in self._table["axes"]}
        return {axis: list(range(own)) if isinstance(own, int) else list(own) for axis, own in labels.items()}

    @property
    def units(self) -> dict[str, str]:
        """Column -> unit; `x` is the unit of the data, a score has nat/x, 1 is a pure number."""
        return {column["name"]: column["unit"] for column in self._table["columns"]}

    def about(self, name: str) -> dict[str, str]:
        """What a column says: `name`, `formula`, `unit`, `meaning`."""
        for column in self._table["columns"]:
            if column["name"] == name:
                return dict(column)
        raise KeyError(f"{self.measure} has no column '{name}', it has {', '.join(self.units)}")

    @property
    def verdict(self) -> NDArray[np.str_]:
        """What may be said of the headline at each place: `resolved`, `not resolved` or `not checked`."""
        return self["verdict"]

    @property
    def info(self) -> dict[str, Any]:
        """What the measure says of itself: headline, labels of columns, source."""
        from ._measures import TABLE

        return next(about for about in TABLE if about["name"] == self.measure)

    # -- a mapping --------------------------------------------------------------------------------------------------------

    @property
    def _all(self) -> dict[str, NDArray[Any]]:
        if self._arrays is None:
            self._arrays = dict(self._run.arrays())
        return self._arrays

    def __getitem__(self, name: str) -> NDArray[Any]:
        try:
            return self._all[name]
        except KeyError:
            if name in ("verdict", self.info["headline"]):
                _ = self._table  # says it where this is a shard
            raise KeyError(f"{self.measure} has no '{name}', it has {', '.join(self._all)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __reduce__(self):
        if self.out is None:
            raise InvalidError(f"{self.measure}: is in memory alone: out= or save() makes a directory, which other processes can load")
        if self._run.shard != "1/1":
            raise InvalidError(f"{self.measure}: a shard's result stays in its process: send its out, {self.out!r}, which merge takes")
        from ._runs import load

        return load, (os.path.abspath(self.out),)

    # -- in words ---------------------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """The verdict in two sentences: what was found with its error, and how sure that is."""
        return self._run.summary()

    def text(self) -> str:
        """What the command line prints at the end: medians over the samples with their errors, and the verdict."""
        return self._run.text()

    def cells(self, column: str | None = None) -> list[list[dict[str, Any]]]:
        """Per path (or plane, or end) a list per timestep of what the samples come to: `q1`, `median`, `q3`, `error`
        (the median of the largest error that applies, None where none was measured) and `verdict` (None where no errors
        apply). By default of the headline."""
        return json.loads(self._run.cells(column or self.info["headline"]))

    def told(self) -> dict[str, Any]:
        """What the verdict is on at every place: `label`, `unit`, `mean` (whether it is the mean over the samples, else the median) and
        `points`, per path (or plane, or end) a list per timestep of `value`, `error` (the largest that was measured) and `verdict`."""
        return json.loads(self._run.told())

    def __repr__(self) -> str:
        try:
            axes = ", ".join(f"{len(labels)} {axis}s" for axis, labels in self.axes.items())
        except InvalidError:
            axes = "a shard"
        return f"<vorticity.Result of {self.measure}: {axes}. {self.summary()}>"

    def _repr_html_(self) -> str:
        head = f"<p><b>{escape(self.measure)}</b> {escape(self.summary())}</p>"
        try:
            told, ks = self.told(), self.axes.get("timestep", [None])
            unit = _written(told["unit"])
        except InvalidError:
            return head
        several = next((axis for axis in self.axes if axis not in ("timestep", "sample")), None)
        names = self.axes[several] if several else [""]
        rows = [(name, k, cell) for name, own in zip(names, told["points"], strict=True) for k, cell in zip(ks, own, strict=True)]
        every = max(1, -(-len(rows) // ROWS))
        columns = ([several] if several else []) + (["timestep"] if "timestep" in self.axes else [])
        columns += [told["label"] + (f" ({unit})" if unit else ""), "error", "verdict"]
        lines = ["".join(f"<th>{escape(str(c))}</th>" for c in columns)]
        for name, k, cell in rows[::every]:
            values = ([name] if several else []) + ([k] if "timestep" in self.axes else [])
            values += [_number(cell["value"]), _number(cell["error"]), cell["verdict"] or ""]
            lines.append("".join(f"<td>{escape(str(v))}</td>" for v in values))
        more = f"<p>{len(rows[::every])} of {len(rows)} places shown.</p>" if every > 1 else ""
        return head + "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" + more

    def _label(self, column: str) -> tuple[str, str]:
        """(what stands for a column on an axis, its unit as it is written, empty for a pure number)."""
        label = self.info.get("labels", {}).get(column, column.replace("_", " "))
        return label, _written(self.units.get(column, "1"))

    # -- elsewhere --------------------------------------------------------------------------------------------------------

    def to_frame(self) -> pandas.DataFrame:
        """A pandas `DataFrame`, a row per place: its axes, `sigma`, every column (errors among them), `verdict`.

        The rows and columns are those of the run's CSV. Needs pandas.
        """
        pd = need("pandas", "to_frame")
        import numpy as np

        axes = self.axes
        grid = np.meshgrid(*[np.arange(len(labels)) for labels in axes.values()], indexing="ij")
        columns = {}
        for (axis, labels), place in zip(axes.items(), grid, strict=True):
            columns[axis] = np.asarray(labels)[place.ravel()]
            if axis == "timestep":
                columns["sigma"] = self["sigma"][place.ravel()]
        for name in self.units:
            columns[name] = self[name].ravel()
        return pd.DataFrame(columns)

    def to_xarray(self) -> xarray.Dataset:
        """An xarray `Dataset`: columns over the axes with their units, `sigma` beside `timestep`, other arrays too.

        Variables have `units`, `long_name` and `formula`; the data set has `measure`, `summary` and the manifest as JSON.
        Needs xarray.
        """
        xr = need("xarray", "to_xarray")
        axes = self.axes
        coords = dict(axes)
        if "timestep" in axes:
            coords["sigma"] = ("timestep", self["sigma"])
        variables = {}
        for column in self._table["columns"]:
            attributes = {"units": column["unit"], "long_name": column["meaning"], "formula": column["formula"]}
            variables[column["name"]] = (tuple(axes), self[column["name"]], attributes)
        for name, array in self.items():
            if name in variables or name == "sigma" or name in {axis + "s" for axis in axes}:
                continue
            dims = ARRAYS.get(name, ())
            if len(dims) != array.ndim:
                dims = tuple(f"{name}_{i}" for i in range(array.ndim))
            variables[name] = (dims, array)
        attributes = {"measure": self.measure, "summary": self.summary(), "manifest": json.dumps(self.manifest)}
        return xr.Dataset(variables, coords, attributes)

    def save(self, directory: str | os.PathLike[str]) -> str:
        """Writes the run directory that the command line would have written (CSV, NPZ, manifest, log, plots); its path.

        Raises `FileError` if the directory is there and not empty.
        """
        directory = os.fspath(directory)
        self._run.save(directory)
        return directory

    def report(self, page: str | os.PathLike[str], title: str | None = None) -> str:
        """Writes an HTML page of this run, in one file that needs nothing else; its path. `vt.report` makes one of several runs."""
        from ._runs import report

        return report([self], page, title)

    def plot(
        self,
        column: str | None = None,
        *,
        ax: Axes | None = None,
        width: float = 3.25,
        x: Literal["timestep", "sigma"] = "timestep",
        log: bool | None = None,
        timestep: int | None = None,
        sample: int | None = None,
        plane: int | None = None,
    ) -> Axes:
        """Draws the result; returns matplotlib's `Axes`. Needs matplotlib.

        By default what the measure is about: medians over the samples with bands of quartiles over noise levels, a line for each
        path, plane or end; of `map` and `planes` pictures, of `jacobian` a matrix, of `likelihood` each sample. Filled marks are
        resolved, open ones not resolved, crosses not checked. No title: that is the caption's business.

        Args:
            column: another column, always drawn over noise levels (of `likelihood`: over samples).
            ax: axes to draw into; without it a new figure, `width` inches wide (3.25, a column).
            x: "timestep" or "sigma".
            log: whether the vertical axis is logarithmic; by default where all values are positive and differ much.
            timestep, sample, plane: which one, of pictures and matrices; by default the middle timestep, the mean over the samples of a
                map, else the first.

        Raises:
            MissingDependency: matplotlib is not installed.
            InvalidError: a column, timestep, sample or plane that there is not.
        """
        from ._plot import plot

        return plot(self, column, ax, width, x, log, timestep, sample, plane)


def _written(unit: str) -> str:
    """A unit as it is written; nothing of a pure number."""
    return "" if unit == "1" else unit.replace("^2", "²").replace("^4", "⁴")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
