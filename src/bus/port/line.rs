//! One exchange on a serial line (Modbus over Serial Line V1.02), with RTU or ASCII frames.
//!
//! Rules kept here:
//! * silence of at least t3.5 from the last byte of traffic, ours or another's, before each request (2.5.1.1);
//! * what came in unasked is dropped before the request;
//! * one request at a time; only its own answer ends the wait, everything else is dropped until the time-out;
//! * a request without its own answer leaves a ghost, see [`super::ghost`].

use super::ascii::{AsciiScan, PAUSE};
use super::ghost::Ghosts;
use super::scan::{BROKEN_OFF, Found, Scan, Wanted};
use super::serial::Pace;
use super::think::Think;
use super::{Exchange, Fault, Seen, Wire, read};
use crate::bus::frame::{Answer, FrameError, ascii, rtu};
use crate::bus::timer::Timer;
use crate::device::{Pdu, Reply};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// A line that is never silent is spoken on anyway after this: a stop must get its chance in any noise.
const BABBLE: Duration = Duration::from_millis(150);
/// An answer later than this is given up when a stop waits.
const OVERDUE: Duration = Duration::from_millis(150);
/// The port takes our bytes within this and their own time, or it is lost.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// After so many requests in a row without a byte a TCP connection counts as dead.
const SILENT_LIMIT: u8 = 3;
/// After so many reads in a row with an echo the line counts as echoing, and after as many without as not.
const ECHO_SURE: u8 = 3;

/// How frames are told apart on a line.
enum Framer {
    /// By their length and CRC.
    Rtu(Scan),
    /// By their first character and the line end.
    Ascii(AsciiScan),
}

impl Framer {
    fn encode(&self, unit: u8, pdu: &Pdu) -> Result<Vec<u8>, FrameError> {
        match self {
            Self::Rtu(_) => rtu::encode(unit, pdu),
            Self::Ascii(_) => ascii::encode(unit, pdu),
        }
    }

    fn answer_bytes(&self, pdu: &Pdu) -> usize {
        match self {
            Self::Rtu(_) => rtu::answer_bytes(pdu),
            Self::Ascii(_) => ascii::answer_chars(pdu),
        }
    }

    /// A frame that began is given up after this pause.
    fn broken_off(&self) -> Duration {
        match self {
            Self::Rtu(_) => BROKEN_OFF,
            Self::Ascii(_) => PAUSE,
        }
    }

    fn push(&mut self, bytes: &[u8], now: Duration, silence: Duration) {
        match self {
            Self::Rtu(scan) => scan.push(bytes, now, silence),
            Self::Ascii(scan) => scan.push(bytes, now),
        }
    }

    fn next(&mut self, wanted: Wanted<'_>) -> Option<Found> {
        match self {
            Self::Rtu(scan) => scan.next(wanted),
            Self::Ascii(scan) => scan.next(wanted),
        }
    }

    fn any(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Rtu(scan) => scan.any(),
            Self::Ascii(scan) => scan.any(),
        }
    }

    fn last(&self) -> Duration {
        match self {
            Self::Rtu(scan) => scan.last(),
            Self::Ascii(scan) => scan.last(),
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Rtu(scan) => scan.pending(),
            Self::Ascii(scan) => scan.pending(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Rtu(scan) => scan.clear(),
            Self::Ascii(scan) => scan.clear(),
        }
    }
}

/// A serial line with Modbus RTU or ASCII, at the port or behind a TCP connection to a serial device server.
pub(crate) struct SerialLine {
    wire: Box<dyn Wire>,
    timer: Timer,
    pace: Pace,
    /// The last byte of traffic, in or out. Silence counts from here.
    traffic: Duration,
    scan: Framer,
    scratch: Vec<u8>,
    ghosts: Ghosts,
    think: Think,
    echo_set: bool,
    echo_run: u8,
    echo_learned: bool,
    /// Behind TCP: requests in a row without a byte.
    silent: Option<u8>,
    pub(super) seen: Seen,
}

/// How the wait for an answer ended.
enum End {
    Answer(Answer),
    /// Nothing that could be taken; the last thing wrong, and whether it began like the answer.
    Wrong(FrameError, bool),
    /// Not a byte; whether a stop came meanwhile.
    Silence {
        rung: bool,
    },
}

/// What became of a request that was sent.
enum Tried {
    Answered(Answer),
    /// Not a byte came.
    Unanswered(Unanswered),
}

/// A request that got not a byte.
struct Unanswered {
    /// When its last byte left.
    sent: Duration,
    /// How long it was waited for.
    timeout: Duration,
    /// A stop waits.
    rung: bool,
}

impl SerialLine {
    /// A line on freshly opened bytes.
    pub(crate) fn new(wire: Box<dyn Wire>, timer: Timer, pace: Pace, echo: bool) -> Self {
        Self::with(Framer::Rtu(Scan::default()), wire, timer, pace, echo)
    }

    /// The same with ASCII frames.
    pub(crate) fn ascii(wire: Box<dyn Wire>, timer: Timer, pace: Pace, echo: bool) -> Self {
        Self::with(Framer::Ascii(AsciiScan::default()), wire, timer, pace, echo)
    }

    /// Behind TCP: a peer that is gone says nothing, so silence over several requests is a lost connection.
    pub(crate) fn behind_tcp(mut self) -> Self {
        self.silent = Some(0);
        self
    }

    fn with(scan: Framer, wire: Box<dyn Wire>, timer: Timer, pace: Pace, echo: bool) -> Self {
        let traffic = timer.now();
        Self {
            wire,
            timer,
            pace,
            traffic,
            scan,
            scratch: Vec::with_capacity(256),
            ghosts: Ghosts::default(),
            think: Think::default(),
            echo_set: echo,
            echo_run: 0,
            echo_learned: false,
            silent: None,
            seen: Seen::default(),
        }
    }

    /// See [`super::Line::hold`].
    pub(super) fn hold(&self, unit: u8, pdu: &Pdu) -> Option<Duration> {
        let now = self.timer.now();
        self.ghosts
            .hold(unit, pdu, now)
            .map(|until| until.saturating_sub(now))
    }

    /// See [`super::Line::watch`].
    pub(super) async fn watch(&mut self) -> io::Error {
        loop {
            if let Err(lost) = self.listen(None).await {
                return lost;
            }
            self.absorb();
        }
    }

    /// Sends a request and waits for its reply, after the proof that nothing older can be taken for it.
    pub(super) async fn exchange(&mut self, what: Exchange<'_>) -> Result<Reply, Fault> {
        self.ghosts.expire(self.timer.now());
        if let Some(proof) = self.ghosts.proof(what.unit, what.pdu).map_err(Fault::Garbled)? {
            self.ask(Exchange { pdu: &proof, ..what }).await?;
            self.ghosts.exorcise(what.unit, self.timer.now());
        }
        match self.ask(what).await? {
            Answer::Reply(reply) => Ok(reply),
            Answer::Exception(code) if self.ghosts.haunts(what.unit, what.pdu.function()) => {
                tracing::debug!(
                    unit = what.unit,
                    code,
                    "exception not believed: it may be an earlier request's"
                );
                self.seen.ambiguous += 1;
                self.ghosts
                    .remember(what.unit, what.pdu, self.timer.now(), what.timeout);
                Err(Fault::Garbled(FrameError::Ambiguous))
            }
            Answer::Exception(code) => Err(Fault::Exception(code)),
        }
    }

    async fn ask(&mut self, what: Exchange<'_>) -> Result<Answer, Fault> {
        if self.silent.is_some_and(|silent| silent >= SILENT_LIMIT) {
            let text = "no answer to three requests in a row; connecting anew";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text).into());
        }
        let answer = self.ask_sleeper(what).await;
        if let Some(silent) = &mut self.silent {
            *silent = match answer {
                Err(Fault::Timeout(_)) => *silent + 1,
                _ => 0,
            };
        }
        answer
    }

    /// A controller with ASCII frames may sleep and be woken by the first request (ABL's sends no answer to it), so
    /// one that got not a byte is sent once more, unless a stop waits.
    async fn ask_sleeper(&mut self, what: Exchange<'_>) -> Result<Answer, Fault> {
        let may_sleep = matches!(self.scan, Framer::Ascii(_));
        let first = match self.ask_once(what).await? {
            Tried::Answered(answer) => return Ok(answer),
            Tried::Unanswered(first) if first.rung || !may_sleep => return Err(self.give_up(&what, &first)),
            Tried::Unanswered(first) => first,
        };
        match self.ask_once(what).await {
            Ok(Tried::Answered(answer)) => {
                self.ghosts
                    .remember_twice(what.unit, what.pdu, self.timer.now(), what.timeout);
                Ok(answer)
            }
            Ok(Tried::Unanswered(second)) => Err(self.give_up(&what, &second)),
            Err(fault) => {
                self.give_up(&what, &first);
                Err(fault)
            }
        }
    }

    /// Its answer may still come.
    fn give_up(&mut self, what: &Exchange<'_>, request: &Unanswered) -> Fault {
        let patience = what.timeout.max(request.timeout * 2);
        self.ghosts.remember(what.unit, what.pdu, request.sent, patience);
        Fault::Timeout(request.timeout)
    }

    async fn ask_once(&mut self, what: Exchange<'_>) -> Result<Tried, Fault> {
        let request = self.scan.encode(what.unit, what.pdu).map_err(Fault::Garbled)?;
        if !self.settle(what.gap.max(self.pace.gap), what.urgent).await? {
            return Err(Fault::Yielded);
        }
        let sent = self.send(&request).await?;
        let timeout = self.timeout(&what);
        let wanted = Wanted {
            unit: what.unit,
            pdu: what.pdu,
            request: &request,
            echo: self.echo_set || self.echo_learned,
        };
        match self.receive(&what, wanted, sent, timeout).await? {
            End::Answer(answer) => {
                self.seen.taken += 1;
                self.seen.answer_took = self.timer.now().saturating_sub(sent);
                if !what.pdu.is_write() {
                    let took = self
                        .timer
                        .now()
                        .saturating_sub(sent + self.pace.bytes(self.scan.answer_bytes(what.pdu)));
                    self.think.learn(what.unit, took);
                }
                Ok(Tried::Answered(answer))
            }
            End::Silence { rung } => Ok(Tried::Unanswered(Unanswered { sent, timeout, rung })),
            End::Wrong(error, mine) => {
                // A damaged answer was the answer: nothing more is to come, unless something older was due as well.
                if !mine || self.ghosts.haunts(what.unit, what.pdu.function()) {
                    let patience = what.timeout.max(timeout * 2);
                    self.ghosts.remember(what.unit, what.pdu, sent, patience);
                }
                Err(Fault::Garbled(error))
            }
        }
    }

    fn timeout(&self, what: &Exchange<'_>) -> Duration {
        if what.pdu.is_write() {
            // A device may store what is written before it answers: nothing learned from reads holds.
            what.timeout
        } else {
            self.think.timeout(what.unit, what.timeout)
        }
    }

    /// Waits for silence and drops what comes in meanwhile. `false`: a stop wants to go first.
    async fn settle(&mut self, gap: Duration, urgent: &tokio::sync::Notify) -> io::Result<bool> {
        let enough = self.timer.now() + BABBLE + gap;
        loop {
            let until = (self.traffic + gap).min(enough);
            tokio::select! {
                biased;
                () = urgent.notified() => return Ok(false),
                heard = self.listen(Some(until)) => {
                    let silent = heard? == 0;
                    self.absorb();
                    if silent || self.timer.now() >= enough {
                        break;
                    }
                }
            }
        }
        self.scan.clear();
        Ok(true)
    }

    /// Reads once, or returns 0 at `until`. What was read is in `scan`.
    async fn listen(&mut self, until: Option<Duration>) -> io::Result<usize> {
        self.scratch.clear();
        let count = match until {
            None => read(&mut *self.wire, &mut self.scratch).await?,
            Some(until) => tokio::select! {
                biased;
                count = read(&mut *self.wire, &mut self.scratch) => count?,
                passed = self.timer.until(until) => { passed?; return Ok(0); }
            },
        };
        self.traffic = self.timer.now();
        self.scan.push(&self.scratch, self.traffic, self.pace.silence);
        Ok(count)
    }

    /// Looks through bytes that nobody awaits for late answers.
    fn absorb(&mut self) {
        while let Some(frame) = self.scan.any() {
            self.foreign(&frame);
        }
    }

    fn foreign(&mut self, frame: &[u8]) {
        self.seen.foreign += 1;
        if let Some(late) = self.ghosts.suspect(frame, self.timer.now())
            && !late.write
        {
            self.think.learn(late.unit, late.by);
        }
    }

    /// Writes the request. Returns when its last byte leaves the port: a serial port takes the bytes at once and
    /// sends them by itself.
    async fn send(&mut self, request: &[u8]) -> io::Result<Duration> {
        let (begin, length) = (self.timer.now(), self.pace.bytes(request.len()));
        tokio::select! {
            biased;
            written = self.wire.write_all(request) => written?,
            passed = self.timer.until(begin + length + WRITE_LIMIT) => {
                passed?;
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.seen.sent += 1;
        self.traffic = begin + length;
        Ok(begin + length)
    }

    async fn receive(
        &mut self,
        what: &Exchange<'_>,
        wanted: Wanted<'_>,
        sent: Duration,
        timeout: Duration,
    ) -> io::Result<End> {
        let length = self.pace.bytes(self.scan.answer_bytes(what.pdu));
        let broken_off = self.scan.broken_off();
        let mut first = sent + timeout;
        let (mut wrong, mut mine, mut echoed, mut rung) = (None, false, false, false);
        loop {
            while let Some(found) = self.scan.next(wanted) {
                match found {
                    Found::Mine(answer) => {
                        self.learn_echo(what.pdu, echoed);
                        return Ok(End::Answer(answer));
                    }
                    Found::Foreign(error, frame) => {
                        self.foreign(&frame);
                        wrong = Some(error);
                    }
                    Found::Echo => {
                        self.seen.echoes += 1;
                        echoed = true;
                        wrong = wrong.or(Some(FrameError::Echo));
                    }
                    Found::Junk {
                        error,
                        bytes,
                        mine: like,
                    } => {
                        self.seen.noise += u64::try_from(bytes).unwrap_or(u64::MAX);
                        (wrong, mine) = (Some(error), mine || like);
                    }
                }
            }
            let begun = self.scan.pending() > 0;
            let until = if begun {
                first
                    .max(self.scan.last() + broken_off.max(self.pace.silence))
                    .min(first + length * 2 + broken_off)
            } else {
                first
            };
            tokio::select! {
                biased;
                heard = self.listen(Some(until)) => if heard? == 0 { break },
                () = what.urgent.notified() => (rung, first) = (true, first.min(sent + OVERDUE + length)),
            }
        }
        if self.scan.pending() > 0 {
            let (have, need) = (self.scan.pending(), self.scan.answer_bytes(what.pdu));
            wrong = Some(FrameError::Short { have, need });
            self.scan.clear();
        }
        Ok(wrong.map_or(End::Silence { rung }, |error| End::Wrong(error, mine)))
    }

    /// Answered reads tell whether the adapter repeats what we send. The echo of a single write looks like its
    /// confirmation, so it has to be known before.
    fn learn_echo(&mut self, pdu: &Pdu, echoed: bool) {
        if pdu.is_write() || echoed == self.echo_learned {
            self.echo_run = 0;
            return;
        }
        self.echo_run += 1;
        if self.echo_run == ECHO_SURE {
            self.echo_learned = echoed;
            self.echo_run = 0;
            if echoed && !self.echo_set {
                tracing::warn!("the adapter echoes what is sent; set `echo = true` for this bus");
            }
        }
    }
}
