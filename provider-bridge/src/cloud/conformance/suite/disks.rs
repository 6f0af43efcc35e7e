//! Disks are the user's: a pod gets the one that it names, and burst makes, formats and deletes none.

use super::*;

/// A pod that mounts the disk.
fn mounting(uid: &str, disk: &Disk) -> CreateRequest {
    let mut request = request(uid, "db-0");
    let mut object = (*request.object).clone();
    let mut volume = disk.source.clone();
    volume["name"] = json!("v");
    object["spec"]["volumes"] = json!([volume]);
    object["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/data"}]);
    request.object = Arc::new(object);
    request
}

/// Guards data: a StatefulSet's next pod runs on the disk of the one before it. While that one has it, a cloud that gives a
/// disk to one instance only refuses for now, and not for good; a cloud that lets it wait, or be shared, gets the same one.
pub(super) async fn a_successor_gets_the_disk_of_its_predecessor_and_no_other(subject: &dyn Subject) {
    let provider = subject.provider();
    provider.prepare().await.unwrap();
    let Some(disk) = subject.disk() else { return };
    let home = Home { volume: disk.volume.clone() };
    let first = provider.create(&mounting("u-1", &disk), &home).await.unwrap();
    assert_eq!(subject.disks_of("u-1"), [disk.id]);
    match provider.create(&mounting("u-2", &disk), &home).await {
        Ok(_) => assert!(!disk.exclusive),
        Err(error) => assert!(disk.exclusive && matches!(error, CloudError::Retryable(_)), "{error:?}"),
    }
    assert_eq!(subject.disks_of("u-1"), [disk.id]);
    provider.delete(&first, 1).await.unwrap();
    subject.finish_deletions().await;
    let second = provider.create(&mounting("u-2", &disk), &home).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(subject.disks_of("u-2"), [disk.id]);
    provider.delete(&second, 1).await.unwrap();
    assert!(subject.disks_are_untouched());
    subject.finish_deletions().await;
    provider.leave().await.unwrap();
    assert!(subject.disks_are_untouched(), "leaving takes nothing of the user's along");
}
