"""Metrics against closed forms, slow loops and torch-fidelity; extractors; what is cached, and what is made anew."""

import dataclasses
import hashlib
import json
import math
import sys

import pytest
import torch

from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics import (
    Features,
    Figure,
    PerColour,
    Pixels,
    Protocol,
    called,
    cheap_names,
    inception,
    judge,
    look,
    lower_is_better,
    store,
)
from gan_lab.metrics import classifier as classifiers
from gan_lab.metrics.classes import Classes, label_accuracy
from gan_lab.metrics.classifier import Classifier, Labelled, classifier
from gan_lab.metrics.extractors import Extractor, shrunk
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.frechet import frechet_distance
from gan_lab.metrics.kernel import kernel_deviation, kernel_distance
from gan_lab.metrics.moments import Moments
from gan_lab.metrics.neighbours import density_coverage, diversity, nearest, precision_recall
from gan_lab.metrics.pairs import pair_figures


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gan-lab" / "metrics"


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments(features, chunk=7):
    found = Moments(features.shape[1])
    for part in features.split(chunk):
        found.add(part)
    return found


def exactly(mean, covariance, count=1000):
    """Moments that are what is asked for."""
    found = Moments(len(mean))
    found.count, found.mean, found.scatter = count, mean.double(), covariance.double() * (count - 1)
    return found


# ---- moments and the Frechet distance -------------------------------------------------------------------------------


def test_moments_of_chunks_are_those_of_the_whole():
    features = normal(100, 5) + 1e6  # where a sum of squares would lose everything
    found = moments(features)
    assert found.count == 100
    torch.testing.assert_close(found.mean, features.mean(dim=0), rtol=1e-14, atol=0)
    torch.testing.assert_close(found.covariance, features.T.cov(), rtol=1e-7, atol=1e-9)


def test_one_sample_has_no_covariance():
    with pytest.raises(DataError, match="needs two samples or more, and there are 1"):
        _ = moments(normal(1, 3)).covariance


def test_the_distance_of_gaussians_with_diagonal_covariances_is_known():
    """|m1 - m2|^2 + sum (s1 - s2)^2, of the deviations s."""
    zero, one = torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])
    first = exactly(zero, torch.diag(torch.tensor([1.0, 4.0, 9.0])))
    second = exactly(one, torch.diag(torch.tensor([4.0, 4.0, 25.0])))
    assert frechet_distance(first, second) == pytest.approx(14 + (1 + 0 + 4), rel=1e-12)


def test_the_distance_of_gaussians_that_share_no_axes():
    """Against the trace of the square root of S1 S2, from the eigenvalues of the product itself."""
    a, b = normal(6, 6, seed=1), normal(6, 6, seed=2)
    first, second = exactly(torch.zeros(6), a @ a.T), exactly(torch.ones(6), b @ b.T)
    root = torch.linalg.eigvals(first.covariance @ second.covariance).sqrt().real.sum()
    by_hand = 6 + first.covariance.trace() + second.covariance.trace() - 2 * root
    assert frechet_distance(first, second) == pytest.approx(float(by_hand), rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(float(by_hand), rel=1e-9)


@pytest.mark.parametrize("count", [10, 200])
def test_the_distance_to_oneself_is_nothing_also_with_fewer_samples_than_features(count):
    features = normal(count, 40)
    features[:, 7] = 3.0  # a direction without variance, as a border of constant pixels
    found = moments(features)
    assert frechet_distance(found, found) == pytest.approx(0.0, abs=1e-6)


def test_few_samples_and_many_agree_where_both_ways_apply():
    """The way by eigenvectors gives what Cholesky's gives."""
    first, second = moments(normal(300, 20)), moments(normal(300, 20, seed=1) * 2 + 1)
    fast = frechet_distance(first, second)
    few = exactly(first.mean, first.covariance, count=20)
    assert frechet_distance(few, second) == pytest.approx(fast, rel=1e-10)


# ---- kernel, neighbours, classes ------------------------------------------------------------------------------------


def slow_kernel_distance(real, fake):
    k = lambda x, y: (float(x @ y) / len(x) + 1) ** 3
    n, m = len(real), len(fake)
    first = sum(k(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    second = sum(k(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return first + second - 2 * sum(k(x, y) for x in real for y in fake) / (n * m)


def test_the_kernel_distance_against_a_slow_loop():
    real, fake = normal(12, 4), normal(9, 4, seed=1) + 0.5
    assert kernel_distance(real, fake) == pytest.approx(slow_kernel_distance(real, fake), rel=1e-10)


def test_the_kernel_distance_of_one_distribution_is_nothing_within_its_deviation():
    real, fake = normal(1500, 8), normal(1500, 8, seed=1)
    deviation = kernel_deviation(real, fake, subsets=20, size=500)
    assert abs(kernel_distance(real, fake)) < deviation
    assert kernel_distance(real, fake + 1) > 50 * deviation


def test_a_kernel_distance_needs_two_samples():
    with pytest.raises(DataError, match="5 real and 1 generated"):
        kernel_distance(normal(5, 2), normal(1, 2))


def slow_neighbours(real, fake, k):
    """Precision, recall, density and coverage from their definitions, one pair at a time."""
    distance = lambda x, y: math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True)))
    reach = lambda points: [sorted(distance(x, y) for y in points)[k] for x in points]
    of_real, of_fake = reach(real), reach(fake)
    lies = [[distance(x, y) <= of_real[i] for i, y in enumerate(real)] for x in fake]
    back = [[distance(y, x) <= of_fake[j] for j, x in enumerate(fake)] for y in real]
    precision, recall = sum(map(any, lies)) / len(fake), sum(map(any, back)) / len(real)
    density = sum(map(sum, lies)) / (k * len(fake))
    coverage = sum(any(row[i] for row in lies) for i in range(len(real))) / len(real)
    return precision, recall, density, coverage


def test_neighbours_against_a_slow_loop(monkeypatch):
    monkeypatch.setattr("gan_lab.metrics.neighbours.CHUNK", 7)
    real, fake = normal(40, 3), normal(30, 3, seed=1) * 0.8 + 0.7
    by_hand = slow_neighbours(real, fake, k=3)
    assert (*precision_recall(real, fake, k=3), *density_coverage(real, fake, k=3)) == pytest.approx(by_hand, rel=1e-12)
    assert 0 < by_hand[3] < by_hand[1] <= 1 and by_hand[0] < 1  # the case is no corner


def test_a_collapsed_generator_is_precise_and_covers_nothing():
    real = normal(400, 2)
    one = real[:1] + 1e-4 * normal(400, 2, seed=1)
    assert precision_recall(real, one)[0] == 1.0
    assert precision_recall(real, one)[1] < 0.02 and density_coverage(real, one)[1] < 0.05
    assert diversity(one) < 1e-3 * diversity(real)


def test_the_nearest_of_others():
    distances, which = nearest(torch.tensor([[0.0, 0.0], [9.0, 0.0]]), [torch.tensor([[3.0, 4.0], [9.0, 1.0]])])
    assert distances.flatten().tolist() == pytest.approx([5.0, 1.0]) and which.tolist() == [[0], [1]]


@pytest.mark.parametrize("chunk", [1, 2, 7, 50])
def test_the_nearest_of_others_that_come_in_chunks(chunk, monkeypatch):
    monkeypatch.setattr("gan_lab.metrics.neighbours.CHUNK", 4)
    samples, others = normal(10, 3), normal(50, 3, seed=1)
    by_hand = torch.cdist(samples, others).topk(3, largest=False)
    distances, which = nearest(samples, others.split(chunk), k=3)
    torch.testing.assert_close(distances, by_hand.values)
    assert torch.equal(which, by_hand.indices)


def test_what_is_too_near_to_be_another_is_no_neighbour():
    points = normal(20, 3)
    distances, which = nearest(points, points.split(6), beyond=1e-6)
    by_hand = torch.cdist(points, points).fill_diagonal_(torch.inf).min(dim=1)
    torch.testing.assert_close(distances[:, 0], by_hand.values)
    assert torch.equal(which[:, 0], by_hand.indices)


def test_more_neighbours_than_there_are_is_a_sentence():
    with pytest.raises(DataError, match="The 3 nearest of 2 pictures were asked for"):
        nearest(normal(4, 2), [normal(2, 2)], k=3)


def test_diversity_of_two_points_is_their_distance():
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5.0)


def test_too_few_samples_for_a_neighbourhood():
    with pytest.raises(DataError, match="more than 3 real pictures, and there are 3"):
        precision_recall(normal(3, 2), normal(9, 2))


def test_the_score_of_sure_and_even_guesses_is_the_number_of_classes():
    assert Classes(10).add(torch.eye(10)).score == pytest.approx(10)
    assert Classes(10).add(torch.eye(10)[:1].repeat(5, 1)).score == pytest.approx(1)  # always the same
    assert Classes(10).add(torch.full((5, 10), 0.1)).score == pytest.approx(1)  # never sure


def test_the_score_is_that_of_the_whole_whatever_the_chunks():
    p = normal(50, 4).softmax(dim=1)
    by_hand = (p * (p.log() - p.mean(dim=0).log())).sum(dim=1).mean().exp()
    chunked = Classes(4)
    for part in p.split(9):
        chunked.add(part)
    assert chunked.score == pytest.approx(float(by_hand), rel=1e-10)


def test_modes_and_reverse_kl():
    said = Classes(4).add(torch.eye(4)[[0, 0, 1, 1]])
    assert said.found == 2 and said.shares.tolist() == [0.5, 0.5, 0, 0]
    assert said.reverse_kl(torch.tensor([25, 25, 25, 25])) == pytest.approx(math.log(2))
    assert said.reverse_kl(torch.tensor([50, 50, 0, 0])) == pytest.approx(math.log(101 / 100))  # half a sample each


def test_label_accuracy():
    p = torch.eye(3)[[0, 1, 2, 2]]
    assert label_accuracy(p, torch.tensor([0, 1, 2, 0])) == 0.75
    with pytest.raises(DataError, match="3 labels for 4 samples"):
        label_accuracy(p, torch.tensor([0, 1, 2]))


# ---- pairs ----------------------------------------------------------------------------------------------------------


def test_pairs_of_known_distance():
    pytest.importorskip("torchmetrics")
    wanted = normal(3, 1, 16, 16).clamp(-0.8, 0.8).float()
    figures = pair_figures(wanted + 0.2, wanted)
    assert figures["l1"] == pytest.approx(0.2, rel=1e-5)
    assert figures["psnr"] == pytest.approx(20, abs=1e-4)  # 10 log10(2^2 / 0.2^2)
    assert figures["ssim"] < pair_figures(wanted, wanted)["ssim"] == pytest.approx(1)


@pytest.mark.parametrize("shape", [(2, 1, 16, 8), (2, 16, 16)])
def test_pairs_must_match(shape):
    with pytest.raises(ValueError, match="of one shape"):
        pair_figures(torch.zeros(2, 1, 16, 16), torch.zeros(shape))
    with pytest.raises(ValueError, match="a window of 11 pixels"):
        pair_figures(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8))


# ---- torch-fidelity on the same features ----------------------------------------------------------------------------


@pytest.fixture
def pair_of_features():
    return normal(600, 24).float(), (normal(600, 24, seed=1) * 1.3 + 0.4).float()


def test_frechet_agrees_with_torch_fidelity(pair_of_features):
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    real, fake = pair_of_features
    statistics = [fid.fid_features_to_statistics(features.double()) for features in pair_of_features]
    theirs = fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(moments(real), moments(fake)) == pytest.approx(theirs, rel=1e-8)


def test_kernel_agrees_with_torch_fidelity(pair_of_features):
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    real, fake = pair_of_features
    known = {"kid_subsets": 1, "kid_subset_size": 600, "kid_kernel": "poly", "rng_seed": 0, "verbose": False}
    known |= {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    theirs = kid.kid_features_to_metric(real.double(), fake.double(), **known)["kernel_inception_distance_mean"]
    assert kernel_distance(real, fake) == pytest.approx(theirs, rel=1e-8)


def test_precision_and_recall_agree_with_torch_fidelity(pair_of_features):
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = pair_of_features
    theirs = prc.calculate_precision_recall_full(fake.double(), real.double(), neighborhood=3)
    assert precision_recall(real, fake) == pytest.approx(theirs, abs=1e-6)


def test_the_score_agrees_with_torch_fidelity():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = normal(500, 10) * 2
    known = {"splits": 1, "shuffle": False}
    theirs = isc.isc_features_to_metric(logits, **known)["inception_score_mean"]
    assert Classes(10).add(logits.softmax(dim=1)).score == pytest.approx(theirs, rel=1e-6)


def test_the_score_in_ten_splits_agrees_with_torch_fidelity():
    """Its splits lie one behind the other; here each has every tenth sample."""
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = normal(1205, 30) * 2
    in_order = torch.cat([logits[i:1200:10] for i in range(10)])
    theirs = isc.isc_features_to_metric(in_order, splits=10, shuffle=False)["inception_score_mean"]
    chunked = Classes(30, splits=10)
    for part in logits[:1200].softmax(dim=1).split(7):
        chunked.add(part)
    assert chunked.splits == 10 and chunked.score == pytest.approx(theirs, rel=1e-6)
    whole = Classes(30).add(logits[:1200].softmax(dim=1))
    assert chunked.score < 0.99 * whole.score  # fewer samples at a time find fewer classes
    uneven = chunked.add(logits[1200:].softmax(dim=1))
    by_hand = torch.stack([alone(logits[i::10]) for i in range(10)]).mean()
    assert uneven.score == pytest.approx(float(by_hand), rel=1e-9)


def alone(logits):
    p = logits.softmax(dim=1)
    return (p * (p.log() - p.mean(dim=0).log())).sum(dim=1).mean().exp()


def test_too_few_samples_for_ten_splits_are_taken_together():
    logits = normal(999, 10)
    few = Classes(10, splits=10).add(logits.softmax(dim=1))
    assert few.splits == 1 and few.score == pytest.approx(Classes(10).add(logits.softmax(dim=1)).score)


# ---- names and protocols --------------------------------------------------------------------------------------------


def test_only_inception_makes_a_fid():
    assert (called("fid", "inception"), called("kid", "inception")) == ("fid", "kid")
    assert called("fid", "classifier") == "fid/classifier" and called("precision", "inception") == "precision/inception"


def test_which_figures_fall_as_they_get_better():
    assert all(map(lower_is_better, ("fid", "kid/pixels", "fid/classifier", "reverse_kl/classifier")))
    assert not any(map(lower_is_better, ("exact/quality", "score/classifier", "precision/pixels", "modes/classifier")))


PROTOCOL = Protocol("test", 10_000, 500, "pixels in [0, 1]", "none", "ema", "eval", 7, "1.2.3")


def test_a_protocol_says_all_that_it_holds():
    told = str(PROTOCOL)
    for word in ("10,000 real of test", "500 samples", "pixels", "resize none", "ema", "batch norm eval", "7", "1.2.3"):
        assert word in told
    assert "truth" in str(dataclasses.replace(PROTOCOL, reference="truth", extractor="none"))


def test_a_figure_survives_json():
    figure = Figure("fid/pixels", 1.5, 100, PROTOCOL)
    back = json.loads(json.dumps(figure.as_dict()))
    assert Protocol(**back["protocol"]) == PROTOCOL and (back["value"], back["step"]) == (1.5, 100)


# ---- extractors -----------------------------------------------------------------------------------------------------


def pictures(n=12, channels=1, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8)


def test_samples_become_the_bytes_of_a_file():
    assert bytes_of(torch.tensor([-1.2, -1.0, 0.0, 1.0, 3.0])).tolist() == [0, 0, 128, 255, 255]


def test_pixels_of_small_pictures_are_themselves_and_large_ones_are_averaged():
    features, said = Pixels()(pictures(size=8))
    assert said is None and torch.equal(features, pictures(size=8).float().flatten(1) / 255)
    large = torch.arange(4.0).repeat_interleave(16).repeat(32, 1)[None, None].byte()  # [1, 1, 32, 64]
    shown = Pixels()(large)[0].view(8, 16) * 255
    assert shown[0].tolist() == pytest.approx([0] * 4 + [1] * 4 + [2] * 4 + [3] * 4)


def test_sides_keep_their_proportion():
    assert shrunk(torch.zeros(1, 1, 64, 48), 32).shape[-2:] == (32, 24)
    assert shrunk(torch.zeros(1, 1, 20, 32), 32).shape[-2:] == (20, 32)


def test_looking_in_batches_is_looking_at_once(monkeypatch):
    monkeypatch.setattr("gan_lab.metrics.features.KEPT", 10)
    images = pictures()
    whole, parts = look(Pixels(), [images]), look(Pixels(), images.split(5))
    torch.testing.assert_close(whole.moments.covariance, parts.moments.covariance)
    assert whole.count == parts.count == 12 and torch.equal(whole.features, parts.features)
    assert len(whole.features) == 10


class Grey(Extractor):
    """Says the class that the mean grey level names, of three."""

    title, classes = "grey", 3

    def forward(self, images):
        level = images.float().mean(dim=(1, 2, 3))
        return level[:, None], torch.eye(3)[level.long()]


def test_the_class_of_a_stacked_picture_is_what_its_colours_spell():
    images = torch.tensor([[0, 1, 2], [2, 0, 1]], dtype=torch.uint8)[:, :, None, None].expand(-1, -1, 4, 4)
    features, said = PerColour(Grey())(images)
    assert features.tolist() == [[0, 1, 2], [2, 0, 1]] and said.argmax(dim=1).tolist() == [5, 19]
    assert PerColour(Grey()).classes == 27 == said.shape[1]


@pytest.mark.parametrize("extractor", [Pixels(), Grey(), PerColour(Grey())])
def test_the_cheap_figures_are_those_that_were_announced(extractor):
    levels = torch.arange(12, dtype=torch.uint8).remainder(3)[:, None, None, None].expand(-1, 3, 4, 4)
    real = look(extractor, [levels])
    assert list(judge(real, look(extractor, [levels[:9]]), extractor, cheap=True)) == cheap_names(extractor)
    for name in judge(real, real, extractor):
        assert name.endswith(f"/{extractor.title}")


def test_what_was_seen_survives_a_file(tmp_path):
    before = look(Grey(), [torch.ones(4, 1, 2, 2, dtype=torch.uint8)])
    torch.save(before.state_dict(), tmp_path / "seen.pt")
    after = Features.of(torch.load(tmp_path / "seen.pt", weights_only=True))
    assert after.count == 4 and after.classes.found == 1 and torch.equal(after.features, before.features)


# ---- the classifier -------------------------------------------------------------------------------------------------


def labelled(seed=0):
    """Two classes that are easy to tell: a bright left or a bright right half."""
    images = pictures(80, seed=seed) // 4
    labels = torch.arange(80) % 2
    for i, label in enumerate(labels):
        images[i, :, :, 8 * label : 8 * label + 8] += 120
    return Labelled(images[:60], labels[:60], images[60:], labels[60:], num_classes=2)


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_a_classifier_learns_is_kept_and_is_a_judge(own_cache, monkeypatch, architecture):
    made = classifier(labelled(), architecture=architecture, quiet=True)
    assert (
        made.accuracy == 1.0 and "100.00% right" in made.about and f"{architecture} classifier of seed 0" in made.about
    )
    features, said = made(pictures(3))
    assert made(labelled().test_images)[0].square().mean() == pytest.approx(1, rel=1e-4)
    assert features.shape == (3, 128) and said.sum(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert len(list(own_cache.iterdir())) == 1

    # The second time nothing is trained
    monkeypatch.setattr(classifiers, "learned", lambda *_: pytest.fail("trained again"))
    again = classifier(labelled(), architecture=architecture, quiet=True)
    assert again.identity == made.identity and again.accuracy == 1.0
    assert torch.equal(again(pictures(3))[0], features)


def test_other_data_seeds_and_shapes_make_other_judges(own_cache):
    def name(*arguments, **known):
        before = set(own_cache.glob("*")) if own_cache.is_dir() else set()
        classifier(*arguments, **known, quiet=True)
        return set(own_cache.glob("*")) - before

    assert len(name(labelled())) == 1 and not name(labelled())
    assert name(labelled(seed=1)) and name(labelled(), seed=1) and name(labelled(), architecture="residual")


def test_training_a_judge_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    classifier(labelled(), quiet=True)
    assert torch.rand(1) == wanted


def test_a_damaged_cache_is_made_anew(own_cache):
    made = classifier(labelled(), quiet=True)
    (file,) = own_cache.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    assert classifier(labelled(), quiet=True).identity == made.identity


def test_a_classifier_that_cannot_be():
    with pytest.raises(ValueError, match="architecture=deep is not known; choose plain or residual"):
        Classifier(1, 2, architecture="deep")
    lonely = dataclasses.replace(labelled(), num_classes=1)
    with pytest.raises(DataError, match="two classes or more"):
        classifier(lonely)


# ---- Inception ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A file as the published one is, of the same network with weights from a seed; and its checksum."""
    network = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    shell = network.FeatureExtractorInceptionV3
    given, torch_load = {}, torch.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shell, "load_state_dict", lambda self, state: given.update(self.state_dict()))
        patch.setattr(torch, "load", lambda *_, **__: {})
        torch.manual_seed(0)
        shell("inception", ["2048"], feature_extractor_weights_path="none")
    assert torch.load is torch_load
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save({name: value.half() if value.is_floating_point() else value for name, value in given.items()}, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_inception_from_a_local_file(stand_in):
    judge_ = inception.Inception(*stand_in)
    features, said = judge_(pictures(2, channels=1))
    assert features.shape == (2, 2048) and said.shape == (2, 1008) and judge_.classes == 0
    assert look(judge_, [pictures(2, channels=1)]).classes.mass.shape == (10, 1008)  # ten splits of a score
    assert said.sum(dim=1).tolist() == pytest.approx([1, 1], rel=1e-4)
    assert torch.equal(features, judge_(pictures(2, channels=1).expand(-1, 3, -1, -1))[0])


def test_another_file_than_the_published_one_is_refused(stand_in):
    with pytest.raises(DataError, match=f"is not the published file: its sha256 is {stand_in[1]}, expected 6726825d"):
        inception.Inception(stand_in[0])


def test_a_file_that_would_run_code_is_not_opened(tmp_path):
    torch.save({"weight": print}, tmp_path / "evil.pth")
    checksum = hashlib.sha256((tmp_path / "evil.pth").read_bytes()).hexdigest()
    with pytest.raises(DataError, match="holds more, or less, than tensors"):
        inception.opened(tmp_path / "evil.pth", checksum)


def test_missing_weights_are_one_message_with_address_and_path(tmp_path):
    with pytest.raises(DataError) as told:
        inception.opened(tmp_path / "none.pth", inception.SHA256)
    assert inception.ADDRESS in str(told.value) and str(tmp_path / "none.pth") in str(told.value)
    assert "\n" not in str(told.value)


def test_a_missing_package_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ConfigError, match="pip install torch-fidelity"):
        inception.Inception(tmp_path / "weights.pth")


# ---- the store ------------------------------------------------------------------------------------------------------


def test_a_digest_tells_contents_types_and_shapes_apart():
    ones = torch.ones(4)
    others = [torch.zeros(4), ones.double(), ones.view(2, 2), "ones"]
    assert len({store.digest(thing) for thing in [ones, *others]}) == 5
    assert store.digest(ones, "a") == store.digest(torch.ones(4), "a") != store.digest(ones, "b")


def test_what_is_kept_is_made_once(own_cache):
    made = []
    for _ in range(2):
        state = store.kept("thing", lambda: made.append(1) or {"x": torch.ones(2)})
    assert made == [1] and state["x"].tolist() == [1, 1]
    assert [file.name for file in own_cache.iterdir()] == ["thing.pt"]
