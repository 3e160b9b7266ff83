//! The commands of docs/connections.md, typed by someone who follows it.

use std::{fs, time::Duration};

use acs_emulator::{AccessKey, Config, Control, Emulator, KeySlot, TokenState};
use acs_operator_testbed::CEILING;
use tokio::time::{Instant, sleep};

use super::{documents::blocks, path, reader::Reader};

/// What is done in Azure and not in the cluster. The test plays Azure.
const IN_AZURE: &str =
    "az communication regenerate-key --name contoso --resource-group contact-center --key-type primary\n";

#[tokio::test(flavor = "multi_thread")]
async fn following_the_page_of_connections_rotates_a_key_without_a_dead_token_and_leaves_nothing_behind() {
    let emulator = Emulator::start(Config::default()).unwrap();
    let acs = emulator.control();
    let mut reader = Reader::new(connection_strings(acs));
    reader.types("kubectl apply -k deploy");
    reader.plays_kubelet();
    let page = fs::read_to_string(path("docs/connections.md")).unwrap();

    let mut regenerated = false;
    for commands in blocks(&page, "sh") {
        if commands == IN_AZURE {
            assert_eq!(made_by(acs, &agents_token(&reader)), Some(KeySlot::Secondary));
            acs.replace_key(KeySlot::Primary, AccessKey::generate().unwrap());
            reader.pasted = connection_strings(acs);
            regenerated = true;
            continue;
        }
        let token = regenerated.then(|| agents_token(&reader));
        reader.types(&commands);
        reader.plays_kubelet();
        if commands.contains("remove") {
            until(&reader, "no token of the other key", |reader| {
                made_by(acs, &agents_token(reader)) == Some(KeySlot::Secondary)
            })
            .await;
        }
        if commands.contains("tokensValidFrom") {
            let revoked = token.as_ref().unwrap();
            until(&reader, "the leaked token is good", |reader| {
                acs.token_state(revoked) == TokenState::Revoked && is_good(acs, &agents_token(reader))
            })
            .await;
        } else if commands.contains("contoso") {
            assert!(is_good(acs, &agents_token(&reader)), "after {commands}");
        }
    }
    assert!(regenerated, "the page says {IN_AZURE}");
    let left = acs.identities();
    assert!(left.is_empty(), "{left:?}");
    let namespaces = reader.types("kubectl get namespaces -o name");
    assert!(!namespaces.contains("contact-center"), "{namespaces}");
}

fn connection_strings(acs: &Control) -> Vec<String> {
    [KeySlot::Primary, KeySlot::Secondary]
        .map(|slot| acs.connection_string_with(slot))
        .into()
}

/// The token of the page's user.
fn agents_token(reader: &Reader) -> String {
    reader.types("kubectl -n contact-center get secret agent-1 -o jsonpath='{.data.token}' | base64 -d")
}

fn is_good(acs: &Control, token: &str) -> bool {
    acs.token_state(token) == TokenState::Valid
}

/// Which key it was asked for with.
fn made_by(acs: &Control, token: &str) -> Option<KeySlot> {
    acs.token(token).map(|issued| issued.asked_with)
}

async fn until(reader: &Reader, otherwise: &str, is_so: impl Fn(&Reader) -> bool) {
    let deadline = Instant::now() + CEILING;
    while !is_so(reader) {
        assert!(Instant::now() < deadline, "{otherwise}\n{}", reader.log());
        sleep(Duration::from_millis(100)).await;
    }
}
