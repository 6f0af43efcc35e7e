//! Who may do what, through the door.

use reqwest::Method;

use crate::port::{Authority, port, with_reviewer};

#[tokio::test]
async fn tokens_and_what_they_may_do() {
    let port = port().await;
    let client = port.http(None);
    let cases = [
        (None, Method::GET, "/healthz", 401),
        (None, Method::GET, "/no/such/path", 401),
        (Some("stranger"), Method::GET, "/healthz", 401),
        (Some("nobody"), Method::GET, "/healthz", 403),
        (Some("nobody"), Method::GET, "/no/such/path", 403),
        (Some("admin"), Method::GET, "/healthz", 200),
        (Some("admin"), Method::GET, "/no/such/path", 404),
        (Some("admin"), Method::POST, "/pods", 405),
        (Some("admin"), Method::DELETE, "/exec/shop/web/app", 405),
        (Some("admin"), Method::GET, "/configz", 200),
        (Some("admin"), Method::GET, "/metrics", 404),
        (Some("admin"), Method::GET, "/stats/summary", 200),
        (Some("admin"), Method::GET, "/metrics/resource", 200),
        (Some("admin"), Method::GET, "/metrics/cadvisor", 404),
        (Some("admin"), Method::POST, "/stats/summary", 405),
        (Some("stats-reader"), Method::GET, "/stats/summary", 200),
        (Some("stats-reader"), Method::GET, "/metrics/resource", 403),
        (Some("metrics-reader"), Method::GET, "/metrics/resource", 200),
        (Some("metrics-reader"), Method::GET, "/stats/summary", 403),
        (Some("pods-reader"), Method::GET, "/stats/summary", 403),
        (None, Method::GET, "/metrics/resource", 401),
        (Some("admin"), Method::POST, "/attach/shop/web/app?output=1", 400),
        (Some("admin"), Method::POST, "/attach/shop/web", 404),
        (Some("admin"), Method::POST, "/portForward/shop/web", 400),
        (Some("admin"), Method::POST, "/portForward/shop/other", 404),
        (Some("admin"), Method::POST, "/portForward/shop/web/u-2", 404),
        (Some("pods-reader"), Method::GET, "/pods", 200),
        (Some("pods-reader"), Method::GET, "/runningpods/", 200),
        (Some("pods-reader"), Method::GET, "/healthz", 403),
        (Some("pods-reader"), Method::GET, "/containerLogs/shop/web/app", 403),
        (Some("getter"), Method::GET, "/containerLogs/shop/web/app", 200),
        // A WebSocket upgrade is a GET: reading rights must not run commands.
        (Some("getter"), Method::GET, "/exec/shop/web/app?command=print&command=0&output=1", 403),
        (Some("getter"), Method::GET, "/attach/shop/web/app", 403),
        (Some("getter"), Method::GET, "/portForward/shop/web", 403),
        (Some("getter"), Method::GET, "/run/shop/web/app?cmd=print+0", 403),
    ];
    for (token, method, path, status) in cases {
        let mut request = client.request(method.clone(), port.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let got = request.send().await.unwrap().status().as_u16();
        assert_eq!(got, status, "{token:?} {method} {path}");
    }
}

#[tokio::test]
async fn client_certificates() {
    let port = port().await;
    let known = port.http(Some("kube-apiserver")).get(port.url("/pods")).send().await.unwrap();
    assert_eq!(known.status(), 200);
    let unknown = port.http(Some("somebody")).get(port.url("/pods")).send().await.unwrap();
    assert_eq!(unknown.status(), 403);
    let mut impostor = port;
    let trusted = impostor.authority.der.clone();
    impostor.authority = Authority::new();
    impostor.authority.der = trusted;
    let refused = impostor.http(Some("kube-apiserver")).get(impostor.url("/pods")).send().await;
    assert!(refused.is_err(), "another CA's certificate ends the handshake");
}

#[tokio::test]
async fn closed_without_a_reviewer() {
    let port = with_reviewer(None).await;
    let token = port.http(None).get(port.url("/healthz")).bearer_auth("admin").send().await.unwrap();
    assert_eq!(token.status(), 401);
    let certificate = port.http(Some("kube-apiserver")).get(port.url("/healthz")).send().await.unwrap();
    assert_eq!(certificate.status(), 403);
}

#[tokio::test]
async fn lists_of_pods() {
    let port = port().await;
    for (path, count) in [("/pods", 2), ("/runningpods/", 1)] {
        let (status, body) = port.get(path).await;
        let list: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, list["items"].as_array().unwrap().len()), (200, count));
        assert_eq!(list["kind"], "PodList");
    }
}

#[tokio::test]
async fn run_answers_with_the_output() {
    let port = port().await;
    let post = async |path: &str| {
        let reply = port.http(None).post(port.url(path)).bearer_auth("admin").send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    assert_eq!(post("/run/shop/web/app?cmd=print+0").await, (200, "outerr".to_owned()));
    let (status, text) = post("/run/shop/web/u-1/app?cmd=print+3").await;
    assert_eq!((status, text.as_str()), (500, "command terminated with exit code 3: outerr"));
    assert_eq!(post("/run/shop/web/app").await.0, 400);
    assert_eq!(post("/run/shop/web/side?cmd=x").await.0, 404);
    assert_eq!(port.get("/run/shop/web/app?cmd=print+0").await.0, 405);
}
