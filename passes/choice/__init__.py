"""Which regions are worth caching."""
