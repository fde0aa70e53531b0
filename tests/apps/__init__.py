"""Programs of others, run as they are: plain, for the first time under ``actcache run``, and again."""
