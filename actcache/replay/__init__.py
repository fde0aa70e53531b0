"""The calls of an audit log, made again and compared."""
