//! Which permission on the Node object a request needs.
//!
//! Facts: `pkg/kubelet/server/auth.go` and KEP-2862 (fine-grained kubelet API authorisation). One difference, on
//! purpose: commands need `create` on nodes/proxy whatever the method, because a WebSocket upgrade is a GET and reading
//! rights must not run commands.

use hyper::Method;

use crate::kubelet::routes::Route;

/// One permission: `verb` on `nodes/{subresource}` of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// API verb; empty for methods that have none.
    pub verb: &'static str,
    /// Subresource of `nodes`.
    pub subresource: &'static str,
}

/// The permissions of which one suffices, in the order they are tried.
pub(crate) fn needed(route: &Route, method: &Method) -> Vec<Access> {
    let by_method = verb(method);
    let (verb, subresources): (_, &[&'static str]) = match route {
        Route::Healthz => (by_method, &["healthz", "proxy"]),
        Route::Pods | Route::RunningPods => (by_method, &["pods", "proxy"]),
        Route::Configz => (by_method, &["configz", "proxy"]),
        Route::Metrics | Route::ResourceMetrics | Route::OtherMetrics => (by_method, &["metrics"]),
        Route::Summary | Route::Stats => (by_method, &["stats"]),
        Route::NodeLogs => (by_method, &["log"]),
        Route::Exec(_)
        | Route::Attach(_)
        | Route::Run(_)
        | Route::PortForward(_)
        | Route::MalformedCommand => ("create", &["proxy"]),
        Route::ContainerLogs(_) | Route::Unknown => (by_method, &["proxy"]),
    };
    subresources.iter().map(|subresource| Access { verb, subresource }).collect()
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let cases = [
            (Method::GET, "/healthz", "get", &["healthz", "proxy"][..]),
            (Method::GET, "/pods", "get", &["pods", "proxy"]),
            (Method::GET, "/runningpods/", "get", &["pods", "proxy"]),
            (Method::GET, "/configz", "get", &["configz", "proxy"]),
            (Method::GET, "/metrics", "get", &["metrics"]),
            (Method::GET, "/metrics/resource", "get", &["metrics"]),
            (Method::GET, "/stats/summary", "get", &["stats"]),
            (Method::GET, "/logs/", "get", &["log"]),
            (Method::GET, "/containerLogs/a/b/c", "get", &["proxy"]),
            (Method::POST, "/exec/a/b/c", "create", &["proxy"]),
            (Method::GET, "/exec/a/b/c", "create", &["proxy"]),
            (Method::GET, "/exec/", "create", &["proxy"]),
            (Method::GET, "/attach/a/b/c", "create", &["proxy"]),
            (Method::GET, "/portForward/a/b", "create", &["proxy"]),
            (Method::PUT, "/run/a/b/c", "create", &["proxy"]),
            (Method::GET, "/debug/pprof", "get", &["proxy"]),
            (Method::DELETE, "/pods", "delete", &["pods", "proxy"]),
            (Method::OPTIONS, "/pods", "", &["pods", "proxy"]),
        ];
        for (method, path, verb, subresources) in cases {
            let expected: Vec<Access> =
                subresources.iter().map(|s| Access { verb, subresource: s }).collect();
            assert_eq!(needed(&Route::parse(path), &method), expected, "{method} {path}");
        }
    }
}
