//! What is asked of the certificates: install, name, delete, request, take.

use super::super::trust::{self, Moment};
use super::kept::{Client, Held, Kept, Pending, Root};
use super::{INVALID, Vault, Verdict, begins_later, installed, x509};
use crate::domain::{CertificateHash, CertificateUse, HashAlgorithm, ROOTS_MAX, SecurityEvent, VaultAnswer};
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

impl Vault {
    /// M05.
    pub(super) fn install(&self, usage: CertificateUse, pem: &str, moment: Moment) -> Verdict {
        let Some(der) = x509::one(pem) else {
            return Verdict::refused("it is not one certificate in PEM");
        };
        if let Err(why) = x509::check_root(&der, moment) {
            return Verdict::refused(why);
        }
        if self.installed(usage).any(|one| one == der) {
            return Verdict::of(VaultAnswer::Done { reconnect: false });
        }
        if self.kept.roots.len() >= ROOTS_MAX {
            return Verdict::refused("there is no room for another certificate");
        }
        let mut next = self.kept.clone();
        next.roots.push(Root {
            usage: usage.into(),
            pem: pem.to_owned(),
        });
        let words = format!("root certificate installed: {}", x509::subject(&der));
        Verdict::changed(next, false, &words)
    }

    /// M03.
    pub(super) fn list(&self, usage: CertificateUse) -> Verdict {
        let mut found: Vec<CertificateHash> = Vec::new();
        let chosen = match usage {
            CertificateUse::CentralSystemRoot => self.chosen(),
            CertificateUse::ManufacturerRoot => Vec::new(),
        };
        for one in self.installed(usage).chain(chosen) {
            if let Some(hash) = x509::hash_of_root(&one, HashAlgorithm::Sha256)
                && !found.contains(&hash)
            {
                found.push(hash);
            }
        }
        Verdict::of(VaultAnswer::Listed(found))
    }

    /// M04.
    pub(super) fn delete(&self, wanted: &CertificateHash, moment: Moment) -> Verdict {
        let is_it = |der: &CertificateDer<'static>| {
            x509::hash_of_root(der, wanted.algorithm).is_some_and(|hash| x509::is_same(&hash, wanted))
        };
        let mut next = self.kept.clone();
        next.roots
            .retain(|root| !x509::one(&root.pem).is_some_and(|der| is_it(&der)));
        if next.roots.len() == self.kept.roots.len() {
            return Verdict::of(if self.chosen().iter().any(is_it) {
                VaultAnswer::Failed("it was put there by the operator")
            } else if self.is_our_own(wanted) {
                VaultAnswer::Failed("the charge point's own certificate cannot be deleted")
            } else {
                VaultAnswer::NotFound
            });
        }
        if self.trusts_peer(&self.kept, moment) && !self.trusts_peer(&next, moment) {
            return Verdict::of(VaultAnswer::Failed(
                "the present connection is checked against it",
            ));
        }
        Verdict::changed(next, false, "root certificate deleted")
    }

    fn is_our_own(&self, wanted: &CertificateHash) -> bool {
        let clients = [Some(&self.kept.held), self.kept.trial.as_ref()];
        let mut clients = clients
            .into_iter()
            .flatten()
            .filter_map(|held| held.client.as_ref());
        clients.any(|client| {
            let chain = x509::chain(&client.chain).unwrap_or_default();
            chain.first().is_some_and(|own| x509::is_named(own, wanted))
        })
    }

    /// Whether the certificate of the other side is good with what is kept here.
    fn trusts_peer(&self, kept: &Kept, moment: Moment) -> bool {
        let Some(peer) = &self.peer else { return false };
        let Some((own, intermediates)) = peer.chain.split_first() else {
            return false;
        };
        let installed: Vec<_> = installed(kept, CertificateUse::CentralSystemRoot).collect();
        let roots = trust::roots(self.trust_dir.as_deref(), &installed);
        let Ok(name) = ServerName::try_from(peer.host.clone()) else {
            return false;
        };
        trust::library(roots).is_some_and(|library| {
            moment
                .judge(|at: UnixTime| library.verify_server_cert(own, intermediates, &name, &[], at))
                .is_ok()
        })
    }

    /// A02 and A03, the request. A key that waits already is given up for the new one.
    pub(super) fn request(&self, common_name: &str, organisation: &str) -> Verdict {
        match x509::request(common_name, organisation) {
            Ok((key, csr)) => Verdict {
                next: Some(Kept {
                    pending: Some(Pending {
                        key,
                        common_name: common_name.to_owned(),
                        organisation: organisation.to_owned(),
                    }),
                    ..self.kept.clone()
                }),
                ..Verdict::of(VaultAnswer::Request(csr))
            },
            Err(error) => {
                tracing::error!(cp = %self.cp, "a key for a certificate cannot be made: {error}");
                Verdict::of(VaultAnswer::Failed("a key cannot be made"))
            }
        }
    }

    /// A02 and A03, the certificate.
    pub(super) fn signed(&self, pem: &str, moment: Moment) -> Verdict {
        let refused = |why: &'static str| Verdict {
            event: Some(SecurityEvent::new(INVALID, Some(why))),
            ..Verdict::refused(why)
        };
        let Some(pending) = &self.kept.pending else {
            return refused("no certificate was requested");
        };
        let Some(chain) = x509::chain(pem) else {
            return refused("it is not a chain of certificates in PEM");
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.central_roots());
        let names = (pending.common_name.as_str(), pending.organisation.as_str());
        if let Err(why) = x509::check_own(&chain, &pending.key, names, roots, moment) {
            return refused(why);
        }
        let client = Some(Client {
            chain: pem.to_owned(),
            key: pending.key.clone(),
        });
        let mut next = Kept {
            pending: None,
            ..self.kept.clone()
        };
        let in_use = self.profile(self.base()) == 3;
        let reconnect = in_use && !begins_later(pem, moment);
        if in_use {
            next.trial = Some(Held {
                client,
                ..self.base().clone()
            });
        } else {
            if let Some(trial) = &mut next.trial {
                trial.client.clone_from(&client);
            }
            next.held.client = client;
        }
        Verdict::changed(next, reconnect, "certificate of the charge point")
    }
}
