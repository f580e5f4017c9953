"""The figures: a curve for each stage, boundaries where stages meet, spikes that survive thinning."""

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from report.conftest import TINY
from xgen.core.ledger import RunFolder
from xgen.report import figures


def points(svg: str, gid: str) -> np.ndarray:
    """Read back the points of one drawn curve, in the coordinates of the picture."""
    path = re.search(rf'<g id="[\w-]*{gid}">\s*<path d="([^"]*)"', svg)
    assert path is not None, gid
    return np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path[1]), float)


def test_figure_1_has_a_curve_for_each_stage_and_a_boundary_between_two(complete: RunFolder) -> None:
    svg = figures.loss_over_tokens(complete.metrics.read(), TINY.stages)
    left, starts = 0.0, []
    for index in range(len(TINY.stages)):
        x = points(svg, f"curve-{index}")[:, 0]
        assert left < x[0] < x[-1], "stages follow each other"
        left = x[-1]
        starts.append(x[0])
    for index in range(1, len(TINY.stages)):
        boundary = points(svg, f"boundary-{index}")[0, 0]
        assert points(svg, f"curve-{index - 1}")[-1, 0] <= boundary + 1e-3 and boundary < starts[index]
    for label in ("1a", "128", "256", "512", "stage-1", "stage-2"):
        assert f">{label}</text>" in svg
    assert svg.count(">stage-1</text>") == 1, "neighbors share the label of their mixture"


def test_the_smoothed_curve_falls_as_the_loss_does(complete: RunFolder) -> None:
    y = points(figures.loss_over_tokens(complete.metrics.read(), TINY.stages), "curve-0")[:, 1]
    assert y[-1] > y[0] + 50, "the picture's y axis points down"


def test_a_run_that_has_begun_is_drawn_against_the_whole_plan(bare: RunFolder, complete: RunFolder) -> None:
    begun, whole = (figures.loss_over_tokens(run.metrics.read(), TINY.stages) for run in (bare, complete))
    np.testing.assert_allclose(points(begun, "boundary-1")[0, 0], points(whole, "boundary-1")[0, 0], atol=8)
    assert points(begun, "curve-0")[-1, 0] < 0.2 * points(begun, "boundary-3")[0, 0]


def test_figure_2_has_a_curve_for_each_stage_up_to_its_own_context(complete: RunFolder) -> None:
    svg = figures.perplexity_over_position(complete.read_result("perplexity")["stages"])
    assert [len(points(svg, f"curve-{index}")) for index in range(4)] == [16] * 4
    ends = [points(svg, f"curve-{index}")[-1, 0] - points(svg, f"curve-{index}")[0, 0] for index in range(4)]
    np.testing.assert_allclose(np.array(ends) / ends[-1], [1 / 4, 1 / 2, 1, 1], rtol=0.02)
    assert "after 1b: context 256" in svg


def test_a_name_with_markup_or_math_is_drawn_as_it_is(complete: RunFolder) -> None:
    measured = complete.read_result("perplexity")["stages"][:1]
    measured[0]["name"] = "<b>$x_1$&"
    assert ">after &lt;b&gt;$x_1$&amp;: context" in figures.perplexity_over_position(measured)


def test_colors_are_left_to_the_page(complete: RunFolder, tuned: RunFolder) -> None:
    for svg in (
        figures.loss_over_tokens(complete.metrics.read(), TINY.stages),
        figures.perplexity_over_position(complete.read_result("perplexity")["stages"]),
        figures.tuning_loss(tuned.metrics.read()),
    ):
        assert not re.findall(r"(?<!, )#[0-9a-f]{6}\b", svg), "a color that the dark page cannot change"
        assert "var(--series-" in svg


@settings(deadline=None, max_examples=50)
@given(length=st.integers(1, 20_000), spike=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 99))
def test_thinning_keeps_every_spike_and_the_order(length: int, spike: float, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=length)
    y[int(spike * length)] = 100.0
    x, kept = figures._thinned(np.arange(length, dtype=float), y)
    assert len(x) <= figures.MOST_POINTS
    assert kept.max() == 100.0 and kept.min() == y.min()
    assert np.all(np.diff(x) > 0) or len(x) == 1
    np.testing.assert_array_equal(kept, y[x.astype(int)])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-10, 10), max_size=60), st.integers(1, 80))
def test_smoothing_is_the_mean_of_the_neighbors_that_exist(values: list[float], window: int) -> None:
    got = figures._smooth(np.array(values, float), window)
    width = min(window, len(values))
    for i, value in enumerate(got):
        around = values[max(0, i - width // 2) : i - width // 2 + width]
        np.testing.assert_allclose(value, np.mean(around), atol=1e-9)


def test_figure_1_has_a_point_for_each_measurement_on_held_out_documents(complete: RunFolder) -> None:
    lines = complete.metrics.read()
    assert "held-out documents" not in figures.loss_over_tokens(lines, TINY.stages)
    for line in lines[9::10]:
        line["validation_loss"] = line["loss"] + 0.5
    svg = figures.loss_over_tokens(lines, TINY.stages)
    found = points(svg, "validation")
    assert len(found) == len(lines[9::10])
    assert np.all(np.diff(found[:, 0]) > 0)
    assert ">held-out documents</text>" in svg
