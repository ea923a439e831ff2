# REQUIRED INPUTS: results/statistics/*.tsv, results/populations/*.tsv, results/cohort/*.tsv.
# OUTPUTS: results/figures/paired_changes.{pdf,svg,png}, results/figures/flow_quality/,
#          results/figures/gating/,
#          results/report.html.


rule plot_paired_changes:
    input:
        changes=rules.find_paired_changes.output.changes,
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        pdf=OUT / "figures" / "paired_changes.pdf",
        svg=report(
            OUT / "figures" / "paired_changes.svg",
            caption="../report/paired_changes_figure.rst",
            category="Changes",
        ),
        png=OUT / "figures" / "paired_changes.png",
    log:
        log_path("plot_paired_changes"),
    benchmark:
        benchmark_path("plot_paired_changes")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.report.figures.paired_changes"),
        declared=CONFIRMATORY_READOUT[:2],
        fdr=config["statistics"]["fdr"],
        levels=config["design"]["levels"],
    message:
        "Drawing every patient's change"
    script:
        "../scripts/plot_paired_changes.py"


rule plot_concordance:
    input:
        **POPULATION_PAIRS,
        concordance=rules.find_concordance.output.concordance,
        findings=rules.find_concordance.output.findings,
    output:
        frequencies=figure_files("concordance", "frequencies"),
        changes=figure_files("concordance", "changes"),
        findings=figure_files("concordance", "findings"),
    log:
        log_path("plot_concordance"),
    benchmark:
        benchmark_path("plot_concordance")
    resources:
        mem_mb=1000,
        runtime=20,
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
        mem_mb=lambda wildcards, input, attempt: 1000 * attempt
        + 12 * int(input.size_mb / max(1, len(input.events))),
        runtime=60,
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
            runtime=60,
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
            ),
        log:
            log_path("plot_cohort_thresholds"),
        benchmark:
            benchmark_path("plot_cohort_thresholds")
        resources:
            mem_mb=2000,
            runtime=30,
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
        overview=report(
            OUT / "figures" / "flow_quality" / "overview.svg",
            caption="../report/quality_overview.rst",
            category="Flow cytometry",
        ),
        by_visit=OUT / "figures" / "flow_quality" / "losses_by_visit.svg",
    log:
        log_path("plot_quality_overview"),
    benchmark:
        benchmark_path("plot_quality_overview")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.report.figures.quality"),
        levels=config["design"]["levels"],
    message:
        "Drawing what every sample lost to the quality steps"
    script:
        "../scripts/plot_quality_overview.py"


rule write_report:
    input:
        **with_files(
            ledger=rules.summarise_quality.output.ledger,
            repairs=rules.summarise_quality.output.repairs,
            warnings=rules.summarise_quality.output.warnings,
            sanity=rules.summarise_quality.output.sanity,
            loss_changes=rules.find_quality_losses.output.losses,
            residual_spillover=OUT / "flow" / "quality" / "residual_spillover.tsv",
            quality_overview=rules.plot_quality_overview.output.overview,
            channels=OUT / "cohort" / "channels.tsv",
        ),
        **with_drawn_gates(
            moved_gates=OUT / "flow" / "gating" / "moved_gates.tsv",
            stored_counts=OUT / "flow" / "gating" / "stored_counts.tsv",
        ),
        **with_thresholds(
            thresholds=OUT / "flow" / "gating" / "thresholds.tsv",
            marker_shift_summary=OUT / "flow" / "gating" / "marker_shift_summary.tsv",
        ),
        **with_clusters(
            clusters=[
                *(
                    OUT / "flow" / "clusters" / f"{name}.tsv"
                    for name in ("numbers", "populations", "annotation")
                ),
                OUT / "flow" / "clusters" / "agreement_summary.tsv",
                *(
                    OUT / "flow" / "normalisation" / "guard.tsv"
                    for name in CLUSTERS
                    if name == "normalised_clusters"
                ),
                *(
                    path
                    for path in cluster_results()
                    if path.name in ("outliers.tsv", "cells.h5ad")
                ),
            ],
            cluster_figures=[
                path for path in cluster_results() if path.suffix in (".svg", ".png")
            ],
        ),
        **with_rna(
            rna=[
                *(
                    OUT / "cells" / f"{name}.tsv"
                    for name in (
                        *("ledger", "warnings", "loss_changes", "quality_recheck"),
                        *("integration_quality", "annotation", "gene_sets"),
                        "cells_per_population",
                    )
                ),
                OUT / "cells" / "cells.h5ad",
                OUT / "statistics" / "gene_changes.tsv",
            ],
            rna_figures=[
                path for path in rna_results() if path.suffix in (".svg", ".png")
            ],
        ),
        **with_both_modalities(
            both=[
                rules.find_concordance.output.concordance,
                rules.find_concordance.output.findings,
            ],
            concordance_figures=[
                path
                for name in ("findings", "frequencies", "changes")
                for path in figure_files("concordance", name)
                if path.suffix in (".svg", ".png")
            ],
        ),
        statistics=[
            rules.find_paired_changes.output.changes,
            rules.find_marker_changes.output.changes,
            rules.find_treatment_differences.output.differences,
            rules.find_longitudinal_changes.output.changes,
            rules.vary_specifications.output.specifications,
            *with_thresholds(
                sensitivity=OUT / "statistics" / "gate_sensitivity.tsv"
            ).values(),
            rules.find_stimulated_responses.output.changes,
            rules.calibrate_run.output.calibration,
            rules.find_response.output.response,
            rules.find_clinical_associations.output.associations,
            rules.check_cohort.output.drug_notes,
        ],
        counts=rules.gather_populations.output.counts,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
        versions=rules.record_provenance.output.versions,
        config=rules.record_provenance.output.config,
        populations=INPUTS["populations"],
    output:
        report=OUT / "report.html",
    log:
        log_path("write_report"),
    benchmark:
        benchmark_path("write_report")
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        code=code_digest("biocross.report.page.report"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


onsuccess:
    if (OUT / "report.html").exists():
        print(f"\nThe report is at {OUT / 'report.html'}; tables are in {OUT}/.")
