"""TIAToolbox's SemanticSegmentor on one slide, with the network of our weights and the tissue that we find.

python -m benchmarks.peer_tiatoolbox SLIDE WEIGHTS TISSUE TARGET, run by the Python of the peers. Patches of 512 px at
1 um/px, 256 px apart; everything else as the package sets it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tiatoolbox.models.engine.io_config import IOSegmentorConfig
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
from tiatoolbox.models.models_abc import ModelABC
from torch import Tensor

from benchmarks.peer_network import ProbabilityNetwork

PATCH_PX, STRIDE_PX = 512, 256
AT_1_UM = [{"units": "mpp", "resolution": 1.0}]


class PeerModel(ModelABC):
    """The network as TIAToolbox calls it."""

    def __init__(self, weights: Path):
        super().__init__()
        self.network = ProbabilityNetwork(weights)

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, 1, H, W) of raw patches (N, 3, H, W)."""
        return self.network(images)

    @staticmethod
    def infer_batch(model: torch.nn.Module, batch_data: Tensor, *, device: str) -> np.ndarray:
        """Probabilities (N, H, W, 1) of a batch (N, H, W, 3)."""
        with torch.inference_mode():
            return model(batch_data.to(device).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).cpu().numpy()

    @staticmethod
    def postproc(image: np.ndarray) -> np.ndarray:
        """Mask (H, W) of probabilities (H, W, 1)."""
        return (image[..., 0] >= 0.5).astype(np.uint8)


def main(argv: Sequence[str]) -> None:
    """Predict the slide into a zarr folder."""
    slide, weights, tissue, target = map(Path, argv)
    layout = IOSegmentorConfig(
        input_resolutions=AT_1_UM,
        output_resolutions=AT_1_UM,
        patch_input_shape=(PATCH_PX, PATCH_PX),
        patch_output_shape=(PATCH_PX, PATCH_PX),
        stride_shape=(STRIDE_PX, STRIDE_PX),
        save_resolution=AT_1_UM[0],
    )
    segmentor = SemanticSegmentor(PeerModel(weights), device="cpu", verbose=False)
    segmentor.run([slide], masks=[tissue], ioconfig=layout, patch_mode=False, save_dir=target, output_type="zarr")


if __name__ == "__main__":
    main(sys.argv[1:])
