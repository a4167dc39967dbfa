"""Equivariance during training with Lightning; needs `pip install "equiscope[lightning]"`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from equiscope.images.batches import Images
from equiscope.integrations.during_training import logged, scores_at
from equiscope.measurement.options import Run, Scoring, check_whole
from equiscope.measurement.plan import Transformations
from equiscope.networks.options import Layers
from equiscope.system.errors import OptionError


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
        transformations: Transformations | None = None,
        *,
        every: int = 1,
        network: str | None = None,
        layers: str | Sequence[str] | Layers | None = None,
        scoring: Scoring | None = None,
        run: Run | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        """`network` names the submodule to measure where the module itself is more; all else is as for `scores_at`."""
        check_whole("every", every, 1, "it must be a positive number of epochs")
        if run is not None and run.distributed:
            raise OptionError("{distributed}True is not for the callback: only the first process measures.")
        self._images, self._transformations, self._every, self._network = images, transformations, every, network
        self._options: dict[str, Any] = {
            "layers": layers, "scoring": scoring, "run": run, "batch_size": batch_size, "device": device,
        }  # fmt: skip
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
        table = scores_at(model, self._images, epoch, self._transformations, **self._options)
        self.rows += [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
        pl_module.log_dict(logged(table), rank_zero_only=True)

    def state_dict(self) -> dict[str, Any]:
        """What was measured so far, for Lightning's checkpoints."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.rows = list(state_dict["rows"])
