//! A server that says exactly what a test tells it to, byte for byte, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use acs_identity::{AccessKey, Client, ClientBuilder, Endpoint, IdentityId, InsecureEndpoints, RetryPolicy, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub const ID: &str = "8:acs:2dee53b4-368b-45b4-ab52-8493fb117652_00000005-14a2-493b-8a72-5a3a0d000081";
pub const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3NjAwMDAwMDB9.c2lnbmF0dXJl";

pub fn id() -> IdentityId {
    ID.parse().unwrap()
}

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Sends these bytes and closes the connection.
    Raw(Vec<u8>),
    /// Closes the connection without a word.
    Cut,
    /// Says nothing and keeps the connection open.
    Hang,
    /// Refuses with a message that holds what came in the `Authorization` header.
    Echo,
    /// Sends the first and then the other over and over, as fast as it is taken.
    Forever { first: String, then: String },
    /// The same, slowly.
    Drip { first: String, then: String },
}

impl Reply {
    /// A whole answer with a JSON body.
    pub fn json(status: u16, body: &str) -> Self {
        Self::with_headers(status, &["Content-Type: application/json"], body)
    }

    /// A whole answer as a gateway writes it.
    pub fn html(status: u16) -> Self {
        Self::with_headers(
            status,
            &["Content-Type: text/html"],
            "<html><h1>Bad Gateway</h1></html>",
        )
    }

    /// A whole answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::with_headers(status, &[], "")
    }

    /// A whole answer with these header lines.
    pub fn with_headers(status: u16, headers: &[&str], body: &str) -> Self {
        let mut lines = vec![format!("HTTP/1.1 {status} Whatever"), "Connection: close".to_owned()];
        lines.extend(headers.iter().map(|&line| line.to_owned()));
        if status != 204 {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        Self::Raw(format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes())
    }

    /// An error as ACS writes it.
    pub fn envelope(status: u16, code: &str, message: &str) -> Self {
        Self::json(
            status,
            &serde_json::json!({"error": {"code": code, "message": message}}).to_string(),
        )
    }

    /// The same, cut off before its last `n` bytes.
    pub fn without_last(self, n: usize) -> Self {
        let mut bytes = self.bytes();
        bytes.truncate(bytes.len().saturating_sub(n));
        Self::Raw(bytes)
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes,
            other => panic!("{other:?} is not a fixed answer"),
        }
    }

    pub fn never_ends(&self) -> bool {
        matches!(self, Self::Hang | Self::Forever { .. } | Self::Drip { .. })
    }

    pub fn created() -> Self {
        let body = format!(
            r#"{{"identity":{{"id":"{ID}"}},"accessToken":{{"token":"{TOKEN}","expiresOn":"2030-07-10T21:39:39.3244584+00:00"}}}}"#
        );
        Self::json(201, &body)
    }

    pub fn token() -> Self {
        Self::json(
            200,
            &format!(r#"{{"token":"{TOKEN}","expiresOn":"2030-07-10T21:39:39.3244584+00:00"}}"#),
        )
    }
}

/// A request as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

pub struct Server {
    pub port: u16,
    patience: Duration,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers the requests with these replies in turn, and every later one with the last.
    pub async fn answering(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let replies: Vec<Reply> = replies.into_iter().collect();
        let patience = Duration::from_millis(if replies.iter().any(Reply::never_ends) {
            300
        } else {
            10_000
        });
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            // Dropped, and with it every connection, when the server is.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&seen), replies.clone()));
            }
        });
        Self {
            port,
            patience,
            requests,
            task,
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://127.0.0.1:{}", self.port), InsecureEndpoints::Allow).unwrap()
    }

    /// A client of this server that repeats nothing. It waits long for an answer, unless there will be none.
    pub fn client(&self) -> Client {
        self.client_with(|builder| builder)
    }

    pub fn client_with(&self, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
        let timeouts = Timeouts {
            call: self.patience,
            create: self.patience,
        };
        let builder = Client::builder(self.endpoint(), AccessKey::parse(KEY).unwrap().into());
        change(builder.retry(RetryPolicy::none()).timeouts(timeouts))
            .build()
            .unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request on a connection.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, replies: Vec<Reply>) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    let authorization = request.header("authorization").unwrap_or_default().to_owned();
    let count = {
        let mut seen = seen.lock().unwrap();
        seen.push(request);
        seen.len()
    };
    let bytes = match &replies[count.min(replies.len()) - 1] {
        Reply::Raw(bytes) => bytes.clone(),
        Reply::Echo => Reply::envelope(401, "Denied", &authorization).bytes(),
        Reply::Cut => return,
        Reply::Hang => return std::future::pending().await,
        Reply::Forever { first, then } => return pour(stream, first, &then.repeat(1000), Duration::ZERO).await,
        Reply::Drip { first, then } => return pour(stream, first, then, Duration::from_millis(20)).await,
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        })
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, n)| n.parse().unwrap());
    while bytes.len() < end + 4 + length {
        read_more(stream, &mut bytes).await?;
    }
    Some(Request {
        line,
        headers,
        body: String::from_utf8(bytes[end + 4..].to_vec()).ok()?,
    })
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 4096];
    let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
    bytes.extend_from_slice(&chunk[..n]);
    Some(())
}

/// Writes until the other side has enough.
async fn pour(mut stream: TcpStream, first: &str, then: &str, pause: Duration) {
    let mut written = stream.write_all(first.as_bytes()).await;
    while written.is_ok() {
        tokio::time::sleep(pause).await;
        written = stream.write_all(then.as_bytes()).await;
    }
}
