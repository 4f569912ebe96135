//! The local authorisation list as 1.6 sends it (sections 5.10, 5.15, 7.1; errata 3.52).
//!
//! Rules: switched off, the list has version -1 and cannot be sent; a list over `SendLocalListMaxLength`, a version
//! below 1 and a full list with a token of which nothing is said are `Failed` and change nothing.

use super::super::dialect::Reaction;
use super::super::read::{auth_status, cut};
use super::V16;
use super::accept::{ask, say};
use super::keys::MAX_SENT_LIST;
use crate::domain::{Command, IdToken, ListUpdate, TokenInfo, TokenKind};
use ocpp_kit::v1_6::{
    GetLocalListVersionResponse, IdTagInfo, SendLocalListRequest, SendLocalListResponse, UpdateStatus,
    UpdateType,
};

/// Told of a list that is switched off (section 5.10).
const NOT_SUPPORTED: i32 = -1;

impl V16 {
    /// GetLocalListVersion.req.
    pub(super) fn list_version(&self) -> Reaction {
        if self.keys.flag("LocalAuthListEnabled") {
            ask(Command::ListVersion)
        } else {
            say(&GetLocalListVersionResponse::new(NOT_SUPPORTED))
        }
    }

    /// SendLocalList.req.
    pub(super) fn send_list(&self, request: SendLocalListRequest) -> Reaction {
        if !self.keys.flag("LocalAuthListEnabled") {
            return say(&SendLocalListResponse::new(UpdateStatus::NotSupported));
        }
        let sent = request.local_authorization_list.unwrap_or_default();
        if sent.len() > MAX_SENT_LIST {
            return say(&SendLocalListResponse::new(UpdateStatus::Failed));
        }
        let entries = sent.into_iter().map(|entry| {
            let info = entry.id_tag_info.map(|info| token_info(&info));
            (IdToken::new(entry.id_tag, TokenKind::Iso14443), info)
        });
        ask(Command::SendList(ListUpdate {
            version: request.list_version,
            whole: request.update_type != UpdateType::Differential,
            entries: entries.collect(),
        }))
    }
}

fn token_info(info: &IdTagInfo) -> TokenInfo {
    TokenInfo {
        status: auth_status(info.status.as_str()),
        group: info.parent_id_tag.as_ref().and_then(|group| cut(group, 20)),
        expires_ms: info.expiry_date.map(|at| at.timestamp().as_millisecond()),
        known_since: None,
    }
}
