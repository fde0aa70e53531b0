"""Reading audit logs: lines, letters, decisions."""
