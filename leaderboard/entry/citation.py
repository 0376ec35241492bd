"""How to cite an entry, and the paper of the benchmark: BibTeX."""

from __future__ import annotations

import re

from evaluation.rules.challenges import CHALLENGES, PAPER
from leaderboard.standing.entries import Entry

PAPER_BIBTEX = """@article{gao2025flowertune,
  title   = {{FlowerTune}: A Cross-Domain Benchmark for Federated Fine-Tuning of Large Language Models},
  author  = {Gao, Yan and Scamarcia, Massimo Roberto and Fernandez-Marques, Javier and Naseri, Mohammad and
             Ng, Chong Shen and Stripelis, Dimitris and Li, Zexi and Shen, Tao and Bai, Jiamu and
             Chen, Daoyuan and Zhang, Zikai and Hu, Rui and Song, InSeo and KangYoon, Lee and Jia, Hong and
             Dang, Ting and Wang, Junyan and Liu, Zheyuan and Beutel, Daniel Janes and Lyu, Lingjuan and
             Lane, Nicholas D.},
  journal = {arXiv preprint arXiv:PAPER},
  year    = {2025}
}""".replace("PAPER", PAPER)

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def bibtex(entry: Entry, url: str) -> str:
    """The entry as @misc: its state at this moment is named by protocol and date."""
    challenge = CHALLENGES[entry.challenge]
    protocol = f", protocol {entry.protocol}" if entry.protocol else ", declared scores"
    names = dict.fromkeys((entry.method, entry.base_model))  # imported entries are named after their model
    fields = {
        "title": " on ".join(f"{{{escaped(name)}}}" for name in names),
        "author": f"{{{escaped(entry.team)}}}",
        "year": f"{entry.day:%Y}" if entry.day else "n.d.",
        "howpublished": f"FlowerTune Leaderboard, {challenge.title} challenge, entry {entry.id}{protocol}",
        "url": url,
    }
    lines = ",\n".join(f"  {name:<12} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{flowertune-entry-{entry.id},\n{lines}\n}}"


def escaped(text: str) -> str:
    """A text of people for LaTeX, on one line; braces are balanced because they are escaped."""
    plain = _UNPRINTABLE.sub(" ", text)
    return "".join(_SPECIAL.get(character, character) for character in plain)
