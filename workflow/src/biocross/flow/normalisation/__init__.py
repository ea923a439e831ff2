"""Differences between batches taken out of the events, on request and under guard."""
