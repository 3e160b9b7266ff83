//! The parsers of small things: no text makes them panic, and what they accept reads back the same.

use acs_identity::{AccessKey, ApiVersion, CustomId, Endpoint, IdentityId, InsecureEndpoints, Scope};
use proptest::prelude::*;

/// Like an endpoint, but not quite.
fn endpoint_like() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[a-z0-9.-]{0,12}",
        prop::sample::select(vec![
            "https://", "http:", "//", "/", "@", ":", "443", "?", "#", "[::1]", "%2e", "ß", "。", "\\", "\t"
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| format!("https://{}", pieces.concat()))
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = AccessKey::parse(&text);
        let _ = ApiVersion::parse(&text);
        let _ = CustomId::parse(text.as_str());
        let _ = IdentityId::parse(&text);
        let _ = text.parse::<Scope>();
        let _ = Endpoint::parse(&text, InsecureEndpoints::Allow);
        let _ = Endpoint::parse(&format!("https://{text}"), InsecureEndpoints::Allow);
    }

    #[test]
    fn an_accepted_endpoint_is_only_an_origin_and_reads_back_the_same(text in endpoint_like()) {
        if let Ok(endpoint) = Endpoint::parse(&text, InsecureEndpoints::Refuse) {
            let origin = endpoint.as_str();
            prop_assert_eq!(format!("https://{}", endpoint.authority()), origin);
            prop_assert!(endpoint.authority().starts_with(endpoint.host()));
            prop_assert!(!endpoint.authority().contains(['/', '@', '?', '#', '\\', '%']), "{}", origin);
            prop_assert_eq!(Endpoint::parse(origin, InsecureEndpoints::Refuse).unwrap(), endpoint);
        }
    }

    #[test]
    fn an_accepted_id_needs_no_escaping_but_of_its_colons(text in "8:(acs|dod-acs|spool):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[_.]\\PC{0,6}") {
        if let Ok(id) = IdentityId::parse(&text) {
            prop_assert_eq!(id.as_str(), &text);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b)));
        }
    }

    #[test]
    fn an_access_key_shows_nothing_of_itself(bytes in prop::collection::vec(any::<u8>(), 12..80)) {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let key = AccessKey::parse(&text).unwrap();
        let shown = format!("{key:?}");
        prop_assert!(!shown.contains(&text[..8]), "{}", shown);
    }
}
