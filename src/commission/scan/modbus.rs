//! Modbus units: RTU at likely settings, then all ids; ASCII as ABL's boxes speak it; TCP.

use super::{Attempt, Depth, Event, Scan, Speech, Spot, Who};
use crate::commission::identify::{Memory, framed, identify};
use crate::commission::judge::Verdict;
use crate::commission::medium::Medium;
use crate::commission::talk::{Talk, Told};
use crate::commission::{LIKELY_UNITS, Settings, USUAL};
use crate::device::{Block, Pdu, ReadFc};
use crate::domain::Framing;
use std::io;
use std::time::Duration;

/// Settings that a full scan tries with every unit id.
const FULL_SETTINGS: usize = 4;
/// Wait for an answer over TCP, and for further answers of a unit that has answered.
const PATIENCE: Duration = Duration::from_millis(400);
/// Wait for the answer of a box that speaks ASCII, which comes within 13 ms, and rest before the next request
/// (05001520 Rev. B asks for 100 ms).
const ASCII_PATIENCE: Duration = Duration::from_millis(100);
/// Unit ids of ABL's boxes; behind a device server each costs so long that only the first are likely.
const ASCII_UNITS: std::ops::RangeInclusive<u8> = 1..=16;
const LIKELY_ASCII_UNITS: std::ops::RangeInclusive<u8> = 1..=4;
/// Unit ids that network chargers and gateways answer to.
const TCP_UNITS: [u8; 9] = [255, 1, 2, 71, 100, 180, 200, 247, 248];

impl<M: Medium> Scan<'_, M> {
    /// RTU with likely settings and ids; the ids found.
    pub(super) async fn likely_units(&mut self) -> io::Result<Vec<u8>> {
        let mut seen = Vec::new();
        for settings in USUAL {
            self.units(settings, &LIKELY_UNITS, &mut seen).await?;
        }
        Ok(seen)
    }

    /// RTU with the commonest settings and all other ids.
    pub(super) async fn all_units(&mut self, mut seen: Vec<u8>) -> io::Result<()> {
        let rest: Vec<u8> = (1..=247).filter(|unit| !LIKELY_UNITS.contains(unit)).collect();
        for settings in &USUAL[..FULL_SETTINGS] {
            self.units(*settings, &rest, &mut seen).await?;
        }
        Ok(())
    }

    async fn units(&mut self, settings: Settings, units: &[u8], seen: &mut Vec<u8>) -> io::Result<()> {
        if !self.speaks(Framing::Rtu) {
            return Ok(());
        }
        self.trying(Some(settings), Framing::Rtu);
        self.medium.open(settings).await?;
        let mut noisy = false;
        for unit in units {
            // A unit that was found at other settings is not looked for again.
            if seen.contains(unit) {
                continue;
            }
            let told = self.knock(Framing::Rtu, settings.patience(), *unit, &ANY).await?;
            let verdict = &told.judged.verdict;
            if verdict.is_alive() {
                seen.push(*unit);
                self.unit(Some(settings), Framing::Rtu, *unit, (ANY, told))
                    .await?;
            } else if matches!(verdict, Verdict::Damaged(_)) && !noisy {
                noisy = true;
                (self.tell)(Event::Noise(Some(settings)));
            }
        }
        Ok(())
    }

    /// ASCII, with what the profiles that are framed so answer to; `serial`: at their settings.
    pub(super) async fn ascii(&mut self, serial: bool) -> io::Result<()> {
        let mut done: Vec<(Option<Settings>, Pdu)> = Vec::new();
        for profile in self
            .profiles
            .iter()
            .filter(|profile| framed(profile, Framing::Ascii))
        {
            let settings = profile.link().serial.map(Settings::from).filter(|_| serial);
            // A box of ABL answers nothing to a register that is not the first of a block.
            let Some(question) = profile.identify_reads().first().map(Block::pdu) else {
                continue;
            };
            if done.contains(&(settings, question.clone())) {
                continue;
            }
            self.trying(settings, Framing::Ascii);
            if let Some(settings) = settings {
                self.medium.open(settings).await?;
            }
            let few = !serial && self.depth == Depth::Likely;
            for unit in if few { LIKELY_ASCII_UNITS } else { ASCII_UNITS } {
                let patience = if serial { ASCII_PATIENCE } else { PATIENCE };
                let told = self.knock(Framing::Ascii, patience, unit, &question).await?;
                if told.judged.verdict.is_alive() {
                    let known = (question.clone(), told);
                    self.medium.listen(ASCII_PATIENCE).await?;
                    self.unit(settings, Framing::Ascii, unit, known).await?;
                    self.medium.listen(ASCII_PATIENCE).await?;
                }
            }
            done.push((settings, question));
        }
        Ok(())
    }

    /// Units behind a TCP connection.
    pub(super) async fn units_behind(&mut self, framing: Framing) -> io::Result<()> {
        self.trying(None, framing);
        let rest: Vec<u8> = (1..=247).filter(|unit| !TCP_UNITS.contains(unit)).collect();
        let rest = if self.depth == Depth::Full { &rest[..] } else { &[] };
        for unit in TCP_UNITS.iter().chain(rest) {
            let told = self.knock(framing, PATIENCE, *unit, &ANY).await?;
            let verdict = &told.judged.verdict;
            // 0x0A and 0x0B come from a gateway whose unit is not there (Modbus Application Protocol V1.1b3, 7).
            if verdict.is_alive() && !matches!(verdict, Verdict::Exception(0x0A | 0x0B)) {
                self.unit(None, framing, *unit, (ANY, told)).await?;
                if *unit == 255 && self.depth == Depth::Likely {
                    // A device that answers to 255 is usually alone and answers to every id.
                    break;
                }
            }
        }
        Ok(())
    }

    async fn knock(
        &mut self,
        framing: Framing,
        timeout: Duration,
        unit: u8,
        question: &Pdu,
    ) -> io::Result<Told> {
        self.tally.knocks += 1;
        let mut talk = Talk {
            medium: &mut *self.medium,
            framing,
            timeout,
            thorough: false,
        };
        talk.ask(unit, question).await
    }

    /// A unit that answered; what it `said` to which question is not asked again.
    async fn unit(
        &mut self,
        settings: Option<Settings>,
        framing: Framing,
        unit: u8,
        said: (Pdu, Told),
    ) -> io::Result<()> {
        let spot = Spot {
            settings,
            speech: Speech::Modbus(framing),
            who: Who::Unit(unit),
        };
        self.found(&spot);
        let mut talk = Talk {
            medium: &mut *self.medium,
            framing,
            // Somebody who answers may think longer about other registers.
            timeout: PATIENCE,
            thorough: false,
        };
        let memory = Memory::of(said);
        let matches = identify(&mut talk, unit, self.profiles, settings, memory).await?;
        (self.tell)(Event::Identified {
            spot,
            matches,
            says: String::new(),
        });
        Ok(())
    }

    fn trying(&mut self, settings: Option<Settings>, framing: Framing) {
        (self.tell)(Event::Trying {
            settings,
            attempt: Attempt::Ask(Speech::Modbus(framing)),
        });
    }
}

/// What almost every device answers, be it with a refusal.
const ANY: Pdu = Pdu::Read {
    fc: ReadFc::HoldingRegisters,
    addr: 0,
    count: 1,
};
