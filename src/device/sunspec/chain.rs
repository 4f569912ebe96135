//! Which models a profile needs, where it takes them to be, and where they really are.

/// Where a list usually begins.
pub(super) const USUAL_BASE: u16 = 40_000;
/// Registers of the marker in front of the list, and of a model's id and length.
pub(super) const HEAD: u16 = 2;

/// Registers behind id and length of the models the gateway knows.
fn length(model: u16) -> Option<u16> {
    Some(match model {
        // Common.
        1 => 66,
        // Inverters, integers and floats.
        101..=103 => 50,
        111..=113 => 60,
        // Nameplate, immediate controls, storage.
        120 => 26,
        123 | 124 => 24,
        // Meters, integers and floats.
        201..=204 => 105,
        211..=214 => 124,
        _ => return None,
    })
}

/// A model as found in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its id.
    pub id: u16,
    /// Address of the id.
    pub at: u16,
    /// Registers behind id and length.
    pub length: u16,
}

impl Model {
    /// Whether it is as long as its definition says. The common model may go without its pad.
    fn is_sound(self) -> bool {
        length(self.id) == Some(self.length) || (self.id, self.length) == (1, 65)
    }
}

/// A list as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Address of the marker.
    pub base: u16,
    /// The models in order.
    pub models: Vec<Model>,
}

/// One place of a profile's list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Models with the same layout that may stand there.
    models: Vec<u16>,
    at: u16,
    length: u16,
}

/// From where the profile takes registers to be to where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    from: u16,
    length: u16,
    to: u16,
}

impl Place {
    /// Where a register of this place is; `None`: it belongs to another.
    pub(super) fn new_address(self, address: u16) -> Option<u16> {
        let offset = address
            .checked_sub(self.from)
            .filter(|offset| *offset < self.length)?;
        self.to.checked_add(offset)
    }
}

/// The models a profile needs, in the order of its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    parts: Vec<Part>,
}

impl Chain {
    /// A list of models; alternatives stand together and have the same layout.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(list: &[Vec<u16>]) -> Result<Self, String> {
        let (mut parts, mut at) = (Vec::new(), USUAL_BASE + HEAD);
        for models in list {
            let first = models.first().ok_or("expected at least one model")?;
            let unknown = models.iter().find(|model| length(**model).is_none());
            if let Some(model) = unknown {
                return Err(format!("model {model} is not known"));
            }
            let length = length(*first).unwrap_or(0);
            if models.iter().any(|model| self::length(*model) != Some(length)) {
                return Err("the alternatives do not have the same layout".to_owned());
            }
            parts.push(Part {
                models: models.clone(),
                at,
                length,
            });
            at += HEAD + length;
            if parts.len() > 8 {
                return Err("expected at most 8 models".to_owned());
            }
        }
        if parts.is_empty() {
            return Err("expected at least one model".to_owned());
        }
        Ok(Self { parts })
    }

    /// Whether registers lie within the marker or one of the models.
    #[must_use]
    pub fn holds(&self, address: u16, width: u16) -> bool {
        let (first, end) = (u32::from(address), u32::from(address) + u32::from(width));
        let within = |from: u16, length: u16| {
            let from = u32::from(from);
            from <= first && end <= from + u32::from(length)
        };
        within(USUAL_BASE, HEAD) || self.parts.iter().any(|part| within(part.at, HEAD + part.length))
    }

    /// Where everything is in a list. The n-th model of the last kind decides; of the others the one in front of it
    /// counts, as each device behind a gateway has a common model of its own.
    pub(super) fn places(&self, found: &Found, nth: u16) -> Option<Vec<Place>> {
        let fits = |part: &Part, model: &Model| part.models.contains(&model.id) && model.is_sound();
        let (last, others) = self.parts.split_last()?;
        let mut of_last = found
            .models
            .iter()
            .enumerate()
            .filter(|(_, model)| fits(last, model));
        let (index, target) = of_last.nth(usize::from(nth.saturating_sub(1)))?;
        let mut places = vec![
            Place {
                from: USUAL_BASE,
                length: HEAD,
                to: found.base,
            },
            last.place(*target),
        ];
        for part in others {
            let in_front = found.models[..index].iter().rev().find(|model| fits(part, model));
            let model = in_front.or_else(|| found.models[index..].iter().find(|model| fits(part, model)))?;
            places.push(part.place(*model));
        }
        Some(places)
    }
}

impl Part {
    fn place(&self, model: Model) -> Place {
        Place {
            from: self.at,
            length: HEAD + self.length,
            to: model.at,
        }
    }
}
