//! Which files say what is in a service's environment, and the key that follows from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pinnace_manifest::{PythonSpec, Service};
use pinnace_os::find_program;
use sha2::{Digest as _, Sha256};

use super::EnvironmentError;
use crate::up::folder::hex;

/// Characters of a key.
pub(super) const KEY_LENGTH: usize = 12;
/// Changed when environments are made in another way.
const FORMAT: &str = "1";
/// Files that one list of requirements may lead to.
const MOST_FILES: usize = 64;

/// What is to be installed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Dependencies {
    /// `uv.lock` with its project, where `uv` is there to read it.
    Locked { uv: PathBuf, contents: BTreeMap<PathBuf, Vec<u8>> },
    /// `requirements.txt`, with the files that it includes.
    Requirements { file: PathBuf, contents: BTreeMap<PathBuf, Vec<u8>> },
    /// `project.dependencies` of `pyproject.toml`.
    Project { file: PathBuf, requirements: Vec<String> },
    /// Nothing.
    None,
}

impl Dependencies {
    /// What a service's folder says: `uv.lock` where there is `uv`, else `requirements.txt`, else `pyproject.toml`, else
    /// nothing.
    pub(super) fn read(service: &Service) -> Result<Self, EnvironmentError> {
        let requirements = service.path.join("requirements.txt");
        let project = service.path.join("pyproject.toml");
        let lock = service.path.join("uv.lock");
        if lock.exists()
            && project.exists()
            && let Some(uv) = uv()
        {
            let read = |path: &PathBuf| {
                let content = fs_err::read(path).map_err(EnvironmentError::unreadable(path))?;
                Ok((path.clone(), content))
            };
            let contents = [lock, project].iter().map(read).collect::<Result<_, EnvironmentError>>()?;
            Ok(Self::Locked { uv, contents })
        } else if requirements.exists() {
            let mut contents = BTreeMap::new();
            read_requirements(&requirements, &mut contents)?;
            Ok(Self::Requirements { file: requirements, contents })
        } else if project.exists() {
            let requirements = read_project(&project)?;
            Ok(Self::Project { file: project, requirements })
        } else {
            Ok(Self::None)
        }
    }

    /// A key that differs wherever the environment would, also by the folder that it is in.
    pub(super) fn key(&self, envs: &Path) -> String {
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        };
        add(FORMAT.as_bytes());
        add(envs.as_os_str().as_encoded_bytes());
        match self {
            Self::Locked { contents, .. } | Self::Requirements { contents, .. } => {
                for (path, content) in contents {
                    add(path.as_os_str().as_encoded_bytes());
                    add(content);
                }
            }
            Self::Project { requirements, .. } => requirements.iter().for_each(|one| add(one.as_bytes())),
            Self::None => add(b"none"),
        }
        let mut key = hex(&digest.finalize());
        key.truncate(KEY_LENGTH);
        key
    }
}

/// Where `uv` is, if it is on `PATH`.
pub(super) fn uv() -> Option<PathBuf> {
    find_program("uv".as_ref(), &std::env::var_os("PATH").unwrap_or_default())
}

/// Which versions of Python a service asks for: `python` in the manifest, else `requires-python` of its project where that
/// is as simple.
pub(super) fn asked_python(service: &Service) -> Option<PythonSpec> {
    if service.python.is_some() {
        return service.python.clone();
    }
    // A file that cannot be read says nothing here; where its dependencies count, that is told.
    let text = fs_err::read_to_string(service.path.join("pyproject.toml")).ok()?;
    let document: toml::Table = toml::from_str(&text).ok()?;
    document.get("project")?.get("requires-python")?.as_str()?.parse().ok()
}

/// The files whose change asks for another environment; none where the service brings its own.
pub(crate) fn dependency_files(service: &Service) -> Vec<PathBuf> {
    if service.venv.is_some() {
        return Vec::new();
    }
    match Dependencies::read(service) {
        Ok(Dependencies::Locked { contents, .. } | Dependencies::Requirements { contents, .. }) => {
            contents.into_keys().collect()
        }
        Ok(Dependencies::Project { file, .. }) | Err(EnvironmentError::Unclear { file, .. }) => vec![file],
        Ok(Dependencies::None) | Err(_) => Vec::new(),
    }
}

/// Reads a list and those that it includes with `-r` or `-c`.
fn read_requirements(file: &Path, contents: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), EnvironmentError> {
    if contents.contains_key(file) {
        return Ok(());
    }
    if contents.len() == MOST_FILES {
        return Err(EnvironmentError::Unclear {
            file: file.to_owned(),
            reason: format!("more than {MOST_FILES} files include each other"),
            hint: "write one list that includes fewer".to_owned(),
        });
    }
    let content = fs_err::read(file).map_err(EnvironmentError::unreadable(file))?;
    let text = String::from_utf8_lossy(&content).into_owned();
    contents.insert(file.to_owned(), content);
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    for included in text.lines().filter_map(included) {
        let path = folder.join(included);
        if path.exists() {
            read_requirements(&path, contents)?;
        }
    }
    Ok(())
}

/// The file that a line of a list includes.
fn included(line: &str) -> Option<&str> {
    let line = line.trim();
    let flags = ["-r", "--requirement", "-c", "--constraint"];
    let rest =
        flags.iter().find_map(|flag| line.strip_prefix(flag).filter(|rest| rest.starts_with([' ', '=', '\t'])))?;
    let rest = rest.trim_start_matches(['=', ' ', '\t']);
    Some(rest.split(" #").next().unwrap_or(rest).trim())
}

fn read_project(file: &Path) -> Result<Vec<String>, EnvironmentError> {
    let unclear =
        |reason: String, hint: &str| EnvironmentError::Unclear { file: file.to_owned(), reason, hint: hint.to_owned() };
    let text = fs_err::read_to_string(file).map_err(EnvironmentError::unreadable(file))?;
    let document: toml::Table = toml::from_str(&text)
        .map_err(|error| unclear(error.message().to_owned(), "mend the file; saving it tries again"))?;
    let project = document.get("project").and_then(toml::Value::as_table);
    let Some(project) = project else {
        let poetry = document.get("tool").and_then(|tool| tool.get("poetry")).is_some();
        return if poetry {
            let hint = "`poetry export -o requirements.txt`, or name the environment: `venv = \".venv\"`";
            Err(unclear("its dependencies are written in Poetry's own table".to_owned(), hint))
        } else {
            Ok(Vec::new())
        };
    };
    let dynamic = project.get("dynamic").and_then(toml::Value::as_array);
    if dynamic.is_some_and(|names| names.iter().any(|name| name.as_str() == Some("dependencies"))) {
        let hint = "write them to a requirements.txt, or name the environment: `venv = \".venv\"`";
        return Err(unclear("its dependencies are `dynamic`, which only its build tool can read".to_owned(), hint));
    }
    let Some(dependencies) = project.get("dependencies") else { return Ok(Vec::new()) };
    let texts = dependencies
        .as_array()
        .and_then(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>());
    texts.ok_or_else(|| unclear("`project.dependencies` is a list of texts".to_owned(), "mend it; saving tries again"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinnace_manifest::Manifest;
    use pinnace_types::ExitCode;

    use super::{Dependencies, asked_python, dependency_files};

    /// A service whose folder holds these files.
    fn service(root: &Path, files: &[(&str, &str)]) -> pinnace_manifest::Service {
        fs_err::create_dir_all(root.join("orders")).unwrap();
        for (name, content) in files {
            fs_err::write(root.join("orders").join(name), content).unwrap();
        }
        let text = "[system]\nname = \"shop\"\n[service.orders]\npath = \"orders\"\n";
        fs_err::write(root.join("pinnace.toml"), text).unwrap();
        Manifest::load(&root.join("pinnace.toml")).unwrap().service("orders").unwrap().clone()
    }

    #[test]
    fn a_key_changes_with_every_file_that_counts_and_with_the_place() {
        let root = tempfile::tempdir().unwrap();
        let files = [("requirements.txt", "flask\n-r more.txt # more\n"), ("more.txt", "requests==2\n")];
        let service = service(root.path(), &files);
        let key = |place: &str| Dependencies::read(&service).unwrap().key(Path::new(place));
        let first = key("/a");
        assert_eq!((first.len(), &first), (12, &key("/a")));
        assert_ne!(first, key("/b"));
        fs_err::write(root.path().join("orders/more.txt"), "requests==3\n").unwrap();
        assert_ne!(first, key("/a"));
        let names: Vec<_> =
            dependency_files(&service).iter().map(|file| file.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["more.txt", "requirements.txt"]);
    }

    #[test]
    fn of_a_project_only_its_dependencies_count() {
        let root = tempfile::tempdir().unwrap();
        let project = "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"flask>=3\"]\n";
        let service = service(root.path(), &[("pyproject.toml", project)]);
        let Dependencies::Project { requirements, .. } = Dependencies::read(&service).unwrap() else { panic!() };
        assert_eq!(requirements, ["flask>=3"]);
        let key = || Dependencies::read(&service).unwrap().key(Path::new("/a"));
        let first = key();
        let file = root.path().join("orders/pyproject.toml");
        fs_err::write(&file, project.replace("version = \"1\"", "version = \"2\"")).unwrap();
        assert_eq!(first, key());
    }

    #[test]
    fn a_project_says_which_python_it_needs_unless_the_manifest_does() {
        let root = tempfile::tempdir().unwrap();
        let project = "[project]\nname = \"x\"\nrequires-python = \">=3.12\"\n";
        let mut service = service(root.path(), &[("pyproject.toml", project)]);
        assert_eq!(asked_python(&service).unwrap().as_str(), ">=3.12");
        service.python = Some(">=3.11".parse().unwrap());
        assert_eq!(asked_python(&service).unwrap().as_str(), ">=3.11");
    }

    #[test]
    fn what_only_a_build_tool_knows_is_told_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let project = "[project]\nname = \"x\"\ndynamic = [\"version\", \"dependencies\"]\n";
        let service = service(root.path(), &[("pyproject.toml", project)]);
        let error = Dependencies::read(&service).unwrap_err();
        assert!(error.to_string().contains("dynamic"), "{error}");
        assert!(error.hint().contains("requirements.txt"), "{}", error.hint());
    }

    #[test]
    fn a_list_that_cannot_be_read_is_named() {
        let root = tempfile::tempdir().unwrap();
        let service = service(root.path(), &[]);
        fs_err::create_dir(root.path().join("orders/requirements.txt")).unwrap();
        let error = Dependencies::read(&service).unwrap_err();
        assert!(error.to_string().ends_with("requirements.txt`: Is a directory (os error 21)"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::Environment);
    }

    #[test]
    fn what_is_written_for_poetry_alone_is_told_with_the_way_out() {
        let root = tempfile::tempdir().unwrap();
        let service = service(root.path(), &[("pyproject.toml", "[tool.poetry.dependencies]\nflask = \"^3\"\n")]);
        let error = Dependencies::read(&service).unwrap_err();
        assert!(error.to_string().contains("Poetry"), "{error}");
        assert!(error.hint().contains("poetry export"), "{}", error.hint());
    }
}
