"""Measures a sample of the plan on this device, and finds the cheapest recipe that says the same."""
