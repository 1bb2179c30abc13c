"""The shipped files of an installed package (see setup.py)."""
