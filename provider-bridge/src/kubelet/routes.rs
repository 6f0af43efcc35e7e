//! What a path of the kubelet port names. Parsed once: authorisation and dispatch look at the same [`Route`], so no
//! spelling of a path can be authorised as one thing and served as another.

/// A container, as paths name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerPath {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// Only some callers send it.
    pub(crate) uid: Option<String>,
    pub(crate) container: String,
}

/// A pod, as paths name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodPath {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// Only some callers send it.
    pub(crate) uid: Option<String>,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz` and below.
    Healthz,
    /// `/pods`.
    Pods,
    /// `/runningpods/`.
    RunningPods,
    /// `/configz`.
    Configz,
    /// `/metrics`.
    Metrics,
    /// `/metrics/resource`.
    ResourceMetrics,
    /// Anything else below `/metrics`.
    OtherMetrics,
    /// `/stats/summary`.
    Summary,
    /// `/stats` and anything else below.
    Stats,
    /// `/logs` and below.
    NodeLogs,
    /// `/containerLogs/{namespace}/{pod}[/{uid}]/{container}`.
    ContainerLogs(ContainerPath),
    /// `/exec/…`.
    Exec(ContainerPath),
    /// `/attach/…`.
    Attach(ContainerPath),
    /// `/run/…`.
    Run(ContainerPath),
    /// `/portForward/{namespace}/{pod}[/{uid}]`.
    PortForward(PodPath),
    /// One of the four before with a rest that names nothing.
    MalformedCommand,
    /// Nothing that is known.
    Unknown,
}

impl Route {
    /// Parses an undecoded path. Names in paths are DNS labels and UIDs, which need no escapes.
    pub(crate) fn parse(path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match (first, rest) {
            ("healthz", "" | "ping") => Self::Healthz,
            ("pods", "") => Self::Pods,
            ("runningpods", "") => Self::RunningPods,
            ("configz", "") => Self::Configz,
            ("metrics", "") => Self::Metrics,
            ("metrics", "resource") => Self::ResourceMetrics,
            ("metrics", _) => Self::OtherMetrics,
            ("stats", "summary") => Self::Summary,
            ("stats", _) => Self::Stats,
            ("logs", _) => Self::NodeLogs,
            ("containerLogs", rest) => container(rest).map_or(Self::Unknown, Self::ContainerLogs),
            ("exec", rest) => container(rest).map_or(Self::MalformedCommand, Self::Exec),
            ("run", rest) => container(rest).map_or(Self::MalformedCommand, Self::Run),
            ("attach", rest) => container(rest).map_or(Self::MalformedCommand, Self::Attach),
            ("portForward", rest) => pod(rest).map_or(Self::MalformedCommand, Self::PortForward),
            _ => Self::Unknown,
        }
    }
}

fn container(rest: &str) -> Option<ContainerPath> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (namespace, pod, uid, container) = match parts[..] {
        [namespace, pod, container] => (namespace, pod, None, container),
        [namespace, pod, uid, container] => (namespace, pod, Some(uid), container),
        _ => return None,
    };
    if parts.contains(&"") {
        return None;
    }
    Some(ContainerPath {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: uid.map(str::to_owned),
        container: container.to_owned(),
    })
}

fn pod(rest: &str) -> Option<PodPath> {
    let parts: Vec<&str> = rest.split('/').collect();
    let (namespace, pod, uid) = match parts[..] {
        [namespace, pod] => (namespace, pod, None),
        [namespace, pod, uid] => (namespace, pod, Some(uid)),
        _ => return None,
    };
    (!parts.contains(&"")).then(|| PodPath {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: uid.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let target = |uid: Option<&str>| ContainerPath {
            namespace: "shop".into(),
            pod: "web-7f".into(),
            uid: uid.map(Into::into),
            container: "app".into(),
        };
        let whole = |uid: Option<&str>| PodPath {
            namespace: "shop".into(),
            pod: "web-7f".into(),
            uid: uid.map(Into::into),
        };
        let cases = [
            ("/healthz", Route::Healthz),
            ("/healthz/ping", Route::Healthz),
            ("/healthz/other", Route::Unknown),
            ("/pods", Route::Pods),
            ("/pods/", Route::Pods),
            ("//pods", Route::Unknown),
            ("/runningpods/", Route::RunningPods),
            ("/runningpods", Route::RunningPods),
            ("/configz", Route::Configz),
            ("/metrics", Route::Metrics),
            ("/metrics/cadvisor", Route::OtherMetrics),
            ("/metrics/resource", Route::ResourceMetrics),
            ("/stats/summary", Route::Summary),
            ("/stats/", Route::Stats),
            ("/logs/", Route::NodeLogs),
            ("/containerLogs/shop/web-7f/app", Route::ContainerLogs(target(None))),
            ("/containerLogs/shop/web-7f/u-1/app", Route::ContainerLogs(target(Some("u-1")))),
            ("/containerLogs/shop/web-7f", Route::Unknown),
            ("/containerLogs/shop//app", Route::Unknown),
            ("/exec/shop/web-7f/app", Route::Exec(target(None))),
            ("/exec/shop/web-7f/u-1/app", Route::Exec(target(Some("u-1")))),
            ("/exec/shop/web-7f/u-1/app/more", Route::MalformedCommand),
            ("/run/shop/web-7f/app", Route::Run(target(None))),
            ("/attach/shop/web-7f/app", Route::Attach(target(None))),
            ("/attach/shop/web-7f", Route::MalformedCommand),
            ("/portForward/shop/web-7f", Route::PortForward(whole(None))),
            ("/portForward/shop/web-7f/u-1", Route::PortForward(whole(Some("u-1")))),
            ("/portForward/shop", Route::MalformedCommand),
            ("/portForward/shop/", Route::MalformedCommand),
            ("/", Route::Unknown),
            ("/execute/shop/web-7f/app", Route::Unknown),
        ];
        for (path, route) in cases {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }
}
