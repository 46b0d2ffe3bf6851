"""Measuring bgproxy beside its peers."""
