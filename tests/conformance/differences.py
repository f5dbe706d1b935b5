"""Where a server does something else than a case asks for, and why that is so.

A row is asserted: each of its cases must fail on each of its servers, with a message that matches `instead`. When a
server changes, its row has to go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """What servers do instead in some cases (a pattern for the failure), and the reason."""

    servers: tuple[str, ...]
    cases: tuple[str, ...]
    instead: str
    reason: str
    # Whether it depends on the moment, so that the case may also hold.
    at_times: bool = False


def find(case: str, server: str) -> Difference | None:
    """The row of a case."""
    return TABLE.get((case, server))


def row(servers: str, cases: str, instead: str, reason: str, *, at_times: bool = False) -> Difference:
    return Difference(tuple(servers.split()), tuple(cases.split()), instead, reason, at_times)


def each(name: str, cases: str) -> str:
    """The parametrised cases of one test."""
    return " ".join(f"{name}[{case}]" for case in cases.split())


UVICORN = "uvicorn-httptools uvicorn-h11"
H11 = "uvicorn-h11 hypercorn"
REFERENCES = f"{UVICORN} hypercorn"
TAKEN = "the answer is 200"

# ---------------------------------------------------------------- HTTP/1

HTTP1_REFERENCES = [
    row(
        H11,
        each("refused", "asterisk-with-get authority-with-get target-without-slash"),
        TAKEN,
        "h11 does not look at targets",
    ),
    row("uvicorn-httptools", each("refused", "asterisk-with-get"), TAKEN, "llhttp takes any `*`"),
    row(
        f"{REFERENCES} gunicorn",
        each("refused", "fragment-in-target"),
        TAKEN,
        "all references take what no client may send",
    ),
    row(
        f"{REFERENCES} gunicorn",
        each("refused", "host-with-comma host-with-space host-with-path host-with-user host-with-odd-port"),
        TAKEN,
        "the references leave the value of Host to the application",
    ),
    row("uvicorn-httptools gunicorn", each("refused", "no-host"), TAKEN, "Host is left to the application"),
    row("uvicorn-httptools", each("refused", "two-hosts two-equal-hosts"), TAKEN, "Host is left to the application"),
    row("uvicorn-httptools gunicorn", each("refused", "connect-to-a-path"), TAKEN, "taken for any method"),
    row(
        H11,
        each("refused", "connect-to-a-path"),
        "the answer is none",
        "h11 waits for a tunnel, and the connection is closed",
    ),
    row(
        H11,
        each("refused", "line-feed-alone-ends-lines line-feed-alone-ends-a-field line-feed-alone-ends-the-head"),
        TAKEN,
        "h11 takes what RFC 9112 2.2 lets a recipient take",
    ),
    row(
        H11,
        each("refused", "folded-value folded-with-tab"),
        TAKEN,
        "h11 unfolds, which RFC 9112 5.2 leaves to a server",
    ),
    row(H11, each("refused", "control-in-value delete-in-value"), TAKEN, "h11 takes control bytes but NUL"),
    row(H11, each("refused", "version-2 version-9.9"), TAKEN, "h11 takes any version for 1.1"),
    row("uvicorn-httptools", each("refused", "version-2 no-version"), TAKEN, "llhttp takes 2.0, and HTTP/0.9"),
    row(
        "uvicorn-httptools",
        each("refused", "two-spaces-before-target two-spaces-before-version"),
        TAKEN,
        "llhttp is lenient with spaces",
    ),
    row(
        H11,
        each("refused", "two-equal-lengths list-of-equal-lengths"),
        TAKEN,
        "h11 takes equal lengths for one, as RFC 9110 8.6 allows",
    ),
    row(
        H11,
        each("refused", "length-and-chunked chunked-and-length"),
        TAKEN,
        "h11 lets the coding win, as RFC 9112 6.3 allows",
    ),
    row(UVICORN, each("refused", "chunked-with-http-1.0"), TAKEN, "taken from any version"),
    row(
        "hypercorn uvicorn-h11 gunicorn",
        each("refused", "length-beyond-64-bits"),
        "TimeoutError",
        "Python has no largest number: it waits for the body",
    ),
    row(REFERENCES, each("refused", "unknown-expectation"), TAKEN, "only 100-continue is looked for"),
    row(REFERENCES, each("refused", "too-many-fields"), TAKEN, "only the size of a head is limited"),
    row("uvicorn-httptools", each("refused", "head-too-long"), TAKEN, "no limit by default"),
    row(
        "hypercorn uvicorn-h11 gunicorn",
        each("refused_in_the_body", "size-beyond-64-bits"),
        "TimeoutError",
        "Python has no largest number: it waits",
    ),
    row(
        H11, each("refused_in_the_body", "space-behind-size tab-behind-size"), TAKEN, "h11 is lenient with spaces here"
    ),
    row(
        H11,
        each("refused_in_the_body", "extension-with-carriage-return extension-with-nul extension-without-name"),
        TAKEN,
        "h11 skips extensions unread",
    ),
    row(UVICORN, each("refused_in_the_body", "extension-without-end"), TAKEN, "extensions have no limit of their own"),
    row(H11, each("refused_in_the_body", "trailer-folded trailer-with-line-feed"), TAKEN, "as in the head"),
    row(
        H11,
        each("refused_in_the_body", "trailer-is-content-length trailer-is-transfer-encoding trailer-is-host"),
        TAKEN,
        "trailers are thrown away unread",
    ),
    row(
        "uvicorn-httptools",
        each("refused_in_the_body", "trailer-is-host trailers-too-long"),
        TAKEN,
        "trailers are thrown away unread",
    ),
    row(H11, "told[absolute-form]", "http://test/a", "the whole target is given as the path"),
    row(H11, "told[blank-line-first]", "400", "h11 takes no blank line before a request"),
    row("uvicorn-httptools", "told[white-space-around-values]", "v w", "the space behind a value is kept"),
    row("hypercorn", "told[upgrade-to-h2c]", "Ended", "it upgrades, which RFC 9113 3.1 has deprecated"),
    row("hypercorn", "reason", "''", "it gives no reason, which nobody needs"),
    row(REFERENCES, "the_applications_date_stays_alone", "GMT", "the server adds its own"),
    row(REFERENCES, "204_has_no_length", "'0' is None", "what the application says is sent"),
    row(UVICORN, each("a_body_where_none_may_be_is_not_sent", "204 304"), "False", "the mistake ends the connection"),
    row(
        "uvicorn-httptools", "http_1_0_gets_no_chunks", "chunked", "a chunked response to a client that cannot read it"
    ),
    row("uvicorn-httptools", "continue_is_not_said_to_http_1_0", "100", "said to any version"),
    row(
        "hypercorn",
        "continue_is_not_said_when_the_body_is_not_wanted",
        "100",
        "it is said before the application is called",
    ),
    row(
        REFERENCES,
        "http_1_0_may_stay",
        "close",
        "no HTTP/1.0 connection is kept, which RFC 9112 9.3 leaves to a server",
    ),
    row(
        "hypercorn",
        "what_is_pipelined_behind_close_is_not_answered",
        "AssertionError",
        "the answer is lost, too, where more was sent",
        at_times=True,
    ),
    row(
        UVICORN,
        "a_half_closed_connection_is_answered",
        "Ended",
        "the end of what a client sends is taken for the end of the client",
    ),
    row(
        UVICORN,
        each(
            "a_mistake_before_the_response_is_500",
            "line-end-in-name line-end-in-value nul-in-value space-in-name start-without-status",
        ),
        "Ended",
        "the connection is cut without an answer",
    ),
    row(
        REFERENCES,
        each(
            "a_mistake_before_the_response_is_500",
            "raises-after-start starts-twice text-as-body length-too-long length-too-short",
        ),
        "Ended",
        "the head is sent with `http.response.start`; ours waits for the body's first part and can still say 500",
    ),
]

# ---------------------------------------------------------------- ASGI

ASGI_OURS = [
    row(
        "pinnace",
        "early_hints_over_http1 early_hints_over_http2",
        "500",
        "they are not offered in `extensions`, so no framework sends them",
    ),
]

ASGI_REFERENCES = [
    row(REFERENCES, "a_stream_to_nobody_ends", "were taken", "what is sent to nobody is dropped without an exception"),
    row("hypercorn", "trailers_in_two_messages", "x-b", "only the first message is sent"),
    row("hypercorn", "trailers_that_were_announced_and_do_not_come", "ends all the same", "the stream stays open"),
    row("hypercorn", "a_failed_startup_is_told_and_ends_the_server", "0 != 0", "it ends as if nothing had happened"),
    row("uvicorn-httptools", "a_shutdown_that_fails_is_told[raises_late]", "Started", "`--lifespan auto` hides it"),
    row("hypercorn", "root_path[cut-off-by-the-proxy]", "'/x', 'a'", "a path outside of the root is told as it came"),
    row(
        "uvicorn-httptools",
        "root_path[kept-by-the-proxy]",
        "/api/api/x",
        "a proxy is taken to cut the root off, always",
    ),
    row(
        "uvicorn-httptools",
        each("forwarded", "forwarded forwarded-ipv6 forwarded-chain forwarded-obfuscated"),
        "127.0.0.1",
        "RFC 7239 is not known",
    ),
    row("uvicorn-httptools", "forwarded[no-address]", "unknown", "any word is given to the application as an address"),
    row(
        "gunicorn",
        each("forwarded_to_wsgi", "address by-default-loopback-is-trusted forwarded"),
        "127.0.0.1",
        "only the scheme is believed; the address is the application's to find out",
    ),
    row(
        "gunicorn",
        "script_name[cut-off-by-the-proxy]",
        "500",
        "a path outside of SCRIPT_NAME is a mistake of the configuration",
    ),
]

# ---------------------------------------------------------------- WebSocket

SILENTLY = "wsproto ends the connection without saying why"
FRAMES = (
    "not-masked reserved-bit-1 reserved-bit-2 reserved-bit-3 reserved-data-opcode reserved-control-opcode "
    "ping-in-fragments ping-too-long close-too-long continuation-of-nothing text-within-fragments "
    "length-with-the-highest-bit length-not-shortest text-is-no-utf-8 text-ends-in-a-character text-is-a-surrogate "
    "fragment-is-no-utf-8 close-of-one-byte close-reason-is-no-utf-8 close-with-0 close-with-999 close-with-1005 "
    "close-with-1006 close-with-1015 close-with-2999 close-with-65535"
)
CODES = "1000 1001 1003 1008 1011 1012 3000 4000 4999"

WEBSOCKET_REFERENCES = [
    row(H11, "a_bad_handshake_is_refused[odd-key]", "101 in", "wsproto does not look at the key"),
    row(H11, each("what_is_wrong_is_closed", FRAMES), "closed with -1", SILENTLY),
    row(H11, each("what_is_wrong_is_closed", "announced-too-large"), "TimeoutError", "wsproto waits for the bytes"),
    row(H11, each("a_close_of_the_client_is_answered_and_told", "1014"), "Ended", "wsproto does not know 1014"),
    row(
        "uvicorn-httptools", each("what_is_wrong_is_closed", "length-not-shortest"), "with 1000", "any length is taken"
    ),
    row(
        "hypercorn",
        f"{each('a_close_of_the_client_is_answered_and_told', CODES)} a_close_without_a_code_is_1005",
        "1006",
        "every disconnect is told as 1006",
    ),
    row("hypercorn", "the_reason_of_a_close_is_told", "KeyError", "no reason is told"),
    row(
        "hypercorn",
        "a_message_to_a_client_that_has_gone_is_an_oserror",
        "refused",
        "what is sent to nobody is dropped without an exception",
    ),
    row(H11, each("wrong_compression_is_closed", "no-deflate bit-on-continuation bit-on-control"), "-1", SILENTLY),
    row(H11, "an_offer_that_cannot_be_met_is_left[unknown-parameter]", "deflate", "wsproto takes any parameter"),
    row(
        H11,
        "a_compressed_message_in_fragments",
        "AssertionError",
        "the answer comes in fragments, too, of which the case reads the first",
    ),
    row("hypercorn", "a_client_from_pypi", "1006 == 4000", "every disconnect is told as 1006"),
    row(UVICORN, "a_client_that_does_not_answer_pings_is_given_up", "1005", "told as a close without a code"),
    row(UVICORN, each("a_broken_connection_is_1006", "close abort"), "1005", "told as a close without a code"),
    row(UVICORN, "an_exception_is_1011", "-1", "the connection is cut without a close"),
    row(UVICORN, "an_application_that_returns_closes", "-1", "the connection is cut without a close"),
    row("hypercorn", "an_application_that_returns_closes", "1011", "taken for a failure"),
    row("hypercorn uvicorn-httptools", "another_version_is_told_which_one_is_spoken", "400", "only refused"),
    row("hypercorn", "frames_behind_the_handshake_are_read", "400", "taken for a second request"),
    row(UVICORN, "frames_behind_the_handshake_are_read", "TimeoutError", "the bytes behind the handshake are lost"),
]

# ---------------------------------------------------------------- HTTP/2

SIZES = "acknowledgement-with-content settings-of-odd-size ping-of-odd-size window-update-of-odd-size window-too-large"

HTTP2_OURS = [
    row(
        "pinnace",
        each("a_broken_connection_is_ended", SIZES),
        "with 1",
        "h2 says PROTOCOL_ERROR where another code fits",
    ),
    row(
        "pinnace", each("a_broken_connection_is_ended", "bad-compression"), "with 1", "h2 says PROTOCOL_ERROR here, too"
    ),
]

HTTP2_REFERENCES = [
    row(
        "hypercorn",
        each("a_broken_connection_is_ended", "acknowledgement-with-content bad-compression"),
        "with 1",
        "hyper-h2 says PROTOCOL_ERROR where another code fits",
    ),
    row("hypercorn", "a_full_window_holds_the_application_up", "were taken", "what does not fit is kept in memory"),
    row("hypercorn", "an_exception_in_the_middle_resets_the_stream", "None", "the stream ends as if it were complete"),
    row("hypercorn", "rapid_resets_end_the_connection", "it went on", "there is no limit"),
]

# ---------------------------------------------------------------- WSGI

WSGI_OURS = [
    row("pinnace", "a_reason_of_the_application", "Not Found", "the standard's reason for the code is sent"),
]

WSGI_REFERENCES = [
    row("gunicorn", "a_head_is_replaced_with_exc_info", r"'1'\)", "the fields of the first head stay"),
    row("gunicorn", "a_mistake_is_500[str-body]", "Ended", "the head is sent before the part is looked at"),
    row("gunicorn", "a_mistake_is_500[without-start]", "None", "a head without a status is sent"),
    row("gunicorn", "contexts_are_kept_apart", "set by a r", "a thread's context stays from request to request"),
    row("gunicorn", "one_part_gets_a_length", "chunked", "every body without a length is chunked"),
]

ROWS: list[Difference] = [
    *HTTP1_REFERENCES,
    *ASGI_OURS,
    *ASGI_REFERENCES,
    *HTTP2_OURS,
    *HTTP2_REFERENCES,
    *WEBSOCKET_REFERENCES,
    *WSGI_OURS,
    *WSGI_REFERENCES,
]


def table(rows: Iterable[Difference]) -> dict[tuple[str, str], Difference]:
    """The rows by case and server; no two speak about the same."""
    found: dict[tuple[str, str], Difference] = {}
    for entry in rows:
        for server in entry.servers:
            for case in entry.cases:
                assert (case, server) not in found, f"{case} on {server} stands twice"
                found[case, server] = entry
    return found


TABLE = table(ROWS)
