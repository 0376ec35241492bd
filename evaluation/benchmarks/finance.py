"""Sentiment of financial text: FPB, FiQA and TFNS, asked and read as FinGPT does (arXiv 2306.06031).

29 of FiQA's 304 items stand in the training set, and 5 FPB sentences on both sides of its split: the data
stay as they are. FiQA's own ids repeat and are not used.
"""

from __future__ import annotations

from collections.abc import Callable

from evaluation.benchmarks.definition import Benchmark, Column, CountTokens, Question, number, one_of, text
from evaluation.protocol import Protocol
from evaluation.samples import Decoding, Row

LABELS = ("negative", "neutral", "positive")
_TFNS_LABELS = ("negative", "positive", "neutral")
_ANSWER = "Answer: "
_POSITIVE = ("positive", "Positive")
_NEGATIVE = ("negative", "Negative")


def _ask(row: Row, protocol: Protocol, *, column: str, kind: str, target: str) -> Question:
    return Question(protocol.sentiment_template.format(kind=kind, sentence=row[column]), target)


def _ask_fpb(row: Row, protocol: Protocol) -> Question:
    return _ask(row, protocol, column="sentence", kind="news", target=LABELS[row["label"]])


def _ask_fiqa(row: Row, protocol: Protocol) -> Question:
    score = row["sentiment_score"]
    target = "negative" if score < -0.1 else "neutral" if score < 0.1 else "positive"
    kind = "tweet" if row["format"] == "post" else "news"
    return _ask(row, protocol, column="sentence", kind=kind, target=target)


def _ask_tfns(row: Row, protocol: Protocol) -> Question:
    return _ask(row, protocol, column="text", kind="tweet", target=_TFNS_LABELS[row["label"]])


def _decoding(protocol: Protocol, _count_tokens: CountTokens) -> Decoding:
    """Up to the whole-sequence limit, but no further than where the answer can still change."""
    return Decoding(
        max_sequence_tokens=protocol.sentiment_sequence_tokens,
        # `positive` wins over `negative` wherever it stands, so that seeing the latter decides nothing.
        stop=(*_POSITIVE, _ANSWER),
    )


def read_sentiment(text: str) -> str:
    """The sentiment named before the model starts another `Answer: `; neutral when it names none.

    The prompt ends in `Answer: `, so the completion is what follows the first one.
    """
    answer = text.partition(_ANSWER)[0]
    if any(word in answer for word in _POSITIVE):
        return "positive"
    if any(word in answer for word in _NEGATIVE):
        return "negative"
    return "neutral"


def _benchmark(
    slug: str,
    title: str,
    source: str,
    *,
    columns: tuple[Column, ...],
    rows: int,
    digest: str | None,
    ask: Callable[[Row, Protocol], Question],
    quarter: bool,
) -> Benchmark:
    return Benchmark(
        slug=slug,
        title=title,
        challenge="finance",
        source=source,
        file=slug,
        columns=columns,
        rows=rows,
        digest=digest,
        labels=LABELS,
        ask=ask,
        decoding=_decoding,
        read=read_sentiment,
        quarter=quarter,
    )


BENCHMARKS = (
    _benchmark(
        "fpb",
        "FPB",
        "takala/financial_phrasebank, sentences_50agree, the seed-42 quarter of 4,846",
        columns=(text("sentence"), one_of("label", 0, 1, 2)),
        rows=1_212,
        digest="f458c37f0b064d6722d5eaf787673845c473b0e27cfc2a0c49204b65da2c88b8",
        ask=_ask_fpb,
        quarter=True,
    ),
    _benchmark(
        "fiqa",
        "FiQA",
        "pauri32/fiqa-2018, all splits, the seed-42 quarter of 1,213",
        columns=(text("sentence"), number("sentiment_score"), text("format")),
        rows=304,
        # The official rows have not been seen in their official order yet, so no result on FiQA is official.
        digest=None,
        ask=_ask_fiqa,
        quarter=True,
    ),
    _benchmark(
        "tfns",
        "TFNS",
        "zeroshot/twitter-financial-news-sentiment, validation",
        columns=(text("text"), one_of("label", 0, 1, 2)),
        rows=2_388,
        digest="d1e4b184cde491ccc1b464fb2571037b21d5a9418dbe9418816630773c986385",
        ask=_ask_tfns,
        quarter=False,
    ),
)
