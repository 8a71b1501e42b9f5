"""The explanation maths: divergence, concept directions, selection, shared scores, significance.

Arrays in, frozen dataclasses out; numpy and scipy only. Nothing here knows models, files or settings.
"""
