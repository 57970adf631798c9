"""Image files: one table of formats, one reader, one writer."""
