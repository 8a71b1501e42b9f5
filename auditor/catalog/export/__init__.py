"""The catalog for those who take files: Parquet, JSON lines, CSV, sidecars, a dataset card and pages.

Everything is read from a published catalog (and, for pages, from the result files), written into a new folder and
swapped in whole. Names that strangers chose never become names of files.
"""
