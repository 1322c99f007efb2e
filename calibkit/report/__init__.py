"""What the command line does: tables in, facts, pictures and files out."""
