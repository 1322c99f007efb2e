"""Pure functions on NumPy arrays: the mathematics, without checks and without estimators."""
