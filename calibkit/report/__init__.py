"""What the command line does: tables in, facts and files out."""

from .facts import facts as facts
