"""Finding codes of the settings of a federated run of this site."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, Area, FindingKind

AREA = Area(
    "run",
    "Settings of a federated run",
    about=(
        "Whether a baseline run of this site, or one of python -m evaluation.federated, can work. All of it "
        "is told before anything starts."
    ),
    kinds=(
        FindingKind(
            "run.adapter",
            ERROR,
            "The strategy does not go with this adapter",
            explanation=(
                "Some strategies rest on what only plain LoRA has, or only DoRA; the message gives the "
                "reason for this one."
            ),
            remedy="Choose the other kind of adapter, or another strategy.",
            example="adapter",
        ),
        FindingKind(
            "run.challenge",
            ERROR,
            "There is no such challenge",
            explanation=(
                "The challenge decides on training data, clients and budget, and there is none of this name."
            ),
            remedy="Take one of the challenges that the message names.",
            example="challenge",
        ),
        FindingKind(
            "run.clients",
            NOTE,
            "The number of clients is not the challenge's",
            explanation=(
                "A challenge has a fixed number of clients. A run of this site may have another one, for a "
                "demonstration or a study, but it is then not comparable with the entries of the challenge."
            ),
            remedy=(
                "Nothing needs to be done if that is meant. For a baseline of the challenge, take its number."
            ),
            example="clients",
        ),
        FindingKind(
            "run.kept",
            NOTE,
            "No adapter is kept on the way",
            explanation=(
                "Adapters are kept after every so many rounds, and the run has fewer. The last round's is "
                "the result, so that there is nothing to draw a curve of."
            ),
            remedy="Keep adapters more often, or run more rounds, if you want scores on the way.",
            example="keep_every",
        ),
        FindingKind(
            "run.partition",
            ERROR,
            "The partition lacks something, or has too much",
            explanation=(
                "How rows are shared decides what else is to be said: drawn partitions need an alpha, and "
                "those that go by the values of a column need its name. For others these mean nothing, and "
                "would mislead whoever reads the settings."
            ),
            remedy="Add what the message asks for, or remove what means nothing here.",
            example="partition.alpha",
        ),
        FindingKind(
            "run.privacy",
            ERROR,
            "The privacy settings cannot work",
            explanation=(
                "A setting of differential privacy is out of its range, or the strategy does not go with "
                "differential privacy at all: it would promise what it cannot keep."
            ),
            remedy=(
                "Bring the value into the range that the message names, choose another strategy, or switch "
                "privacy off."
            ),
            example="privacy.noise_multiplier",
        ),
        FindingKind(
            "run.rows",
            ERROR,
            "There are more clients than rows",
            explanation=(
                "Every client needs at least one row of its own, after the held-out rows are taken away."
            ),
            remedy="Take fewer clients, hold out fewer rows, or train on more data.",
            example="clients",
        ),
        FindingKind(
            "run.strategy",
            ERROR,
            "There is no such strategy",
            explanation=(
                "The strategy decides how the clients' updates become one, and there is none of this name."
            ),
            remedy="Take one of the strategies that the message names; the baselines page shows them all.",
            example="strategy",
        ),
        FindingKind(
            "run.strategy_clients",
            ERROR,
            "The strategy cannot work with so few clients a round",
            explanation=(
                "Krum, medians and trimmed means are made to outvote bad clients. With too few clients a "
                "round they cannot, and would be a plain mean or one client's adapter under another name."
            ),
            remedy="Ask as many clients a round as the message names, or choose another strategy.",
            example="clients_per_round",
        ),
        FindingKind(
            "run.strategy_is_fedavg",
            NOTE,
            "With these options the strategy is FedAvg",
            explanation=(
                "The options leave nothing of what the strategy adds to FedAvg, as with Flower's defaults of "
                "FedAvgM, which the FlowerTune paper ran."
            ),
            remedy="Nothing needs to be done if that is meant. Else change the options that are named.",
            example="strategy",
        ),
        FindingKind(
            "run.strategy_option",
            ERROR,
            "An option that the strategy does not take",
            explanation=(
                "The strategy has no option of this name, or the value is out of its range or no whole "
                "number where one is needed."
            ),
            remedy="The message says what the strategy takes.",
            example="strategy_options.proximal-mu",
        ),
        FindingKind(
            "run.target_modules",
            ERROR,
            "The target modules are not in the base model",
            explanation=(
                "No module is named to train, or the base model has none of that name, so nothing would be "
                "trained there."
            ),
            remedy="Take names from those that the message lists.",
            example="target_modules",
        ),
        FindingKind(
            "run.value",
            ERROR,
            "A setting is out of range, or two contradict each other",
            explanation=(
                "A number is outside what makes sense, a value is none of its list, or two settings cannot "
                "both hold, such as more clients a round than there are clients."
            ),
            remedy="Change the setting that the location names, as the message says.",
            example="learning_rate",
        ),
    ),
)
