"""The question language: words → what is asked for. One grammar for the command line and the exported site."""
