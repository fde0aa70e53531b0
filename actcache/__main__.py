"""``python -m actcache``: the umbrella command."""

from actcache.commands.main import main

if __name__ == "__main__":
    main(prog_name="python -m actcache")
