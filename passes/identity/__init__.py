"""What makes two regions the same, and where they differ."""
