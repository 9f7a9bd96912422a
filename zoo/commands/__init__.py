"""The commands of regzoo: one module each, which defines a function of the same name.

Its signature defines the arguments of the command, and its docstring is the help text. Heavy
libraries are imported inside the function, so that `regzoo --help` answers at once.
"""
