//! Who may use the kubelet port. Closed by default: without a client certificate that the CA vouches for and without a
//! reviewed token a request is 401; without an allowing SubjectAccessReview it is 403, for `system:masters` too.
//!
//! Facts: the kubelet's defaults (`--authentication-token-webhook-cache-ttl` 2 min,
//! `--authorization-webhook-cache-authorized-ttl` 5 min, `-unauthorized-ttl` 30 s). Tokens are remembered by their
//! SHA-256 only.

mod access;
mod cache;
mod certificate;
mod reviewer;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use hyper::header::{AUTHORIZATION, HeaderMap};
use tokio::time::Instant;

pub use access::Access;
pub(crate) use access::needed;
pub(crate) use certificate::user_of_certificate;
pub use reviewer::{KubeReviewer, ReviewError, Reviewer, User};

use self::cache::TtlCache;

const TOKEN_TTL: Duration = Duration::from_secs(120);
/// A token that is nobody's now may be somebody's soon.
const UNKNOWN_TOKEN_TTL: Duration = Duration::from_secs(10);
const ALLOWED_TTL: Duration = Duration::from_secs(300);
const DENIED_TTL: Duration = Duration::from_secs(30);
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);
const CACHE_SIZE: usize = 4096;

type TokenHash = [u8; 32];

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// 401.
    Unauthorized,
    /// 403, with what was asked for.
    Forbidden(String),
    /// 500: the API server could not be asked.
    Unknown(String),
}

/// Decides about requests to virtual nodes of one cluster; shared by all their ports.
pub struct Auth {
    reviewer: Option<Arc<dyn Reviewer>>,
    tokens: TtlCache<TokenHash, Option<User>>,
    decisions: TtlCache<(User, String, Access), bool>,
}

impl Auth {
    /// Without a reviewer nothing is ever allowed.
    pub fn new(reviewer: Option<Arc<dyn Reviewer>>) -> Self {
        Self { reviewer, tokens: TtlCache::new(CACHE_SIZE), decisions: TtlCache::new(CACHE_SIZE) }
    }

    /// Who sent a request: the verified certificate's subject, else the bearer token's owner.
    pub(crate) async fn authenticate(
        &self,
        certificate: Option<&User>,
        headers: &HeaderMap,
    ) -> Result<User, Denied> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let (Some(token), Some(reviewer)) = (bearer(headers), &self.reviewer) else {
            return Err(Denied::Unauthorized);
        };
        let hash = hash(token);
        if let Some(known) = self.tokens.get(&hash, Instant::now()) {
            return known.ok_or(Denied::Unauthorized);
        }
        match in_time(reviewer.review_token(token)).await {
            Ok(user) => {
                let ttl = if user.is_some() { TOKEN_TTL } else { UNKNOWN_TOKEN_TTL };
                self.tokens.put(hash, user.clone(), Instant::now(), ttl);
                user.ok_or(Denied::Unauthorized)
            }
            Err(error) => {
                tracing::warn!(%error, "a bearer token could not be reviewed");
                Err(Denied::Unauthorized)
            }
        }
    }

    /// May `user` have one of these accesses to the Node `node`?
    pub(crate) async fn authorize(&self, user: &User, node: &str, accesses: &[Access]) -> Result<(), Denied> {
        for access in accesses {
            match self.allowed(user, node, *access).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, user = user.name, "access could not be reviewed");
                    return Err(Denied::Unknown(describe("Authorization error", user, accesses)));
                }
            }
        }
        Err(Denied::Forbidden(describe("Forbidden", user, accesses)))
    }

    async fn allowed(&self, user: &User, node: &str, access: Access) -> Result<bool, ReviewError> {
        let Some(reviewer) = &self.reviewer else { return Ok(false) };
        let key = (user.clone(), node.to_owned(), access);
        if let Some(known) = self.decisions.get(&key, Instant::now()) {
            return Ok(known);
        }
        let allowed = in_time(reviewer.review_access(user, node, access)).await?;
        let ttl = if allowed { ALLOWED_TTL } else { DENIED_TTL };
        self.decisions.put(key, allowed, Instant::now(), ttl);
        Ok(allowed)
    }
}

async fn in_time<T>(review: impl Future<Output = Result<T, ReviewError>>) -> Result<T, ReviewError> {
    let late = |_| ReviewError("the API server did not answer in time".to_owned());
    tokio::time::timeout(REVIEW_TIMEOUT, review).await.map_err(late)?
}

fn describe(what: &str, user: &User, accesses: &[Access]) -> String {
    let verb = accesses.first().map_or("", |access| access.verb);
    let subresources: Vec<&str> = accesses.iter().map(|access| access.subresource).collect();
    let name = &user.name;
    format!(
        "{what} (user={name}, verb={verb}, resource=nodes, subresource(s)=[{}])\n",
        subresources.join(" ")
    )
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

fn hash(token: &str) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests;
