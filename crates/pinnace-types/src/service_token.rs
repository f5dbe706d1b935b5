//! The token of each service: made from the hub's, so that nobody has to keep or pass a list of them.
//!
//! It is the service's name, a dot, and HMAC-SHA-256 (RFC 2104) of the name under the hub's token. The supervisor gives it to
//! the service, the hub recognises it; who has one cannot make another.

use sha2::{Digest as _, Sha256};

use crate::{Secret, ServiceName};

/// The length of a block of SHA-256.
const BLOCK: usize = 64;

/// The token by which the hub knows a service.
pub fn service_token(hub: &Secret<String>, service: &ServiceName) -> Secret<String> {
    let signature = hmac(hub.expose().as_bytes(), format!("pinnace service {service}").as_bytes());
    let digits: String = signature.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect();
    Secret::new(format!("{service}.{digits}"))
}

/// The service whose token this is, if it is one.
pub fn service_of_token(hub: &Secret<String>, candidate: &str) -> Option<ServiceName> {
    let (name, _) = candidate.split_once('.')?;
    let service = ServiceName::try_new(name).ok()?;
    service_token(hub, &service).matches(candidate).then_some(service)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 })
}

#[cfg(test)]
mod tests {
    use super::{hmac, service_of_token, service_token};
    use crate::Secret;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let expected = [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7];
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?")[..16], expected);
        let expected = [0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f];
        assert_eq!(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")[..8], expected);
    }

    #[test]
    fn a_token_tells_its_service_and_no_other() {
        let hub = Secret::new("0123456789abcdef".to_owned());
        let orders = service_token(&hub, &"orders".parse().unwrap());
        assert_eq!(service_of_token(&hub, orders.expose()), Some("orders".parse().unwrap()));
        let forged = orders.expose().replace("orders", "payments");
        for wrong in [forged.as_str(), "", "orders", "orders.", &orders.expose()[..40]] {
            assert_eq!(service_of_token(&hub, wrong), None, "{wrong}");
        }
        assert_eq!(service_of_token(&Secret::new("another".to_owned()), orders.expose()), None);
    }
}
