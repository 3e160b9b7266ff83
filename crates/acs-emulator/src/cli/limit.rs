//! `--limit OPERATION=NUMBER`.

use std::str::FromStr;
use std::time::Duration;

use acs_emulator::Limits;

/// One flag: which operations, and their limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    operation: LimitedOperation,
    limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LimitedOperation {
    All,
    Create,
    CreateWithToken,
    Issue,
    Revoke,
    Delete,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (operation, limit) = text.split_once('=').ok_or("write for example issue=100 or all=none")?;
        let operation = match operation {
            "all" => LimitedOperation::All,
            "create" => LimitedOperation::Create,
            "create-with-token" => LimitedOperation::CreateWithToken,
            "issue" => LimitedOperation::Issue,
            "revoke" => LimitedOperation::Revoke,
            "delete" => LimitedOperation::Delete,
            other => {
                return Err(format!(
                    "`{other}` is not limited; write create, create-with-token, issue, revoke, delete or all"
                ));
            }
        };
        let limit = match limit {
            "none" => None,
            number => Some(
                number
                    .parse()
                    .map_err(|_| format!("`{number}` is neither a number nor `none`"))?,
            ),
        };
        Ok(Self { operation, limit })
    }
}

/// The documented limits, changed by the flags in their order.
pub(super) fn all(flags: &[Limit], window: Duration, count_refused: bool) -> Limits {
    let mut limits = Limits {
        window,
        count_refused,
        ..Limits::default()
    };
    for Limit { operation, limit } in flags {
        let (all, limit) = (*operation == LimitedOperation::All, *limit);
        for (name, place) in [
            (LimitedOperation::Create, &mut limits.create),
            (LimitedOperation::CreateWithToken, &mut limits.create_with_token),
            (LimitedOperation::Issue, &mut limits.issue),
            (LimitedOperation::Revoke, &mut limits.revoke),
            (LimitedOperation::Delete, &mut limits.delete),
        ] {
            if all || name == *operation {
                *place = limit;
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(flags: &[&str]) -> Limits {
        let flags: Vec<_> = flags.iter().map(|text| text.parse().unwrap()).collect();
        all(&flags, Duration::from_secs(30), true)
    }

    #[test]
    fn without_flags_the_limits_are_the_documented_ones() {
        assert_eq!(limits(&[]), Limits::default());
    }

    #[test]
    fn a_later_flag_wins_over_an_earlier_one() {
        let limits = limits(&["all=none", "issue=7"]);
        assert_eq!((limits.create, limits.issue, limits.delete), (None, Some(7), None));
    }

    #[test]
    fn a_wrong_limit_is_told_what_to_write() {
        for (text, hint) in [
            ("issue", "issue=100"),
            ("get=5", "`get` is not limited; write create"),
            ("issue=many", "`many` is neither a number nor `none`"),
            ("issue=-1", "`-1` is neither"),
        ] {
            let error = text.parse::<Limit>().unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }
}
