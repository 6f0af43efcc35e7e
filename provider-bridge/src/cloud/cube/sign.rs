//! UCloud's signature: SHA-1 over the sorted names and values and the private key, without separators or encoding.
//!
//! Pure. Facts: the vendor's page on signatures; the vectors are its own and those of its SDKs.

use aws_lc_rs::digest;

use crate::cloud::encoding::hex;

/// The parameter `Signature` for every other parameter, `PublicKey` among them.
pub(super) fn sign(parameters: &[(String, String)], private: impl AsRef<[u8]>) -> String {
    let text = signed(parameters);
    let hash =
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[text.as_bytes(), private.as_ref()].concat());
    hex(hash.as_ref())
}

/// Sorted as bytes: `X.10` comes before `X.2`.
fn signed(parameters: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = parameters.iter().collect();
    pairs.sort_unstable();
    pairs.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::parameters::flatten;
    use super::*;

    const PUBLIC: &str = "ucloudsomeone@example.com1296235120854146120";
    const PRIVATE: &str = "46f09bb9fab4f12dfc160dae12273d5332b5debe";

    fn pairs(tree: &Value, public: &str) -> Vec<(String, String)> {
        let mut pairs = flatten(tree.as_object().unwrap());
        pairs.push(("PublicKey".to_owned(), public.to_owned()));
        pairs
    }

    fn host() -> Value {
        json!({"Action": "CreateUHostInstance", "CPU": 2, "ChargeType": "Month", "DiskSpace": 10,
            "ImageId": "f43736e1-65a5-4bea-ad2e-8a46e18883c2", "LoginMode": "Password", "Memory": 2048,
            "Name": "Host01", "Password": "VUNsb3VkLmNu", "Quantity": 1, "Region": "cn-bj2", "Zone": "cn-bj2-04"})
    }

    /// The samples of the vendor's page and of its SDKs.
    #[test]
    fn published_vectors() {
        let check = |tree: Value, public: &str, private: &str, wanted: &str| {
            assert_eq!(sign(&pairs(&tree, public), private), wanted, "{tree}");
        };
        let first = json!({"Action": "DescribeUHostInstance", "Region": "cn-bj2", "Limit": 10});
        assert_eq!(
            signed(&pairs(&first, PUBLIC)),
            "ActionDescribeUHostInstanceLimit10PublicKeyucloudsomeone@example.com1296235120854146120Regioncn-bj2"
        );
        check(first, PUBLIC, PRIVATE, "cba5cf5ec4d4233d206b1b54951e3787350a642f");
        check(host(), PUBLIC, PRIVATE, "4f9ef5df2abab2c6fccd1e9515cb7e2df8c6bb65");
        let backends: Vec<&str> = ["foo", "bar", "42"].into_iter().cycle().take(12).collect();
        let many = json!({"Action": "AllocateBackendBatch", "Backends": backends});
        check(many, PUBLIC, PRIVATE, "6bc32642779f8cb0bb3d3f128b1c0688abf9a1a3");
        let mut token = host();
        token["SecurityToken"] = json!("some_stoken");
        check(token, PUBLIC, PRIVATE, "170c480ad176a247b324eb92a2cfe536aacfbd04");
        let typed = json!({"foo": "bar", "b": true, "f": 42.0, "g": 1.5});
        check(typed, "my_public_key", "my_private_key", "cc8b5769f9a8bd1ebf310e1cb87533f3a0771735");
    }

    /// Recorded from the vendor's own signer.
    #[test]
    fn recorded_vectors() {
        let create = json!({"Action": "CreateCubePod", "Region": "cn-bj2", "Zone": "cn-bj2-05", "ProjectId": "org-xyz",
            "VPCId": "uvnet-1", "SubnetId": "subnet-1",
            "Pod": "YXBpVmVyc2lvbjogdjEKa2luZDogUG9kCnNwZWM6CiAgY29udGFpbmVyczogW10K"});
        assert_eq!(sign(&pairs(&create, "testPub"), "testPriv"), "252117a2b4912fc49d39eb79044502ebf2101fd5");
        let delete = json!({"Action": "DeleteCubePod", "Region": "cn-bj2", "Zone": "cn-bj2-05", "ProjectId": "org-xyz",
            "CubeId": "cube-abc123", "ReleaseEIP": true});
        assert_eq!(sign(&pairs(&delete, "testPub"), "testPriv"), "1f873abcec9a2f18811a039c814a41ff96f0827a");
    }
}
