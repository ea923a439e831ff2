"""Paired analysis of patients' immune cells before and during treatment."""
