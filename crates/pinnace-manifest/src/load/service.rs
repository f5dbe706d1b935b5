//! `[service.NAME]`.

use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use pinnace_types::{HumanDuration, ServiceName, environment};
use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Notes, Reader, kind, nearest};
use crate::keys::{Section, serve_flag};
use crate::model::{
    Auth, AuthDefault, AuthRule, Caller, CommandLine, Database, DatabaseEngine, Limits, Run, Service, VariableName,
};

const READY_TIMEOUT: HumanDuration = HumanDuration::new(Duration::from_mins(1));
/// Entries of a folder that are looked at for one that may be meant.
const MOST_FOLDERS: usize = 256;
const STOP_TIMEOUT: HumanDuration = HumanDuration::new(Duration::from_secs(30));

pub(super) fn read(
    notes: &mut Notes<'_>,
    name: ServiceName,
    value: &Spanned<DeValue<'_>>,
    root: &Path,
) -> Option<Service> {
    let place = format!("service.{name}");
    let mut reader = Reader::of(notes, value, &place, Section::Service)?;
    let run = run(&mut reader);
    let path = path(&mut reader, &name, root, matches!(run, Run::External { .. }));
    let service = Service {
        context: None,
        python: reader.parsed("python"),
        venv: reader.text("venv").map(|(venv, _)| beside(&path, venv)),
        health: health(&mut reader),
        port: reader.flag("port").unwrap_or(true),
        socket_activation: reader.flag("socket_activation").unwrap_or(false),
        routes: routes(&mut reader),
        route_tags: reader.texts("route_tags").into_iter().map(|(tag, _)| tag.to_owned()).collect(),
        calls: reader.all_parsed("calls"),
        publishes: reader.all_parsed("publishes"),
        subscribes: reader.all_parsed("subscribes"),
        workers: reader.number("workers").unwrap_or(1),
        threads: reader.number("threads"),
        env: variables(&mut reader),
        secrets: secrets(&mut reader),
        callers: callers(&mut reader),
        ready_timeout: reader.duration("ready_timeout").unwrap_or(READY_TIMEOUT),
        stop_timeout: reader.duration("stop_timeout").unwrap_or(STOP_TIMEOUT),
        watch: reader.texts("watch").into_iter().map(|(glob, _)| glob.to_owned()).collect(),
        database: reader.take("database").and_then(|value| database(reader.notes, value, &place)),
        auth: reader.take("auth").and_then(|value| auth(reader.notes, value, &place)),
        limits: reader.take("limits").and_then(|value| limits(reader.notes, value, &place)),
        serve: reader.take("serve").map(|value| serve(reader.notes, value, &place)).unwrap_or_default(),
        run,
        path,
        name,
    };
    silent_programs(&mut reader, &service);
    activated_programs(&mut reader, &service);
    options_of_programs(&mut reader, &service);
    reader.finish();
    Some(service)
}

fn run(reader: &mut Reader<'_, '_, '_>) -> Run {
    let external = reader.flag("external").unwrap_or(false);
    let url = reader.endpoint("url", &["http", "https"]);
    let app = reader.text("app");
    let command = reader.take("command").is_some().then(|| reader.texts("command"));
    match (app, command) {
        (Some((_, span)), Some(_)) => {
            reader
                .notes
                .add(span, "a service has `app` or `command`, not both")
                .hint("`app` is hosted by Pinnace, `command` runs any other program: take one of them out");
            Run::Hosted { app: None }
        }
        (app, None) if external => {
            if let Some((_, span)) = app {
                reader.notes.add(span, "an external service is not started, so it has no `app`").hint("take it out");
            }
            Run::External { url }
        }
        (Some((app, _)), None) => Run::Hosted { app: Some(app.to_owned()) },
        (None, Some(words)) if words.is_empty() => {
            let span = reader.notes.places.find(&format!("{}.command", reader.path()));
            reader.notes.add(span, "`command` names no program").hint("write `command = [\"program\", \"argument\"]`");
            Run::Command(Vec::new())
        }
        (None, Some(words)) => Run::Command(words.into_iter().map(|(word, _)| word.to_owned()).collect()),
        (None, None) => Run::Hosted { app: None },
    }
}

fn path(reader: &mut Reader<'_, '_, '_>, name: &ServiceName, root: &Path, external: bool) -> PathBuf {
    let given = reader.text("path");
    if external {
        return root.to_owned();
    }
    let is_given = given.is_some();
    let (text, span) = given.unwrap_or_else(|| (name.as_str(), reader.notes.places.find(reader.path())));
    let folder = root.join(text);
    let (message, hint) = match fs_err::canonicalize(&folder) {
        Ok(real) if !real.is_dir() => {
            (format!("`{text}` is no folder"), "`path` names the service's folder".to_owned())
        }
        Ok(real) if !real.starts_with(root) => (
            format!("`{text}` is outside of the system's folder"),
            "a service's folder is below that of pinnace.toml; `external = true` marks what lives elsewhere".to_owned(),
        ),
        Ok(real) => return real,
        Err(_) => (format!("there is no folder `{text}`"), folder_hint(root, text, is_given)),
    };
    reader.notes.add(span, message).hint(hint);
    folder
}

/// Where the folder may be that was not found.
fn folder_hint(root: &Path, text: &str, is_given: bool) -> String {
    let inside = |folder: &Path| {
        let entries = fs_err::read_dir(folder).into_iter().flatten().flatten().take(MOST_FOLDERS);
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    };
    let mut known = inside(root);
    for folder in known.clone() {
        known.extend(inside(&root.join(&folder)).into_iter().map(|name| format!("{folder}/{name}")));
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    let near = nearest(text, known.iter().map(String::as_str));
    let same = || known.iter().map(String::as_str).find(|path| path.rsplit('/').next() == Some(last));
    match (near.or_else(same), is_given) {
        (Some(near), true) => format!("did you mean `{near}`?"),
        (Some(near), false) => format!("add `path = \"{near}\"`, if that is its folder"),
        (None, true) => "`path` is relative to the folder of pinnace.toml".to_owned(),
        (None, false) => {
            "add its folder, `path = \"…\"`; where it is absent, the folder has the service's name".to_owned()
        }
    }
}

/// A path from a folder on, without `..`: the folder has no symbolic link in it, so its parent is the one before it.
fn beside(folder: &Path, text: &str) -> PathBuf {
    Path::new(text).components().fold(folder.to_owned(), |mut path, component| {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
        path
    })
}

fn health(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let (text, span) = reader.text("health")?;
    let good = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !good {
        let path = text.trim_start_matches('/');
        let is_plain = !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"#:\"".contains(&byte));
        let likely = if is_plain { path } else { "healthz" };
        reader
            .notes
            .add(span, format!("`{text}` is no path to ask for"))
            .hint(format!("write `health = \"/{likely}\"`"));
    }
    good.then(|| text.to_owned())
}

fn routes(reader: &mut Reader<'_, '_, '_>) -> Vec<crate::model::Route> {
    let texts = reader.text_or_texts("route");
    reader.parse_all("route", texts)
}

fn variables(reader: &mut Reader<'_, '_, '_>) -> Vec<(VariableName, String)> {
    let Some(value) = reader.take("env") else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("`env` is a table of texts, this is {}", kind(value.get_ref()));
        reader.notes.add(value.span(), message).hint("write `env = { NAME = \"value\" }`");
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (key, value) in table {
        let name = reader.parse::<VariableName>(key.get_ref(), key.span());
        if let Some(name) = &name {
            platform_name(reader.notes, name, key.span());
        }
        if let Some(text) = value.get_ref().as_str() {
            variables.extend(name.map(|name| (name, text.to_owned())));
            continue;
        }
        let (name, is) = (key.get_ref(), kind(value.get_ref()));
        let hint = match value.get_ref() {
            DeValue::Integer(_) | DeValue::Float(_) => format!("write `{name} = \"{is}\"`"),
            _ => "variables hold texts and nothing else".to_owned(),
        };
        reader.notes.add(value.span(), format!("`{name}` is a text in quotes, this is {is}")).hint(hint);
    }
    variables.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    variables
}

fn secrets(reader: &mut Reader<'_, '_, '_>) -> Vec<VariableName> {
    let secrets: Vec<VariableName> = reader.all_parsed("secrets");
    for (index, name) in secrets.iter().enumerate() {
        let span = reader.notes.places.find(&format!("{}.secrets.{index}", reader.path()));
        platform_name(reader.notes, name, span);
    }
    secrets
}

/// What the platform sets would be overwritten, and the process would not find its sockets or who it is.
fn platform_name(notes: &mut Notes<'_>, name: &VariableName, span: Range<usize>) {
    let name = name.as_str();
    if !environment::is_reserved(name) {
        return;
    }
    let reason = match name {
        environment::PORT => "Pinnace chooses the port and keeps it over starts",
        environment::LISTEN_FDS | environment::LISTEN_PID | environment::LISTEN_FDNAMES => {
            "it says which sockets a process inherits"
        }
        name if name.starts_with("PINNACE_") => "what begins with `PINNACE_` is Pinnace's own",
        _ => "it follows from the service's environment, for which there is `venv`",
    };
    notes.add(span, format!("`{name}` is set by Pinnace")).hint(format!("take it out: {reason}"));
}

fn callers(reader: &mut Reader<'_, '_, '_>) -> Option<Vec<Caller>> {
    reader.peek_present("callers").then(|| {
        let names: Vec<ServiceName> = reader.all_parsed("callers");
        let caller =
            |name: ServiceName| if name.as_str() == "gateway" { Caller::Gateway } else { Caller::Service(name) };
        names.into_iter().map(caller).collect()
    })
}

fn database(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>, place: &str) -> Option<Database> {
    let mut reader = Reader::of(notes, value, &format!("{place}.database"), Section::Database)?;
    let engine = reader.word("engine").map(|word| match word {
        "postgres" => DatabaseEngine::Postgres,
        "redis" => DatabaseEngine::Redis,
        "mongodb" => DatabaseEngine::Mongodb,
        _ => DatabaseEngine::Sqlite,
    });
    let schemes = engine.map_or(&[][..], DatabaseEngine::schemes);
    let url = match engine {
        Some(DatabaseEngine::Sqlite) => {
            if let Some((_, span)) = reader.text("url") {
                reader.notes.add(span, "SQLite has no address: its file is made by Pinnace").hint("take `url` out");
            }
            None
        }
        Some(engine) => {
            if !reader.peek_present("url") {
                let span: Range<usize> = reader.span().clone();
                let hint = format!("add `url = \"{}://user@host/name\"`", schemes.first().copied().unwrap_or_default());
                reader.notes.add(span, format!("a {} database needs an address", engine.as_str())).hint(hint);
            }
            reader.endpoint("url", schemes)
        }
        None => {
            reader.take("url");
            None
        }
    };
    let migrate = reader.parsed::<CommandLine>("migrate");
    reader.finish();
    Some(Database { engine: engine?, url, migrate })
}

fn auth(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>, place: &str) -> Option<Auth> {
    let place = format!("{place}.auth");
    let mut reader = Reader::of(notes, value, &place, Section::Auth)?;
    let default = match reader.word("default") {
        Some("public") => AuthDefault::Public,
        Some("authenticated") => AuthDefault::Authenticated,
        _ => AuthDefault::Deny,
    };
    let rules = reader.take("rules");
    let mut read = Vec::new();
    if let Some(rules) = rules {
        let items = rules.get_ref().as_array().map(|array| array.iter().collect::<Vec<_>>());
        if items.is_none() {
            let message = format!("`rules` is a list of tables, this is {}", kind(rules.get_ref()));
            reader.notes.add(rules.span(), message).hint("write `rules = [{ path = \"/orders/**\" }]`");
        }
        for (index, item) in items.into_iter().flatten().enumerate() {
            read.extend(rule(reader.notes, item, &format!("{place}.rules.{index}")));
        }
    }
    reader.finish();
    Some(Auth { default, rules: read })
}

fn rule(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>, place: &str) -> Option<AuthRule> {
    let mut reader = Reader::of(notes, value, place, Section::AuthRule)?;
    let path = reader.text("path").map(|(path, _)| path.to_owned());
    let owned = |texts: Vec<(&str, Range<usize>)>| texts.into_iter().map(|(text, _)| text.to_owned()).collect();
    let methods = owned(reader.texts("methods"));
    let roles = owned(reader.texts("roles"));
    reader.finish();
    Some(AuthRule { path: path?, methods, roles })
}

fn limits(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>, place: &str) -> Option<Limits> {
    let mut reader = Reader::of(notes, value, &format!("{place}.limits"), Section::Limits)?;
    let limits = Limits { timeout: reader.duration("timeout"), concurrency: reader.number("concurrency") };
    reader.finish();
    Some(limits)
}

/// What listens to nothing cannot be asked or routed to.
fn silent_programs(reader: &mut Reader<'_, '_, '_>, service: &Service) {
    if service.port {
        return;
    }
    let table = reader.path().to_owned();
    let place = |key: &str| format!("{table}.{key}");
    let told = [
        ("health", service.health.is_some()),
        ("route", !service.routes.is_empty()),
        ("route_tags", !service.route_tags.is_empty()),
    ];
    for (key, _) in told.into_iter().filter(|(_, given)| *given) {
        let span = reader.notes.places.find(&place(key));
        reader
            .notes
            .add(span, format!("a service without a port has no `{key}`"))
            .hint(format!("take out `{key}` or `port = false`"));
    }
    if matches!(service.run, Run::Hosted { .. }) {
        let span = reader.notes.places.find(&place("port"));
        reader
            .notes
            .add(span, "an application that Pinnace hosts always listens")
            .hint("take it out; `port = false` is for a `command` that listens to nothing");
    }
}

fn serve(notes: &mut Notes<'_>, value: &Spanned<DeValue<'_>>, place: &str) -> Vec<String> {
    let Some(mut reader) = Reader::of(notes, value, &format!("{place}.serve"), Section::Serve) else {
        return Vec::new();
    };
    let values = reader.texts_of_all();
    reader.finish();
    values.into_iter().flat_map(|(key, texts)| texts.into_iter().flat_map(move |text| serve_flag(key, &text))).collect()
}

/// Options of `pinnace serve` are for what it hosts.
fn options_of_programs(reader: &mut Reader<'_, '_, '_>, service: &Service) {
    if service.serve.is_empty() {
        return;
    }
    let span = reader.notes.places.find(&format!("{}.serve", reader.path()));
    match &service.run {
        Run::Hosted { app: None } if service.serve.iter().any(|word| word == "--factory") => {
            reader
                .notes
                .add(span, "`factory` says what `app` is, and there is none")
                .hint("add `app = \"module:create\"`");
        }
        Run::Hosted { .. } => {}
        Run::Command(_) | Run::External { .. } => {
            reader.notes.add(span, "`serve` is for an application that Pinnace hosts").hint("take it out");
        }
    }
}

/// Sockets are handed to programs that listen, and a connection to one of them does not say that somebody answers.
fn activated_programs(reader: &mut Reader<'_, '_, '_>, service: &Service) {
    if !service.socket_activation {
        return;
    }
    let span = reader.notes.places.find(&format!("{}.socket_activation", reader.path()));
    let (message, hint) = match &service.run {
        Run::Hosted { .. } => (
            "an application that Pinnace hosts always gets its sockets",
            "take it out; `socket_activation` is for a `command`",
        ),
        Run::External { .. } => ("an external service is not started, so it gets no sockets", "take it out"),
        Run::Command(_) if !service.port => {
            ("a service without a port gets no sockets", "take out `socket_activation` or `port = false`")
        }
        Run::Command(_) if service.health.is_none() => (
            "`socket_activation` needs `health`: a socket takes connections before anybody answers",
            "name a path that answers with 2xx once it is ready, such as `health = \"/healthz\"`",
        ),
        Run::Command(_) => return,
    };
    reader.notes.add(span, message).hint(hint);
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::beside;

    #[test]
    fn an_environment_beside_a_folder_is_named_without_a_detour() {
        let cases = [
            (".venv", "/shop/orders/.venv"),
            ("../.venv", "/shop/.venv"),
            ("./../env/./py", "/shop/env/py"),
            ("/envs/orders", "/envs/orders"),
        ];
        for (text, expected) in cases {
            assert_eq!(beside(Path::new("/shop/orders"), text), PathBuf::from(expected), "{text}");
        }
    }
}
