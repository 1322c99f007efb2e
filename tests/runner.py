"""The command line without a process of its own."""

from typer.testing import CliRunner

try:
    RUNNER = CliRunner(mix_stderr=False)  # as newer versions do by themselves
except TypeError:
    RUNNER = CliRunner()
