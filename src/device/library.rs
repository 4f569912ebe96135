//! All profiles at hand: the shipped ones, compiled in, and those of the user.

use super::error::ProfileError;
use super::profile::Profile;
use crate::domain::Protocol;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A shipped profile as `build.rs` embeds it.
struct Shipped {
    id: &'static str,
    file: &'static str,
    text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/shipped_profiles.rs"));

/// Profiles by id. Shipped ones are parsed when first asked for.
#[derive(Debug, Default)]
pub struct Library {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    source: Option<(&'static str, &'static str)>,
    profile: OnceLock<Option<Arc<Profile>>>,
}

impl Library {
    /// The shipped profiles.
    #[must_use]
    pub fn builtin() -> Self {
        let entry = |shipped: &Shipped| {
            let entry = Entry {
                source: Some((shipped.file, shipped.text)),
                profile: OnceLock::new(),
            };
            (shipped.id.to_owned(), entry)
        };
        Self {
            entries: SHIPPED.iter().map(entry).collect(),
        }
    }

    /// Adds a user's profile, or puts it in the place of one with the same id. `file` is for messages.
    ///
    /// # Errors
    /// Every mistake in the file; the library is unchanged then.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Vec<ProfileError>> {
        let profile = Arc::new(Profile::parse(file, text)?);
        let id = profile.id().to_owned();
        self.entries.insert(
            id,
            Entry {
                source: None,
                profile: OnceLock::from(Some(profile)),
            },
        );
        Ok(())
    }

    /// The profile of an id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Profile>> {
        let entry = self.entries.get(id)?;
        // A test holds that every shipped profile parses.
        let parse = || {
            entry
                .source
                .and_then(|(file, text)| Profile::parse(file, text).ok())
                .map(Arc::new)
        };
        entry.profile.get_or_init(parse).clone()
    }

    /// The profiles that speak a protocol, by their ids.
    pub fn speaking(&self, protocol: Protocol) -> impl Iterator<Item = (&str, Arc<Profile>)> {
        let speaks =
            move |id| Some((id, self.get(id)?)).filter(|(_, profile)| profile.protocol() == protocol);
        self.ids().filter_map(speaks)
    }

    /// All ids, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_sound() {
        for shipped in SHIPPED {
            let profile = Profile::parse(shipped.file, shipped.text);
            let errors = profile
                .as_ref()
                .err()
                .into_iter()
                .flatten()
                .map(ToString::to_string);
            assert_eq!(errors.collect::<Vec<_>>(), Vec::<String>::new());
            assert_eq!(profile.unwrap().id(), shipped.id);
        }
        assert_eq!(Library::builtin().ids().count(), SHIPPED.len());
    }

    #[test]
    fn the_users_profile_wins_over_the_shipped_one() {
        let mut library = Library::builtin();
        let shipped = library.get("eastron-sdm120").unwrap();
        let text = SHIPPED
            .iter()
            .find(|shipped| shipped.id == "eastron-sdm120")
            .unwrap()
            .text;
        library
            .add(
                "mine.toml",
                &text.replace("vendor = \"Eastron\"", "vendor = \"Mine\""),
            )
            .unwrap();
        assert_eq!(library.get("eastron-sdm120").unwrap().about().vendor, "Mine");
        assert_eq!(shipped.about().vendor, "Eastron");
        assert!(library.add("bad.toml", "id = 1").is_err());
        assert_eq!(library.get("eastron-sdm120").unwrap().about().vendor, "Mine");
    }
}
