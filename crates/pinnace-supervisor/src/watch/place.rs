//! Where the files of a service are: its folder, and what the globs of `watch` name besides.

use std::path::{Component, Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use pinnace_manifest::{FILE_NAME, Service};
use pinnace_types::ServiceName;

use super::ignored::Ignored;

/// What is followed for a service.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Its name.
    pub(crate) service: ServiceName,
    /// Its folder, absolute and without symbolic links.
    pub(crate) folder: PathBuf,
    /// What counts besides, relative to the folder.
    pub(crate) globs: Vec<String>,
}

/// A folder whose files count for a service.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) service: ServiceName,
    /// The folder.
    pub(super) base: PathBuf,
    /// Whether folders in it count too.
    pub(super) recursive: bool,
    /// The folder from which on `.gitignore` files hold.
    top: PathBuf,
    /// What counts in it; absent: all that is not ignored.
    glob: Option<Gitignore>,
}

impl From<&Service> for Watched {
    fn from(service: &Service) -> Self {
        Self { service: service.name.clone(), folder: service.path.clone(), globs: service.watch.clone() }
    }
}

impl Place {
    /// The places of a service.
    pub(super) fn of(watched: &Watched) -> Vec<Self> {
        let own = Self {
            service: watched.service.clone(),
            base: watched.folder.clone(),
            recursive: true,
            top: top(&watched.folder),
            glob: None,
        };
        let more = watched.globs.iter().filter_map(|glob| Self::of_glob(watched, glob));
        std::iter::once(own).chain(more).collect()
    }

    /// One file, which counts for this service.
    pub(super) fn of_file(service: &ServiceName, file: &Path) -> Option<Self> {
        let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
        let mut builder = GitignoreBuilder::new(folder);
        let glob = builder.add_line(None, &format!("/{name}")).and_then(|builder| builder.build()).ok()?;
        Some(Self {
            service: service.clone(),
            base: folder.to_owned(),
            recursive: false,
            top: folder.to_owned(),
            glob: Some(glob),
        })
    }

    /// The longest part without a wildcard is the folder, the rest says what counts in it.
    fn of_glob(watched: &Watched, glob: &str) -> Option<Self> {
        let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty()).collect();
        let is_wild = |part: &&str| part.contains(['*', '?', '[', '{']);
        let plain = parts.iter().position(is_wild).unwrap_or(parts.len()).min(parts.len().checked_sub(1)?);
        let start = if glob.starts_with('/') { Path::new("/") } else { &watched.folder };
        let base = normal(&parts[..plain].iter().fold(start.to_owned(), |path, part| path.join(part)));
        let rest = parts[plain..].join("/");
        let mut builder = GitignoreBuilder::new(&base);
        let understood = builder.add_line(None, &format!("/{rest}")).and_then(|builder| builder.build());
        match understood {
            Ok(matcher) => Some(Self {
                service: watched.service.clone(),
                recursive: parts.len() - plain > 1,
                top: base.clone(),
                base,
                glob: Some(matcher),
            }),
            Err(error) => {
                tracing::warn!(service = %watched.service, glob, %error, "a glob of `watch` is not understood");
                None
            }
        }
    }

    /// Whether a path is in it, whatever it is.
    pub(super) fn reaches(&self, path: &Path) -> bool {
        if self.recursive { path.starts_with(&self.base) } else { path.parent() == Some(&self.base) }
    }

    /// Whether a folder in it is looked into.
    pub(super) fn enters(&self, folder: &Path, ignored: &mut Ignored) -> bool {
        match self.glob {
            None => !ignored.is_ignored(&self.top, &self.base, folder, true),
            Some(_) => self.recursive && !ignored.is_foreign_folder(folder),
        }
    }

    /// Whether a file in it counts. What a glob names counts even where it would be ignored otherwise.
    pub(super) fn wants(&self, file: &Path, ignored: &mut Ignored) -> bool {
        match &self.glob {
            None => file != self.base && !ignored.is_ignored(&self.top, &self.base, file, false),
            Some(glob) => glob.matched(file, false).is_ignore(),
        }
    }
}

/// The root of the repository, or, where there is none, of the system.
fn top(folder: &Path) -> PathBuf {
    let above = |name: &str| folder.ancestors().find(|folder| folder.join(name).exists()).map(Path::to_owned);
    above(".git").or_else(|| above(FILE_NAME)).unwrap_or_else(|| folder.to_owned())
}

/// Without `.` and `..`, as events name paths. The manifest has resolved links in the folder of the service.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
