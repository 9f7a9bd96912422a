"""The commands: one module each, holding a function of the same name.

Its signature is the command's arguments, its docstring the help. Heavy imports stay inside the
function, so that `regzoo --help` answers at once.
"""
