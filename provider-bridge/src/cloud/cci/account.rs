//! Who calls CCI: the signed headers of a request.

use http::{HeaderMap, HeaderName, header};
use jiff::Timestamp;

use crate::cloud::CloudError;
use crate::cloud::encoding::sha256_hex;
use crate::cloud::http_client::authority;
use crate::cloud::kubelike::{Account, Answer, Call, Refusal, Signed, header_value};

use super::classify::classify;
use super::credentials::Keys;
use super::settings::CciSettings;
use super::sign::{self, Signable};

/// One Huawei account in one project.
#[derive(Debug)]
pub(super) struct HuaweiAccount {
    keys: Keys,
    authority: String,
    project_id: String,
}

impl HuaweiAccount {
    /// Reads the credentials for the first time.
    pub(super) fn new(settings: &CciSettings) -> Result<Self, CloudError> {
        Ok(Self {
            keys: Keys::load(settings.credentials.clone())?,
            authority: authority(&settings.endpoint)?,
            project_id: settings.project_id.clone(),
        })
    }
}

impl Account for HuaweiAccount {
    fn sign(&self, call: &Call, at: Timestamp) -> Result<Signed, Refusal> {
        let keys = self.keys.current();
        let date = sign::sdk_date(at);
        let mut signed = vec![
            ("host", self.authority.clone()),
            ("x-project-id", self.project_id.clone()),
            ("x-sdk-date", date.clone()),
        ];
        let content_type = call.body.as_ref().map_or("application/json", |body| body.content_type);
        signed.push(("content-type", content_type.to_owned()));
        let payload_hash = match &call.body {
            Some(body) if !sign::signs_payload(body.content_type) => {
                signed.push(("x-sdk-content-sha256", sign::UNSIGNED_PAYLOAD.to_owned()));
                sign::UNSIGNED_PAYLOAD.to_owned()
            }
            Some(body) => sha256_hex(&body.bytes),
            None => sha256_hex(b""),
        };
        let request = Signable {
            method: call.method.as_str(),
            path: &call.path,
            query: &call.query,
            headers: &signed,
            payload_hash: &payload_hash,
        };
        let authorization = sign::authorization(&keys, &date, &request);
        let mut headers = HeaderMap::new();
        for (name, value) in signed {
            headers.insert(HeaderName::from_static(name), header_value(&call.operation, &value)?);
        }
        headers.insert(header::AUTHORIZATION, header_value(&call.operation, &authorization)?);
        Ok(Signed { headers, generation: keys.generation })
    }

    fn reread(&self) -> Option<u64> {
        Some(self.keys.reread()?.generation)
    }

    fn classify(&self, answer: &Answer<'_>) -> Refusal {
        classify(answer)
    }
}
