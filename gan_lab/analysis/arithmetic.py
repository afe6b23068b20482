"""Arithmetic on latents: the mean of one concept, minus another, plus a third."""

import torch
from torch import Tensor

from gan_lab import pictures
from gan_lab.analysis.base import AT_ONCE, Finding, fresh, latents_only
from gan_lab.analysis.concepts import SURE, Concept, names_of, read, reader
from gan_lab.errors import ConfigError
from gan_lab.rows import Rows
from gan_lab.runs.run import Run

RARE = 0.02  # the share of samples of one attribute in which another one may be seen that never goes with it
POOL_SEED = 3_000_000  # of the first latent among which samples of a concept are looked for


def arithmetic(
    run: Run,
    *,
    start: str | None = None,
    minus: str | None = None,
    plus: str | None = None,
    expect: str | None = None,
    examples: int = 3,
    trials: int = 100,
    pool: int = 2000,
    space: str | None = None,
) -> Finding:
    """The mean latent of samples of a concept, minus another's, plus a third's, and what becomes of it.

    A concept is label:3, attribute:red+circle or seeds:1,2,3; without any, common ones are chosen. `expect`: what the
    results should be; unless said, what `plus` is, and of attributes also what `start` has and `minus` has not.
    `examples` samples are averaged, drawn anew from a `pool` of samples in each of `trials`; the conditions of a result
    are those of a sample of the first concept. `space`: add in another space than the latents', such as style. Radford
    et al. 2016 (arXiv 1511.06434), section 6.3.2. Figures: `share` of results that are as expected; `chance`, of random
    samples; `single`, of results where one sample stands for each concept; `factor`, share over chance. One classifier
    chooses the samples, and another, of other seed and architecture, evaluates the results.
    """
    latents_only(run, "arithmetic")
    space = run.space(space)
    drawn, samples = fresh(run, pool, POOL_SEED, space)
    words = [start, minus, plus]
    if any(words) and not all(words):
        raise ConfigError(
            "arithmetic needs start=, minus= and plus=, or none of them: start=label:3 minus=label:3 plus=label:8."
        )
    words = words if all(words) else usual(run, samples)
    concepts = [Concept(word, run.dataset) for word in words]
    wanted = expected(concepts, expect, run)

    # Choose latents of each concept
    members = []
    for concept in concepts:
        if concept.kind == "seeds":
            members.append(run.into(run.rows(concept.seeds), space))
            continue
        found = drawn.at(concept.there(read(reader(run, concept.kind), samples)).to(drawn.device))
        if found.count < examples:
            raise ConfigError(
                f"Only {found.count} of {pool} samples are {concept.text}: raise pool= or lower examples=."
            )
        members.append(found)

    finding = Finding()
    results = run.generate(sums(members, space, examples, trials), AT_ONCE)
    rows = [
        torch.cat([run.generate(mean_of(m, space, examples, i)[1], AT_ONCE) for m in members] + [results[i : i + 1]])
        for i in range(8)
    ]
    finding.pictures["arithmetic"] = pictures.grid(torch.cat(rows), columns=3 * examples + 1)
    finding.notes.append(
        f"Each row: {examples} samples of {words[0]}, of {words[1]}, of {words[2]}; last, the picture of the first "
        "mean latent, minus the second, plus the third."
    )
    if wanted is None:
        finding.notes.append("Concepts by seeds have no name to be found again: name one with expect=label:3.")
        return finding
    judge = reader(run, wanted.kind, judges=True)
    share = lambda pictures: float(wanted.there(read(judge, pictures)).double().mean())
    single = run.generate(sums(members, space, 1, trials), AT_ONCE)
    finding.figures = {"share": share(results), "chance": share(samples), "single": share(single)}
    finding.figures["factor"] = finding.figures["share"] / max(finding.figures["chance"], 1 / pool)
    finding.notes.append(f"Expected: {wanted.text}. Classifier: {judge.about}.")
    return finding


def usual(run: Run, samples: Tensor) -> list[str]:
    """Concepts when none are named: attributes a with b, minus b, plus c; or classes a, minus a, plus b.

    Attribute a is the commonest, b the one that most often goes with it, and c the commonest that never goes with b.
    """
    names = names_of(run.dataset)
    if names:
        has = (read(reader(run, "attribute"), samples) > SURE).double()  # [N, A]
        together = has.T @ has  # [A, A]
        count = together.diagonal().clone()
        a = int(count.argmax())
        b = int((together[a] * (torch.arange(len(names)) != a)).argmax())
        c = int((count * (together[b] <= RARE * count[b]) * (torch.arange(len(names)) != a)).argmax())
        return [f"attribute:{names[a]}+{names[b]}", f"attribute:{names[b]}", f"attribute:{names[c]}"]
    if run.dataset.classes:
        count = torch.bincount(read(reader(run, "label"), samples).argmax(dim=1), minlength=len(run.dataset.classes))
        a, b = count.topk(2).indices.tolist()
        return [f"label:{run.dataset.classes[i]}" for i in (a, a, b)]
    raise ConfigError(
        "This data has neither labels nor attributes: name samples: start=seeds:1,2 minus=seeds:3 plus=seeds:4."
    )


def expected(concepts: list[Concept], text: str | None, run: Run) -> Concept | None:
    """What the results should be; None where nobody says."""
    start, minus, plus = concepts
    if text:
        return Concept(text, run.dataset)
    if plus.kind == "attribute":
        names = names_of(run.dataset)
        kept = [] if start.kind != "attribute" else [c for c in start.columns if c not in minus.columns]
        return Concept("attribute:" + "+".join(names[c] for c in [*kept, *plus.columns]), run.dataset)
    return plus if plus.kind == "label" else None


def sums(members: list[Rows], space: str, examples: int, trials: int) -> Rows:
    """What the results of all trials are made of, a row each."""
    first, minus, plus = (Rows.joined(mean_of(m, space, examples, i)[0] for i in range(trials)) for m in members)
    return first.changed(**{space: first[space] - minus[space] + plus[space]})


def mean_of(members: Rows, space: str, examples: int, trial: int) -> tuple[Rows, Rows]:
    """One row with the mean, in a space, of some members and the conditions of the first of them, and these members."""
    draw = torch.randperm(members.count, generator=torch.Generator().manual_seed(trial))[:examples]
    some = members.at(draw.to(members.device))
    return some.at([0]).changed(**{space: some[space].mean(dim=0, keepdim=True)}), some
