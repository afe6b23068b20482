"""Two processes that train together equal one, agree on every flag, and end together."""

import json
import os
import signal
import socket
import time

import pytest
import torch
from helpers import config_of, fingerprint, made, play, trainer_of, weights

from gan_lab.errors import GanLabError, ResourceError
from gan_lab.launch import launch
from gan_lab.models import GAN
from gan_lab.training import assembly
from gan_lab.training.distributed import LostRankError, World, joined

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes on one core")

NONE = ["model.generator.norm=none", "model.discriminator.norm=none"]
DOMAINS = ["dataset=split_domains"]
BARE = ["model.discriminator.spectral_norm=false"]  # whose power iteration counts forward passes
ADAPTIVE = ["loss.views.ada.kimg=0.05", "loss.views.ada.every=1", "loss.views.ada.target=0.1"]
GROWING = [*(f"model.{network}.grows_to=16" for network in ("generator", "discriminator")), "model.fade_images=20"]
EQUAL = {
    "non-saturating": ["model=gan", *NONE],
    "gradient penalty": ["model=gan", "loss=wgan_gp", *NONE],
    "layer norm": ["model=gan", "model.generator.norm=layer", "model.discriminator.norm=layer"],
    "convolutions": ["model=dcgan", "loss=wgan_gp", "model.generator.norm=layer", "model.discriminator.norm=layer"],
    "clipped weights": ["model=gan", "loss=wasserstein", "optimizer=rmsprop", *NONE],
    "clipped gradients": ["model=gan", "trainer.clip=0.1", *NONE],
    "flipped labels": ["model=gan", "loss.flip=0.3", *NONE],
    "accumulation": ["model=gan", "trainer.batch_size=4", "trainer.accumulate=2", *NONE],
    "reused fakes": ["model=gan", "model.reuse_fakes=true", *NONE],
    "relativistic": ["model=gan", "loss=relativistic", *NONE],
    "slopes": ["model=gan", "loss=wgan_div", "loss/penalty=r1+r2", *NONE],
    "noise and augmentation": ["model=gan", "loss/view=instance_noise+diff_augment", *NONE],
    "adaptive augmentation": ["model=gan", "loss/view=ada", *ADAPTIVE, *NONE],
    "adaptive augmentation, accumulated": [
        *("model=gan", "loss/view=ada", *ADAPTIVE, "trainer.batch_size=4", "trainer.accumulate=2", *NONE),
    ],
    "fakes as real": ["model=gan", "loss/view=apa", "loss.views.apa.p=0.3", *NONE],
    "told the class": ["model=cgan", *NONE],
    "told the class, accumulated": ["model=cgan", "trainer.batch_size=4", "trainer.accumulate=2", *NONE, *BARE],
    "class terms": ["model=acgan", *NONE],
    "codes": ["model=infogan", *NONE],
    "posteriors": ["model=vaegan", "model.encoder.norm=none", *NONE],
    "pairs of image and latent": ["model=bigan", "model.encoder.norm=none", *NONE],
    "attributes to be made": ["model=stargan", "dataset=shapes", "dataset.image_size=16", "model.generator.blocks=1"],
    "many domains": [
        *("model=combogan", "dataset=many_domains", "model.pool=0", "model.encoders.network.norm=none"),
        *("model.decoders.network.norm=none", "model.discriminators.network.norm=none", "model.latent=1"),
    ],
    "codes that are kept": [
        *("model=dtn", "dataset=unpaired_sets", "model.encoder.norm=none", *NONE),
    ],
    "codes that hide the domain": [
        *("model=xgan", "dataset=unpaired_sets", "model.encoder.norm=none", "model.decoder.norm=none"),
        *("model.critic_source.norm=none", "model.critic_image.norm=none"),
    ],
    "a pyramid": ["model=lapgan", *NONE],
    "one level of a pyramid": ["model=lapgan", "model.level=1", *NONE],
    "coupled generators": ["model=cogan", *DOMAINS, "model.generator.norm=none"],
    "a shared space": ["model=unit", *DOMAINS],
    "codes that hide their domain": [
        *("model=latent_domain", *DOMAINS, "model.encoder.norm=none", "model.decoder.norm=none"),
        *("model.domain_critic.dropout=0", "model.encoder.shared=null"),
    ],
    "styles": ["model=stylegan2", "loss=logistic_r1", "model.discriminator.group_size=0"],
    # Its first map is the same everywhere, so that a norm takes its bias away and leaves a gradient of rounding alone,
    # which Adam would enlarge
    "styles that grow": ["model=stylegan", "model.discriminator.group_size=0", "optimizer=sgd", *GROWING],
    "styles of classes": ["model=conditional_stylegan2", "loss=logistic_r1", "model.discriminator.group_size=0"],
}
COUPLED = {  # not the same as one process, since a batch norm or a term knows the samples of its rank alone
    "chunks": ["model=biggan", "model.latent_dim=12", "loss=hinge", "loss/penalty=orthogonal"],
    "path lengths": ["model=stylegan2", "loss=stylegan2", "loss.penalties.path_length.every=2"],
}
ROUNDS = 4


# --- What the two processes do ---------------------------------------------------------------------------------------


def work(rank, port, folder):
    """All cases in one pair of processes, because starting them takes the time; answers go to a file for each rank."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    answers = {}
    with joined(rank, 2, torch.device("cpu"), minutes=1.0) as world:
        torch.set_default_dtype(torch.float64)
        for name, words in EQUAL.items():
            answers[name] = weights(play(trainer_of(config_of(*words), world), ROUNDS))
        torch.set_default_dtype(torch.float32)
        for case in (
            batch_norm,
            coupled,
            drift,
            bad_loss,
            stop,
            one_clock,
            shared_buffers,
            strength,
            rounds_of_one_rank,
            checkpoint_of_two,
        ):
            answers[case.__name__] = case(rank, world)
    torch.save(answers, f"{folder}/rank-{rank}.pt")


def batch_norm(rank, world):
    trainer = play(trainer_of(config_of("model=dcgan"), world), ROUNDS)
    buffers = torch.cat([b.flatten().float() for b in trainer.game.buffers()])
    return {"weights": weights(trainer), "buffers": buffers}


def coupled(rank, world):
    """Weights, and the state of the objective, of each case."""
    trainers = {name: play(trainer_of(config_of(*words), world), ROUNDS) for name, words in COUPLED.items()}
    return {
        name: torch.cat([weights(trainer), *(b.flatten() for b in trainer.game.objective.buffers())])
        for name, trainer in trainers.items()
    }


def drift(rank, world):
    """Sound weights pass; a weight that differs on one rank is noticed by both."""
    trainer = play(trainer_of(config_of(), world), 1)
    world.check_same(trainer.parameters, 1)
    with torch.no_grad():
        trainer.parameters[0].view(-1)[0] += rank * 1e-6
    try:
        world.check_same(trainer.parameters, 1)
    except GanLabError as error:
        return str(error)
    return "not noticed"


def bad_loss(rank, world):
    """On one rank alone the loss is infinite; its gradient, and the other rank, are sound."""
    trainer = trainer_of(config_of(), world)
    seat, loss = trainer.seats[1], trainer.seats[1].player.loss

    def planted(batch, step):
        terms = loss(batch, step)
        if step == 2 and rank == 1:
            terms.losses["adversarial"] = terms.losses["adversarial"] + float("inf")
        return terms

    seat.player.loss = planted
    play(trainer, 2)
    before = [p.clone() for p in seat.parameters]
    play(trainer, 1)
    still = all(torch.equal(a, b) for a, b in zip(before, seat.parameters, strict=True))
    return {"still": still, "report": seat.report(), "weights": weights(play(trainer, 1))}


def stop(rank, world):
    """One rank is told to stop; both end after the same round."""
    trainer = trainer_of(config_of(), world)

    class Stopper:
        every = 1

        def tell(self, trainer):
            trainer.stopping = trainer.stopping or (rank == 1 and trainer.step == 3)

    trainer.run([Stopper()])
    return trainer.step


def one_clock(rank, world):
    """Learning rates that follow the clock are the same on both ranks, though one of them is late."""
    words = ["trainer.steps=null", "trainer.max_minutes=0.01", "trainer.schedule=linear"]
    trainer = trainer_of(config_of(*words), world)
    rates = []

    class Watch:
        every = 1

        def tell(self, trainer):
            rates.append(trainer.seats[0].optimizer.param_groups[0]["lr"])
            time.sleep(0.02 * rank)

    trainer.run([Watch()])
    return rates


def shared_buffers(rank, world):
    trainer = trainer_of(config_of(), world)
    trainer.game.objective.register_buffer("mean", torch.tensor(float(rank)))
    trainer.shared = [*trainer.game.objective.buffers()]
    play(trainer, 1)
    return trainer.game.objective.mean.item()


def strength(rank, world):
    """Scores that one rank alone holds for real: the mean sign is that of both."""
    trainer = trainer_of(config_of("model=gan", "loss/view=ada", *ADAPTIVE), world)
    view = trainer.game.objective.views["ada"]
    view.hear = lambda belief: type(view).hear(view, torch.ones_like(belief) if rank else -torch.ones_like(belief))
    view.p.fill_(0.9)
    return play(trainer, 2).game.objective.views["ada"].p.item()


def rounds_of_one_rank(rank, world):
    """Each rank sees its own half of the global batch."""
    trainer = trainer_of(config_of(), world)
    return [batch["label"] for batch in trainer.loader.batch(3)]


def checkpoint_of_two(rank, world):
    """Cut and resumed on two ranks: the same bits."""
    uncut = play(trainer_of(config_of("model=dcgan"), world), 4)
    cut = play(trainer_of(config_of("model=dcgan"), world), 2)
    resumed = trainer_of(config_of("model=dcgan"), world)
    resumed.load_state_dict(assembly.clone(cut.state_dict()))
    return fingerprint(play(resumed, 2).state_dict()) == fingerprint(uncut.state_dict())


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The answers of both ranks. A second attempt, because leaving a process group aborts about once in twenty runs."""
    for attempt in (1, 2):
        folder = tmp_path_factory.mktemp("ranks")
        try:
            torch.multiprocessing.spawn(work, (free_port(), str(folder)), nprocs=2)
            break
        except torch.multiprocessing.ProcessExitedException:
            if attempt == 2:
                raise
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


# --- What must be so -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EQUAL)
def test_two_ranks_equal_one_process(name, ranks, double):
    alone = weights(made(*EQUAL[name], rounds=ROUNDS))
    assert alone.dtype == torch.float64
    assert torch.equal(ranks[0][name], ranks[1][name]), "and each other bit for bit"
    assert (ranks[0][name] - alone).abs().max() < 1e-9
    assert (weights(made(*EQUAL[name])) - alone).abs().max() > 1e-6, "it did move"


def test_noise_that_is_seeded_by_rank_would_drift(ranks, double):
    """The control: with draws of its own, one process of half the batch goes elsewhere."""
    half = made(*EQUAL["non-saturating"], "trainer.batch_size=4", rounds=ROUNDS)
    assert (ranks[0]["non-saturating"] - weights(half)).abs().max() > 1e-6


def test_weights_are_the_same_on_both_ranks_and_batch_norm_statistics_are_not(ranks):
    one, two = (answers["batch_norm"] for answers in ranks)
    assert torch.equal(one["weights"], two["weights"])
    assert not torch.equal(one["buffers"], two["buffers"])


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_games_are_the_same_on_both_ranks(name, ranks):
    one, two = (answers["coupled"][name] for answers in ranks)
    assert torch.equal(one, two) and one.isfinite().all()
    assert (weights(made(*COUPLED[name])) - one[: len(weights(made(*COUPLED[name])))]).abs().max() > 1e-6, "it did move"


def test_ranks_that_drift_apart_are_noticed(ranks):
    for answers in ranks:
        assert answers["drift"].startswith("At step 1 the ranks hold different weights")


def test_a_bad_loss_on_one_rank_skips_the_update_on_both(ranks):
    for answers in ranks:
        assert answers["bad_loss"]["still"]
        assert answers["bad_loss"]["report"] == (1, 2)
    assert torch.equal(ranks[0]["bad_loss"]["weights"], ranks[1]["bad_loss"]["weights"])


def test_one_rank_that_is_told_to_stop_stops_both(ranks):
    assert [answers["stop"] for answers in ranks] == [4, 4]


def test_state_of_no_player_is_averaged(ranks):
    assert [answers["shared_buffers"] for answers in ranks] == [0.5, 0.5]


def test_ranks_share_what_was_heard_of_the_critics(ranks):
    """Mean sign 0 is below the target: down by 8 of 50 images twice."""
    assert [answers["strength"] for answers in ranks] == pytest.approx([0.9 - 2 * 8 / 50] * 2)


def test_each_rank_sees_its_half_of_the_global_batch(ranks):
    halves = [torch.cat(answers["rounds_of_one_rank"]) for answers in ranks]
    (whole,) = made().loader.batch(3)
    assert torch.equal(torch.cat(halves), whole["label"])


def test_the_clock_is_the_same_on_both_ranks(ranks):
    one, two = (answers["one_clock"] for answers in ranks)
    assert one == two and one[0] > one[-1]


def test_a_resumed_run_of_two_ranks_ends_in_the_same_bits(ranks):
    assert [answers["checkpoint_of_two"] for answers in ranks] == [True, True]


def test_a_world_of_one_needs_no_process_group():
    world = World()
    flag = torch.tensor(True)
    assert world.agree(flag) is flag
    assert world.most(0.5, False) == [0.5, False]
    assert world.broadcast({"a": 1}) == {"a": 1}
    module = torch.nn.Linear(1, 1)
    assert world.wrap(module) is module
    with joined(0, 1, torch.device("cpu")) as alone:
        assert alone.first


# --- Through the launcher --------------------------------------------------------------------------------------------


class Dying(GAN):
    """A game whose second rank ends without a word in the fourth round."""

    def generator_loss(self, batch, step):
        if step == 3 and torch.distributed.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generator_loss(batch, step)


class Stopping(GAN):
    """A game whose second rank is stopped in the second round, until somebody lets it go on."""

    def generator_loss(self, batch, step):
        if step == 1 and torch.distributed.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().generator_loss(batch, step)


TWO = ["trainer.devices=2", "trainer.steps=2", "trainer.log_every=1"]


@pytest.mark.slow
def test_the_launcher_trains_with_two_processes_in_one_run_directory(tmp_path):
    config = config_of("model=dcgan", *TWO)
    summary = launch.train(config, tmp_path / "run")
    assert summary["status"] == "finished"
    assert summary["step"] == 2
    assert summary["devices"] == 2
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "summary.json", "metrics.csv", "checkpoints", "samples", "progress.gif"} <= there
    assert sum(name.startswith("events.out") for name in there) == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["step"] == 2
    assert {path.name for path in (tmp_path / "run" / "checkpoints").glob("*.pt")} == {"best.pt", "step-00000002.pt"}

    # Go on with the same two processes
    config["trainer"]["steps"] = 4
    assert launch.train(config, tmp_path / "run", resume=True)["step"] == 4


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_run_within_twenty_seconds(tmp_path):
    config = config_of("model=gan", *TWO, "trainer.steps=100000")
    config["model"]["_target_"], config["trust"] = "test_ddp.Dying", ["test_ddp"]
    started = time.monotonic()
    with pytest.raises(ResourceError, match=r"Rank 1 was killed by signal 9 .*out of memory") as caught:
        launch.train(config, tmp_path / "run")
    assert "resume" in str(caught.value) and "Traceback" not in str(caught.value)
    assert time.monotonic() - started < 20 + 10, "the start of the processes included"


@pytest.mark.slow
def test_a_mistake_in_every_rank_is_told_once_as_a_sentence(tmp_path):
    config = config_of("model=dcgan", "loss=wgan_gp", *TWO)
    with pytest.raises(GanLabError, match="batch norm in the discriminator mixes") as caught:
        launch.train(config, tmp_path / "run")
    assert caught.value.exit_code == 2


@pytest.mark.slow
def test_a_rank_that_is_stopped_is_told_with_the_time_limit_and_can_go_on(tmp_path, monkeypatch):
    config = config_of("model=gan", *TWO, "trainer.steps=4")
    config["model"]["_target_"], config["trust"] = "test_ddp.Stopping", ["test_ddp"]
    heard = []

    def hear(line, **options):
        heard.append(line)
        os.kill(int(line.rpartition(" ")[2]), signal.SIGCONT)

    monkeypatch.setattr(launch, "print", hear, raising=False)
    assert launch.train(config, tmp_path / "run")["status"] == "finished"
    assert [line.partition(";")[0] for line in heard] == [
        "Rank 1 was stopped, and the others wait for it 10 minutes at most"
    ]


def wait_in_vain(rank, port, over, said):
    """The first rank asks the second one, which does not answer."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        with joined(rank, 2, torch.device("cpu"), minutes=0.05) as world:
            over.wait() if rank == 1 else world.most(1.0)
    except LostRankError as error:
        said.put(str(error))
    over.set()


@pytest.mark.slow
def test_a_rank_that_does_not_answer_is_a_sentence_after_the_time_limit():
    context = torch.multiprocessing.get_context("spawn")
    over, said = context.Event(), context.SimpleQueue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [context.Process(target=wait_in_vain, args=(rank, port, over, said)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert "has not answered for 0.05 minutes" in said.get()
    assert [rank.exitcode for rank in ranks] == [0, 0]
