//! A keyboard as a port: bytes in are the kernel's key events, and nobody else gets them.

use super::Wire;
use evdev::Device;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of events taken at once.
const BATCH: usize = 64 * 24;

/// An event device.
struct Keyboard(AsyncFd<Device>);

/// Opens the device and takes it for this process alone, so that no card number is typed into a console.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Wire>> {
    let mut device = Device::open(path)?;
    device.set_nonblocking(true)?;
    device.grab()?;
    #[expect(
        deprecated,
        reason = "tokio's replacement `register` is unsafe, which this package forbids; what it asks of its caller, one \
                  descriptor that stays open, a `Device` that is never taken out gives by itself"
    )]
    let fd = AsyncFd::new(device)?;
    Ok(Box::new(Keyboard(fd)))
}

impl Wire for Keyboard {}

impl AsyncRead for Keyboard {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut events = [0; BATCH];
        // The kernel gives whole events or none.
        let room = buf.remaining().min(BATCH);
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            match guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut events[..room])?)) {
                Ok(count) => {
                    buf.put_slice(&events[..count?]);
                    return Poll::Ready(Ok(()));
                }
                Err(_not_yet) => {}
            }
        }
    }
}

impl AsyncWrite for Keyboard {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
