"""Flags of events that are not single, whole, living cells measured steadily."""
