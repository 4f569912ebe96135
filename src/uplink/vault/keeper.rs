//! The credentials beside the loop of a link: requests are judged one after another, and answered once what they change
//! is on the disk.

use super::super::connect::{Dial, Peer};
use super::super::error::ConnectError;
use super::kept::{self, Kept};
use super::{CHANGED, Vault};
use crate::domain::{CommandId, Credentials, SecurityEvent, VaultAnswer, VaultRequest};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

/// What has been done.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Work {
    /// The answer and the request it is for; `None`: nobody asked.
    pub(in super::super) answer: Option<(CommandId, VaultAnswer)>,
    /// The security event it comes to.
    pub(in super::super) event: Option<SecurityEvent>,
}

struct Writing {
    next: Kept,
    done: BoxFuture<'static, bool>,
    work: Work,
}

/// The keeper of the credentials of one link.
pub(in super::super) struct Keeper {
    vault: Vault,
    waiting: VecDeque<(CommandId, VaultRequest)>,
    writing: Option<Writing>,
    /// What a connection has settled, to be written as soon as nothing else is.
    settled: Option<&'static str>,
}

impl Keeper {
    pub(in super::super) fn new(vault: Vault) -> Self {
        Self {
            vault,
            waiting: VecDeque::new(),
            writing: None,
            settled: None,
        }
    }

    pub(in super::super) fn dial(&self) -> Dial {
        self.vault.dial()
    }

    pub(in super::super) fn credentials(&self) -> Credentials {
        self.vault.credentials()
    }

    pub(in super::super) fn ask(&mut self, id: CommandId, request: VaultRequest) {
        self.waiting.push_back((id, request));
    }

    /// A connection has come about.
    pub(in super::super) fn opened(&mut self, peer: Peer) {
        // Held from now on, whether or not the disk takes it: the next start would only try it once more.
        if let Some((next, words)) = self.vault.opened(peer) {
            tracing::info!(cp = %self.vault.cp, csms = %self.vault.csms.name, "{words}");
            self.vault.adopt(next);
            self.settled = Some(words);
        }
    }

    /// A connection has not come about.
    pub(in super::super) fn refused(&mut self, error: &ConnectError) {
        self.vault.refused(error);
    }

    /// Whether a certificate that had to wait for its time is to be used now.
    pub(in super::super) fn switches_now(&mut self) -> bool {
        self.vault.switches_now()
    }

    /// Whether nothing is left to write.
    pub(in super::super) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.waiting.is_empty() && self.settled.is_none()
    }

    /// The next thing done; never, while there is nothing to do. Cancel safe.
    pub(in super::super) async fn next(&mut self) -> Work {
        poll_fn(|cx| {
            if self.writing.is_none()
                && let Some(work) = self.begin()
            {
                return Poll::Ready(work);
            }
            let Some(writing) = &mut self.writing else {
                return Poll::Pending;
            };
            match writing.done.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(is_durable) => match self.writing.take() {
                    Some(Writing { next, work, .. }) => Poll::Ready(self.finish(next, work, is_durable)),
                    None => Poll::Pending,
                },
            }
        })
        .await
    }

    fn finish(&mut self, next: Kept, mut work: Work, is_durable: bool) -> Work {
        match (&mut work.answer, is_durable) {
            (Some(_), true) => self.vault.adopt(next),
            (Some((_, answer)), false) => {
                *answer = VaultAnswer::Failed("it cannot be kept");
                work.event = None;
            }
            (None, _) => {}
        }
        work
    }

    /// Takes up what waits; gives what needs no writing.
    fn begin(&mut self) -> Option<Work> {
        if let Some(words) = self.settled.take() {
            let event = Some(SecurityEvent::new(CHANGED, Some(words)));
            self.write(self.vault.kept.clone(), Work { answer: None, event });
            return None;
        }
        let (id, request) = self.waiting.pop_front()?;
        let verdict = self.vault.judge(&request);
        if let VaultAnswer::Refused(why) | VaultAnswer::Failed(why) = &verdict.answer {
            let (cp, csms) = (&self.vault.cp, &self.vault.csms.name);
            tracing::warn!(%cp, %csms, "a change of the credentials by the CSMS is refused: {why}");
        }
        let work = Work {
            answer: Some((id, verdict.answer)),
            event: verdict.event,
        };
        match verdict.next {
            Some(next) => {
                self.write(next, work);
                None
            }
            None => Some(work),
        }
    }

    fn write(&mut self, next: Kept, work: Work) {
        let (path, text) = (self.vault.path.clone(), next.clone());
        let save = move || match path {
            Some(path) => kept::save(&path, &text).map_err(|error| (path, error)),
            None => Ok(()),
        };
        let done = Box::pin(async move {
            match tokio::task::spawn_blocking(save).await {
                Ok(Ok(())) => true,
                Ok(Err((path, error))) => {
                    tracing::error!("{} cannot be written: {error}", path.display());
                    false
                }
                Err(_) => false,
            }
        });
        self.writing = Some(Writing { next, done, work });
    }
}
