"""Small things that any room may use and that know nothing of adapters."""
