"""TensorBoard's HPARAMS page: one session for each run, in the run's own event file, resumed or not."""

import json
import re
import signal
from types import SimpleNamespace

import pytest
import yaml
from helpers import config_of
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.data.provider import RunTagFilter
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups, metadata

from gan_lab.launch import launch
from gan_lab.training.hparams import flat, main_settings
from gan_lab.training.trainer import Trainer

STEPS = "trainer.steps=4", "trainer.log_every=1", "trainer.sample_every=4", "trainer.checkpoint_every=2"


class Page:
    """What TensorBoard finds below a directory."""

    def __init__(self, place):
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(place))
        multiplexer.Reload()
        self.provider = MultiplexerDataProvider(multiplexer, str(place))
        context = backend_context.Context(SimpleNamespace(data_provider=self.provider, multiplexer=multiplexer))
        content = context.hparams_metadata(RequestContext(), "", RunTagFilter())
        self.tags = {run: sorted(tags) for run, tags in content.items()}
        self.experiment = context.experiment_from_metadata(
            RequestContext(), "", True, content, context.hparams_from_data_provider(RequestContext(), "", 100)
        )
        request = api_pb2.ListSessionGroupsRequest(
            allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING],
            col_params=[api_pb2.ColParams(metric=info.name) for info in self.experiment.metric_infos],
            slice_size=100,
            include_metrics=True,
        )
        handler = list_session_groups.Handler(RequestContext(), context, "", request)
        self.groups = list(handler.run().session_groups)

    def sessions(self):
        """The settings of each session, by the name of its run."""
        return {group.sessions[0].name: {k: value(v) for k, v in group.hparams.items()} for group in self.groups}

    def metrics(self):
        """The last value of each scalar of the first session."""
        return {entry.name.tag: entry.value for entry in self.groups[0].metric_values}


def value(proto):
    return proto.string_value if proto.HasField("string_value") else proto.number_value


@pytest.fixture
def run(tmp_path):
    """A finished run of four steps, with the files that Hydra would leave in it."""
    folder = tmp_path / "logs" / "run"
    (folder / ".hydra").mkdir(parents=True)
    choices = {"model": "gan", "loss": "wgan_gp", "dataset": "digits", "experiment": None, "hydra/launcher": "basic"}
    callbacks = {"gan_lab": {"swept": ["loss", "optimizer.betas", "trainer.clip"]}}
    hydra = {"hydra": {"runtime": {"choices": choices}, "callbacks": callbacks}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(hydra))
    launch.train(config_of(*STEPS), folder)
    return folder


def test_a_run_is_one_session_with_its_settings_and_its_last_scalars(run):
    page = Page(run.parent)
    assert page.tags == {"run": sorted([metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG])}
    (settings,) = page.sessions().values()
    assert settings == {
        "model": "gan",
        "loss": "wgan_gp",
        "dataset": "digits",
        "experiment": "none",
        "seed": 0.0,
        "trainer.steps": 4.0,
        "trainer.batch_size": 8.0,
        "optimizer.lr": config_of()["optimizer"]["lr"],
        "optimizer.betas": ", ".join(map(str, config_of()["optimizer"]["betas"])),
        "trainer.clip": "none",
    }
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    loss = "loss/generator/adversarial"
    assert page.metrics()["Losses/generator/adversarial"] == pytest.approx(metrics[loss], rel=1e-5)
    assert page.groups[0].sessions[0].status == api_pb2.STATUS_SUCCESS


def times_told(run, tag):
    """How often a tag stands in the event files of a run."""
    events = [event for file in run.glob("events.*") for event in EventFileLoader(str(file)).Load()]
    return sum(value.tag == tag for event in events for value in event.summary.value)


def test_a_resumed_run_is_still_one_session(run):
    launch.train(config_of(*STEPS, "trainer.steps=6"), run, resume=True)
    assert len(list(run.glob("events.*"))) == 2 and times_told(run, metadata.SESSION_START_INFO_TAG) == 1
    page = Page(run.parent)
    assert list(page.tags) == ["run"] and len(page.groups) == len(page.groups[0].sessions) == 1
    assert page.sessions()["run"]["trainer.steps"] == 4.0
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    assert page.metrics()["progress/images"] == metrics["progress/images"] == 48


def test_runs_that_vary_different_settings_are_listed_with_all_of_them(run):
    launch.train(config_of(*STEPS, "seed=1", "loss=hinge"), run.parent / "other")
    page = Page(run.parent)
    assert page.sessions()["other"]["seed"] == 1.0 and page.sessions()["other"]["loss"] == "Hinge"
    assert {"optimizer.betas", "seed", "optimizer"} <= {info.name for info in page.experiment.hparam_infos}


def test_a_stopped_run_has_no_end_until_it_is_finished(tmp_path, monkeypatch):
    played = Trainer.round

    def stop_at_four(self):
        played(self)
        if self.step == 4:  # the rounds that measure a step's time do not come so far
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Trainer, "round", stop_at_four)
    assert launch.train(config_of(*STEPS, "trainer.steps=6"), tmp_path / "logs" / "run")["status"] == "stopped"
    assert Page(tmp_path / "logs").tags == {"run": [metadata.SESSION_START_INFO_TAG]}
    monkeypatch.undo()
    launch.train(config_of(*STEPS, "trainer.steps=6"), tmp_path / "logs" / "run", resume=True)
    assert metadata.SESSION_END_INFO_TAG in Page(tmp_path / "logs").tags["run"]


def test_settings_of_every_kind_become_texts_and_numbers():
    kinds = {True: "true", None: "none", 3: 3, 0.5: 0.5, "x": "x", (): "none", ("a", 2): "a, 2"}
    for kind, said in kinds.items():
        assert flat(list(kind) if isinstance(kind, tuple) else kind) == said


def test_without_hydras_files_a_part_is_known_by_its_class(tmp_path):
    settings = main_settings(config_of("loss=wgan_gp"), tmp_path)
    assert (settings["model"], settings["loss"], settings["optimizer"]) == ("GAN", "Wasserstein", "Adam")


def test_figures_and_losses_come_before_the_rest(tmp_path):
    words = "dataset=digits", "trainer.evaluate_every=2", "trainer.evaluate_samples=20"
    launch.train(config_of(*STEPS, *words), tmp_path / "logs" / "run")
    names = [info.name.tag for info in Page(tmp_path / "logs").experiment.metric_infos]
    assert names[:3] == ["Figures/fid/pixels", "Losses/discriminator/adversarial", "Losses/generator/adversarial"]


def test_the_losses_of_all_players_share_a_chart_and_pictures_say_what_they_show(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    events = EventAccumulator(str(run)).Reload()
    (told,) = events.Tensors(metadata.CONFIG_SUMMARY_TAG)
    layout = layout_pb2.Layout.FromString(told.tensor_proto.string_val[0])
    charts = {chart.title: chart.multiline.tag[0] for category in layout.category for chart in category.chart}
    tags = events.Tags()["scalars"]
    drawn = {title: [tag for tag in tags if re.search(pattern, tag)] for title, pattern in charts.items()}
    losses, *rest = drawn.values()
    assert losses == ["Losses/discriminator/adversarial", "Losses/generator/adversarial"]
    assert all(rest), "no chart is empty"
    shown = events.SummaryMetadata("Samples/fixed")
    assert shown.plugin_data.plugin_name == "images", "TensorBoard's data server drops the sentence of anything else"
    assert shown.summary_description.startswith("The same latents")
    assert not {"Samples/shown_real", "Samples/shown_fake"} & set(events.Tags()["tensors"]), "no view changes them"


def test_a_picture_of_what_a_view_changes_is_kept(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    launch.train(config_of(*STEPS, "loss/view=instance_noise"), tmp_path / "run")
    assert {"Samples/shown_real", "Samples/shown_fake"} <= set(
        EventAccumulator(str(tmp_path / "run")).Reload().Tags()["tensors"]
    )
