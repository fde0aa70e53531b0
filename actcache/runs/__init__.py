"""The process that runs models for the compiler, and its client."""
