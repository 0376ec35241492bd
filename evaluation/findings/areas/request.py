"""Finding codes of fields and parameters of a request to the API."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, Area, FindingKind

AREA = Area(
    "request",
    "Requests to the API",
    about=(
        "A field or parameter of a request is wrong; the location names it. These are found before anything "
        "is checked or stored. Some of the codes are those of Django REST framework."
    ),
    kinds=(
        FindingKind(
            "required",
            ERROR,
            "A needed field is missing",
            explanation="The request lacks a field without which it means nothing.",
            remedy="Add the field that the location names. /api/docs/ lists the fields of every request.",
            example="challenge",
        ),
        FindingKind(
            "null",
            ERROR,
            "A field is null",
            explanation="The field is there, but null, and it needs a value.",
            remedy="Give it a value. A field that may be left out is left out, not sent as null.",
            example="method",
        ),
        FindingKind(
            "blank",
            ERROR,
            "A field is empty",
            explanation=(
                "The field or query parameter is there, but empty. That may come from a variable that was "
                'never set, so it is not taken for "nothing".'
            ),
            remedy="Give it a value, or leave it out.",
            example="team",
        ),
        FindingKind(
            "invalid",
            ERROR,
            "A value cannot be read",
            explanation=(
                "The value is not of the kind that the field takes: a number, a date, an address, an id. "
                "Everything else that is wrong with a single field and has no code of its own has this one "
                "too."
            ),
            remedy="The message says what the field takes; /api/docs/ describes every field.",
            example="created_after",
        ),
        FindingKind(
            "invalid_choice",
            ERROR,
            "A value is none of the list",
            explanation="The field takes one value of a list, and this is none of them.",
            remedy=(
                "Take one of the values that /api/docs/ lists for the field; GET /api/v1/challenges/ lists "
                "the challenges."
            ),
            example="challenge",
        ),
        FindingKind(
            "unknown_field",
            ERROR,
            "There is no such field",
            explanation=(
                "The request has a field or parameter that does not exist here. A misspelt one would be "
                "ignored in silence elsewhere; here it is refused."
            ),
            remedy="Check the spelling against /api/docs/, or leave the field out.",
            example="metadata.descripton",
        ),
        FindingKind(
            "max_length",
            ERROR,
            "A text is too long",
            explanation="The text has more characters, or the list more elements, than the field takes.",
            remedy="Shorten it to what the message says.",
            example="method",
        ),
        FindingKind(
            "min_length",
            ERROR,
            "A text is too short",
            explanation="The text has fewer characters than the field needs.",
            remedy="Write at least what the message says.",
            example="method",
        ),
        FindingKind(
            "max_value",
            ERROR,
            "A number is too large",
            explanation="The number is over what the field takes.",
            remedy="Check the unit: bytes, seconds, joules or a count.",
            example="resources.0.value",
        ),
        FindingKind(
            "min_value",
            ERROR,
            "A number is too small",
            explanation="The number is under what the field takes.",
            remedy="Check the unit and the sign: bytes, seconds, joules or a count, none of them negative.",
            example="resources.0.value",
        ),
        FindingKind(
            "max_string_length",
            ERROR,
            "A number is written too long",
            explanation="The number is a text of more characters than any number needs.",
            remedy="Send it as a JSON number.",
            example="resources.0.value",
        ),
        FindingKind(
            "overflow",
            ERROR,
            "A number or date is out of bounds",
            explanation=(
                "The number is larger than can be computed with, or the date lies outside the calendar."
            ),
            remedy="Check the value.",
            example="reproduce",
        ),
        FindingKind(
            "date",
            ERROR,
            "A day where a time is needed",
            explanation="The parameter takes a day and a time, and got a day alone.",
            remedy="Write it like 2026-03-01T00:00:00Z.",
            example="created_after",
        ),
        FindingKind(
            "make_aware",
            ERROR,
            "A time that does not exist",
            explanation="The time does not exist, or exists twice, in its time zone.",
            remedy="Write it in UTC, like 2026-03-01T00:00:00Z.",
            example="created_after",
        ),
        FindingKind(
            "not_a_list",
            ERROR,
            "A list is needed",
            explanation="The field takes a list and got something else.",
            remedy="Send a JSON list, even where it has one element.",
            example="resources",
        ),
        FindingKind(
            "not_a_dict",
            ERROR,
            "An object is needed",
            explanation="The field takes a JSON object, names to values, and got something else.",
            remedy='Send a JSON object like {"fpb": "44.50"}.',
            example="declared_scores",
        ),
        FindingKind(
            "empty",
            ERROR,
            "Something empty was sent",
            explanation="The file, list or object is there, but has nothing in it.",
            remedy="Send it with its content, or leave the field out.",
            example="adapter_model",
        ),
        FindingKind(
            "no_name",
            ERROR,
            "A file without a name",
            explanation=(
                "A part of the request that should be a file has no file name, so it cannot be told from a "
                "text."
            ),
            remedy=(
                "Send the part with a file name; curl does so with -F "
                "adapter_model=@adapter_model.safetensors."
            ),
            example="adapter_model",
        ),
        FindingKind(
            "null_characters_not_allowed",
            ERROR,
            "A text with a null character",
            explanation="The text has the character NUL, which no database stores in a text.",
            remedy="Remove it; it often comes from reading a binary file or UTF-16 as text.",
            example="method",
        ),
        FindingKind(
            "surrogate_characters_not_allowed",
            ERROR,
            "A text with half a character",
            explanation="The text has one half of a surrogate pair, which is no character.",
            remedy="Encode the text as UTF-8 before you send it.",
            example="method",
        ),
        FindingKind(
            "not_json",
            ERROR,
            "The metadata are no JSON",
            explanation=(
                "The part metadata of a multipart request has to be one JSON object, and cannot be read as "
                "one."
            ),
            remedy="Check quotes and commas; in a shell, put the whole object in single quotes.",
            example="metadata",
        ),
        FindingKind(
            "conflict",
            ERROR,
            "Two fields exclude each other",
            explanation=(
                "The same thing is given in two ways: a file and the id of an upload, files and a "
                "repository of the hub, or a field in the metadata and as a part of its own. Which of them "
                "is meant cannot be told."
            ),
            remedy="Keep one of the two.",
            example="adapter_upload",
        ),
        FindingKind(
            "unknown_base_model",
            ERROR,
            "The base model is not on the list",
            explanation="The site evaluates on the base models of its list alone, and this is none of them.",
            remedy=(
                "GET /api/v1/base-models/ or flowertune base-models shows the list. Ask the operators of "
                "the site to add a model."
            ),
            example="base_model",
        ),
        FindingKind(
            "unknown_team",
            ERROR,
            "You are in no such team",
            explanation="You may submit for the teams that you are a member of, and this is none of them.",
            remedy="GET /api/v1/teams/ lists your teams. Without a team named, the submission is your own.",
            example="team",
        ),
        FindingKind(
            "unknown_benchmark",
            ERROR,
            "The challenge has no such benchmark",
            explanation="A score is declared for a benchmark that does not belong to the challenge.",
            remedy="The message lists the benchmarks of the challenge.",
            example="declared_scores.mmlu",
        ),
        FindingKind(
            "overlap_report",
            ERROR,
            "The report on training data cannot be used",
            explanation=(
                "The report of `flowertune overlap` names a benchmark that this site has no n-grams of, "
                "other items than it has now, or digests that are of no item."
            ),
            remedy="Make the report anew with `flowertune overlap`, from this site, and send it unchanged.",
            example="overlap",
        ),
        FindingKind(
            "unknown_submission",
            ERROR,
            "There is no such submission",
            explanation="The submission that is to be retrained does not exist, or is a draft still.",
            remedy="Give the number of a submission that was sent.",
            example="reproduce",
        ),
        FindingKind(
            "kind_not_allowed",
            ERROR,
            "Your account may not submit reference entries",
            explanation=(
                "Reference entries are the site's own, and only accounts that the operators chose may "
                "submit them."
            ),
            remedy="Leave kind out; the entry is then one of the community.",
            example="kind",
        ),
        FindingKind(
            "duplicate_resource",
            ERROR,
            "A resource stands there twice",
            explanation=(
                "The same kind of resource is declared twice, so it cannot be told which of them counts."
            ),
            remedy="Keep one figure of each kind.",
            example="resources",
        ),
        FindingKind(
            "basis_not_allowed",
            ERROR,
            "The basis of a figure is not yours to give",
            explanation=(
                '"measured" means that this site measured the figure itself, in a run of its own. A '
                "submission can only declare figures."
            ),
            remedy='Leave basis out, or say "declared".',
            example="resources",
        ),
        FindingKind(
            "invalid_key",
            ERROR,
            "The idempotency key cannot be used",
            explanation=(
                "A key is a short text of printable ASCII characters, by which a repeated request is known."
            ),
            remedy="Make a new key for each thing to be done, such as a UUID.",
            example="Idempotency-Key",
        ),
    ),
)
