//! The vocabulary every room shares: exact units, identities, time, readings, events, commands, limits.
//!
//! Pure: no clock, no randomness, no file, no socket. What a room tells another room is a type of this one.

mod auth;
mod backoff;
mod budget;
mod checkup;
mod command;
mod device;
mod evse;
mod gpio;
mod home_assistant;
mod ids;
mod ledger;
mod limit;
mod mqtt;
mod params;
mod profile;
mod protocol;
mod reading;
mod rng;
mod session;
mod setup;
mod slug;
mod sparkplug;
mod tags;
mod tally;
mod throttled;
mod time;
mod transfer;
mod units;
mod vault;

pub use auth::{AuthStatus, IdToken, LOCAL_LIST_MAX, ListUpdate, TokenInfo, TokenKind};
pub use backoff::Backoff;
pub use budget::{Account, Span, Thrift, thrift};
pub use checkup::{Check, Checkup, Verdict};
pub use command::{
    Accepted, Availability, AvailabilityOutcome, ClearProfiles, Command, CommandId, ListOutcome,
    OTHER_IN_CONTROL, Outcome, RemoteStart, Reservation, ReserveOutcome, ResetKind, ResetOutcome, RunningTx,
    Session, Trigger, UnlockOutcome, Within,
};
pub use device::{DeviceCommand, DeviceFact, DeviceFault, DriveError, Observation, Priority};
pub use evse::{ChargingState, ConnectorStatus, ErrorCode, FaultKind, Notice, StatusNotice, VehicleState};
pub use gpio::{Bias, GpioDevice, GpioLine, GpioLink, GpioSignal, LineName, PulseSetup, RelaySetup};
pub use home_assistant::{HaForm, HaSetup};
pub use ids::{BusId, CpId, DeviceId, EvseId, ReaderId, TxId};
pub use ledger::{
    Batch, Begin, End, Event, MeterSample, NewRow, Put, Row, STOP_SAMPLES_MAX, SampleContext, SamplePoint,
    SecurityEvent, StopReason, TxTrigger,
};
pub use limit::{AppliedLimit, LimitEntry, LimitSource, Share};
pub use mqtt::{BrokerSetup, CommandRights, MqttSetup, MqttVersion};
pub use params::{Measurand, Params};
pub use profile::{
    ChargingProfile, CompositePeriod, CompositeSchedule, PROFILES_MAX, ProfileKind, ProfilePurpose, RateUnit,
    Recurrency, Schedule, SchedulePeriod,
};
pub use protocol::{Framing, Protocol};
pub use reading::{Phase, Quality, Quantity, Reading};
pub use rng::Rng;
pub use session::{MeterIdentity, Receipt, ReceiptAnswer, ReceiptPart, SessionFlag, SessionRecord};
pub use setup::{
    AuthMode, BusSetup, ContactSetup, CpSetup, CsmsSetup, DeviceSetup, EvseSetup, FirmwareKind,
    FirmwareSetup, FuseSetup, Link, Listen, OcppVersion, Parity, Security, SiteSetup, Supply,
};
pub use slug::Slug;
pub use sparkplug::SparkplugSetup;
pub use tags::{TagPattern, TagRule};
pub use tally::{BusResult, BusTally, Bytes, Direction, Histogram, LinkTally, Message, MessageResult};
pub use throttled::{THROTTLED_FILE, Throttled};
pub use time::{BootId, Clock, ClockQuality, Mono, Now, Stamp, Wall};
pub use transfer::{
    FirmwareNotice, FirmwareOutcome, FirmwareRequest, FirmwareStatus, InstallerSaid, Location, LogKind,
    LogNotice, LogOutcome, LogRequest, Retry, Signing, TransferDone, TransferError, TransferOrder,
    UploadStatus, masked,
};
pub use units::{MilliAmps, MilliVolts, MilliWattHours, MilliWatts};
pub use vault::{
    CHAIN_MAX, CertificateHash, CertificateUse, Credentials, HashAlgorithm, ROOTS_MAX, Secret, VaultAnswer,
    VaultRequest,
};

pub(crate) use units::write_milli;
