//! What is not Modbus: listened for, or asked one question that changes nothing.

use super::{Attempt, Event, Scan, Speech, Spot, Who};
use crate::commission::Settings;
use crate::commission::identify::Match;
use crate::commission::medium::Medium;
use crate::device::{Confidence, Hail, Profile, Voice, answer, hail, voices};
use crate::domain::Parity;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What was heard is looked at so often.
const SLICE: Duration = Duration::from_millis(250);
/// An answer that began is given up after this pause.
const BROKEN_OFF: Duration = Duration::from_millis(500);
/// Most bytes kept of what is heard; longer than any telegram.
const MOST_BYTES: usize = 64 * 1024;

impl<M: Medium> Scan<'_, M> {
    /// Asks those who answer a question of their own; `serial`: at their settings.
    pub(super) async fn ask_others(&mut self, serial: bool) -> io::Result<()> {
        for profile in self.profiles {
            let Some(Hail::Ask {
                question,
                patience,
                times,
            }) = hail(profile)
            else {
                continue;
            };
            let settings = profile.link().serial.map(Settings::from).filter(|_| serial);
            self.telling(settings, Attempt::Ask(Speech::Other(profile.protocol())));
            if let Some(settings) = settings {
                self.medium.open(settings).await?;
            }
            let more = |heard: &[u8]| answer(heard, profile).is_none().then_some(BROKEN_OFF);
            let mut noisy = false;
            for _ in 0..times {
                let heard = self.medium.ask(&question, patience, &more).await?.bytes;
                if let Some(voice) = answer(&heard, profile) {
                    self.introduce(settings, voice);
                    return Ok(());
                }
                noisy |= !heard.is_empty() && heard != question;
            }
            if noisy {
                (self.tell)(Event::Noise(settings));
            }
        }
        Ok(())
    }

    /// Listens at the speeds of those who speak by themselves, but not at these; at which.
    pub(super) async fn listen_at_all_but(&mut self, but: &[u32]) -> io::Result<Vec<u32>> {
        let mut done = Vec::new();
        for (profile, _) in self.listened_for() {
            let Some(serial) = profile.link().serial else {
                continue;
            };
            if but.contains(&serial.baud) || done.contains(&serial.baud) {
                continue;
            }
            // A character of 7 bits and parity is as long as one of 8 bits, so these settings hear both.
            let settings = Settings::new(serial.baud, Parity::None);
            self.medium.open(settings).await?;
            if self.listen(Some(settings)).await? {
                break;
            }
            done.push(serial.baud);
        }
        Ok(done)
    }

    /// Listens for all who speak by themselves; whether somebody did.
    pub(super) async fn listen(&mut self, settings: Option<Settings>) -> io::Result<bool> {
        self.wait_for(settings, Vec::new(), false).await
    }

    /// As [`Self::listen`], with what was heard already, which may be `enough` to tell.
    pub(super) async fn wait_for(
        &mut self,
        settings: Option<Settings>,
        mut heard: Vec<u8>,
        enough: bool,
    ) -> io::Result<bool> {
        let here: Vec<(Arc<Profile>, Duration)> = self
            .listened_for()
            .into_iter()
            .filter(|(profile, _)| {
                let baud = profile.link().serial.map(|serial| serial.baud);
                settings.is_none_or(|settings| baud == Some(settings.baud))
            })
            .collect();
        let profiles: Vec<Arc<Profile>> = here.iter().map(|(profile, _)| Arc::clone(profile)).collect();
        let window = here.iter().map(|(_, window)| *window).max();
        let mut left = window.filter(|_| !enough).unwrap_or_default();
        if !left.is_zero() {
            self.telling(settings, Attempt::Listen);
        }
        let mut known = Vec::new();
        loop {
            let anybody = self.tell_voices(settings, &heard, &profiles, &mut known);
            // Several may share the line and speak one after the other.
            let all = anybody && known.contains(&Who::Alone);
            if all || left.is_zero() {
                return Ok(anybody);
            }
            let slice = SLICE.min(left);
            heard.extend(self.medium.listen(slice).await?);
            heard.drain(..heard.len().saturating_sub(MOST_BYTES));
            left -= slice;
        }
    }

    /// Tells of everybody in these bytes who is not `known` yet; whether anybody is.
    fn tell_voices(
        &mut self,
        settings: Option<Settings>,
        heard: &[u8],
        profiles: &[Arc<Profile>],
        known: &mut Vec<Who>,
    ) -> bool {
        for voice in voices(heard, profiles) {
            let who = who(&voice);
            if known.contains(&who) {
                continue;
            }
            known.push(who);
            let settings = settings.map(|settings| as_heard(settings, &voice, heard));
            if voice.led {
                (self.tell)(Event::Master(voice.profiles[0].protocol()));
            }
            self.introduce(settings, voice);
        }
        !known.is_empty()
    }

    fn introduce(&mut self, settings: Option<Settings>, voice: Voice) {
        let spot = Spot {
            settings,
            speech: Speech::Other(voice.profiles[0].protocol()),
            who: who(&voice),
        };
        self.found(&spot);
        let matches = voice
            .profiles
            .into_iter()
            .enumerate()
            .map(|(place, profile)| Match {
                as_delivered: settings.is_some() && profile.link().serial.map(Settings::from) == settings,
                // Its protocol is beyond doubt; who understands less of it is the less likely.
                confidence: if place == 0 {
                    Confidence::High
                } else {
                    Confidence::Low
                },
                checks: 1,
                profile,
            });
        (self.tell)(Event::Identified {
            spot,
            matches: matches.collect(),
            says: voice.says,
        });
    }

    /// Those who speak by themselves, and within what time.
    fn listened_for(&self) -> Vec<(Arc<Profile>, Duration)> {
        let window = |profile: &Arc<Profile>| match hail(profile)? {
            Hail::Listen(window) => Some((Arc::clone(profile), window)),
            Hail::Ask { .. } => None,
        };
        self.profiles.iter().filter_map(window).collect()
    }

    fn telling(&mut self, settings: Option<Settings>, attempt: Attempt) {
        (self.tell)(Event::Trying { settings, attempt });
    }
}

fn who(voice: &Voice) -> Who {
    voice.address.clone().map_or(Who::Alone, Who::Address)
}

/// The settings a device was heard at: those of 7 bits and parity where the eighth bit of its text is one.
fn as_heard(settings: Settings, voice: &Voice, heard: &[u8]) -> Settings {
    let own = voice.profiles[0].link().serial.map(Settings::from);
    let even = heard.iter().any(|byte| byte & 0x80 != 0)
        && heard.iter().filter(|byte| byte.count_ones() % 2 == 0).count() * 10 >= heard.len() * 9;
    match own {
        Some(own) if own.data_bits == 7 && own.parity == Parity::Even && even => own,
        _ => settings,
    }
}
