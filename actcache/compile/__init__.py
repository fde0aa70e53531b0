"""The compiler: a model in, a model with cached regions out."""
