# REQUIRED INPUTS: results/populations/counts.tsv and expression.tsv, results/cohort/samples.tsv and
#                  pairs.tsv, populations.yaml; patients.tsv for the response.
# OUTPUTS: results/statistics/: paired_changes.tsv, marker_changes.tsv, treatment_differences.tsv,
#          longitudinal.tsv, response.tsv, clinical_associations.tsv, stimulated_responses.tsv,
#          net_response_changes.tsv, gate_sensitivity.tsv, specifications.tsv, calibration.tsv,
#          concordance.tsv, combined_findings.tsv.

# What every test of populations reads.
POPULATION_PAIRS = {
    "counts": rules.gather_populations.output.counts,
    "samples": rules.check_cohort.output.samples,
    "pairs": rules.check_cohort.output.pairs,
    "populations": INPUTS["populations"],
}
CONFIRMATORY_READOUT = [
    config["statistics"]["confirmatory"][part]
    for part in ("modality", "source", "readout")
]


rule find_paired_changes:
    input:
        **POPULATION_PAIRS,
        drug_notes=rules.check_cohort.output.drug_notes,
    output:
        changes=report(
            OUT / "statistics" / "paired_changes.tsv",
            caption="../report/paired_changes.rst",
            category="Changes",
            subcategory="Tables",
            labels={"question": "What changed, and by how much?", "form": "table"},
        ),
    log:
        log_path("find_paired_changes"),
    benchmark:
        benchmark_path("find_paired_changes")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.paired_changes"),
        confirmatory=CONFIRMATORY_READOUT,
        seed=config["statistics"]["seed"],
        selected_on=config["design"]["selected_on"],
    message:
        "Testing whether population frequencies changed within patients"
    script:
        "../scripts/find_paired_changes.py"


rule find_concordance:
    input:
        **POPULATION_PAIRS,
        changes=rules.find_paired_changes.output.changes,
    output:
        concordance=report(
            OUT / "statistics" / "concordance.tsv",
            caption="../report/concordance.rst",
            category="Changes",
            subcategory="Tables",
            labels={"question": "Do flow cytometry and RNA agree?", "form": "table"},
        ),
        findings=OUT / "statistics" / "combined_findings.tsv",
    log:
        log_path("find_concordance"),
    benchmark:
        benchmark_path("find_concordance")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.concordance"),
        seed=config["statistics"]["seed"],
        fdr=config["statistics"]["fdr"],
    message:
        "Comparing what flow cytometry and RNA say of the same patients"
    script:
        "../scripts/find_concordance.py"


rule find_marker_changes:
    input:
        **with_files(
            panel=INPUTS["panel"],
            transforms=rules.estimate_transforms.output.transforms,
        ),
        **with_rna(gene_sets=OUT / "cells" / "gene_sets.tsv"),
        populations=INPUTS["populations"],
        expression=rules.gather_populations.output.expression,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        changes=report(
            OUT / "statistics" / "marker_changes.tsv",
            caption="../report/marker_changes.rst",
            category="Changes",
            subcategory="Tables",
            labels={"question": "Which markers changed?", "form": "table"},
        ),
    log:
        log_path("find_marker_changes"),
    benchmark:
        benchmark_path("find_marker_changes")
    resources:
        mem_mb=memory(1000, per_input=6),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.marker_changes"),
        min_cells=config["statistics"]["min_cells"],
        seed=config["statistics"]["seed"],
    message:
        "Testing whether state markers changed within patients"
    script:
        "../scripts/find_marker_changes.py"


rule find_treatment_differences:
    input:
        **POPULATION_PAIRS,
    output:
        differences=report(
            OUT / "statistics" / "treatment_differences.tsv",
            caption="../report/treatment_differences.rst",
            category="Changes",
            subcategory="Tables",
            labels={
                "question": "Do treatments differ in their changes?",
                "form": "table",
            },
        ),
    log:
        log_path("find_treatment_differences"),
    benchmark:
        benchmark_path("find_treatment_differences")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.treatment_differences"),
    message:
        "Testing whether treatments differ in their changes"
    script:
        "../scripts/find_treatment_differences.py"


rule find_longitudinal_changes:
    input:
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
    output:
        changes=report(
            OUT / "statistics" / "longitudinal.tsv",
            caption="../report/longitudinal.rst",
            category="Changes",
            subcategory="Tables",
            labels={
                "question": "What changed over all visits in one model?",
                "form": "table",
            },
        ),
    log:
        log_path("find_longitudinal_changes"),
    benchmark:
        benchmark_path("find_longitudinal_changes")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.visits"),
        levels=config["design"]["levels"],
        covariates=config["statistics"]["covariates"],
    message:
        "Testing all visits together"
    script:
        "../scripts/find_longitudinal_changes.py"


rule find_response:
    input:
        **POPULATION_PAIRS,
        patients=rules.check_cohort.output.patients,
    output:
        response=report(
            OUT / "statistics" / "response.tsv",
            caption="../report/response.rst",
            category="Clinic",
            subcategory="Tables",
            labels={"question": "Do responders change otherwise?", "form": "table"},
        ),
    log:
        log_path("find_response"),
    benchmark:
        benchmark_path("find_response")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.response"),
        responder_based_on=config["statistics"]["responder_based_on"],
    message:
        "Testing whether responders change otherwise"
    script:
        "../scripts/find_response.py"


rule find_clinical_associations:
    input:
        **POPULATION_PAIRS,
    output:
        associations=report(
            OUT / "statistics" / "clinical_associations.tsv",
            caption="../report/clinical_associations.rst",
            category="Clinic",
            subcategory="Tables",
            labels={
                "question": "Do cells and clinic change together?",
                "form": "table",
            },
        ),
    log:
        log_path("find_clinical_associations"),
    benchmark:
        benchmark_path("find_clinical_associations")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.clinical"),
        seed=config["statistics"]["seed"],
    message:
        "Relating changes of cells to changes in the clinic"
    script:
        "../scripts/find_clinical_associations.py"


rule find_stimulated_responses:
    input:
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        responses=OUT / "statistics" / "stimulated_responses.tsv",
        changes=report(
            OUT / "statistics" / "net_response_changes.tsv",
            caption="../report/net_response_changes.rst",
            category="Changes",
            subcategory="Tables",
            labels={
                "question": "Did responses to a stimulation change?",
                "form": "table",
            },
        ),
    log:
        log_path("find_stimulated_responses"),
    benchmark:
        benchmark_path("find_stimulated_responses")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.stimulation"),
        fdr=config["statistics"]["fdr"],
    message:
        "Comparing stimulated with unstimulated samples"
    script:
        "../scripts/find_stimulated_responses.py"


if FLOW_SAMPLES and not GATES_DRAWN_ELSEWHERE:

    rule measure_gate_sensitivity:
        input:
            **POPULATION_PAIRS,
            changes=rules.find_paired_changes.output.changes,
            shifts=OUT / "flow" / "gating" / "shifts.tsv",
            marker_shifts=rules.measure_marker_shifts.output.shifts,
            strategy=INPUTS["gating"],
            panel=INPUTS["panel"],
        output:
            sensitivity=report(
                OUT / "statistics" / "gate_sensitivity.tsv",
                caption="../report/gate_sensitivity.rst",
                category="Trust",
                subcategory="Tables",
                labels={
                    "question": "How far do findings rest on where gates stand?",
                    "form": "table",
                },
            ),
        log:
            log_path("measure_gate_sensitivity"),
        benchmark:
            benchmark_path("measure_gate_sensitivity")
        resources:
            mem_mb=memory(1000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.statistics.gate_sensitivity"),
            confirmatory=CONFIRMATORY_READOUT,
            fdr=config["statistics"]["fdr"],
        message:
            "Measuring how far the primary findings rest on their gates"
        script:
            "../scripts/measure_gate_sensitivity.py"


rule vary_specifications:
    input:
        **POPULATION_PAIRS,
        **with_thresholds(shifts=OUT / "flow" / "gating" / "shifts.tsv"),
        changes=rules.find_paired_changes.output.changes,
    output:
        specifications=report(
            OUT / "statistics" / "specifications.tsv",
            caption="../report/specifications.rst",
            category="Trust",
            subcategory="Tables",
            labels={
                "question": "Do findings depend on the analysis?",
                "form": "table",
            },
        ),
    log:
        log_path("vary_specifications"),
    benchmark:
        benchmark_path("vary_specifications")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.specifications"),
        confirmatory=CONFIRMATORY_READOUT,
        fdr=config["statistics"]["fdr"],
        seed=config["statistics"]["seed"],
    message:
        "Varying the analysis of the primary findings"
    script:
        "../scripts/vary_specifications.py"


rule calibrate_run:
    input:
        **POPULATION_PAIRS,
        changes=rules.find_paired_changes.output.changes,
    output:
        calibration=report(
            OUT / "statistics" / "calibration.tsv",
            caption="../report/calibration.rst",
            category="Trust",
            subcategory="Tables",
            labels={
                "question": "How often would chance be called a change?",
                "form": "table",
            },
        ),
    log:
        log_path("calibrate_run"),
    benchmark:
        benchmark_path("calibrate_run")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.calibration"),
        confirmatory=CONFIRMATORY_READOUT,
        relabellings=config["statistics"]["relabellings"],
        fdr=config["statistics"]["fdr"],
        seed=config["statistics"]["seed"],
    message:
        "Checking the run's own error rate"
    script:
        "../scripts/calibrate_run.py"
