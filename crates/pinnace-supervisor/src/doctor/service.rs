//! One service: its folder, its environment, its application or program, its secrets.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use pinnace_manifest::{Manifest, PythonSpec, Run, Service, VariableName};
use pinnace_os::{find_program, may_write, may_write_file};

use super::{Check, Machine, Section, application, patiently, shown, version};
use crate::serve::Candidate;
use crate::up::environment::{Outlook, is_wanted, outlook};
use crate::up::variables::missing_secrets;

/// Looks at one service.
pub(super) fn section(manifest: &Manifest, service: &Service, machine: &Machine) -> Section {
    let root = manifest.root.as_path();
    let checks = match &service.run {
        Run::External { url } => vec![external(url.as_ref().map(ToString::to_string))],
        Run::Hosted { .. } | Run::Command(_) => own(manifest, root, service, machine),
    };
    Section { about: format!("service {}", service.name), checks }
}

fn external(url: Option<String>) -> Check {
    match url {
        Some(url) => Check::ok("external", url),
        None => Check::ok("external", "without a `url`: its callers are told no address"),
    }
}

fn own(manifest: &Manifest, root: &Path, service: &Service, machine: &Machine) -> Vec<Check> {
    let mut checks = vec![folder(root, service)];
    let envs = root.join(".pinnace").join("envs");
    let bin = if is_wanted(service) {
        let (check, bin) = environment(root, &envs, service, machine);
        checks.push(check);
        bin
    } else {
        Bin::None
    };
    checks.push(match &service.run {
        Run::Command(words) => program(service, words.first().map_or("", String::as_str), &bin),
        Run::Hosted { app: Some(target) } => application::named(&service.path, target),
        Run::Hosted { app: None } | Run::External { .. } => application::by_convention(service),
    });
    checks.extend(database(manifest, service));
    checks.extend(secrets(manifest, service));
    checks
}

/// The service's own file, or where its server is; nothing is opened and nobody asked.
fn database(manifest: &Manifest, service: &Service) -> Option<Check> {
    const NAME: &str = "database";
    let database = service.database.as_ref()?;
    if let Some(url) = &database.url {
        // The whole address may hold a password.
        return Some(Check::ok(
            NAME,
            format!("{} at {}, which is not asked", database.engine.as_str(), url.authority()),
        ));
    }
    let folder = manifest.state_dir().join("data").join(service.name.as_str());
    let file = folder.join("db.sqlite3");
    let in_the_way = (folder.exists() && !may_write(&folder)).then_some(&folder);
    let in_the_way = in_the_way.or_else(|| (file.exists() && !may_write_file(&file)).then_some(&file));
    Some(match in_the_way {
        Some(path) => Check::failure(NAME, format!("`{}` cannot be written", shown(&manifest.root, path)))
            .with_hint("mend its rights: the service writes to it"),
        None if file.exists() => Check::ok(NAME, shown(&manifest.root, &file)),
        None => Check::ok(NAME, format!("{} will be made", shown(&manifest.root, &file))),
    })
}

fn folder(root: &Path, service: &Service) -> Check {
    const NAME: &str = "folder";
    let shown = shown(root, &service.path);
    match fs_err::read_dir(&service.path).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Check::ok(NAME, shown),
        Ok(false) => Check::warning(NAME, format!("`{shown}` is empty")).with_hint("`path` names the service's folder"),
        Err(error) => Check::failure(NAME, error.to_string()).with_hint("mend its rights: the service runs in it"),
    }
}

/// Where an environment's programs are.
#[derive(Debug, Eq, PartialEq)]
enum Bin {
    /// Nothing is known of an environment.
    None,
    /// Here.
    At(PathBuf),
    /// Nowhere yet.
    ToBeMade,
}

fn environment(root: &Path, envs: &Path, service: &Service, machine: &Machine) -> (Check, Bin) {
    const NAME: &str = "environment";
    let outlook = match outlook(envs, service) {
        Ok(outlook) => outlook,
        Err(error) => {
            let check = Check::failure(NAME, error.to_string()).with_detail(error.detail()).with_hint(error.hint());
            return (check, Bin::None);
        }
    };
    let hosted = matches!(service.run, Run::Hosted { .. });
    match outlook {
        Outlook::Named(prepared) | Outlook::Made(prepared) => {
            let place = shown(root, &prepared.venv);
            let python = prepared.python.clone();
            let check = match patiently(move || Candidate::ask(&python)) {
                Some(Ok(candidate)) => {
                    hosting(format!("{place}, Python {}", version(candidate.version)), &candidate, hosted)
                }
                answer => {
                    let message = match answer {
                        Some(Err(error)) => error.to_string(),
                        _ => format!("`{}` does not answer", prepared.python.display()),
                    };
                    Check::failure(NAME, message)
                        .with_hint(format!("remove `{}` and make it anew", prepared.venv.display()))
                }
            };
            (check, Bin::At(prepared.bin))
        }
        Outlook::ToBeMade { files, asked } => {
            let check = match machine.choose(asked.as_ref()) {
                Some(candidate) => {
                    let from = from(root, &files);
                    let message = format!("will be made with Python {} {from}", version(candidate.version));
                    hosting(message, candidate, hosted)
                }
                None => no_interpreter(asked.as_ref(), machine),
            };
            (check, Bin::ToBeMade)
        }
    }
}

/// The files that an environment is made from.
fn from(root: &Path, files: &[PathBuf]) -> String {
    match files {
        [] => "and nothing in it: there is no requirements.txt and no pyproject.toml".to_owned(),
        files => {
            let names: Vec<String> = files.iter().map(|file| shown(root, file)).collect();
            format!("from {}", names.join(", "))
        }
    }
}

/// Only what is hosted needs a runtime.
fn hosting(message: String, candidate: &Candidate, hosted: bool) -> Check {
    match &candidate.runtime {
        Err(error) if hosted => {
            let check = Check::failure("environment", format!("{message}: {error}"));
            check.with_detail(error.detail()).with_hint(error.hint())
        }
        _ => Check::ok("environment", message),
    }
}

fn no_interpreter(asked: Option<&PythonSpec>, machine: &Machine) -> Check {
    let asked = asked.map_or(">=3.10", |asked| asked.as_str());
    let there =
        |candidate: &Candidate| format!("there is {} at {}", version(candidate.version), candidate.program.display());
    Check::failure("environment", format!("there is no Python {asked} on PATH"))
        .with_detail(machine.interpreters.iter().map(there))
        .with_hint("install one and put it on PATH, or change `python`")
}

fn program(service: &Service, word: &str, bin: &Bin) -> Check {
    const NAME: &str = "program";
    let mut path = OsString::new();
    if let Bin::At(bin) = bin {
        path.push(bin);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let found = find_program(word.as_ref(), &path).map(|program| service.path.join(program));
    match (found.filter(|program| program.is_file()), bin) {
        (Some(program), _) => Check::ok(NAME, program.display().to_string()),
        (None, Bin::ToBeMade) if !word.contains('/') => {
            Check::ok(NAME, format!("`{word}` is not on PATH; the environment that will be made may bring it"))
        }
        (None, _) => Check::failure(NAME, format!("there is no program `{word}`"))
            .with_hint("the first word of `command` is looked for in the service's environment, then on PATH"),
    }
}

/// Names only: a value is never shown.
fn secrets(manifest: &Manifest, service: &Service) -> Option<Check> {
    const NAME: &str = "secrets";
    if service.secrets.is_empty() {
        return None;
    }
    let missing = missing_secrets(manifest).into_iter().find(|missing| missing.service == service.name);
    Some(match missing {
        None => {
            let names: Vec<&str> = service.secrets.iter().map(VariableName::as_str).collect();
            Check::ok(NAME, format!("set: {}", names.join(", ")))
        }
        Some(missing) => Check::failure(NAME, format!("not set: {}", missing.names.join(", ")))
            .with_hint("export it, or write it to `.env` beside `pinnace.toml`"),
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use pinnace_manifest::Manifest;

    use super::section;
    use crate::doctor::{Check, Machine, Outcome};
    use crate::serve::Candidate;

    fn machine() -> Machine {
        let runtime = Ok(PathBuf::from("/runtime"));
        Machine {
            interpreters: vec![Candidate { program: "/bin/python3.11".into(), version: (3, 11, 2), runtime }],
            unusable: Vec::new(),
        }
    }

    /// The checks of a service in `orders` with these lines in its table and these files in its folder.
    fn checks(root: &Path, lines: &str, files: &[(&str, &str)]) -> Vec<Check> {
        let root = fs_err::canonicalize(root).unwrap();
        fs_err::create_dir_all(root.join("orders")).unwrap();
        for (name, text) in files {
            let file = root.join(name);
            fs_err::create_dir_all(file.parent().unwrap()).unwrap();
            fs_err::write(file, text).unwrap();
        }
        let text = format!("[system]\nname = \"shop\"\n[service.orders]\n{lines}\n");
        fs_err::write(root.join("pinnace.toml"), text).unwrap();
        let manifest = Manifest::load(&root.join("pinnace.toml")).unwrap();
        section(&manifest, manifest.service("orders").unwrap(), &machine()).checks
    }

    #[test]
    fn a_service_in_order_is_told_line_by_line() {
        let root = tempfile::tempdir().unwrap();
        let files =
            [("orders/main.py", "app = 1\n"), ("orders/requirements.txt", "flask\n"), (".env", "KEY_OF_TEST=s3cret\n")];
        let found = checks(root.path(), "secrets = [\"KEY_OF_TEST\"]", &files);
        assert_eq!(
            found,
            [
                Check::ok("folder", "orders"),
                Check::ok("environment", "will be made with Python 3.11.2 from orders/requirements.txt"),
                Check::ok("application", "found by convention: `main:app`"),
                Check::ok("secrets", "set: KEY_OF_TEST"),
            ]
        );
        assert!(!format!("{found:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_not_there_is_told_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let lines = "venv = \".venv\"\nsecrets = [\"KEY_OF_TEST\"]\n";
        let found = checks(root.path(), lines, &[]);
        let place = fs_err::canonicalize(root.path()).unwrap().join("orders/.venv");
        let told: Vec<_> = found.iter().map(|check| (check.outcome, check.message.clone())).collect();
        assert_eq!(
            told,
            [
                (Outcome::Warning, "`orders` is empty".to_owned()),
                (Outcome::Failure, format!("there is no environment at `{}`", place.display())),
                (Outcome::Failure, "no application is found by convention".to_owned()),
                (Outcome::Failure, "not set: KEY_OF_TEST".to_owned()),
            ]
        );
        assert!(found.iter().all(|check| check.hint.is_some()));
    }

    #[test]
    fn a_python_that_nobody_has_is_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let found = checks(root.path(), "python = \">=3.12\"", &[("orders/app.py", "app = 1")]);
        let expected = Check::failure("environment", "there is no Python >=3.12 on PATH")
            .with_detail(["there is 3.11.2 at /bin/python3.11".to_owned()])
            .with_hint("install one and put it on PATH, or change `python`");
        assert_eq!(found[1], expected);
    }

    #[test]
    fn a_program_needs_no_environment_and_has_to_be_there() {
        let root = tempfile::tempdir().unwrap();
        let found = checks(root.path(), "command = [\"no-such-program\"]", &[("orders/x", "")]);
        let names: Vec<&str> = found.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["folder", "program"]);
        assert_eq!(
            (found[1].outcome, found[1].message.as_str()),
            (Outcome::Failure, "there is no program `no-such-program`")
        );
        let found = checks(root.path(), "command = [\"/bin/sh\"]", &[]);
        assert_eq!(found[1], Check::ok("program", "/bin/sh"));
        let found = checks(root.path(), "command = [\"celery\"]", &[("orders/requirements.txt", "celery\n")]);
        assert_eq!(found[2].outcome, Outcome::Ok);
    }

    #[test]
    fn a_database_is_told_without_its_password_and_has_to_be_writable() {
        let root = tempfile::tempdir().unwrap();
        let found = |lines: &str| checks(root.path(), lines, &[("orders/main.py", "app = 1")]).remove(3);
        let file = "database = { engine = \"sqlite\" }";
        assert_eq!(found(file), Check::ok("database", ".pinnace/data/orders/db.sqlite3 will be made"));
        let server = "database = { engine = \"postgres\", url = \"postgres://me:s3cret@db:5432/orders\" }";
        assert_eq!(found(server), Check::ok("database", "postgres at db:5432, which is not asked"));
        // Not even root makes a file below a file.
        fs_err::create_dir_all(root.path().join(".pinnace/data")).unwrap();
        fs_err::write(root.path().join(".pinnace/data/orders"), "").unwrap();
        assert_eq!(found(file).message, "`.pinnace/data/orders` cannot be written");
    }

    #[test]
    fn one_that_lives_outside_has_only_an_address() {
        let root = tempfile::tempdir().unwrap();
        let found = checks(root.path(), "external = true\nurl = \"https://me:pass@shop.example/api\"", &[]);
        assert_eq!(found, [Check::ok("external", "https://shop.example/api")]);
    }
}
