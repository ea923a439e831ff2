# REQUIRED INPUTS: results/statistics/*.tsv, results/populations/*.tsv, results/cohort/*.tsv; of studies
#                  with files results/flow/, with RNA results/cells/.
# OUTPUTS: results/figures/: a figure per question as pdf, svg and png, with its source table (tsv).


rule plot_paired_changes:
    input:
        changes=rules.find_paired_changes.output.changes,
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        figure=shown_figure(
            "paired_changes",
            question="How did every patient change?",
            category="Changes",
            caption="paired_changes_figure",
        ),
    log:
        log_path("plot_paired_changes"),
    benchmark:
        benchmark_path("plot_paired_changes")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.paired_changes"),
        declared=CONFIRMATORY_READOUT[:2],
        fdr=config["statistics"]["fdr"],
        levels=config["design"]["levels"],
    message:
        "Drawing every patient's change"
    script:
        "../scripts/plot_paired_changes.py"


# One job for what belongs together: starting Python and matplotlib takes longer than drawing.
rule plot_changes:
    input:
        changes=rules.find_paired_changes.output.changes,
        specifications=rules.vary_specifications.output.specifications,
        calibration=rules.calibrate_run.output.calibration,
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        forest=shown_figure(
            *("changes", "forest"),
            question="What changed, and by how much?",
            category="Changes",
        ),
        volcano=shown_figure(
            *("changes", "volcano"),
            question="Which changes stand out?",
            category="Changes",
        ),
        heat_map=shown_figure(
            *("changes", "heat_map"),
            question="Do treatments, visits and readouts agree?",
            category="Changes",
        ),
        rare_events=shown_figure(
            *("changes", "rare_events"),
            question="How many events do rare findings rest on?",
            category="Changes",
        ),
        specifications=shown_figure(
            *("changes", "specifications"),
            question="Do findings depend on the analysis?",
            category="Changes",
            caption="specifications_figure",
        ),
        calibration=shown_figure(
            *("changes", "calibration"),
            question="How often would chance be called a change?",
            category="Changes",
            caption="calibration_figure",
        ),
    log:
        log_path("plot_changes"),
    benchmark:
        benchmark_path("plot_changes")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.changes"),
        declared=CONFIRMATORY_READOUT,
        fdr=config["statistics"]["fdr"],
        levels=config["design"]["levels"],
    message:
        "Drawing what changed, how sure it is, and what it rests on"
    script:
        "../scripts/plot_changes.py"


rule plot_cohort:
    input:
        **with_files(ledger=rules.summarise_quality.output.ledger),
        **with_rna(rna_ledger=OUT / "cells" / "ledger.tsv"),
        patients=rules.check_cohort.output.patients,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        patient_flow=shown_figure(
            *("cohort", "patient_flow"),
            question="Who has pairs, and who is left out why?",
            category="Cohort",
        ),
        visit_grid=shown_figure(
            *("cohort", "visit_grid"),
            question="Which visits were measured, in which batch?",
            category="Cohort",
        ),
    log:
        log_path("plot_cohort"),
    benchmark:
        benchmark_path("plot_cohort")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.cohort"),
        levels=config["design"]["levels"],
    message:
        "Drawing who is in the study"
    script:
        "../scripts/plot_cohort.py"


rule plot_clinic:
    input:
        **POPULATION_PAIRS,
        changes=rules.find_paired_changes.output.changes,
        associations=rules.find_clinical_associations.output.associations,
        response=rules.find_response.output.response,
        patients=rules.check_cohort.output.patients,
    output:
        associations=shown_figure(
            *("clinic", "associations"),
            question="Do cells and clinic change together?",
            category="Clinic",
        ),
        response=shown_figure(
            *("clinic", "response"),
            question="Do responders change otherwise?",
            category="Clinic",
            caption="response_figure",
        ),
        eosinophils=shown_figure(
            *("clinic", "eosinophils"),
            question="Do flow cytometry and the analyser agree?",
            category="Clinic",
        ),
    log:
        log_path("plot_clinic"),
    benchmark:
        benchmark_path("plot_clinic")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.clinic"),
        declared=CONFIRMATORY_READOUT,
        levels=config["design"]["levels"],
    message:
        "Drawing cells and clinic, and eosinophils by two methods"
    script:
        "../scripts/plot_clinic.py"


rule plot_concordance:
    input:
        **POPULATION_PAIRS,
        concordance=rules.find_concordance.output.concordance,
        findings=rules.find_concordance.output.findings,
    output:
        frequencies=shown_figure(
            *("concordance", "frequencies"),
            question="Are frequencies alike in flow cytometry and RNA?",
            category="Flow cytometry and RNA",
            caption="concordance",
        ),
        changes=shown_figure(
            *("concordance", "changes"),
            question="Are changes alike in flow cytometry and RNA?",
            category="Flow cytometry and RNA",
            caption="concordance",
        ),
        findings=shown_figure(
            *("concordance", "findings"),
            question="Which changes do both methods support?",
            category="Flow cytometry and RNA",
            caption="concordance",
        ),
    log:
        log_path("plot_concordance"),
    benchmark:
        benchmark_path("plot_concordance")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.concordance"),
    message:
        "Drawing flow cytometry against RNA"
    script:
        "../scripts/plot_concordance.py"


# One job: starting Python for every sample would take longer than drawing.
rule plot_time_quality:
    input:
        events=[OUT / "flow" / "events" / f"{name}.arrow" for name in FLOW_SAMPLES],
    output:
        figures=TIME_FIGURES,
    log:
        log_path("plot_time_quality"),
    benchmark:
        benchmark_path("plot_time_quality")
    threads: 4
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt
        * (1000 + 12 * int(input.size_mb / max(1, len(input.events)))),
        runtime=minutes(60),
    params:
        code=code_digest("biocross.report.figures.quality"),
    message:
        "Drawing the acquisition of every sample over time"
    script:
        "../scripts/plot_time_quality.py"


if not GATES_DRAWN_ELSEWHERE:

    # One job for all patients, as above.
    rule plot_patient_gating:
        input:
            **GATES,
            events=[
                events for patient in FLOW_PATIENTS for events in events_of(patient)
            ],
            thresholds=rules.settle_thresholds.output.thresholds,
        output:
            figures=[
                OUT / "figures" / "gating" / f"{patient}.pdf"
                for patient in FLOW_PATIENTS
            ],
        log:
            log_path("plot_patient_gating"),
        benchmark:
            benchmark_path("plot_patient_gating")
        threads: 4
        resources:
            mem_mb=memory_by_patient,
            runtime=minutes(60),
        params:
            code=code_digest("biocross.report.figures.settled_gates"),
            levels=[
                COHORT.level(sample)
                for samples in FLOW_PATIENTS.values()
                for sample in samples
            ],
            n_samples=[len(samples) for samples in FLOW_PATIENTS.values()],
        message:
            "Drawing the gates of every patient, visits side by side"
        script:
            "../scripts/plot_patient_gating.py"

    rule plot_gate_examples:
        input:
            **GATES,
            events=[
                events for patient in FLOW_PATIENTS for events in events_of(patient)
            ],
            thresholds=rules.settle_thresholds.output.thresholds,
            sensitivity=OUT / "statistics" / "gate_sensitivity.tsv",
        output:
            examples=shown_figure(
                *("gates", "examples"),
                question="What do clear and unclear gates look like?",
                category="Flow cytometry",
                caption="gate_examples",
            ),
        log:
            log_path("plot_gate_examples"),
        benchmark:
            benchmark_path("plot_gate_examples")
        resources:
            mem_mb=lambda wildcards, input, attempt: attempt
            * (800 + 18 * int(input.size_mb / max(1, len(FLOW_PATIENTS)))),
            runtime=minutes(30),
        params:
            code=code_digest("biocross.report.figures.gate_examples"),
            patients=list(FLOW_PATIENTS),
            levels=[
                COHORT.level(sample)
                for samples in FLOW_PATIENTS.values()
                for sample in samples
            ],
            n_samples=[len(samples) for samples in FLOW_PATIENTS.values()],
        message:
            "Drawing the gates of three patients, from clear to unclear"
        script:
            "../scripts/plot_gate_examples.py"

    rule plot_cohort_thresholds:
        input:
            **GATES,
            events=[
                OUT / "flow" / "events" / f"{sample}.arrow" for sample in FLOW_SAMPLES
            ],
            thresholds=rules.settle_thresholds.output.thresholds,
        output:
            figure=report(
                OUT / "figures" / "gating" / "thresholds.pdf",
                caption="../report/thresholds.rst",
                category="Flow cytometry",
                subcategory="Figures",
                labels={"question": "Where do the borders lie?", "form": "figure"},
            ),
        log:
            log_path("plot_cohort_thresholds"),
        benchmark:
            benchmark_path("plot_cohort_thresholds")
        resources:
            mem_mb=memory(2000),
            runtime=minutes(30),
        params:
            code=code_digest("biocross.report.figures.settled_gates"),
        message:
            "Drawing the borders of all patients, outliers first"
        script:
            "../scripts/plot_cohort_thresholds.py"


rule plot_quality_overview:
    input:
        ledger=rules.summarise_quality.output.ledger,
        samples=rules.check_cohort.output.samples,
    output:
        overview=shown_figure(
            *("flow_quality", "overview"),
            question="What did every sample lose to quality steps?",
            category="Flow cytometry",
            caption="quality_overview",
        ),
        by_visit=shown_figure(
            *("flow_quality", "losses_by_visit"),
            question="Do losses differ between visits?",
            category="Flow cytometry",
            caption="losses_by_visit",
        ),
    log:
        log_path("plot_quality_overview"),
    benchmark:
        benchmark_path("plot_quality_overview")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.quality_overview"),
        levels=config["design"]["levels"],
    message:
        "Drawing what every sample lost to the quality steps"
    script:
        "../scripts/plot_quality_overview.py"
