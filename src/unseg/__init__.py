"""Make images useless as training data for segmentation (UnSeg, arXiv 2410.09909)."""

