//! Where the operator is killed: before or after the n-th request of a kind, as an undisturbed run made it.

use std::{collections::BTreeMap, fmt};

use acs_operator_testbed::{Moment, Passed, Stop};

use crate::subject::{ALICE, BOB, Subject};

/// A mutating request, with what differs from run to run left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request(String);

impl Request {
    /// What a request is to a subject; `None`: it is about another one.
    fn of(passed: &Passed, subject: &Subject) -> Option<Self> {
        let prefix = subject.prefix();
        let words = passed.path.split('/').filter(|segment| !segment.is_empty());
        let words: Vec<_> = if passed.upstream == "ACS" {
            words
                .map(|word| if word.contains("acs") { "<id>" } else { word })
                .collect()
        } else {
            let words: Vec<_> = words.collect();
            // After the namespace, or after the group and version.
            let namespaces = words.iter().position(|word| *word == "namespaces");
            let kind = words.into_iter().skip(namespaces.map_or(3, |at| at + 2));
            let kind: Vec<_> = kind.map(|word| word.strip_prefix(&prefix).ok_or(word)).collect();
            // kind, name, subresource
            if !kind.get(1).is_some_and(Result::is_ok) {
                return None;
            }
            kind.into_iter().map(|word| word.unwrap_or_else(|word| word)).collect()
        };
        Some(Self(format!(
            "{} {} {}",
            passed.upstream,
            passed.method,
            words.join("/")
        )))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The requests that the subject has caused, in order.
pub fn requests(passed: &[Passed], subject: &Subject) -> Vec<Request> {
    passed
        .iter()
        .filter_map(|passed| Request::of(passed, subject))
        .collect()
}

/// Where the operator is killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillPoint {
    /// Around this request.
    pub request: Request,
    /// Counted from 1, when there are several like it.
    pub nth: usize,
    /// Before it is forwarded, or after it was carried out with its answer withheld.
    pub moment: Moment,
}

impl KillPoint {
    /// One before and one after each request.
    pub fn around(requests: &[Request]) -> Vec<Self> {
        let mut seen: BTreeMap<&Request, usize> = BTreeMap::new();
        let mut points = Vec::new();
        for request in requests {
            let nth = seen.entry(request).or_default();
            *nth += 1;
            points.extend([Moment::Before, Moment::After].map(|moment| Self {
                request: request.clone(),
                nth: *nth,
                moment,
            }));
        }
        points
    }

    /// What it has in common with those of other users, and with others like it.
    pub fn kind(&self) -> String {
        let one = Self { nth: 1, ..self.clone() };
        one.to_string().replace(BOB, ALICE)
    }

    /// Whether ACS has made an identity by then that nobody but the operator knows.
    pub fn is_after_create(&self) -> bool {
        self.moment == Moment::After && self.request.0 == "ACS POST identities"
    }

    /// Whether it is there in every run. A connection tells of itself as often as there is something new to tell, which
    /// depends on how fast everything is.
    pub fn is_sure(&self) -> bool {
        self.nth == 1 || !self.is_of_a_connection()
    }

    /// Whether it is a write to a connection.
    pub fn is_of_a_connection(&self) -> bool {
        self.request.0.contains("communicationconnections")
    }

    /// The stop at which the operator is to be killed.
    pub fn stop(&self, subject: Subject) -> Stop {
        let (wanted, mut left) = (self.request.clone(), self.nth);
        Stop::at(self.moment, move |passed| {
            if Request::of(passed, &subject).as_ref() == Some(&wanted) {
                left -= 1;
            }
            left == 0
        })
    }
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment} {}", self.request)?;
        if self.nth > 1 {
            write!(f, " (number {} of its kind)", self.nth)
        } else {
            Ok(())
        }
    }
}
