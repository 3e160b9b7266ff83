//! Starting and stopping.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use acs_emulator::{AccessKey, Config, Emulator, Fault, KeySlot, StartError, Tls};

use crate::client::{CEILING, call, create, eventually, start};

fn refusal(config: Config) -> String {
    Emulator::start(config).err().expect("it started").to_string()
}

#[test]
fn a_taken_address_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = refusal(Config {
        listen: address,
        ..Config::default()
    });
    assert!(
        error.contains(&format!("cannot listen on {address} for the service")),
        "{error}"
    );
    assert!(error.contains("port 0 takes any free one"), "{error}");
}

#[test]
fn the_admin_api_keeps_to_loopback_unless_it_is_told_otherwise() {
    let config = || Config {
        admin_listen: Some("0.0.0.0:0".parse().unwrap()),
        ..Config::default()
    };
    assert!(refusal(config()).contains("--admin-remote"));
    assert!(
        Emulator::start(Config {
            admin_remote: true,
            ..config()
        })
        .is_ok()
    );
}

#[test]
fn an_endpoint_that_cannot_stand_in_a_connection_string_is_refused() {
    let endpoint = "https://me:hush@contoso".parse().unwrap();
    let error = refusal(Config {
        endpoint: Some(endpoint),
        ..Config::default()
    });
    assert!(
        error.contains("must not carry a user or password") && !error.contains("hush"),
        "{error}"
    );
}

#[test]
fn an_unwritable_place_for_the_authority_is_named() {
    let tls = Tls {
        ca_out: Some("/nowhere/at/all/ca.pem".into()),
        names: Vec::new(),
    };
    let error = refusal(Config {
        tls: Some(tls),
        ..Config::default()
    });
    assert!(error.contains("/nowhere/at/all/ca.pem"), "{error}");
}

#[test]
fn serving_no_version_at_all_is_refused() {
    let result = Emulator::start(Config {
        api_versions: Vec::new(),
        ..Config::default()
    });
    assert!(matches!(result, Err(StartError::NoApiVersion)));
}

#[test]
fn the_connection_string_has_the_portals_form() {
    let key = AccessKey::parse("a2V5").unwrap();
    let endpoint = "http://acs-emulator.acs-system.svc:8080".parse().unwrap();
    let config = Config {
        primary_key: Some(key),
        endpoint: Some(endpoint),
        ..Config::default()
    };
    let emulator = Emulator::start(config).unwrap();
    assert_eq!(
        emulator.connection_string(),
        "endpoint=http://acs-emulator.acs-system.svc:8080/;accesskey=a2V5"
    );
    assert_ne!(
        emulator.connection_string_with(KeySlot::Secondary),
        emulator.connection_string()
    );
}

#[test]
fn a_dropped_emulator_hangs_up_on_everyone_and_frees_its_port() {
    // An address of its own, so that no other test takes the port meanwhile.
    let emulator = Emulator::start(Config {
        listen: "127.0.77.1:0".parse().unwrap(),
        ..Config::default()
    })
    .unwrap();
    let address = emulator.address();
    emulator.inject(Fault::delay(Duration::from_hours(1)));
    std::thread::scope(|scope| {
        let waiting = scope.spawn({
            let request = call(&emulator, "POST /identities", "");
            move || request.try_send()
        });
        while emulator.faults()[0].hits == 0 {
            std::thread::yield_now();
        }
        drop(emulator);
        assert!(waiting.join().unwrap().is_none());
    });
    // Not at once: a program that another test starts has a copy of all sockets until it runs.
    eventually(|| TcpStream::connect(address).is_err());
}

#[tokio::test(start_paused = true)]
async fn it_serves_tests_whose_time_is_paused() {
    let emulator = start();
    assert!(create(&emulator).starts_with("8:acs:"));
}

#[tokio::test]
async fn calls_can_be_waited_for() {
    let emulator = start();
    let control = emulator.control().clone();
    let request = call(&emulator, "POST /identities", "");
    let sending = std::thread::spawn(move || {
        request.send();
        request.send();
    });
    let calls = control
        .wait_for_calls(0, CEILING, |calls| calls.len() == 2)
        .await
        .unwrap();
    assert!(calls.iter().all(|call| call.status == Some(201)));
    sending.join().unwrap();

    let error = emulator
        .wait_for_calls(2, Duration::from_millis(10), |calls| !calls.is_empty())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("did not come within 10ms"), "{error}");
}
