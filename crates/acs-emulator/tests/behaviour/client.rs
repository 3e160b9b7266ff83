//! A client that signs as the SDKs do and can do everything wrong that a client can do wrong.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use acs_emulator::{Choices, Config, Emulator, KeySlot};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use ring::{digest, hmac};
use serde_json::Value;

pub const STABLE: &str = "2023-10-01";
pub const PREVIEW: &str = "2025-03-02-preview";

/// Ceiling on every wait for the emulator.
pub const CEILING: Duration = Duration::from_secs(20);

pub fn start() -> Emulator {
    Emulator::start(Config::default()).unwrap()
}

/// An emulator that answers as chosen where Microsoft documents nothing.
pub fn start_with(choices: Choices) -> Emulator {
    Emulator::start(Config {
        choices,
        ..Config::default()
    })
    .unwrap()
}

/// A request that can be bent before it is signed and after.
pub struct Call {
    address: SocketAddr,
    key: String,
    pub method: String,
    pub target: String,
    pub host: String,
    pub date: String,
    pub date_header: &'static str,
    pub body: String,
    pub content_type: &'static str,
    pub extra: Vec<(String, String)>,
    authorization: Option<String>,
}

pub fn call(emulator: &Emulator, line: &str, body: &str) -> Call {
    call_at(
        emulator.address(),
        emulator.access_key(KeySlot::Primary).text(),
        emulator.now(),
        line,
        body,
    )
}

pub fn call_at(address: SocketAddr, key: &str, now: Timestamp, line: &str, body: &str) -> Call {
    let (method, path) = line.split_once(' ').unwrap();
    let target = if path.contains("api-version") {
        path.to_owned()
    } else {
        format!("{path}?api-version={STABLE}")
    };
    Call {
        address,
        key: key.to_owned(),
        method: method.to_owned(),
        target,
        host: address.to_string(),
        date: DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap(),
        date_header: "x-ms-date",
        body: body.to_owned(),
        content_type: "application/json",
        extra: Vec::new(),
        authorization: None,
    }
}

impl Call {
    pub fn with_key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Signs `date` in place of `x-ms-date`, as the SDKs of 2020 did.
    pub fn signing_date(mut self) -> Self {
        self.date_header = "date";
        self
    }

    pub fn dated(mut self, date: &str) -> Self {
        date.clone_into(&mut self.date);
        self
    }

    /// Says this in `Authorization`, whatever would be right.
    pub fn authorized_by(mut self, authorization: &str) -> Self {
        self.authorization = Some(authorization.to_owned());
        self
    }

    pub fn with(mut self, header: &str, value: &str) -> Self {
        self.extra.push((header.to_owned(), value.to_owned()));
        self
    }

    /// The bytes of the signed request.
    pub fn bytes(&self) -> Vec<u8> {
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, self.body.as_bytes()));
        let text = format!("{}\n{}\n{};{};{hash}", self.method, self.target, self.date, self.host);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(&self.key).unwrap());
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let signed = format!(
            "HMAC-SHA256 SignedHeaders={};host;x-ms-content-sha256&Signature={signature}",
            self.date_header
        );
        let authorization = self.authorization.as_ref().unwrap_or(&signed);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n{}: {}\r\nx-ms-content-sha256: {hash}\r\nAuthorization: {authorization}\r\n\
             Connection: close\r\nContent-Length: {}\r\nContent-Type: {}\r\n",
            self.method,
            self.target,
            self.host,
            self.date_header,
            self.date,
            self.body.len(),
            self.content_type
        );
        for (name, value) in &self.extra {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        format!("{head}\r\n{}", self.body).into_bytes()
    }

    /// The answer, or `None` if the connection was cut before one.
    pub fn try_send(&self) -> Option<Answer> {
        Answer::read(&send_raw(self.address, &self.bytes()))
    }

    pub fn send(&self) -> Answer {
        self.try_send()
            .unwrap_or_else(|| panic!("no answer to {} {}", self.method, self.target))
    }
}

/// Sends bytes and reads until the connection ends, however it ends.
pub fn send_raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    // The emulator may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            // As by the end of a process that another test had started.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no end of the answer: {error}"),
            Err(_) => return answer,
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = Self {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunked(&answer.body);
        }
        Some(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// `401 Denied`, or the status alone if there is no error code.
    pub fn verdict(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match body["error"]["code"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    pub fn identity(&self) -> String {
        self.json()["identity"]["id"].as_str().unwrap().to_owned()
    }

    pub fn token(&self) -> String {
        let json = self.json();
        json["token"]
            .as_str()
            .or(json["accessToken"]["token"].as_str())
            .unwrap()
            .to_owned()
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
    body
}

pub fn create(emulator: &Emulator) -> String {
    call(emulator, "POST /identities", "").send().identity()
}

/// A new identity and its token.
pub fn create_with_token(emulator: &Emulator) -> (String, String) {
    let answer = call(
        emulator,
        "POST /identities",
        r#"{"createTokenWithScopes":["chat","voip"]}"#,
    )
    .send();
    (answer.identity(), answer.token())
}

pub fn issue(emulator: &Emulator, id: &str) -> Answer {
    call(
        emulator,
        &format!("POST /identities/{id}/:issueAccessToken"),
        r#"{"scopes":["voip"]}"#,
    )
    .send()
}

pub fn revoke(emulator: &Emulator, id: &str) -> Answer {
    call(emulator, &format!("POST /identities/{id}/:revokeAccessTokens"), "").send()
}

pub fn delete(emulator: &Emulator, id: &str) -> Answer {
    call(emulator, &format!("DELETE /identities/{id}"), "").send()
}

/// Waits until it is so, at most [`CEILING`].
pub fn eventually(mut condition: impl FnMut() -> bool) {
    let ceiling = Instant::now() + CEILING;
    while !condition() {
        assert!(Instant::now() < ceiling, "the condition did not come true");
        std::thread::sleep(Duration::from_millis(2));
    }
}
