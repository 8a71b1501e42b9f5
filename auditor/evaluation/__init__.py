"""The paper's experiments on adapters whose content is known. The only room that may read the answers."""
