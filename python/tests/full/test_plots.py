"""Figures: of every measure one, a column wide, with units, without a title; verdicts told apart; what cannot be drawn is told."""

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import vorticity as vt

MEASURES = ["circulation", "curl", "asymmetry", "map", "planes", "spectrum", "stein", "lid", "jacobian", "likelihood"]


def measured(measure, spec="field:rotor?omega=1", shape=(1, 4, 4), **asked):
    field = vt.open(spec, shape=shape)
    data = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype(np.float32)
    default = {"timesteps": "0..991:200"} if measure == "likelihood" else {"timesteps": [100, 500, 900]}
    if measure == "circulation":
        default |= {"points": 40, "paths": ["rotation", "projection"]}
    return getattr(vt, measure)(field, data, progress=False, **(default | asked))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_has_a_figure_for_a_column(measure):
    result = measured(measure)
    ax = result.plot()
    assert isinstance(ax, plt.Axes) and ax.figure.get_figwidth() == 3.25
    assert ax.get_title() == "" and ax.figure._suptitle is None
    words = [ax.get_xlabel(), ax.get_ylabel(), *(other.get_ylabel() for other in ax.figure.axes if other is not ax)]
    assert any(words), words
    ax.figure.canvas.draw()
    # Nothing is under 6 points as printed, and nothing lies outside of the page.
    texts = [text for text in ax.figure.findobj(mpl.text.Text) if text.get_text().strip() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 6
    page = ax.figure.bbox
    for label in (ax.xaxis.label, ax.yaxis.label):
        box = label.get_window_extent()
        assert not label.get_text() or (page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1)


def test_units_are_on_the_axis():
    result = measured("circulation")
    assert result.plot().get_ylabel() == "|Γ| (nat)"
    assert "nat/x" in result.plot("integral_over_length").get_ylabel()
    assert result.plot("integral_over_abs").get_ylabel() == "|Γ|/S"
    assert result.plot(x="sigma").get_xlabel() == "noise level σ"


def test_medians_and_quartiles_are_drawn():
    result = measured("circulation")
    ax = result.plot()
    for path, line in enumerate([line for line in ax.lines if line.get_linestyle() != "None"]):
        np.testing.assert_array_equal(line.get_ydata(), np.median(result["abs_integral"][path], axis=-1))
    assert len(ax.collections) == 2 and [t.get_text() for t in ax.get_legend().get_texts()] == ["rotation", "projection"]


def test_a_mean_is_drawn_as_one():
    result = measured("stein")
    ax = result.plot()
    assert ax.get_ylabel() == "σ² × mean S (nat), ±3 errors" and len(ax.containers) >= 1
    drawn = np.concatenate([container.lines[0].get_ydata() for container in ax.containers])
    np.testing.assert_allclose(sorted(drawn), sorted(result["stein"].mean(-1) * result["sigma"] ** 2), rtol=1e-12)


def marks(ax):
    found = {}
    for line in ax.lines:
        if line.get_linestyle() == "None":
            kind = "cross" if line.get_marker() == "x" else "open" if line.get_markerfacecolor() == "white" else "filled"
            found[kind] = found.get(kind, 0) + len(line.get_xdata())
    return found


def test_verdicts_are_told_apart_by_marks():
    assert marks(measured("circulation").plot()) == {"filled": 6}
    none = measured("circulation", "field:gaussian", verify_fraction=0.1)
    ax = none.plot()
    assert marks(ax) == {"open": 6} and "not resolved" in [t.get_text() for t in ax.get_legend().get_texts()]
    ax = measured("circulation", verify_fraction=0.0).plot()
    assert marks(ax) == {"cross": 6} and "not checked" in [t.get_text() for t in ax.get_legend().get_texts()]
    assert "not checked" in measured("map", verify=0).plot().get_xlabel()
    assert "not resolved" in measured("planes", "field:gaussian").plot().get_xlabel()


def test_axes_of_ones_own():
    result = measured("asymmetry")
    _, (left, right) = plt.subplots(1, 2)
    assert result.plot(ax=left) is left and result.plot("trace", ax=right) is right
    assert right.get_yscale() == "linear"
    assert left.figure.get_figwidth() != 3.25 and plt.get_fignums() == [left.figure.number]


def test_pictures_of_other_places():
    planes = measured("planes", planes=2)
    assert "plane 2 at k = 900, sample 1" in planes.plot(timestep=900, sample=1, plane=2).get_xlabel()
    assert "sample 3" in measured("map").plot(sample=3).get_xlabel()
    assert measured("planes", shape=(3, 4, 4)).plot() and measured("map", shape=(3, 4, 4)).plot()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"column": "nothing"}, "planes has no column 'nothing', it has omega"),
        ({"column": "verdict"}, "verdict is a word"),
        ({"x": "time"}, "x: 'time' is unknown"),
        ({"timestep": 5}, "timestep: 5 was not measured, 100, 500, 900 were"),
        ({"sample": 9}, "sample: 9 was not measured, 0 to 3 were"),
        ({"plane": 9}, "plane: 9 was not measured"),
    ],
)
def test_what_cannot_be_drawn(asked, said):
    with pytest.raises(vt.InvalidError, match=said):
        measured("planes").plot(**asked)
