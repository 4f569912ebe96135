//! A cable between the node and its broker that can be cut.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that still get through.
type Room = Arc<watch::Sender<u64>>;

pub struct Cable {
    pub port: u16,
    /// Whether it is plugged in; every sending cuts what there is.
    plugged: Arc<watch::Sender<bool>>,
    /// From the node to the broker, of the connections since the last cut.
    room: Arc<Mutex<Room>>,
}

fn wide() -> Room {
    Arc::new(watch::Sender::new(u64::MAX))
}

impl Cable {
    /// A cable to a broker.
    pub async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plugged = Arc::new(watch::Sender::new(true));
        let room = Arc::new(Mutex::new(wide()));
        let (plug, rooms) = (Arc::clone(&plugged), Arc::clone(&room));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut cuts = plug.subscribe();
                if !*cuts.borrow_and_update() {
                    continue;
                }
                let room = Arc::clone(&rooms.lock().unwrap());
                tokio::spawn(async move {
                    let far = TcpStream::connect(("127.0.0.1", broker)).await.unwrap();
                    let (mut from_node, mut to_node) = near.into_split();
                    let (mut from_broker, to_broker) = far.into_split();
                    tokio::select! {
                        _ = through(&mut from_node, to_broker, &room) => {}
                        _ = tokio::io::copy(&mut from_broker, &mut to_node) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, plugged, room }
    }

    /// So many bytes more get to the broker; the rest stays in the cable, and goes with it.
    pub fn choke(&self, bytes: u64) {
        self.room.lock().unwrap().send_replace(bytes);
    }

    /// Every connection through it is lost; a new one can be made at once.
    pub fn cut(&self) {
        *self.room.lock().unwrap() = wide();
        self.plugged.send_replace(true);
    }

    /// Nothing goes through until [`Cable::cut`].
    pub fn unplug(&self) {
        self.plugged.send_replace(false);
    }
}

async fn through(
    from: &mut (impl AsyncRead + Unpin),
    mut to: impl AsyncWrite + Unpin,
    room: &Room,
) -> std::io::Result<()> {
    let (mut chunk, mut left) = ([0; 4096], room.subscribe());
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            let room_now = left.wait_for(|left| *left > 0).await.map_or(0, |left| *left);
            let count = usize::try_from(room_now).unwrap_or(usize::MAX).min(rest.len());
            to.write_all(&rest[..count]).await?;
            rest = &rest[count..];
            room.send_modify(|left| *left = left.saturating_sub(count as u64));
        }
    }
}
