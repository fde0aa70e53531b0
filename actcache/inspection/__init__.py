"""What compiled models cache, what they share, and why a call misses."""
