"""What each augmentation does to a batch."""

import pytest
import torch
from torchvision.transforms import v2

from equiscope_studies.training.augmentation import (
    PADDING,
    TEACH_THE_ANSWER,
    augmented,
    crops,
    flips,
    randaugment_operations,
)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randint(256, (64, 3, 12, 12), dtype=torch.uint8), torch.arange(64) % 10


def test_crops_are_windows_of_the_padded_images_each_at_a_place_of_its_own(batch):
    images, _ = batch
    padded = torch.nn.functional.pad(images, (PADDING,) * 4)
    places = [(down, right) for down in range(2 * PADDING + 1) for right in range(2 * PADDING + 1)]
    found = []
    for image, larger in zip(crops(images), padded, strict=True):
        windows = [larger[:, down : down + 12, right : right + 12] for down, right in places]
        found.append(next(place for place, window in zip(places, windows, strict=True) if torch.equal(image, window)))
    assert len(set(found)) > 30


def test_flips_mirror_about_half_of_the_images(batch):
    images, _ = batch
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(flips(images), images, strict=True)]
    kept = [torch.equal(one, other) for one, other in zip(flips(images), images, strict=True)]
    assert 20 < sum(mirrored) < 44
    assert 20 < sum(kept) < 44


def test_cutmix_mixes_half_of_the_batches_and_labels_as_much_as_pixels(batch):
    images, labels = batch
    mixed = 0
    for _ in range(40):
        result, weights = augmented(images, labels, "cutmix", 10)
        if weights.ndim == 1:
            assert torch.equal(result, images)
            continue
        mixed += 1
        assert weights.sum(1).allclose(torch.ones(64))
        kept = (result == images).all(1).float().mean().item()
        same = torch.nn.functional.one_hot(labels, 10) == 1
        if not torch.equal(labels, labels.roll(1)):
            assert weights[same].mean().item() == pytest.approx(kept, abs=0.02)
    assert 10 < mixed < 30


def test_randaugment_draws_for_every_image_and_without_what_teaches_the_answer(batch):
    images, labels = batch
    result, _ = augmented(images[:1].expand(32, -1, -1, -1), labels[:32], "randaugment", 10)
    assert result.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in result}) > 8
    whole, without = (randaugment_operations(12, 12, names) for names in ((), TEACH_THE_ANSWER))
    names = v2.RandAugment._AUGMENTATION_SPACE
    assert len(whole) == 2 * len(names) and len(without) == len(whole) - 2 * len(TEACH_THE_ANSWER)
    assert set(TEACH_THE_ANSWER) <= set(names)


def test_randaugments_operations_are_torchvisions_and_treat_each_image_of_a_batch_by_itself(batch):
    images, _ = batch
    identity, *others = randaugment_operations(12, 12, ())
    assert torch.equal(identity(images), images)
    for operation in others:
        alone = torch.stack([operation(image) for image in images[:4]])
        assert torch.equal(operation(images)[:4], alone)
    torch.manual_seed(0)
    theirs = {v2.RandAugment(num_ops=1)(images[0]).numpy().tobytes() for _ in range(400)}
    assert theirs == {operation(images[0]).numpy().tobytes() for operation in (identity, *others)}


def test_augmentations_follow_one_another(batch):
    torch.manual_seed(3)
    both, _ = augmented(*batch, "crops+flips", 10)
    torch.manual_seed(3)
    assert torch.equal(both, flips(crops(batch[0])))
    with pytest.raises(ValueError, match="'turns' is not known"):
        augmented(*batch, "turns", 10)
