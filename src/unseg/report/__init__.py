"""Pictures and tables made from images and result files."""
