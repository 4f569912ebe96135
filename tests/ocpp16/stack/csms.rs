//! The CSMS of a story: it accepts everything unless the story says otherwise.

use retrovolt::uplink::ConnectError;
use retrovolt::uplink::vault::Appearance;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub struct Csms {
    /// `idTagInfo` of a tag; accepted where nothing is said.
    pub tags: BTreeMap<String, Value>,
    /// Status and interval of the answer to BootNotification.
    pub boot: (&'static str, i64),
    /// It answers nothing.
    pub silent: bool,
    /// It refuses this action so often with this code.
    pub refuses: Vec<(&'static str, &'static str, u32)>,
    /// It does not answer this action.
    pub ignores: Option<&'static str>,
    /// The password it wants, where it wants one.
    pub password: Option<Vec<u8>>,
    /// The client certificate it wants in profile 3, where it wants a certain one.
    pub certificate: Option<String>,
    /// It lets nobody in with a lower security profile.
    pub least_profile: u8,
    /// It is not reached by TLS.
    pub no_tls: bool,
    /// Its own certificate, and what comes with it.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the last connection looked like.
    pub seen: Option<Appearance>,
    /// The last payload of each action.
    pub heard: BTreeMap<String, Value>,
    transactions: i32,
}

impl Default for Csms {
    fn default() -> Self {
        Self {
            tags: BTreeMap::new(),
            boot: ("Accepted", 3_600),
            silent: false,
            refuses: Vec::new(),
            ignores: None,
            password: None,
            certificate: None,
            least_profile: 0,
            no_tls: false,
            chain: Vec::new(),
            seen: None,
            heard: BTreeMap::new(),
            transactions: 0,
        }
    }
}

impl Csms {
    /// Whether it lets a connection come about; gives the certificates it shows.
    pub fn admits(&mut self, seen: &Appearance) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
        self.seen = Some(seen.clone());
        let tls = seen.url.starts_with("wss:");
        if tls && self.no_tls {
            return Err(ConnectError::Tls {
                host: "localhost".into(),
                reason: "it speaks none".into(),
            });
        }
        let password = seen.password.as_ref().map(|password| password.bytes().to_vec());
        let known = match seen.profile {
            3 => self.certificate.is_none() || self.certificate == seen.chain,
            _ => self.password.is_none() || self.password == password,
        };
        if !known || seen.profile < self.least_profile {
            return Err(ConnectError::Unauthorized);
        }
        Ok(if tls { self.chain.clone() } else { Vec::new() })
    }

    pub fn words(error: &ConnectError) -> &'static str {
        match error {
            ConnectError::Unauthorized => "401",
            _ => "TLS",
        }
    }

    /// What it says of a tag from now on.
    pub fn judge(&mut self, tag: &str, status: &str) {
        self.tags.insert(tag.to_owned(), json!({"status": status}));
    }

    /// The same, with a parent.
    pub fn relate(&mut self, tag: &str, parent: &str) {
        self.tags.insert(
            tag.to_owned(),
            json!({"status": "Accepted", "parentIdTag": parent}),
        );
    }

    /// It refuses an action so often.
    pub fn refuse(&mut self, action: &'static str, code: &'static str, times: u32) {
        self.refuses.push((action, code, times));
    }

    fn tag(&self, payload: &Value) -> Value {
        let tag = payload["idTag"].as_str().unwrap_or_default();
        self.tags
            .get(tag)
            .cloned()
            .unwrap_or_else(|| json!({"status": "Accepted"}))
    }

    pub fn answer(&mut self, id: &str, action: &str, payload: &Value, time: &str) -> Option<String> {
        self.heard.insert(action.to_owned(), payload.clone());
        if self.silent || self.ignores == Some(action) {
            return None;
        }
        let refusal = self
            .refuses
            .iter_mut()
            .find(|(refused, _, times)| *refused == action && *times > 0);
        if let Some((_, code, times)) = refusal {
            *times -= 1;
            return Some(json!([4, id, code, "", {}]).to_string());
        }
        let result = match action {
            "BootNotification" => {
                let (status, interval) = self.boot;
                json!({"status": status, "interval": interval, "currentTime": time})
            }
            "Heartbeat" => json!({"currentTime": time}),
            "Authorize" => json!({"idTagInfo": self.tag(payload)}),
            "StartTransaction" => {
                self.transactions += 1;
                json!({"transactionId": self.transactions, "idTagInfo": self.tag(payload)})
            }
            "SignCertificate" => json!({"status": "Accepted"}),
            "StopTransaction" if payload["idTag"].is_string() => json!({"idTagInfo": self.tag(payload)}),
            _ => json!({}),
        };
        Some(json!([3, id, result]).to_string())
    }
}
