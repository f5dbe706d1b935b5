//! Restarts, scaling and changes of files: how new processes take over from old ones.
//!
//! What may run twice is replaced one instance at a time: the new one answers before the old one is told to retire, and
//! an old one goes on where its successor does not start. What may not (a program that binds its own port, the hub) is
//! stopped first.

use std::path::{Component, Path};

use pinnace_manifest::Manifest;

use super::environment::dependency_files;
use super::handle::Refusal;
use super::instance::{Instance, Stage};
use super::member::{Member, Phase, Replacement, What};
use super::system::System;
use crate::watch::Change;

/// Folders whose change asks for the migration before the reload.
const MIGRATIONS: [&str; 3] = ["migrations", "alembic", "versions"];

impl Member {
    /// Why it cannot have more than one instance.
    pub(super) fn not_scalable(&self) -> Option<Refusal> {
        let reason = match &self.what {
            What::Service(_) if self.may_overlap() => return None,
            What::Service(service) if !service.port => "it listens to nothing",
            What::Service(_) => {
                "it is a program that binds its own port; one that takes sockets from `up` can be scaled \
                 (`socket_activation`)"
            }
            What::Hub | What::Gateway => "there is one of it in a system",
        };
        Some(Refusal::NotScalable { name: self.name.clone(), reason: reason.to_owned() })
    }
}

impl System {
    // ---- asked for ----

    /// Prepares it anew and replaces its instances, or starts it where nothing of it runs.
    pub(super) fn restart(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.preparing.is_some() || member.replacement.is_some() || member.relaunch {
            member.again = true;
            return;
        }
        member.again = false;
        if member.service().is_none() {
            self.replace(index);
            return;
        }
        if !member.instances.iter().any(Instance::counts) {
            member.phase = Phase::Preparing;
        }
        self.prepare(index);
    }

    /// Starts or retires instances until there are so many.
    pub(super) fn scale(&mut self, index: usize, instances: u32) {
        let member = &mut self.members[index];
        member.wanted = instances;
        if member.phase == Phase::Running && member.replacement.is_none() {
            self.reconcile(index);
        }
    }

    /// Its files have changed.
    pub(super) fn changed(&mut self, change: &Change) {
        let Some(index) = self.members.iter().position(|member| member.name == change.service) else { return };
        if self.stop.has_begun() {
            return;
        }
        let member = &mut self.members[index];
        let Some(service) = member.service() else {
            // Where nobody kept account, nothing is known of this one file.
            if !change.files.is_empty() {
                self.manifest_changed(index);
            }
            return;
        };
        // Where nobody kept account, anything may have changed.
        let anything = change.files.is_empty();
        let environment = anything || dependency_files(service).iter().any(|file| change.files.contains(file));
        let migration = service.database.as_ref().is_some_and(|database| database.migrate.is_some())
            && change.files.iter().any(|file| is_migration(file));
        let first = change.files.first().map(|file| shown(file, &service.path));
        let what = first.unwrap_or_else(|| "much has".to_owned());
        let more = change.files.len().saturating_sub(1);
        let what = if more == 0 { what } else { format!("{what} and {more} more") };
        member.dirty = true;
        let runs = member.phase == Phase::Running && member.instances.iter().any(Instance::counts);
        let reload = runs && member.reloads_itself() && !environment && !migration;
        self.say(index, &format!("{what} changed: {}", if reload { "reloading" } else { "restarting" }));
        if reload {
            self.reload(index);
        } else {
            self.restart(index);
        }
    }

    /// What runs was started by what stood there before.
    fn manifest_changed(&self, index: usize) {
        let name = self.config.manifest.path.display();
        match Manifest::load(&self.config.manifest.file()) {
            Ok(_) => self.say(index, &format!("{name} changed: it counts from the next `pinnace up`")),
            Err(found) => {
                let mistakes = found.0.len();
                let mistakes = if mistakes == 1 { "a mistake".to_owned() } else { format!("{mistakes} mistakes") };
                self.say(index, &format!("{name} changed and has {mistakes} in it: `pinnace check` shows it"));
            }
        }
    }

    /// Has the workers of every instance replaced, within their instance.
    fn reload(&mut self, index: usize) {
        for instance in self.members[index].instances.iter_mut().filter(|instance| instance.counts()) {
            instance.reload();
        }
    }

    /// An instance has new workers, or keeps the old ones for a reason.
    pub(super) fn has_reloaded(&mut self, index: usize, key: u64, reason: Option<String>) {
        let member = &mut self.members[index];
        let has_new_workers = reason.is_none();
        if has_new_workers {
            member.dirty = false;
        }
        member.reason = reason;
        if let Some(instance) = member.instance(key)
            && instance.stage == Stage::Reloading
        {
            instance.stage = Stage::Ready;
        }
        if has_new_workers {
            self.reload_gateway();
        }
    }

    /// The gateway reads its table again and makes its connections anew, so that none leads to a process that another
    /// has taken over from; one that does not answer yet is told once it does.
    pub(super) fn reload_gateway(&self) {
        let gateways = self.members.iter().filter(|member| matches!(member.what, What::Gateway));
        for instance in gateways.flat_map(|member| &member.instances).filter(|instance| instance.answers()) {
            instance.hang_up();
        }
    }

    // ---- replaced ----

    /// Replaces all instances by new ones.
    pub(super) fn replace(&mut self, index: usize) {
        let member = &mut self.members[index];
        let longest = member.stop_within();
        if !member.may_overlap() {
            let living = member.instances.iter_mut().filter(|instance| instance.counts());
            let stopped = living.map(|instance| instance.stop(longest)).count();
            member.relaunch = stopped > 0;
            if stopped == 0 {
                self.start_anew(index);
            }
            return;
        }
        let old: std::collections::VecDeque<u64> = member
            .instances
            .iter()
            .filter(|instance| instance.counts())
            .map(|instance| instance.identity.key)
            .collect();
        if old.is_empty() {
            self.start_anew(index);
            return;
        }
        self.replace_next(index, old);
    }

    fn replace_next(&mut self, index: usize, old: std::collections::VecDeque<u64>) {
        let Some(fresh) = self.start_instance(index) else { return };
        self.members[index].replacement = Some(Replacement { old, fresh });
    }

    fn start_anew(&mut self, index: usize) {
        self.members[index].phase = Phase::Waiting;
        self.try_start(index);
    }

    /// A new instance answers: the one that it replaces retires, and the next one has its turn.
    pub(super) fn takes_over(&mut self, index: usize, key: u64) {
        let member = &mut self.members[index];
        let longest = member.retire_within();
        match member.replacement.take() {
            Some(mut replacement) if replacement.fresh == key => {
                let notice = member.notice();
                if let Some(instance) = replacement.old.pop_front().and_then(|old| member.instance(old)) {
                    instance.retire(notice, longest);
                }
                let counts = |key: &u64| {
                    member.instances.iter().any(|instance| instance.identity.key == *key && instance.counts())
                };
                replacement.old.retain(counts);
                self.reload_gateway();
                if replacement.old.is_empty() {
                    self.reconcile(index);
                    self.do_again(index);
                } else {
                    self.replace_next(index, replacement.old);
                }
            }
            other => {
                member.replacement = other;
                if member.replacement.is_none() {
                    self.reconcile(index);
                }
            }
        }
    }

    /// Whether the instance that has ended was to take over: then the old ones go on.
    pub(super) fn was_replacement(&mut self, index: usize, key: u64, message: &str) -> bool {
        let member = &mut self.members[index];
        if member.replacement.take_if(|replacement| replacement.fresh == key).is_none() || !member.answers() {
            return false;
        }
        member.reason = Some(message.to_owned());
        let refusal = member.failed();
        member.refuse_waiters(&refusal);
        self.say(index, &format!("the new instance did not start ({message}); the old ones go on"));
        self.reconcile(index);
        self.do_again(index);
        true
    }

    /// What could not run twice has ended and is started anew.
    pub(super) fn has_stopped(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.relaunch && member.instances.is_empty() {
            member.relaunch = false;
            self.start_anew(index);
            self.do_again(index);
        }
    }

    /// Does what was asked for meanwhile.
    pub(super) fn do_again(&mut self, index: usize) {
        if self.members[index].again {
            self.restart(index);
        }
    }

    /// Starts what is missing and retires what is too much: those first that do not answer yet, and may never, then the
    /// last ones.
    fn reconcile(&mut self, index: usize) {
        self.fill(index);
        let member = &mut self.members[index];
        let (longest, notice) = (member.retire_within(), member.notice());
        let living = member.instances.iter().filter(|instance| instance.counts()).count();
        let surplus = living.saturating_sub(member.wanted as usize);
        let mut last_first: Vec<&mut Instance> =
            member.instances.iter_mut().filter(|instance| instance.counts()).collect();
        last_first.sort_by_key(|instance| (instance.answers(), std::cmp::Reverse(instance.identity.number)));
        for instance in last_first.into_iter().take(surplus) {
            instance.retire(notice, longest);
        }
    }
}

fn is_migration(file: &Path) -> bool {
    let folders = file.parent().into_iter().flat_map(Path::components);
    folders
        .filter_map(|folder| match folder {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .any(|name| MIGRATIONS.contains(&name))
}

fn shown(file: &Path, folder: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).display().to_string()
}
