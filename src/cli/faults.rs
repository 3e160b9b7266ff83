//! What is wrong with a command line, told all at once.

use std::{fmt, io::Write, process::ExitCode};

/// One setting that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    place: String,
    problem: String,
    remedy: String,
}

impl Fault {
    /// `place` is the flag or variable, with its value where that may be shown; `problem` says what is wrong with it;
    /// `remedy` what to write instead.
    pub fn new(place: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}\n      {}\n      {}", self.place, self.problem, self.remedy)
    }
}

/// Why the program does not start.
#[derive(Debug)]
pub enum Refusal {
    /// The shape of the command line is wrong (an unknown flag, no command), or `--help` or `--version` was asked for.
    Usage(clap::Error),
    /// Settings that are wrong, at least one.
    Settings(Vec<Fault>),
}

impl From<clap::Error> for Refusal {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Settings(vec![fault])
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => write!(f, "{error}"),
            Self::Settings(faults) => {
                match faults.len() {
                    1 => writeln!(f, "error: a setting is wrong")?,
                    many => writeln!(f, "error: {many} settings are wrong")?,
                }
                for fault in faults {
                    writeln!(f, "\n{fault}")?;
                }
                writeln!(f, "\nFor all settings, try 'acs-operator run --help'.")
            }
        }
    }
}

impl Refusal {
    /// Prints this refusal where it belongs and gives the process's exit code: 0 after help or version, else 2.
    pub fn report(&self) -> ExitCode {
        match self {
            // A closed pipe (`--help | head`) is nobody's fault, and there is nowhere left to report it.
            Self::Usage(error) => {
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Settings(_) => {
                let _ = write!(std::io::stderr(), "{self}");
                ExitCode::from(2)
            }
        }
    }
}
