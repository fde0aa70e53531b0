"""The sub-commands of ``actcache`` that look at compiled models and running processes, a file each.

Each finds an answer, which ``--json`` prints as it is, and shows it to people
(:func:`actcache.commands.terminal.respond`). What takes seconds to import is imported when it is needed.
"""
