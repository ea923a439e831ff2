"""Clusters of flow cytometry events: made, named, compared with the gates, and drawn."""
