"""Equivariance during training with Lightning."""

import pytest
import torch
from torch import nn

import equiscope as es

lightning = pytest.importorskip("lightning")
from equiscope.integrations.lightning import EquivarianceCallback  # noqa: E402  (which needs lightning)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def images():
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.filterwarnings("ignore")  # Lightning's own, of loaders and of this machine
def test_a_module_is_measured_after_every_so_many_epochs_and_logged(images, tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    callback = EquivarianceCallback(images, es.rotations(), every=2, network="network", layers=["0", "5"])
    trainer = lightning.Trainer(
        max_epochs=4, logger=CSVLogger(tmp_path), callbacks=[callback], accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    labelled = torch.utils.data.TensorDataset(images, torch.arange(24) % 3)
    module = Module()
    trainer.fit(module, torch.utils.data.DataLoader(labelled, batch_size=8))
    assert set(callback.table["epoch"]) == {2, 4}
    last = callback.table[callback.table["epoch"] == 4].set_index(["measure", "part"])[["score", "explained"]]
    assert {part for _, part in last.index} == {"early", "final"}
    for name, (measure, part), column in (
        ("equivariance/rotations/dataset/early", ("equivariance", "early"), "score"),
        ("explained/invariance/rotations/dataset/final", ("invariance", "final"), "explained"),
    ):
        assert trainer.callback_metrics[name].item() == pytest.approx(last.loc[(measure, part), column], abs=1e-6)
        assert name in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    now = es.scores_at(module.network, images, 4, es.rotations(), layers=["0", "5"]).set_index(["measure", "part"])
    assert last["score"].to_dict() == pytest.approx(now["score"].to_dict())
    again = EquivarianceCallback(images)
    again.load_state_dict(callback.state_dict())
    assert again.table.equals(callback.table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every=0 is not usable: it must be a positive number of epochs"),
        ({"run": es.Run(distributed=True)}, "distributed=True is not for the callback: only the first process"),
    ],
)
def test_what_it_cannot_do_is_refused_when_it_is_given(images, options, message):
    with pytest.raises(ValueError, match=message):
        EquivarianceCallback(images, es.rotations(), **options)
