"""Training of the compact weights from synthetic subjects.

    PYTHONPATH=tools python -m compact.train RECIPE --out FOLDER

`recipes` describes each training as data; `train` is the command.
"""
