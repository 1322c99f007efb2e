"""Tables in files: CSV, TSV, JSON lines and Parquet, with the place of every bad cell."""
