//! Asks a container how it is, from its machine.

use std::{net::Ipv4Addr, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{sleep, timeout},
};

use super::root::User;
use crate::executor::objects::{
    pod::Container,
    probe::{Handler, HttpGet},
};

/// How much of an answer is kept for people.
const SHOWN_BYTES_MAX: usize = 600;
/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// A container that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) address: Ipv4Addr,
    pub(super) container: Container,
    pub(super) user: User,
    pub(super) variables: Vec<(String, String)>,
    pub(super) working_folder: PathBuf,
}

impl Running {
    /// Does it; what is wrong, if it did not go well within `limit`.
    pub(super) async fn ask(self, handler: Handler, limit: Duration) -> Result<(), String> {
        let asked = async {
            match handler {
                Handler::HttpGet(get) => self.get(&get).await,
                Handler::Exec(exec) => self.run(&exec.command).await,
                Handler::TcpSocket(socket) => {
                    let port = self.container.port(&socket.port).ok_or("no such port")?;
                    TcpStream::connect((self.address, port))
                        .await
                        .map(drop)
                        .map_err(|error| error.to_string())
                }
                Handler::Sleep(pause) => {
                    sleep(Duration::from_secs(pause.seconds)).await;
                    Ok(())
                }
            }
        };
        timeout(limit, asked).await.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    /// Any status from 200 to 399 is well.
    async fn get(&self, get: &HttpGet) -> Result<(), String> {
        let port =
            self.container.port(&get.port).ok_or_else(|| format!("no port {:?} is known", get.port))?;
        let at = format!("{}:{port}", self.address);
        let mut stream = TcpStream::connect(&at).await.map_err(|error| format!("{at}: {error}"))?;
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {at}\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            get.path
        );
        let mut answer = String::new();
        let exchanged = async {
            stream.write_all(head.as_bytes()).await?;
            stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await
        };
        exchanged.await.map_err(|error| format!("{at}: {error}"))?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(200..400) => Ok(()),
            Some(status) => {
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                let shown: String = body.chars().take(SHOWN_BYTES_MAX).collect();
                Err(format!("{at}{}: status {status}: {shown}", get.path))
            }
            None => Err(format!("{at}: not an answer of HTTP")),
        }
    }

    async fn run(&self, command: &[String]) -> Result<(), String> {
        let output = self.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.await.map_err(|error| error.to_string())?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).chars().take(SHOWN_BYTES_MAX).collect::<String>();
        if output.status.success() { Ok(()) } else { Err(format!("{}: {said}", output.status)) }
    }

    /// A program inside the container: as its user, with its variables, files and network.
    pub(super) fn command(&self, command: &[String]) -> Command {
        let mut inside = Command::new("/usr/bin/nsenter");
        inside.args(["--target", &self.pid.to_string(), "--net", "--mount", "--uts", "--root"]);
        inside
            .arg(format!("--wdns={}", self.working_folder.display()))
            .arg("--")
            .args(self.user.wrapped(command));
        inside.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        inside.stdin(Stdio::null()).kill_on_drop(true);
        inside
    }
}
