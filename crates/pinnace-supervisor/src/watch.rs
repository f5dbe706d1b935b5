//! Which services' files have changed: the folders are followed, and a burst of changes is told once.
//!
//! Each folder is watched on its own and not as a tree, so that an environment or `node_modules` costs no watches. What
//! does not count is in `ignored`, what counts besides a service's own folder in `place`, when it is told in `burst`.
//! The watcher decides nothing: what a change asks for is the matter of whoever follows it.

mod burst;
mod ignored;
mod place;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use pinnace_types::ServiceName;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use burst::Bursts;
use ignored::Ignored;
use place::Place;
pub(crate) use place::Watched;

/// Events that wait to be looked at; more of them are one big change.
const QUEUE: usize = 1024;

/// Follows the files of services for as long as it lives.
#[derive(Debug)]
pub(crate) struct Watcher {
    task: JoinHandle<()>,
}

/// Files of a service have changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Change {
    /// Whose they are.
    pub(crate) service: ServiceName,
    /// Some of them, at most 16; none where so much changed that nobody kept account.
    pub(crate) files: Vec<PathBuf>,
}

/// Why nothing can be followed.
#[derive(Debug, thiserror::Error)]
#[error("files cannot be watched")]
pub(crate) struct WatchError {
    #[source]
    source: notify::Error,
}

/// What following these services takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Trial {
    /// Folders that were watched for a moment.
    pub(crate) folders: usize,
    /// Whether there are more of them than the user may watch.
    pub(crate) is_limited: bool,
}

/// The task's own.
struct Follower {
    watcher: RecommendedWatcher,
    places: Vec<Place>,
    ignored: Ignored,
    watched: HashSet<PathBuf>,
    bursts: Bursts,
    limit_told: bool,
}

impl Watcher {
    /// Begins to follow these services, and one file that counts for a service; every folder that there is now is watched
    /// when it returns.
    pub(crate) fn start(
        services: &[Watched],
        file: Option<(&ServiceName, &Path)>,
        changed: mpsc::Sender<Change>,
    ) -> Result<Self, WatchError> {
        let (events_tx, events_rx) = mpsc::channel(QUEUE);
        let overflow = Arc::new(AtomicBool::new(false));
        let overflown = Arc::clone(&overflow);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => overflown.store(true, Ordering::Relaxed),
            // The thread that calls this must not wait: it also takes orders.
            Ok(event) if is_change(event.kind) => {
                if events_tx.try_send(event).is_err() {
                    overflown.store(true, Ordering::Relaxed);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an event of the file system was not understood"),
        })
        .map_err(|source| WatchError { source })?;
        let mut follower = Follower::new(watcher, services);
        follower.places.extend(file.and_then(|(service, file)| Place::of_file(service, file)));
        follower.follow_all();
        Ok(Self { task: tokio::spawn(follow_task(follower, events_rx, overflow, changed)) })
    }
}

/// Follows services for a moment: what the kernel refuses is known then, whatever else this user's programs watch.
pub(crate) fn try_out(services: &[Watched]) -> Result<Trial, WatchError> {
    let watcher = notify::recommended_watcher(|_| {}).map_err(|source| WatchError { source })?;
    let mut follower = Follower::new(watcher, services);
    follower.follow_all();
    Ok(Trial { folders: follower.watched.len(), is_limited: follower.limit_told })
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WatchError {
    /// How a user gets more folders to watch.
    pub(crate) const MORE_WATCHES: &'static str =
        "raise the limit with `sudo sysctl fs.inotify.max_user_watches=524288`";

    /// The way out; it begins with how to raise the limit where there is one, and ends with how to do without.
    pub(crate) fn hint(&self, without: &str) -> String {
        match &self.source.kind {
            notify::ErrorKind::MaxFilesWatch => format!("{}, or {without}", Self::MORE_WATCHES),
            notify::ErrorKind::Io(error) if is_out_of_instances(error) => {
                format!("raise the limit with `sudo sysctl fs.inotify.max_user_instances=1024`, or {without}")
            }
            _ => without.to_owned(),
        }
    }
}

/// The kernel answers with EMFILE when a user has all watchers that one may have.
fn is_out_of_instances(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    error.raw_os_error() == Some(EMFILE)
}

/// Reading a file and changing its rights is no change; closing one that was open for writing is, as `touch` does no more.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any => true,
        EventKind::Modify(what) => !matches!(what, ModifyKind::Metadata(_)),
        EventKind::Access(_) | EventKind::Other => false,
    }
}

/// Ends when nobody wants to know any more.
async fn follow_task(
    mut follower: Follower,
    mut events: mpsc::Receiver<Event>,
    overflow: Arc<AtomicBool>,
    changed: mpsc::Sender<Change>,
) {
    loop {
        let due = follower.bursts.due();
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => follower.look_at(&event),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                for (service, files) in follower.bursts.take(Instant::now()) {
                    if changed.send(Change { service, files }).await.is_err() {
                        return;
                    }
                }
            }
        }
        if overflow.swap(false, Ordering::Relaxed) {
            follower.start_over();
        }
    }
}

impl Follower {
    fn new(watcher: RecommendedWatcher, services: &[Watched]) -> Self {
        Self {
            watcher,
            places: services.iter().flat_map(Place::of).collect(),
            ignored: Ignored::default(),
            watched: HashSet::new(),
            bursts: Bursts::default(),
            limit_told: false,
        }
    }

    fn look_at(&mut self, event: &Event) {
        let now = Instant::now();
        for path in &event.paths {
            if path.file_name().is_some_and(|name| name == ".gitignore") {
                self.ignored.forget();
                self.follow_all();
            }
            let is_folder = path.is_dir();
            if !is_folder && self.watched.contains(path) {
                self.watched.retain(|folder| !folder.starts_with(path));
            }
            for index in 0..self.places.len() {
                if !self.places[index].reaches(path) {
                    continue;
                }
                if is_folder {
                    // One that is new may have files already that nobody was told of.
                    if !self.watched.contains(path) {
                        self.follow(index, path, Some(now));
                    }
                } else if self.places[index].wants(path, &mut self.ignored) {
                    self.bursts.add(&self.places[index].service, Some(path), now);
                }
            }
        }
    }

    /// So much has happened that nobody knows what: everything counts as changed.
    fn start_over(&mut self) {
        self.ignored.forget();
        self.follow_all();
        let now = Instant::now();
        for place in &self.places {
            self.bursts.add(&place.service, None, now);
        }
    }

    fn follow_all(&mut self) {
        for index in 0..self.places.len() {
            let base = self.places[index].base.clone();
            self.follow(index, &base, None);
        }
    }

    /// Watches a folder and those in it; where there is a moment, its files are told as changed at that moment.
    fn follow(&mut self, index: usize, folder: &Path, news: Option<Instant>) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let place = &self.places[index];
            if folder != place.base && !place.enters(&folder, &mut self.ignored) {
                continue;
            }
            let recursive = place.recursive;
            // Watched before it is read: what is made between the two is then seen at least once.
            self.watch(&folder);
            // A folder that is gone again has nothing in it.
            let Ok(entries) = fs_err::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && recursive {
                    folders.push(entry.path());
                } else if !is_folder
                    && let Some(now) = news
                    && self.places[index].wants(&entry.path(), &mut self.ignored)
                {
                    self.bursts.add(&self.places[index].service, Some(&entry.path()), now);
                }
            }
        }
    }

    fn watch(&mut self, folder: &Path) {
        if self.watched.contains(folder) {
            return;
        }
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.to_owned());
            }
            // Gone again, or not ours to read: it is told when it comes back, or never was a service's file.
            Err(error) if !matches!(error.kind, notify::ErrorKind::MaxFilesWatch) => {
                tracing::debug!(folder = %folder.display(), %error, "a folder is not watched");
            }
            Err(_) => {
                if !self.limit_told {
                    self.limit_told = true;
                    tracing::warn!(folder = %folder.display(), hint = WatchError::MORE_WATCHES, "changes in some folders are not noticed: there are too many to watch");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
