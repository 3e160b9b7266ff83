//! The commands of README.md, typed by someone who follows it.

use std::fs;

use acs_emulator::Emulator;
use serde_json::Value;

use super::{documents::blocks, path, reader::Reader};

#[tokio::test(flavor = "multi_thread")]
async fn following_the_readme_gives_a_token_within_minutes_and_removes_everything_at_the_end() {
    let emulator = Emulator::start(acs_emulator::Config::default()).unwrap();
    let mut reader = Reader::new(vec![emulator.control().connection_string()]);
    let readme = fs::read_to_string(path("README.md")).unwrap();

    let mut told = String::new();
    for commands in blocks(&readme, "sh") {
        told.push_str(&reader.types(&commands));
        reader.plays_kubelet();
        if commands.contains("communicationuser/alice") {
            assert_eq!(emulator.control().identities().len(), 1, "{told}");
            let identity = emulator.control().identities().remove(0).id;
            assert!(
                told.ends_with(&identity),
                "the last command shows the id {identity}: {told}"
            );
        }
    }
    let left = emulator.control().identities();
    assert!(left.is_empty(), "{left:?}");
    for line in reader.log().lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok(),
            "the Deployment asks for JSON: {line}"
        );
        assert_eq!(line.matches("\"message\":").count(), 1, "each field once: {line}");
    }
}
