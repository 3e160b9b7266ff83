//! A forward proxy, as companies have one between their clusters and the internet.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy on the loopback interface that opens tunnels (`CONNECT`), wherever to: they all end at one server, as if its name
/// resolved to that. It ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    asked: Asked,
    serving: JoinHandle<()>,
}

/// What it does with who asks for a tunnel.
#[derive(Clone, Copy)]
enum Manner {
    LeadsTo(SocketAddr),
    WantsPassword,
}

/// What it was asked for, in order.
type Asked = Arc<Mutex<Vec<Tunnel>>>;

/// A tunnel that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Where to, as asked: it knows names that nobody else can resolve.
    pub to: String,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

impl Proxy {
    /// Listens on a free port. All tunnels lead to `server`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        Self::start(Manner::LeadsTo(server)).await
    }

    /// Listens on a free port, and lets nobody through.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn that_wants_a_password() -> Result<Self> {
        Self::start(Manner::WantsPassword).await
    }

    async fn start(manner: Manner) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let asked = Asked::default();
        Ok(Self {
            address: listener.local_addr()?,
            asked: Arc::clone(&asked),
            serving: tokio::spawn(async move {
                while let Ok((caller, _)) = listener.accept().await {
                    let asked = Arc::clone(&asked);
                    // How a tunnel ends is between its two ends.
                    tokio::spawn(async move { tunnel(caller, manner, &asked).await.ok() });
                }
            }),
        })
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The tunnels that were asked for.
    pub fn asked(&self) -> Vec<Tunnel> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn tunnel(caller: TcpStream, manner: Manner, asked: &Asked) -> Result<()> {
    let mut caller = BufReader::new(caller);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = caller.read_line(&mut line).await?;
        if read == 0 || line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let request = lines.first().and_then(|line| line.strip_prefix("CONNECT "));
    let to = request.and_then(|rest| rest.split(' ').next()).context("no CONNECT")?;
    let authorization = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("Proxy-Authorization")
            .then(|| value.to_owned())
    });
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(Tunnel {
        to: to.to_owned(),
        authorization,
    });
    let Manner::LeadsTo(server) = manner else {
        caller
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            .await?;
        return Ok(());
    };
    let mut upstream = TcpStream::connect(server).await?;
    caller.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut caller, &mut upstream).await?;
    Ok(())
}
