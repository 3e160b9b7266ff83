//! The smallest JSON merge patch (RFC 7386) from one document to another.

use serde_json::{Map, Value};

/// The patch that makes `to` of `from`: changed and new members, and an explicit null for each removed one.
/// Arrays are replaced whole. `None`: there is nothing to change.
///
/// Documents with a null in them can't be expressed; ours have none.
pub fn merge_diff(from: &Map<String, Value>, to: &Map<String, Value>) -> Option<Map<String, Value>> {
    let removed = from
        .keys()
        .filter(|key| !to.contains_key(*key))
        .map(|key| (key.clone(), Value::Null));
    let changed = to.iter().filter_map(|(key, wanted)| {
        let change = match (from.get(key), wanted) {
            (Some(Value::Object(before)), Value::Object(after)) => merge_diff(before, after).map(Value::Object),
            (Some(before), after) if before == after => None,
            (_, after) => Some(after.clone()),
        };
        change.map(|change| (key.clone(), change))
    });
    let patch: Map<String, Value> = removed.chain(changed).collect();
    (!patch.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What an API server makes of a merge patch.
    fn apply(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
        for (key, change) in patch {
            match (target.get_mut(key), change) {
                (_, Value::Null) => {
                    target.remove(key);
                }
                (Some(Value::Object(inner)), Value::Object(change)) => apply(inner, change),
                _ => {
                    target.insert(key.clone(), change.clone());
                }
            }
        }
    }

    fn document() -> impl Strategy<Value = Map<String, Value>> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            proptest::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        });
        proptest::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn applying_the_patch_gives_the_wanted_document(from in document(), to in document()) {
            let mut got = from.clone();
            if let Some(patch) = merge_diff(&from, &to) {
                apply(&mut got, &patch);
            }
            prop_assert_eq!(got, to);
        }

        #[test]
        fn equal_documents_need_no_patch(document in document()) {
            prop_assert_eq!(merge_diff(&document, &document), None);
        }
    }
}
