//! `make demo`: the operator at work on a Kubernetes API server of its own, for someone who sees it for the first time.
//!
//! Nothing of what it prints is made up: each command is run as it stands there, each claim is checked, and the demo fails
//! when one is wrong. Every process ends with this one, in whatever way that ends.

mod chapters;
mod interruption;
mod screen;
mod shell;
mod stage;
mod stay;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use interruption::{Interruption, Request};
use screen::Screen;
use tokio::runtime::Runtime;

/// How long work of other threads may take to end: a control plane that is about to be ready, a kubectl under way.
const END_WITHIN: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let screen = Screen::new();
    let ending = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ending = runtime.block_on(perform(&screen, once()));
        runtime.shutdown_timeout(END_WITHIN);
        ending
    });
    screen.farewell(&ending)
}

/// How the demo ended, when nothing went wrong.
enum Ending {
    /// The story was told to its end.
    Told,
    /// Someone asked for the end before that, in this way.
    Interrupted(Request),
}

async fn perform(screen: &Screen, once: bool) -> Result<Ending> {
    let mut interruption = Interruption::listen()?;
    let mut stage = tokio::select! {
        stage = chapters::tell(screen) => stage?,
        request = interruption.comes() => return Ok(Ending::Interrupted(request)),
    };
    if !once {
        let stayed = stay::until(&stage, interruption.comes()).await;
        stayed.map_err(|error| stage.with_log(&error))?;
    }
    stage.close().await?;
    Ok(Ending::Told)
}

/// Whether to stop at the end of the story instead of leaving everything running.
#[expect(clippy::disallowed_methods, reason = "a switch of the demo, not of the operator")]
fn once() -> bool {
    std::env::var_os("ONCE").is_some_and(|once| !once.is_empty() && once != "0")
}
