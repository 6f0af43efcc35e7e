//! CCI 2.0 over the same server: other paths and objects, the same life.

use futures::StreamExt as _;

use super::*;

const SPACE: &str = "bursting-c-1";
const ROOT: &str = "/apis/cci/v2/namespaces";

fn second(server: &Server) -> CciProvider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut settings = settings(&server.endpoint);
    settings.generation = Generation::Two;
    settings.network = NetworkSettings {
        subnet_id: "sub".into(),
        more_subnets: vec!["sub-2".into()],
        security_group_id: "sg".into(),
        ..NetworkSettings::default()
    };
    CciProvider::new(settings).unwrap()
}

#[tokio::test]
async fn an_account_is_made_ready_once() {
    let server = Server::start().await;
    let provider = second(&server);
    provider.prepare().await.unwrap();
    let namespace = server.object(&format!("{ROOT}/{SPACE}")).unwrap();
    assert_eq!(
        (namespace["apiVersion"].as_str(), namespace["kind"].as_str()),
        (Some("cci/v2"), Some("Namespace"))
    );
    assert!(namespace["metadata"]["annotations"].is_null(), "{namespace}");
    let network = server.object(&format!("/apis/yangtse/v2/namespaces/{SPACE}/networks/burst")).unwrap();
    assert_eq!(network["apiVersion"], "yangtse/v2");
    assert_eq!(
        network["metadata"]["annotations"],
        json!({"yangtse.io/project-id": "proj123", "yangtse.io/domain-id": "dom1"})
    );
    assert_eq!(
        network["spec"],
        json!({"networkType": "underlay_neutron", "securityGroups": ["sg"], "ipFamilies": ["IPv4"],
               "subnets": [{"subnetID": "sub"}, {"subnetID": "sub-2"}]})
    );
    let before = server.calls().len();
    provider.prepare().await.unwrap();
    assert!(server.calls()[before..].iter().all(|call| call.starts_with("GET ")));
}

/// Guards money: a namespace of the second generation is not found, and so not deleted, on the first one's paths.
#[tokio::test]
async fn leaving_deletes_the_namespace_of_the_second_generation() {
    let server = Server::start().await;
    let provider = second(&server);
    provider.prepare().await.unwrap();
    provider.leave().await.unwrap();
    assert!(server.calls().contains(&format!("DELETE {ROOT}/{SPACE}")), "{:?}", server.calls());
}

/// Every call of a life goes to the second one's paths.
#[tokio::test]
async fn a_life_on_its_own_paths() {
    let server = Server::start().await;
    let provider = second(&server);
    assert_eq!(provider.name(), "huawei-cci2");
    let made = provider
        .create(
            &request("web", |pod| {
                pod["spec"]["imagePullSecrets"] = json!([{"name": "pull"}]);
            }),
            &Local { secrets: vec![("pull", json!({"data": {"a": "Yg=="}}))], ..Local::default() },
        )
        .await
        .unwrap();
    assert_eq!((made.billed.cpu_milli, made.billed.memory_bytes), (1000, 2 << 30));
    assert_eq!(provider.list().await.unwrap().len(), 1);
    let mut events = provider.watch();
    for _ in 0..3 {
        events.next().await.unwrap().unwrap();
    }
    drop(events);
    let _ = provider.logs(&made, "app", &LogOptions::default()).await;
    let exec =
        ExecRequest { command: vec!["ls".into()], stdout: true, stdin: false, stderr: false, tty: false };
    assert!(
        kubelike::open_exec(&provider.api, &made, "app", &exec).await.is_err(),
        "nothing is upgraded here"
    );
    provider.delete(&made, 5).await.unwrap();
    for call in server.calls() {
        assert!(call.contains(&format!("{ROOT}/{SPACE}/")), "{call}");
    }
    let of = |word: &str| server.calls().iter().filter(|call| call.contains(word)).count();
    assert!(of("/log") > 0 && of("/exec") > 0 && of("/secrets") > 0, "{:?}", server.calls());
}

/// Guards the namespace of 2.0, which uninstalling looked for under the paths of 1.0.
#[tokio::test]
async fn uninstalling_removes_its_own_namespace() {
    let server = Server::start().await;
    let provider = second(&server);
    provider.prepare().await.unwrap();
    provider.leave().await.unwrap();
    assert_eq!(server.calls().last().unwrap(), &format!("DELETE {ROOT}/{SPACE}"));
    assert_eq!(server.object(&format!("{ROOT}/{SPACE}")), None);
}

#[test]
fn settings_by_generation() {
    for (generation, change, lacks) in [
        (
            Generation::One,
            Box::new(|s: &mut CciSettings| s.network.vpc_id.clear()) as Box<dyn Fn(&mut CciSettings)>,
            "network.vpcId",
        ),
        (Generation::One, Box::new(|s: &mut CciSettings| s.network.cidr.clear()), "network.cidr"),
        (Generation::One, Box::new(|s: &mut CciSettings| s.domain_id.clear()), ""),
        (Generation::Two, Box::new(|s: &mut CciSettings| s.network.vpc_id.clear()), ""),
        (Generation::Two, Box::new(|s: &mut CciSettings| s.network.cidr.clear()), ""),
        (Generation::Two, Box::new(|s: &mut CciSettings| s.domain_id.clear()), "domainId"),
        (Generation::Two, Box::new(|s: &mut CciSettings| s.network.subnet_id.clear()), "network.subnetId"),
        (
            Generation::Two,
            Box::new(|s: &mut CciSettings| s.network.cidr = "10.247.0.0/20".into()),
            "overlaps",
        ),
    ] {
        let mut settings = settings("https://cci.example");
        settings.generation = generation;
        change(&mut settings);
        let said = CciProvider::new(settings).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(
            said.is_empty() == lacks.is_empty() && said.contains(lacks),
            "{generation:?} {lacks}: {said}"
        );
    }
}
