"""The compiled model against the original."""
