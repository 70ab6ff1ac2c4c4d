//! Many clients of `/api/events` in one process.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use socket2::{Domain, Socket, Type};

/// Sockets that follow events, read in turn.
pub struct EventClients {
    pub streams: Vec<TcpStream>,
    pub bytes: usize,
    /// Milliseconds between the moment that an event tells of and its arrival.
    pub delays: Vec<u64>,
}

impl EventClients {
    pub fn new() -> Self {
        Self { streams: Vec::new(), bytes: 0, delays: Vec::new() }
    }

    pub fn join(&mut self, address: SocketAddr, query: &str) {
        self.join_from(Ipv4Addr::LOCALHOST, address, query);
    }

    /// From an address of 127.0.0.0/8: the server's limits tell clients apart by it.
    pub fn join_from(&mut self, local: Ipv4Addr, address: SocketAddr, query: &str) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((local, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        // In one piece, as browsers send it: a head in pieces costs the server some 9 kB more while the client stays.
        let head = format!("GET /api/events{query} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK", "{query}");
        stream.set_nonblocking(true).unwrap();
        self.streams.push(stream);
    }

    /// Reads whatever comes, for this long.
    pub fn read_for(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.read();
            sleep(Duration::from_millis(5));
        }
    }

    fn read(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        for stream in &mut self.streams {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => panic!("the server ended a stream"),
                    Ok(bytes) => {
                        self.bytes += bytes;
                        self.delays.extend(delay(&buffer[..bytes]));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// The 99th percentile of the delays.
    pub fn p99(&mut self) -> u64 {
        self.delays.sort_unstable();
        assert!(!self.delays.is_empty(), "no event came");
        self.delays[self.delays.len() * 99 / 100]
    }
}

/// Of a change in JSON that begins in these bytes.
fn delay(bytes: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(bytes);
    let (_, change) = text.split_once("event: change\n")?;
    let (_, now) = change.split_once("\"now\":")?;
    let now: u64 = now.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    Some(here.saturating_sub(now))
}

/// What one page of the list, one VM and the sources ask, for pages and for programs.
pub fn queries(distinct: usize) -> Vec<String> {
    let sorts = ["name", "cpu", "memory", "disk"];
    let orders = ["asc", "desc"];
    let formats = ["json", "postcard"];
    (0..distinct)
        .map(|n| {
            let (format, sort, order) = (formats[n % 2], sorts[n / 2 % 4], orders[n / 8 % 2]);
            format!("?format={format}&sort={sort}&order={order}&page={}", n / 16 + 1)
        })
        .collect()
}
