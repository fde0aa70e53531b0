"""Models, samples and traces: read, written, made up."""
