"""What everything else stands on: the native library, files, tolerances, names."""
