"""The report as readers meet it: in a browser, by mouse and keyboard, on a desk and a phone."""

import csv
import shutil

import pytest
from long_tables import LongTables
from written_report import planted, report

from biocross.tables import read_rows

pytestmark = [
    pytest.mark.workflow,
    # Playwright's and axe's own.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SETTLED = "() => tables.every((holder) => holder.firstChild)"


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser):
    """Open a file in a window; what it says to the console or asks of the network fails."""
    pages, said, asked = [], [], []

    def opened(path, size=DESK):
        page = browser.new_page(viewport=size, accept_downloads=True)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function(SETTLED)
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert elsewhere == []


@pytest.fixture
def open_report(open_page, finished_project):
    """Open the report of a tiny run."""
    return lambda size=DESK: open_page(finished_project.folder / "results" / "report.html", size)


@pytest.fixture
def open_answer(open_page, tmp_path):
    """Open the report of eight patients in whom ILC2 doubled."""
    tables = LongTables(tmp_path)
    planted(tables)
    tables.name_primary("ILC2", "pop_2")
    report(tables, tmp_path)
    return lambda size=DESK: open_page(tmp_path / "report.html", size)


@pytest.fixture
def page(open_report):
    return open_report()


def changes(project, **wanted):
    rows = read_rows(project.folder / "results" / "statistics" / "paired_changes.tsv")
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_the_answer_is_what_the_reader_sees_first(open_answer):
    page = open_answer()
    headline = page.locator(".headlines dd")
    assert headline.inner_text() == "ILC2 rose. Equivalent to no change: pop 2."
    assert headline.bounding_box()["y"] < DESK["height"] / 2
    rows = page.locator("table.primary tbody tr:not(.arm)")
    assert [rows.nth(n).get_attribute("class") for n in range(rows.count())] == ["claimed", "open"]
    assert rows.first.bounding_box()["y"] < DESK["height"]


def test_tables_filter_sort_and_unfold(page, finished_project):
    table = page.locator("#changes-paired_changes")
    own = changes(finished_project, treatment="mepolizumab", population="basophils")
    gates = [row for row in own if row["source"] == "gate"]
    clusters = [r for r in own if r["source"] != "gate" and r["status"] != "not_measured"]
    table.locator("input[type=search]").fill("mepolizumab basophils")
    assert len(gates) == 3
    assert table.locator("tbody tr").count() == len(gates) + len(clusters)
    table.locator("input[type=search]").fill("")
    assert table.locator("tbody tr").count() == 20
    table.get_by_role("button", name="Show all").click()
    assert table.locator("tbody tr").count() > 20
    q = table.locator("thead th").all_inner_texts().index("q")
    for direction in ("ascending", "descending"):
        table.get_by_role("button", name="q", exact=True).click()
        assert table.locator("thead th").nth(q).get_attribute("aria-sort") == direction
        column = table.locator(f"tbody td:nth-child({q + 1})").all_inner_texts()
        numbers = [float(text) for text in column if text != "–"]
        assert numbers == sorted(numbers, reverse=direction == "descending")


def test_rows_are_saved_as_they_are_shown(page, tmp_path):
    table = page.locator("#changes-medians")
    table.locator("input[type=search]").fill("mepolizumab ILC2")
    with page.expect_download() as waiting:
        table.get_by_role("button", name="These rows").click()
    waiting.value.save_as(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == table.locator("thead th").all_inner_texts()
    assert len(rows) == table.locator("tbody tr").count() > 0
    assert all(row[2].startswith("ILC2") for row in rows)


def test_another_population_is_another_plot(page, finished_project):
    panels = page.locator("#panels svg")
    treatments = {row["treatment"] for row in changes(finished_project)}
    assert panels.count() == len(treatments)
    before = panels.first.inner_html()
    page.locator("select[name=population]").select_option("basophils")
    assert panels.first.inner_html() != before
    assert "basophils" in panels.first.get_attribute("aria-label")
    assert "basophils" in page.locator("#findings").inner_text()
    percent = panels.first.inner_html()
    page.locator("select[name=readout]").select_option("cells_per_ul")
    assert panels.first.inner_html() != percent
    assert "cells/µl" in panels.first.get_attribute("aria-label")
    page.locator("select[name=treatment]").select_option("mepolizumab")
    assert panels.count() == 1


def test_a_name_of_the_first_screen_leads_to_its_plot(open_answer):
    page = open_answer()
    page.locator("table.primary a", has_text="pop 2").click()
    assert page.locator("select[name=population]").input_value() == "pop_2"
    assert abs(page.locator("#explorer").bounding_box()["y"]) < 100


def test_patients_are_named_by_mouse_and_by_keyboard(page, finished_project):
    counts = read_rows(finished_project.folder / "results" / "populations" / "counts.tsv")
    names = {row["patient_id"] for row in counts}
    first = page.locator("#panels svg").first
    first.focus()
    page.keyboard.press("ArrowRight")
    told = page.locator("#told").inner_text()
    assert told.split(":")[0] in names
    assert "events)" in told
    page.keyboard.press("ArrowRight")
    assert page.locator("#told").inner_text() != told
    first.locator(".patient .touch").last.dispatch_event("pointermove")
    assert page.locator("#tip").is_visible()
    assert page.locator("#tip").inner_text().split(":")[0] in names


def test_values_behind_a_plot_are_those_of_the_long_table(page, finished_project, tmp_path):
    page.locator("select[name=population]").select_option("basophils")
    with page.expect_download() as waiting:
        page.locator("#values-csv").click()
    waiting.value.save_as(tmp_path / "values.csv")
    with (tmp_path / "values.csv").open(encoding="utf-8-sig", newline="") as file:
        found = {(row["patient"], row["visit"]): row for row in csv.DictReader(file)}
    counts = read_rows(finished_project.folder / "results" / "populations" / "counts.tsv")
    own = [
        row
        for row in counts
        if (row["population"], row["modality"], row["source"]) == ("basophils", "flow", "gate")
    ]
    assert len(own) > 4
    for row in own:
        shown = found[row["patient_id"], row["visit"].replace("_", " ")]
        assert shown["count"] == row["count"]
        assert float(shown["percent"]) == pytest.approx(float(row["percent"]), rel=1e-3)


def test_a_page_per_patient(page, finished_project):
    patients = read_rows(finished_project.folder / "results" / "cohort" / "patients.tsv")
    box = page.locator("#patient")
    assert box.locator("option").all_inner_texts() == sorted(row["patient_id"] for row in patients)
    last = patients[-1]["patient_id"]
    box.select_option(last)
    text = page.locator("#patient-page").inner_text()
    assert f"Patient {last}" in text
    assert "ILC2, % of lymphocytes" in text
    page.get_by_role("button", name="Next").click()
    assert f"Patient {patients[0]['patient_id']}" in page.locator("#patient-page").inner_text()


def test_numbers_of_a_figure_can_be_saved(page, finished_project, tmp_path):
    with page.expect_download() as waiting:
        page.locator("button[data-name=forest]").click()
    waiting.value.save_as(tmp_path / "forest.csv")
    with (tmp_path / "forest.csv").open(encoding="utf-8-sig", newline="") as file:
        saved = list(csv.DictReader(file))
    source = finished_project.folder / "results" / "figures" / "changes" / "forest.tsv"
    assert saved == read_rows(source)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_serious_barrier(open_report, open_answer, size):
    from axe_playwright_python.sync_playwright import Axe

    found = [
        fault
        for opened in (open_report, open_answer)
        for fault in Axe().run(opened(size)).response["violations"]
    ]
    serious = [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_scrolls_in_one_direction_only(open_report, open_answer):
    for page in (open_report(PHONE), open_answer(PHONE)):
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("table.primary").bounding_box()["width"] <= PHONE["width"]


def test_first_paint_is_quick_and_the_file_is_small(open_report, finished_project):
    """Limits ten times what is measured: a page that grew out of hand, not a slow machine."""
    page = open_report()
    (paint,) = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)"
    )
    assert paint < 2000
    assert (finished_project.folder / "results" / "report.html").stat().st_size < 15e6


def test_print_shows_every_table_and_no_controls(page):
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("#choices").is_visible()
    assert page.locator("#changes-paired_changes tbody tr").count() == 20
