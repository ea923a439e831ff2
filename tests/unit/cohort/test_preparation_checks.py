import pytest

from biocross.cohort.checks import inspect_cohort

COLUMNS = ("preparation", "hours_to_stain", "enrichment", "beads_added", "blood_volume_ul")


@pytest.fixture
def said(study):
    """What is said of the study's samples, of which some have further cells; by severity."""

    def run(cells, **config):
        path = study.folder / "samples.tsv"
        header, *rows = path.read_text().splitlines()
        more = [
            "\t".join(str(cells.get((row.split("\t")[0], c), "")) for c in COLUMNS) for row in rows
        ]
        lines = [
            "\t".join([header, *COLUMNS]),
            *("\t".join(pair) for pair in zip(rows, more, strict=True)),
        ]
        path.write_text("\n".join(lines) + "\n")
        found = inspect_cohort({**study.config, **config})[1]
        ours = [problem for problem in found if problem.column in COLUMNS]
        texts = [(str(p).replace(f"{study.folder}/", ""), p.is_error) for p in ours]
        return [text for text, error in texts if error], [
            text for text, error in texts if not error
        ]

    return run


def everywhere(**cells):
    samples = ("P1_baseline", "P1_month_4", "P2_baseline", "P2_month_4")
    return {(sample, column): value for sample in samples for column, value in cells.items()}


def test_a_study_by_beads_is_sound(said):
    cells = {"preparation": "fresh", "hours_to_stain": 2.5}
    assert said(everywhere(**cells, beads_added=50_000, blood_volume_ul=100)) == ([], [])


def test_a_preparation_that_differs_within_a_patient_is_refused(said):
    cells = everywhere(preparation="fresh") | {("P2_month_4", "preparation"): "cryo"}
    assert said(cells) == (
        [
            'samples.tsv row 5: sample "P2_month_4" is cryo, but "P2_baseline" of the same patient '
            "(row 4) is fresh; samples prepared in different ways cannot be compared, leave one out"
        ],
        [],
    )


def test_patients_may_differ_in_preparation(said):
    fresh = {(f"P1_{visit}", "preparation"): "fresh" for visit in ("baseline", "month_4")}
    assert said(everywhere(preparation="fixed") | fresh) == ([], [])


@pytest.mark.parametrize(("hours", "n"), [(8, 0), (8.5, 1)])
def test_samples_stained_hours_apart(said, hours, n):
    errors, warnings = said(
        everywhere(hours_to_stain=2) | {("P1_month_4", "hours_to_stain"): hours}
    )
    assert not errors
    assert len(warnings) == n
    if n:
        assert 'patient "P1": samples of flow were stained 2 to 8.5 hours' in warnings[0]


def test_beads_need_the_volume(said):
    cells = everywhere(beads_added=50_000, blood_volume_ul=100) | {
        ("P1_month_4", "blood_volume_ul"): ""
    }
    errors, _ = said(cells)
    assert len(errors) == 1
    assert errors[0].startswith("samples.tsv row 3: beads_added needs blood_volume_ul")


def test_a_volume_alone_gives_nothing(said):
    errors, (warning,) = said(everywhere(blood_volume_ul=100))
    assert not errors
    assert "4 samples with blood_volume_ul but no beads_added" in warning
    assert "$VOL is not trusted" in warning


def test_beads_at_one_visit_only(said):
    cells = {("P1_baseline", "beads_added"): 5e4, ("P1_baseline", "blood_volume_ul"): 100}
    _, (warning,) = said(cells)
    assert "counting beads at some visits only (P1)" in warning


def test_beads_of_pbmc_and_of_mass_cytometry(said, study):
    path = study.folder / "samples.tsv"
    path.write_text(path.read_text().replace("whole_blood", "pbmc"))
    cells = everywhere(beads_added=50_000, blood_volume_ul=100)
    _, warnings = said(cells, flow={"cytometry": "mass"})
    assert ["preparation of PBMC" in warning for warning in warnings] == [True, False]
    assert "not told from calibration beads" in warnings[1]


def test_enriched_samples_are_named(said):
    _, (warning,) = said({("P2_baseline", "enrichment"): "ILC"})
    assert "1 sample enriched (P2_baseline)" in warning


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("preparation", "frozen", '"preparation" is "frozen"'),
        ("hours_to_stain", -1, "0 or more"),
        ("beads_added", 0, "number of counting beads"),
        ("blood_volume_ul", "100ul", "microlitres of blood"),
    ],
)
def test_cells_that_cannot_be(said, column, value, expected):
    errors, _ = said({("P1_baseline", column): value})
    assert any(expected in error for error in errors)
