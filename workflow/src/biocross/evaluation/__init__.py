"""What an analysis of a simulated cohort found, beside what is true."""
