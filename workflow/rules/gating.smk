# REQUIRED INPUTS: results/flow/events/{sample}.arrow, results/flow/transforms.tsv, panel.tsv,
#                  populations.yaml, gating.yaml, or a file of gates drawn elsewhere with its sheet
#                  gate_paths.tsv.
# OUTPUTS: results/flow/counts.tsv, expression.tsv and results/flow/gating/: thresholds.tsv, modes.tsv,
#          marker_shifts.tsv, shifts.tsv, unknown.tsv; with gates drawn elsewhere matching.tsv,
#          moved_gates.tsv and stored_counts.tsv instead of thresholds, modes and shifts.
GATES = {
    "strategy": INPUTS["gating"] or [],
    "populations": INPUTS["populations"],
    "panel": INPUTS["panel"] or [],
    "transforms": rules.estimate_transforms.output.transforms,
}


if GATES_DRAWN_ELSEWHERE:
    # All samples in order of the visits of each patient, because a workspace holds them all.
    DRAWN = {
        "strategy": INPUTS["gating"],
        "fcs": [fcs_path(s) for samples in FLOW_PATIENTS.values() for s in samples],
    }
    DRAWN_SAMPLES = [s.sample_id for samples in FLOW_PATIENTS.values() for s in samples]
    DRAWN_PATIENTS = [
        s.patient_id for samples in FLOW_PATIENTS.values() for s in samples
    ]

    rule match_gates:
        input:
            **DRAWN,
        output:
            matching=OUT / "flow" / "gating" / "matching.tsv",
            moved=report(
                OUT / "flow" / "gating" / "moved_gates.tsv",
                caption="../report/moved_gates.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={
                    "question": "Which gates were moved between visits?",
                    "form": "table",
                },
            ),
        log:
            log_path("match_gates"),
        benchmark:
            benchmark_path("match_gates")
        resources:
            mem_mb=memory(1000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.imported.gating"),
            samples=DRAWN_SAMPLES,
            patients=DRAWN_PATIENTS,
        message:
            "Matching the samples of the workspace, and comparing the gates of every patient's visits"
        script:
            "../scripts/match_gates.py"

    rule gate_patient_as_drawn:
        input:
            **DRAWN,
            gate_paths=INPUTS["gate_paths"] or [],
            populations=INPUTS["populations"],
            panel=INPUTS["panel"] or [],
            events=events_of_patient,
        output:
            **{
                name: OUT / "flow" / "gating" / "patients" / f"{{patient}}.{name}.tsv"
                for name in GATING_TABLES
            },
            membership=gate_membership("{patient}"),
        log:
            log_path("gate_patient_as_drawn", "{patient}"),
        benchmark:
            benchmark_path("gate_patient_as_drawn", "{patient}")
        resources:
            mem_mb=memory(800, per_input=4),
            runtime=minutes(60),
        params:
            code=code_digest("biocross.flow.imported.gating"),
            samples=DRAWN_SAMPLES,
            patients=DRAWN_PATIENTS,
            moved_gates=config["flow"]["moved_gates"],
        message:
            "Gating all visits of {wildcards.patient} with the gates that were drawn"
        script:
            "../scripts/gate_patient_as_drawn.py"

else:

    rule estimate_thresholds:
        input:
            **GATES,
            events=lambda wildcards: [
                *events_of_patient(wildcards),
                *fmo_events_of_patient(wildcards),
            ],
        output:
            estimates=OUT / "flow" / "gating" / "patients" / "{patient}.estimates.tsv",
        log:
            log_path("estimate_thresholds", "{patient}"),
        benchmark:
            benchmark_path("estimate_thresholds", "{patient}")
        resources:
            mem_mb=memory(500, per_input=4),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.gating"),
            by_stimulation=config["design"]["contrast"] != "stimulation",
        message:
            "Estimating the borders of {wildcards.patient} on all visits together"
        script:
            "../scripts/estimate_thresholds.py"

    rule settle_thresholds:
        input:
            **GATES,
            estimates=per_patient("estimates"),
        output:
            thresholds=report(
                OUT / "flow" / "gating" / "thresholds.tsv",
                caption="../report/thresholds.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={"question": "Where do the borders lie?", "form": "table"},
            ),
        log:
            log_path("settle_thresholds"),
        benchmark:
            benchmark_path("settle_thresholds")
        resources:
            mem_mb=memory(1000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.settled_thresholds"),
        message:
            "Comparing the borders of all patients"
        script:
            "../scripts/settle_thresholds.py"

    rule gate_patient:
        input:
            **GATES,
            events=events_of_patient,
            thresholds=rules.settle_thresholds.output.thresholds,
        output:
            **{
                name: OUT / "flow" / "gating" / "patients" / f"{{patient}}.{name}.tsv"
                for name in GATING_TABLES
            },
            membership=gate_membership("{patient}"),
        log:
            log_path("gate_patient", "{patient}"),
        benchmark:
            benchmark_path("gate_patient", "{patient}")
        resources:
            mem_mb=memory(500, per_input=4),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.gating"),
        message:
            "Gating all visits of {wildcards.patient}"
        script:
            "../scripts/gate_patient.py"


rule summarise_flow:
    input:
        **{name: per_patient(name) for name in GATING_TABLES},
    output:
        **{
            name: OUT / "flow" / f"{name}.tsv"
            for name in GATING_TABLES
            if name in ("counts", "expression")
        },
        **{
            name: OUT / "flow" / "gating" / f"{name}.tsv"
            for name in GATING_TABLES
            if name not in ("counts", "expression")
        },
    log:
        log_path("summarise_flow"),
    benchmark:
        benchmark_path("summarise_flow")
    resources:
        mem_mb=memory(1000),
        runtime=minutes(20),
    params:
        code=code_digest("biocross.flow.summary"),
    message:
        "Gathering the gates of all patients"
    script:
        "../scripts/summarise_flow.py"


if not GATES_DRAWN_ELSEWHERE:

    # One job for all patients: starting Python for each would take longer.
    rule export_gates:
        input:
            **GATES,
            events=[
                events for patient in FLOW_PATIENTS for events in events_of(patient)
            ],
            thresholds=rules.settle_thresholds.output.thresholds,
        output:
            gates=[
                OUT / "flow" / "gating" / "patients" / f"{patient}.gates.xml"
                for patient in FLOW_PATIENTS
            ],
        log:
            log_path("export_gates"),
        benchmark:
            benchmark_path("export_gates")
        threads: 4
        resources:
            mem_mb=memory_by_patient,
            runtime=minutes(60),
        params:
            code=code_digest("biocross.flow.settled_gating"),
            n_samples=[len(samples) for samples in FLOW_PATIENTS.values()],
        message:
            "Writing the gates of every patient as GatingML"
        script:
            "../scripts/export_gates.py"

    rule measure_marker_shifts:
        input:
            modes=rules.summarise_flow.output.modes,
            transforms=rules.estimate_transforms.output.transforms,
            samples=rules.check_cohort.output.samples,
            pairs=rules.check_cohort.output.pairs,
        output:
            shifts=OUT / "flow" / "gating" / "marker_shifts.tsv",
            summary=report(
                OUT / "flow" / "gating" / "marker_shift_summary.tsv",
                caption="../report/marker_shifts.rst",
                category="Flow cytometry",
                subcategory="Tables",
                labels={
                    "question": "Did the cells beside the gates move?",
                    "form": "table",
                },
            ),
        log:
            log_path("measure_marker_shifts"),
        benchmark:
            benchmark_path("measure_marker_shifts")
        resources:
            mem_mb=memory(1000),
            runtime=minutes(20),
        params:
            code=code_digest("biocross.flow.marker_shifts"),
        message:
            "Measuring how far the markers of the gates moved between visits"
        script:
            "../scripts/measure_marker_shifts.py"
