use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a proxy does to what passes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    #[default]
    Fair,
    /// Lets a request that contains these bytes through, and cuts the connection before its answer; so often.
    CutAnswers(&'static str, u32),
    /// Keeps a request that contains these bytes for so long, and then delivers it, whoever waits; once.
    HoldRequest(&'static str, Duration),
    /// Keeps connections open and delivers nothing.
    Silence,
    /// Accepts nothing and cuts what is open.
    Down,
}

/// A TCP proxy on a free port of this machine, for tests of bad networks.
pub struct TcpProxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    weather: Mutex<Weather>,
    target: Mutex<u16>,
    open: Mutex<Vec<TcpStream>>,
    is_closed: AtomicBool,
}

impl TcpProxy {
    /// A proxy to this port.
    ///
    /// # Panics
    /// When no port is free.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            weather: Mutex::default(),
            target: Mutex::new(target),
            open: Mutex::default(),
            is_closed: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    accepting.clone().connect(stream);
                }
            }
        });
        TcpProxy { port, shared }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address as the URL of a Redis server.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Changes the weather; `Down` cuts what is open.
    pub fn set(&self, weather: Weather) {
        let cuts = weather == Weather::Down;
        *lock(&self.shared.weather) = weather;
        if cuts {
            self.cut();
        }
    }

    /// Whether a weather that ends by itself is over.
    pub fn is_fair(&self) -> bool {
        *lock(&self.shared.weather) == Weather::Fair
    }

    /// Sends further connections to another port, and cuts those that are open.
    pub fn lead_to(&self, target: u16) {
        *lock(&self.shared.target) = target;
        self.cut();
    }

    fn cut(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn connect(self: Arc<Self>, client: TcpStream) {
        if *lock(&self.weather) == Weather::Down {
            return;
        }
        let target = *lock(&self.target);
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        lock(&self.open).extend([client.try_clone(), server.try_clone()].into_iter().flatten());
        let is_cut = Arc::new(AtomicBool::new(false));
        let (requests, cut) = (self.clone(), is_cut.clone());
        std::thread::spawn(move || requests.carry_requests(from_client, to_server, &cut));
        std::thread::spawn(move || self.carry_answers(server, client, &is_cut));
    }

    fn carry_requests(&self, mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..len];
            let mut held = None;
            {
                let mut weather = lock(&self.weather);
                match &mut *weather {
                    Weather::Silence => continue,
                    Weather::CutAnswers(what, times) if contains(bytes, what) => {
                        is_cut.store(true, Ordering::SeqCst);
                        *times -= 1;
                        if *times == 0 {
                            *weather = Weather::Fair;
                        }
                    }
                    Weather::HoldRequest(what, time) if contains(bytes, what) => {
                        held = Some(*time);
                        *weather = Weather::Fair;
                    }
                    _ => {}
                }
            }
            if let Some(time) = held {
                std::thread::sleep(time);
            }
            if to.write_all(bytes).is_err() {
                break;
            }
        }
        // What was delivered before the end is still carried out.
        let _ = to.shutdown(Shutdown::Write);
    }

    fn carry_answers(&self, mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if is_cut.load(Ordering::SeqCst) {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
            if *lock(&self.weather) == Weather::Silence {
                continue;
            }
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    }
}

fn contains(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
