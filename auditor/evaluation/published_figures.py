"""The paper's own figures, table by table, as it prints them (shares as shares)."""

from __future__ import annotations

from collections.abc import Mapping

Rows = Mapping[str, tuple[float | None, ...]]

DATA_SETS = ("synthetic", "style transfer", "painters")
"""Its three data sets; the third is called WikiArt there and is of painters."""

T1: Rows = {
    "Naive": (2.2, 2.1, 2.5),
    "Diff Caption": (3.1, 3.7, 3.3),
    "Chg2Cap": (3.0, 3.3, 2.7),
    "VisDiff": (1.6, 2.5, 2.2),
    "GSCLIP": (1.8, 2.6, 2.5),
    "FineXL": (0.7, 1.6, 1.4),
}
LEVELS = (3, 5, 8, 10)
T2: Rows = {
    "Naive": (0.4, 1.2, 1.9, 2.2),
    "Diff Caption": (0.5, 1.9, 2.6, 3.1),
    "Chg2Cap": (0.5, 1.6, 2.4, 3.0),
    "VisDiff": (0.2, 0.7, 1.3, 1.6),
    "GSCLIP": (0.3, 0.7, 1.2, 1.8),
    "FineXL": (0.2, 0.4, 0.5, 0.7),
}
T3: Rows = {
    "Naive": (0.722, 0.611, 0.667),
    "Diff Caption": (0.556, 0.389, 0.444),
    "Chg2Cap": (0.500, 0.444, 0.444),
    "VisDiff": (0.778, 0.889, 0.833),
    "GSCLIP": (0.778, 0.833, 0.722),
    "FineXL": (0.944, 0.944, 0.888),
}
T5: Rows = {
    "Naive": (2.3, 2.9, 2.4),
    "Diff Caption": (2.7, 2.2, 2.8),
    "Chg2Cap": (2.5, 2.3, 2.6),
    "VisDiff": (1.6, 1.9, 2.2),
    "GSCLIP": (1.5, 2.3, 2.0),
    "FineXL": (0.9, 1.4, 1.4),
}
T6: Rows = {
    "Naive": (2.7, 2.4, 2.6),
    "Diff Caption": (2.7, 3.0, 3.1),
    "Chg2Cap": (2.8, 2.6, 3.3),
    "VisDiff": (2.0, 1.0, 2.3),
    "GSCLIP": (1.9, 1.1, 2.5),
    "FineXL": (1.5, 0.7, 1.8),
}
ALTERNATIVES = (5, 10, 15)
T7: Rows = {
    "GPT-4o": (1.0, 0.933, 0.933),
    "Llama-3.2-11B-Vision": (1.0, 0.867, 0.667),
    "Qwen2-VL-7B-Instruct": (0.933, 0.800, 0.800),
}
T8: Rows = {
    "CLIP": (0.79, 0.03, 0.72),
    "ALIGN": (0.81, 0.05, 0.65),
    "OpenCLIP": (0.72, 0.05, 0.63),
    "EVA-CLIP": (0.73, 0.02, 0.69),
}
T9: Rows = {
    "Stable Diffusion 3.5 Large": (0.72,),
    "Stable Diffusion 2.1": (0.52,),
    "Stable Diffusion 1.4": (0.34,),
}
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
T10: Rows = {
    "concepts needed": (None, None, 68, 33, 19, 9, 8, 5),
    "decomposition error": (0.094, 0.093, 0.098, 0.192, 0.280, 0.383, 0.428, 0.541),
    "rank error": (None, None, 0.7, 0.7, 0.7, 0.9, 0.9, 1.1),
}
PROBES = (10, 25, 50, 100, 200, 500)
T11: Rows = {
    "style transfer": (0.08, 0.03, 0.02, 0.006, 0.004, 0.001),
    "WikiArt": (0.29, 0.14, 0.09, 0.03, 0.02, 0.008),
}
WORDING_LEVELS = (5, 10)
T12: Rows = {"original": (0.4, 0.7), "condensed": (0.5, 0.7), "elaborated": (0.4, 0.7)}
FIGURE_10: Rows = {"SD 2.1": (0.34,), "SD 1.4": (0.18,)}
