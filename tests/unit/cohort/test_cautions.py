import pytest

from biocross.cohort.cautions import design_cautions, pair_groups, ungated_caution
from biocross.cohort.checks import inspect_cohort
from biocross.cohort.design import Cohort, Sample
from biocross.cohort.sheets import SheetRow
from biocross.cohort.spelling import clinical_problems, spelling_cautions


def cohort(treatments, levels=("baseline", "month_4"), batches=None, missing=(), **covariates):
    """Make a study: treatment by patient, batches as (patient, level) -> batch."""
    samples = [
        Sample(
            f"{patient}_{level}",
            patient,
            level,
            "flow",
            batch=(batches or {}).get((patient, level), "lot_1"),
            tissue="pbmc",
        )
        for patient in treatments
        for level in levels
        if (patient, level) not in missing
    ]
    patients = {
        patient: {
            "patient_id": patient,
            "treatment": treatment,
            **{name: values[i] for name, values in covariates.items()},
        }
        for i, (patient, treatment) in enumerate(treatments.items())
    }
    return Cohort(tuple(samples), patients, {}, levels)


def arm(n, treatment="mepolizumab", first=1):
    return {f"P{number}": treatment for number in range(first, first + n)}


def words(study):
    found = design_cautions("samples.tsv", "patients.tsv", study)
    assert not any(problem.is_error for problem in found)
    return [problem.message for problem in found]


@pytest.mark.parametrize(
    ("n", "ending"),
    [
        (1, "1 complete pair, because the treatment has one patient; it cannot be tested"),
        (2, "2 complete pairs; it cannot be tested with fewer than 3"),
        (3, "3 complete pairs; below 6 its results are exploratory only"),
        (5, "5 complete pairs; below 6 its results are exploratory only"),
        (6, None),
    ],
)
def test_few_pairs(n, ending):
    where = 'mepolizumab, flow, "month_4 - baseline": '
    assert words(cohort(arm(n))) == ([where + ending] if ending else [])


def test_incomplete_pairs_are_one_sentence_per_contrast():
    missing = {("P1", "month_4"), ("P2", "baseline"), ("P9", "month_4")}
    study = cohort(arm(8) | arm(8, "dupilumab", 9), missing=missing)
    assert words(study) == [
        'flow, "month_4 - baseline": 3 of 16 pairs incomplete (no month_4: P1, P9; no baseline: P2)'
    ]


def test_long_lists_are_cut():
    (sentence,) = words(cohort(arm(20), missing={(f"P{i}", "month_4") for i in range(1, 13)}))
    assert sentence.endswith("(no month_4: P1, P10, P11, P12, P2, P3, P4, P5 and 4 more)")


def test_batch_aliased_with_visit():
    later = {(patient, "month_4"): "lot_2" for patient in arm(6)}
    (sentence,) = words(cohort(arm(6) | arm(6, "dupilumab", 7), batches=later))
    assert sentence.startswith(
        'mepolizumab, flow, "month_4 - baseline": every pair changes batch (lot_1 to lot_2)'
    )
    assert "stain both samples of a patient in one batch" in sentence


def test_some_pairs_change_batch():
    (sentence,) = words(cohort(arm(6), batches={("P2", "month_4"): "lot_2"}))
    assert "1 of 6 pairs change batch (P2)" in sentence


def test_batches_that_cross_over_are_not_confounded():
    crossed = {(p, "month_4" if i % 2 else "baseline"): "lot_2" for i, p in enumerate(arm(6))}
    study = cohort(arm(6), batches=crossed)
    assert not pair_groups(study)[0].is_confounded
    assert "6 of 6 pairs change batch" in words(study)[0]


def test_a_batch_that_is_not_recorded_changes_nothing():
    assert words(cohort(arm(6), batches={("P2", "month_4"): ""})) == []


@pytest.mark.parametrize(
    ("sexes", "aliased"),
    [
        (["f"] * 6 + ["m"] * 6, True),
        (["f"] * 6 + ["m"] * 5 + ["f"], False),
        (["f"] * 12, False),
        (list(range(12)), False),
    ],
)
def test_covariate_aliased_with_treatment(sexes, aliased):
    study = cohort(arm(6) | arm(6, "dupilumab", 7), sex=sexes)
    expected = (
        '"sex" is the same for all patients of a treatment (mepolizumab all f, dupilumab all m); '
        'differences between treatments cannot be told from differences by "sex"'
    )
    assert words(study) == ([expected] if aliased else [])


def test_tissues_that_differ_between_patients():
    study = cohort(arm(6))
    changed = [
        s._replace(tissue="whole_blood") if s.patient_id == "P1" else s for s in study.samples
    ]
    (sentence,) = words(Cohort(tuple(changed), study.patients, {}, study.levels))
    assert sentence.startswith("flow: 10 samples of pbmc, 2 samples of whole_blood; ")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mepolizumab", "Mepolizumab", True),
        ("mepolizumab", "mepolizumb", True),
        ("mepolizumab + OCS", "mepolizumab+ocs", True),
        ("anti-IL5", "anti IL5", True),
        ("mepolizumab", "reslizumab", False),
        ("omalizumab", "mepolizumab", False),
        ("lebrikizumab", "reslizumab", False),
        ("mepolizumab", "mepolizumab + OCS", False),
        ("drug_A", "drug_B", False),
        ("arm 1", "arm 2", False),
        ("placebo 100mg", "placebo 300mg", False),
    ],
)
def test_treatments_that_may_be_one(one, other, same):
    found = spelling_cautions("patients.tsv", "treatment", [one] * 3 + [other])
    expected = (
        f'treatment "{other}" (1 row) and "{one}" (3 rows) are read as two different ones; write '
        "them alike if they are the same"
    )
    assert [problem.message for problem in found] == ([expected] if same else [])


def test_typing_errors_are_looked_for_in_treatments_only():
    assert spelling_cautions("patients.tsv", "phenotype", ["eosinophilic", "neosinophilic"]) == []
    assert len(spelling_cautions("patients.tsv", "phenotype", ["Allergic", "allergic"])) == 1


@pytest.mark.parametrize(
    ("visit", "severity"),
    [
        ("month4", "error"),
        ("Month_4", "error"),
        ("mnth_4", "error"),
        ("basline", "error"),
        ("month_12", "warning"),
        ("screening", "warning"),
        ("month_4", None),
    ],
)
def test_visits_of_the_clinical_sheet(visit, severity):
    rows = [SheetRow(2, {"patient_id": "P1", "visit": visit, "feno_ppb": 20.0})]
    found = clinical_problems("clinical.tsv", rows, {"baseline"}, ["baseline", "month_4"])
    assert [problem.severity for problem in found] == ([severity] if severity else [])
    assert all(problem.row == 2 and f'"{visit}"' in problem.message for problem in found)


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("leucocytes_per_ul", "leukocytes_per_ul"),
        ("lymphocites_per_ul", "lymphocytes_per_ul"),
        ("monocytes", "monocytes_per_ul"),
        ("Eosinophils_per_nl", "eosinophils_per_ul"),
        ("leukocytes_per_ul", None),
        ("lymphocytes_percent", None),
        ("feno_ppb", None),
        ("thrombocytes_per_ul", None),
    ],
)
def test_blood_counts_that_are_not_read(column, meant):
    rows = [SheetRow(2, {"patient_id": "P1", "visit": "baseline", column: 20.0})]
    found = clinical_problems("clinical.tsv", rows, {"baseline"}, ())
    expected = (
        f'column "{column}" is not read as a blood count; did you mean "{meant}" (cells per '
        "microlitre)?"
    )
    assert [problem.message for problem in found] == ([expected] if meant else [])


def test_a_right_column_beside_an_odd_one_is_no_mistake():
    cells = {"visit": "baseline", "leukocytes_per_ul": 1.0, "leukocytes_giga": 1.0}
    assert clinical_problems("clinical.tsv", [SheetRow(2, cells)], {"baseline"}, ()) == []


def stimulated(study, *rows):
    """Add stimulated samples, given as (patient, visit, batch)."""
    added = [
        Sample(
            f"{patient}_{visit}_PMA", patient, visit, batch=batch, tissue="pbmc", stimulation="PMA"
        )
        for patient, visit, batch in rows
    ]
    return Cohort((*study.samples, *added), study.patients, {}, study.levels)


def test_stimulated_samples_make_no_pairs():
    study = stimulated(cohort(arm(6)), *((patient, "baseline", "lot_9") for patient in arm(1)))
    (group,) = pair_groups(study)
    assert len(group.pairs) == 6
    assert not group.moved


def test_stimulated_samples_without_background():
    study = cohort(arm(7), missing={("P2", "month_4")})
    rows = [(patient, visit, "lot_1") for patient in ("P1", "P2") for visit in study.levels]
    _, sentence = words(stimulated(study, *rows))
    assert sentence == (
        "flow: 1 of 4 stimulated samples without an unstimulated one of the same patient and "
        "visit (P2_month_4_PMA); their response is not known (no_background)"
    )


def test_stimulated_samples_of_another_batch():
    rows = [("P1", "baseline", "lot_1"), ("P2", "baseline", "lot_2"), ("P3", "baseline", "")]
    (sentence,) = words(stimulated(cohort(arm(6)), *rows))
    assert sentence == (
        "flow: 1 of 3 stimulated samples of another batch than the unstimulated one "
        "(P2_baseline_PMA); a shift between batches would look like a response"
    )


def test_primary_populations_that_nothing_counts():
    assert ungated_caution("gating.yaml", ["Th2"], ["Th2", "Tc2"]) == []
    (problem,) = ungated_caution("gating.yaml", ["Th2", "ILC2"], ["Th2"])
    assert problem.message.startswith("primary population is not counted: ILC2; ")


def test_cautions_of_a_whole_study(study):
    """What `inspect_cohort` gathers, from every sheet."""
    study.edit("clinical", "leukocytes_per_ul", "leucocytes_per_ul")
    study.edit("patients", "dupilumab", "Mepolizumab")
    _, problems = inspect_cohort(study.config)
    assert not any(problem.is_error for problem in problems)
    text = "\n".join(str(problem).replace(f"{study.folder}/", "") for problem in problems)
    for start in (
        'clinical.tsv row 1: column "leucocytes_per_ul" is not read as a blood count',
        'patients.tsv: treatment "Mepolizumab" (1 row) and "mepolizumab" (1 row)',
        'samples.tsv: mepolizumab, flow, "month_4 - baseline": 1 complete pair',
        "gating.yaml: primary populations are not counted: ",
    ):
        assert sum(line.startswith(start) for line in text.splitlines()) == 1, start


def test_an_error_hides_the_cautions_that_would_follow_from_it(study):
    study.edit("samples", "P2_month_4\tP2\tmonth_4", "P2_month_4\tP2\tmonth4")
    _, problems = inspect_cohort(study.config)
    assert not any("incomplete" in problem.message for problem in problems)
