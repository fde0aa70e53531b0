"""What benchmarks.reuse_curve compares, by name. Every other one is given relative to the original."""

ORIGINAL, ACTCACHE, LIMIT, ROW_LRU, REQUEST_CACHE = "original", "actcache", "limit", "row LRU", "request cache"
NAMES = (ORIGINAL, ACTCACHE, LIMIT, ROW_LRU, REQUEST_CACHE)
