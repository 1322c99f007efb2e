"""Checks of a user's data, errors and warnings, and the base class of every calibrator."""
