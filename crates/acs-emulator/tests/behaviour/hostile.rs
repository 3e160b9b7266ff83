//! Input that nobody should send. The emulator answers or hangs up, and goes on.

use acs_emulator::Emulator;

use crate::client::{Answer, call, create, send_raw, start};

fn still_serves(emulator: &Emulator) {
    assert_eq!(call(emulator, "POST /identities", "").send().status, 201);
}

#[test]
fn bytes_that_are_not_http_are_refused() {
    let emulator = start();
    for bytes in [
        &b"\r\n\r\n"[..],
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /identities HTTP/9.9\r\n\r\n",
        b"POST /identities HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /identities HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /identities HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /\xff\xfe HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        let mut padded = bytes.to_vec();
        padded.extend_from_slice(b"\r\n\r\n");
        if let Some(answer) = Answer::read(&send_raw_and_hang_up(&emulator, &padded)) {
            assert!(
                (400..500).contains(&answer.status),
                "{:?} got {}",
                String::from_utf8_lossy(bytes),
                answer.status
            );
        }
    }
    still_serves(&emulator);
    assert_eq!(emulator.identities().len(), 1);
}

#[test]
fn odd_request_lines_and_headers_get_an_error_answer() {
    let emulator = start();
    for head in [
        "GET / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT contoso:443 HTTP/1.1",
        "POST http://contoso/identities?api-version=2023-10-01 HTTP/1.1",
        "POST /identities?%%%=&api-version=%FF%FE HTTP/1.1",
        "POST /identities/%00%ff/:issueAccessToken HTTP/1.1",
        "DELETE /identities/../../etc/passwd HTTP/1.1",
        "BREW /identities HTTP/1.1",
        "POST /identities HTTP/1.1\r\nAuthorization: HMAC-SHA256 SignedHeaders=&Signature=",
        "POST /identities HTTP/1.1\r\nAuthorization: HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature====",
        "POST /identities HTTP/1.1\r\nAuthorization: \u{202e}\u{1f600}",
        "POST /identities HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b",
        "POST /identities HTTP/1.1\r\nx-ms-client-request-id: \u{e4}",
    ] {
        let request = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = Answer::read(&send_raw(emulator.address(), request.as_bytes())).expect(head);
        assert!((400..500).contains(&answer.status), "{head} got {}", answer.status);
    }
    still_serves(&emulator);
    assert_eq!(emulator.identities().len(), 1);
}

#[test]
fn signed_bodies_of_every_wrong_kind_are_validation_errors() {
    let emulator = start();
    let id = create(&emulator);
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"scopes":["{}"]}}"#, "x".repeat(500_000));
    let many = format!(r#"{{"scopes":[{}]}}"#, vec![r#""pstn""#; 50_000].join(","));
    for body in [
        "null",
        "0",
        "\"\"",
        "{",
        "nul",
        "{\"scopes\":{}}",
        "{\"scopes\":[null]}",
        "{\"scopes\":[1]}",
        "{\"scopes\":[\"chat\"],\"expiresInMinutes\":1e99}",
        "{\"scopes\":[\"chat\"],\"expiresInMinutes\":-1}",
        "{\"scopes\":[\"chat\"],\"expiresInMinutes\":60.5}",
        "{\"scopes\":[\"\\ud800\"]}",
        &deep,
        &long,
        &many,
    ] {
        let answer = call(&emulator, &format!("POST /identities/{id}/:issueAccessToken"), body).send();
        assert_eq!(
            answer.verdict(),
            "400 ValidationError",
            "{}",
            body.chars().take(40).collect::<String>()
        );
    }
    assert!(emulator.tokens().is_empty());
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_refused() {
    let emulator = start();
    let body = format!("{{\"x\":\"{}\"}}", "a".repeat(2 * 1024 * 1024));
    // The connection may be reset before the answer is read.
    if let Some(answer) = call(&emulator, "POST /identities", &body).try_send() {
        assert_eq!(answer.verdict(), "413 PayloadTooLarge");
    }
    still_serves(&emulator);
    assert_eq!(emulator.identities().len(), 1);
}

#[test]
fn long_texts_of_a_client_are_cut_in_the_journal() {
    let emulator = start();
    let line = format!("DELETE /identities/{}", "ä".repeat(2000).replace('ä', "%C3%A4"));
    assert_eq!(
        call(&emulator, &line, "")
            .with("x-ms-client-request-id", &"r".repeat(5000))
            .send()
            .status,
        401
    );
    let call = &emulator.calls()[0];
    assert!(call.path.len() <= 256 && call.identity.as_ref().unwrap().chars().count() <= 256);
    assert_eq!(call.request_id, None);
}

#[test]
fn many_clients_at_once_are_all_served() {
    let emulator = start();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..10).for_each(|_| still_serves(&emulator)));
        }
    });
    assert_eq!(emulator.identities().len(), 160);
    let seqs: Vec<_> = emulator.calls().iter().map(|call| call.seq).collect();
    assert_eq!(seqs, (1..=160).collect::<Vec<_>>());
}

/// Half-closes after sending, so that a server which waits for more does not wait long.
fn send_raw_and_hang_up(emulator: &Emulator, bytes: &[u8]) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(emulator.address()).unwrap();
    stream.set_read_timeout(Some(crate::client::CEILING)).unwrap();
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}
