"""A study that has only a table of frequencies."""

import numpy as np
import yaml

POPULATIONS = ("ILC2", "Th2", "Tc2", "NK", "B_cells", "Treg", "own_gate")
SIX_PAIRS, TWO_PAIRS = "mepolizumab", "dupilumab"


def write_study(folder):
    """Write a table in which ILC2 triple under one treatment; one patient lacks month 4."""
    rng = np.random.default_rng(1)
    patients = {f"00{n}": SIX_PAIRS for n in range(1, 8)} | {"P8": TWO_PAIRS, "P9": TWO_PAIRS}
    lines = ["patient_id\tvisit\tpopulation\tparent\tcount\tparent_count"]
    for patient in patients:
        own = rng.normal(0, 0.3, len(POPULATIONS))
        for visit in ("baseline", "month_4"):
            if (patient, visit) == ("007", "month_4"):
                continue
            for number, name in enumerate(POPULATIONS):
                share = 0.01 * np.exp(own[number] + rng.normal(0, 0.1))
                if (name, visit) == ("ILC2", "month_4"):
                    share *= 3
                count = rng.binomial(20_000, share)
                lines.append(f"{patient}\t{visit}\t{name}\tLymphocytes\t{count}\t20000")
    (folder / "frequencies.tsv").write_text("\n".join(lines) + "\n")
    sheet = [f"{patient}\t{treatment}" for patient, treatment in patients.items()]
    (folder / "patients.tsv").write_text("\n".join(["patient_id\ttreatment", *sheet]) + "\n")
    config = {
        "inputs": {"counts": "config/frequencies.tsv", "patients": "config/patients.tsv"},
        "design": {"levels": ["baseline", "month_4"]},
        "statistics": {"confirmatory": {"source": "table"}},
    }
    (folder / "table.yaml").write_text(yaml.safe_dump(config))
