//! What follows when an instance has ended by itself: another start after a pause, or giving the member up.

use std::sync::Arc;

use pinnace_os::{Exit, Signal};
use pinnace_types::control::{LogLine, LogStream};
use pinnace_types::worker::FailureKind;
use pinnace_types::{ExitCode, HumanDuration};
use tokio::time::Duration;

use super::instance::{Instance, Stage};
use super::member::{Member, Phase};
use super::system::{PreparedEvent, System};

impl System {
    pub(super) fn ended(&mut self, index: usize, key: u64, exit: Exit) {
        let member = &mut self.members[index];
        let Some(place) = member.instances.iter().position(|instance| instance.identity.key == key) else { return };
        let instance = member.instances.remove(place);
        if self.stop.has_begun() {
            self.go_on_stopping();
            return;
        }
        match instance.stage {
            Stage::Retiring => {}
            Stage::Stopping => self.has_stopped(index),
            Stage::Starting | Stage::Ready | Stage::Reloading => self.has_crashed(index, &instance, exit),
        }
    }

    fn has_crashed(&mut self, index: usize, instance: &Instance, exit: Exit) {
        let (message, code) = self.why(index, instance, exit);
        if self.was_replacement(index, instance.identity.key, &message) || self.was_addition(index, instance, &message)
        {
            return;
        }
        let member = &mut self.members[index];
        // What has never answered, or says itself why it cannot, does so again; anything else deserves another start.
        let hopeless = member.ready_ms.is_none() || instance.failure.is_some();
        // Another one that is about to answer may know better.
        if hopeless && !member.instances.iter().any(Instance::counts) {
            if member.dirty {
                self.say(index, &message);
                self.say(index, "its files have changed meanwhile: it is started again");
                self.prepare(index);
                self.members[index].phase = Phase::Preparing;
                return;
            }
            if instance.failure.is_none() {
                self.say(index, &message);
            }
            self.give_up(index, code, message);
            return;
        }
        member.restarts += 1;
        let pause = member.backoff.after(instance.started.elapsed());
        member.reason = Some(message.clone());
        if instance.stage == Stage::Starting {
            // It is tried until it runs; whoever waits for it need not.
            let refusal = member.failed();
            member.refuse_waiters(&refusal);
        }
        self.say(index, &format!("{message}; started again in {}", HumanDuration::new(pause)));
        self.start_later(index, pause);
    }

    /// Whether it was to run beside others that go on, and has never answered: then it is not tried again, as whoever
    /// asked for it is told so.
    fn was_addition(&mut self, index: usize, instance: &Instance, message: &str) -> bool {
        let member = &mut self.members[index];
        let answering = member.instances.iter().filter(|instance| instance.answers()).count();
        let living = member.instances.iter().filter(|instance| instance.counts()).count();
        // Nobody asked for one that takes the place of a crashed one: it is tried until it runs.
        let asked = member.replacement.is_none() && (!member.waiters.is_empty() || living >= member.wanted as usize);
        if instance.stage != Stage::Starting || answering == 0 || !asked {
            return false;
        }
        member.wanted = member.wanted.min(u32::try_from(answering).unwrap_or(u32::MAX));
        member.reason = Some(message.to_owned());
        let refusal = member.failed();
        member.refuse_waiters(&refusal);
        self.say(index, &format!("the new instance did not start ({message}); the others go on"));
        true
    }

    /// Why an instance has ended, in words, and how `up` ends where that was its first start.
    fn why(&self, index: usize, instance: &Instance, exit: Exit) -> (String, ExitCode) {
        let member = &self.members[index];
        match &instance.failure {
            Some(failure) => (failure.message.clone(), exit_code(failure.kind)),
            None if instance.overdue => {
                let health = member.service().and_then(|service| service.health.as_deref());
                let asked = health.map(|path| format!(" (`{path}` has to answer with 2xx)")).unwrap_or_default();
                let limit = HumanDuration::new(member.stated());
                (format!("not ready after {limit}{asked}; `ready_timeout` gives it longer"), ExitCode::NotReady)
            }
            // Whoever is killed cannot say why.
            None if exit == Exit::Signal(Signal::SIGKILL as i32) => (format!("ended with {exit}"), ExitCode::NotReady),
            None => {
                let words = self.last_words(member, instance).map(|words| format!(": {words}")).unwrap_or_default();
                (format!("ended with {exit}{words}"), ExitCode::NotReady)
            }
        }
    }

    /// The last line that an instance wrote about itself; a hint is no reason.
    fn last_words(&self, member: &Member, instance: &Instance) -> Option<String> {
        let id = instance.identity.id();
        let is_its_own = |line: &&Arc<LogLine>| {
            line.stream == LogStream::Stderr && line.instance == id && line.time >= instance.started_at
        };
        let lines = self.logs.tail(Some(&member.name), 20);
        let mut texts = lines.iter().rev().filter(is_its_own).map(|line| line.text.trim());
        texts.find(|text| !text.is_empty() && !text.starts_with("hint:")).map(str::to_owned)
    }

    fn start_later(&mut self, index: usize, pause: Duration) {
        self.members[index].due += 1;
        let prepared = self.prepared.0.clone();
        // It ends with its pause.
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = prepared.send(PreparedEvent::Due(index)).await;
        });
    }

    pub(super) fn is_due(&mut self, index: usize) {
        let member = &mut self.members[index];
        member.due = member.due.saturating_sub(1);
        if !self.stop.has_begun() && self.members[index].replacement.is_none() {
            self.fill(index);
        }
    }

    /// Nothing of it runs until its files change or it is restarted.
    pub(super) fn give_up(&mut self, index: usize, code: ExitCode, reason: String) {
        let member = &mut self.members[index];
        member.phase = Phase::Failed;
        member.reason = Some(reason);
        if member.ready_ms.is_none() {
            member.failure = Some(code);
        }
        member.replacement = None;
        member.again = false;
        if member.inherits_sockets() {
            // Callers are refused at once, rather than kept waiting for nobody.
            member.socket = None;
        }
        if self.config.strict && self.members[index].failure.is_some() {
            self.begin_stop();
        } else {
            self.start_waiting();
        }
    }
}

const fn exit_code(kind: FailureKind) -> ExitCode {
    match kind {
        FailureKind::NotFound | FailureKind::Import => ExitCode::Application,
        FailureKind::Interpreter => ExitCode::Interpreter,
        FailureKind::Lifespan | FailureKind::Died => ExitCode::NotReady,
    }
}
