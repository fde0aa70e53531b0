"""Tests that prove the tests: each promise is broken on purpose, and the suite has to notice. See docs/mutants.md."""
