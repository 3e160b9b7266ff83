//! Enumerations that a manifest writes as text: closed when written, open when read.

/// Declares an enumeration of texts. Its schema accepts the listed texts only; reading keeps any other text in `Unknown`,
/// so that one object that was stored under another schema does not make the whole list unreadable.
macro_rules! text_enum {
    (
        $(#[$attribute:meta])+
        $name:ident { $($(#[$variant_attribute:meta])+ $variant:ident = $text:literal,)+ }
        $(#[doc = $unknown_doc:literal])+
        else Unknown
    ) => {
        $(#[$attribute])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_attribute])+ $variant,)+
            $(#[doc = $unknown_doc])+
            Unknown(String),
        }

        impl $name {
            /// The text as manifests write it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)+
                    _ => Self::Unknown(text),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
        }
    };
}

pub(super) use text_enum;

#[cfg(test)]
mod tests {
    use crate::api::Scope;

    #[test]
    fn a_text_that_the_schema_no_longer_knows_is_kept_as_it_was_written() {
        let scopes: Vec<Scope> = serde_json::from_str(r#"["chat.join", "video"]"#).unwrap();
        assert_eq!(scopes, [Scope::ChatJoin, Scope::Unknown("video".to_owned())]);
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["chat.join","video"]"#);
    }
}
