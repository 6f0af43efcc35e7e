//! Which streaming protocol a request gets, decided before anything is upgraded.
//!
//! Facts: Handshake in k8s.io/streaming `httpstream` and `wsstream`. The first protocol of the client that the server
//! has wins; none in common is 403 with the server's list, a missing header over SPDY is 400.

use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::http::StatusCode;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::remotecommand::StatusFormat;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");
const WEBSOCKET_PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// A version of the remote command protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `v5.channel.k8s.io`: v4, and over WebSocket a message that closes one channel.
    V5,
    /// `v4.channel.k8s.io`: the end is a JSON status.
    V4,
    /// `v4.base64.channel.k8s.io`: v4 in text messages.
    V4Base64,
    /// `v3.channel.k8s.io`: terminals can be resized.
    V3,
    /// `v2.channel.k8s.io`.
    V2,
    /// `channel.k8s.io`, or no name over WebSocket.
    V1,
    /// `base64.channel.k8s.io`.
    V1Base64,
}

const SPDY: [(&str, Protocol); 5] = [
    ("v5.channel.k8s.io", Protocol::V5),
    ("v4.channel.k8s.io", Protocol::V4),
    ("v3.channel.k8s.io", Protocol::V3),
    ("v2.channel.k8s.io", Protocol::V2),
    ("channel.k8s.io", Protocol::V1),
];

const WEBSOCKET: [(&str, Protocol); 5] = [
    ("v5.channel.k8s.io", Protocol::V5),
    ("v4.channel.k8s.io", Protocol::V4),
    ("v4.base64.channel.k8s.io", Protocol::V4Base64),
    ("channel.k8s.io", Protocol::V1),
    ("base64.channel.k8s.io", Protocol::V1Base64),
];

impl Protocol {
    /// How the end of the command is told.
    pub(crate) fn status(self) -> StatusFormat {
        match self {
            Self::V5 | Self::V4 | Self::V4Base64 => StatusFormat::Json,
            Self::V3 | Self::V2 | Self::V1 | Self::V1Base64 => StatusFormat::Text,
        }
    }

    /// A terminal brings a resize stream (over SPDY).
    pub(crate) fn resizes(self) -> bool {
        matches!(self, Self::V5 | Self::V4 | Self::V3)
    }

    /// `[255, channel]` half-closes a channel (over WebSocket).
    pub(crate) fn closes_channels(self) -> bool {
        self == Self::V5
    }

    /// Messages are text: a digit and base64 (over WebSocket).
    pub(crate) fn is_base64(self) -> bool {
        matches!(self, Self::V4Base64 | Self::V1Base64)
    }
}

/// How connections are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// Two SPDY streams per connection.
    Streams,
    /// The same inside the messages of a WebSocket.
    Tunnel,
    /// Two numbered channels per port over WebSocket, in binary or (V4Base64) text messages.
    Channels(Protocol),
}

const FORWARD_SPDY: [(&str, Forwarding); 1] = [("portforward.k8s.io", Forwarding::Streams)];

const FORWARD_WEBSOCKET: [(&str, Forwarding); 3] = [
    ("SPDY/3.1+portforward.k8s.io", Forwarding::Tunnel),
    ("v4.channel.k8s.io", Forwarding::Channels(Protocol::V4)),
    ("v4.base64.channel.k8s.io", Forwarding::Channels(Protocol::V4Base64)),
];

/// What carries the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// SPDY/3.1.
    Spdy,
    /// RFC 6455.
    WebSocket,
}

/// An upgrade that can be granted.
#[derive(Debug, PartialEq)]
pub(crate) struct Upgrade<P = Protocol> {
    /// What carries the channels.
    pub(crate) carrier: Carrier,
    /// The version chosen.
    pub(crate) protocol: P,
    /// Headers of the 101 reply.
    pub(crate) headers: HeaderMap,
}

/// An upgrade that cannot be granted.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    /// 400 or 403.
    pub(crate) status: StatusCode,
    /// For the user.
    pub(crate) text: String,
    /// Headers of the reply.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Decides by the request's headers how a command is run or attached to.
pub(crate) fn negotiate(request: &HeaderMap) -> Result<Upgrade, Refusal> {
    choose(request, &SPDY, &WEBSOCKET, Protocol::V1)
}

/// Decides by the request's headers how connections are forwarded.
pub(crate) fn negotiate_forwarding(request: &HeaderMap) -> Result<Upgrade<Forwarding>, Refusal> {
    choose(request, &FORWARD_SPDY, &FORWARD_WEBSOCKET, Forwarding::Channels(Protocol::V4))
}

/// `unnamed` is for a WebSocket whose client names no protocol.
fn choose<P: Copy>(
    request: &HeaderMap,
    over_spdy: &[(&'static str, P)],
    over_websocket: &[(&'static str, P)],
    unnamed: P,
) -> Result<Upgrade<P>, Refusal> {
    let upgrade = values(request, &UPGRADE);
    let wants_upgrade =
        values(request, &CONNECTION).iter().any(|value| value.eq_ignore_ascii_case("upgrade"));
    if wants_upgrade && upgrade.iter().any(|value| value.eq_ignore_ascii_case("websocket")) {
        return websocket(request, over_websocket, unnamed);
    }
    if !wants_upgrade || !upgrade.iter().any(|value| value.eq_ignore_ascii_case("SPDY/3.1")) {
        return Err(bad_request("unable to upgrade: the request has to ask for SPDY/3.1 or a WebSocket"));
    }
    spdy(request, over_spdy)
}

fn spdy<P: Copy>(request: &HeaderMap, ours: &[(&'static str, P)]) -> Result<Upgrade<P>, Refusal> {
    let wanted = values(request, &STREAM_PROTOCOL);
    if wanted.is_empty() {
        return Err(bad_request("unable to upgrade: header X-Stream-Protocol-Version is missing or empty"));
    }
    let Some((name, protocol)) = first_common(&wanted, ours) else {
        let accepted = ours.iter().map(|(name, _)| (ACCEPTED_PROTOCOLS, HeaderValue::from_static(name)));
        let text = none_in_common(&wanted, ours);
        return Err(Refusal { status: StatusCode::FORBIDDEN, text, headers: accepted.collect() });
    };
    let mut headers = switching("SPDY/3.1");
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(name));
    Ok(Upgrade { carrier: Carrier::Spdy, protocol, headers })
}

fn websocket<P: Copy>(
    request: &HeaderMap,
    ours: &[(&'static str, P)],
    unnamed: P,
) -> Result<Upgrade<P>, Refusal> {
    if request.get(WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut refusal = bad_request("unable to upgrade: only WebSocket version 13 is spoken");
        refusal.headers.push((WEBSOCKET_VERSION, HeaderValue::from_static("13")));
        return Err(refusal);
    }
    let Some(key) = request.get(WEBSOCKET_KEY) else {
        return Err(bad_request("unable to upgrade: header Sec-WebSocket-Key is missing"));
    };
    let wanted = values(request, &WEBSOCKET_PROTOCOL);
    let mut headers = switching("websocket");
    let protocol = if wanted.is_empty() {
        unnamed
    } else {
        let Some((name, protocol)) = first_common(&wanted, ours) else {
            let text = none_in_common(&wanted, ours);
            return Err(Refusal { status: StatusCode::FORBIDDEN, text, headers: Vec::new() });
        };
        headers.insert(WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        protocol
    };
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return Err(bad_request("unable to upgrade: header Sec-WebSocket-Key is malformed"));
    };
    headers.insert(WEBSOCKET_ACCEPT, accept);
    Ok(Upgrade { carrier: Carrier::WebSocket, protocol, headers })
}

fn switching(to: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(to));
    headers
}

fn bad_request(text: &str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, text: text.to_owned(), headers: Vec::new() }
}

fn first_common<P: Copy>(wanted: &[&str], ours: &[(&'static str, P)]) -> Option<(&'static str, P)> {
    wanted.iter().find_map(|wanted| ours.iter().find(|(name, _)| name == wanted)).copied()
}

fn none_in_common<P>(wanted: &[&str], ours: &[(&str, P)]) -> String {
    let ours: Vec<&str> = ours.iter().map(|(name, _)| *name).collect();
    format!("unable to upgrade: the client speaks {}, this node {}", wanted.join(", "), ours.join(", "))
}

/// Values of a header that may be repeated and may hold lists.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|value| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    const SPDY_UPGRADE: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    const WS_UPGRADE: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_clients_order_decides() {
        let spdy = |lines: &[(&'static str, &'static str)]| {
            negotiate(&request(&[&SPDY_UPGRADE[..], lines].concat()))
                .map(|upgrade| (upgrade.carrier, upgrade.protocol))
        };
        let websocket = |lines: &[(&'static str, &'static str)]| {
            negotiate(&request(&[&WS_UPGRADE[..], lines].concat()))
                .map(|upgrade| (upgrade.carrier, upgrade.protocol))
        };
        let version = "x-stream-protocol-version";
        let cases = [
            (spdy(&[(version, "v4.channel.k8s.io, v3.channel.k8s.io")]), Carrier::Spdy, Protocol::V4),
            (spdy(&[(version, "nope"), (version, "v3.channel.k8s.io")]), Carrier::Spdy, Protocol::V3),
            (spdy(&[(version, "channel.k8s.io,v4.channel.k8s.io")]), Carrier::Spdy, Protocol::V1),
            (websocket(&[]), Carrier::WebSocket, Protocol::V1),
            (
                websocket(&[("sec-websocket-protocol", "v5.channel.k8s.io,v4.channel.k8s.io")]),
                Carrier::WebSocket,
                Protocol::V5,
            ),
            (
                websocket(&[("sec-websocket-protocol", "v4.base64.channel.k8s.io")]),
                Carrier::WebSocket,
                Protocol::V4Base64,
            ),
        ];
        for (got, carrier, protocol) in cases {
            assert_eq!(got.unwrap(), (carrier, protocol));
        }
    }

    #[test]
    fn how_connections_are_forwarded() {
        let spdy = |name| [&SPDY_UPGRADE[..], &[("x-stream-protocol-version", name)]].concat();
        let websocket = |name| [&WS_UPGRADE[..], &[("sec-websocket-protocol", name)]].concat();
        let cases = [
            (spdy("portforward.k8s.io"), Some((Carrier::Spdy, Forwarding::Streams))),
            (websocket("SPDY/3.1+portforward.k8s.io"), Some((Carrier::WebSocket, Forwarding::Tunnel))),
            (
                websocket("v4.base64.channel.k8s.io"),
                Some((Carrier::WebSocket, Forwarding::Channels(Protocol::V4Base64))),
            ),
            (WS_UPGRADE.to_vec(), Some((Carrier::WebSocket, Forwarding::Channels(Protocol::V4)))),
            (spdy("v4.channel.k8s.io"), None),
            (websocket("v5.channel.k8s.io"), None),
        ];
        for (lines, expected) in cases {
            let got = negotiate_forwarding(&request(&lines)).ok();
            assert_eq!(got.map(|upgrade| (upgrade.carrier, upgrade.protocol)), expected, "{lines:?}");
        }
    }

    #[test]
    fn replies_name_one_protocol() {
        let headers =
            request(&[&SPDY_UPGRADE[..], &[("x-stream-protocol-version", "v5.channel.k8s.io")]].concat());
        let reply = negotiate(&headers).unwrap().headers;
        assert_eq!(
            reply.get_all("x-stream-protocol-version").iter().collect::<Vec<_>>(),
            ["v5.channel.k8s.io"]
        );
        assert_eq!(reply["upgrade"], "SPDY/3.1");
        let reply = negotiate(&request(&WS_UPGRADE)).unwrap().headers;
        assert_eq!(reply["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!reply.contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn refusals() {
        let none =
            request(&[&SPDY_UPGRADE[..], &[("x-stream-protocol-version", "v9.channel.k8s.io")]].concat());
        let refusal = negotiate(&none).unwrap_err();
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        let accepted: Vec<_> = refusal.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(accepted.len(), SPDY.len());
        assert_eq!(
            accepted[1],
            ("x-accepted-stream-protocol-versions", &HeaderValue::from_static("v4.channel.k8s.io"))
        );
        let foreign = [("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io")];
        let cases = [
            (request(&[]), StatusCode::BAD_REQUEST),
            (request(&SPDY_UPGRADE), StatusCode::BAD_REQUEST),
            (
                request(&[&SPDY_UPGRADE[..], &[("x-stream-protocol-version", " , ")]].concat()),
                StatusCode::BAD_REQUEST,
            ),
            (request(&[("connection", "Upgrade"), ("upgrade", "h2c")]), StatusCode::BAD_REQUEST),
            (request(&WS_UPGRADE[..3]), StatusCode::BAD_REQUEST),
            (request(&WS_UPGRADE[..2]), StatusCode::BAD_REQUEST),
            (request(&[&WS_UPGRADE[..], &foreign].concat()), StatusCode::FORBIDDEN),
        ];
        for (headers, status) in cases {
            assert_eq!(negotiate(&headers).unwrap_err().status, status, "{headers:?}");
        }
    }
}
