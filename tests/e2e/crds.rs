//! What the API server makes of the definitions: which manifests it takes, what it says of those it refuses, what it shows.

mod accepted;
mod cluster;
mod connection_mistakes;
mod display;
mod stored;
mod updates;
mod user_mistakes;
