"""Finding codes of pyproject.toml, as a file and as a Flower app."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "app-config",
    "The file pyproject.toml",
    about=(
        "Whether the file is the configuration of a Flower app, and what it says of the method. It is read "
        "as data: nothing in it is run."
    ),
    kinds=(
        FindingKind(
            "config.too_large",
            ERROR,
            "The file is too large",
            explanation=(
                "The file is larger than the configuration of any Flower app. Probably another file was "
                "chosen."
            ),
            remedy="Send the pyproject.toml at the top of the Flower app's folder.",
            example="pyproject.toml",
        ),
        FindingKind(
            "config.too_many_values",
            ERROR,
            "The file holds too many values",
            explanation=(
                "The file has more keys and values than any app's configuration. Data do not belong in it."
            ),
            remedy="Keep the configuration in the file and move data into files of their own.",
            example="pyproject.toml",
        ),
        FindingKind(
            "config.encoding",
            ERROR,
            "The file is not UTF-8",
            explanation=(
                "TOML is UTF-8 by definition. The file has bytes that are not, mostly because an editor "
                "saved it in another encoding, such as UTF-16 or Latin-1."
            ),
            remedy=(
                "Save the file as UTF-8 in your editor and send it again. The location names the first line "
                "with such a byte."
            ),
            example="pyproject.toml: line 7",
        ),
        FindingKind(
            "config.byte_order_mark",
            NOTE,
            "The file begins with a byte order mark",
            explanation=(
                "Three invisible bytes, which some editors add, stand before the text. They are passed over "
                "here, but Flower stops at them, so that others cannot run your app."
            ),
            remedy="Save the file as UTF-8 without a byte order mark.",
            example="pyproject.toml: line 1",
        ),
        FindingKind(
            "config.syntax",
            ERROR,
            "The file is not valid TOML",
            explanation=(
                "The file cannot be read as TOML at this place, and nothing after it is known. Flower could "
                "not read it either."
            ),
            remedy=(
                "Look at the line that is named and the one before it: often a quote or bracket is not "
                "closed, or a text stands without quotes."
            ),
            example="pyproject.toml: line 12, column 9",
        ),
        FindingKind(
            "config.template",
            ERROR,
            "A placeholder of the template was never filled in",
            explanation=(
                "The file is, or still has parts of, a template: placeholders stand where values should be. "
                "It cannot be the file that a run used."
            ),
            remedy=(
                "Make the app from the template (flwr new), and send the pyproject.toml of the app that you "
                "ran, with the values of the run."
            ),
            example="pyproject.toml: line 4, project.name",
        ),
        FindingKind(
            "config.nesting",
            ERROR,
            "The file is nested too deeply",
            explanation=(
                "Tables or lists are nested, or a key has more parts, than in any app's configuration."
            ),
            remedy="Write the values flat, as the template does: a few dotted keys are enough.",
            example="pyproject.toml",
        ),
        FindingKind(
            "config.not_flower_app",
            ERROR,
            "The file is not of a Flower app",
            explanation=(
                "There is no table [tool.flwr.app], nor what older versions of Flower had in its place. It "
                "is probably the pyproject.toml of another project."
            ),
            remedy="Send the pyproject.toml at the top of the Flower app that you ran with flwr run.",
            example="pyproject.toml",
        ),
        FindingKind(
            "config.no_app_config",
            ERROR + WARNING,
            "The Flower app has no configuration",
            explanation=(
                "The file has no table [tool.flwr.app.config]. It is where an app says how it trains: base "
                "model, rounds, clients, LoRA. Without it the method cannot be described, nor the rules be "
                "checked."
            ),
            remedy=(
                "Send the file of the run. If the settings were only given with flwr run --run-config, "
                "write them into the table."
            ),
            example="pyproject.toml: line 20, tool.flwr.app",
        ),
        FindingKind(
            "config.old_layout",
            NOTE,
            "The layout of an older Flower",
            explanation=(
                "The app's tables stand where Flower kept them before 1.10. They are read, but today's "
                "Flower does not find them."
            ),
            remedy=(
                "Nothing needs to be done for this submission. Move the tables to [tool.flwr.app], so that "
                "others can run the app."
            ),
            example="pyproject.toml: line 20, flower.app",
        ),
        FindingKind(
            "config.value",
            ERROR,
            "A value has the wrong type or is out of range",
            explanation=(
                "A setting is not of the type that it needs, or outside what makes sense for it, so the "
                "method cannot be described by it."
            ),
            remedy=(
                "Write the value that the run used, as the message says: numbers without quotes, true and "
                "false in lower case."
            ),
            example="pyproject.toml: line 31, tool.flwr.app.config.num-server-rounds",
        ),
        FindingKind(
            "config.conflict",
            WARNING,
            "The same thing is said twice, differently",
            explanation=(
                "Two keys give the same setting different values, such as two strategies, two data sets or "
                "two numbers of clients. The message says which of them is taken; readers cannot tell "
                "whether it is the one that the run used."
            ),
            remedy="Keep the one that the run used and remove the other.",
            example="pyproject.toml: line 33, tool.flwr.app.config.strategy.name",
        ),
        FindingKind(
            "config.unknown_keys",
            NOTE,
            "Keys that are not understood",
            explanation=(
                "The configuration has keys that mean nothing to the checks. They stay in the file, which "
                "reviewers read, but they are not on the method card."
            ),
            remedy=(
                "Nothing needs to be done. If one of them matters to the method, explain it in the "
                "description."
            ),
            example="pyproject.toml: line 35, tool.flwr.app.config.my-option",
        ),
        FindingKind(
            "config.strategy",
            NOTE,
            "The strategy is not known here",
            explanation=(
                "The strategy that the file names is none of those that this site knows. The entry carries "
                "its name, but the site cannot say what it sends, nor retrain it."
            ),
            remedy=(
                "Describe it in the description, or link to the paper. If it is a known strategy under "
                "another name, write the usual name."
            ),
            example="pyproject.toml: line 33, tool.flwr.app.config.strategy.name",
        ),
        FindingKind(
            "config.minimum_clients",
            NOTE,
            "Flower asks more clients than the fraction says",
            explanation=(
                "The fraction of clients a round comes to fewer than Flower's own minimum, so the run asked "
                "more clients than the fraction says. The communication is derived from that minimum."
            ),
            remedy=(
                "Nothing needs to be done if the run used Flower's default. If it set another minimum, add "
                "strategy.min-train-nodes to the file."
            ),
            example="pyproject.toml: line 34, tool.flwr.app.config.strategy.fraction-train",
        ),
    ),
)
