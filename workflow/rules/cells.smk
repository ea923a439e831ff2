# REQUIRED INPUTS: the libraries of samples.tsv (modality rna), populations.yaml, gene_sets.yaml.
# OUTPUTS: results/cells/: libraries/{library}.h5ad, ledger.tsv, warnings.tsv, genes.tsv, loss_changes.tsv,
#          sample_losses.tsv, integration_quality.tsv, resolutions.tsv, cells.h5ad, annotation.tsv,
#          clusters.tsv, quality_recheck.tsv, counts.tsv, expression.tsv, pseudobulk.h5ad,
#          cells_per_population.tsv, gene_sets.tsv.
CELL_TABLES = ("ledger", "warnings", "genes")


rule prepare_library:
    input:
        library=lambda wildcards: library_path(LIBRARIES[wildcards.library]),
    output:
        **{
            name: OUT / "cells" / "libraries" / f"{{library}}.{name}.tsv"
            for name in CELL_TABLES
        },
        library=OUT / "cells" / "libraries" / "{library}.h5ad",
    log:
        log_path("prepare_library", "{library}"),
    benchmark:
        benchmark_path("prepare_library", "{library}")
    resources:
        mem_mb=memory(1500, per_input=20),
        runtime=minutes(30),
    params:
        code=code_digest("biocross.cells.prepare"),
        samples=lambda wildcards: list(LIBRARIES[wildcards.library].samples),
        hashtags=lambda wildcards: list(LIBRARIES[wildcards.library].hashtags),
        genome=config["cells"]["genome"],
        expected_cells=config["cells"]["expected_cells"],
        sample_column=config["cells"]["sample_column"],
        seed=config["cells"]["seed"],
    message:
        "Reading and judging the cells of {wildcards.library}"
    script:
        "../scripts/prepare_library.py"


rule summarise_libraries:
    input:
        ledgers=per_library("ledger"),
        warnings=per_library("warnings"),
        genes=per_library("genes"),
    output:
        **{
            name: report(
                OUT / "cells" / f"{name}.tsv",
                caption=f"../report/rna_{name}.rst",
                category="Single-cell RNA",
                subcategory="Tables",
                labels={
                    "question": f"What did quality control find? ({name})",
                    "form": "table",
                },
            )
            for name in CELL_TABLES
        },
    log:
        log_path("summarise_libraries"),
    benchmark:
        benchmark_path("summarise_libraries")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.cells.ledgers"),
    message:
        "Gathering what the quality steps of all libraries found"
    script:
        "../scripts/summarise_libraries.py"


rule find_library_losses:
    input:
        ledger=rules.summarise_libraries.output.ledger,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        losses=report(
            OUT / "cells" / "loss_changes.tsv",
            caption="../report/quality_losses.rst",
            category="Single-cell RNA",
            subcategory="Tables",
            labels={"question": "Do losses differ between visits?", "form": "table"},
        ),
        sample_losses=OUT / "cells" / "sample_losses.tsv",
    log:
        log_path("find_library_losses"),
    benchmark:
        benchmark_path("find_library_losses")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.statistics.quality_loss"),
    message:
        "Testing whether one visit lost more cells than the other"
    script:
        "../scripts/find_quality_losses.py"


rule integrate_cells:
    input:
        libraries=[
            OUT / "cells" / "libraries" / f"{library}.h5ad" for library in LIBRARIES
        ],
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
    output:
        integrated=OUT / "cells" / "integrated.h5ad",
        quality=OUT / "cells" / "integration_quality.tsv",
        resolutions=OUT / "cells" / "resolutions.tsv",
    log:
        log_path("integrate_cells"),
    benchmark:
        benchmark_path("integrate_cells")
    resources:
        mem_mb=memory(4000, per_input=20),
        runtime=minutes(120),
    params:
        **{
            key: config["cells"][key]
            for key in (
                *("n_genes", "n_components", "n_neighbours", "resolutions"),
                *("excluded_genes", "seed"),
            )
        },
        code=code_digest("biocross.cells.integration"),
        batch_key=config["cells"]["batch"],
    message:
        "Bringing the cells of all libraries together"
    script:
        "../scripts/integrate_cells.py"


rule annotate_cells:
    input:
        **{
            name: config["cells"][name]
            for name in ("reference", "celltypist_model")
            if config["cells"][name]
        },
        integrated=rules.integrate_cells.output.integrated,
        libraries=rules.integrate_cells.input.libraries,
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
    output:
        cells=OUT / "cells" / "cells.h5ad",
        annotation=report(
            OUT / "cells" / "annotation.tsv",
            caption="../report/rna_annotation.rst",
            category="Single-cell RNA",
            subcategory="Tables",
            labels={"question": "How many cells got which name?", "form": "table"},
        ),
        clusters=OUT / "cells" / "clusters.tsv",
        recheck=OUT / "cells" / "quality_recheck.tsv",
    log:
        log_path("annotate_cells"),
    benchmark:
        benchmark_path("annotate_cells")
    resources:
        mem_mb=memory(4000, per_input=20),
        runtime=minutes(120),
    params:
        code=code_digest("biocross.cells.annotation"),
        reference_column=config["cells"]["reference_column"],
        enriched=config["cells"]["enriched"],
        excluded_genes=config["cells"]["excluded_genes"],
        seed=config["cells"]["seed"],
    message:
        "Naming the cells by their genes and proteins"
    script:
        "../scripts/annotate_cells.py"


rule summarise_cells:
    input:
        cells=rules.annotate_cells.output.cells,
        annotation=rules.annotate_cells.output.annotation,
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
        gene_sets=config["cells"]["gene_sets"],
    output:
        counts=OUT / "cells" / "counts.tsv",
        expression=OUT / "cells" / "expression.tsv",
        pseudobulk=OUT / "cells" / "pseudobulk.h5ad",
        cells_per_population=report(
            OUT / "cells" / "cells_per_population.tsv",
            caption="../report/rna_cells_per_population.rst",
            category="Single-cell RNA",
            subcategory="Tables",
            labels={
                "question": "Are there enough cells to test genes?",
                "form": "table",
            },
        ),
        gene_sets=OUT / "cells" / "gene_sets.tsv",
    log:
        log_path("summarise_cells"),
    benchmark:
        benchmark_path("summarise_cells")
    resources:
        mem_mb=memory(2000, per_input=10),
        runtime=minutes(30),
    params:
        code=code_digest("biocross.cells.summary"),
    message:
        "Counting the cells of every population, and summing their genes"
    script:
        "../scripts/summarise_cells.py"


rule find_gene_changes:
    input:
        pseudobulk=rules.summarise_cells.output.pseudobulk,
        samples=rules.check_cohort.output.samples,
        pairs=rules.check_cohort.output.pairs,
    output:
        changes=report(
            OUT / "statistics" / "gene_changes.tsv",
            caption="../report/gene_changes.rst",
            category="Changes",
            subcategory="Tables",
            labels={"question": "Which genes changed?", "form": "table"},
        ),
    log:
        log_path("find_gene_changes"),
    benchmark:
        benchmark_path("find_gene_changes")
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=minutes(120),
    params:
        code=code_digest("biocross.statistics.gene_changes"),
    message:
        "Testing which genes changed within patients"
    script:
        "../scripts/find_gene_changes.py"


rule plot_rna:
    input:
        cells=rules.annotate_cells.output.cells,
        quality=rules.integrate_cells.output.quality,
        samples=rules.check_cohort.output.samples,
        populations=INPUTS["populations"],
    output:
        maps=shown_figure(
            *("rna", "umap"),
            question="How do the cells of all libraries lie?",
            category="Single-cell RNA",
            caption="rna_maps",
        ),
        composition=shown_figure(
            *("rna", "composition"),
            question="What is every sample made of?",
            category="Single-cell RNA",
            caption="rna_composition",
        ),
        integration=shown_figure(
            *("rna", "integration"),
            question="Do batches mix?",
            category="Single-cell RNA",
            caption="rna_integration",
        ),
        markers=shown_figure(
            *("rna", "markers"),
            question="Do the named cells have their markers?",
            category="Single-cell RNA",
            caption="rna_markers",
        ),
    log:
        log_path("plot_rna"),
    benchmark:
        benchmark_path("plot_rna")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        code=code_digest("biocross.report.figures.rna"),
        levels=config["design"]["levels"],
    message:
        "Drawing the cells of the RNA half"
    script:
        "../scripts/plot_rna.py"


rule plot_gene_changes:
    input:
        changes=rules.find_gene_changes.output.changes,
        populations=INPUTS["populations"],
    output:
        figure=shown_figure(
            *("rna", "gene_changes"),
            question="Which genes changed?",
            category="Single-cell RNA",
            caption="gene_changes_figure",
        ),
    log:
        log_path("plot_gene_changes"),
    benchmark:
        benchmark_path("plot_gene_changes")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.report.figures.gene_changes"),
        fdr=config["statistics"]["fdr"],
    message:
        "Drawing the genes that changed most"
    script:
        "../scripts/plot_gene_changes.py"
