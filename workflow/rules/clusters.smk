# REQUIRED INPUTS: results/flow/events/{sample}.arrow, panel.tsv, populations.yaml, results/flow/gating/
#                  patients/{patient}.membership.arrow; cluster_labels.tsv, if there is one.
# OUTPUTS: results/flow/clusters/: map.arrow, pool.arrow, pool.{population}.arrow, clusters.tsv,
#          numbers.tsv, reruns.tsv, annotation.tsv, populations.tsv, labels/{sample}.arrow, counts.tsv, expression.tsv, agreement.tsv,
#          agreement_summary.tsv, confusion.tsv; results/flow/outliers.tsv, results/flow/cells.h5ad.
#          With flow.normalisation also results/flow/normalisation/ and, found on the normalised
#          events, the same tables in results/flow/normalised_clusters/.


wildcard_constraints:
    clusters="|".join(CLUSTERS),


if "normalised_clusters" in CLUSTERS:

    # Stimulated samples are normalised along, but nothing is learnt from them.
    ALIGNED = [FLOW_FILES[name] for name in (*TRAINING_SAMPLES, *ANCHORS)]

    rule train_normalisation:
        input:
            panel=INPUTS["panel"] or [],
            events=[
                OUT / "flow" / "events" / f"{sample.sample_id}.arrow"
                for sample in ALIGNED
            ],
        output:
            functions=OUT / "flow" / "normalisation" / "functions.npz",
            guard=report(
                OUT / "flow" / "normalisation" / "guard.tsv",
                caption="../report/normalisation.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={"question": "Did aligning the batches help?", "form": "table"},
            ),
        log:
            log_path("train_normalisation"),
        benchmark:
            benchmark_path("train_normalisation")
        resources:
            mem_mb=memory(4000),
            runtime=minutes(60),
        params:
            code=code_digest("biocross.flow.normalisation.normalise"),
            method=config["flow"]["normalisation"],
            goal=config["flow"]["normalisation_goal"] or "mean",
            n_clusters=config["flow"]["normalisation_clusters"],
            seed=config["flow"]["clusters"]["seed"],
            batches=[sample.batch for sample in ALIGNED],
            visits=[COHORT.level(sample) for sample in ALIGNED],
            patients=[sample.patient_id for sample in ALIGNED],
            roles=[sample.role for sample in ALIGNED],
        message:
            "Aligning the batches, and holding anchors out to see whether it helps"
        script:
            "../scripts/train_normalisation.py"

    rule normalise_flow_sample:
        input:
            events=OUT / "flow" / "events" / "{sample}.arrow",
            functions=rules.train_normalisation.output.functions,
        output:
            events=temp(OUT / "flow" / "normalised_events" / "{sample}.arrow"),
        log:
            log_path("normalise_flow_sample", "{sample}"),
        benchmark:
            benchmark_path("normalise_flow_sample", "{sample}")
        resources:
            mem_mb=memory(500, per_input=4),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.normalisation.normalise"),
            batch=lambda wildcards: FLOW_FILES[wildcards.sample].batch,
        message:
            "Normalising {wildcards.sample}"
        script:
            "../scripts/normalise_flow_sample.py"


rule train_flow_map:
    input:
        events=lambda wildcards: clustered_events(wildcards, TRAINING_SAMPLES),
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
        populations=INPUTS["populations"],
    output:
        map=OUT / "flow" / "{clusters}" / "map.arrow",
        pool=OUT / "flow" / "{clusters}" / "pool.arrow",
        zoom_pools=zoom_pools("{clusters}"),
        clusters=OUT / "flow" / "{clusters}" / "clusters.tsv",
        numbers=OUT / "flow" / "{clusters}" / "numbers.tsv",
        reruns=OUT / "flow" / "{clusters}" / "reruns.tsv",
    log:
        log_path("train_flow_map", "{clusters}"),
    benchmark:
        benchmark_path("train_flow_map", "{clusters}")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        **{
            key: config["flow"]["clusters"][key]
            for key in (
                "method",
                "grid",
                "number",
                "zoom",
                "zoom_grid",
                "zoom_number",
                "events_per_sample",
                "reruns",
                "seed",
            )
        },
        code=code_digest("biocross.flow.clusters.training"),
    message:
        "Finding the clusters of the cohort on an equal share of every sample"
    script:
        "../scripts/train_flow_map.py"


rule annotate_clusters:
    input:
        map=rules.train_flow_map.output.map,
        pools=[
            rules.train_flow_map.output.pool,
            *rules.train_flow_map.output.zoom_pools,
        ],
        clusters=rules.train_flow_map.output.clusters,
        reruns=rules.train_flow_map.output.reruns,
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
        populations=INPUTS["populations"],
        labels=lambda wildcards: (
            INPUTS["cluster_labels"] or [] if wildcards.clusters == "clusters" else []
        ),
    output:
        annotation=report(
            OUT / "flow" / "{clusters}" / "annotation.tsv",
            caption="../report/annotation.rst",
            category="Flow cytometry",
            subcategory="Tables",
            labels={"question": "What are the clusters?", "form": "table"},
        ),
        populations=OUT / "flow" / "{clusters}" / "populations.tsv",
    log:
        log_path("annotate_clusters", "{clusters}"),
    benchmark:
        benchmark_path("annotate_clusters", "{clusters}")
    resources:
        mem_mb=memory(2000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.clusters.naming"),
    message:
        "Naming the clusters by their markers"
    script:
        "../scripts/annotate_clusters.py"


rule map_flow_sample:
    input:
        events=lambda wildcards: clustered_events(wildcards, [wildcards.sample]),
        map=rules.train_flow_map.output.map,
        annotation=rules.annotate_clusters.output.annotation,
        found=rules.annotate_clusters.output.populations,
        panel=INPUTS["panel"] or [],
        populations=INPUTS["populations"],
    output:
        labels=OUT / "flow" / "{clusters}" / "labels" / "{sample}.arrow",
        counts=OUT / "flow" / "{clusters}" / "samples" / "{sample}.counts.tsv",
        expression=OUT / "flow" / "{clusters}" / "samples" / "{sample}.expression.tsv",
    log:
        log_path("map_flow_sample", "{clusters}", "{sample}"),
    benchmark:
        benchmark_path("map_flow_sample", "{clusters}", "{sample}")
    resources:
        mem_mb=memory(500, per_input=4),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.clusters.mapping"),
    message:
        "Putting every event of {wildcards.sample} into its cluster"
    script:
        "../scripts/map_flow_sample.py"


rule summarise_clusters:
    input:
        **{
            name: [
                OUT / "flow" / "{clusters}" / "samples" / f"{sample}.{name}.tsv"
                for sample in FLOW_SAMPLES
            ]
            for name in ("counts", "expression")
        },
    output:
        **{
            name: OUT / "flow" / "{clusters}" / f"{name}.tsv"
            for name in ("counts", "expression")
        },
    log:
        log_path("summarise_clusters", "{clusters}"),
    benchmark:
        benchmark_path("summarise_clusters", "{clusters}")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.clusters.mapping"),
    message:
        "Gathering the clusters of all samples"
    script:
        "../scripts/summarise_clusters.py"


rule compare_clusters_with_gates:
    input:
        labels=[
            OUT / "flow" / "{clusters}" / "labels" / f"{sample}.arrow"
            for sample in FLOW_SAMPLES
        ],
        memberships=[gate_membership(patient) for patient in FLOW_PATIENTS],
        annotation=rules.annotate_clusters.output.annotation,
        populations=INPUTS["populations"],
    output:
        agreement=OUT / "flow" / "{clusters}" / "agreement.tsv",
        summary=report(
            OUT / "flow" / "{clusters}" / "agreement_summary.tsv",
            caption="../report/agreement.rst",
            category="Flow cytometry",
            subcategory="Tables",
            labels={
                "question": "Do gates and clusters hold the same cells?",
                "form": "table",
            },
        ),
        confusion=OUT / "flow" / "{clusters}" / "confusion.tsv",
    log:
        log_path("compare_clusters_with_gates", "{clusters}"),
    benchmark:
        benchmark_path("compare_clusters_with_gates", "{clusters}")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.clusters.agreement"),
        least_f1=config["flow"]["clusters"]["least_agreement"],
    message:
        "Comparing gates and clusters, event by event"
    script:
        "../scripts/compare_clusters_with_gates.py"


rule find_outlying_samples:
    input:
        counts=OUT / "flow" / "clusters" / "counts.tsv",
        expression=OUT / "flow" / "clusters" / "expression.tsv",
        annotation=OUT / "flow" / "clusters" / "annotation.tsv",
        samples=rules.check_cohort.output.samples,
    output:
        outliers=report(
            OUT / "flow" / "outliers.tsv",
            caption="../report/outliers.rst",
            category="Flow cytometry",
            subcategory="Tables",
            labels={
                "question": "Which samples are unlike the others?",
                "form": "table",
            },
        ),
        figures=shown_figure(
            *("clusters", "samples"),
            question="Which samples are unlike the others?",
            category="Flow cytometry",
            caption="outliers",
        ),
    log:
        log_path("find_outlying_samples"),
    benchmark:
        benchmark_path("find_outlying_samples")
    resources:
        mem_mb=memory(1000, per_input=6),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.clusters.outliers"),
        figure_code=code_digest("biocross.report.figures.outliers"),
        levels=config["design"]["levels"],
    message:
        "Looking for samples that are unlike the others"
    script:
        "../scripts/find_outlying_samples.py"


rule embed_flow_cells:
    input:
        map=OUT / "flow" / "clusters" / "map.arrow",
        pool=OUT / "flow" / "clusters" / "pool.arrow",
        labels=[
            OUT / "flow" / "clusters" / "labels" / f"{sample}.arrow"
            for sample in TRAINING_SAMPLES
        ],
        memberships=[gate_membership(patient) for patient in FLOW_PATIENTS],
        annotation=OUT / "flow" / "clusters" / "annotation.tsv",
        samples=rules.check_cohort.output.samples,
        panel=INPUTS["panel"] or [],
        transforms=rules.estimate_transforms.output.transforms,
        populations=INPUTS["populations"],
    output:
        cells=OUT / "flow" / "cells.h5ad",
        figures=shown_figure(
            *("clusters", "umap"),
            question="How do the cells of all samples lie?",
            category="Flow cytometry",
            caption="umap",
        ),
    log:
        log_path("embed_flow_cells"),
    benchmark:
        benchmark_path("embed_flow_cells")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_digest("biocross.flow.clusters.cells_file"),
        figure_code=code_digest("biocross.report.figures.cell_maps"),
        levels=config["design"]["levels"],
        max_cells=config["flow"]["clusters"]["umap_cells"],
        seed=config["flow"]["clusters"]["seed"],
    message:
        "Laying out cells of all samples, and writing them for scanpy"
    script:
        "../scripts/embed_flow_cells.py"


rule plot_clusters:
    input:
        annotation=OUT / "flow" / "clusters" / "annotation.tsv",
        counts=OUT / "flow" / "clusters" / "counts.tsv",
        expression=OUT / "flow" / "clusters" / "expression.tsv",
        agreement=OUT / "flow" / "clusters" / "agreement_summary.tsv",
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
    output:
        heat_map=shown_figure(
            *("clusters", "markers"),
            question="What are the clusters?",
            category="Flow cytometry",
            caption="clusters",
        ),
        sizes=shown_figure(
            *("clusters", "sizes"),
            question="How large are the clusters at every visit?",
            category="Flow cytometry",
            caption="clusters",
        ),
        agreement=shown_figure(
            *("clusters", "agreement"),
            question="Do gates and clusters hold the same cells?",
            category="Flow cytometry",
            caption="agreement",
        ),
    log:
        log_path("plot_clusters"),
    benchmark:
        benchmark_path("plot_clusters")
    resources:
        mem_mb=memory(1000, per_input=6),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.clusters"),
        agreement_code=code_digest("biocross.report.figures.agreement"),
        levels=config["design"]["levels"],
        least_f1=config["flow"]["clusters"]["least_agreement"],
    message:
        "Drawing the clusters: their markers, sizes, and agreement with the gates"
    script:
        "../scripts/plot_clusters.py"
