//! A host of someone else: it takes note of whatever is sent to it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A listener on the loopback interface that answers nothing. It ends when it is dropped.
pub struct Stranger {
    address: SocketAddr,
    heard: Heard,
    listening: JoinHandle<()>,
}

/// The beginning of what each caller sent, in the order of their calls.
type Heard = Arc<Mutex<Vec<String>>>;

impl Stranger {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When none is free.
    pub async fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let heard = Heard::default();
        Ok(Self {
            address: listener.local_addr()?,
            heard: Arc::clone(&heard),
            listening: tokio::spawn(async move {
                while let Ok((caller, _)) = listener.accept().await {
                    let said = listen_to(&caller).await;
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(said);
                }
            }),
        })
    }

    /// Where it listens, as the host of a URL.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What was sent to it. Whoever only connects is heard too, as an empty text.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen_to(caller: &TcpStream) -> String {
    let mut beginning = vec![0; 4096];
    let read = match caller.readable().await {
        Ok(()) => caller.try_read(&mut beginning).unwrap_or_default(),
        Err(_) => 0,
    };
    String::from_utf8_lossy(&beginning[..read]).into_owned()
}
