//! A system: its manifest, its state folder, its control socket, whether it runs.

use std::path::{Path, PathBuf};

use pinnace_manifest::{Diagnostic, Diagnostics, Manifest};
use pinnace_types::ByteSize;

use super::{Check, Machine, Section, service};
use crate::up::folder::{self, FolderError};
use crate::up::running;

/// Below this much free space a start is unlikely to end well, and below that much an environment may not fit.
const LEAST_SPACE: u64 = 64 << 20;
const LITTLE_SPACE: u64 = 1 << 30;
/// Findings of a manifest that are shown here; `pinnace check` shows all.
const MOST_FINDINGS: usize = 5;

/// There is nothing to look at.
pub(super) fn absent() -> Section {
    let check = Check::warning("manifest", "there is no pinnace.toml here or in a folder above")
        .with_hint("name one with --file; `pinnace serve` needs none");
    Section { about: "system".to_owned(), checks: vec![check] }
}

/// The system and each of its services.
pub(super) fn sections(file: &Path, loaded: &Result<Manifest, Diagnostics>, machine: &Machine) -> Vec<Section> {
    let root = match loaded {
        Ok(manifest) => manifest.root.clone(),
        Err(_) if !file.is_file() => {
            let check = Check::failure("manifest", format!("there is no file `{}`", file.display()))
                .with_hint("name another with --file");
            return vec![Section { about: "system".to_owned(), checks: vec![check] }];
        }
        Err(_) => root_of(file),
    };
    let mut checks = manifest(file, loaded);
    checks.push(state(&root));
    checks.push(space(&root, pinnace_os::free_space(&nearest(&root.join(".pinnace"))).ok()));
    checks.push(socket(folder::socket_outlook(&root)));
    checks.push(runs(running(&root).map(|system| system.pid)));
    let about =
        loaded.as_ref().map_or_else(|_| "system".to_owned(), |manifest| format!("system {}", manifest.system.name));
    let mut sections = vec![Section { about, checks }];
    if let Ok(manifest) = loaded {
        sections.extend(manifest.services.iter().map(|one| service::section(manifest, one, machine)));
    }
    sections
}

fn root_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned())
}

/// The folder itself, or the nearest above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("/")).to_owned()
}

fn manifest(file: &Path, loaded: &Result<Manifest, Diagnostics>) -> Vec<Check> {
    const NAME: &str = "manifest";
    let manifest = match loaded {
        Ok(manifest) => manifest,
        Err(Diagnostics(found)) => {
            let check = Check::failure(NAME, format!("{} in {}", count(found.len(), "mistake"), file.display()))
                .with_detail(places(found))
                .with_hint("`pinnace check` shows each with the way out");
            return vec![check];
        }
    };
    let services = count(manifest.services.len(), "service");
    let mut checks = vec![Check::ok(NAME, format!("{} with {services}", file.display()))];
    let design = manifest.design_findings();
    if !design.is_empty() {
        let message = format!("{} about the design", count(design.len(), "finding"));
        let check = Check::warning("design", message).with_detail(places(&design));
        checks.push(check.with_hint("`pinnace check` shows each with the way out"));
    }
    let refused = manifest.not_enforced();
    if !refused.is_empty() {
        let message = format!("{} that this version does not enforce", count(refused.len(), "key"));
        let check = Check::failure("enforced", message).with_detail(places(&refused));
        checks.push(check.with_hint("take them out until a version enforces them"));
    }
    checks
}

/// `5:1 there is no key …` for the first of them.
fn places(found: &[Diagnostic]) -> Vec<String> {
    let line = |finding: &Diagnostic| format!("line {}: {}", finding.line, finding.message);
    let mut lines: Vec<String> = found.iter().take(MOST_FINDINGS).map(line).collect();
    if found.len() > MOST_FINDINGS {
        lines.push(format!("and {} more", found.len() - MOST_FINDINGS));
    }
    lines
}

fn state(root: &Path) -> Check {
    const NAME: &str = "state folder";
    match folder::outlook(root) {
        Ok(()) if root.join(".pinnace").is_dir() => Check::ok(NAME, ".pinnace"),
        Ok(()) => Check::ok(NAME, ".pinnace will be made"),
        Err(error) => with_hint(Check::failure(NAME, error.to_string()), &error),
    }
}

fn space(root: &Path, free: Option<u64>) -> Check {
    const NAME: &str = "disk space";
    const HINT: &str = "free some: environments, logs and databases are kept in .pinnace";
    let Some(free) = free else {
        return Check::warning(NAME, format!("the file system of {} does not tell", root.display()));
    };
    let message = format!("{} free", size(free));
    match free {
        ..LEAST_SPACE => Check::failure(NAME, message).with_hint(HINT),
        LEAST_SPACE..LITTLE_SPACE => Check::warning(NAME, message).with_hint(HINT),
        _ => Check::ok(NAME, message),
    }
}

fn socket(outlook: Result<PathBuf, FolderError>) -> Check {
    const NAME: &str = "control socket";
    match outlook {
        Ok(path) => Check::ok(NAME, path.display().to_string()),
        Err(error) => with_hint(Check::failure(NAME, error.to_string()), &error),
    }
}

fn runs(pid: Option<u32>) -> Check {
    Check::ok("running", pid.map_or_else(|| "no".to_owned(), |pid| format!("yes, by process {pid}")))
}

fn with_hint(check: Check, error: &FolderError) -> Check {
    error.hint().into_iter().fold(check, Check::with_hint)
}

/// Rounded down to a whole number of the unit that fits.
fn size(bytes: u64) -> String {
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= *unit).unwrap_or(1);
    ByteSize::new(bytes - bytes % unit).to_string()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{manifest, size, space, state};
    use crate::doctor::{Check, Outcome, shown};

    #[test]
    fn a_manifest_is_told_with_what_is_wrong_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pinnace.toml");
        let load = |text: &str| {
            fs_err::write(&file, text).unwrap();
            manifest(Path::new("pinnace.toml"), &pinnace_manifest::Manifest::load(&file))
        };
        assert_eq!(
            load("[system]\nname = \"shop\"\nnme = 1\n"),
            [Check::failure("manifest", "1 mistake in pinnace.toml")
                .with_detail(["line 3: there is no key in `[system]` that is called `nme`".to_owned()])
                .with_hint("`pinnace check` shows each with the way out")]
        );
        let good = "[system]\nname = \"shop\"\n[service.a]\npath = \".\"\n";
        assert_eq!(load(good), [Check::ok("manifest", "pinnace.toml with 1 service")]);
        let checks = load(&format!("{good}subscribes = [\"x.y\"]\nlimits = {{ timeout = \"10s\" }}\n"));
        let told: Vec<_> = checks.iter().map(|check| (check.outcome, check.message.as_str())).collect();
        assert_eq!(
            told,
            [
                (Outcome::Ok, "pinnace.toml with 1 service"),
                (Outcome::Warning, "1 finding about the design"),
                (Outcome::Failure, "2 keys that this version does not enforce"),
            ]
        );
    }

    #[test]
    fn little_space_is_a_warning_and_none_a_failure() {
        let root = Path::new("/x");
        assert_eq!(space(root, Some((55 << 30) + 9)), Check::ok("disk space", "55GiB free"));
        assert_eq!(space(root, Some(700 << 20)).outcome, Outcome::Warning);
        assert_eq!(space(root, Some(0)).outcome, Outcome::Failure);
        assert_eq!(space(root, None).outcome, Outcome::Warning);
        assert_eq!((size(1023), size(1536)), ("1023B".to_owned(), "1KiB".to_owned()));
    }

    #[test]
    fn a_state_folder_of_a_newer_version_is_a_failure() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(state(root.path()), Check::ok("state folder", ".pinnace will be made"));
        assert!(!root.path().join(".pinnace").exists(), "looking made it");
        fs_err::create_dir(root.path().join(".pinnace")).unwrap();
        assert_eq!(state(root.path()), Check::ok("state folder", ".pinnace"));
        fs_err::write(root.path().join(".pinnace/FORMAT"), "9\n").unwrap();
        let check = state(root.path());
        assert_eq!(
            (check.outcome, check.hint.as_deref()),
            (Outcome::Failure, Some("use the version of pinnace that wrote it"))
        );
        fs_err::remove_dir_all(root.path().join(".pinnace")).unwrap();
        fs_err::write(root.path().join(".pinnace"), "").unwrap();
        assert_eq!(state(root.path()).outcome, Outcome::Failure);
    }

    #[test]
    fn paths_below_the_root_are_short() {
        assert_eq!(shown(Path::new("/a"), Path::new("/a/b/c")), "b/c");
        assert_eq!(shown(Path::new("/a"), Path::new("/a")), ".");
        assert_eq!(shown(Path::new("/a"), Path::new("/b")), "/b");
    }
}
