"""Prediction of volumes: peak memory of a large CT, and time over that of MONAI's sliding window with one network.

python -m benchmarks.volumes [--quick]; about five minutes on two cores. Needs requirements-volumes.txt.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from benchmarks.figures import FOLDER, Figure, options, ratio, save
from benchmarks.memory import measure

if TYPE_CHECKING:
    from model.torch_network import TorchNetwork

Found = TypeVar("Found")

# in full and quick
SHAPES = {False: (600, 512, 512), True: (96, 128, 128)}  # of the CT: z, row, column
SIDES = {False: 240, True: 144}  # of the volume that both predict: windows lie alike, a whole number of steps apart
REPEATS = {False: 3, True: 1}
WINDOW, OVERLAP = (96, 96, 96), 0.5
CT_OPTIONS = {
    "DATASETS.LAYOUT": "pairs",
    "MODEL.AXES": 3,
    "MODEL.IN_CHANNELS": 1,
    "INPUT.INTENSITY": "window",
    "TILES.REDUCTION": 1.0,
    "TEST.PATCHES": [96, 160, 160],
    "TEST.OVERLAP_SHARE": 0.25,
    "TEST.BLEND": "gaussian",
}
RADIUS = 0.3  # of the ball in the CT, in sides
TISSUE_HU, AIR_HU = 60, -1000


def main(argv: Sequence[str]) -> None:
    """Measure both and keep it."""
    args = options("Predict volumes.").parse_args(argv)
    shape = SHAPES[args.quick]
    ct, name = args.folder / "volumes" / "ct.nii", "x".join(map(str, shape))
    measure("-m", "benchmarks.volumes", "write", ct, *shape)
    imports = measure("-c", "import torch, monai.networks.nets, nibabel, zarr, scipy.sparse")
    usage = measure("-m", "benchmarks.volumes", "predict", ct)
    times = measure("-m", "benchmarks.volumes", "compare", SIDES[args.quick], REPEATS[args.quick]).answer
    ct.unlink()
    rows = [
        {"what": "imports", "peak_mb": imports.peak_mb},
        {"what": "ct", "shape": shape, "peak_mb": usage.peak_mb, "curve": usage.curve, **usage.answer},
        {"what": "windows", **times},
    ]
    figures = [
        Figure(f"volume_peak_mb_{name}", usage.peak_mb, "<2000"),
        Figure("volume_seconds_over_monai", ratio(times["ours"], times["monai"]), "<1"),
        Figure("volume_levels_from_monai", times["levels_apart"], "<1"),
    ]
    save(args.folder, "volumes", figures, rows)


def write_ct(path: Path, shape: tuple[int, ...]) -> None:
    """An int16 CT of a ball of tissue in noisy air, slice by slice."""
    import nibabel
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape[::-1])
    header.set_sform(np.diag([-0.7, -0.7, 1.0, 1.0]), 1)
    header["vox_offset"], header["magic"] = header.single_vox_offset, header.single_magic
    rng, (deep, high, wide) = np.random.default_rng(0), shape
    rows, columns = np.ogrid[:high, :wide]
    with path.open("wb") as file:
        file.write(bytes(header.binaryblock).ljust(header.single_vox_offset, b"\0"))
        for z in range(deep):
            apart = sum(((at - n / 2) / n) ** 2 for at, n in zip((z, rows, columns), shape, strict=True))
            values = np.where(apart < RADIUS**2, TISSUE_HU, AIR_HU) + rng.integers(-30, 30, (high, wide), np.int16)
            file.write(values.astype(np.int16).tobytes())


def build_network() -> "TorchNetwork":
    """A UNet of random weights, as the programs predict with it."""
    import torch
    from monai.networks.nets import UNet

    from model.card import ModelCard
    from model.torch_network import TorchNetwork

    torch.manual_seed(0)
    network = UNet(3, 1, 1, (8, 16, 32), (2, 2))
    return TorchNetwork(network, ModelCard("UNet", "", 1, ("object",), (0.0,), (1.0,), reduction=1.0))


def predict_ct(path: Path) -> dict[str, object]:
    """Predict a CT by the flow of test_net.py and write mask and film; seconds of both."""
    from config import load_cfg
    from data.cases import Case
    from data.patches.scale import build_scale
    from data.sources.opening import build_reader
    from data.stitching.case import build_inference, predict_case
    from data.writers.products import VOLUME_PRODUCTS, CaseMask, Products
    from data.writers.results import Results

    cfg = load_cfg(options=[str(word) for pair in CT_OPTIONS.items() for word in pair])
    reader, case = build_reader(cfg), Case(path.stem, path)
    with TemporaryDirectory(dir=path.parent) as scratch:
        results, begun = Results(Path(scratch)), time.perf_counter()
        target = results.probabilities(case.id)
        found = predict_case(case, reader, build_inference(cfg, build_scale(cfg)), build_network(), target)
        predicted = time.perf_counter()
        mask = CaseMask(case.id, found, 0.5, partial(reader.open_image, case))
        Products(list(VOLUME_PRODUCTS)).write(results, mask)
        return {"predict_s": predicted - begun, "write_s": time.perf_counter() - predicted}


def compare(side: int, repeats: int) -> dict[str, object]:
    """Seconds of ours and of MONAI's on one volume in memory, by turns, and how far apart the probabilities are.

    The latter is the median over voxels, in levels of a probability kept as a byte. At the faces of a volume the two
    differ more, since MONAI raises the least weights to a thousandth.
    """
    import numpy as np
    import torch
    from monai.inferers import sliding_window_inference

    from data.patches.grid import Windows, whole
    from data.sources.source import ArraySource
    from data.stitching.probability_map import ProbabilityMap, create_map, frame_of
    from data.stitching.sliding_window import PatchReader, predict_map
    from data.stitching.stitcher import SLOPES
    from utils.memory import kept_memory

    network, volume = build_network(), 255 * np.random.default_rng(0).random((side,) * 3, np.float32)
    source = ArraySource(volume[..., None])

    def ours(scratch: Path) -> ProbabilityMap:
        with PatchReader(source, Windows(WINDOW, overlap=OVERLAP).over(source.shape), 1) as patches:
            target = create_map(scratch / "map.zarr", source.shape, frame_of(source, ["object"]))
            predict_map(patches, network, target, slope=SLOPES["gaussian"])
        return target

    @torch.inference_mode()
    def theirs() -> np.ndarray:
        patches = torch.from_numpy(volume[None, None])
        return 255 * sliding_window_inference(patches, WINDOW, 1, network.module, OVERLAP, "gaussian")[0, 0].numpy()

    seconds, apart = {"ours": [], "monai": []}, 0.0
    theirs()  # the first pass of a network takes longer
    for _ in range(repeats):
        with TemporaryDirectory(dir=FOLDER.parent if FOLDER.parent.exists() else None) as scratch:
            target = timed(partial(ours, Path(scratch)), seconds["ours"])
            with kept_memory():  # as a process would that never set how it asks for memory
                expected = timed(theirs, seconds["monai"])
            apart = float(np.median(np.abs(target.read(whole(source.shape))[..., 0] - expected)))
    return {**seconds, "levels_apart": apart}


def timed(run: "Callable[[], Found]", seconds: list[float]) -> "Found":
    """What `run` gives; its seconds are added to the list."""
    begun = time.perf_counter()
    found = run()
    seconds.append(time.perf_counter() - begun)
    return found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", path, *shape]:
            write_ct(Path(path), tuple(map(int, shape)))
        case ["predict", path]:
            print(json.dumps(predict_ct(Path(path))))
        case ["compare", side, repeats]:
            print(json.dumps(compare(int(side), int(repeats))))
        case words:
            main(words)
