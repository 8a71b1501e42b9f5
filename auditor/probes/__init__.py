"""Fixed, nested sets of plain prompts that every model is asked."""

from auditor.probes.loader import ProbeSet, load_probes

__all__ = ["ProbeSet", "load_probes"]
