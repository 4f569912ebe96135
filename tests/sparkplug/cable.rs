//! A cable between the node and its broker that can be cut.

use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Cable {
    pub port: u16,
    /// Whether it is plugged in; every sending cuts what there is.
    plugged: Arc<watch::Sender<bool>>,
}

impl Cable {
    /// A cable to a broker.
    pub async fn to(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plugged = Arc::new(watch::Sender::new(true));
        let plug = Arc::clone(&plugged);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let mut cuts = plug.subscribe();
                if !*cuts.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let (mut near, mut far) =
                        (near, TcpStream::connect(("127.0.0.1", broker)).await.unwrap());
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, plugged }
    }

    /// Every connection through it is lost; a new one can be made at once.
    pub fn cut(&self) {
        self.plugged.send_replace(true);
    }

    /// Nothing goes through until [`Cable::cut`].
    pub fn unplug(&self) {
        self.plugged.send_replace(false);
    }
}
