# REQUIRED INPUTS: results/flow/counts.tsv and expression.tsv, and/or the table of inputs.counts;
#                  results/cohort/samples.tsv, populations.yaml.
# OUTPUTS: results/populations/counts.tsv, results/populations/expression.tsv: the long tables;
#          results/populations/cells_per_ul.tsv: what cells per microlitre rest on.


if INPUTS["counts"]:

    rule import_counts:
        input:
            counts=INPUTS["counts"],
            populations=INPUTS["populations"],
        output:
            counts=OUT / "populations" / "imported.tsv",
        log:
            log_path("import_counts"),
        benchmark:
            benchmark_path("import_counts")
        resources:
            mem_mb=memory(500),
            runtime=minutes(5),
        params:
            code=code_digest("biocross.populations"),
        message:
            "Reading the table of frequencies"
        script:
            "../scripts/import_counts.py"


rule gather_populations:
    input:
        **with_files(gate=rules.summarise_flow.output.counts),
        **with_clusters(
            **{name: OUT / "flow" / name / "counts.tsv" for name in CLUSTERS}
        ),
        **({"table": rules.import_counts.output.counts} if INPUTS["counts"] else {}),
        **with_rna(cells=OUT / "cells" / "counts.tsv"),
        expression=[
            *with_files(gate=rules.summarise_flow.output.expression).values(),
            *with_clusters(
                **{name: OUT / "flow" / name / "expression.tsv" for name in CLUSTERS}
            ).values(),
            *with_rna(expression=OUT / "cells" / "expression.tsv").values(),
        ],
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
    output:
        counts=report(
            OUT / "populations" / "counts.tsv",
            caption="../report/counts.rst",
            category="Populations",
            subcategory="Tables",
            labels={"question": "What was counted in every sample?", "form": "table"},
        ),
        expression=OUT / "populations" / "expression.tsv",
        scale=OUT / "populations" / "cells_per_ul.tsv",
    log:
        log_path("gather_populations"),
    benchmark:
        benchmark_path("gather_populations")
    resources:
        mem_mb=memory(1000, per_input=6),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.populations"),
    message:
        "Gathering the populations of all samples"
    script:
        "../scripts/gather_populations.py"
