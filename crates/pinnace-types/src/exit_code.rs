//! How a `pinnace` command ends. These numbers are API: scripts match on them, and docs/reference/exit-codes.md is
//! generated from this table.

/// The exit status of the command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExitCode {
    /// All went well, or the system was stopped as asked.
    Ok,
    /// Something failed that has no code of its own; the message says what.
    Failure,
    /// The command line was not understood.
    Usage,
    /// `pinnace.toml` is absent, malformed, or breaks a design rule.
    Manifest,
    /// The manifest asks for something that this version does not enforce yet.
    NotEnforced,
    /// An address is in use by another process.
    AddressInUse,
    /// A service's environment could not be made.
    Environment,
    /// A service's migration failed.
    Migration,
    /// A service ended before it was ready, or was not ready in time.
    NotReady,
    /// The system of this folder runs already.
    AlreadyRunning,
    /// There is no running system to talk to.
    NotRunning,
    /// No application was found, or it does not import.
    Application,
    /// The interpreter cannot be used: absent, too old, or there is no runtime for it.
    Interpreter,
    /// `.pinnace` cannot be written: a full disk or missing rights.
    Storage,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExitCodeRow {
    /// The code.
    pub code: ExitCode,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl ExitCode {
    /// The number that the process ends with.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Manifest => 3,
            Self::NotEnforced => 4,
            Self::AddressInUse => 5,
            Self::Environment => 6,
            Self::Migration => 7,
            Self::NotReady => 8,
            Self::AlreadyRunning => 9,
            Self::NotRunning => 10,
            Self::Application => 11,
            Self::Interpreter => 12,
            Self::Storage => 13,
        }
    }

    /// Every code with its meaning, in order.
    pub const fn table() -> &'static [ExitCodeRow] {
        TABLE
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

const fn row(code: ExitCode, meaning: &'static str, remedy: &'static str) -> ExitCodeRow {
    ExitCodeRow { code, meaning, remedy }
}

const TABLE: &[ExitCodeRow] = &[
    row(ExitCode::Ok, "all went well, or the system was stopped as asked", "nothing"),
    row(ExitCode::Failure, "something failed that has no code of its own", "read the message; it names the operation"),
    row(ExitCode::Usage, "the command line was not understood", "`pinnace COMMAND --help`"),
    row(
        ExitCode::Manifest,
        "`pinnace.toml` is absent, malformed, or breaks a design rule",
        "mend the place that the message shows",
    ),
    row(
        ExitCode::NotEnforced,
        "the manifest asks for something that this version does not enforce yet",
        "take the named keys out until a version enforces them",
    ),
    row(
        ExitCode::AddressInUse,
        "an address is in use by another process",
        "end that process, or choose another address",
    ),
    row(
        ExitCode::Environment,
        "a service's environment could not be made",
        "the last lines of the installer say why; a second start tries again",
    ),
    row(ExitCode::Migration, "a service's migration failed", "run the shown command in the service's folder"),
    row(ExitCode::NotReady, "a service ended before it was ready, or was not ready in time", "`pinnace logs SERVICE`"),
    row(
        ExitCode::AlreadyRunning,
        "the system of this folder runs already",
        "`pinnace ps`, or stop the process that the message names",
    ),
    row(ExitCode::NotRunning, "there is no running system to talk to", "`pinnace up` in the folder of `pinnace.toml`"),
    row(
        ExitCode::Application,
        "no application was found, or it does not import",
        "the message lists what was tried, or the traceback",
    ),
    row(
        ExitCode::Interpreter,
        "the interpreter cannot be used: absent, too old, or no runtime for it",
        "`pinnace doctor`",
    ),
    row(ExitCode::Storage, "`.pinnace` cannot be written", "free space on the disk, or mend the rights of the folder"),
];

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn the_table_lists_every_number_once_and_in_order() {
        let numbers: Vec<u8> = ExitCode::table().iter().map(|row| row.code.number()).collect();
        assert_eq!(numbers, (0..=13).collect::<Vec<u8>>());
    }
}
