"""The reasons for which our engines and another server may take different messages out of the same bytes.

A reason holds in one direction only. There is none for two servers that both go on and cut the bytes differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"


@dataclass(frozen=True)
class Reason:
    """Why one of the two takes fewer messages.

    Attributes:
        pattern: What stands in an input of this kind; a damaged one that has it may differ for this reason.
        names: The inputs of the table that differ for this reason, all of them.
        method: Instead of ``pattern``: the method of the first message that only one of the two takes.
    """

    text: str
    pattern: bytes = rb"(?!)"
    names: tuple[str, ...] = ()
    method: str = r"(?!)"


@dataclass(frozen=True)
class Peer:
    """Another server.

    Attributes:
        we_are_stricter: Why it goes on where we reject.
        it_is_stricter: Why it rejects where we go on.
        same: The inputs of the table in whose messages the two understand something else, and why.
    """

    we_are_stricter: tuple[Reason, ...]
    it_is_stricter: tuple[Reason, ...]
    same: Mapping[str, str] = field(default_factory=dict)


#: nginx goes on where RFC 9112 has a rejection, or allows one, and we reject.
_WE_ARE_STRICTER_THAN_NGINX = (
    Reason(
        "a line feed alone ends a line for nginx; RFC 9112 section 2.2 allows it, and two parsers may see two messages",
        rb"(?<!\r)\n",
        (
            *("bare-lf-before", "bare-lf-everywhere", "bare-lf-behind-request-line", "bare-lf-behind-a-field"),
            *("bare-lf-for-the-empty-line", "chunk-size-bare-lf", "chunk-extension-bare-lf", "chunk-end-bare-lf"),
            *("last-chunk-bare-lf", "end-bare-lf", "trailer-bare-lf"),
        ),
    ),
    Reason(
        "nginx takes a carriage return alone before a line end, and one in place of a chunk's last byte",
        rb"\r(?!\n)",
        ("cr-cr-lf",),
    ),
    Reason(
        "nginx speaks HTTP/0.9: a request line without a version",
        rb"(?:\A|\n|hello)[A-Za-z]+ [^ \r\n]*\r\n",
        ("http/0.9",),
    ),
    Reason(
        "nginx skips any number of empty lines before a request; RFC 9112 section 2.2 asks for at least one",
        rb"(?:\A|\r\n\r\n|hello)(?:\r\n){2}",
        ("two-empty-lines-before", "two-empty-lines-behind-a-body"),
    ),
    Reason(
        "nginx takes more spaces than one in a request line, and some behind it (RFC 9112 section 3 allows it)",
        rb"[A-Za-z]+(?: {2,}\S|[^\r\n]* {2,}HTTP/|[^\r\n]*HTTP/1\.[0-9] +\r\n)",
        ("two-spaces", "space-behind-version"),
    ),
    Reason(
        "nginx takes targets with a fragment or bytes that are not ASCII; RFC 9112 section 3.2 has neither",
        rb"(?:\A|\n|hello)[A-Za-z]+ [^ \r\n]*[#\x80-\xff]",
        ("target-not-ascii", "target-with-fragment"),
    ),
    Reason(
        "nginx ignores field lines whose name is no token, and values may have control characters (RFC 9110 section 5)",
        rb"\n[^\r\n:]*[^" + _TOKEN + rb":\r\n][^\r\n]*\r\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
        ("name-not-a-token", "name-not-ascii", "value-with-control", "value-with-delete"),
    ),
    Reason(
        "nginx looks into Host for slashes and little else; RFC 9112 section 3.2 wants a 400 for an invalid one",
        rb"(?i)\nhost:[ \t]*[^\r\n]*[^\r\n\w.: \t-]",
        (
            *("host-with-userinfo", "host-with-letters-for-a-port", "host-with-port-too-large"),
            *("host-with-half-a-literal", "host-with-no-address-in-brackets", "host-with-half-an-escape"),
        ),
    ),
    Reason(
        "nginx skips what stands between a chunk's size and its line's end, whatever it is, and leading zeros",
        rb"\n[0-9A-Fa-f]+[ \t;][^\n]*\r\n",
        (
            *("chunk-size-space-behind", "chunk-size-tab-behind", "chunk-size-seventeen-digits", "chunk-extension-nul"),
            *("chunk-extension-without-name", "chunk-extension-without-semicolon", "chunk-extension-open-quotes"),
        ),
    ),
    Reason(
        "nginx takes a chunk's bytes by count and does not hold what follows to be their line's end",
        rb"\n[1-9a-f][0-9a-f]*(?:;[^\r\n]*)?\r\n(?!hello\r\n| world\r\n)",
        ("chunk-shorter-than-its-size",),
    ),
    Reason(
        "nginx drops trailers without reading them; what frames a message has no place there, and lines have a syntax",
        rb"\n0\r\n[^\r]",
        (
            *("trailer-no-colon", "trailer-space-before-colon", "trailer-folded", "trailer-nul"),
            *("trailer-content-length", "trailer-transfer-encoding", "trailer-host", "cut-before-the-trailers-end"),
        ),
    ),
    Reason(
        "nginx takes absolute-form of any scheme, and minor versions of two digits (RFC 9112 sections 2.3 and 3.2.2)",
        rb"[A-Za-z]+ [a-z]+://|HTTP/1\.[0-9]{2}",
        ("absolute-of-another-scheme", "version-two-digits"),
    ),
    Reason(
        "close wins over keep-alive, which is a member of a list (RFC 9112 section 9.3); nginx looks for the word"
        " anywhere in the value, and the last one wins",
        rb"(?i)connection: close\r\n(?:[^\r\n]+\r\n)*connection:[^\r\n]*keep-alive|connection: [^\r\n]+keep-alive",
    ),
    Reason(
        "our limits are others: of a method, a target, the number of fields, and the size of trailers",
        names=(
            "method-endless",
            "target-too-long",
            "fields-too-many",
            "trailers-too-long",
            "trailer-too-long",
            "trailers-too-many",
        ),
    ),
)

#: We go on where nginx rejects.
_NGINX_IS_STRICTER = (
    Reason(
        "methods are tokens, and have case (RFC 9110 section 9.1); nginx takes capitals, hyphens and underscores only",
        method=r"[^A-Z_-]",
        names=(
            "methods-have-case",
            "too-short-a-length",
            "length-zero-with-a-body",
            "no-length-with-a-body",
            "length-named-with-an-underscore",
        ),
    ),
    Reason(
        "white space around a value is spaces and tabs (RFC 9112 section 5.1); nginx takes a tab for a part of it",
        rb"(?i)\n(?:host|content-length|transfer-encoding):[^\r\n]*\t",
        ("white-space-around-a-value",),
    ),
    Reason(
        "an empty Host is valid (RFC 9112 section 3.2); nginx asks for a name",
        rb"(?i)\nhost:[ \t]*\r\n",
    ),
    Reason("nginx does not answer OPTIONS *", rb"OPTIONS \*", ("asterisk-form",)),
    Reason(
        "what a path means is the application's to say: nginx resolves percent-encoding and dots itself",
        rb"%|\.\.",
        ("a-percent-nul", "a-way-out"),
    ),
)

_417 = "417 is answered before the application, and the connection goes on; the other does not look"

#: The messages are the same, and what was understood of them is not.
_SAME_TO_NGINX = {
    "absolute-form-for-options": "without a path it is OPTIONS * (RFC 9112 section 3.2.4); nginx makes a slash of it",
    "another-expectation": _417,
    "another-expectation-in-a-list": _417,
}

#: Node goes on where we reject.
_WE_ARE_STRICTER_THAN_NODE = (
    Reason(
        "Node takes more spaces than one in a request line, and any line ends before it (RFC 9112 section 2.2: one)",
        rb"[A-Za-z]+ {2,}\S| {2,}HTTP/|(?:\A|\r\n\r\n|hello)(?:(?:\r\n){2}|\r?\n|\r)",
        ("two-spaces", "two-empty-lines-before", "two-empty-lines-behind-a-body", "bare-lf-before"),
    ),
    Reason(
        "Node hands targets on as they come, in any form, with a fragment or a broken percent-encoding",
        rb"(?:\A|\n|hello)[A-Za-z]+ (?:[^/]|[^ \r\n]*[#%])",
        (
            *("target-with-fragment", "target-with-half-an-escape", "target-with-no-escape"),
            *("target-with-broken-escape-in-absolute-form", "asterisk-without-options", "absolute-with-userinfo"),
            *("absolute-without-host", "absolute-with-port-only", "absolute-of-another-scheme"),
        ),
    ),
    Reason(
        "Node takes HTTP/0.9, with its version or without, and HTTP/2.0 for versions of this syntax, once",
        rb"HTTP/(?:0\.9|2\.0)|(?:\A|\n|hello)[A-Z]+ [^ \r\n]+\r\n",
        ("version-0.9", "version-2.0"),
    ),
    Reason(
        "Node answers a missing Host with 400 and goes on; of several it takes the first, and never looks into it",
        rb"(?i)(?:\A|\n|hello)[a-z]+ [^\r\n]+\r\n(?![^:\r\n]*\r\n)(?!(?:[^\r\n]+\r\n)*host:)"
        rb"|\nhost:[^\n]*\n(?:[^\r\n]+\r\n)*host:|\nhost:(?![ \t]*[\w.]*(?::[0-9]*)?[ \t]*\r)",
        (
            *("host-missing", "host-missing-with-absolute-form", "host-twice", "host-twice-the-same"),
            *("host-twice-with-absolute-form", "host-list", "host-with-path", "host-with-userinfo", "host-with-space"),
            *("host-with-letters-for-a-port", "host-with-port-too-large", "host-with-half-a-literal"),
            *("host-with-no-address-in-brackets", "host-with-half-an-escape", "host-invalid-in-1.0"),
            *("host-invalid-with-absolute-form", "cut-within-a-field"),
        ),
    ),
    Reason(
        "Node decodes chunks of HTTP/1.0 too, and looks for a last `chunked` only",
        rb"(?i)HTTP/1\.0\r\n(?:[^\r\n]+\r\n)*transfer-encoding:|transfer-encoding: *(?:\r|[^\r\n]*,)",
        ("coding-in-1.0", "coding-empty", "coding-empty-member", "coding-and-an-empty-one", "coding-gzip-chunked"),
    ),
    Reason(
        "Node takes any number of zeros before a chunk's size, extensions without a value, and Host among the trailers",
        rb"\n0[0-9a-f]{16}|\n[0-9a-f]+;[^\r\n]*=\r\n|(?i:\n0\r\n(?:[^\r\n]+\r\n)*host:)",
        ("chunk-size-seventeen-digits", "trailer-host"),
    ),
    Reason(
        "close wins over keep-alive (RFC 9112 section 9.3); with Node it does not",
        rb"(?i)connection: ?close\r\n(?:[^\r\n]+\r\n)*connection:[^\r\n]*keep-alive"
        rb"|connection:[^\r\n]*keep-alive\r\n(?:[^\r\n]+\r\n)*connection: ?close",
    ),
    Reason("our limits are others: of the number of fields", names=("fields-too-many", "trailers-too-many")),
)

#: We go on where Node rejects.
_NODE_IS_STRICTER = (
    Reason(
        "methods are tokens, and have case (RFC 9110 section 9.1); Node takes those that it knows",
        method=r"(?!(?:GET|POST|HEAD|OPTIONS|DELETE)\Z)",
        names=(
            *("a-method-nobody-knows", "methods-have-case", "too-short-a-length", "length-zero-with-a-body"),
            *("no-length-with-a-body", "length-named-with-an-underscore"),
        ),
    ),
    Reason(
        "a higher minor version is served as 1.1 (RFC 9110 section 2.5); Node serves those that it knows",
        rb"HTTP/1\.[2-9]",
        ("a-higher-minor-version",),
    ),
    Reason(
        "white space may stand around an extension's semicolon (RFC 9112 section 7.1.1)",
        rb"\n[0-9a-f]+[ \t]*;[^\r\n]*[ \t;]",
        ("chunk-extensions",),
    ),
    Reason(
        "what follows a request for an upgrade that nobody answers is a request; Node takes it for the other protocol",
        rb"(?i)\nupgrade:",
        ("upgrade-refused", "upgrade-to-several", "upgrade-with-a-body"),
    ),
)

_AS_IT_CAME = "Node hands a target in absolute-form on as it is"

_SAME_TO_NODE = {
    "absolute-form": _AS_IT_CAME,
    "absolute-form-without-path": _AS_IT_CAME,
    "absolute-form-for-options": _AS_IT_CAME,
    "another-expectation-in-a-list": _417,
}

PEERS = {
    "nginx": Peer(_WE_ARE_STRICTER_THAN_NGINX, _NGINX_IS_STRICTER, _SAME_TO_NGINX),
    "node": Peer(_WE_ARE_STRICTER_THAN_NODE, _NODE_IS_STRICTER, _SAME_TO_NODE),
}
