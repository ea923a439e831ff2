# REQUIRED INPUTS: a simulated cohort with its truth (the section `simulate` of the config), the long
#                  tables, results/statistics/, gates and clusters event by event.
# OUTPUTS: results/evaluation/: events.tsv, frequencies.tsv, findings.tsv, rates.tsv,
#          concordance.tsv;
#          results/figures/evaluation.{pdf,svg,png,tsv}: what was found beside what is true.

if with_evaluation(sought=True):

    rule evaluate:
        input:
            **with_clusters(
                cluster_labels=[
                    OUT / "flow" / "clusters" / "labels" / f"{name}.arrow"
                    for name in FLOW_SAMPLES
                ],
                annotation=OUT / "flow" / "clusters" / "annotation.tsv",
            ),
            **with_rna(
                gene_changes=OUT / "statistics" / "gene_changes.tsv",
                concordance=OUT / "statistics" / "concordance.tsv",
            ),
            truth=rules.simulate_cohort.output.flow[0],
            labels=rules.simulate_cohort.output.events,
            rna_truth=rules.simulate_cohort.output.rna,
            populations=INPUTS["populations"],
            counts=OUT / "populations" / "counts.tsv",
            paired_changes=OUT / "statistics" / "paired_changes.tsv",
            marker_changes=OUT / "statistics" / "marker_changes.tsv",
            events=[OUT / "flow" / "events" / f"{name}.arrow" for name in FLOW_SAMPLES],
            memberships=[gate_membership(patient) for patient in FLOW_PATIENTS],
        output:
            events=OUT / "evaluation" / "events.tsv",
            frequencies=OUT / "evaluation" / "frequencies.tsv",
            findings=OUT / "evaluation" / "findings.tsv",
            rates=OUT / "evaluation" / "rates.tsv",
            concordance=OUT / "evaluation" / "concordance.tsv",
            figure=shown_figure(
                "evaluation",
                question="Was found what had been planted?",
                category="Evaluation",
            ),
        log:
            log_path("evaluate"),
        benchmark:
            benchmark_path("evaluate")
        resources:
            mem_mb=memory(2000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.evaluation.run"),
            figure_code=code_digest("biocross.report.figures.truth"),
            samples=list(FLOW_SAMPLES),
            levels=config["design"]["levels"],
            fdr=config["statistics"]["fdr"],
        message:
            "Comparing what was found with what was planted"
        script:
            "../scripts/evaluate.py"
