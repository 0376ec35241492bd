"""Finding codes of the submission as a whole, known to the site alone."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, NOTE, WARNING, Area, FindingKind

AREA = Area(
    "submission",
    "The submission as a whole",
    about=(
        "What only the site can tell: the team and what it sent before, the base models that it lists, and "
        "files that it fetches itself."
    ),
    kinds=(
        FindingKind(
            "submission.missing_file",
            ERROR,
            "A file is missing",
            explanation=(
                "A submission has three files: adapter_model.safetensors and adapter_config.json of the "
                "last PEFT checkpoint, and the pyproject.toml of the Flower app as it was run. Without the "
                "first two nothing can be evaluated; without the third nobody can tell how the adapter was "
                "trained. A pickle (adapter_model.bin) is never opened."
            ),
            remedy=(
                "Add the file that is named. A draft keeps the files that it has already, so only the "
                "missing one needs to be sent. The first two are written by "
                "save_pretrained(…, safe_serialization=True)."
            ),
            example="adapter_config.json",
        ),
        FindingKind(
            "submission.no_training_statement",
            ERROR,
            "The statement on training data is missing",
            explanation=(
                "Every submission states what it was trained on, and that no test item of the challenges' "
                "benchmarks was among that. Nobody can read it off the adapter, and a score on items that "
                "were trained on says nothing. The statement stands on the entry's page and is fixed once "
                "the submission is sent."
            ),
            remedy=(
                "Tick the statement in the form, send not_trained_on_test_items as true, or give "
                "--not-trained-on-test-items on the command line. If test items were trained on, the "
                "adapter cannot be submitted: train without them."
            ),
            example="not_trained_on_test_items",
        ),
        FindingKind(
            "submission.base_model_closed",
            ERROR,
            "The base model takes no new submissions",
            explanation=(
                "The operators of the site have taken this base model off the list, or it is only known "
                "from imported entries. Entries that are built on it stay on the board."
            ),
            remedy=(
                "Choose a base model from the list and train on that one, or ask for this one on the page "
                "that the form leads to."
            ),
            example="base_model",
        ),
        FindingKind(
            "submission.duplicate_checkpoint",
            WARNING,
            "The same tensors were submitted before",
            explanation=(
                "Another submission to this challenge has exactly these tensors, whatever the file is "
                "called and however they are ordered in it. It may be a copy, or a run that was sent twice "
                "by mistake. It does not block the submission, but the reviewer will ask."
            ),
            remedy=(
                "Check that you chose the file of the right run. If it is meant, say in the description "
                "where the adapter comes from and what is different about this entry."
            ),
            example="adapter_model.safetensors",
        ),
        FindingKind(
            "submission.not_repeatable",
            ERROR,
            "It cannot be another run of that submission",
            explanation=(
                "A further run of a method has the challenge, the team, the base model and the kind of the "
                "first one, which was not rejected, withdrawn or disqualified, and tensors that no other run "
                "of it has. All further runs name the first, never each other."
            ),
            remedy="Name the first run of the method, or send this one as a method of its own.",
            example="repeats",
        ),
        FindingKind(
            "submission.other_method",
            ERROR,
            "It differs from the first run in more than its seed",
            explanation=(
                "Runs of one method differ in their seed alone: the board shows their mean, with how much "
                "the seed moves the score. Another setting, even a better one, is another method. So it is "
                "for a first run that is changed after others were sent as runs of it."
            ),
            remedy=(
                "Train with the configuration of the first run and another seed, or send this run as a "
                "method of its own. The message names what differs."
            ),
            example="pyproject.toml",
        ),
        FindingKind(
            "submission.same_configuration",
            WARNING,
            "The configuration is that of the first run to the letter",
            explanation=(
                "A further run has another seed. Where the configuration does not name one, or names the "
                "same, nobody can tell from it what made the two differ."
            ),
            remedy="Write the seed into the configuration, or say in the description how it was chosen.",
            example="pyproject.toml",
        ),
        FindingKind(
            "submission.parameters_differ",
            WARNING,
            "The declared number of trainable parameters differs",
            explanation=(
                "The declared number of trainable parameters is not the number of values in the adapter. "
                "Readers compare methods by this figure, so the page shows both."
            ),
            remedy=(
                "Correct the number, or leave it out: it is counted from the adapter anyway. If parameters "
                "were trained that are not in the file, say so in the description."
            ),
            example="trainable parameters, declared",
        ),
        FindingKind(
            "submission.quota",
            ERROR,
            "The team's submissions of the day are used up",
            explanation=(
                "Every submission takes time of a worker, so a team may send a limited number in 24 hours. "
                "Drafts do not count, nor what failed on the site's side or was withdrawn before a worker "
                "took it."
            ),
            remedy=(
                "Save it as a draft now and send it later. The form and My submissions show how much of the "
                "limit is used."
            ),
            example="team",
        ),
        FindingKind(
            "submission.too_many_drafts",
            ERROR,
            "The team has too many drafts",
            explanation=(
                "Drafts keep their files, which take storage, so a team may have a limited number of them "
                "at a time."
            ),
            remedy="Send or delete a draft under My submissions, then save this one.",
            example="team",
        ),
        FindingKind(
            "hub.not_fetched",
            ERROR,
            "The files could not be fetched from the hub",
            explanation=(
                "The files were to come from the Hugging Face Hub and no complete set arrived: the "
                "repository, revision or folder does not exist or is not open to the token, a file is "
                "missing or too large, the token has lapsed, or the hub did not answer. Nothing of it was "
                "stored, and the draft stays."
            ),
            remedy=(
                "The message says which of these it was. Mend the repository, revision, folder or token in "
                "the draft and save it again, or upload the files instead."
            ),
            example="organisation/name",
        ),
        FindingKind(
            "import.no_date",
            NOTE,
            "The imported entry has no date",
            explanation=(
                "The entry was taken over from another board, which gives no date for it. It is shown "
                "without one."
            ),
            remedy="Nothing needs to be done.",
            example="date",
        ),
    ),
)
