"""Programs that nobody here wrote, run as they are: plain, for the first time under ``actcache run``, and again."""
