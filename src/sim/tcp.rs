//! Modbus TCP on loopback (Modbus Messaging on TCP/IP V1.0b): the header in front, one task per connection.

use super::slave::Units;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server with its units. Dropping it closes the port and every connection.
pub struct TcpServer {
    address: SocketAddr,
    units: Arc<Mutex<Box<dyn Units>>>,
    tasks: Option<tokio::task::JoinHandle<()>>,
}

impl TcpServer {
    /// Listens on a free port of 127.0.0.1. Needs a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn open(units: Box<dyn Units>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut server = Self {
            address,
            units: Arc::new(Mutex::new(units)),
            tasks: None,
        };
        server.serve(listener);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the port and every connection.
    pub fn unplug(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.abort();
        }
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// When the port was taken meanwhile.
    pub async fn replug(&mut self) -> io::Result<()> {
        if let Some(tasks) = self.tasks.take() {
            tasks.abort();
            // Ends with "cancelled"; only then is the port free again.
            let _ = tasks.await;
        }
        self.serve(TcpListener::bind(self.address).await?);
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let units = Arc::clone(&self.units);
        self.tasks = Some(tokio::spawn(async move {
            // Connections end with the listener: the set aborts them when it is dropped.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((stream, _)) = accepted {
                            connections.spawn(talk(stream, Arc::clone(&units)));
                        }
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        }));
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.unplug();
    }
}

/// Serves one connection until its end or the first frame that is not Modbus.
async fn talk(mut stream: TcpStream, units: Arc<Mutex<Box<dyn Units>>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; 7];
        stream.read_exact(&mut header).await?;
        let length = u16::from_be_bytes([header[4], header[5]]);
        if header[2..4] != [0, 0] || !(2..=254).contains(&length) {
            return Ok(());
        }
        let mut pdu = vec![0; usize::from(length) - 1];
        stream.read_exact(&mut pdu).await?;
        let answer = units
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .call(header[6], &pdu);
        let Some(answer) = answer else { continue };
        if !answer.think.is_zero() {
            tokio::time::sleep(answer.think).await;
        }
        let length = u16::try_from(answer.pdu.len() + 1).map_err(io::Error::other)?;
        let mut frame = header[..4].to_vec();
        frame.extend(length.to_be_bytes());
        frame.push(header[6]);
        frame.extend(&answer.pdu);
        stream.write_all(&frame).await?;
    }
}
