"""Lets `python -m zoo` do what `regzoo` does."""

from zoo.cli import main

if __name__ == "__main__":
    main()
