//! FTP (RFC 959, RFC 2428) and FTPS by `AUTH TLS` with a protected data connection (RFC 4217), passive only (whitepaper N01).

use super::flow::{Guarded, Sink, Stop};
use super::{CONNECT, SILENCE, Target, Trust, quoted};
use crate::domain::TransferError;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use suppaftp::types::{FileType, Mode};
use suppaftp::{FtpError, FtpResult, RustlsConnector, RustlsFtpStream};

/// What was asked of the server when it said no: its numbers mean different things.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Login,
    Folder,
    Read,
    Write,
}

pub(super) fn upload(target: &Target, mut source: Guarded, trust: &Trust) -> Result<(), TransferError> {
    let mut session = open(target, trust)?;
    enter(&mut session, target)?;
    session
        .put_file(&target.file, &mut source)
        .map_err(|error| failed(&error, Step::Write))?;
    // The file is there; a server that does not say goodbye changes nothing about that.
    let _ = session.quit();
    Ok(())
}

pub(super) fn download(
    target: &Target,
    sink: &mut Sink,
    trust: &Trust,
    stop: &Stop,
) -> Result<(), TransferError> {
    let mut session = open(target, trust)?;
    enter(&mut session, target)?;
    let size = session.size(&target.file).ok().map(|size| size as u64);
    if let Some(size) = size {
        sink.expect(size)?;
    }
    let mut stream = session
        .retr_as_stream(&target.file)
        .map_err(|error| failed(&error, Step::Read))?;
    let count = sink.take(&mut stream, stop)?;
    stream.finish().map_err(|error| failed(&error, Step::Read))?;
    if size.is_some_and(|size| size != count) {
        let words = format!("{count} bytes came of {}", size.unwrap_or_default());
        return Err(TransferError::Broken(words));
    }
    let _ = session.quit();
    Ok(())
}

fn open(target: &Target, trust: &Trust) -> Result<RustlsFtpStream, TransferError> {
    let (stream, peer) = reach(target)?;
    let greeting = |error: FtpError| failed(&error, Step::Greeting);
    let mut session = RustlsFtpStream::connect_with_stream(stream).map_err(greeting)?;
    if target.is_secure() {
        let connector = RustlsConnector::from(Arc::clone(&trust.config));
        session = session.into_secure(connector, &target.host).map_err(greeting)?;
    }
    let mut session = session.passive_stream_builder(data_connection);
    session.set_mode(if peer.is_ipv6() {
        Mode::ExtendedPassive
    } else {
        Mode::Passive
    });
    // A server behind NAT names an address that leads nowhere; the control connection's does.
    session.set_passive_nat_workaround(true);
    let anonymous = ("anonymous".to_owned(), "anonymous@".to_owned());
    let (name, password) = target.login.clone().unwrap_or(anonymous);
    session
        .login(name, password)
        .map_err(|error| failed(&error, Step::Login))?;
    session
        .transfer_type(FileType::Binary)
        .map_err(|error| failed(&error, Step::Folder))?;
    Ok(session)
}

fn enter(session: &mut RustlsFtpStream, target: &Target) -> Result<(), TransferError> {
    for folder in &target.folders {
        session
            .cwd(folder)
            .map_err(|error| failed(&error, Step::Folder))?;
    }
    Ok(())
}

fn reach(target: &Target) -> Result<(TcpStream, SocketAddr), TransferError> {
    let unreachable = |words: String| TransferError::Unreachable(words);
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|error| unreachable(error.to_string()))?;
    let mut last = "its name has no address".to_owned();
    for address in addresses {
        match dial(&address) {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(unreachable(last))
}

fn dial(address: &SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, CONNECT)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn data_connection(address: SocketAddr) -> FtpResult<TcpStream> {
    dial(&address).map_err(FtpError::ConnectionError)
}

fn failed(error: &FtpError, step: Step) -> TransferError {
    match error {
        FtpError::ConnectionError(error) if step == Step::Greeting => {
            TransferError::Unreachable(quoted(&error.to_string()))
        }
        FtpError::ConnectionError(error) => TransferError::Broken(quoted(&error.to_string())),
        FtpError::SecureError(words) => TransferError::Unreachable(quoted(words)),
        FtpError::UnexpectedResponse(response) => {
            let words = quoted(&String::from_utf8_lossy(&response.body));
            // RFC 959 section 4.2.
            match (response.status.code(), step) {
                (530 | 532 | 534, _) | (_, Step::Login) | (550 | 553, Step::Write) => {
                    TransferError::Denied(words)
                }
                (550, _) => TransferError::Missing(words),
                (500..=504, _) => TransferError::Unsupported(words),
                (421 | 425 | 426 | 450..=452 | 552, _) => TransferError::Broken(words),
                _ => TransferError::Protocol(words),
            }
        }
        FtpError::BadResponse | FtpError::InvalidAddress(_) | FtpError::DataConnectionAlreadyOpen => {
            TransferError::Protocol(quoted(&error.to_string()))
        }
    }
}
