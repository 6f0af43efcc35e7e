//! `/containerLogs` through the door.

use crate::port::port;

#[tokio::test]
async fn options_reach_the_backend() {
    let port = port().await;
    let (status, body) = port.get("/containerLogs/shop/web/u-1/app?tailLines=0&timestamps=true").await;
    assert_eq!(status, 200);
    assert!(body.contains("tail_lines: Some(0)") && body.contains("timestamps: true"), "{body}");
    assert_eq!(port.get("/containerLogs/shop/web/app?limitBytes=10").await, (200, "LogOptions".to_owned()));
}

#[tokio::test]
async fn refusals() {
    let port = port().await;
    let cases = [
        ("/containerLogs/shop/other/app", 404, "pod \"shop/other\" is not on this virtual node"),
        ("/containerLogs/shop/web/side", 404, "container \"side\" is not in pod \"shop/web\""),
        ("/containerLogs/shop/web/u-2/app", 404, "pod \"shop/web\" has another uid than u-2"),
        ("/containerLogs/shop/web/app?tailLines=-1", 422, "tailLines is -1"),
        ("/containerLogs/shop/web/app?tailLines=many", 400, "tailLines=\"many\""),
        ("/containerLogs/shop/web/app?previous=true", 404, "no previous incarnation"),
        ("/containerLogs/shop/web", 404, "404"),
    ];
    for (path, status, text) in cases {
        let (got, body) = port.get(path).await;
        assert!(got == status && body.contains(text), "{path}: {got} {body}");
    }
}

#[tokio::test]
async fn follow_flushes_and_a_reader_that_leaves_ends_it() {
    let port = port().await;
    let request =
        port.http(None).get(port.url("/containerLogs/shop/web/app?follow=true")).bearer_auth("admin");
    let mut reply = request.send().await.unwrap();
    assert!(reply.chunk().await.unwrap().unwrap().starts_with(b"LogOptions"));
    drop(reply);
    port.cloud.abandoned().await;
}
