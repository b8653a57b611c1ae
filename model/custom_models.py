"""Networks by name: the UneXt family, every architecture of segmentation_models_pytorch, some of MONAI.

All give logits.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
from torch import Tensor, nn
from yacs.config import CfgNode

from model.brain_unet import BrainUnet
from model.encoder_weights import fit_tensor, fold_layer_scale, is_dispensable, left_over
from model.exclusive import make_exclusive
from model.network_options import NetworkOptions, build_network_options
from model.tensor_file import load_tensors, refuse_no_numbers, refuse_odd_tensors
from model.unext import UneXt
from model.volume_networks import VOLUME_NETWORKS, build_volume_network

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")
PREFIXES = ("module.", "model.", "encoder.")  # of DataParallel, of wrappers, of whole networks
UNUSED_KEYS = frozenset({"aspp.conv1.weight"})  # in the published UneXt101 weights, read by nothing
SHOWN = 5  # names shown of a long list
SHORT_LIST = 30  # names that can be shown at once
UNFIT = (
    AttributeError,
    KeyError,
    NotImplementedError,
    TypeError,
    ValueError,
)  # what smp and timm tell a wrong choice by
RASTER = 32  # sides of patches are multiples of it
WITHOUT_DOWNLOAD = "MODEL.ENCODER_WEIGHTS None, or the path of a local weight file"

Builder = Callable[[str, str | None, int, int], nn.Module]  # encoder name, encoder weights, in_channels, classes


def build_model(cfg: CfgNode) -> nn.Module:
    """Network of a configuration: MODEL says which, DATASETS.CLASSES how many output channels."""
    return build_network(
        cfg.MODEL.ARCHITECTURE,
        cfg.MODEL.ENCODER_NAME,
        cfg.MODEL.ENCODER_WEIGHTS,
        cfg.MODEL.IN_CHANNELS,
        len(cfg.DATASETS.CLASSES),
        build_network_options(cfg),
    )


def build_network(
    architecture: str,
    encoder_name: str,
    encoder_weights: str | None,
    in_channels: int,
    classes: int,
    options: NetworkOptions | None = None,
) -> nn.Module:
    """Network that maps (N, in_channels, *axes) to logits (N, classes, *axes), in two axes unless `options` say three.

    `architecture` is a name of `ARCHITECTURES` or `VOLUME_NETWORKS` in any case. `encoder_name` is not read where the
    architecture fixes its encoder (UneXt101, UneXt50, UneXt18). `encoder_weights` is a name ('imagenet', 'ssl'), a
    local .safetensors, .pth or .pt file, or None, 'None' or '' for none. MONAI's networks read neither. Raises
    ValueError for a wrong choice or a file that does not fit, RuntimeError where named weights cannot be downloaded.
    """
    options = options or NetworkOptions()
    names = {name.lower(): name for name in (*ARCHITECTURES, *VOLUME_NETWORKS)}
    if architecture.lower() not in names:
        raise ValueError(_wrong_choice("MODEL.ARCHITECTURE", architecture, names.values()))
    name = names[architecture.lower()]
    if name in VOLUME_NETWORKS:
        network = build_volume_network(name, in_channels, classes, options)
    elif options.axes != 2:
        raise ValueError(f"MODEL.ARCHITECTURE {name} is for 2 axes; for MODEL.AXES 3 take one of {[*VOLUME_NETWORKS]}")
    else:
        weights = None if encoder_weights in (None, "") or encoder_weights.lower() == "none" else encoder_weights
        network = ARCHITECTURES[name](encoder_name, weights, in_channels, classes)
    return make_exclusive(network) if options.exclusive else network


def parameter_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters of the encoder and all the others, for learning rates of their own; a fastai splitter.

    The encoder is the child `encoder` or the children `enc0`, `enc1`, ...; without one the first list is empty.
    """
    encoder: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        child = name.removeprefix("network.").split(".", 1)[0]  # of a network with heads for training
        in_encoder = child == "encoder" or (child.startswith("enc") and child[3:].isdigit())
        (encoder if in_encoder else rest).append(parameter)
    return [encoder, rest]


def check_network(model: nn.Module, in_channels: int, sizes: Sequence[tuple[int, ...]]) -> None:
    """Raise ValueError where a network cannot take patches of some sizes (*axes), as `build_trial_sizes` gives them."""
    device = next(model.parameters()).device
    for size in sizes:
        try:
            with torch.no_grad():
                model.eval()(torch.zeros((1, in_channels, *size), device=device))
        except (AssertionError, IndexError, RuntimeError, ValueError) as error:
            instead = "another encoder, or a larger INPUT.SIZE_TRAIN" if len(size) == 2 else "another INPUT.PATCH"
            raise ValueError(
                f"the network of MODEL.ARCHITECTURE and MODEL.ENCODER_NAME cannot take a patch of "
                f"{' x '.join(map(str, size))} pixels: {_short(error)}; choose {instead}"
            ) from error


def load_state(model: nn.Module, state_dict: dict[str, Tensor], source_name: str) -> None:
    """Load a whole network's parameters, whatever wrapper prefixes (`module.`, `model.`) their names carry.

    Raises ValueError naming `source_name` where a key is missing, unexpected, of another shape or without numbers.
    """
    state = _fitting_state(model, state_dict, source_name)
    refuse_no_numbers(state, source_name)
    model.load_state_dict(state)


def check_on_paper(make: Callable[[], nn.Module], state_dict: dict[str, Tensor], source_name: str) -> None:
    """Raise ValueError as `load_state` does, of the network that `make` makes, before it takes memory.

    The file that says how to make it may claim a larger one than there is room for. The few networks that reckon with
    tensors while they are made are not compared.
    """
    try:
        with torch.device("meta"):
            model = make()
    except RuntimeError:
        return
    _fitting_state(model, state_dict, source_name)


def _fitting_state(model: nn.Module, state_dict: dict[str, Tensor], source_name: str) -> dict[str, Tensor]:
    own = model.state_dict(keep_vars=True)
    state = {_strip_unknown_prefixes(key, own): value for key, value in state_dict.items()}
    state = {key: value for key, value in state.items() if key in own or key not in UNUSED_KEYS}
    state = _under_all_names(state, own)
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    reshaped = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or unexpected or reshaped:
        counts = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
        found = "; ".join(f"{len(keys)} {what} ({_first(keys)})" for what, keys in counts.items() if keys)
        hint = "" if missing or unexpected else _class_count_hint(reshaped, state, own)
        raise ValueError(f"{source_name} does not fit the network: {found}{hint}")
    return state


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors, .pth or .pt file by name; nothing in the file is executed.

    A dictionary under `state_dict` or `model` is unwrapped. Raises ValueError for anything but a dictionary of tensors.
    """
    _check_weight_file(path)
    try:
        content = load_tensors(path)
    except Exception as error:  # what a damaged pickle raises shares no base
        # torch's own words are left out: they advise to run what the file holds
        raise ValueError(f"{path} is no file of plain tensors, or damaged; save model.state_dict()") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, dict) else {}
    if not tensors:
        raise ValueError(f"{path} holds no state dict (tensors by name); save model.state_dict()")
    refuse_odd_tensors(tensors, path)
    return tensors


def load_encoder_weights(encoder: nn.Module, path: Path, in_channels: int) -> None:
    """Load a file of weights, often a whole classifier's, into an encoder.

    Names match without the prefixes `module.`, `model.`, `encoder.` and with '.' like '_'. A first convolution made for
    other input channels is summed (one channel) or repeated and scaled; patches and positions of a vision transformer
    are resampled, its layer scale goes into the layers before where the encoder has none. What else only the file has
    is left out. Raises ValueError where a parameter or buffer of the encoder stays without its tensor, or a vision
    transformer's file has more blocks or tokens.
    """
    own = encoder.state_dict()
    names = {_normalised(key): value for key, value in own.items()}
    found = fold_layer_scale({_normalised(key): value for key, value in read_weights(path).items()}, names)
    matched = {
        key: fit_tensor(_normalised(key), found.get(_normalised(key)), value, in_channels) for key, value in own.items()
    }
    unmatched = [key for key, value in matched.items() if value is None and not is_dispensable(_normalised(key))]
    extra = left_over(found, names)
    reason = f"has {len(extra)} tensors that the encoder lacks ({_first(extra)})" if extra else ""
    if unmatched:
        reason = (
            f"lacks {len(unmatched)} of the encoder's {len(own)} tensors, or has them in another shape "
            f"({_first(unmatched)})"
        )
    if reason:
        wanted = "MODEL.ENCODER_WEIGHTS must be a file of the encoder that MODEL.ENCODER_NAME names"
        raise ValueError(f"{path} {reason}; {wanted}")
    refuse_no_numbers({key: value for key, value in matched.items() if value is not None}, str(path))
    with torch.no_grad():
        for key, value in matched.items():
            if value is not None:
                own[key].copy_(value)


def _build_unext(encoder_name: str, weights: str | None, in_channels: int, classes: int) -> nn.Module:
    _check_encoder_name(encoder_name)
    options = _any_size(UneXt, encoder_name)

    def make(weights: str | bool | None) -> nn.Module:
        with _fitting("UneXt", encoder_name):
            return smp.encoders.get_encoder(encoder_name, in_channels, weights=weights, **options)

    encoder = _with_weights(make, encoder_name, weights, in_channels)
    with _fitting("UneXt", encoder_name):
        return UneXt(encoder, classes)


def _build_brain_unet(_: str, weights: str | None, in_channels: int, classes: int) -> nn.Module:
    network = BrainUnet(in_channels, classes)
    if weights and not _is_file(weights):
        raise ValueError(
            f"MODEL.ENCODER_WEIGHTS is {weights!r}; BrainUnet has no weights of a name: set {WITHOUT_DOWNLOAD}"
        )
    if weights:
        load_state(network, read_weights(Path(weights)), weights)
    return network


def _build_fixed_unext(fixed_name: str, _: str, weights: str | None, in_channels: int, classes: int) -> nn.Module:
    return _build_unext(fixed_name, weights, in_channels, classes)


def _build_smp(
    network: Callable[..., nn.Module], encoder_name: str, weights: str | None, in_channels: int, classes: int
) -> nn.Module:
    _check_encoder_name(encoder_name)
    options = _any_size(network, encoder_name)

    def make(weights: str | bool | None) -> nn.Module:
        with _fitting(network.__name__, encoder_name):
            return network(encoder_name, encoder_weights=weights, in_channels=in_channels, classes=classes, **options)

    return _with_weights(make, encoder_name, weights, in_channels)


@contextmanager
def _fitting(architecture: str, encoder_name: str) -> Iterator[None]:
    """Turn what an architecture says of an encoder that it cannot have into a ValueError that names both."""
    try:
        yield
    except Exception as error:
        if type(error) not in UNFIT:
            raise
        raise ValueError(
            f"MODEL.ARCHITECTURE {architecture} cannot have MODEL.ENCODER_NAME {encoder_name!r}: "
            f"{_short(error)}; plain vision transformers go with DPT, encoders in stages with the others"
        ) from error


def _with_weights(
    make: Callable[..., nn.Module], encoder_name: str, weights: str | None, in_channels: int
) -> nn.Module:
    """Encoder, or network with one, made by `make(weights=...)` and given named weights, a file's or none."""
    if weights is None:
        return make(weights=None)
    if _is_file(weights):
        _check_weight_file(Path(weights))
        made = make(weights=None)
        load_encoder_weights(getattr(made, "encoder", made), Path(weights), in_channels)
        return made
    _check_weights_name(encoder_name, weights)
    try:
        return make(weights=True if encoder_name.startswith("tu-") else weights)
    except Exception as error:
        if type(error) in UNFIT:
            raise  # the network cannot have this encoder: no download would help
        raise RuntimeError(
            f"weights {weights!r} of encoder {encoder_name!r} could not be downloaded ({type(error).__name__}: "
            f"{_short(error)}); to do without, set {WITHOUT_DOWNLOAD}"
        ) from error


def _check_encoder_name(name: str) -> None:
    if name in smp.encoders.encoders or (name.startswith("tu-") and _is_timm_name(name[3:])):
        return
    names = [*smp.encoders.encoders, *(f"tu-{model}" for model in timm.list_models())]
    raise ValueError(
        _wrong_choice("MODEL.ENCODER_NAME", name, names)
        + "; an encoder is one of segmentation_models_pytorch, or 'tu-' and a timm model"
    )


def _is_timm_name(name: str) -> bool:
    return timm.is_model(name) and ("." not in name or timm.models.is_model_pretrained(name))


def _check_weights_name(encoder_name: str, weights: str) -> None:
    if encoder_name.startswith("tu-"):
        names = ["imagenet"] if timm.models.is_model_pretrained(encoder_name[3:]) else []
    else:
        names = list(smp.encoders.encoders[encoder_name]["pretrained_settings"])
    if weights not in names:
        raise ValueError(
            f"MODEL.ENCODER_WEIGHTS is {weights!r}; for encoder {encoder_name!r} choose one of {names}, or set "
            f"{WITHOUT_DOWNLOAD}"
        )


def _any_size(network: Callable[..., nn.Module], encoder_name: str) -> dict[str, bool | int]:
    """What makes a timm encoder take patches of any size on the raster."""
    name = encoder_name.removeprefix("tu-")
    if not encoder_name.startswith("tu-"):
        return {}
    if timm.models.is_model_in_modules(name, ("swin_transformer", "swin_transformer_v2")):
        return {"strict_img_size": False}
    if network is not smp.DPT or not timm.models.is_model_in_modules(name, ("vision_transformer", "deit", "eva")):
        return {}
    side = re.search(r"patch(\d+)", name)
    resampled = {"patch_size": 16} if side and RASTER % int(side[1]) else {}  # 14 pixels, as of DINOv2
    return {"dynamic_img_size": True} | resampled


def _is_file(weights: str) -> bool:
    return Path(weights).suffix in WEIGHT_SUFFIXES or os.sep in weights or "/" in weights


def _check_weight_file(path: Path) -> None:
    if path.suffix not in WEIGHT_SUFFIXES:
        raise ValueError(f"{path} is no weight file; its name must end in one of {list(WEIGHT_SUFFIXES)}")
    if not path.is_file():
        raise ValueError(f"{path} does not exist; set {WITHOUT_DOWNLOAD}")


def _normalised(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.split(".", 1)[1]
    return key.replace(".", "_")


def _strip_unknown_prefixes(key: str, own: Iterable[str]) -> str:
    while key not in own and key.startswith(("module.", "model.")):
        key = key.split(".", 1)[1]
    return key


def _under_all_names(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state in which a tensor that the network holds under several names, and the file under one, has all of them."""
    given = {id(value): state[key] for key, value in own.items() if key in state}
    missing = {key: given[id(value)] for key, value in own.items() if key not in state and id(value) in given}
    return state | missing


def _class_count_hint(reshaped: list[str], state: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    last_layer = list(own)[-1].rpartition(".")[0]
    if any(key.rpartition(".")[0] != last_layer for key in reshaped):
        return ""
    given, wanted = state[reshaped[-1]].shape[0], own[reshaped[-1]].shape[0]
    return f"; the file is for {given} classes, the network for {wanted}: set DATASETS.CLASSES to the file's"


def _wrong_choice(key: str, value: str, choices: Iterable[str]) -> str:
    """What is wrong, and the nearest right names; all of them if they are few and none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(value.lower(), by_lower, n=SHOWN, cutoff=0.5)
    shown = [by_lower[name] for name in near] or list(by_lower.values())
    if len(shown) > SHORT_LIST:
        return f"{key} is {value!r}; no name is like it"
    return f"{key} is {value!r}; choose one of {shown}"


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


ARCHITECTURES: dict[str, Builder] = {
    "UneXt101": partial(_build_fixed_unext, "resnext101_32x16d"),
    "UneXt50": partial(_build_fixed_unext, "resnext50_32x4d"),
    "UneXt18": partial(_build_fixed_unext, "resnet18"),
    "UneXt": _build_unext,
    "BrainUnet": _build_brain_unet,
    **{network.__name__: partial(_build_smp, network) for network in smp.MODEL_ARCHITECTURES_MAPPING.values()},
}
