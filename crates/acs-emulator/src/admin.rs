//! The admin API: JSON over HTTP, without authentication, on loopback unless told otherwise.

use crate::control::Control;

/// Serves until it is dropped; without a listener it does nothing.
pub(crate) async fn serve(listener: Option<tokio::net::TcpListener>, _control: Control) {
    if listener.is_none() {
        std::future::pending::<()>().await;
    }
}
