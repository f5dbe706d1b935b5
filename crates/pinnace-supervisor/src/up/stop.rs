//! The end of a system in order: the gateway, then services against the order of their calls, then the hub.
//!
//! Each may finish what it has begun, for as long as its `stop_timeout` says; what takes longer is killed.

use super::instance::{Instance, Stage};
use super::member::{Member, Phase, What};
use super::system::System;

/// Whether the end has begun.
#[derive(Debug, Default)]
pub(super) struct Stop(bool);

impl Stop {
    pub(super) const fn has_begun(&self) -> bool {
        self.0
    }
}

impl System {
    /// Begins it; nothing is started any more.
    pub(super) fn begin_stop(&mut self) {
        if self.stop.0 {
            return;
        }
        self.stop.0 = true;
        for member in &mut self.members {
            member.preparing = None;
            member.replacement = None;
            member.relaunch = false;
            member.refuse_waiters(&super::handle::Refusal::Stopping);
            if member.phase != Phase::Failed && member.instances.is_empty() {
                member.phase = Phase::Stopped;
            }
        }
        self.go_on_stopping();
    }

    /// Tells those to end that nobody needs any more.
    pub(super) fn go_on_stopping(&mut self) {
        for index in 0..self.members.len() {
            if !self.is_needed(index) {
                stop(&mut self.members[index]);
            }
        }
    }

    /// Whether something that may call it still runs.
    fn is_needed(&self, index: usize) -> bool {
        let runs = |member: &Member| !member.instances.is_empty();
        self.members.iter().enumerate().any(|(other, member)| {
            let calls = match (&member.what, &self.members[index].what) {
                (What::Gateway, What::Service(_)) | (What::Service(_) | What::Gateway, What::Hub) => true,
                (What::Service(_), What::Service(_)) => member.waits_for.contains(&index),
                (What::Gateway | What::Hub | What::Service(_), _) => false,
            };
            other != index && calls && runs(member)
        })
    }
}

fn stop(member: &mut Member) {
    let longest = member.stop_within();
    if member.phase != Phase::Failed {
        member.phase = Phase::Stopped;
    }
    let told = |instance: &&mut Instance| instance.stage != Stage::Stopping;
    for instance in member.instances.iter_mut().filter(told) {
        instance.stop(longest);
    }
}
