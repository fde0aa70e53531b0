"""The version, once: of the package, of wheels, of the native library."""

__version__ = "0.1.0"
