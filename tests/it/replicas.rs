//! Two replicas with the same session keys behind a balancer. One of them is killed while people look: nobody is signed
//! out, and event streams go on at the other one.

use std::{
    io::{BufRead, BufReader, Read, Write, copy},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    program::{Running, get, program},
    wait::eventually,
};

/// A session may have eight at one replica.
const STREAMS: usize = 8;
const READERS: usize = 4;
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
/// A user of the simulated cluster who may see everything.
const TOKEN: &str = "admin-token";
/// A page that is read by readers waits no longer for a replica.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_replica_is_killed_and_nobody_is_signed_out() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let file = kubeconfig.to_str().unwrap();
    let (_cluster, _) =
        Running::start(&mut program(&["sim", "--vms=30", "--nodes=3", "--kubeconfig-out", file]));
    let (mut first, one) = replica(&folder, file);
    let (_second, two) = replica(&folder, file);
    let balancer = Balancer::start([one, two]);
    let cookies = sign_in(balancer.address);
    // Each replica asks Kubernetes what the user may see.
    for replica in [one, two] {
        eventually(|| match status(replica, "/api/vms", &cookies) {
            Ok((200, list)) if list.contains("\"name\"") => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    let people = Arc::new(People::new(balancer.address, cookies));
    let streams: Vec<JoinHandle<()>> =
        (0..STREAMS).map(|at| spawn(&people, move |people| people.follow(at))).collect();
    let readers: Vec<JoinHandle<()>> =
        (0..READERS).map(|at| spawn(&people, move |people| people.read(at))).collect();
    let all_follow =
        || match people.progress.lock().unwrap().iter().filter(|progress| progress.events > 1).count() {
            STREAMS => Ok(()),
            number => Err(format!("{number} streams have a change")),
        };
    eventually(all_follow);
    assert!(balancer.given_to(0) > 0 && balancer.given_to(1) > 0, "both replicas have clients");

    first.0.kill().unwrap();
    first.0.wait().unwrap();
    people.progress.lock().unwrap().iter_mut().for_each(|progress| progress.events = 0);
    eventually(all_follow);
    let pages = people.pages.load(Ordering::Relaxed);
    eventually(|| match people.pages.load(Ordering::Relaxed) {
        now if now >= pages + 20 => Ok(()),
        now => Err(format!("{} pages since", now - pages)),
    });
    people.ended.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    drop(balancer);
    streams.into_iter().for_each(|stream| stream.join().unwrap());

    let others = people.others.lock().unwrap();
    assert!(others.is_empty(), "answers other than 200: {others:?}");
    let cut = people.cut.load(Ordering::Relaxed);
    assert!(cut <= READERS, "{cut} requests were cut, and only those under way may be");
    let progress = people.progress.lock().unwrap();
    let moved: Vec<_> = progress.iter().filter(|progress| progress.connections > 1).collect();
    assert!(!moved.is_empty(), "some streams were at the replica that was killed");
    assert!(moved.iter().all(|progress| progress.connections == 2), "each connected once more");
    assert!(
        moved.iter().all(|progress| progress.first == "state"),
        "the other replica begins with the whole state"
    );
}

fn replica(folder: &TempDir, kubeconfig: &str) -> (Running, SocketAddr) {
    let keys = folder.path().join("keys");
    std::fs::write(&keys, KEY).unwrap();
    let (running, address) = Running::start(&mut program(&[
        "--listen=127.0.0.1:0",
        "--sign-in=token",
        "--metrics-interval=1s",
        "--kubeconfig",
        kubeconfig,
        "--session-key-file",
        keys.to_str().unwrap(),
    ]));
    eventually(|| match get(address, "/readyz") {
        answer if answer.contains("200 OK") => Ok(()),
        answer => Err(answer),
    });
    (running, address)
}

/// Signs in, and returns the header with the cookies.
fn sign_in(address: SocketAddr) -> String {
    let form = format!("token={TOKEN}");
    let head = format!(
        "POST /auth/sign-in HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nsec-fetch-site: same-origin\r\n\
         content-length: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let set = answer.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let kept = set.filter(|line| !line.contains("Max-Age=0")).filter_map(|line| line.split(';').next());
    format!("cookie: {}\r\n", kept.collect::<Vec<_>>().join("; "))
}

fn request(address: SocketAddr, path: &str, headers: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(FAILOVER_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n")?;
    Ok(stream)
}

/// Returns the status and the text of a whole answer.
fn status(address: SocketAddr, path: &str, headers: &str) -> std::io::Result<(u16, String)> {
    let mut text = String::new();
    request(address, path, headers)?.read_to_string(&mut text)?;
    let status = text.get(9..12).and_then(|digits| digits.parse().ok());
    status.map(|status| (status, text)).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// What one stream has received.
#[derive(Clone, Default)]
struct StreamProgress {
    connections: usize,
    /// The name of the first event of the last connection.
    first: String,
    events: usize,
    id: String,
}

/// People with one session.
struct People {
    address: SocketAddr,
    cookies: String,
    ended: AtomicBool,
    pages: AtomicUsize,
    /// Requests without an answer.
    cut: AtomicUsize,
    /// Answers other than 200.
    others: Mutex<Vec<(String, u16)>>,
    progress: Mutex<Vec<StreamProgress>>,
}

fn spawn(people: &Arc<People>, work: impl FnOnce(&People) + Send + 'static) -> JoinHandle<()> {
    let people = people.clone();
    thread::spawn(move || work(&people))
}

impl People {
    fn new(address: SocketAddr, cookies: String) -> Self {
        Self {
            address,
            cookies,
            ended: AtomicBool::default(),
            pages: AtomicUsize::default(),
            cut: AtomicUsize::default(),
            others: Mutex::default(),
            progress: Mutex::new(vec![StreamProgress::default(); STREAMS]),
        }
    }

    /// Opens pages until the end.
    fn read(&self, at: usize) {
        for path in ["/", "/api/vms", "/sources", "/?view=table"].iter().cycle().skip(at) {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            match status(self.address, path, &self.cookies) {
                Ok((200, _)) => drop(self.pages.fetch_add(1, Ordering::Relaxed)),
                Ok((status, _)) => self.others.lock().unwrap().push(((*path).to_owned(), status)),
                Err(_) => drop(self.cut.fetch_add(1, Ordering::Relaxed)),
            }
            // One session may send 50 requests in a second.
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Follows events until the end, and connects again as a browser does.
    fn follow(&self, at: usize) {
        while !self.ended.load(Ordering::Relaxed) {
            let last = self.progress.lock().unwrap()[at].id.clone();
            let headers = format!("{}accept: text/event-stream\r\nlast-event-id: {last}\r\n", self.cookies);
            if let Ok(stream) = request(self.address, "/api/events", &headers) {
                self.receive(at, stream);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn receive(&self, at: usize, stream: TcpStream) {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let Some(head) = lines.next() else { return };
        if !head.starts_with("HTTP/1.1 200") {
            let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_default();
            self.others.lock().unwrap().push(("/api/events".to_owned(), status));
            return;
        }
        self.progress.lock().unwrap()[at].connections += 1;
        let mut is_first = true;
        for line in lines {
            let progress = &mut self.progress.lock().unwrap()[at];
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut progress.id);
            }
            if let Some(name) = line.strip_prefix("event: ") {
                progress.events += 1;
                if std::mem::take(&mut is_first) {
                    name.clone_into(&mut progress.first);
                }
            }
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Gives each connection to the next replica that answers, as an ingress without affinity does.
struct Balancer {
    address: SocketAddr,
    given: Arc<[AtomicUsize; 2]>,
    ended: Arc<AtomicBool>,
}

impl Balancer {
    fn start(replicas: [SocketAddr; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let given: Arc<[AtomicUsize; 2]> = Arc::default();
        let ended = Arc::<AtomicBool>::default();
        let (counts, stop) = (given.clone(), ended.clone());
        thread::spawn(move || {
            for (turn, client) in listener.incoming().flatten().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let order = [turn % 2, (turn + 1) % 2];
                let connected =
                    order.iter().find_map(|at| Some((*at, TcpStream::connect(replicas[*at]).ok()?)));
                let Some((at, server)) = connected else { continue };
                counts[at].fetch_add(1, Ordering::Relaxed);
                copy_in_background(&client, &server);
                copy_in_background(&server, &client);
            }
        });
        Self { address, given, ended }
    }

    /// How many connections a replica was given.
    fn given_to(&self, replica: usize) -> usize {
        self.given[replica].load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// Copies what comes from one side to the other, in a thread of its own. Closes both after the end.
fn copy_in_background(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
