"""The UneXt family: any encoder in stages, dilated context, a pixel-shuffle decoder and a feature pyramid.

UneXt101 takes the published weights by their names and gives the same output; its tests hold every width.
"""

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.encoders.resnet import ResNetEncoder
from torch import Tensor, nn

STRIDE = 32  # sides of an input are multiples of this
DILATIONS = (1, 2, 3, 4)
CONTEXT_GROUPS = 4
FULL_WIDTH = 256
PYRAMID_HIDDEN = 32
PYRAMID_OUT = 16


class WeightNormConv(nn.Module):
    """1x1 convolution whose weight is a length times a direction: g * v / |v| (Salimans and Kingma, 2016).

    Started by ICNR (Aitken et al., 2017): each group of `shuffle` ** 2 output channels, which a pixel shuffle lays
    side by side, has one kernel, so that the shuffled picture starts without a checkerboard.
    """

    def __init__(self, in_channels: int, out_channels: int, shuffle: int = 2):
        super().__init__()
        self.weight_g = nn.Parameter(torch.empty(out_channels, 1, 1, 1))
        self.weight_v = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self._initialise(shuffle)

    @torch.no_grad()
    def _initialise(self, shuffle: int) -> None:
        kernels = nn.init.kaiming_normal_(self.weight_v[:: shuffle**2].clone(), nonlinearity="relu")
        self.weight_v.copy_(kernels.repeat_interleave(shuffle**2, dim=0))
        self.weight_g.copy_(self._lengths())

    def _lengths(self) -> Tensor:
        return torch.linalg.vector_norm(self.weight_v, dim=(1, 2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        return F.conv2d(x, self.weight_v * (self.weight_g / self._lengths()), self.bias)


class ContextBranch(nn.Module):
    """One dilated view of the deepest features: convolution without bias, batch norm, relu."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int | None = None):
        super().__init__()
        self.atrous_conv = (
            nn.Conv2d(in_channels, out_channels, 1, bias=False)
            if dilation is None
            else nn.Conv2d(
                in_channels, out_channels, 3, padding=dilation, dilation=dilation, groups=CONTEXT_GROUPS, bias=False
            )
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        return F.relu(self.bn(self.atrous_conv(x)))


class Context(nn.Module):
    """Context at several dilations and of the whole patch (its maximum), as in DeepLab (Chen et al., 2017)."""

    def __init__(self, in_channels: int, mid_channels: int, out_channels: int):
        super().__init__()
        self.aspps = nn.ModuleList(ContextBranch(in_channels, mid_channels, d) for d in (None, *DILATIONS))
        self.global_pool = nn.Sequential(
            nn.AdaptiveMaxPool2d(1),
            nn.Conv2d(in_channels, mid_channels, 1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(),
        )
        self.out_conv = nn.Sequential(
            nn.Conv2d(mid_channels * (2 + len(DILATIONS)), out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        whole = F.interpolate(self.global_pool(x), size=x.shape[2:], mode="bilinear", align_corners=True)
        return self.out_conv(torch.cat([whole, *(branch(x) for branch in self.aspps)], dim=1))


class DecoderBlock(nn.Module):
    """Doubles the size by a pixel shuffle, joins the encoder's features, if there are any, and convolves twice."""

    def __init__(self, up_channels: int, skip_channels: int, out_channels: int):
        super().__init__()
        half = up_channels // 2
        self.shuf = nn.Sequential(
            nn.Sequential(WeightNormConv(up_channels, 4 * half), nn.ReLU()),
            nn.PixelShuffle(2),
        )
        self.bn = nn.BatchNorm2d(skip_channels) if skip_channels else None
        self.conv1 = _conv_relu(half + skip_channels, out_channels)
        self.conv2 = _conv_relu(out_channels, out_channels)

    def forward(self, up: Tensor, skip: Tensor) -> Tensor:
        """Map (N, up, H, W) and (N, skip, 2H, 2W) to (N, out, 2H, 2W)."""
        shuffled = self.shuf(up)
        joined = torch.cat([shuffled, self.bn(skip)], dim=1) if self.bn else shuffled
        return self.conv2(self.conv1(F.relu(joined)))


class Pyramid(nn.Module):
    """Brings features of several depths to the size of the shallowest decoder output, few channels each."""

    def __init__(self, in_channels: list[int]):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, PYRAMID_HIDDEN, 3, padding=1),
                nn.ReLU(),
                nn.BatchNorm2d(PYRAMID_HIDDEN),
                nn.Conv2d(PYRAMID_HIDDEN, PYRAMID_OUT, 3, padding=1),
            )
            for channels in in_channels
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map features, deepest first, the last at half the size wanted, to maps (N, 16, H, W) of one size."""
        scales = (2 ** (len(features) - i) for i in range(len(features)))
        return [
            F.interpolate(conv(feature), scale_factor=scale, mode="bilinear", align_corners=False)
            for conv, feature, scale in zip(self.convs, features, scales, strict=True)
        ]


def context_width(deepest_channels: int) -> int:
    """Channels of a context branch: a quarter of the encoder's deepest features, at most 256, a multiple of 8."""
    return min(FULL_WIDTH, max(8, deepest_channels // 4 // 8 * 8))


class UneXt(nn.Module):
    """Segments (N, C, H, W) pictures, sides multiples of 32, into logits (N, classes, H, W).

    `encoder` is one of segmentation_models_pytorch, which gives a list of features, and has their channels in the list
    `out_channels` (entry i: at 1 / 2 ** i of the size). A ResNet or ResNeXt is taken apart into enc0 to enc4, as in the
    published weights; any other is the child `encoder`. One that has nothing at half the size says 0 channels there.
    Widths follow from `width`, the channels of a context branch, a multiple of 8: context gives 2 * width, the decoder
    width, width / 2, width / 4, width / 8, each pyramid level 16. By default it is a quarter of the encoder's deepest
    channels, at most 256: 2048 channels (ResNet-50 and larger, all ResNeXts) give the 256 of UneXt101, and 512
    (ResNet-18, ResNet-34) give 128.
    """

    def __init__(self, encoder: nn.Module, classes: int = 1, width: int | None = None):
        super().__init__()
        _, stem, quarter, eighth, sixteenth, deepest = encoder.out_channels
        width = context_width(deepest) if width is None else width
        outs = [width, width // 2, width // 4, width // 8]
        self._take(encoder)
        self.aspp = Context(deepest, width, 2 * width)
        self.drop_aspp = nn.Dropout2d(0.5)
        self.dec4 = DecoderBlock(2 * width, sixteenth, outs[0])
        self.dec3 = DecoderBlock(outs[0], eighth, outs[1])
        self.dec2 = DecoderBlock(outs[1], quarter, outs[2])
        self.dec1 = DecoderBlock(outs[2], stem, outs[3])
        self.fpn = Pyramid([2 * width, *outs[:3]])
        self.drop = nn.Dropout2d(0.1)
        self.final_conv = nn.Sequential(nn.Conv2d(4 * PYRAMID_OUT + outs[3], classes, 1))
        for part in (self.aspp, self.dec4, self.dec3, self.dec2, self.dec1, self.fpn, self.final_conv):
            part.apply(_initialise)

    def _take(self, encoder: nn.Module) -> None:
        """Keep the encoder, under the names of the published weights where it has these parts."""
        if not isinstance(encoder, ResNetEncoder):
            self.encoder = encoder
            return
        self.enc0 = nn.Sequential(encoder.conv1, encoder.bn1, encoder.relu)
        self.enc1 = nn.Sequential(encoder.maxpool, encoder.layer1)
        self.enc2, self.enc3, self.enc4 = encoder.layer2, encoder.layer3, encoder.layer4

    def _encode(self, x: Tensor) -> list[Tensor]:
        """Features at 1 / 2 to 1 / 32 of the size."""
        if hasattr(self, "encoder"):
            return self.encoder(x)[1:]
        features = [self.enc0(x)]
        for part in (self.enc1, self.enc2, self.enc3, self.enc4):
            features.append(part(features[-1]))
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to logits (N, classes, H, W)."""
        _check_size(x)
        enc0, enc1, enc2, enc3, enc4 = self._encode(x)
        context = self.aspp(enc4)
        dec4 = self.dec4(self.drop_aspp(context), enc3)
        dec3 = self.dec3(dec4, enc2)
        dec2 = self.dec2(dec3, enc1)
        dec1 = self.dec1(dec2, enc0)
        joined = torch.cat([*self.fpn([context, dec4, dec3, dec2]), dec1], dim=1)
        logits = self.final_conv(self.drop(joined))
        return F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)


def _conv_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU())


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_size(x: Tensor) -> None:
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return  # sizes may be symbols then
    if any(side % STRIDE for side in x.shape[2:]):
        raise ValueError(f"input is {tuple(x.shape)}; UneXt wants sides that are multiples of {STRIDE}: pad or resize")
