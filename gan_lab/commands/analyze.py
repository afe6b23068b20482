"""Analyse a run: interpolation, latent arithmetic, nearest training images, features, edits."""

import inspect
import json
from typing import Any

from gan_lab.analysis.listing import function_of, kinds_of, looks
from gan_lab.config.options import free, given
from gan_lab.config.overrides import exists
from gan_lab.errors import ConfigError, ResourceError
from gan_lab.wording import shortened

USAGE = """usage: gan-lab analyze RUN what=LOOK [key=value ...]

Runs an analysis of a trained run. Pictures, figures and their explanation go to RUN/analysis/LOOK and to the run's
TensorBoard events. gan-lab analyze what=LOOK --help describes one analysis and its settings.

  what=interpolation     one analysis, or all that need no further setting
  weights=ema            ema (averaged) or raw
  checkpoint=last        last, best or a step that the run keeps
  root=PATH              where the data lies now (dataset.root, or dataset.path of your own pictures)
  device=cpu             cpu or cuda
  trust=[mypackage]      packages of your own that the run's configuration names

analyses:
"""
OF_RUN = {"weights": str, "checkpoint": str, "device": str, "trust": list[str]}


def main(argv: list[str]) -> int | None:
    words = [word for word in argv if word not in ("-h", "--help")]
    run_and = 1 if words and ("=" not in words[0] or exists(words[0])) else 0
    typed = dict(word.split("=", maxsplit=1) for word in words[run_and:] if "=" in word)
    strange = [word for word in words[run_and:] if "=" not in word]
    if len(words) < len(argv) or not argv:
        if "what" not in typed or typed["what"] == "all":
            return print(USAGE + "\n".join(f"  {name:<14} {what}" for name, what in looks().items()))
        return print(inspect.cleandoc(inspect.getdoc(function_of(typed["what"]))) + "\n\n" + options_of(typed["what"]))
    if strange:
        raise ConfigError(f"unknown setting {shortened(strange[0])!r}; see gan-lab analyze --help.")
    if not run_and:
        raise ConfigError(f"name the run first: gan-lab analyze RUN {' '.join(words)}")
    if "what" not in typed:
        raise ConfigError(f"name an analysis: what=all or one of {', '.join(looks())}.")
    what = typed.pop("what")
    chosen = list(looks()) if what == "all" else [what]
    own = {} if what == "all" else kinds_of(what)
    options = given(OF_RUN | {"root": str} | own, [f"{k}={v}" for k, v in typed.items()], f"analyze what={what}")

    from gan_lab.analysis.run import Run

    run = Run(words[0], **{name: options[name] for name in OF_RUN if name in options})
    if "root" in options:
        run.moved(options["root"])
    for name in chosen:
        try:
            finding = run.analyze(name, **{key: value for key, value in options.items() if key in own})
        except ConfigError as error:
            if what != "all":
                raise
            print(f"{name}: left out. {error}\n")
            continue
        print(f"{name}\n{described(finding)}\n{write(run, name, finding, options)}\n")
    return None


def options_of(what: str) -> str:
    parameters = inspect.signature(function_of(what)).parameters.values()
    plain = lambda value: "..." if value is None else str(value).lower() if isinstance(value, bool) else value
    return "\n".join(f"  {p.name}={plain(p.default)}" for p in parameters if p.kind is p.KEYWORD_ONLY)


def described(finding) -> str:
    """Figures as a person reads them, and what they mean."""
    width = max(map(len, finding.figures), default=0)
    return "\n".join([*(f"  {name:<{width}}  {value:.4g}" for name, value in finding.figures.items()), *finding.notes])


def write(run, what: str, finding, options: dict[str, Any]) -> str:
    """Pictures, finding.json and TensorBoard's events in a new directory; says where."""
    from torch.utils.tensorboard import SummaryWriter

    from gan_lab import pictures
    from gan_lab.launch import launch
    from gan_lab.storage.files import writable
    from gan_lab.training.logbook import described
    from gan_lab.version import __version__

    folder, step = free(run.folder / "analysis" / what), run.state["step"]
    protocol = {"step": step, "weights": run.weights, "version": __version__, "options": options}
    whole = {"what": what, "figures": finding.figures, "notes": finding.notes, "protocol": protocol}
    try:
        folder.mkdir()
        (folder / "finding.json").write_text(json.dumps(whole, indent=2, default=str) + "\n", encoding="utf-8")
        with SummaryWriter(writable(run.folder)) as writer:  # as a part of the run, which is one on TensorBoard's list
            for name, value in finding.figures.items():
                writer.add_scalar(f"analysis_{what}/{name}", value, step)
            for name, array in finding.pictures.items():
                pictures.save_png(array, folder / f"{name}.png")
                writer.file_writer.add_summary(described(f"analysis_{what}/{name}", array, looks()[what]), step)
    except OSError as error:
        raise ResourceError(f"cannot write to {str(folder)!r}: {error.strerror}.") from error
    return f"Written to {launch.shown(folder)}"
