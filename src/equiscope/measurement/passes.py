"""Forward passes of a network over images and their transformed copies."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equiscope.functional.transformations import Frame, Transformation
from equiscope.images.batches import of_size
from equiscope.measurement.recording import LayerScale, Recorder
from equiscope.networks.features import called, reading
from equiscope.networks.layers import Layers
from equiscope.networks.placement import floating_type
from equiscope.networks.trace import failure, out_of_memory
from equiscope.system.progress import Progress

SCALED_ON = 4  # images


@dataclass(frozen=True)
class ForwardPasses:
    """Forward passes of a network over images and their transformed copies, watched by a recorder."""

    network: nn.Module
    view: Frame
    place: torch.device
    batch_size: int
    precision: str

    def __call__(
        self,
        batches: Iterable[Tensor],
        transformations: Sequence[Transformation],
        found: Layers,
        recorder: Recorder,
        bar: Progress,
        *,
        before: Tensor | None = None,
        after: Callable[[Tensor], None] = lambda _: None,
    ) -> None:
        """Go over the images; `before` is the one before the first, `after` is told each batch's last."""
        plan = _sharing(transformations, self.batch_size)
        sources = {layer.name: layer.source for layer in found.measured}
        with reading(self.network, sources, recorder.receive):
            if before is not None:
                self._look_at(before.repeat(2, 1, 1, 1), recorder)
                recorder.leave_images()
            for batch in of_size(batches, max(1, self.batch_size // (1 + len(plan[0])))):
                images = batch.to(self.place, floating_type(self.network))
                for chosen in plan:
                    turned = [self.view.under(transformation, images) for transformation in chosen]
                    recorder.expect(len(images), chosen, first=chosen is plan[0])
                    self._forward(torch.cat([self.view.still(images), *turned]), recorder)
                recorder.next_images()
                bar.advance(len(images))
                after(batch[-1:])

    def scales(self, images: Tensor, found: Layers) -> dict[str, float]:
        """What the features of layers are to be multiplied by, found from the first of the images, where not 1."""
        records = {layer.name: LayerScale(layer) for layer in found.measured}
        some = images[: max(1, min(SCALED_ON, self.batch_size))]
        recorder = Recorder(records)
        with reading(self.network, {layer.name: layer.source for layer in found.measured}, recorder.receive):
            self._look_at(some if len(some) > 1 else some.repeat(2, 1, 1, 1), recorder)
        return {name: record.scale for name, record in records.items() if record.scale != 1}

    def _look_at(self, images: Tensor, recorder: Recorder) -> None:
        """Let the recorder have images as they are; not one alone, for a network may not take that."""
        recorder.expect(len(images), (), first=False)
        images = images.to(self.place, floating_type(self.network))
        self._forward(self.view.still(images).clone(), recorder)  # which the network may change

    def _forward(self, images: Tensor, recorder: Recorder) -> None:
        """A forward pass; what goes wrong is told in a sentence, of ours or of the network's."""
        lower = self.precision == "bfloat16"
        try:
            with torch.autocast(self.place.type, torch.bfloat16, enabled=lower):
                called(self.network, images)
            recorder.check()
        except Exception as error:  # the user's network may raise anything
            if recorder.error is None and out_of_memory(error):
                raise
            raise recorder.error or failure(images.shape[1:], error) from error


def _sharing(transformations: Sequence[Transformation], batch_size: int) -> list[Sequence[Transformation]]:
    """Which transformations share a forward pass, so that an image and its copies are at most `batch_size`."""
    at_once = max(1, batch_size - 1)
    passes = -(-len(transformations) // at_once)
    size = -(-len(transformations) // passes)
    return [transformations[start : start + size] for start in range(0, len(transformations), size)]
