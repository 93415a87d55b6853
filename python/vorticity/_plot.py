"""Figures of results for papers: one column wide, no title, legible as printed, safe for colour-blind readers. In: a `Result`. Out:
matplotlib's `Axes`. What may be said of a value is told by its mark, not by its colour."""

import re

from ._need import need
from .errors import InvalidError

# Okabe and Ito's colours, those that are dark enough for lines on white; each line has a dash pattern of its own too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1))]
# Of each verdict a mark: filled, open, a cross.
MARKS = {"resolved": {"marker": "o"}, "not resolved": {"marker": "o", "mfc": "white"}, "not checked": {"marker": "x"}}
# Heat of maps: even steps of lightness, and no grey, which stands for what is not resolved.
HEAT = "viridis"
# Sizes in points, as printed.
STYLE = {"font.size": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7, "legend.fontsize": 7,
         "axes.linewidth": 0.6, "lines.linewidth": 1.0, "lines.markersize": 3.5, "xtick.major.width": 0.6,
         "ytick.major.width": 0.6, "xtick.minor.width": 0.4, "ytick.minor.width": 0.4, "savefig.dpi": 300,
         "mathtext.default": "regular"}  # fmt: skip


def plot(result, column, ax, width, x, log, timestep, sample, plane):
    """Draws a result, see `Result.plot`."""
    need("matplotlib", "plot")
    if x not in ("timestep", "sigma"):
        raise InvalidError(f"x: '{x}' is unknown, expected timestep or sigma")
    if column is not None and column not in result.units:
        raise InvalidError(f"column: {result.measure} has no column '{column}', it has {', '.join(result.units)}")
    if column == "verdict":
        raise InvalidError("column: verdict is a word, expected a column of numbers")
    measure = result.measure
    if column is None and measure == "map":
        return _made(ax, width, 0.85, lambda ax: _map(ax, result, timestep, sample))
    if column is None and measure == "planes":
        return _made(ax, width, 0.6, lambda ax: _pair(ax, result, timestep, sample, plane))
    if column is None and measure == "jacobian":
        return _made(ax, width, 0.85, lambda ax: _matrix(ax, result, timestep, sample))
    if "timestep" not in result.axes:
        return _made(ax, width, 0.7, lambda ax: _samples(ax, result, column, log))
    if column is None and result.told()["mean"]:
        return _made(ax, width, 0.7, lambda ax: _means(ax, result, x))
    return _made(ax, width, 0.7, lambda ax: _bands(ax, result, column, x, log))


def _made(ax, width, height, draw):
    """Axes, drawn into: those given, or of a new figure of that width in inches."""
    import matplotlib.pyplot as plt

    plt.draw_if_interactive()  # loads the backend, whose own settings would end with the context below
    with plt.rc_context(STYLE):
        if ax is None:
            _, ax = plt.subplots(figsize=(width, height * width), layout="constrained")
        draw(ax)
        return ax


def _written(label, unit):
    """A label with its unit; `J_ab` with its index below the line."""
    label = re.sub(r"([A-Za-z])_([a-z]+|\d+)", r"$\1_{\2}$", label)
    return f"{label} ({unit})" if unit else label


def _bands(ax, result, column, x, log):
    """Medians over the samples with bands of quartiles, by noise level; a line for each path, plane or end."""
    import numpy as np

    column = column or result.info["headline"]
    cells, axes = result.cells(column), result.axes
    several = next((axis for axis in axes if axis not in ("timestep", "sample")), None)
    names = axes[several] if several else [None]
    levels = np.asarray(axes["timestep"] if x == "timestep" else result["sigma"], float)
    order = np.argsort(levels, kind="stable")
    rows = []
    for own in cells:
        rows.append([np.array([np.nan if c[key] is None else c[key] for c in own])[order] for key in ("q1", "median", "q3")])
    finite = np.concatenate([np.ravel(row) for row in rows])
    finite = finite[np.isfinite(finite)]
    log = _log(finite) if log is None else log
    used = set()
    for i, (name, own, (low, median, high)) in enumerate(zip(names, cells, rows, strict=True)):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        label = None if name is None else f"{several} {name}" if several == "plane" else str(name)
        at = levels[order]
        if len(at) > 1:
            ax.fill_between(at, low, high, color=colour, alpha=0.18, lw=0)
        else:
            ax.vlines(at, low, high, color=colour, lw=1, alpha=0.5)
        ax.plot(at, median, color=colour, ls=dash, label=label)
        verdicts = np.array([own[j]["verdict"] or "resolved" for j in order])
        for verdict, mark in MARKS.items():
            here = verdicts == verdict
            if here.any():
                used.add(verdict)
                ax.plot(at[here], median[here], ls="", color=colour, **mark)
    if log:
        _logarithmic(ax, finite[finite > 0])
    ax.set_ylabel(_written(*result._label(column)))
    _across(ax, levels, x)
    _legend(ax, len(names) > 1, used)


def _logarithmic(ax, values):
    """A logarithmic vertical axis; over less than two decades its marks are at 1, 2 and 5, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    if len(values) and values.max() < 100 * values.min():
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _across(ax, levels, x):
    """The horizontal axis: timesteps, or noise levels, which are drawn by their logarithm where they differ much."""
    if x == "timestep":
        ax.set_xlabel("timestep k")
        return
    ax.set_xlabel("noise level σ")
    if levels.min() > 0 and levels.max() > 20 * levels.min():
        ax.set_xscale("log")


def _means(ax, result, x):
    """Means over the samples in units of sigma^-2, in which they are of order one at every noise level, with three standard errors."""
    import numpy as np

    told, sigma = result.told(), result["sigma"]
    levels = np.asarray(result.axes["timestep"] if x == "timestep" else sigma, float)
    (own,) = told["points"]
    means, errors = (np.array([np.nan if p[key] is None else p[key] for p in own]) * sigma**2 for key in ("value", "error"))
    verdicts, used = np.array([p["verdict"] for p in own]), set()
    ax.axhline(0, color="0.6", lw=0.6, zorder=0)
    for verdict, mark in MARKS.items():
        here = verdicts == verdict
        if here.any():
            used.add(verdict)
            ax.errorbar(levels[here], means[here], 3 * errors[here], ls="", color=COLOURS[0], elinewidth=0.8, capsize=2, **mark)
    ax.set_ylabel(f"σ² × {told['label']} ({told['unit'].replace('/x^2', '')}), ±3 errors")
    _across(ax, levels, x)
    _legend(ax, False, used)


def _legend(ax, lines, used):
    """What lines are, if there are several, and what marks mean beyond the filled ones."""
    from matplotlib.lines import Line2D

    handles = ax.get_legend_handles_labels()[0] if lines else []
    for verdict, mark in MARKS.items():
        if verdict in used and used != {"resolved"}:
            handles.append(Line2D([], [], ls="", color="0.3", label=verdict, **mark))
    if handles:
        ax.legend(handles=handles, frameon=False, ncols=2 if len(handles) > 3 else 1, handlelength=2.2, borderaxespad=0.2)


def _log(values):
    """Whether values are better seen on a logarithmic axis: all positive, over more than a factor of eight."""
    return len(values) > 0 and values.min() > 0 and values.max() > 8 * values.min()


def _samples(ax, result, column, log):
    """Each sample with its error, in ascending order: for measures without timesteps."""
    import numpy as np

    column = column or result.info["headline"]
    values = result[column]
    errors = result["error"] if column == result.info["headline"] and "error" in result else np.zeros_like(values)
    order = np.argsort(values)
    verdicts = result.verdict if column == result.info["headline"] else np.full(values.shape, "resolved")
    at, used = np.arange(1, len(values) + 1), set()
    for verdict, mark in MARKS.items():
        here = verdicts[order] == verdict
        if here.any():
            used.add(verdict)
            bars = np.nan_to_num(errors[order][here])
            ax.errorbar(at[here], values[order][here], bars, ls="", color=COLOURS[0], elinewidth=0.7, **mark)
    finite = values[np.isfinite(values)]
    if _log(finite) if log is None else log:
        _logarithmic(ax, finite[finite > 0])
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("sample, in ascending order")
    ax.set_ylabel(_written(*result._label(column)))
    _legend(ax, False, used)


def _place(result, timestep, sample):
    """Numbers of a timestep, the middle one if none is named, and of a sample."""
    ks, n = result.axes["timestep"], len(result.axes["sample"])
    if timestep is None:
        t = len(ks) // 2
    elif timestep in ks:
        t = ks.index(timestep)
    else:
        raise InvalidError(f"timestep: {timestep} was not measured, {', '.join(map(str, ks))} were")
    if sample is not None and not 0 <= sample < n:
        raise InvalidError(f"sample: {sample} was not measured, 0 to {n - 1} were")
    return t, sample


def _bar(ax, drawn, label):
    """A colour bar beside a picture, with its unit."""
    beyond = drawn.get_array().max() > drawn.norm.vmax
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.05, pad=0.03, extend="max" if beyond else "neither")
    bar.set_label(label, size=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_linewidth(0.6)
    formatter = bar.ax.yaxis.get_major_formatter()
    if hasattr(formatter, "set_powerlimits"):
        formatter.set_powerlimits((-2, 3))
    bar.ax.yaxis.get_offset_text().set_size(7)


def _bare(ax):
    ax.set_xticks([])
    ax.set_yticks([])


def _map(ax, result, timestep, sample):
    """Where the field turns: r, summed over channels; pixels that are not resolved are grey where the picture is."""
    import numpy as np

    t, sample = _place(result, timestep, sample)
    clean, own = result["clean"], "mean over samples" if sample is None else f"sample {sample}"
    c = clean.shape[1]
    off = result["pixel_arithmetic"][t] * np.sqrt(c)
    if sample is None:
        finite = np.isfinite(result["r"][t]).all(axis=(1, 2, 3))
        if not finite.any():
            raise InvalidError(f"map: no sample is finite at timestep {result.axes['timestep'][t]}")
        square = result["r"][t][finite].sum(1).mean(0)
        scatter = np.sqrt((result["r_se"][t][finite].sum(1) ** 2).sum(0)) / finite.sum()
        off, picture = off[finite].max(), clean[finite].mean((0, 1))
    else:
        square, scatter = result["r"][t, sample].sum(0), result["r_se"][t, sample].sum(0)
        off, picture = off[sample], clean[sample].mean(0)
    # As the engine's own pictures: NaN of an error that was not measured leaves everything drawn, and said to be so.
    error = np.maximum(scatter, 2 * off * np.sqrt(np.maximum(square, 0)) + off**2)
    checked = bool(np.isfinite(error).all())
    clear = (square > 0) & (~np.isfinite(error) | (square >= 3 * error))
    ax.imshow(picture, cmap="gray", alpha=0.35, interpolation="nearest")
    shown = np.ma.masked_where(~clear, square)
    # A few pixels far above the others would leave no colours for these.
    end = np.quantile(square[clear], 0.995) if clear.any() else 1.0
    drawn = ax.imshow(shown, cmap=HEAT, vmin=0, vmax=end, interpolation="nearest")
    _bare(ax)
    k = result.axes["timestep"][t]
    said = "" if checked else ", not checked"
    said += ", nothing resolved" if not clear.any() else "" if clear.all() else "\ngrey: not resolved"
    ax.set_xlabel(f"k = {k}, {own}{said}")
    _bar(ax, drawn, "$\\Sigma_j\\,|A_{ij}|^2$ (nat²/x⁴)")


def _pair(ax, result, timestep, sample, plane):
    """u and w of a plane side by side, blue where negative, red where positive, on one scale about zero."""
    import numpy as np

    t, sample = _place(result, timestep, sample or 0)
    planes = result.axes["plane"]
    if plane is None:
        plane = planes[0]
    if plane not in planes:
        raise InvalidError(f"plane: {plane} was not measured, {planes[0]} to {planes[-1]} were")
    p = planes.index(plane)
    pair = result["vectors"][t, sample, p]
    c = pair.shape[1]
    # Channels below each other; between u and w a gap.
    u, w = (np.concatenate(list(side), axis=0) if c > 1 else side[0] for side in pair)
    gap = np.full((u.shape[0], max(1, u.shape[1] // 14)), np.nan)
    whole = np.concatenate([u, gap, w], axis=1)
    end = np.nanmax(np.abs(whole)) if np.isfinite(whole).any() else 1.0
    verdict = result.verdict[p, t, sample]
    drawn = ax.imshow(whole, cmap="RdBu_r", vmin=-end, vmax=end, interpolation="nearest",
                      alpha=0.35 if verdict == "not resolved" else 1.0)  # fmt: skip
    _bare(ax)
    ax.set_frame_on(False)
    omega, k = result["omega"][p, t, sample], result.axes["timestep"][t]
    said = "" if verdict == "resolved" else f", {verdict}"
    ax.set_xlabel(f"u and w of plane {plane} at k = {k}, sample {sample}\nω = {omega:.3g} nat/x²{said}")
    _bar(ax, drawn, "component")


def _matrix(ax, result, timestep, sample):
    """J_ab of one sample, about zero."""
    import numpy as np

    t, sample = _place(result, timestep, sample or 0)
    matrix = result["jacobian"][t, sample]
    end = np.nanmax(np.abs(matrix)) if np.isfinite(matrix).any() else 1.0
    drawn = ax.imshow(matrix, cmap="RdBu_r", vmin=-end, vmax=end, interpolation="nearest")
    verdict, k = result.verdict[t, sample], result.axes["timestep"][t]
    ax.set_xlabel(f"b  (k = {k}, sample {sample}; asymmetry {verdict})")
    ax.set_ylabel("a")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.yaxis.get_major_locator().set_params(integer=True)
    _bar(ax, drawn, _written("J_ab", "nat/x²"))
