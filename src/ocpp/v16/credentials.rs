//! Passwords, security profile and certificates in 1.6 (security whitepaper edition 3, use cases A01 to A05, M03 to M05).
//!
//! What belongs to the message is judged here; what belongs to files, keys and clocks by whoever keeps the credentials
//! of the link. The password is write-only: no key of that name is ever told.

use super::super::dialect::{Call, Reaction, Reply};
use super::super::wallclock::to_raw;
use super::V16;
use super::accept::say;
use crate::domain::{CertificateHash, CertificateUse, HashAlgorithm, Secret, VaultAnswer, VaultRequest};
use ocpp_kit::rpc::CallError;
use ocpp_kit::v1_6::{
    Action, CertificateHashData, CertificateSignedRequest, CertificateSignedResponse,
    CertificateSignedStatus, CertificateUse as WireUse, ChangeConfigurationResponse, ConfigurationStatus,
    DeleteCertificateRequest, DeleteCertificateResponse, DeleteCertificateStatus,
    ExtendedTriggerMessageResponse, GetInstalledCertificateIdsRequest, GetInstalledCertificateIdsResponse,
    GetInstalledCertificateStatus, HashAlgorithm as WireHash, InstallCertificateRequest,
    InstallCertificateResponse, InstallCertificateStatus, SignCertificateRequest, TriggerMessageStatus,
};
use serde_json::value::RawValue;

/// The write-only key of the password (whitepaper 7.2).
const PASSWORD_KEY: &str = "AuthorizationKey";
/// The key of the profile (whitepaper 7.6).
pub(super) const PROFILE_KEY: &str = "SecurityProfile";

/// Length of a password in bytes: at least 16 (A00.FR.205); as text up to the 40 characters of edition 3.
const SHORTEST: usize = 16;
const LONGEST_TEXT: usize = 40;

/// A value of ChangeConfiguration that concerns the credentials; `Err`: it cannot be taken.
pub(super) fn change(key: &str, value: &str) -> Option<Result<VaultRequest, ()>> {
    if key.eq_ignore_ascii_case(PASSWORD_KEY) {
        return Some(password(value).map(VaultRequest::Password).ok_or(()));
    }
    if key.eq_ignore_ascii_case(PROFILE_KEY) {
        let profile = match value.trim().as_bytes() {
            [digit @ b'0'..=b'3'] => Ok(VaultRequest::Profile(digit - b'0')),
            _ => Err(()),
        };
        return Some(profile);
    }
    None
}

/// 32 to 40 hexadecimal digits are 16 to 20 bytes; any other 16 to 40 characters are the password itself.
fn password(value: &str) -> Option<Secret> {
    let whole = value.len().is_multiple_of(2) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if (2 * SHORTEST..=LONGEST_TEXT).contains(&value.len()) && whole {
        let bytes = (0..value.len()).step_by(2).map(|at| {
            value
                .get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        return bytes.collect::<Option<Vec<u8>>>().map(Secret::new);
    }
    let fits = (SHORTEST..=LONGEST_TEXT).contains(&value.chars().count());
    (fits && !value.chars().any(char::is_control)).then(|| Secret::new(value))
}

fn usage(wire: &WireUse) -> Option<CertificateUse> {
    match wire.as_str() {
        "CentralSystemRootCertificate" => Some(CertificateUse::CentralSystemRoot),
        "ManufacturerRootCertificate" => Some(CertificateUse::ManufacturerRoot),
        _ => None,
    }
}

fn algorithm(wire: &WireHash) -> Option<HashAlgorithm> {
    match wire.as_str() {
        "SHA256" => Some(HashAlgorithm::Sha256),
        "SHA384" => Some(HashAlgorithm::Sha384),
        "SHA512" => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

fn hash_data(hash: &CertificateHash) -> CertificateHashData {
    let algorithm = match hash.algorithm {
        HashAlgorithm::Sha256 => WireHash::SHA256,
        HashAlgorithm::Sha384 => WireHash::SHA384,
        HashAlgorithm::Sha512 => WireHash::SHA512,
    };
    CertificateHashData::new(
        algorithm,
        hash.issuer_name.as_str(),
        hash.issuer_key.as_str(),
        hash.serial.as_str(),
    )
}

fn vault(request: VaultRequest) -> Reaction {
    Reply::Vault(request).into()
}

/// ChangeConfiguration.conf.
pub(super) fn changed(accepted: bool) -> ChangeConfigurationResponse {
    ChangeConfigurationResponse::new(if accepted {
        ConfigurationStatus::Accepted
    } else {
        ConfigurationStatus::Rejected
    })
}

/// InstallCertificate.req (M05).
pub(super) fn install(request: InstallCertificateRequest) -> Reaction {
    match usage(&request.certificate_type) {
        Some(usage) => vault(VaultRequest::Install {
            usage,
            pem: request.certificate,
        }),
        None => say(&InstallCertificateResponse::new(
            InstallCertificateStatus::Rejected,
        )),
    }
}

/// DeleteCertificate.req (M04).
pub(super) fn delete(request: DeleteCertificateRequest) -> Reaction {
    let wire = request.certificate_hash_data;
    match algorithm(&wire.hash_algorithm) {
        Some(algorithm) => vault(VaultRequest::Delete(CertificateHash {
            algorithm,
            issuer_name: wire.issuer_name_hash,
            issuer_key: wire.issuer_key_hash,
            serial: wire.serial_number,
        })),
        None => say(&DeleteCertificateResponse::new(DeleteCertificateStatus::NotFound)),
    }
}

/// GetInstalledCertificateIds.req (M03).
pub(super) fn list(request: &GetInstalledCertificateIdsRequest) -> Reaction {
    match usage(&request.certificate_type) {
        Some(usage) => vault(VaultRequest::List(usage)),
        None => say(&GetInstalledCertificateIdsResponse::new(
            GetInstalledCertificateStatus::NotFound,
        )),
    }
}

/// CertificateSigned.req (A02, A03). A chain longer than `CertificateSignedMaxChainSize` is no such message at all.
pub(super) fn signed(request: CertificateSignedRequest) -> Reaction {
    vault(VaultRequest::Signed {
        chain: request.certificate_chain,
    })
}

/// SignCertificate.req (whitepaper 5.17).
pub(super) fn sign(csr: &str) -> Call {
    Call::new("SignCertificate", &SignCertificateRequest::new(csr))
}

/// The keeper's answer in the words of the message.
pub(super) fn answer(action: &str, answer: &VaultAnswer) -> Result<Box<RawValue>, CallError> {
    let done = matches!(answer, VaultAnswer::Done { .. });
    let rendered = match Action::from_wire(action) {
        Some(Action::ChangeConfiguration) => to_raw(&changed(done)),
        Some(Action::InstallCertificate) => to_raw(&InstallCertificateResponse::new(match answer {
            VaultAnswer::Done { .. } => InstallCertificateStatus::Accepted,
            VaultAnswer::Failed(_) => InstallCertificateStatus::Failed,
            _ => InstallCertificateStatus::Rejected,
        })),
        Some(Action::DeleteCertificate) => to_raw(&DeleteCertificateResponse::new(match answer {
            VaultAnswer::Done { .. } => DeleteCertificateStatus::Accepted,
            VaultAnswer::NotFound => DeleteCertificateStatus::NotFound,
            _ => DeleteCertificateStatus::Failed,
        })),
        Some(Action::GetInstalledCertificateIds) => to_raw(&match answer {
            VaultAnswer::Listed(found) if !found.is_empty() => {
                GetInstalledCertificateIdsResponse::new(GetInstalledCertificateStatus::Accepted)
                    .with_certificate_hash_data(found.iter().map(hash_data).collect())
            }
            _ => GetInstalledCertificateIdsResponse::new(GetInstalledCertificateStatus::NotFound),
        }),
        Some(Action::CertificateSigned) => to_raw(&CertificateSignedResponse::new(if done {
            CertificateSignedStatus::Accepted
        } else {
            CertificateSignedStatus::Rejected
        })),
        Some(Action::ExtendedTriggerMessage) => {
            let accepted = matches!(answer, VaultAnswer::Request(_));
            to_raw(&ExtendedTriggerMessageResponse::new(if accepted {
                TriggerMessageStatus::Accepted
            } else {
                TriggerMessageStatus::Rejected
            }))
        }
        _ => return Err(CallError::internal("the credentials have no answer that fits")),
    };
    Ok(rendered)
}

impl V16 {
    /// A request for a certificate: CN is the serial number, or where none is configured the identity (A00.FR.511), O is
    /// `CpoName` (A02.FR.13), without which none can be made.
    pub(super) fn certificate_for(&self) -> Option<VaultRequest> {
        let organisation = self.keys.text("CpoName");
        (!organisation.is_empty()).then(|| VaultRequest::Sign {
            common_name: self.cp.serial.clone().unwrap_or_else(|| self.cp.id.to_string()),
            organisation: organisation.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &str) -> Option<Vec<u8>> {
        password(value).map(|secret| secret.bytes().to_vec())
    }

    #[test]
    fn hexadecimal_digits_are_bytes_and_other_text_is_itself() {
        assert_eq!(bytes(&"00ff".repeat(8)), Some([0, 255].repeat(8)));
        assert_eq!(bytes(&"AbCd".repeat(10)), Some([0xab, 0xcd].repeat(10)));
        assert_eq!(bytes("0123456789abcdef"), Some(b"0123456789abcdef".to_vec()));
        assert_eq!(bytes("sixteen-letters!"), Some(b"sixteen-letters!".to_vec()));
        let odd = "0".repeat(33);
        assert_eq!(bytes(&odd), Some(odd.clone().into_bytes()));
        let long = "g".repeat(40);
        assert_eq!(bytes(&long), Some(long.clone().into_bytes()));
        assert_eq!(bytes("päßwörter_16_lang"), Some("päßwörter_16_lang".into()));
        for bad in [
            "",
            "fifteen-letters",
            &"g".repeat(41),
            &"0".repeat(42),
            "a line\nof two lines",
        ] {
            assert_eq!(bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_profile_is_one_digit() {
        for (value, profile) in [
            ("0", Some(0)),
            ("3", Some(3)),
            (" 2 ", Some(2)),
            ("4", None),
            ("02", None),
            ("", None),
        ] {
            let wanted = profile.map(VaultRequest::Profile).ok_or(());
            assert_eq!(change("securityprofile", value), Some(wanted), "{value:?}");
        }
        assert_eq!(change("HeartbeatInterval", "2"), None);
    }

    #[test]
    fn a_password_is_never_printed() {
        let request = change("AuthorizationKey", "sixteen-letters!");
        assert_eq!(format!("{request:?}"), "Some(Ok(Password(***)))");
    }
}
