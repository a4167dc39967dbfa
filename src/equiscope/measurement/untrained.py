"""What a randomly initialised network needs before it is measured: statistics to normalise by."""

from collections.abc import Iterator

from torch import Tensor, nn

from equiscope.functional.transformations import Frame
from equiscope.images.batches import Images, count_of, from_place, of_size, same_again
from equiscope.networks.statistics import estimated, normalising

MOST_IMAGES = 512  # whose statistics are those of all


def estimated_on(network: nn.Module, images: Images, frame: Frame, batch_size: int) -> int:
    """Estimate the network's normalisation statistics on the first images; how many, 0 where it has none.

    ValueError where the images cannot be gone over again.
    """
    if not normalising(network):
        return 0
    if not same_again(images):
        raise ValueError(
            "A randomly initialised network needs images that can be gone over again, to estimate its normalisation "
            "statistics first; give a tensor, a Dataset or a DataLoader that does not shuffle."
        )

    def batches() -> Iterator[Tensor]:
        for batch in of_size(from_place(images, 0, MOST_IMAGES), _even(count_of(images), batch_size)):
            yield frame.original(batch)

    return estimated(network, batches())


def _even(count: int | None, most: int) -> int:
    """The size of batches that are about alike.

    >>> _even(48, 32), _even(1000, 64), _even(None, 32)
    (24, 64, 32)
    """
    if count is None:
        return most
    count = min(count, MOST_IMAGES)
    return -(-count // -(-count // most))
