//! The other end of `NOTIFY_SOCKET`: what systemd would be told.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::time::timeout;

/// Everything that was told, message by message.
pub struct Notify {
    path: PathBuf,
    told: watch::Receiver<Vec<String>>,
    /// The watchdog's signs of life, which are only counted.
    alive: Arc<Mutex<usize>>,
    beats: watch::Receiver<usize>,
}

impl Notify {
    /// Listens in a folder.
    pub fn listen(dir: &Path) -> Self {
        let path = dir.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let (tell, told) = watch::channel(Vec::new());
        let (beat, beats) = watch::channel(0);
        let alive = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&alive);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(count) = socket.recv(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                if text.lines().any(|line| line == "WATCHDOG=1") {
                    *counted.lock().expect("sound") += 1;
                    beat.send_modify(|beats| *beats += 1);
                } else {
                    tell.send_modify(|all| all.push(text));
                }
            }
        });
        Self {
            path,
            told,
            alive,
            beats,
        }
    }

    /// What `NOTIFY_SOCKET` is to be.
    pub fn address(&self) -> String {
        self.path.display().to_string()
    }

    /// How many messages there are: the mark to wait from.
    pub fn mark(&self) -> usize {
        self.told.borrow().len()
    }

    /// Awaits a message with this in it.
    pub async fn until(&mut self, mark: usize, words: &str) -> String {
        let found = self
            .told
            .wait_for(|all| all.iter().skip(mark).any(|text| text.contains(words)));
        let all = timeout(crate::site::PATIENCE, found).await;
        let all = all
            .unwrap_or_else(|_| panic!("'{words}' was not told"))
            .expect("it listens");
        all.iter()
            .skip(mark)
            .find(|text| text.contains(words))
            .cloned()
            .unwrap_or_default()
    }

    /// Signs of life so far.
    pub fn alive(&self) -> usize {
        *self.alive.lock().expect("sound")
    }

    /// Awaits the next sign of life; `false`: none came within that time.
    pub async fn beats(&mut self, within: Duration) -> bool {
        self.beats.mark_unchanged();
        timeout(within, self.beats.changed()).await.is_ok()
    }
}
