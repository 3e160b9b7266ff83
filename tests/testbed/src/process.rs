//! Child processes that never outlive this one.

use std::{
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, ExitStatus},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

/// A running child. Dropping it kills it.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts a program that dies with this process, however that ends. Ctrl-C in a terminal doesn't reach it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, command: Command) -> Result<Self> {
        let (answer, answered) = mpsc::channel();
        spawner()
            .send((command, answer))
            .context("the spawner thread has ended")?;
        let child = answered.recv()?.with_context(|| format!("start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
        })
    }

    /// The end of a pipe that its standard output goes to, once, if the command asked for one.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Waits until it ends, at most that long.
    ///
    /// # Errors
    /// When it is still running then.
    pub async fn ended(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} is still running after {within:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        is_running(self.child.id())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a child of this process is running. It can still be waited for afterwards.
pub(crate) fn is_running(child: u32) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    i32::try_from(child).is_ok_and(|pid| {
        waitid(Id::Pid(Pid::from_raw(pid)), flags).is_ok_and(|status| status == WaitStatus::StillAlive)
    })
}

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// The thread that starts all children. The kernel delivers the parent-death signal when the *thread* that forked ends,
/// and a test's thread ends long before the process does.
fn spawner() -> &'static mpsc::Sender<Order> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in incoming {
                // Nobody may be waiting any more; then the child is dropped, which neither kills nor waits for it, and
                // it ends with this process.
                let _ = answer.send(dies_with_us(&mut command).process_group(0).spawn());
            }
        });
        orders
    })
}

#[allow(
    unsafe_code,
    reason = "prctl is async-signal-safe, which is all that pre_exec asks for"
)]
fn dies_with_us(command: &mut Command) -> &mut Command {
    unsafe { command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)) }
}
