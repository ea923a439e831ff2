import numpy as np
import pytest

from biocross.report.figures.plan import answered, draw_plan, patients_words
from biocross.statistics.planning import Basis, Variation, Wishes, plan

WISHES = Wishes((1.5, 2.0), (8, 30), 0.15)


def basis(*names, primary=("Th2", "ILC2"), events=400.0, readout="percent_of_parent"):
    variations = tuple(
        Variation(
            *(name, "lymphocytes", name in primary, 0.4, 0.0, 12.0, 4.0),
            share=0.01,
            counts=np.full(5, events),
            totals=np.full(5, 100 * events),
        )
        for name in names
    )
    return Basis("pilot", "a pilot", readout, 1e5, 7, variations)


def text_of(prospects, chosen, tmp_path, wishes=WISHES):
    out = tmp_path / "plan.svg"
    draw_plan(prospects, chosen, wishes, out)
    return out.read_text("utf-8")


def test_primary_populations_have_a_panel_with_their_answer(tmp_path):
    chosen = basis("B_cells", "Th2", "ILC2")
    prospects = plan(chosen, WISHES)
    text = text_of(prospects, chosen, tmp_path)
    assert "Th2, % of lymphocytes" in text
    assert "ILC2, % of lymphocytes" in text
    assert "B cells" not in text
    single, family = prospects[2].needed(0.8)[0]
    assert f"× 1.5: {single:.0f} [{family:.0f}]" in text
    assert "one of 7 tests" in text
    assert "Bands: what the pilot leaves open" in text


def test_without_primary_populations_the_first_are_shown():
    names = [f"pop_{k}" for k in range(20)]
    panels = answered(plan(basis(*names), WISHES))
    assert [panel[0].variation.population for panel in panels] == names[:12]
    assert all([one.fold for one in panel] == [1.5, 2.0] for panel in panels)


def test_what_cannot_be_planned_is_said_in_its_panel(tmp_path):
    chosen = basis("Th2", events=5.0)
    text = text_of(plan(chosen, WISHES), chosen, tmp_path)
    assert text.count("too few events") == 2


def test_cells_per_ul_and_assumptions_are_named(tmp_path):
    chosen = basis("Th2", readout="cells_per_ul")
    assumed = chosen._replace(variations=(chosen.variations[0]._replace(df=np.nan),))
    text = text_of(plan(assumed, WISHES), assumed, tmp_path)
    assert "Th2, cells/µl" in text
    assert "Bands" not in text


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_figures_are_the_same_every_time(tmp_path, kind):
    chosen = basis("Th2")
    files = [tmp_path / f"{name}.{kind}" for name in ("one", "two")]
    for path in files:
        draw_plan(plan(chosen, WISHES), chosen, WISHES, path)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_beyond_what_is_looked_at():
    assert (patients_words(24.0), patients_words(np.nan)) == ("24", "> 500")
