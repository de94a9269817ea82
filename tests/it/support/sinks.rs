//! Servers that tests start: an SMTP server and an HTTP server that keep what they get, and answer as they are told.
//!
//! The SMTP server speaks the part of RFC 5321 that a client needs that sends one e-mail per connection, without TLS.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server does with the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Takes it, and says so.
    Accept,
    /// Takes it, and closes the connection without an answer.
    TakeAndHangUp,
    /// Refuses it with this code or status: SMTP at RCPT, HTTP after the request.
    Refuse(u16),
}

/// What a server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The recipient of an e-mail, or the path of a request.
    pub to: String,
    /// The head: lines of an e-mail's or a request's headers.
    pub head: Vec<String>,
    /// The body, of an e-mail as it was sent.
    pub body: String,
    /// What was answered.
    pub answer: Answer,
}

impl Taken {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A server; it ends when it is dropped.
pub struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    arrived: Condvar,
    /// The next answers; then everything is accepted.
    answers: Mutex<VecDeque<Answer>>,
    ends: AtomicBool,
}

impl Sink {
    /// Starts an SMTP server on a free port, or on this one.
    pub fn smtp(port: u16) -> Self {
        Self::start(port, serve_smtp)
    }

    /// Starts an HTTP server on a free port, or on this one.
    pub fn http(port: u16) -> Self {
        Self::start(port, serve_http)
    }

    fn start(port: u16, serve: fn(TcpStream, &Shared) -> std::io::Result<()>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<Shared>::default();
        let of_thread = shared.clone();
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that ends in the middle of its message is what some tests are about.
                let _ = stream.and_then(|stream| serve(stream, &of_thread));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Sets the answers to the next messages.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().expect("not poisoned").extend(answers);
    }

    /// Returns what it has taken.
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().expect("not poisoned").clone()
    }

    /// Waits until it has taken so many messages that are as wanted, and returns these.
    pub fn wait_for(&self, count: usize, is_wanted: impl Fn(&Taken) -> bool) -> Vec<Taken> {
        let taken = self.shared.taken.lock().expect("not poisoned");
        let wanted = |taken: &[Taken]| -> Vec<Taken> { taken.iter().filter(|one| is_wanted(one)).cloned().collect() };
        let (taken, timeout) = self
            .shared
            .arrived
            .wait_timeout_while(taken, PATIENCE, |taken| wanted(taken).len() < count)
            .expect("not poisoned");
        assert!(!timeout.timed_out(), "{count} messages did not come; taken: {:#?}", *taken);
        wanted(&taken)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the thread.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn next_answer(&self) -> Answer {
        self.answers.lock().expect("not poisoned").pop_front().unwrap_or(Answer::Accept)
    }

    fn take(&self, taken: Taken) {
        self.taken.lock().expect("not poisoned").push(taken);
        self.arrived.notify_all();
    }
}

fn serve_smtp(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut to = String::new();
    let mut answer = None;
    writer.write_all(b"220 sink\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => writer.write_all(b"250-sink\r\n250 8BITMIME\r\n")?,
            "RCPT" => {
                to = line.trim().trim_start_matches("RCPT TO:").trim_matches(['<', '>']).to_owned();
                let next = shared.next_answer();
                match next {
                    Answer::Refuse(code) => writer.write_all(format!("{code} no\r\n").as_bytes())?,
                    Answer::Accept | Answer::TakeAndHangUp => writer.write_all(b"250 ok\r\n")?,
                }
                answer = Some(next);
            }
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                let Some((head, body)) = read_mail(&mut reader)? else { return Ok(()) };
                let answer = answer.take().unwrap_or(Answer::Accept);
                let taken = Taken { to: to.clone(), head, body, answer };
                if answer == Answer::TakeAndHangUp {
                    shared.take(taken);
                    return Ok(());
                }
                // The client has the answer before the test learns of the message.
                writer.write_all(b"250 taken\r\n")?;
                writer.flush()?;
                shared.take(taken);
            }
            "QUIT" => {
                writer.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => writer.write_all(b"250 ok\r\n")?,
        }
    }
}

/// Reads head and body; none if the client has ended before the end of the message.
fn read_mail(reader: &mut impl BufRead) -> std::io::Result<Option<(Vec<String>, String)>> {
    let (mut head, mut body, mut in_head) = (Vec::<String>::new(), String::new(), true);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end_matches(['\r', '\n']);
        if line == "." {
            return Ok(Some((head, body)));
        }
        let line = line.strip_prefix('.').unwrap_or(line);
        if in_head && line.is_empty() {
            in_head = false;
        } else if in_head && line.starts_with(' ') {
            // A folded header goes on.
            if let Some(last) = head.last_mut() {
                last.push_str(line);
            }
        } else if in_head {
            head.push(line.to_owned());
        } else {
            body.push_str(line);
            body.push('\n');
        }
    }
}

fn serve_http(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let to = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut taken = Taken { to, head, body: String::new(), answer: shared.next_answer() };
    let length = taken.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    taken.body = String::from_utf8_lossy(&body).into_owned();
    let status = match taken.answer {
        Answer::Accept => 204,
        Answer::Refuse(status) => status,
        Answer::TakeAndHangUp => {
            shared.take(taken);
            return Ok(());
        }
    };
    writer.write_all(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())?;
    writer.flush()?;
    if status == 204 {
        shared.take(taken);
    }
    Ok(())
}
