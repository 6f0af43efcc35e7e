use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server on loopback that keeps the head of each request and answers 503.
async fn refusing() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            seen.lock().expect("lock").push(String::from_utf8_lossy(&head).to_lowercase());
            let answer = "HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("writes");
        }
    });
    (format!("http://{address}"), heads)
}

fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: u, user: {{token: very-secret}}}}]\n",
    );
    std::fs::write(file.path(), text).expect("writes");
    file
}

#[tokio::test]
async fn it_acts_as_the_node_and_leaves_retries_to_the_caller() {
    let (server, heads) = refusing().await;
    let access = Access::load(Some(kubeconfig(&server).path())).await.expect("loads");
    assert!(access.server().starts_with(&server));
    assert!(!format!("{access:?}").contains("very-secret"));
    for client in [access.client().expect("builds"), access.client_as_node("virt").expect("builds")] {
        client.apiserver_version().await.expect_err("503");
    }
    let heads = heads.lock().expect("lock").clone();
    assert_eq!(heads.len(), 2, "one request each: {heads:?}");
    let impersonates = |head: &String| {
        head.contains("impersonate-user: system:node:virt")
            && head.contains("impersonate-group: system:nodes")
    };
    assert_eq!(heads.iter().map(impersonates).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_missing_or_wrong_kubeconfig_is_named() {
    let missing = Access::load(Some(Path::new("/nowhere/kubeconfig"))).await.expect_err("missing");
    assert!(missing.to_string().starts_with("kubeconfig /nowhere/kubeconfig: "), "{missing}");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "clusters: 7").expect("writes");
    let wrong = Access::load(Some(file.path())).await.expect_err("wrong").to_string();
    assert!(wrong.contains(&file.path().display().to_string()), "{wrong}");
}
