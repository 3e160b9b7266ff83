//! What the newcomer reads.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Display},
    io::{self, IsTerminal, Stdout, Write},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result};

use crate::Ending;

/// Standard output, with chapters that are numbered and timed. A blank line stands before whatever comes.
pub struct Screen {
    out: Stdout,
    started: Instant,
    /// Headings are bold on a terminal; anywhere else the text is plain.
    bold: bool,
    chapters: Cell<u32>,
    latest_heading: RefCell<String>,
}

impl Screen {
    /// Time counts from here.
    pub fn new() -> Self {
        let out = io::stdout();
        Self {
            started: Instant::now(),
            bold: out.is_terminal(),
            out,
            chapters: Cell::default(),
            latest_heading: RefCell::default(),
        }
    }

    /// Begins the next chapter.
    ///
    /// # Errors
    /// When nobody reads any more, as with all that write here.
    pub fn chapter(&self, title: &str) -> Result<()> {
        self.chapters.set(self.chapters.get() + 1);
        self.heading(&format!("{}. {title}", self.chapters.get()))
    }

    /// A heading without a number.
    pub fn heading(&self, title: &str) -> Result<()> {
        title.clone_into(&mut self.latest_heading.borrow_mut());
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let elapsed = self.started.elapsed().as_secs_f64();
        self.print(format_args!("\n{on}[{elapsed:5.1} s] {title}{off}\n"))
    }

    /// A paragraph.
    pub fn say(&self, text: impl Display) -> Result<()> {
        self.print(format_args!("\n"))?;
        self.print_indented(&text.to_string())
    }

    /// A command, before it is run.
    pub fn command(&self, line: &str) -> Result<()> {
        self.say(format_args!("$ {line}"))
    }

    /// What a command printed.
    pub fn output(&self, text: &str) -> Result<()> {
        self.print_indented(text.trim_end())
    }

    /// The last words, once everything has ended.
    pub fn farewell(&self, ending: &Result<Ending>) -> ExitCode {
        let elapsed = self.started.elapsed().as_secs_f64();
        // There may be nobody left to read them.
        let _ = match ending {
            Ok(Ending::Told) => self.print(format_args!("\n[{elapsed:5.1} s] Everything is stopped.\n")),
            Ok(Ending::Interrupted(request)) => {
                self.print(format_args!("\n{}: everything is stopped.\n", request.name()))
            }
            Err(error) => {
                let place = self.latest_heading.borrow();
                writeln!(
                    io::stderr(),
                    "\nThe demo failed at \"{place}\". Everything is stopped.\n{error:#}"
                )
                .map_err(Into::into)
            }
        };
        match ending {
            Ok(Ending::Told) => ExitCode::SUCCESS,
            Ok(Ending::Interrupted(request)) => ExitCode::from(request.exit_code()),
            Err(_) => ExitCode::FAILURE,
        }
    }

    fn print_indented(&self, text: &str) -> Result<()> {
        text.lines().try_for_each(|line| match line {
            "" => self.print(format_args!("\n")),
            line => self.print(format_args!("  {line}\n")),
        })
    }

    fn print(&self, text: fmt::Arguments<'_>) -> Result<()> {
        let mut out = self.out.lock();
        out.write_fmt(text)
            .and_then(|()| out.flush())
            .context("write to standard output")
    }
}
