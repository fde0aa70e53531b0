"""``make docs``: the pages of docs/ and of the repository's root, made ready for the generator of the site."""
