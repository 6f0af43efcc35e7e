//! The simulated cloud's faces: HTTP in, answers out. Order for every request: control API, fault rules, signature,
//! route. What a rule injects is known before the work starts, so that a lost answer can still do the work.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use crate::auth::{self, Account};
use crate::core::instances::Cloud;
use crate::core::kind::{Generation, Kind};
use crate::core::store::Key;
use crate::error::ApiError;
use crate::options::{Api, Options};

pub(crate) mod cci1;
mod control;
mod cube;
mod eci;
mod faults;
mod requests;
mod sales;

/// A response body; streams end in an error when a fault cuts them.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
/// The largest body the gateway takes.
const BODY_MAX: usize = 12 << 20;

/// The connection is to be cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer was lost by a fault rule")]
pub(crate) struct Lost;

/// Which undocumented behaviour is played.
#[derive(Clone, Debug)]
pub(crate) struct Variants {
    /// Sub-protocols of exec that the server takes, in no order.
    pub(crate) exec_protocols: Vec<String>,
    /// Seconds between watch bookmarks.
    pub(crate) bookmark_seconds: u64,
    /// What pods use can be asked for.
    pub(crate) metrics: bool,
}

/// One request, read whole.
pub(crate) struct Call {
    pub(crate) parts: http::request::Parts,
    pub(crate) body: Bytes,
    /// The query, decoded, in its own order.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) upgrade: Option<hyper::upgrade::OnUpgrade>,
}

impl Call {
    /// A query parameter's first value.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is on.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| matches!(value, "" | "1" | "true" | "True"))
    }

    /// A query parameter that is a number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.param(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let wrong =
            || ApiError::bad_request(format!("query parameter {name}={text:?} is not a whole number"));
        text.parse().map(Some).map_err(|_| wrong())
    }

    /// All parameters of an RPC call, from the query and from a form in the body, in this order.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let form = url::form_urlencoded::parse(&self.body).into_owned();
        self.query.iter().cloned().chain(form.filter(|_| self.has_form())).collect()
    }

    fn has_form(&self) -> bool {
        let content_type = self.parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"))
    }

    /// The parameters as `Name=value`, one per line, for people and rules.
    fn parameters_text(&self) -> String {
        self.parameters().iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
    }
}

/// Which cloud's API is spoken, with what that API remembers.
pub(crate) enum Face {
    Cci(Generation),
    Eci(Box<eci::Eci>),
    Cube(Box<cube::Cube>),
}

impl Face {
    /// The face that the command line asks for.
    pub(crate) fn new(options: &Options, cloud: &Cloud) -> Self {
        match options.api {
            Api::Cci1 | Api::Cci2 => Self::Cci(cloud.store.generation),
            Api::Eci => {
                always_connected(cloud);
                Self::Eci(Box::new(eci::Eci::new(options, cloud)))
            }
            Api::Cube => {
                always_connected(cloud);
                Self::Cube(Box::new(cube::Cube::new(options, cloud)))
            }
        }
    }

    /// A control call that only this face has.
    fn control(&self, front: &Arc<Front>, call: &Call) -> Option<Result<serde_json::Value, ApiError>> {
        match self {
            Self::Cci(_) => None,
            Self::Eci(eci) => eci::control(front, eci, call),
            Self::Cube(cube) => cube::control(front, cube, call),
        }
    }

    /// The name that a call has in fault rules and in the counts.
    fn template(&self, call: &Call) -> String {
        match self {
            Self::Cci(_) if cci1::metrics::namespace(call.parts.uri.path()).is_some() => {
                cci1::metrics::TEMPLATE.to_owned()
            }
            Self::Cci(generation) => cci1::route::Route::parse(*generation, call.parts.uri.path())
                .as_ref()
                .map_or_else(|| "unknown".to_owned(), cci1::route::Route::template),
            Self::Eci(_) => eci::action(call).unwrap_or_else(|| "unknown".to_owned()),
            Self::Cube(_) => cube::action(call).unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// What a rule's `bodyContains` is looked for in: with RPC the parameters, wherever they were sent.
    fn searched<'a>(&self, call: &'a Call) -> Cow<'a, [u8]> {
        match self {
            Self::Cci(_) => Cow::Borrowed(&call.body),
            Self::Eci(_) => Cow::Owned(call.parameters_text().into_bytes()),
            Self::Cube(_) => Cow::Owned(cube::searched(call).into_bytes()),
        }
    }
}

/// Clouds without networks of their own in the API: every instance has one.
fn always_connected(cloud: &Cloud) {
    let network = serde_json::json!({"metadata": {}, "status": {"state": "Active"}});
    cloud.store.create(Kind::Network, &Key::new(&cloud.region, "default"), network, cloud.clock.now());
}

/// The server behind the listener.
pub(crate) struct Front {
    pub(crate) cloud: Arc<Cloud>,
    face: Face,
    account: Account,
    sales: sales::Sales,
    faults: faults::Faults,
    requests: requests::Requests,
    variants: RwLock<Variants>,
}

impl Front {
    /// A server of one account.
    pub(crate) fn new(cloud: Arc<Cloud>, face: Face, account: Account, variants: Variants) -> Arc<Self> {
        let (faults, requests) = (faults::Faults::default(), requests::Requests::default());
        let sales = sales::Sales::new(account.token.clone());
        Arc::new(Self { cloud, face, account, sales, faults, requests, variants: RwLock::new(variants) })
    }

    /// The variants in force.
    pub(crate) fn variants(&self) -> Variants {
        self.variants.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Answers one request, or cuts the connection.
    pub(crate) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Lost> {
        let upgrade =
            request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default();
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let body = match Limited::new(body, BODY_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return Ok(error(&too_large())),
        };
        let call = Call { parts, body, query, upgrade };
        if call.parts.uri.path().starts_with("/_sim/") {
            return Ok(control::answer(&self, &call).unwrap_or_else(|e| error(&e)));
        }
        self.cloud_call(call).await
    }

    async fn cloud_call(self: Arc<Self>, call: Call) -> Result<Response<Body>, Lost> {
        let method = call.parts.method.clone();
        let template = self.face.template(&call);
        let watch = call.flag("watch");
        let injected = self.faults.decide(&method, &template, watch, &self.face.searched(&call));
        if let Some(latency) = injected.latency {
            self.cloud.clock.sleep(latency).await;
        }
        let counted = |status: u16| self.requests.count(&method, &template, watch, status);
        let lost = injected.lost_answer;
        let date = self.cloud.clock.now();
        let mut answer = match &injected.answer {
            Some(canned) if !injected.afterwards => self.canned(canned, &template),
            Some(canned) => {
                drop(self.work(call, injected.clone()).await);
                self.canned(canned, &template)
            }
            None => self.work(call, injected.clone()).await,
        };
        if let Ok(date) = header::HeaderValue::from_str(&http_date(date)) {
            answer.headers_mut().insert(header::DATE, date);
        }
        if lost {
            counted(0);
            return Err(Lost);
        }
        counted(answer.status().as_u16());
        Ok(answer)
    }

    /// An answer that a rule put in place of the real one, in the words of the cloud.
    fn canned(&self, canned: &faults::Canned, template: &str) -> Response<Body> {
        match (&self.face, canned) {
            (_, faults::Canned::Garbage) => {
                json(StatusCode::OK, "<html><body>upstream connect error\u{0}{{{</body></html>")
            }
            (_, faults::Canned::Empty) => json(StatusCode::OK, ""),
            (Face::Cci(_), faults::Canned::Error(injected)) => error(&injected.cci1()),
            (Face::Eci(_), faults::Canned::Error(injected)) => eci::injected(injected),
            (Face::Cube(_), faults::Canned::Error(injected)) => cube::injected(injected, template),
        }
    }

    /// The work itself; a duplicated call is done twice, as when the network delivered it twice.
    async fn work(self: &Arc<Self>, call: Call, injected: faults::Injected) -> Response<Body> {
        match &self.face {
            Face::Cci(_) => self.checked(call, injected).await.unwrap_or_else(|e| error(&e)),
            Face::Eci(eci) => eci::answer(self, eci, call, &injected).await,
            Face::Cube(cube) => cube::answer(self, cube, &call, &injected),
        }
    }

    async fn checked(
        self: &Arc<Self>,
        call: Call,
        injected: faults::Injected,
    ) -> Result<Response<Body>, ApiError> {
        let route = cci1::route::Route::parse(self.cloud.store.generation, call.parts.uri.path());
        let signed = auth::Request {
            method: &call.parts.method,
            path: call.parts.uri.path(),
            query: call.parts.uri.query().unwrap_or_default(),
            headers: &call.parts.headers,
            body: &call.body,
        };
        self.account.verify(&signed, self.cloud.clock.now())?;
        if let Some(namespace) = cci1::metrics::namespace(call.parts.uri.path()) {
            return cci1::metrics::list(self, &call, &namespace);
        }
        let route = route.ok_or_else(ApiError::no_route)?;
        cci1::answer(self, call, &route, &injected).await
    }
}

/// The form of the `Date` header.
fn http_date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "the body is larger than 12 MiB")
}

/// A whole body.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// An error answer.
pub(crate) fn error(error: &ApiError) -> Response<Body> {
    let mut response = json(error.status, error.body().to_string());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Milliseconds as a duration.
pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
