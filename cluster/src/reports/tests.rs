use super::*;
use crate::testing::FakeApi;

#[tokio::test]
async fn written_under_its_version_and_read_again() {
    let api = FakeApi::new();
    let client = api.client();
    let report = NodeReport { provider: "huawei".to_owned(), instances: 3, ..NodeReport::default() };
    let Ok(Put::Written(first)) = put(&client, "v", None, &report).await else { panic!("created") };
    let next = NodeReport {
        released: vec![policies::ledger::Released { uid: "u".to_owned(), serial: 1 }],
        ..report
    };
    assert!(matches!(put(&client, "v", Some(&first), &next).await, Ok(Put::Written(_))));
    assert_eq!(put(&client, "v", Some(&first), &next).await, Ok(Put::Conflict));
    let stored = read(&client, "v").await.expect("answers").expect("exists");
    assert_eq!(stored.name(), "v");
    assert_eq!(stored.spec, Ok(next));
    assert_eq!(read(&client, "other").await.map(|found| found.is_some()), Ok(false));
}
