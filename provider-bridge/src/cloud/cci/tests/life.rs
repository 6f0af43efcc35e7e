use super::*;
use crate::cloud::kubelike::testing::{Answer, Seen, status};

fn pods() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods")
}

fn path_of(name: &str) -> String {
    format!("{}/{}", pods(), kubelike::instance_name(&identity(name)))
}

fn is(method: &'static str, part: &'static str) -> impl Fn(&Seen) -> bool + Send {
    move |seen| seen.method == method && seen.path.contains(part)
}

#[tokio::test]
async fn requests_are_signed_for_the_host_they_go_to() {
    let server = Server::start().await;
    provider(&server).create(&request("web", |_| ()), &Local::default()).await.unwrap();
    let seen = server.seen();
    let headers = &seen[0].headers;
    let text = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(format!("http://{}", text("host")), server.endpoint);
    assert_eq!((text("x-project-id"), text("content-type")), ("proj123", "application/json"));
    let authorization = text("authorization");
    let signed = "SignedHeaders=content-type;host;x-project-id;x-sdk-date, ";
    assert!(authorization.starts_with("SDK-HMAC-SHA256 Access=AK1, ") && authorization.contains(signed));
    assert_eq!(headers.get_all("host").iter().count(), 1);
}

#[tokio::test]
async fn an_account_is_made_ready_once() {
    let server = Server::start().await;
    let provider = provider(&server);
    provider.prepare().await.unwrap();
    let namespace = server.object(&format!("/api/v1/namespaces/{NAMESPACE}")).unwrap();
    assert_eq!(namespace["metadata"]["annotations"]["namespace.kubernetes.io/flavor"], "general-computing");
    let network = server
        .object(&format!("/apis/networking.cci.io/v1beta1/namespaces/{NAMESPACE}/networks/burst"))
        .unwrap();
    assert_eq!(
        network["spec"],
        json!({"attachedVPC": "vpc", "availableZone": "cn-north-4a", "cidr": "192.168.0.0/18", "networkID": "net",
               "networkType": "underlay_neutron", "subnetID": "sub"})
    );
    assert_eq!(network["metadata"]["annotations"]["network.alpha.kubernetes.io/domain-id"], "dom1");
    let before = server.calls().len();
    provider.prepare().await.unwrap();
    assert!(server.calls()[before..].iter().all(|call| call.starts_with("GET ")));
}

/// Guards money and others: the cluster's whole namespace goes, unless another bridge still has pods in it.
#[tokio::test]
async fn leaving_deletes_the_namespace_when_it_is_empty() {
    let server = Server::start().await;
    let provider = provider(&server);
    provider.prepare().await.unwrap();
    provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    let error = provider.leave().await.unwrap_err().to_string();
    assert!(error.contains(NAMESPACE) && error.contains("1 pods of other virtual nodes"), "{error}");
    server.remove(&path_of("web"));
    let deletion = format!("DELETE /api/v1/namespaces/{NAMESPACE}");
    assert!(!server.calls().contains(&deletion));
    for _ in 0..2 {
        provider.leave().await.unwrap();
    }
    assert!(server.calls().contains(&deletion));
    assert!(server.object(&format!("/api/v1/namespaces/{NAMESPACE}")).is_none());
}

#[tokio::test]
async fn a_namespace_that_is_still_going_away_is_waited_for() {
    let server = Server::start().await;
    let provider = provider(&server);
    let mut taken = status(409, "Conflict");
    taken["errorCode"] = "CCI.02.409101".into();
    server.next(is("POST", "/namespaces"), Answer::Status(409, taken));
    let error = provider.prepare().await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("30 s")), "{error:?}");
    server.put(
        &format!("/api/v1/namespaces/{NAMESPACE}"),
        json!({"metadata": {}, "status": {"phase": "Terminating"}}),
    );
    assert!(matches!(provider.prepare().await.unwrap_err(), CloudError::Retryable(_)));
}

#[tokio::test]
async fn what_cannot_be_prepared_is_an_account_or_credentials_problem() {
    let server = Server::start().await;
    let provider = provider(&server);
    let gateway =
        json!({"error_msg": "Incorrect IAM authentication information", "error_code": "APIGW.0301"});
    server.next(is("GET", "/namespaces"), Answer::Status(401, gateway));
    assert!(matches!(provider.prepare().await.unwrap_err(), CloudError::Auth(_)));
    let mut full = status(400, "BadRequest");
    full["errorCode"] = "CCI.02.400106".into();
    server.next(is("POST", "/namespaces"), Answer::Status(400, full));
    assert!(matches!(provider.prepare().await.unwrap_err(), CloudError::Account(_)));
}

#[tokio::test]
async fn creating_twice_makes_one() {
    let server = Server::start().await;
    let provider = provider(&server);
    let first = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    let second = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    assert_eq!((first.id.clone(), first.pod), (second.id, identity("web")));
    assert_eq!(server.paths(), [path_of("web")]);
    assert!(first.id.contains("/cloud-"), "{}", first.id);
}

#[tokio::test]
async fn a_lost_answer_is_resolved_by_looking() {
    for lost in [true, false] {
        let server = Server::start().await;
        let provider = provider(&server);
        server.next(is("POST", "/pods"), if lost { Answer::Lost } else { Answer::Dropped });
        let result = provider.create(&request("web", |_| ()), &Local::default()).await;
        let calls = server.calls();
        assert_eq!(calls.iter().filter(|call| call.starts_with("POST")).count(), 1, "{calls:?}");
        assert!(calls.last().unwrap().starts_with("GET "), "{calls:?}");
        match result {
            Ok(instance) => assert!(lost && instance.pod == identity("web")),
            Err(error) => assert!(!lost && matches!(error, CloudError::Retryable(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_pod_is_resolved_by_looking() {
    for (code, body) in [
        (500, json!({"kind": "Status"})),
        (201, json!("ok")),
        (200, json!({"metadata": {}})),
        (504, Value::Null),
    ] {
        let server = Server::start().await;
        server.next(is("POST", "/pods"), Answer::Status(code, body));
        let result = provider(&server).create(&request("web", |_| ()), &Local::default()).await;
        assert!(matches!(result, Err(CloudError::Retryable(_))), "{code} {result:?}");
        assert!(server.calls().last().unwrap().starts_with("GET "));
    }
}

#[tokio::test]
async fn a_foreign_object_of_the_same_name_is_not_adopted() {
    let server = Server::start().await;
    let provider = provider(&server);
    provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    server.change(&path_of("web"), |pod| pod["metadata"]["labels"]["burst.io/pod-uid"] = "other".into());
    let error = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap_err();
    assert!(
        matches!(&error, CloudError::Invalid(text) if text.contains("does not belong to pod shop/web")),
        "{error}"
    );
}

#[tokio::test]
async fn a_dying_predecessor_is_not_adopted() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    provider.delete(&instance, 30).await.unwrap();
    let error = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("still being deleted")), "{error}");
}

#[tokio::test]
async fn deletes_name_the_incarnation_and_the_grace() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    provider.delete(&instance, 7).await.unwrap();
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.query, "gracePeriodSeconds=7");
    let (_, uid) = kubelike::parse_id(&instance.id);
    assert_eq!(
        (&seen.body["gracePeriodSeconds"], &seen.body["preconditions"]["uid"]),
        (&json!(7), &json!(uid.unwrap()))
    );
    let mut other = instance.clone();
    other.id = format!("{}/another", kubelike::parse_id(&instance.id).0);
    provider.delete(&other, 7).await.unwrap();
    other.id = "never-was/u".into();
    provider.delete(&other, 7).await.unwrap();
    server.next(is("DELETE", "/pods"), Answer::Status(500, status(500, "InternalError")));
    assert!(matches!(provider.delete(&instance, 7).await.unwrap_err(), CloudError::Retryable(_)));
}

#[tokio::test]
async fn refusals_reach_the_pod_typed() {
    let cases = [
        (422, "Invalid", "", "Invalid"),
        (400, "NoAllocatedCluster", "CCI.02.400116", "Capacity"),
        (404, "NotFound", "", "Account"),
        (429, "TooManyRequests", "", "Throttled"),
        (403, "Forbidden", "CCI.01.403009", "Account"),
    ];
    for (code, reason, error_code, expected) in cases {
        let server = Server::start().await;
        let mut body = status(code, reason);
        body["errorCode"] = error_code.into();
        server.next(is("POST", "/pods"), Answer::Status(code, body));
        let error = provider(&server).create(&request("web", |_| ()), &Local::default()).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
    }
}

#[tokio::test]
async fn missing_objects_are_told_and_retried() {
    let server = Server::start().await;
    let local = Local::default();
    let wants_secret = |pod: &mut Value| {
        pod["spec"]["containers"][0]["env"] =
            json!([{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "pw"}}}]);
    };
    let error = provider(&server).create(&request("web", wants_secret), &local).await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("Secret \"db\"")), "{error}");
    assert!(local.told.lock().unwrap()[0].starts_with("MandatorySecretNotFound: "));
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn companions_come_first_and_a_repetition_uses_them_again() {
    let server = Server::start().await;
    let provider = provider(&server);
    let local = Local { secrets: vec![("db", json!({"data": {"pw": "aGk="}}))], ..Local::default() };
    let with_secret = || {
        request("web", |pod| {
            pod["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "db"}}]);
        })
    };
    server.next(is("POST", "/pods"), Answer::Status(429, status(429, "TooManyRequests")));
    assert!(provider.create(&with_secret(), &local).await.is_err());
    provider.create(&with_secret(), &local).await.unwrap();
    let secrets: Vec<_> = server.paths().into_iter().filter(|path| path.contains("/secrets/")).collect();
    assert_eq!(secrets.len(), 1);
    assert!(server.calls()[0].ends_with("/secrets"));
    let pod = server.object(&path_of("web")).unwrap();
    let index = pod["metadata"]["annotations"]["burst.io/copies"].as_str().unwrap().to_owned();
    assert!(secrets[0].ends_with(&index), "{index}");
}

#[tokio::test]
async fn lists_are_complete_or_fail() {
    let server = Server::start().await;
    let provider = provider(&server);
    for name in ["a", "b", "c", "d", "e"] {
        provider.create(&request(name, |_| ()), &Local::default()).await.unwrap();
    }
    server.put(&format!("{}/foreign", pods()), json!({"metadata": {"name": "foreign"}}));
    server.page(2);
    let mut found: Vec<_> = provider.list().await.unwrap().into_iter().map(|i| i.pod.name).collect();
    found.sort();
    assert_eq!(found, ["a", "b", "c", "d", "e"]);
    let pages: Vec<_> = server.seen().iter().filter(|s| s.method == "GET").map(|s| s.query.clone()).collect();
    assert_eq!(pages.len(), 3);
    let selector = "labelSelector=burst.io%2Fcluster-id%3Dc-1%2Cburst.io%2Fvirtual-node%3Dburst-a&limit=500";
    assert_eq!(pages[1], format!("{selector}&continue=2"));
    // The third page fails: nothing is returned of the first two.
    server.next(|seen| seen.query.contains("continue=4"), Answer::Status(500, status(500, "InternalError")));
    assert!(matches!(provider.list().await, Err(CloudError::Retryable(_))));
    // An expired token begins again.
    server.next(|seen| seen.query.contains("continue=2"), Answer::Status(410, status(410, "Expired")));
    assert_eq!(provider.list().await.unwrap().len(), 5);
}

#[tokio::test]
async fn rotated_credentials_are_used_after_a_refusal() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (access_key, secret_key) = (dir.path().join("ak"), dir.path().join("sk"));
    std::fs::write(&access_key, "OLD").unwrap();
    std::fs::write(&secret_key, "s1").unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let credentials = Credentials::Files { access_key: access_key.clone(), secret_key };
    let provider = CciProvider::new(CciSettings { credentials, ..settings(&server.endpoint) }).unwrap();
    std::fs::write(&access_key, "NEW").unwrap();
    server.next(is("GET", "/pods"), Answer::Status(401, status(401, "Unauthorized")));
    provider.list().await.unwrap();
    let keys: Vec<_> = server
        .seen()
        .iter()
        .map(|s| s.headers["authorization"].to_str().unwrap().contains("=NEW,"))
        .collect();
    assert_eq!(keys, [false, true]);
    // The same keys are not tried twice.
    server.next(is("GET", "/pods"), Answer::Status(401, status(401, "Unauthorized")));
    assert!(matches!(provider.list().await, Err(CloudError::Auth(_))));
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_cloud_that_is_not_there_is_retryable_and_named() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let provider = CciProvider::new(settings(&format!("http://127.0.0.1:{port}"))).unwrap();
    let error = provider.list().await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("cannot connect")), "{error}");
    assert!(!format!("{provider:?}").contains("SK1"));
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ours = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(ours.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![ours.cert.der().clone()], key)
        .unwrap();
    let server = Server::start_with(Some(Arc::new(config).into())).await;
    let with = |pem: String| {
        CciProvider::new(CciSettings { ca_pem: Some(pem.into_bytes()), ..settings(&server.endpoint) })
    };
    assert!(with(ours.cert.pem()).unwrap().list().await.unwrap().is_empty());
    let error = with(other.cert.pem()).unwrap().list().await.unwrap_err();
    assert!(matches!(&error, CloudError::Retryable(text) if text.contains("certificate")), "{error}");
    assert!(matches!(with("no certificate".into()), Err(CloudError::Invalid(_))));
}

/// Guards restarts: which containers are not the pod's own is found again from the cloud alone.
#[tokio::test]
async fn hidden_containers_are_a_tag_of_the_instance() {
    let server = Server::start().await;
    let provider = provider(&server);
    let mut request = request("web", |pod| {
        let agent = json!({"name": "agent-ship", "image": "agent"});
        pod["spec"]["containers"].as_array_mut().unwrap().push(agent);
    });
    request.hidden = vec!["agent-ship".into(), "agent-watch".into()];
    provider.create(&request, &Local::default()).await.unwrap();
    let stored = server.object(&path_of("web")).unwrap();
    assert_eq!(stored["metadata"]["annotations"]["burst.io/hidden-containers"], "agent-ship,agent-watch");
    assert_eq!(stored["spec"]["containers"][1]["name"], "agent-ship");
}

#[tokio::test]
async fn usage_is_one_list_of_the_namespace() {
    let server = Server::start().await;
    let provider = provider(&server);
    let instance = provider.create(&request("web", |_| ()), &Local::default()).await.unwrap();
    let name = kubelike::instance_name(&identity("web"));
    let metrics = "/apis/metrics.k8s.io/v1beta1/namespaces/cce-burst-c-1/pods";
    server.put(
        &format!("{metrics}/{name}"),
        json!({"metadata": {"name": name, "namespace": NAMESPACE}, "timestamp": "2026-01-02T03:04:05Z",
            "containers": [{"name": "app", "usage": {"cpu": "100m", "memory": "20Mi"}}]}),
    );
    let used = provider.usage(&[instance]).await.unwrap();
    let [app] = &used[0].containers[..] else { panic!("{used:?}") };
    assert_eq!((app.nano_cores, app.memory.working_set), (Some(100_000_000), Some(20 << 20)));
    let call = server.seen().pop().unwrap();
    assert_eq!(call.path, metrics);
    assert!(call.query.starts_with("labelSelector=burst.io%2Fcluster-id%3Dc-1"), "{}", call.query);
}
