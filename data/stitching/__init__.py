"""From patches back to whole images: the inference loop, the blending, the probability map, and its cleaning."""
