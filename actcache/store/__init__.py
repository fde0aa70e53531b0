"""Looking after stores on disk, also while services use them."""
