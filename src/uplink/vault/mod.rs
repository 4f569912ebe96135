//! The credentials of one link: what a CSMS may change of them, what the next connection uses, and the way back.
//!
//! * what a CSMS sets wins over the configuration and is kept in a file of its own ([`kept`]);
//! * a change is a trial until a connection has come about with it; then it is what is held, and there is no way back;
//! * a trial that the CSMS refuses is over once the link has come about with what was held before. While neither works
//!   (an outage, a CSMS that restarts) both are tried in turn;
//! * the security profile only rises (A05); below the one that is held nothing is ever tried.

mod certificates;
mod keeper;
mod kept;
mod x509;

pub(super) use keeper::{Keeper, Work};

use super::connect::{Dial, Peer};
use super::error::ConnectError;
use super::tls::Login;
use super::traffic::Traffic;
use super::trust::{self, Moment};
use crate::domain::{
    CertificateUse, Clock, CpId, Credentials, CsmsSetup, HashAlgorithm, Now, Secret, Security, SecurityEvent,
    VaultAnswer, VaultRequest,
};
use kept::{Client, Held, Kept, Usage};
use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Failures in a row that say nothing about the credentials, after which the others get a turn.
const PATIENCE: u32 = 3;

/// The security event of a change (whitepaper section 8).
const CHANGED: &str = "ReconfigurationOfSecurityParameters";
/// The security event of a signed certificate that is refused, as 2.x names it.
const INVALID: &str = "InvalidChargingStationCertificate";

/// What a CSMS sees of a charge point that connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appearance {
    /// Security profile.
    pub profile: u8,
    /// Where it comes to.
    pub url: String,
    /// Its password.
    pub password: Option<Secret>,
    /// Its client certificate, PEM, if that was signed for the CSMS.
    pub chain: Option<String>,
}

/// What a request comes to.
struct Verdict {
    answer: VaultAnswer,
    /// What is to be made durable first.
    next: Option<Kept>,
    event: Option<SecurityEvent>,
}

impl Verdict {
    fn of(answer: VaultAnswer) -> Self {
        Self {
            answer,
            next: None,
            event: None,
        }
    }

    fn refused(why: &'static str) -> Self {
        Self::of(VaultAnswer::Refused(why))
    }

    fn changed(next: Kept, reconnect: bool, what: &str) -> Self {
        Self {
            answer: VaultAnswer::Done { reconnect },
            next: Some(next),
            event: Some(SecurityEvent::new(CHANGED, Some(what))),
        }
    }
}

/// The credentials of one link.
pub struct Vault {
    csms: CsmsSetup,
    cp: CpId,
    trust_dir: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    /// Where changes are kept; without it there can be none.
    path: Option<PathBuf>,
    kept: Kept,
    /// Whose turn it is among [`Vault::ways`].
    turn: usize,
    failures: u32,
    /// The certificate on trial begins later.
    waits: bool,
    /// The other side of the present connection.
    peer: Option<Peer>,
    /// Counts what goes through every connection.
    traffic: Arc<Traffic>,
}

impl Vault {
    /// The credentials of a link as configured and as changed over OCPP, which is kept in `state_dir`.
    #[must_use]
    pub fn open(
        csms: CsmsSetup,
        cp: CpId,
        trust_dir: Option<PathBuf>,
        state_dir: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let path = state_dir.map(|dir| kept::path_of(dir, &cp, &csms.name));
        let kept = path.as_deref().map(kept::load).unwrap_or_default();
        let mut vault = Self {
            kept: Kept::default(),
            csms,
            cp,
            trust_dir,
            clock,
            path,
            turn: 0,
            failures: 0,
            waits: false,
            peer: None,
            traffic: Arc::default(),
        };
        vault.adopt(kept);
        vault
    }

    /// The present by the clock of this link.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    fn moment(&self) -> Moment {
        Moment::of(self.clock.as_ref())
    }

    fn profile(&self, held: &Held) -> u8 {
        held.profile.unwrap_or(0).max(self.csms.security_profile())
    }

    fn password(&self, held: &Held) -> Option<Secret> {
        match (&held.password, &self.csms.security) {
            (Some(kept), _) => Some(kept.clone()),
            (None, Security::Basic { password }) => Some(Secret::new(password.as_str())),
            (None, Security::None | Security::Client { .. }) => None,
        }
    }

    fn login(&self, held: &Held) -> Login {
        match (self.profile(held), &held.client, &self.csms.security) {
            (0, ..) => Login::Nothing,
            (1 | 2, ..) => self.password(held).map_or(Login::Nothing, Login::Basic),
            (_, Some(Client { chain, key }), _) => Login::Kept {
                chain: chain.clone(),
                key: key.clone(),
            },
            (_, None, Security::Client { certificate, key }) => Login::Files {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            (_, None, Security::None | Security::Basic { .. }) => Login::Nothing,
        }
    }

    fn url(&self, held: &Held) -> String {
        match self.csms.url.strip_prefix("ws://") {
            Some(rest) if self.profile(held) >= 2 => match &self.csms.secure_url {
                Some(url) => url.clone(),
                None => format!("wss://{rest}"),
            },
            _ => self.csms.url.clone(),
        }
    }

    /// What may be tried, the best first.
    fn ways(&self) -> Vec<Held> {
        let held = &self.kept.held;
        let trial = self.kept.trial.iter().filter(|_| !self.waits);
        let mut ways: Vec<Held> = trial.cloned().collect();
        ways.push(held.clone());
        // The operator may have put right in the configuration what the CSMS had changed.
        let configured = match self.csms.security {
            Security::Basic { .. } => held.password.is_some() && self.profile(held) < 3,
            Security::Client { .. } => held.client.is_some(),
            Security::None => false,
        };
        if configured {
            ways.push(Held {
                profile: held.profile,
                ..Held::default()
            });
        }
        ways
    }

    fn way(&self) -> Held {
        let ways = self.ways();
        let turn = self.turn % ways.len().max(1);
        ways.into_iter().nth(turn).unwrap_or_default()
    }

    /// What the next connection is opened with.
    pub(super) fn dial(&self) -> Dial {
        let way = self.way();
        Dial {
            setup: CsmsSetup {
                url: self.url(&way),
                ..self.csms.clone()
            },
            cp: self.cp.clone(),
            login: self.login(&way),
            trust_dir: self.trust_dir.clone(),
            installed: self.installed(CertificateUse::CentralSystemRoot).collect(),
            clock: Arc::clone(&self.clock),
            traffic: Arc::clone(&self.traffic),
        }
    }

    /// What a CSMS will see of the next connection.
    #[must_use]
    pub fn appearance(&self) -> Appearance {
        let way = self.way();
        let (password, chain) = match self.login(&way) {
            Login::Basic(password) => (Some(password), None),
            Login::Kept { chain, .. } => (None, Some(chain)),
            Login::Nothing | Login::Files { .. } => (None, None),
        };
        Appearance {
            profile: self.profile(&way),
            url: self.url(&way),
            password,
            chain,
        }
    }

    /// Carries a request out: judged, written and in force when it returns. Blocks on the disk.
    pub fn carry_out(&mut self, request: &VaultRequest) -> (VaultAnswer, Option<SecurityEvent>) {
        let verdict = self.judge(request);
        if let (Some(next), Some(path)) = (verdict.next, &self.path) {
            if kept::save(path, &next).is_err() {
                return (VaultAnswer::Failed("it cannot be kept"), None);
            }
            self.adopt(next);
        }
        (verdict.answer, verdict.event)
    }

    /// A connection has come about, with a CSMS that showed these certificates. Blocks on the disk.
    pub fn succeeded(&mut self, host: &str, chain: Vec<CertificateDer<'static>>) -> Option<SecurityEvent> {
        let peer = Peer {
            host: host.to_owned(),
            chain,
        };
        let (next, words) = self.opened(peer)?;
        if let Some(path) = &self.path {
            // Held all the same: the next start would only try it once more.
            let _ = kept::save(path, &next);
        }
        self.adopt(next);
        Some(SecurityEvent::new(CHANGED, Some(words)))
    }

    /// How the link presents itself at its next or present connection.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        let way = self.way();
        let certificate = match self.login(&way) {
            Login::Kept { chain, .. } => x509::chain(&chain).and_then(|chain| chain.into_iter().next()),
            Login::Files { certificate, .. } => trust::certificates(&certificate)
                .ok()
                .and_then(|chain| chain.into_iter().next()),
            Login::Nothing | Login::Basic(_) => None,
        };
        let validity = certificate.and_then(|one| x509::validity(&one));
        Credentials {
            profile: self.profile(&way),
            expires_ms: validity.map(|(_, until)| until.saturating_mul(1_000)),
        }
    }

    fn installed(&self, usage: CertificateUse) -> impl Iterator<Item = CertificateDer<'static>> {
        installed(&self.kept, usage)
    }

    /// Roots of the trust directory, which the operator has chosen for his CSMSs.
    fn chosen(&self) -> Vec<CertificateDer<'static>> {
        let files = trust::chosen(self.trust_dir.as_deref());
        let all = files.filter_map(|(_, found)| found.ok()).flatten();
        all.filter(|one| x509::hash_of_root(one, HashAlgorithm::Sha256).is_some())
            .collect()
    }

    /// Roots that somebody has chosen for this CSMS: those of the system stand for nobody in particular.
    fn central_roots(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.installed(CertificateUse::CentralSystemRoot)
            .chain(self.chosen())
    }

    /// A connection has come about: what it used is what holds from now on.
    fn opened(&mut self, peer: Peer) -> Option<(Kept, &'static str)> {
        let way = self.way();
        self.peer = Some(peer);
        (self.turn, self.failures) = (0, 0);
        let settled = self.kept.trial.is_none() || self.waits;
        if settled && way == self.kept.held {
            return None;
        }
        let proven = self.kept.trial.as_ref() == Some(&way);
        let next = Kept {
            held: way,
            trial: self.kept.trial.clone().filter(|_| self.waits),
            ..self.kept.clone()
        };
        let words = if proven {
            "the new credentials are in use"
        } else {
            "the CSMS did not take the new credentials; the old ones are in use"
        };
        Some((next, words))
    }

    /// A connection did not come about: another way gets its turn where the credentials may be at fault.
    pub fn refused(&mut self, error: &ConnectError) {
        self.peer = None;
        self.failures += 1;
        if error.is_about_credentials() || self.failures >= PATIENCE {
            self.failures = 0;
            self.turn = (self.turn + 1) % self.ways().len().max(1);
        }
    }

    /// Judges a request; what it changes holds once it is durable and [`Vault::adopt`]ed.
    fn judge(&self, request: &VaultRequest) -> Verdict {
        let moment = self.moment();
        if self.path.is_none() && !matches!(request, VaultRequest::List(_)) {
            return Verdict::of(VaultAnswer::Failed("there is no place to keep it"));
        }
        match request {
            VaultRequest::Password(password) => self.set_password(password),
            VaultRequest::Profile(profile) => self.raise(*profile, moment),
            VaultRequest::Install { usage, pem } => self.install(*usage, pem, moment),
            VaultRequest::Delete(hash) => self.delete(hash, moment),
            VaultRequest::List(usage) => self.list(*usage),
            VaultRequest::Sign {
                common_name,
                organisation,
            } => self.request(common_name, organisation),
            VaultRequest::Signed { chain } => self.signed(chain, moment),
        }
    }

    fn adopt(&mut self, next: Kept) {
        if next.trial != self.kept.trial {
            (self.turn, self.failures) = (0, 0);
        }
        self.kept = next;
        self.waits = self.trial_begins_later();
    }

    fn trial_begins_later(&self) -> bool {
        let client = self.kept.trial.as_ref().and_then(|trial| trial.client.as_ref());
        let moment = self.moment();
        client.is_some_and(|client| begins_later(&client.chain, moment))
    }

    /// Whether a certificate that had to wait for its time can be used from now on (A02.FR.08).
    fn switches_now(&mut self) -> bool {
        if !self.waits || self.trial_begins_later() {
            return false;
        }
        (self.waits, self.turn) = (false, 0);
        true
    }

    /// What a further change starts from.
    fn base(&self) -> &Held {
        self.kept.trial.as_ref().unwrap_or(&self.kept.held)
    }

    fn try_out(&self, trial: Held) -> Kept {
        Kept {
            trial: Some(trial),
            ..self.kept.clone()
        }
    }

    /// A01. Profile 0 keeps it for a rise to come; with profile 3 it would never be used.
    fn set_password(&self, password: &Secret) -> Verdict {
        let words = "AuthorizationKey";
        let new = Held {
            password: Some(password.clone()),
            ..self.base().clone()
        };
        match self.profile(self.base()) {
            0 => {
                let held = Held {
                    password: Some(password.clone()),
                    ..self.kept.held.clone()
                };
                let next = Kept {
                    held,
                    ..self.kept.clone()
                };
                Verdict::changed(next, false, words)
            }
            1 | 2 => Verdict::changed(self.try_out(new), true, words),
            _ => Verdict::refused("security profile 3 knows no password"),
        }
    }

    /// A05.
    fn raise(&self, to: u8, moment: Moment) -> Verdict {
        let base = self.base();
        let from = self.profile(base);
        let secured = self.csms.url.starts_with("wss:");
        let missing = if to <= from {
            Some("the security profile can only be raised")
        } else if to == 1 && secured {
            Some("profile 1 would give TLS up")
        } else if to < 3 && self.password(base).is_none() {
            Some("there is no password")
        } else if to >= 2
            && !self
                .central_roots()
                .any(|one| x509::check_root(&one, moment).is_ok())
        {
            Some("there is no root certificate of the CSMS")
        } else if to >= 3 && !self.has_client(base, moment) {
            Some("there is no valid certificate of the charge point")
        } else {
            None
        };
        if let Some(why) = missing {
            return Verdict::refused(why);
        }
        let trial = Held {
            profile: Some(to),
            ..base.clone()
        };
        Verdict::changed(
            self.try_out(trial),
            true,
            &format!("SecurityProfile {from} to {to}"),
        )
    }

    fn has_client(&self, held: &Held, moment: Moment) -> bool {
        let own = held.client.as_ref().and_then(|client| x509::chain(&client.chain));
        own.and_then(|chain| x509::validity(chain.first()?))
            .is_some_and(|(from, until)| moment.is_within(from, until))
    }
}

fn installed(kept: &Kept, usage: CertificateUse) -> impl Iterator<Item = CertificateDer<'static>> {
    let usage = Usage::from(usage);
    let roots = kept.roots.iter().filter(move |root| root.usage == usage);
    roots.filter_map(|root| x509::one(&root.pem))
}

/// Whether a chain cannot be used before a later moment.
fn begins_later(chain: &str, moment: Moment) -> bool {
    let own = x509::chain(chain).and_then(|chain| x509::validity(chain.first()?));
    moment.is_now && own.is_some_and(|(from, _)| from > moment.unix_s)
}
