# Entry point, so that `snakemake --cores 8` works from the project's root.
# Start in workflow/Snakefile to read the workflow.
include: "workflow/Snakefile"


rule all:
    default_target: True
    input:
        rules.everything.input,
