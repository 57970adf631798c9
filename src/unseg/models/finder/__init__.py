"""People and other objects without labels: a small detector, a person model, and SAM's outlines."""
