"""Results on original pixels: run lengths, pyramidal TIFF masks, overlay pictures."""
