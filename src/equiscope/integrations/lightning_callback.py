"""Equivariance during training with Lightning; needs `pip install "equiscope[lightning]"`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from equiscope.functional.transformations import Family, Transformation
from equiscope.images.batches import Images
from equiscope.integrations.during_training import logged, scores_at


class EquivarianceCallback(Callback):
    """Measures the module after every so many epochs, and logs the scores of its parts to whatever logger there is.

    The names are as in `scores_at`, such as `equivariance/rotations/dataset/early`, so that a checkpoint or an early
    stop can watch them. Only the first process measures.

        Trainer(callbacks=[EquivarianceCallback(images, es.rotations(), every=5)])

    Attributes:
        rows: What was measured so far, which a checkpoint of Lightning's keeps; see `table`.
    """

    def __init__(
        self,
        images: Images,
        transformations: Family | Transformation | Sequence[Any],
        *,
        every: int = 1,
        network: str | None = None,
        **options: Any,
    ) -> None:
        """`network` names the submodule to measure where the module itself is more; `options` are `measure`'s."""
        if every < 1:
            raise ValueError(f"every={every} is no number of epochs; give at least 1.")
        self._images, self._transformations, self._every = images, transformations, every
        self._network, self._options = network, options
        self.rows: list[dict[str, Any]] = []

    @property
    def table(self) -> pd.DataFrame:
        """The scores of all epochs so far, as `plot_epochs` takes them."""
        return pd.DataFrame(self.rows)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, where it is time to, and log."""
        epoch = trainer.current_epoch + 1
        if epoch % self._every or not trainer.is_global_zero:
            return
        model = pl_module.get_submodule(self._network) if self._network else pl_module
        table = scores_at(model, self._images, epoch, transformations=self._transformations, **self._options)
        self.rows += [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        pl_module.log_dict(logged(table), rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        """What was measured so far, for Lightning's checkpoints."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = list(state_dict["rows"])
