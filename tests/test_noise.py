"""Random draws depend on the seed, the place and the name, and on nothing that happened before."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_lab.noise import Noise, hashed, seed_of

DRAWS = {
    "normal": lambda noise, name, n: noise(name, (n, 5)),
    "uniform": lambda noise, name, n: noise.uniform(name, (n, 5)),
    "integers": lambda noise, name, n: noise.integers(name, 10**6, (n, 5)),
}
draws = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


@draws
def test_the_same_name_at_the_same_place_gives_the_same_numbers(draw):
    first, second = Noise(seed=3).at(7, "generator", 0), Noise(seed=3)
    one = draw(first, "latent", 4)
    draw(second.at(6, "critic", 1), "other", 9)  # what was drawn before changes nothing
    torch.manual_seed(123)
    assert torch.equal(one, draw(second.at(7, "generator", 0), "latent", 4))
    assert torch.equal(one, draw(first, "latent", 4)), "asking twice is no second draw"


@draws
def test_another_name_seed_step_player_or_turn_gives_other_numbers(draw):
    one = draw(Noise(seed=3).at(7, "generator", 0), "latent", 4)
    others = [
        draw(Noise(seed=3).at(7, "generator", 0), "code", 4),
        draw(Noise(seed=4).at(7, "generator", 0), "latent", 4),
        draw(Noise(seed=3).at(8, "generator", 0), "latent", 4),
        draw(Noise(seed=3).at(7, "discriminator", 0), "latent", 4),
        draw(Noise(seed=3).at(7, "generator", 1), "latent", 4),
    ]
    assert not any(torch.equal(one, other) for other in others)
    assert not any(torch.equal(a, b) for i, a in enumerate(others) for b in others[:i])


@draws
@pytest.mark.parametrize("shards", [1, 2, 4])
def test_the_shards_of_a_global_draw_are_the_whole(draw, shards):
    whole = draw(Noise(seed=1).at(5, "generator", 0), "latent", 8)
    parts = [
        draw(Noise(seed=1).at(5, "generator", 0, shard=i, shards=shards), "latent", 8 // shards) for i in range(shards)
    ]
    assert torch.equal(torch.cat(parts), whole)


def test_a_place_leaves_no_shard_behind():
    noise = Noise(seed=1).at(5, "generator", 0, shard=1, shards=2)
    assert torch.equal(noise.at(5, "x")("latent", (4, 2)), Noise(seed=1).at(5, "x")("latent", (4, 2)))


def test_draws_have_their_distribution():
    noise = Noise(seed=0).at(0, "p", 0)
    normal, uniform, whole = noise("a", (20_000,)), noise.uniform("b", (20_000,)), noise.integers("c", 10, (20_000,))
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    assert torch.bincount(whole, minlength=10).float().std() < 150
    assert set(whole.tolist()) == set(range(10))


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4), st.integers(0, 3))
def test_a_seed_depends_on_every_part_of_its_key(key, at):
    seed = seed_of(*key)
    assert 0 <= seed < 2**63
    assert seed == seed_of(*key)
    assert seed != seed_of(*key[:at], "more", *key[at:])


def test_a_number_and_its_word_are_two_keys():
    assert seed_of(1, 2) != seed_of("1", "2")
    assert seed_of("ab", "c") != seed_of("a", "bc")


# --- Bits by index ---------------------------------------------------------------------------------------------------


def test_hashed_bits_are_the_same_for_an_index_wherever_it_stands():
    indices = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    all_of_them = hashed(torch.arange(1000), 0, "augment", 3)
    assert torch.equal(hashed(indices, 0, "augment", 3), all_of_them[indices])
    assert torch.equal(hashed(torch.tensor([17]), 0, "augment", 3), all_of_them[17:18])


def test_hashed_bits_are_balanced_and_differ_with_the_key():
    bits = hashed(torch.arange(20_000), 0, "augment", 0)
    other = hashed(torch.arange(20_000), 0, "augment", 1)
    assert (bits >= 0).all()
    assert bits.unique().numel() == 20_000
    for place in range(63):
        share = ((bits >> place) & 1).float().mean()
        assert 0.48 < share < 0.52, place
        agree = (((bits ^ other) >> place) & 1).float().mean()
        assert 0.48 < agree < 0.52, place


def test_hashed_bits_are_these_for_ever():
    """A changed hash changes every augmentation of a run that is resumed."""
    assert hashed(torch.arange(3), 0, "augment", 0).tolist() == [
        1428933501311330002,
        5860915842456801087,
        2272673734237415233,
    ]
