"""What is known of base models: their families as data, published names and lineage, module names and shapes."""
