"""A cohort with known truth."""
