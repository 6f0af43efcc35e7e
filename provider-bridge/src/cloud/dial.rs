//! A connection to a port of an instance by its address, which the bridge reaches because it is in the same network.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::streams::Connection;

use super::{CloudError, Instance};

/// Longer than a lost SYN needs to be repeated.
const WITHIN: Duration = Duration::from_secs(10);

/// Dials the pod's first address.
pub(super) async fn dial(instance: &Instance, port: u16) -> Result<Box<dyn Connection>, CloudError> {
    let address = address(instance)?;
    let broken = |why: &dyn std::fmt::Display| {
        CloudError::Retryable(format!(
            "cannot connect to {address} port {port}: {why}; the bridge needs a route to the pod's address"
        ))
    };
    let stream = timeout(WITHIN, TcpStream::connect(SocketAddr::new(address, port))).await;
    let stream = stream.map_err(|_| broken(&"no answer in 10 s"))?.map_err(|error| broken(&error))?;
    // Keystrokes must not wait for each other; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

fn address(instance: &Instance) -> Result<IpAddr, CloudError> {
    let text = instance.status.get("podIP").and_then(serde_json::Value::as_str).unwrap_or_default();
    text.parse().map_err(|_| {
        let pod = &instance.pod;
        CloudError::Retryable(format!("pod {}/{} has no address yet", pod.namespace, pod.name))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policies::resources::Resources;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::cloud::PodIdentity;

    fn instance(status: Value) -> Instance {
        Instance {
            id: "i".into(),
            pod: PodIdentity { uid: "u".into(), namespace: "shop".into(), name: "web".into() },
            node: "n".into(),
            created: None,
            deleting: false,
            billed: Resources::default(),
            status: Arc::new(status),
        }
    }

    #[tokio::test]
    async fn the_pods_address_is_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"hello").await.unwrap();
        };
        let ask = async {
            let mut connection = dial(&instance(json!({"podIP": "127.0.0.1"})), port).await.unwrap();
            let mut said = String::new();
            connection.read_to_string(&mut said).await.unwrap();
            said
        };
        assert_eq!(tokio::join!(serve, ask).1, "hello");
    }

    #[tokio::test]
    async fn what_is_missing_is_said() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let cases = [
            (json!({"podIP": "127.0.0.1"}), "cannot connect to 127.0.0.1 port"),
            (json!({"podIP": ""}), "pod shop/web has no address yet"),
            (json!({}), "pod shop/web has no address yet"),
        ];
        for (status, expected) in cases {
            let error = dial(&instance(status), closed).await.err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
