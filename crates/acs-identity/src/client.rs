//! The client: one method for each operation.

mod builder;
pub(crate) mod call;

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

pub use builder::ClientBuilder;
use call::Call;

use crate::{
    AccessToken, ApiVersion, CreateIdentity, Credential, Deleted, Endpoint, Error, FailureClass, Guard, Identity,
    IdentityDetail, IdentityId, Observer, RetryPolicy, Scope, Timeouts, TokenLifetime, Transport, wire,
};

/// A client of the Identity API of one resource. Cheap to clone.
///
/// ```no_run
/// use acs_identity::{Client, ConnectionString, CreateIdentity, InsecureEndpoints, Scope};
/// use secrecy::ExposeSecret as _;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let text = std::env::var("COMMUNICATION_SERVICES_CONNECTION_STRING")?;
/// let ConnectionString { endpoint, access_key } = ConnectionString::parse(&text, InsecureEndpoints::Refuse)?;
/// let client = Client::builder(endpoint, access_key.into()).build()?;
///
/// let identity = client.create_identity(&CreateIdentity::with_scopes([Scope::Chat, Scope::Voip])).await?;
/// println!("created {}", identity.id);
///
/// let token = client.issue_token(&identity.id, &[Scope::Chat], None).await?;
/// hand_over(token.token.expose_secret());
///
/// client.revoke_tokens(&identity.id).await?;
/// client.delete_identity(&identity.id).await?;
/// # Ok(())
/// # }
/// # fn hand_over(_: &str) {}
/// ```
#[derive(Clone)]
pub struct Client(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    endpoint: Endpoint,
    credential: Credential,
    api_version: ApiVersion,
    timeouts: Timeouts,
    retry: RetryPolicy,
    transport: Transport,
    observer: Option<Arc<dyn Observer>>,
    guard: Option<Arc<dyn Guard>>,
}

impl Client {
    /// Settings with their defaults.
    pub fn builder(endpoint: Endpoint, credential: Credential) -> ClientBuilder {
        ClientBuilder::new(endpoint, credential)
    }

    /// The same client with another credential, on the same connections: for keys that were rotated.
    #[must_use]
    pub fn with_credential(&self, credential: Credential) -> Self {
        Self(Arc::new(Settings {
            credential,
            ..Settings::clone(&self.0)
        }))
    }

    /// The same client without its [`Guard`]: for the one call that has to be made nevertheless.
    #[must_use]
    pub fn unguarded(&self) -> Self {
        Self(Arc::new(Settings {
            guard: None,
            ..Settings::clone(&self.0)
        }))
    }

    /// The resource's endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// The API version that is spoken.
    pub fn api_version(&self) -> &ApiVersion {
        &self.0.api_version
    }

    /// The credential in use.
    pub fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// Creates an identity, with a first token where scopes are given.
    ///
    /// # Guarantees
    /// Sent once, whatever the retry policy: the API has no way to tell a repeat from a second create. The exception
    /// is a [`custom_id`](CreateIdentity::custom_id), with which the caller may repeat it.
    ///
    /// # Caveats
    /// A future that is dropped before it ends leaves the outcome unknown. Run it on a task of its own where the
    /// caller may be cancelled.
    ///
    /// # Errors
    /// [`FailureClass::InDoubt`] unless it is certain that nothing was created. [`FailureClass::Rejected`], without a
    /// call, for a custom id under an API version that has none.
    pub async fn create_identity(&self, create: &CreateIdentity) -> Result<Identity, Error> {
        let call = Call::create(create)?;
        if create.custom_id.is_some() && !self.0.api_version.has_custom_id() {
            return Err(call
                .failed()
                .invalid("customId needs API version 2025-03-02-preview; set it, or leave customId out"));
        }
        self.0.run(&call, wire::read_identity).await
    }

    /// Issues a token. Earlier tokens stay valid until they expire or are revoked.
    ///
    /// # Errors
    /// [`Error::class`] says what to do; [`FailureClass::Rejected`], without a call, when `scopes` is empty.
    pub async fn issue_token(
        &self,
        id: &IdentityId,
        scopes: &[Scope],
        lifetime: Option<TokenLifetime>,
    ) -> Result<AccessToken, Error> {
        let call = Call::issue(id, scopes, lifetime)?;
        if scopes.is_empty() {
            return Err(call.failed().invalid("a token needs at least one scope"));
        }
        self.0.run(&call, wire::read_token).await
    }

    /// Revokes all tokens of an identity; there is no revoking of one. Microsoft documents up to 15 minutes until it
    /// has taken effect everywhere. Whether a token issued within the same second is revoked too is undocumented.
    ///
    /// # Errors
    /// [`Error::class`] says what to do.
    pub async fn revoke_tokens(&self, id: &IdentityId) -> Result<(), Error> {
        self.0.run(&Call::revoke(id), |_| Ok(())).await
    }

    /// Deletes an identity and, with it, its tokens and chat data. One that is not there is a success too.
    ///
    /// # Errors
    /// [`Error::class`] says what to do. [`FailureClass::NotOwned`] is an error and not a deletion: the identity may
    /// well exist, in another resource.
    pub async fn delete_identity(&self, id: &IdentityId) -> Result<Deleted, Error> {
        match self.0.run(&Call::delete(id), |_| Ok(())).await {
            Ok(()) => Ok(Deleted::Deleted),
            Err(error) if error.class() == FailureClass::Gone => Ok(Deleted::WasGone),
            Err(error) => Err(error),
        }
    }

    /// Proves that the service accepts the credential. Nothing is created and nothing changes: it revokes the tokens of
    /// an id that no resource owns.
    ///
    /// With a good credential the service answers 401 `IdentityNotOwned` (so in the recordings of the official SDKs, for
    /// the zero guid too), with a bad one another 401, or 403. So each success is a 401 in the resource's logs in Azure,
    /// and counts against the limit of revocations. An observer sees that 401 as well.
    ///
    /// # Errors
    /// [`FailureClass::CredentialRejected`] when the credential is refused, or the clock is off (see
    /// [`Error::clock_skew`]). Every other failure says nothing about the credential, a success that is not the 204 of a
    /// revocation included: some box on the way has answered.
    pub async fn probe(&self) -> Result<(), Error> {
        match self.0.run(&Call::probe(), |_| Ok(())).await {
            Err(error) if matches!(error.class(), FailureClass::NotOwned | FailureClass::Gone) => Ok(()),
            outcome => outcome,
        }
    }

    /// Looks an identity up. Only [`ApiVersion::PREVIEW_2025_03_02`] can.
    ///
    /// # Errors
    /// [`Error::class`] says what to do; [`FailureClass::Rejected`], without a call, under another API version.
    pub async fn get_identity(&self, id: &IdentityId) -> Result<IdentityDetail, Error> {
        let call = Call::get(id);
        if !self.0.api_version.has_custom_id() {
            return Err(call.failed().invalid("that needs API version 2025-03-02-preview"));
        }
        self.0.run(&call, wire::read_detail).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.0.endpoint)
            .field("credential", self.0.credential.fingerprint())
            .field("api_version", &self.0.api_version)
            .finish_non_exhaustive()
    }
}

/// A new id for a request whose caller did not choose one.
fn new_request_id() -> Uuid {
    Uuid::new_v4()
}
