"""Equivariance during training: for a plain loop, and for Lightning."""

import pytest
import torch
from torch import nn

import equiscope as es


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


@pytest.fixture
def images():
    return torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_plain_loop_hears_of_every_part_and_trains_as_without_it(images):
    network, heard = model().train(), {}
    state, random = {name: value.clone() for name, value in network.state_dict().items()}, torch.get_rng_state()

    def log(name, value, epoch):
        heard[name, epoch] = value

    table = es.scores_at(network, images, 3, transformations=[es.rotations(), es.flips()], log=log)
    assert network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    whole = es.measure(network, images, transformations=[es.rotations(), es.flips()], intervals=False)
    parts = whole.table(by="part", transformation="flips").set_index("part")
    assert heard["equivariance/flips/dataset/early", 3] == pytest.approx(parts.loc["early", "equivariance"])
    assert heard["invariance-corrected/flips/dataset/final", 3] == pytest.approx(
        parts.loc["final", "invariance_corrected"]
    )
    assert all(value == value for value in heard.values())
    assert set(table["transformation"]) == {"rotations", "flips"}
    assert set(table["epoch"]) == {3}
    assert len(es.plot_epochs(table, corrected=True).axes) == 2


@pytest.mark.filterwarnings("ignore")  # Lightning's own, of loaders and of this machine
def test_a_lightning_module_is_measured_after_every_so_many_epochs_and_logged(images, tmp_path):
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.loggers import CSVLogger

    from equiscope.integrations.lightning_callback import EquivarianceCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = model()

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    logger = CSVLogger(tmp_path)
    callback = EquivarianceCallback(images, es.rotations(), every=2, network="network")
    trainer = lightning.Trainer(
        max_epochs=4, logger=logger, callbacks=[callback], accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, log_every_n_steps=1,
    )  # fmt: skip
    labelled = torch.utils.data.TensorDataset(images, torch.arange(24) % 3)
    trainer.fit(Module(), torch.utils.data.DataLoader(labelled, batch_size=8))
    assert set(callback.table["epoch"]) == {2, 4}
    last = callback.table[callback.table["epoch"] == 4].set_index(["measure", "scope", "part"])["score"]
    logged = trainer.callback_metrics["equivariance/rotations/dataset/early"]
    assert logged.item() == pytest.approx(last["equivariance", "dataset", "early"])
    assert "equivariance/rotations/dataset/early" in (tmp_path / "lightning_logs/version_0/metrics.csv").read_text()
    with pytest.raises(ValueError, match="every=0"):
        EquivarianceCallback(images, es.rotations(), every=0)
