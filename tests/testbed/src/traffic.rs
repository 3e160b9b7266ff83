//! The operator's requests: they are counted, and some are stopped, answered otherwise or held up.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::http::{Method, Uri};
use tokio::{sync::watch, time::timeout};

use crate::intercept::{Hold, Interception, Intercepts, Matcher, Moment, Reply};

/// A request that is stopped for good: it never gets an answer.
pub struct Stop {
    moment: Moment,
    is_it: Box<dyn FnMut(&Passed) -> bool + Send>,
}

impl Stop {
    /// The first request that `is_it` recognises is not forwarded, or is carried out and its answer withheld.
    pub fn at(moment: Moment, is_it: impl FnMut(&Passed) -> bool + Send + 'static) -> Self {
        let is_it = Box::new(is_it);
        Self { moment, is_it }
    }
}

/// A request of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// `ACS` or `Kubernetes`.
    pub upstream: &'static str,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
}

/// What the gates of one world share: one numbering over all upstreams.
#[derive(Clone)]
pub struct Traffic(Arc<Shared>);

struct Shared {
    state: Mutex<Counted>,
    /// All that was written to the API server but Secrets: statuses, annotations, events.
    told: Mutex<String>,
    stopped: watch::Sender<bool>,
}

#[derive(Default)]
struct Counted {
    passed: Vec<Passed>,
    stop: Option<Stop>,
    intercepts: Intercepts,
    requests: usize,
    page: Option<usize>,
}

/// What is done with one request, besides counting it.
#[derive(Default)]
pub(crate) struct Treatment {
    pub(crate) stop: Option<Moment>,
    pub(crate) interception: Option<Interception>,
}

impl Passed {
    /// Whether it is to the status of a user.
    pub fn is_status_of_user(&self) -> bool {
        self.path.contains("/communicationusers/") && self.path.ends_with("/status")
    }
}

impl Traffic {
    /// Nothing counted, nothing stopped.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            told: Mutex::default(),
            stopped: watch::Sender::new(false),
        }))
    }

    /// The mutating requests since the last [`reset`](Self::reset), events, leases and probes of connections left out.
    pub fn passed(&self) -> Vec<Passed> {
        self.lock().passed.clone()
    }

    /// Counts anew, stops the request that `stop` names, and lets all others pass.
    pub fn reset(&self, stop: Option<Stop>) {
        *self.lock() = Counted {
            stop,
            ..Counted::default()
        };
        self.0.stopped.send_replace(false);
    }

    /// Waits until the request is stopped.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn stopped(&self, within: Duration) -> Result<()> {
        let mut stopped = self.0.stopped.subscribe();
        timeout(within, stopped.wait_for(|stopped| *stopped))
            .await
            .with_context(|| {
                format!(
                    "the request to stop did not come within {within:?}: {:?}",
                    self.passed()
                )
            })??;
        Ok(())
    }

    /// How many requests of any kind came since the last [`reset`](Self::reset), leases and probes of connections left out.
    pub fn requests(&self) -> usize {
        self.lock().requests
    }

    /// Replies to the next `times` mutating requests that match.
    pub fn intercept(&self, matcher: impl Fn(&Passed) -> bool + Send + 'static, times: usize, reply: Reply) {
        self.lock().intercepts.reply(matcher, false, times, reply);
    }

    /// Replies to the next `times` requests of any kind that match: reads, events and leases too. The path of a read has its query.
    pub fn disturb(&self, matcher: impl Fn(&Passed) -> bool + Send + 'static, times: usize, reply: Reply) {
        self.lock().intercepts.reply(matcher, true, times, reply);
    }

    /// How many requests were replied to in these two ways, since the last [`reset`](Self::reset).
    pub fn intercepted(&self) -> usize {
        self.lock().intercepts.replied()
    }

    /// Replies to no request any more. The count of those that were replied to stays.
    pub fn let_pass(&self) {
        self.lock().intercepts.let_pass();
    }

    /// Lists come in pages of so many objects, until the next [`reset`](Self::reset).
    pub fn pages_of(&self, objects: usize) {
        self.lock().page = Some(objects);
    }

    /// The same address, with the size of a page that is chosen.
    pub(crate) fn paged(&self, uri: Uri) -> Uri {
        let Some(objects) = self.lock().page else { return uri };
        let address = uri.to_string();
        let Some((before, rest)) = address.split_once("limit=") else {
            return uri;
        };
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}limit={objects}{rest}").parse().unwrap_or(uri)
    }

    /// Holds up the next mutating request that matches, before it is forwarded or before its answer is.
    pub fn hold(&self, moment: Moment, matcher: Matcher) -> Hold {
        self.lock().intercepts.hold(moment, matcher)
    }

    /// All that the operator wrote to the API server but Secrets, since the beginning: statuses, annotations, events.
    pub fn told(&self) -> String {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, body: &[u8]) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push_str(&String::from_utf8_lossy(body));
        told.push('\n');
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a request, and counts one that matters; returns what is to be done with it.
    pub(crate) fn meet(&self, request: Passed) -> Treatment {
        let matters = matters(&request);
        let mut counted = self.lock();
        counted.requests += usize::from(!is_by_the_way(&request));
        let interception = counted.intercepts.meet(&request, matters);
        if !matters {
            return Treatment {
                stop: None,
                interception,
            };
        }
        let stop = counted.stop.take_if(|stop| (stop.is_it)(&request));
        counted.passed.push(request);
        Treatment {
            stop: stop.map(|stop| stop.moment),
            interception,
        }
    }

    /// Tells the test, and never returns.
    pub(crate) async fn stop<T>(&self) -> T {
        self.0.stopped.send_replace(true);
        std::future::pending().await
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a call to ACS is about the identity of nobody, by which a connection proves itself.
pub(crate) fn is_probe(path: &str) -> bool {
    path.contains("acs%3A00000000-0000-0000-0000-000000000000_")
}

/// Whether it happens at its own times, whatever there is to do.
fn is_by_the_way(request: &Passed) -> bool {
    request.path.contains("/leases") || is_probe(&request.path)
}

/// Whether it is counted: it changes something, and follows from what there is to do.
fn matters(request: &Passed) -> bool {
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let aside = ["/events", "authorization.k8s.io"];
    !reads && !is_by_the_way(request) && !aside.iter().any(|part| request.path.contains(part))
}
