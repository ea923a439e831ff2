# REQUIRED INPUTS: results/statistics/*.tsv, results/populations/*.tsv, results/cohort/*.tsv.
# OUTPUTS: results/figures/paired_changes.{pdf,svg,png}, results/report.html.


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
        code=code_digest("biocross.report.figures"),
        fdr=config["statistics"]["fdr"],
        levels=config["design"]["levels"],
    message:
        "Drawing every patient's change"
    script:
        "../scripts/plot_paired_changes.py"


rule write_report:
    input:
        **with_files(
            ledger=rules.summarise_flow.output.ledger,
            thresholds=rules.summarise_flow.output.thresholds,
            channels=OUT / "cohort" / "channels.tsv",
        ),
        statistics=[
            rules.find_paired_changes.output.changes,
            rules.find_marker_changes.output.changes,
            rules.find_treatment_differences.output.differences,
            rules.find_longitudinal_changes.output.changes,
            rules.vary_specifications.output.specifications,
            rules.calibrate_run.output.calibration,
            rules.find_response.output.response,
            rules.find_clinical_associations.output.associations,
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
        code=code_digest("biocross.report.html"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


onsuccess:
    if (OUT / "report.html").exists():
        print(f"\nThe report is at {OUT / 'report.html'}; tables are in {OUT}/.")
