//! Who gets in, with a reviewer that counts.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use hyper::header::HeaderValue;

use super::*;

#[derive(Default)]
struct Fake {
    tokens: AtomicUsize,
    accesses: AtomicUsize,
}

#[async_trait]
impl Reviewer for Fake {
    async fn review_token(&self, token: &str) -> Result<Option<User>, ReviewError> {
        self.tokens.fetch_add(1, Ordering::Relaxed);
        match token {
            "good" => Ok(Some(user("ann"))),
            "down" => Err(ReviewError("no API server".into())),
            "late" => std::future::pending().await,
            _ => Ok(None),
        }
    }

    async fn review_access(&self, user: &User, node: &str, access: Access) -> Result<bool, ReviewError> {
        self.accesses.fetch_add(1, Ordering::Relaxed);
        match user.name.as_str() {
            "down" => Err(ReviewError("no API server".into())),
            "ann" => Ok(node == "vn-1" && access.subresource == "proxy"),
            _ => Ok(false),
        }
    }
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), ..User::default() }
}

fn auth() -> (Arc<Fake>, Auth) {
    let fake = Arc::new(Fake::default());
    (Arc::clone(&fake), Auth::new(Some(fake)))
}

fn headers(authorization: Option<&'static str>) -> HeaderMap {
    authorization.map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).into_iter().collect()
}

const fn access(subresource: &'static str) -> Access {
    Access { verb: "get", subresource }
}

#[tokio::test(start_paused = true)]
async fn authentication() {
    let certified = user("kube-apiserver");
    let cases = [
        (None, None, Err(Denied::Unauthorized)),
        (Some(&certified), None, Ok(certified.clone())),
        (Some(&certified), Some("Bearer bad"), Ok(certified.clone())),
        (None, Some("Bearer good"), Ok(user("ann"))),
        (None, Some("bearer good"), Ok(user("ann"))),
        (None, Some("Bearer bad"), Err(Denied::Unauthorized)),
        (None, Some("Bearer "), Err(Denied::Unauthorized)),
        (None, Some("Basic good"), Err(Denied::Unauthorized)),
        (None, Some("Bearer down"), Err(Denied::Unauthorized)),
        (None, Some("Bearer late"), Err(Denied::Unauthorized)),
    ];
    let (_, auth) = auth();
    for (certificate, authorization, expected) in cases {
        assert_eq!(
            auth.authenticate(certificate, &headers(authorization)).await,
            expected,
            "{authorization:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn closed_by_default() {
    let auth = Auth::new(None);
    assert_eq!(auth.authenticate(None, &headers(Some("Bearer good"))).await, Err(Denied::Unauthorized));
    let masters = User { groups: vec!["system:masters".into()], ..user("root") };
    assert!(matches!(auth.authorize(&masters, "vn-1", &[access("proxy")]).await, Err(Denied::Forbidden(_))));
}

#[tokio::test(start_paused = true)]
async fn authorization() {
    let (_, auth) = auth();
    let fine = [access("pods"), access("proxy")];
    assert_eq!(auth.authorize(&user("ann"), "vn-1", &fine).await, Ok(()), "the second will do");
    let forbidden = "Forbidden (user=bob, verb=get, resource=nodes, subresource(s)=[pods proxy])\n";
    assert_eq!(auth.authorize(&user("bob"), "vn-1", &fine).await, Err(Denied::Forbidden(forbidden.into())));
    assert!(
        matches!(auth.authorize(&user("ann"), "vn-2", &fine).await, Err(Denied::Forbidden(_))),
        "another node"
    );
    let masters = User { groups: vec!["system:masters".into()], ..user("root") };
    assert!(
        matches!(auth.authorize(&masters, "vn-1", &fine).await, Err(Denied::Forbidden(_))),
        "asked like everyone"
    );
    assert!(matches!(auth.authorize(&user("down"), "vn-1", &fine).await, Err(Denied::Unknown(_))));
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_for_a_while() {
    let (fake, auth) = auth();
    let tokens = || fake.tokens.load(Ordering::Relaxed);
    let accesses = || fake.accesses.load(Ordering::Relaxed);
    let ask = async |seconds: u64| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let user = auth.authenticate(None, &headers(Some("Bearer good"))).await.unwrap();
        auth.authorize(&user, "vn-1", &[access("proxy")]).await.unwrap();
        let _ = auth.authorize(&user, "vn-1", &[access("log")]).await;
        (tokens(), accesses())
    };
    assert_eq!(ask(0).await, (1, 2));
    assert_eq!(ask(29).await, (1, 2));
    assert_eq!(ask(1).await, (1, 3), "a refusal is asked again after 30 s");
    assert_eq!(ask(90).await, (2, 4), "a token after 2 min");
    assert_eq!(ask(180).await, (3, 6), "a permission after 5 min");
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_kept() {
    let (fake, auth) = auth();
    for asked in 1..4 {
        assert!(auth.authenticate(None, &headers(Some("Bearer down"))).await.is_err());
        assert_eq!(fake.tokens.load(Ordering::Relaxed), asked);
    }
}
