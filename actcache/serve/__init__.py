"""What a host program calls while it serves a compiled model."""
