# REQUIRED INPUTS: results/statistics/*.tsv, results/populations/*.tsv, results/cohort/*.tsv,
#                  results/figures/.
# OUTPUTS: results/report.html.


rule write_report:
    input:
        **with_files(
            ledger=rules.summarise_quality.output.ledger,
            repairs=rules.summarise_quality.output.repairs,
            warnings=rules.summarise_quality.output.warnings,
            sanity=rules.summarise_quality.output.sanity,
            loss_changes=rules.find_quality_losses.output.losses,
            residual_spillover=OUT / "flow" / "quality" / "residual_spillover.tsv",
            sample_losses=rules.find_quality_losses.output.sample_losses,
            quality_figures=in_page(quality_figures()),
            channels=OUT / "cohort" / "channels.tsv",
        ),
        **with_drawn_gates(
            moved_gates=OUT / "flow" / "gating" / "moved_gates.tsv",
            stored_counts=OUT / "flow" / "gating" / "stored_counts.tsv",
        ),
        **with_thresholds(
            thresholds=OUT / "flow" / "gating" / "thresholds.tsv",
            marker_shift_summary=OUT / "flow" / "gating" / "marker_shift_summary.tsv",
            gate_examples=in_page(figure_files("gates", "examples")),
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
            clusters_figures=in_page(cluster_results()),
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
            rna_figures=in_page(rna_figures()),
        ),
        **with_both_modalities(
            both=[
                rules.find_concordance.output.concordance,
                rules.find_concordance.output.findings,
            ],
            concordance_figures=in_page(concordance_figures()),
        ),
        **with_evaluation(truth_figures=in_page(figure_files("evaluation"))),
        cohort_figures=in_page(rules.plot_cohort.output),
        changes_figures=in_page(rules.plot_changes.output),
        clinic_figures=in_page(
            [
                *rules.plot_clinic.output.associations,
                *rules.plot_clinic.output.response,
            ]
        ),
        gates_figures=in_page(rules.plot_clinic.output.eosinophils),
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
        cohort=[
            rules.check_cohort.output.samples,
            rules.check_cohort.output.patients,
            rules.check_cohort.output.pairs,
            rules.check_cohort.output.problems,
        ],
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
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.page.report"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


onsuccess:
    if (OUT / "report.html").exists():
        # It reads tables with pandas, which costs a second: not at the start of every run.
        from biocross.report.page.primary import closing_words

        changes = OUT / "statistics" / "paired_changes.tsv"
        print(
            "\n"
            + closing_words(
                changes, OUT / "report.html", config["statistics"]["fdr"]
            )
        )
