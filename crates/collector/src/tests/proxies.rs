//! Small proxies: HTTP with and without TLS, and SOCKS 5.

use std::{net::SocketAddr, path::PathBuf};

use tokio::{
    io::{
        AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional,
    },
    net::TcpStream,
};

use super::{tls::acceptor, *};

/// How a proxy behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyBehavior {
    /// Requires the login `user:pass`.
    pub login: bool,
    /// Refuses to connect.
    pub refuses: bool,
    /// Accepts connections and sends nothing.
    pub hangs: bool,
}

/// A proxy, and the targets that it was asked to connect to.
pub struct ProxyServer {
    pub address: SocketAddr,
    led: Arc<Mutex<Vec<String>>>,
    /// The file of the authority that signed its certificate.
    files: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Led = Arc<Mutex<Vec<String>>>;

impl ProxyServer {
    pub async fn http(behavior: ProxyBehavior) -> Self {
        Self::start(move |stream, led| Box::pin(serve_http(stream, led, behavior)), None).await
    }

    /// Inside TLS.
    pub async fn https(behavior: ProxyBehavior) -> Self {
        let (acceptor, authority) = acceptor();
        let handle = move |stream: TcpStream, led: Led| {
            let acceptor = acceptor.clone();
            Box::pin(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_http(stream, led, behavior).await;
                }
            }) as futures::future::BoxFuture<'static, ()>
        };
        Self::start(handle, Some(authority)).await
    }

    pub async fn socks(behavior: ProxyBehavior) -> Self {
        Self::start(move |stream, led| Box::pin(serve_socks(stream, led, behavior)), None).await
    }

    async fn start(
        handle: impl Fn(TcpStream, Led) -> futures::future::BoxFuture<'static, ()> + Send + 'static,
        authority: Option<String>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, led) = (listener.local_addr().unwrap(), Led::default());
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.unwrap_or_default()).unwrap();
        let record = led.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(stream, record.clone()));
            }
        });
        Self { address, led, files, task }
    }

    pub fn ca(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// The targets that it connected to, and the first lines of what it forwarded.
    pub fn led(&self) -> Vec<String> {
        self.led.lock().unwrap().clone()
    }
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin + Send, led: Led, behavior: ProxyBehavior) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
        head.push_str(&std::mem::take(&mut line));
    }
    if head.is_empty() {
        return;
    }
    let first = head.lines().next().unwrap().to_owned();
    if behavior.hangs {
        std::future::pending::<()>().await;
    }
    // user:pass
    let knows = head.to_lowercase().contains("proxy-authorization: basic dxnlcjpwyxnz");
    let refusal = match behavior {
        ProxyBehavior { login: true, .. } if !knows => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        ProxyBehavior { refuses: true, .. } => "HTTP/1.1 403 Forbidden\r\n\r\n",
        _ => "",
    };
    if !refusal.is_empty() {
        let _ = stream.write_all(refusal.as_bytes()).await;
        return;
    }
    led.lock().unwrap().push(first.clone());
    let target = first.split(' ').nth(1).unwrap();
    if first.starts_with("CONNECT") {
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let _ = copy_bidirectional(&mut stream, &mut server).await;
        return;
    }
    // Forwards one request, with its path only.
    let url: http::Uri = target.parse().unwrap();
    let Ok(mut server) = TcpStream::connect(url.authority().unwrap().as_str()).await else { return };
    let head = head.replacen(target, url.path_and_query().unwrap().as_str(), 1);
    let _ = server.write_all(format!("{head}connection: close\r\n\r\n").as_bytes()).await;
    let _ = tokio::io::copy(&mut server, &mut stream).await;
}

/// RFC 1928, with the user and password of RFC 1929.
async fn serve_socks(mut stream: TcpStream, led: Led, behavior: ProxyBehavior) {
    let socks = async {
        let mut two = [0; 2];
        stream.read_exact(&mut two).await?;
        let mut methods = vec![0; usize::from(two[1])];
        stream.read_exact(&mut methods).await?;
        let method = if behavior.login { 2 } else { 0 };
        if !methods.contains(&method) {
            return stream.write_all(&[5, 0xff]).await;
        }
        stream.write_all(&[5, method]).await?;
        if behavior.login {
            let mut login = vec![0; 1 + 1 + 4 + 1 + 4];
            stream.read_exact(&mut login).await?;
            let good = login == b"\x01\x04user\x04pass";
            stream.write_all(&[1, u8::from(!good)]).await?;
        }
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let host = match head[3] {
            1 => std::net::Ipv4Addr::from_bits(stream.read_u32().await?).to_string(),
            4 => format!("[{}]", std::net::Ipv6Addr::from_bits(stream.read_u128().await?)),
            _ => {
                let mut name = vec![0; usize::from(stream.read_u8().await?)];
                stream.read_exact(&mut name).await?;
                String::from_utf8_lossy(&name).into_owned()
            }
        };
        let target = format!("{host}:{}", stream.read_u16().await?);
        led.lock().unwrap().push(target.clone());
        if behavior.refuses {
            return stream.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        }
        let mut server = TcpStream::connect(target).await?;
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        copy_bidirectional(&mut stream, &mut server).await.map(drop)
    };
    let _ = socks.await;
}
