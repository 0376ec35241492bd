"""Finding codes of the steps of an upload."""

from __future__ import annotations

from evaluation.findings.kinds import ERROR, Area, FindingKind

AREA = Area(
    "upload",
    "Uploads",
    about=(
        "The steps of an upload by the tus protocol. The submission form and the command line flowertune "
        "deal with most of these by themselves."
    ),
    kinds=(
        FindingKind(
            "upload.unknown",
            ERROR,
            "There is no such upload",
            explanation=(
                "You have no upload with this id. It may be somebody else's, mistyped, or cleared away long "
                "after it expired."
            ),
            remedy="Upload the file again and use the id that the answer gives.",
            example="upload",
        ),
        FindingKind(
            "upload.gone",
            ERROR,
            "The upload is gone",
            explanation=(
                "The upload has expired, was cancelled, was taken over by a submission, or its bytes were "
                "lost in storage. It cannot go on."
            ),
            remedy="Start the upload again.",
            example="upload",
        ),
        FindingKind(
            "upload.incomplete",
            ERROR,
            "The upload is not complete",
            explanation="The submission names an upload that has not all its bytes yet.",
            remedy="Finish the upload first: ask for its offset and send the rest. Then submit again.",
            example="adapter_upload",
        ),
        FindingKind(
            "upload.consumed",
            ERROR,
            "A submission took this upload already",
            explanation=(
                "An upload belongs to the one submission that took it. It cannot be used for a second."
            ),
            remedy="Upload the file again.",
            example="adapter_upload",
        ),
        FindingKind(
            "upload.offset",
            ERROR,
            "The upload stands at another byte",
            explanation=(
                "The request begins at another byte than the upload has come to. Bytes would be missing, or "
                "stand there twice."
            ),
            remedy="Ask for the offset (HEAD) and send from there on.",
            example="upload",
        ),
        FindingKind(
            "upload.too_large",
            ERROR,
            "The file is too large",
            explanation=(
                "The file is over the site's limit, or the request brings more bytes than were announced."
            ),
            remedy=(
                "The message says which limit it is. An adapter over it is mostly a whole model, or holds "
                "modules_to_save: send the adapter alone, or train with a lower rank or fewer modules. "
                "adapter_config.json and pyproject.toml are always far below theirs."
            ),
            example="adapter_model",
        ),
        FindingKind(
            "upload.busy",
            ERROR,
            "Another request is sending to this upload",
            explanation="Two requests cannot send to one upload at a time, since their bytes would mix.",
            remedy=(
                "Wait a second, ask for the offset, and go on from there. Send the pieces of one upload one "
                "after another."
            ),
            example="upload",
        ),
        FindingKind(
            "upload.no_slot",
            ERROR,
            "Too many uploads are running",
            explanation=(
                "The site takes a limited number of uploads at the same time, in all and from each user."
            ),
            remedy="Try again after the seconds in Retry-After; clients do that by themselves.",
            example="upload",
        ),
        FindingKind(
            "upload.checksum",
            ERROR,
            "The bytes are not those of the checksum",
            explanation=(
                "What arrived has another digest than the request announced in Upload-Checksum, so bytes "
                "changed on the way. They were dropped."
            ),
            remedy=(
                "Send the same bytes again. If it happens again, read the file anew: it may have changed "
                "while it was sent."
            ),
            example="upload",
        ),
        FindingKind(
            "upload.cut_off",
            ERROR,
            "The request ended early",
            explanation=(
                "The connection ended before the bytes that the request announced. What arrived is kept, "
                "unless the request had a checksum."
            ),
            remedy="Ask for the offset and go on from there.",
            example="upload",
        ),
        FindingKind(
            "upload.too_many_open",
            ERROR,
            "You have too many open uploads",
            explanation=(
                "A user may have a limited number of uploads that are unfinished, or finished and in no "
                "submission yet."
            ),
            remedy=(
                "Cancel one that you don't need (DELETE), submit what is finished, or wait until they expire."
            ),
            example="upload",
        ),
        FindingKind(
            "upload.open_bytes",
            ERROR,
            "Your open uploads are too large together",
            explanation=(
                "All your unfinished and unused uploads together may take a limited amount of storage."
            ),
            remedy=(
                "Cancel one that you don't need (DELETE), submit what is finished, or wait until they expire."
            ),
            example="upload",
        ),
        FindingKind(
            "upload.daily_bytes",
            ERROR,
            "You have sent the day's amount",
            explanation=(
                "A user may send a limited number of bytes a day, so that one cannot take the site's "
                "connection from all others."
            ),
            remedy="Go on tomorrow (UTC): what has arrived stays.",
            example="upload",
        ),
        FindingKind(
            "upload.storage_full",
            ERROR,
            "The site's storage is full",
            explanation="The site has no room for the file. It is not your fault.",
            remedy="Tell the operators of the site, and try again later.",
            example="upload",
        ),
        FindingKind(
            "upload.storage_away",
            ERROR,
            "The site's storage does not answer",
            explanation="The storage in which the site keeps files is out of reach at this moment.",
            remedy="Try again in a moment; clients do that by themselves.",
            example="upload",
        ),
        FindingKind(
            "upload.header",
            ERROR,
            "A header of the protocol is missing or malformed",
            explanation=(
                "The request lacks a header that the tus protocol asks for, or one of its headers cannot be "
                "read."
            ),
            remedy=(
                "The message names the header. Use a tus client, or build the request as the site's "
                "documentation of uploads shows."
            ),
            example="upload",
        ),
        FindingKind(
            "upload.not_supported",
            ERROR,
            "An extension that this site does not have",
            explanation=(
                "The request asks for a part of the tus protocol that is not offered here: an upload of "
                "unknown length, or one that is put together from several."
            ),
            remedy="Say the length in Upload-Length, and send the file as one upload.",
            example="upload",
        ),
        FindingKind(
            "upload.content_type",
            ERROR,
            "The content type is another one",
            explanation=(
                "The bytes of an upload are sent as application/offset+octet-stream, so that nothing on the "
                "way takes them for something else."
            ),
            remedy="Set the header Content-Type to application/offset+octet-stream.",
            example="upload",
        ),
        FindingKind(
            "upload.length_required",
            ERROR,
            "The request does not say its length",
            explanation="The request has no Content-Length, so nobody could tell whether all of it arrived.",
            remedy="Send Content-Length; bodies in chunks of unknown number are not taken.",
            example="upload",
        ),
        FindingKind(
            "upload.version",
            ERROR,
            "Another version of the protocol",
            explanation="The request does not name the version of the tus protocol that is spoken here.",
            remedy="Send the header Tus-Resumable: 1.0.0.",
            example="upload",
        ),
    ),
)
