"""The command line without a process of its own."""

from functools import cache

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner

from calibkit._cli.app import make_app

# Typer builds all commands for each call, which takes longer than many of them run.
APP = make_app()
typer.testing._get_command = cache(get_command)

try:
    RUNNER = CliRunner(mix_stderr=False)  # as newer versions do by themselves
except TypeError:
    RUNNER = CliRunner()
