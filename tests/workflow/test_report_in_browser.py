"""The report as a browser shows it: its scripts run, and it asks for nothing from elsewhere."""

import shutil
import subprocess

import pytest

from biocross.tables import read_rows

pytestmark = pytest.mark.workflow
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=2000"),
)


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("chromium is not installed")
    return found


def page(browser, folder, url):
    command = [browser, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_report_renders_without_script_errors(browser, finished_project, tmp_path):
    report = finished_project.folder / "results" / "report.html"
    # A click on the first heading of the first table, and a word in its filter, as a user would.
    clicks = """<script>
    document.querySelector("#paired_changes th button").click();
    var box = document.querySelector("#paired_changes input[type=search]");
    box.value = "mepolizumab basophils";
    box.dispatchEvent(new Event("input"));
    var rows = Array.from(document.querySelectorAll("#paired_changes tbody tr"));
    document.title = rows.filter(function (row) { return !row.hidden; }).length + " shown";
    </script></body>"""
    copy = tmp_path / "report.html"
    copy.write_text(report.read_text(encoding="utf-8").replace("</body>", clicks), "utf-8")
    done = page(browser, tmp_path, copy.as_uri())
    assert "Uncaught" not in done.stderr
    asked = [
        row
        for row in read_rows(report.parent / "statistics" / "paired_changes.tsv")
        if (row["treatment"], row["population"]) == ("mepolizumab", "basophils")
    ]
    gates = [row for row in asked if row["source"] == "gate"]
    clusters = [r for r in asked if r["source"] != "gate" and r["status"] != "not_measured"]
    assert len(gates) == 3
    assert f"<title>{len(gates) + len(clusters)} shown</title>" in done.stdout
