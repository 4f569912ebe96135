//! The network sockets of a process, as the kernel lists them (proc(5)).

use std::collections::BTreeSet;
use std::path::Path;

/// One of TCP or UDP, of either version of IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub protocol: &'static str,
    /// Address and port in hexadecimal, as the kernel writes them.
    pub local: String,
    pub remote: String,
    pub inode: u64,
    /// Whether anybody may reach it: a TCP socket that listens, a UDP socket without a peer.
    pub is_open: bool,
}

impl Socket {
    /// Port of the other end.
    pub fn remote_port(&self) -> Option<u16> {
        let (_, port) = self.remote.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    }
}

/// Those that a process has open.
pub fn sockets(pid: u32) -> Vec<Socket> {
    let proc = Path::new("/proc").join(pid.to_string());
    let held: BTreeSet<u64> = std::fs::read_dir(proc.join("fd"))
        .expect("it runs")
        .flatten()
        // One that was closed meanwhile is none.
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect();
    let mut found = Vec::new();
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        // A kernel without IPv6 has no such table.
        let table = std::fs::read_to_string(proc.join("net").join(protocol)).unwrap_or_default();
        let of_process = table.lines().skip(1).filter_map(|line| socket(protocol, line));
        found.extend(of_process.filter(|socket| held.contains(&socket.inode)));
    }
    found
}

fn socket(protocol: &'static str, line: &str) -> Option<Socket> {
    const LISTEN: &str = "0A";
    const ESTABLISHED: &str = "01";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, remote, state) = (fields.get(1)?, fields.get(2)?, *fields.get(3)?);
    Some(Socket {
        protocol,
        local: (*local).to_owned(),
        remote: (*remote).to_owned(),
        inode: fields.get(9)?.parse().ok()?,
        is_open: match protocol {
            "tcp" | "tcp6" => state == LISTEN,
            _ => state != ESTABLISHED,
        },
    })
}
