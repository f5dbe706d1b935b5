//! Every option of uvicorn, gunicorn and granian, by its name.

use super::Server::{Granian, Gunicorn, Uvicorn};
use super::Takes::{Nothing, Value};
use super::{Foreign, Server, Takes, Verdict};

const U: &[Server] = &[Uvicorn];
const G: &[Server] = &[Gunicorn];
const R: &[Server] = &[Granian];
const UG: &[Server] = &[Uvicorn, Gunicorn];
const UR: &[Server] = &[Uvicorn, Granian];
const GR: &[Server] = &[Gunicorn, Granian];
const ALL: &[Server] = &[Uvicorn, Gunicorn, Granian];

const ONE_PROTOCOL: &str = "there is one server for HTTP/1.1 and HTTP/2, with a strict parser of its own";
const BOTH_PROTOCOLS: &str = "HTTP/1.1 and HTTP/2 are spoken side by side, as the client begins";
const STRICT: &str =
    "what can be read in two ways is refused: mend the client, or let the proxy before it write requests anew";
const LOGS: &str =
    "log lines go to standard output and standard error: redirect them, or let systemd or Docker keep them";
const OWN_LOGS: &str = "configure the logging of the application in the application (`logging.config`); Pinnace's own lines \
    have --log-format and --log-level";
const METRICS: &str = "Prometheus reads the metrics of all workers at `/-/metrics`";
const STATIC: &str = "let the application serve its files, or what stands in front (nginx, a CDN)";
const SYSTEMD: &str = "start it as that user: `User=` of systemd, `USER` of a Dockerfile, `setpriv --reuid`";
const DIRTY: &str = "run such work as a process of its own: a `command` service in pinnace.toml, or a Celery worker";
const LATER: &str = "this version has no such setting yet";
const TLS: &str = "this version speaks no TLS yet: let what stands in front end it";
const CONTROL: &str =
    "signals steer it: SIGHUP reloads, SIGTERM ends; in a system `pinnace ps`, `restart` and `scale` do";
const WINDOWS: &str = "windows of HTTP/2 are chosen by the server";

const fn row(servers: &'static [Server], name: &'static str, verdict: Verdict) -> Foreign {
    Foreign { servers, name, short: None, verdict }
}

const fn ours(servers: &'static [Server], name: &'static str, differs: &'static str) -> Foreign {
    row(servers, name, Verdict::Ours(differs))
}

const fn idle(servers: &'static [Server], name: &'static str, takes: Takes, reason: &'static str) -> Foreign {
    row(servers, name, Verdict::Idle(takes, reason))
}

const fn words(
    servers: &'static [Server],
    name: &'static str,
    taken: &'static [&'static str],
    reason: &'static str,
    instead: &'static str,
) -> Foreign {
    row(servers, name, Verdict::Words(taken, reason, instead))
}

const fn refused(servers: &'static [Server], name: &'static str, takes: Takes, instead: &'static str) -> Foreign {
    row(servers, name, Verdict::Refused(takes, instead))
}

const fn short(short: char, row: Foreign) -> Foreign {
    Foreign { short: Some(short), ..row }
}

pub(super) const ROWS: &[Foreign] = &[
    // ---- where it listens ----
    ours(UR, "host", "an address, or `localhost`; other names are not looked up"),
    ours(UR, "port", ""),
    short('b', ours(G, "bind", "`unix:` and `fd://` too; without it 127.0.0.1, also where `PORT` is set")),
    ours(UR, "uds", ""),
    ours(R, "uds-permissions", "666 without it"),
    ours(U, "fd", "from 3 on"),
    ours(ALL, "backlog", "4096 without it"),
    refused(
        G,
        "reuse-port",
        Nothing,
        "to share a port, inherit one socket (`--fd`, LISTEN_FDS), or let `pinnace up` scale the service",
    ),
    short(
        'm',
        refused(
            G,
            "umask",
            Value,
            "--uds-mode says who may connect to a Unix socket; for files of the application, `UMask=` of systemd",
        ),
    ),
    // ---- workers ----
    short('w', ours(ALL, "workers", "1 to 64; together with --reload too")),
    ours(G, "threads", "8 without it; they take synchronous work in every kind of worker"),
    ours(R, "blocking-threads", ""),
    idle(R, "blocking-threads-idle-timeout", Value, "threads stay; an idle one costs its stack alone"),
    words(
        R,
        "runtime-threads",
        &["1"],
        "a worker has one thread for its connections",
        "a worker has one thread for its connections: use more --workers",
    ),
    idle(R, "runtime-blocking-threads", Value, "the server itself has no blocking work"),
    words(
        R,
        "runtime-mode",
        &["auto", "st"],
        "a worker has one thread for its connections",
        "a worker has one thread for its connections: use more --workers",
    ),
    idle(R, "task-impl", Value, "tasks are asyncio's own"),
    short(
        'k',
        words(
            G,
            "worker-class",
            &[
                "sync",
                "gthread",
                "asgi",
                "uvicorn.workers.UvicornWorker",
                "uvicorn.workers.UvicornH11Worker",
                "uvicorn_worker.UvicornWorker",
                "uvicorn_worker.UvicornH11Worker",
            ],
            "each worker hosts ASGI and WSGI, with threads for synchronous work",
            "greenlets replace threads underneath the interpreter, which a server of native threads cannot host: raise --threads, \
         or make it an ASGI application",
        ),
    ),
    words(
        UR,
        "loop",
        &["auto", "asyncio"],
        "asyncio's loop stands on the server's own reactor",
        "asyncio's loop stands on the server's own reactor, which another loop would replace: take the option out",
    ),
    words(
        G,
        "asgi-loop",
        &["auto", "asyncio"],
        "asyncio's loop stands on the server's own reactor",
        "asyncio's loop stands on the server's own reactor, which another loop would replace: take the option out",
    ),
    idle(G, "preload", Nothing, "workers are started fresh and never forked, so each imports the application itself"),
    ours(G, "worker-connections", "10000 without it; more wait to be accepted"),
    refused(
        R,
        "backpressure",
        Value,
        "--limit-concurrency answers 503 to what is too much; --threads and --queue bound synchronous work",
    ),
    ours(U, "limit-concurrency", "requests in flight of a worker; connections do not count"),
    idle(G, "worker-tmp-dir", Value, "signs of life are given in shared memory"),
    short(
        't',
        ours(
            G,
            "timeout",
            "60 s without it; it is for a blocked event loop: a slow synchronous request holds a thread and not the worker",
        ),
    ),
    idle(U, "timeout-worker-healthcheck", Value, "--worker-timeout says how long an event loop may be blocked"),
    ours(G, "graceful-timeout", ""),
    ours(U, "timeout-graceful-shutdown", "30 s without it, not for ever"),
    ours(R, "workers-kill-timeout", "30 s without it, not for ever"),
    ours(G, "max-requests", "the next worker answers before the old one drains"),
    ours(G, "max-requests-jitter", ""),
    ours(U, "limit-max-requests", "the worker is replaced also where it is the only one; uvicorn ends then"),
    ours(U, "limit-max-requests-jitter", ""),
    ours(R, "workers-lifetime", "with a jitter of a tenth, see --max-lifetime-jitter"),
    ours(R, "workers-max-rss", "--max-memory takes units"),
    idle(R, "rss-sample-interval", Value, "memory is looked at each second"),
    idle(R, "rss-samples", Value, "one look above --max-memory is enough"),
    idle(R, "respawn-failed-workers", Nothing, "a worker that ends is always replaced"),
    refused(
        R,
        "no-respawn-failed-workers",
        Nothing,
        "a worker that ends is always replaced; `Restart=` of systemd is for the whole service",
    ),
    idle(R, "respawn-interval", Value, "the pause grows from 100 ms to 10 s while workers end soon"),
    // ---- the application ----
    ours(U, "app-dir", "it is the workers' working folder too"),
    ours(G, "chdir", ""),
    ours(R, "working-dir", ""),
    ours(G, "pythonpath", "after the application's own folder, not before"),
    ours(UR, "factory", "found out without it"),
    idle(R, "no-factory", Nothing, "whether it is a factory is found out"),
    ours(UR, "interface", "`asgi3` is `asgi`; `asgi2` is found out; RSGI is granian's own"),
    ours(U, "lifespan", ""),
    ours(G, "asgi-lifespan", ""),
    ours(UG, "root-path", ""),
    ours(R, "url-path-prefix", ""),
    ours(U, "env-file", "values span no lines"),
    ours(R, "env-files", "values span no lines"),
    short('e', ours(G, "env", "")),
    idle(U, "reset-contextvars", Nothing, "each request has a context of its own"),
    idle(
        G,
        "asgi-disconnect-grace-period",
        Value,
        "an application hears of the disconnect and goes on, until --grace at a stop",
    ),
    // ---- reload ----
    ours(
        ALL,
        "reload",
        "workers are replaced without a failed request; every file counts that `.gitignore` does not leave out",
    ),
    idle(R, "no-reload", Nothing, "nothing is followed without --reload"),
    ours(U, "reload-dir", ""),
    ours(R, "reload-paths", ""),
    ours(U, "reload-include", "a glob relative to the application's folder"),
    ours(G, "reload-extra-file", ""),
    ours(U, "reload-exclude", "a pattern as in `.gitignore`"),
    idle(U, "reload-delay", Value, "the kernel tells of changes"),
    idle(R, "reload-tick", Value, "the kernel tells of changes"),
    idle(G, "reload-engine", Value, "the kernel tells of changes"),
    refused(R, "reload-ignore-dirs", Value, "use --reload-exclude, such as `data/`"),
    refused(R, "reload-ignore-patterns", Value, "use --reload-exclude with patterns as in `.gitignore`"),
    refused(R, "reload-ignore-paths", Value, "use --reload-exclude"),
    idle(R, "reload-ignore-worker-failure", Nothing, "code that does not start is told, and the old workers go on"),
    idle(R, "no-reload-ignore-worker-failure", Nothing, "code that does not start is told, and the old workers go on"),
    // ---- HTTP ----
    words(UR, "http", &["auto", "h11", "httptools", "zttp"], ONE_PROTOCOL, BOTH_PROTOCOLS),
    idle(U, "http2", Nothing, BOTH_PROTOCOLS),
    idle(G, "http-parser", Value, ONE_PROTOCOL),
    words(G, "http-protocols", &["h1,h2", "h2,h1"], BOTH_PROTOCOLS, BOTH_PROTOCOLS),
    words(
        G,
        "http2-cleartext",
        &["prior-knowledge"],
        BOTH_PROTOCOLS,
        "HTTP/2 without TLS begins with prior knowledge; it is not turned off, and there is no Upgrade to it (RFC 9113)",
    ),
    refused(R, "no-ws", Nothing, "an application that knows no WebSocket refuses it: nothing has to be turned off"),
    words(
        UR,
        "ws",
        &["auto", "websockets", "websockets-sansio", "wsproto"],
        "there is one WebSocket protocol of its own",
        "WebSocket is always spoken; an application that knows none refuses it. granian's --ws has no value: take it out",
    ),
    ours(U, "ws-max-size", "takes units"),
    ours(G, "websocket-max-message-size", ""),
    idle(U, "ws-max-queue", Value, "messages wait in the client's connection until the application takes them"),
    ours(U, "ws-ping-interval", ""),
    ours(U, "ws-ping-timeout", ""),
    ours(U, "ws-per-message-deflate", ""),
    ours(U, "timeout-keep-alive", "75 s without it, 1 s at the least"),
    ours(G, "keep-alive", "75 s without it, 1 s at the least"),
    refused(R, "http1-header-read-timeout", Value, "use --header-timeout, in seconds or with a unit"),
    idle(R, "http1-keep-alive", Nothing, "connections are kept"),
    refused(R, "no-http1-keep-alive", Nothing, "let the client or what stands in front say `Connection: close`"),
    idle(R, "http1-pipeline-flush", Nothing, "answers to pipelined requests are written together"),
    idle(R, "no-http1-pipeline-flush", Nothing, "answers to pipelined requests are written together"),
    refused(R, "http1-buffer-size", Value, "--max-header-size bounds the head of a request; bodies are streamed"),
    ours(U, "h11-max-incomplete-event-size", "a whole head, 64 KiB without it, 8 KiB at the least"),
    idle(G, "limit-request-line", Value, "--max-header-size bounds the whole head of a request, 64 KiB without it"),
    ours(G, "limit-request-fields", ""),
    idle(
        G,
        "limit-request-field_size",
        Value,
        "--max-header-size bounds the whole head of a request, 64 KiB without it",
    ),
    idle(R, "http2-adaptive-window", Nothing, WINDOWS),
    idle(R, "no-http2-adaptive-window", Nothing, WINDOWS),
    idle(R, "http2-initial-connection-window-size", Value, WINDOWS),
    idle(R, "http2-initial-stream-window-size", Value, WINDOWS),
    idle(G, "http2-initial-window-size", Value, WINDOWS),
    refused(R, "http2-keep-alive-interval", Value, LATER),
    refused(R, "http2-keep-alive-timeout", Value, LATER),
    refused(GR, "http2-max-concurrent-streams", Value, LATER),
    idle(GR, "http2-max-frame-size", Value, "frames have up to 16 KiB, which each client takes"),
    refused(R, "http2-max-headers-size", Value, "use --max-header-size, for HTTP/1.1 and HTTP/2"),
    refused(G, "http2-max-header-list-size", Value, "use --max-header-size, for HTTP/1.1 and HTTP/2"),
    idle(R, "http2-max-send-buffer-size", Value, WINDOWS),
    idle(G, "no-sendfile", Nothing, "files are read and written in pieces, without sendfile"),
    refused(G, "permit-obsolete-folding", Nothing, STRICT),
    refused(G, "strip-header-spaces", Nothing, STRICT),
    refused(G, "permit-unconventional-http-method", Nothing, STRICT),
    refused(G, "permit-unconventional-http-version", Nothing, STRICT),
    refused(G, "casefold-http-method", Nothing, STRICT),
    words(
        G,
        "header-map",
        &["drop"],
        "fields with an underscore are left out",
        "fields with an underscore are left out: let the client write a hyphen",
    ),
    refused(
        G,
        "forwarder-headers",
        Value,
        "use --root-path; what a proxy says of the client is in X-Forwarded-For and -Proto",
    ),
    words(
        G,
        "protocol",
        &["http"],
        "HTTP is what is spoken",
        "let the proxy speak HTTP: `proxy_pass` in place of `uwsgi_pass`",
    ),
    refused(G, "uwsgi-allow-from", Value, "let the proxy speak HTTP: `proxy_pass` in place of `uwsgi_pass`"),
    words(
        G,
        "proxy-protocol",
        &["off"],
        "PROXY is not read",
        "let the proxy write X-Forwarded-For, which is believed from --forwarded-allow-ips",
    ),
    refused(
        G,
        "proxy-allow-from",
        Value,
        "let the proxy write X-Forwarded-For, which is believed from --forwarded-allow-ips",
    ),
    // ---- proxies and header fields ----
    ours(U, "proxy-headers", ""),
    ours(U, "no-proxy-headers", ""),
    ours(UG, "forwarded-allow-ips", "addresses and networks; whoever may connect to a Unix socket is believed"),
    ours(U, "header", ""),
    ours(U, "server-header", "off without it; says `pinnace`"),
    idle(U, "no-server-header", Nothing, "there is no such field without --server-header"),
    idle(U, "date-header", Nothing, "`Date` is always sent"),
    refused(U, "no-date-header", Nothing, "a server with a clock sends `Date` (RFC 9110, 6.6.1)"),
    // ---- logs ----
    ours(ALL, "log-level", "`critical` is `error`, `notset` is `trace`; above `info` there is no access log"),
    ours(UR, "access-log", ""),
    ours(UR, "no-access-log", ""),
    words(G, "access-logfile", &["-"], "requests are logged without it", LOGS),
    words(G, "error-logfile", &["-"], "lines go to standard error without it", LOGS),
    words(G, "log-file", &["-"], "lines go to standard error without it", LOGS),
    refused(G, "access-logformat", Value, "a line has one form, or is JSON with --log-format json"),
    refused(R, "access-log-fmt", Value, "a line has one form, or is JSON with --log-format json"),
    refused(ALL, "log-config", Value, OWN_LOGS),
    refused(G, "log-config-json", Value, OWN_LOGS),
    refused(G, "logger-class", Value, OWN_LOGS),
    idle(U, "use-colors", Nothing, "there is colour on a terminal, and none where NO_COLOR is set"),
    idle(U, "no-use-colors", Nothing, "there is colour on a terminal, and none where NO_COLOR is set"),
    idle(R, "log", Nothing, "there is a log"),
    refused(R, "no-log", Nothing, "use --log-level error, or redirect standard error"),
    refused(G, "log-syslog", Nothing, LOGS),
    refused(G, "log-syslog-to", Value, LOGS),
    refused(G, "log-syslog-prefix", Value, LOGS),
    refused(G, "log-syslog-facility", Value, LOGS),
    idle(G, "disable-redirect-access-to-syslog", Nothing, "nothing goes to syslog"),
    idle(G, "capture-output", Nothing, "what the application prints goes to standard output and standard error"),
    short(
        'R',
        idle(
            G,
            "enable-stdio-inheritance",
            Nothing,
            "what the application prints goes to standard output and standard error",
        ),
    ),
    // ---- metrics ----
    refused(G, "statsd-host", Value, METRICS),
    refused(G, "statsd-prefix", Value, METRICS),
    refused(G, "dogstatsd-tags", Value, METRICS),
    refused(G, "enable-backlog-metric", Nothing, METRICS),
    idle(R, "metrics", Nothing, METRICS),
    idle(R, "no-metrics", Nothing, "they cost nothing until they are asked for"),
    refused(R, "metrics-address", Value, METRICS),
    refused(R, "metrics-port", Value, METRICS),
    idle(R, "metrics-scrape-interval", Value, METRICS),
    // ---- static files ----
    refused(R, "static-path-route", Value, STATIC),
    refused(R, "static-path-mount", Value, STATIC),
    refused(R, "static-path-dir-to-file", Value, STATIC),
    refused(R, "static-path-expires", Value, STATIC),
    // ---- TLS ----
    refused(UR, "ssl-keyfile", Value, TLS),
    refused(U, "ssl-certfile", Value, TLS),
    refused(UR, "ssl-keyfile-password", Value, TLS),
    refused(UG, "ssl-version", Value, TLS),
    refused(U, "ssl-cert-reqs", Value, TLS),
    refused(U, "ssl-ca-certs", Value, TLS),
    refused(U, "ssl-ciphers", Value, TLS),
    refused(G, "keyfile", Value, TLS),
    refused(G, "certfile", Value, TLS),
    refused(G, "cert-reqs", Value, TLS),
    refused(G, "ca-certs", Value, TLS),
    refused(G, "ciphers", Value, TLS),
    refused(G, "suppress-ragged-eofs", Nothing, TLS),
    refused(G, "do-handshake-on-connect", Nothing, TLS),
    refused(R, "ssl-certificate", Value, TLS),
    refused(R, "ssl-protocol-min", Value, TLS),
    refused(R, "ssl-ca", Value, TLS),
    refused(R, "ssl-crl", Value, TLS),
    refused(R, "ssl-client-verify", Nothing, TLS),
    refused(R, "no-ssl-client-verify", Nothing, TLS),
    // ---- the process ----
    short('n', ours(G, "name", "the service's name in logs and metrics; `ps` shows the command")),
    ours(R, "process-name", "the service's name in logs and metrics; `ps` shows the command"),
    short('p', ours(G, "pid", "")),
    ours(R, "pid-file", ""),
    short(
        'D',
        refused(G, "daemon", Nothing, "let systemd or Docker keep it running; in a shell, `nohup pinnace serve … &`"),
    ),
    short('u', refused(G, "user", Value, SYSTEMD)),
    short('g', refused(G, "group", Value, SYSTEMD)),
    refused(G, "initgroups", Nothing, SYSTEMD),
    short(
        'c',
        refused(
            G,
            "config",
            Value,
            "its settings are options, variables that begin with PINNACE_SERVE_, or keys of pinnace.toml; hooks belong into the application's lifespan",
        ),
    ),
    refused(G, "check-config", Nothing, "`pinnace doctor` looks at this machine, `pinnace check` at pinnace.toml"),
    refused(G, "print-config", Nothing, "`pinnace serve --help` has the options with their defaults"),
    refused(G, "spew", Nothing, "trace the application with `sys.settrace`, or `py-spy`"),
    refused(G, "paste", Value, "make a module that loads it: `app = paste.deploy.loadapp(\"config:…\")`"),
    refused(G, "paster", Value, "make a module that loads it: `app = paste.deploy.loadapp(\"config:…\")`"),
    refused(G, "paste-global", Value, "make a module that loads it: `app = paste.deploy.loadapp(\"config:…\")`"),
    refused(G, "control-socket", Value, CONTROL),
    refused(G, "control-socket-mode", Value, CONTROL),
    idle(G, "no-control-socket", Nothing, "there is none"),
    refused(G, "dirty-app", Value, DIRTY),
    refused(G, "dirty-workers", Value, DIRTY),
    refused(G, "dirty-timeout", Value, DIRTY),
    refused(G, "dirty-threads", Value, DIRTY),
    refused(G, "dirty-graceful-timeout", Value, DIRTY),
];
