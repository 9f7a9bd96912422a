"""The commands, in a folder per group: one module each, holding a function of the same name.

The signature of the function defines the arguments of the command, its docstring the help text. A
command parses, calls its pipeline and prints. Heavy imports stay inside the function, so that
`regzoo --help` answers at once.
"""

GROUPS = ("registration", "datasets", "evaluation", "transforms", "hub")
"""The folders of the groups, in the order of `regzoo --help`. Their docstrings are the titles."""
