"""Other measures of invariance, as the tools that they are known from define them, in one table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from equiscope.functional.affine import rotations
from equiscope.functional.lie_derivative import VELOCITIES, local_error, tangent
from equiscope.functional.outputs import agreement, cropped, divergence, rolled
from equiscope.functional.statistics import (
    LEAST_IMAGES,
    Array,
    jackknife_half_width,
    percentile_interval,
    resample_counts,
    resampled_means,
)
from equiscope.functional.transformations import Family, Frame, Transformation, frame
from equiscope.functional.variance_ratio import Spread
from equiscope.images.batches import Images, count_of, of_size, opened
from equiscope.images.hugging_face import adopted
from equiscope.measurement.options import check_whole
from equiscope.measurement.plan import (
    Transformations,
    check_sizes,
    distinct_of,
    families_of,
    fitting_batch_size,
    probe,
)
from equiscope.measurement.untrained import estimated_on
from equiscope.networks.derivative import derivative_of
from equiscope.networks.failures import failure
from equiscope.networks.features import unwrapped
from equiscope.networks.layers import Layer, layers_of
from equiscope.networks.loading import Network, preprocessing_of
from equiscope.networks.options import Layers
from equiscope.networks.placement import floating_types, placed
from equiscope.networks.probe import features_of
from equiscope.networks.state import left_as_found, without_hooks
from equiscope.results.columns import METRIC_COLUMNS, METRICS
from equiscope.system.errors import OptionError, known, out_of_memory
from equiscope.system.progress import Progress, shown

PAIRS = 5  # of random crops, and of random rolls, of each image
REACH = 7  # which part of the network's input crops and rolls move by, and less: 32 of 224 pixels


def metrics(
    model: nn.Module | Network,
    images: Images,
    transformations: Transformations | None = None,
    *,
    larger: Images | None = None,
    only: str | Sequence[str] | None = None,
    layers: str | Sequence[str] | Layers | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> pd.DataFrame:
    """Four other measures of invariance: agreement, divergence, Lie derivative, variance ratio; a row each.

    - `agreement`: the share of images of which the network's first class is that of the image transformed; with the
      transformations `rolls` and `crops`, that of two random ones of an image, as in antialiased-cnns.
    - `divergence`: the Kullback-Leibler divergence of the class probabilities of the image from those of the image
      transformed, in nats.
    - `lie_derivative`: the local equivariance error of the class probabilities under `x`, `y`, `rotation` and `scale`,
      as in lie-deriv.
    - `variance_ratio`, of each layer and family: how much its units vary over the transformations and the identity,
      relative to how much they vary over images, as in tmeasures.

    Of a network for dense outputs, such as segmentation, agreement and divergence are means over the valid positions of
    the output map, which is that of the image, transformed; there are no rolls, crops or Lie derivatives.

    Args:
        model: A network whose final vector or map has a value for each class; otherwise as for `measure`.
        images: As for `measure`.
        transformations: As for `measure`.
        larger: Images that exceed the network's input, of which random crops are taken: of 256 x 256 pixels for a
            network of 224 x 224. None: no crops.
        only: Which of the four, as a list or a text such as "agreement,divergence"; None: all.
        layers: Those of the variance ratio, as for `measure`.
        batch_size: As for `measure`.
        device: As for `measure`.
        seed: The seed of crops, rolls and the bootstrap.
        progress: As for `measure`.

    Returns:
        Columns `metric`, `transformation`, `layer`, `value`, `low`, `high`, `images`. A value is the mean over images
        (a variance ratio: over units), with its 95 % confidence interval by the bootstrap over images (a variance
        ratio: by the jackknife over ten groups of images); NaN under 20 images.

    Raises:
        ValueError: In one sentence, where something given cannot be measured.
    """
    network = model.model if isinstance(model, Network) else model
    asked = _Asked.of(model, transformations, only, layers, batch_size, seed)
    images = adopted(images, partial(preprocessing_of, model))
    with left_as_found(network, device), placed(network, device) as place:
        return _measured(unwrapped(network), images, larger, asked, place, progress)


@dataclass(frozen=True)
class _Asked:
    """What is asked for, checked."""

    families: list[Family]
    wanted: list[str]
    layers: Layers
    batch_size: int | None
    seed: int
    untrained: bool

    @classmethod
    def of(
        cls, model: nn.Module | Network, transformations: Transformations | None, only: str | Sequence[str] | None,
        layers: str | Sequence[str] | Layers | None, batch_size: int | None, seed: int,
    ) -> "_Asked":  # fmt: skip
        """The same, of what `metrics` was given. ValueError where that is not known."""
        families = families_of(rotations() if transformations is None else transformations)
        names = only.split(",") if isinstance(only, str) else METRICS if only is None else only
        wanted = [known("only", one, METRICS) for one in names]
        check_whole("seed", seed, 0, "it must be 0 or more")
        if batch_size is not None:
            check_whole("batch_size", batch_size, 1, "it must be a positive number of images")
        families = [] if wanted == ["lie_derivative"] else families
        whose, untrained = Layers.of(layers), False
        if isinstance(model, Network):
            whose, untrained = model.with_layers(whose), model.random
        return cls(families, wanted, whose, batch_size, seed, untrained)


def _measured(
    network: nn.Module, images: Images, larger: Images | None, asked: _Asked, place: torch.device,
    progress: bool | Progress | None,
) -> pd.DataFrame:  # fmt: skip
    """The table of a network that is being evaluated."""
    shape, batches = opened(images)
    members = distinct_of(asked.families)
    view = frame((shape[1], shape[2]), members)
    its = (shape[0], view.height, view.width)
    check_sizes(its, members)
    size = asked.batch_size or fitting_batch_size(view)
    if asked.untrained:
        estimated_on(network, images, view, size)
    first = next(batches)
    read = _Network.of(network, its, asked.layers, size).probed(view, first.to(place))
    if not read.final.vector and asked.wanted == ["lie_derivative"]:
        raise OptionError("{only}lie_derivative is of a final vector, and this network's output is a map.")
    larger = larger if "agreement" in asked.wanted and read.final.vector else None
    wider = _larger_than(view, larger)
    counts = [count_of(one) for one in (images, larger) if one is not None]
    collected = _Collected(asked.wanted, asked.families, view, torch.Generator().manual_seed(asked.seed))
    bar_of = shown(progress, None if None in counts else sum(filter(None, counts)))
    with bar_of as bar, without_hooks(network, unless=read.hooks_matter):
        for batch in of_size(chain([first], batches), max(1, size // (1 + len(members)))):
            collected.add(read, batch.to(place, read.type))
            bar.advance(len(batch))
        for batch in of_size(wider, size):
            collected.add_crops(read, batch.to(place, read.type))
            bar.advance(len(batch))
    return collected.table(asked.seed)


def _larger_than(view: Frame, larger: Images | None) -> Iterable[Tensor]:
    """The images that crops are taken of; none where there are none. ValueError where they are too small."""
    if larger is None:
        return ()
    (_, height, width), batches = opened(larger)
    if height <= view.height or width <= view.width:
        raise OptionError(
            "{larger}images of {given} leave no room for crops of {window}; give larger ones, such as {fit}.",
            given=f"{height} x {width}", window=f"{view.height} x {view.width}",
            fit=f"{view.height + view.height // REACH} x {view.width + view.width // REACH}",
        )  # fmt: skip
    return batches


@dataclass(frozen=True)
class _Network:
    """A network that is asked for the features of layers and for its final vector or map."""

    network: nn.Module
    layers: tuple[Layer, ...]
    final: Layer
    size: int  # images in a forward pass
    type: torch.dtype
    hooks_matter: bool = True

    @classmethod
    def of(cls, network: nn.Module, shape: tuple[int, int, int], layers: Layers, size: int) -> "_Network":
        """The network with its layers, for images of a shape. ValueError where it has no final vector or map."""
        whole = layers_of(network, shape, replace(layers, names=None)).measured
        final = [layer for layer in whole if layer.part == "final" and layer.channels > 1]
        if not final:
            raise ValueError("The network has no final vector or map of classes, of which these metrics are.")
        chosen = whole if layers.names is None else layers_of(network, shape, layers).measured
        return cls(network, chosen, final[-1], size, floating_types(network)[0])

    def probed(self, view: Frame, images: Tensor) -> "_Network":
        """The same, after a small probe; what makes metrics doubtful is warned of."""
        layers = dict.fromkeys((*self.layers, self.final))
        found = probe(self.network, view, list(layers), images)
        return replace(self, type=found.images_type, hooks_matter=found.hooks_matter)

    def features(self, images: Tensor, layers: Sequence[Layer]) -> dict[str, Tensor]:
        """The features of some layers, `[image, channel, row, column]`, and the final vector's."""
        sources = {layer.name: layer.source for layer in (*layers, self.final)}
        try:
            found = features_of(self.network, images, sources)
        except Exception as error:  # the user's network may raise anything
            if out_of_memory(error):
                raise
            raise failure(self.network, images, error) from error
        return {layer.name: layer.maps(found[layer.name]).float() for layer in (*layers, self.final)}

    def outputs(self, images: Tensor) -> Tensor:
        """The final vectors, `[image, class]`."""
        parts = [self.features(some, ())[self.final.name].flatten(1) for some in torch.split(images, self.size)]
        return torch.cat(parts)

    def derivative(self, images: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """The final vectors and their derivative along a direction, `[image, class]`."""
        try:
            found = derivative_of(self.network, images, direction, self.final.source)
        except Exception as error:  # of whatever kind an operation without a derivative raises
            if out_of_memory(error):
                raise
            others = ",".join(one for one in METRICS if one != "lie_derivative")
            told = (str(error).splitlines() or ["no message"])[0].rstrip(".")
            raise OptionError(
                "The network cannot be differentiated in forward mode ({kind}: {told}); leave the Lie derivative out "
                "with {only}{others!r}.",
                kind=type(error).__name__, told=told, others=others,
            ) from error  # fmt: skip
        outputs, derivative = (self.final.maps(one).float().flatten(1) for one in found)
        return outputs, derivative


class _Collected:
    """What the passes over the images come to."""

    def __init__(
        self, wanted: Sequence[str], families: Sequence[Family], view: Frame, generator: torch.Generator
    ) -> None:
        self._wanted, self._families, self._view, self._generator = wanted, families, view, generator
        self._of_images: dict[tuple[str, str], list[Tensor]] = {}  # by metric and transformation, `[image]` each
        self._spreads: dict[tuple[str, str], Spread] = {}  # by family and layer

    def add(self, network: _Network, images: Tensor) -> None:
        """Take in some images: as they are, transformed, rolled, and as they begin to move."""
        original, members = self._view.original(images), distinct_of(self._families)
        copies = [self._view.transformed(one, images) for one in members]
        layers = network.layers if "variance_ratio" in self._wanted else ()
        found = network.features(torch.cat([original, *copies]), layers)
        by_view = {name: maps.reshape(1 + len(members), len(images), -1) for name, maps in found.items()}
        plain, *moved = torch.split(found[network.final.name], len(images))
        for member, outputs in zip(members, moved, strict=True):
            sides = _compared(network.final, member, plain, outputs)
            if sides is not None:
                self._note("agreement", member.name, agreement(*sides))
                self._note("divergence", member.name, divergence(*sides))
        names = [member.name for member in members]
        for family in self._families:
            places = [0, *(1 + names.index(member.name) for member in family.transformations)]
            for layer in layers:
                self._spreads.setdefault((family.name, layer.name), Spread()).add(by_view[layer.name][places])
        if not network.final.vector:
            return
        if "agreement" in self._wanted:
            reach = (self._view.height // REACH, self._view.width // REACH)
            self._add_pairs(network, "rolls", [rolled(original, some) for some in self._offsets(len(images), reach)])
        if "lie_derivative" in self._wanted:
            for movement in VELOCITIES:
                error = local_error(*network.derivative(original, tangent(original, movement)))
                self._note("lie_derivative", movement, error)

    def add_crops(self, network: _Network, images: Tensor) -> None:
        """Take in some images that exceed the network's input, by pairs of random crops of them."""
        size = (self._view.height, self._view.width)
        room = (images.shape[-2] - size[0], images.shape[-1] - size[1])
        windows = [cropped(images, some, size) for some in self._offsets(len(images), room)]
        self._add_pairs(network, "crops", windows)

    def _offsets(self, images: int, reach: tuple[int, int]) -> Iterable[Tensor]:
        """Random offsets below `reach`, `[image, down and right]`, two for each pair, whatever the batches are."""
        drawn = torch.rand(images, 2 * PAIRS, 2, generator=self._generator, dtype=torch.float64)
        return (drawn * torch.tensor(reach)).long().unbind(1)

    def _add_pairs(self, network: _Network, name: str, views: Sequence[Tensor]) -> None:
        """Take in how often the two views of a pair have the same class."""
        outputs = [network.outputs(one) for one in views]
        same = [agreement(one, other) for one, other in zip(outputs[::2], outputs[1::2], strict=True)]
        self._note("agreement", name, torch.stack(same).mean(0))

    def _note(self, metric: str, transformation: str, values: Tensor) -> None:
        if metric in self._wanted:
            self._of_images.setdefault((metric, transformation), []).append(values.double().cpu())

    def table(self, seed: int) -> pd.DataFrame:
        """All metrics, a row each, in the order of `METRICS`."""
        rows = []
        for (metric, transformation), parts in self._of_images.items():
            values = torch.cat(parts).numpy()
            rows.append([metric, transformation, None, float(values.mean()), *_interval(values, seed), len(values)])
        for (family, layer), spread in self._spreads.items():
            ratio = float(spread.ratio().mean())
            half = _half_width(spread)
            low, high = np.maximum(0, ratio - half), ratio + half
            rows.append(["variance_ratio", family, layer, ratio, low, high, spread.images])
        rows.sort(key=lambda row: METRICS.index(row[0]))
        return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def _half_width(spread: Spread) -> float:
    """Half the width of the jackknife's 95 % confidence interval of a mean ratio; NaN where images are few."""
    if spread.images < LEAST_IMAGES:
        return np.nan
    return float(jackknife_half_width(spread.left_out().cpu().numpy()))


def _compared(final: Layer, member: Transformation, plain: Tensor, moved: Tensor) -> tuple[Tensor, Tensor] | None:
    """The outputs of images, transformed, and of the images transformed; None where the map leaves that out."""
    if final.vector:
        return plain.flatten(1), moved.flatten(1)
    sampling = member.sampling(final.height, final.width, final.stride)
    if sampling is None or not sampling.positions:
        return None
    return sampling.expected(plain), sampling.found(moved)


def _interval(values: Array, seed: int) -> tuple[float, float]:
    """The bootstrap's 95 % confidence interval of a mean over images; NaN where they are few."""
    if len(values) < LEAST_IMAGES:
        return np.nan, np.nan
    low, high = percentile_interval(resampled_means(values[None], resample_counts(len(values), seed)))
    return float(low[0]), float(high[0])
